//! The sessions that are open in this process, and the watch over the facts they stand on.
//!
//! Whoever changes something writes an event in the same transaction, so the event log is the feed of changes: the
//! gateway looks for new events several times a second, decides every session's case again when one of them can
//! matter, and cuts what is no longer permitted. The command line needs no other way to reach a running gateway.

use super::attended::{deliver, hold_what_was_asked};
use super::{End, Session};
use crate::gate::Gate;
use crate::store::StoreError;
use chrono::Utc;
use sekimori_audit::event::Kind;
use sekimori_policy::decide::{Decision, decide};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often new events are looked for: a cut takes effect within a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long a look may take of a database that was given up already.
const PATIENCE: Duration = Duration::from_secs(15);

/// Events read at once.
const BATCH: u32 = 500;

/// The open sessions.
#[derive(Default)]
pub struct Live(Mutex<HashMap<Uuid, Arc<Session>>>);

impl Live {
    /// Adds a session.
    pub fn insert(&self, session: &Arc<Session>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session.id, session.clone());
    }

    /// Takes a session out.
    pub fn remove(&self, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// The session of this id, if it lives here.
    #[must_use]
    pub fn one(&self, id: Uuid) -> Option<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All of them, now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Ends every session for the same reason.
    pub fn end_all(&self, reason: &End) {
        for session in self.all() {
            session.end(reason.clone());
        }
    }
}

/// Watches the event log from `seen` on, until the gateway stops.
pub async fn watch(gate: Arc<Gate>, mut seen: i64) {
    let mut last_answer = Instant::now();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let grace = Duration::from_secs(gate.config().storage.grace_seconds);
        let left = grace.saturating_sub(last_answer.elapsed());
        // When the grace is over there is no hurry any more: what comes back may be slow at first.
        let patience = if left.is_zero() { PATIENCE } else { left };
        match tokio::time::timeout(patience, look(&gate, seen)).await {
            Ok(Ok(newest)) => {
                seen = newest;
                last_answer = Instant::now();
            }
            Ok(Err(fault)) => tracing::error!(%fault, "the database does not answer"),
            Err(_) => tracing::error!("the database does not answer in time"),
        }
        if last_answer.elapsed() >= grace {
            gate.live.end_all(&End::StoreUnavailable);
        }
    }
}

async fn look(gate: &Arc<Gate>, seen: i64) -> Result<i64, StoreError> {
    if gate.take_reconfigured() {
        // Not done until every session was decided on: a fault keeps it for the next look.
        decide_each_again(gate).await.inspect_err(|_| gate.keep_reconfigured())?;
    }
    let newest = gate.store.last_seq().await?;
    if newest == seen {
        return Ok(seen);
    }
    let mut kinds = Vec::new();
    let mut at = seen;
    while at < newest {
        let events = gate.store.events_since(at, BATCH).await?;
        let Some(last) = events.last() else { break };
        at = last.seq;
        for event in &events {
            // An event that this program cannot read, from a newer one, may be about anything.
            let told = event.event().ok();
            kinds.push(told.as_ref().map(|told| told.kind));
            if let Some(told) = told.filter(|told| told.kind == Kind::SessionMessage) {
                deliver(gate, event.seq, &told).await?;
            }
        }
    }
    if kinds.iter().any(|kind| kind.is_none_or(|kind| kind == Kind::SessionCut)) {
        cut_what_was_asked(gate).await?;
    }
    if kinds.iter().any(|kind| kind.is_none_or(|kind| matches!(kind, Kind::SessionPaused | Kind::SessionResumed))) {
        hold_what_was_asked(gate).await?;
    }
    if kinds.iter().any(|kind| kind.is_none_or(changes_facts)) {
        decide_each_again(gate).await?;
    }
    Ok(newest)
}

/// Whether an event of this kind can change a decision.
fn changes_facts(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Init
            | Kind::Start
            | Kind::Stop
            | Kind::Reload
            | Kind::BackupStarted
            | Kind::BackupMade
            | Kind::BackupFailed
            | Kind::BackupDrilled
            | Kind::SourceRefused
            | Kind::SignIn
            | Kind::SignInFailed
            | Kind::SignInCarried
            | Kind::SignInAgain
            | Kind::AccessDenied
            | Kind::SessionOpen
            | Kind::SessionChannel
            | Kind::SessionTransfer
            | Kind::SessionCut
            | Kind::SessionMessage
            | Kind::SessionPaused
            | Kind::SessionResumed
            | Kind::SessionAttended
            | Kind::SessionUnattended
            | Kind::SessionClose
            | Kind::Beat
            | Kind::LogKeyRotated
            | Kind::LogRebuilt
            | Kind::LogStalled
            | Kind::LogResumed
            | Kind::RecordingKey
            | Kind::LogWitnessSilent
            | Kind::LogWitnessBack
            | Kind::RecordingSegment
            | Kind::RecordingSealed
            | Kind::RecordingPurged
            | Kind::RecordingHeld
            | Kind::RecordingReleased
            | Kind::PurgeProposed
            | Kind::PurgeDecided
            | Kind::PurgeDone
            | Kind::RecordingViewed
            | Kind::RecordingExported
            | Kind::LedgerImport
            | Kind::LedgerExport
            | Kind::LedgerChange
    )
}

async fn cut_what_was_asked(gate: &Gate) -> Result<(), StoreError> {
    let asked = gate.store.cut_requests(&gate.instance).await?;
    for session in gate.live.all() {
        if let Some((_, request)) = asked.iter().find(|(id, _)| *id == session.id) {
            session.end(End::Cut { reason: request.reason.clone() });
        }
    }
    Ok(())
}

/// Looks at everything that could end one session, once: for what was seen before it was among the live ones.
pub async fn look_at(gate: &Gate, session: &Session) {
    if gate.stopping() {
        session.end(End::Shutdown);
    }
    let looked = async {
        let asked = gate.store.cut_requests(&gate.instance).await?;
        if let Some((_, request)) = asked.into_iter().find(|(id, _)| *id == session.id) {
            session.end(End::Cut { reason: request.reason });
        }
        let paused = gate.store.pauses(&gate.instance).await?;
        if let Some((_, pause)) = paused.into_iter().find(|(id, _)| *id == session.id) {
            // No terminal is there yet that it could be told on.
            let _ = session.pauses(Some(pause));
        }
        decide_again(gate, session).await
    };
    if let Err(fault) = looked.await {
        tracing::error!(session = %session.id, %fault, "a session that opened could not be looked at again");
        session.end(End::StoreUnavailable);
    }
}

/// Decides a session's case again on today's facts: a permit for its own work that names all that is in use replaces
/// the old one, anything else cuts.
pub async fn decide_again(gate: &Gate, session: &Session) -> Result<(), StoreError> {
    if !gate.sign_in_stands(session.caller.sign_in).await? {
        session.end(End::SignInRevoked);
        return Ok(());
    }
    let mut facts = gate.facts(&session.caller, session.device(), Some(session.account())).await?;
    let now = Utc::now();
    let mut decision = decide(&facts, now);
    if matches!(&decision, Decision::Permit(permit) if permit.work() != session.work()) {
        // Another piece of work lasts longer, but this session is on record as this one's.
        facts.works.retain(|work| work.id() == session.work());
        decision = decide(&facts, now);
    }
    match decision {
        Decision::Permit(permit) => {
            let permit = Arc::new(permit);
            // In force first: a channel that opens meanwhile is measured by it.
            session.permit.send_replace(permit.clone());
            session.wants_attendance();
            if !session.allowed_by(&permit) {
                session.end(End::Narrowed);
            }
        }
        Decision::Denial(denial) => {
            let permit = session.permit();
            // Its own end has come, and whoever looks first says so: the clock, or the case that is decided again.
            session.end(if now >= permit.until() {
                End::Until(permit.until_because())
            } else {
                End::Denied(denial.reasons().to_vec())
            });
        }
    }
    Ok(())
}

/// The same for every session, where a fault of this session's own records ends this session and no other.
async fn decide_each_again(gate: &Gate) -> Result<(), StoreError> {
    for session in gate.live.all() {
        match decide_again(gate, &session).await {
            Err(fault @ (StoreError::Damaged { .. } | StoreError::Sealed { .. })) => {
                tracing::error!(session = %session.id, %fault, "a session's facts cannot be read");
                session.end(End::StoreUnavailable);
            }
            other => other?,
        }
    }
    Ok(())
}
