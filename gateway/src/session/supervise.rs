//! What stands beside an open session until its end: the clock, the recorder's alarm, changed facts, silence.
//!
//! Cutting is out of band: the device's socket is shut down first, the person is told why if they read, and then
//! theirs is shut down whether they do or not. The end is recorded after the channels' tasks have confirmed that they are gone.

use super::{Caller, End, HangUp, Session, live};
use crate::gate::Gate;
use crate::store::{Closing, Counts, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::SessionEnd;
use sekimori_policy::facts::Language;
use sekimori_policy::id::{DeviceId, WorkId};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Minutes before the end at which the person is told.
const WARNINGS: [i64; 2] = [10, 1];

/// How long channels may take to show the reason and close, before the person's connection is ended.
const PARTING: Duration = Duration::from_millis(300);

/// How long channels' tasks may take to be gone after that.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// Lives beside the session until it has ended, and records the end.
pub async fn supervise(gate: Arc<Gate>, session: Arc<Session>, hang_up: HangUp) {
    watch(&gate, &session).await;
    let end = session.reason().cloned().unwrap_or(End::PersonLeft);
    let confirmed = part(&session, &end, &hang_up).await;
    close(&gate, &session, &end, confirmed).await;
    gate.live.remove(session.id);
    gate.segments.add(&session.recording);
}

/// Resolves when the session has been told to end, by others or from here.
async fn watch(gate: &Gate, session: &Session) {
    let mut permit = session.permit.subscribe();
    let mut warned = WARNINGS.len();
    let recording = session.recording.failed();
    let mut clocks = (Utc::now(), Instant::now());
    loop {
        let (until, because) = {
            let permit = permit.borrow_and_update();
            (permit.until(), permit.until_because())
        };
        let now = Utc::now();
        if now >= until {
            return session.end(End::Until(because));
        }
        if was_set(&mut clocks, now) {
            // Back before the window's beginning is outside of it as well.
            if let Err(fault) = live::decide_again(gate, session).await {
                tracing::error!(session = %session.id, %fault, "the clock was set, and a session could not be decided again");
                return session.end(End::StoreUnavailable);
            }
        }
        let idle = gate.config().ssh.idle_minutes;
        if now.timestamp() - session.last_active.load(Ordering::Relaxed) >= seconds(idle) {
            return session.end(End::Idle { minutes: idle });
        }
        let left = until - now;
        let due = WARNINGS.iter().filter(|minutes| left > TimeDelta::minutes(**minutes)).count();
        if due < warned {
            // Opening a session that is short from the start is told by its banner, not by a warning.
            if now - session.opened > TimeDelta::seconds(5) {
                warn(session, left, until, gate).await;
            }
        }
        warned = due;
        // The wall clock decides, so it is asked again each second: timers do not notice when it is set.
        let pause = left.to_std().unwrap_or_default().min(Duration::from_secs(1));
        tokio::select! {
            () = session.ended() => return,
            () = recording.cancelled() => {
                return session.end(End::RecordingFailed("the recording failed".into()));
            }
            _ = permit.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether the wall clock was set since it was looked at last: it went otherwise than the clock that nobody sets.
fn was_set(clocks: &mut (DateTime<Utc>, Instant), now: DateTime<Utc>) -> bool {
    let (wall, steady) = std::mem::replace(clocks, (now, Instant::now()));
    let passed = TimeDelta::from_std(steady.elapsed()).unwrap_or(TimeDelta::MAX);
    ((now - wall) - passed).abs() > TimeDelta::seconds(2)
}

fn seconds(minutes: u64) -> i64 {
    i64::try_from(minutes.saturating_mul(60)).unwrap_or(i64::MAX)
}

async fn warn(session: &Session, left: TimeDelta, until: DateTime<Utc>, gate: &Gate) {
    // Rounded up: at 59.6 s a person should read "1 minute".
    let minutes = (left.num_seconds() + 59) / 60;
    let at = until.with_timezone(&gate.config().hospital.zone).format("%H:%M");
    let text = match session.caller.language() {
        Language::Ja => format!("*** 関守: あと{minutes}分（{at}）で接続を終了します。"),
        Language::En => format!("*** Sekimori: this session ends in {minutes} min, at {at}."),
    };
    session.tell(&text).await;
}

/// Cuts the device's side at once, lets the channels tell the person why, hangs up, and waits until every task is
/// gone. `true`: both sides are confirmed to be down.
async fn part(session: &Session, end: &End, hang_up: &HangUp) -> bool {
    session.tasks.close();
    let sockets = std::mem::take(&mut *session.sockets.lock().unwrap_or_else(PoisonError::into_inner));
    // Each is cut, whatever became of the one before.
    let mut down = true;
    for socket in sockets.iter().filter_map(Weak::upgrade) {
        down &= socket.cut().is_ok();
    }
    let parted = tokio::time::timeout(PARTING, session.tasks.wait()).await.is_ok();
    if !matches!(end, End::PersonLeft | End::PersonLost) {
        hang_up(session.id, end.clone()).await;
    }
    let gone = parted || tokio::time::timeout(CONFIRMATION, session.tasks.wait()).await.is_ok();
    down && gone
}

async fn close(gate: &Gate, session: &Session, end: &End, confirmed: bool) {
    let finished = session.recording.finish(SessionEnd { at: Utc::now(), reason: end.code().to_owned() }).await;
    // A recording whose end cannot be written is a failure of the recording, whatever ended the session.
    let (end, manifest) = match finished {
        Ok(summary) => (end.clone(), Some(summary.manifest_sha256)),
        Err(fault) => (End::RecordingFailed(fault.to_string()), None),
    };
    if !confirmed {
        tracing::error!(session = %session.id, "the end of a session could not be confirmed on both sides");
    }
    let permit = session.permit();
    let whole = Whole { counts: session.counts(), manifest };
    close_row(gate, session.id, &session.caller, permit.device(), permit.work(), &end, whole).await;
}

/// What a session amounts to when it ends.
#[derive(Default)]
pub struct Whole {
    /// What went through.
    pub counts: Counts,
    /// The SHA-256 of its recording's manifest, which holds those of all members: the event ties the recording down.
    pub manifest: Option<String>,
}

/// Records the end of a session. When the database is away it is tried again until it answers or the gateway stops;
/// what is left open then is closed at the next start.
pub async fn close_row(
    gate: &Gate,
    id: Uuid,
    caller: &Caller,
    device: &DeviceId,
    work: &WorkId,
    end: &End,
    whole: Whole,
) {
    let mut pause = Duration::from_millis(200);
    let now = Utc::now();
    let mut detail = match end {
        End::Denied(reasons) => json!({
            "reason": end.code(),
            "reasons": reasons.iter().map(sekimori_policy::reason::Reason::code).collect::<Vec<_>>(),
        }),
        End::Until(limit) => json!({ "reason": end.code(), "limit": limit.code() }),
        End::Cut { reason } => json!({ "reason": end.code(), "words": reason }),
        End::RecordingFailed(fault) => json!({ "reason": end.code(), "fault": fault }),
        _ => json!({ "reason": end.code() }),
    };
    if let (Value::Object(fields), Some(manifest)) = (&mut detail, whole.manifest) {
        fields.insert("manifest_sha256".into(), Value::String(manifest));
    }
    let event = Event {
        person: Some(caller.person.id.clone()),
        vendor: caller.person.vendor.clone(),
        device: Some(device.clone()),
        work: Some(work.clone()),
        session: Some(id),
        sign_in: Some(caller.sign_in),
        source: Some(caller.source.address()),
        detail,
        ..Event::new(now, Kind::SessionClose, Actor::gateway())
    };
    let reason = end.sentence(gate.config().hospital.language);
    let closing = Closing { at: now, code: end.code().to_owned(), reason, counts: whole.counts };
    loop {
        match gate.store.close_session(id, &closing, event.clone()).await {
            Ok(()) | Err(StoreError::Unknown { .. }) => return,
            Err(fault) => tracing::error!(session = %id, %fault, "cannot record the end of a session; trying again"),
        }
        if gate.killed() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
