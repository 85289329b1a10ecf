//! How far the log is behind the database, and what follows when it stays behind.
//!
//! What nobody can seal, nobody may do: when events have waited for the log for `log.stall_seconds`, no session opens,
//! and the open ones end. It makes no difference why: a full disk, one that is read-only or does not answer, a folder
//! that is gone. Sealing goes on being tried, and all is well again when it succeeds.

use crate::gate::Gate;
use crate::session::End;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::log::{Checkpoint, Hash, sha256};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether events wait too long.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long until an event that could not be recorded is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What the task that seals tells everybody else.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    checkpoint: Option<Checkpoint>,
    /// Since when an event has been waiting, or the log could not be opened; `None` while all is sealed.
    waiting: Option<Instant>,
    fault: Option<String>,
}

/// Events wait too long for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// For how long.
    pub waited: Duration,
    /// What the disk said; nothing where it does not answer.
    pub fault: Option<String>,
}

impl Progress {
    /// All up to this checkpoint is sealed; `level`: and nothing is left.
    pub fn sealed(&self, checkpoint: Checkpoint, level: bool) {
        let mut state = self.state();
        state.checkpoint = Some(checkpoint);
        state.fault = None;
        if level {
            state.waiting = None;
        }
    }

    /// Something waits to be sealed from now on, if it did not before.
    pub fn waits(&self) {
        self.state().waiting.get_or_insert_with(Instant::now);
    }

    /// It could not be sealed, and waits.
    pub fn failed(&self, fault: String) {
        let mut state = self.state();
        state.waiting.get_or_insert_with(Instant::now);
        state.fault = Some(fault);
    }

    /// Whether something has waited for longer than `limit`.
    #[must_use]
    pub fn stalled(&self, limit: Duration) -> Option<Stall> {
        let state = self.state();
        let waited = state.waiting?.elapsed();
        (waited > limit).then(|| Stall { waited, fault: state.fault.clone() })
    }

    /// The checkpoint on which the gateway stands, as events name it: against it a folder is found out that was rolled
    /// back or replaced.
    #[must_use]
    pub fn standing(&self) -> Value {
        json!({ "log": self.state().checkpoint })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checkpoint that an event names.
#[must_use]
pub fn named(detail: &Value) -> Option<Checkpoint> {
    let named = detail.get("log")?;
    Some(Checkpoint {
        origin: named.get("origin")?.as_str()?.to_owned(),
        size: named.get("size")?.as_u64()?,
        root: Hash::from_base64(named.get("root")?.as_str()?)?,
    })
}

/// The checkpoint of a log that holds nothing.
#[must_use]
pub fn beginning(origin: &str) -> Checkpoint {
    Checkpoint { origin: origin.to_owned(), size: 0, root: sha256(b"") }
}

/// Ends the sessions when sealing stalls, and tells of it and of its end. Never returns.
pub async fn watch(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut alarm = Alarm::default();
    loop {
        tick.tick().await;
        let stall = gate.log_stalled();
        if stall.is_some() {
            // Each time: one may have opened in between.
            gate.live.end_all(&End::LogUnsealed);
        }
        let Some(event) = alarm.look(stall, gate.sealing.progress.standing()) else { continue };
        let kind = event.kind;
        match gate.store.record(event).await {
            Ok(_) => alarm.recorded(kind),
            Err(fault) => tracing::error!(%fault, "cannot record that the log stalled, or goes on again"),
        }
    }
}

/// What is to be told of a stall: once when it begins, once when it is over, and again until it is on record.
#[derive(Debug, Default)]
struct Alarm {
    since: Option<Instant>,
    lasted: Duration,
    /// A stall is on record, and not its end.
    told: bool,
    next: Option<Instant>,
}

impl Alarm {
    fn look(&mut self, stall: Option<Stall>, standing: Value) -> Option<Event> {
        let (kind, detail) = match stall {
            Some(stall) => {
                if self.since.is_none() {
                    tracing::error!(fault = stall.fault, "events wait for the log: sessions end, and none starts");
                    (self.since, self.next) = (Some(Instant::now()), None);
                }
                let detail = json!({ "fault": stall.fault, "waited_seconds": stall.waited.as_secs() });
                (!self.told).then_some((Kind::LogStalled, detail))?
            }
            None => {
                if let Some(since) = self.since.take() {
                    tracing::info!("the log is level with the events again: sessions may start");
                    (self.lasted, self.next) = (since.elapsed(), None);
                }
                let detail = json!({ "log": standing.get("log"), "stalled_seconds": self.lasted.as_secs() });
                self.told.then_some((Kind::LogResumed, detail))?
            }
        };
        if self.next.is_some_and(|next| Instant::now() < next) {
            return None;
        }
        self.next = Some(Instant::now() + AGAIN);
        Some(Event { detail, ..Event::new(Utc::now(), kind, Actor::gateway()) })
    }

    fn recorded(&mut self, kind: Kind) {
        self.told = kind == Kind::LogStalled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_measured_from_when_it_began_and_only_what_is_level_ends_it() {
        let (progress, none, long) = (Progress::default(), Duration::ZERO, Duration::from_secs(60));
        let checkpoint = || Checkpoint { size: 7, ..beginning("gate/log") };
        progress.sealed(checkpoint(), true);
        assert_eq!(progress.stalled(none), None);
        progress.waits();
        std::thread::sleep(Duration::from_millis(5));
        progress.failed("no space left".to_owned());
        let stall = progress.stalled(none);
        assert!(stall.is_some_and(|stall| stall.waited >= Duration::from_millis(5) && stall.fault.is_some()));
        assert_eq!(progress.stalled(long), None);
        // A batch was sealed, and others wait as long as before.
        progress.sealed(checkpoint(), false);
        assert!(progress.stalled(none).is_some_and(|stall| stall.fault.is_none()));
        progress.sealed(checkpoint(), true);
        assert_eq!(progress.stalled(none), None);
    }

    #[test]
    fn a_beat_names_the_checkpoint_that_it_stands_on() {
        let progress = Progress::default();
        assert_eq!(named(&progress.standing()), None);
        let checkpoint = Checkpoint { size: 3, ..beginning("gate/log") };
        progress.sealed(checkpoint.clone(), true);
        assert_eq!(named(&progress.standing()), Some(checkpoint));
    }

    #[test]
    fn a_stall_and_its_end_are_told_once_and_again_until_they_are_on_record() {
        let (mut alarm, stall) = (Alarm::default(), Stall { waited: Duration::from_secs(16), fault: None });
        let look =
            |alarm: &mut Alarm, stall: Option<&Stall>| alarm.look(stall.cloned(), Value::Null).map(|event| event.kind);
        assert_eq!(look(&mut alarm, None), None);
        assert_eq!(look(&mut alarm, Some(&stall)), Some(Kind::LogStalled));
        assert_eq!(look(&mut alarm, Some(&stall)), None, "at once again, though it was not on record");
        alarm.next = None;
        assert_eq!(look(&mut alarm, Some(&stall)), Some(Kind::LogStalled));
        alarm.recorded(Kind::LogStalled);
        alarm.next = None;
        assert_eq!(look(&mut alarm, Some(&stall)), None);
        assert_eq!(look(&mut alarm, None), Some(Kind::LogResumed));
        alarm.next = None;
        assert_eq!(look(&mut alarm, None), Some(Kind::LogResumed));
        alarm.recorded(Kind::LogResumed);
        assert_eq!(look(&mut alarm, None), None);
        // One that nobody heard of has no end to be told of.
        assert_eq!(look(&mut alarm, Some(&stall)), Some(Kind::LogStalled));
        assert_eq!(look(&mut alarm, None), None);
    }
}
