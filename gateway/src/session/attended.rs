//! What those who watch do to a session beside cutting it: they say something to its person, they pause it, and where
//! the work is to be attended (立会い) they let it go on by being there.
//!
//! Words and pauses come by the event log, as a cut does, so that it does not matter which process was asked. While a
//! session is held nothing that its person sends goes on to the device; it waits in the backlog of its channel, in
//! order, and goes on when the session is released. What the device says is shown meanwhile.

use super::Session;
use crate::gate::Gate;
use crate::store::{Pause, StoreError};
use futures_util::future::join_all;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{Language, Person};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;

/// What holds a session, if anything does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Somebody paused it.
    pub pause: Option<Pause>,
    /// It is to be attended, and nobody does.
    pub unattended: bool,
}

/// Whether a session is held, as its pumps ask.
pub type Hold = watch::Receiver<Held>;

impl Held {
    /// Whether anything holds it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.pause.is_some() || self.unattended
    }
}

impl Session {
    /// What holds it.
    #[must_use]
    pub fn held(&self) -> Held {
        self.held.borrow().clone()
    }

    /// For those who have to wait while it is held.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.held.subscribe()
    }

    /// Resolves when it is not held.
    pub async fn released(&self) {
        // The sender is the session's own.
        let _ = self.hold().wait_for(|held| !held.holds()).await;
    }

    /// Shows a line of the gateway's own on every terminal; streams are left alone.
    pub(super) async fn tell(&self, text: &str) {
        let terminals = self.screens().into_iter().filter(|(screen, _)| screen.terminal);
        // At once: one that is not read keeps the words from no other.
        join_all(terminals.map(|(screen, tap)| async move { screen.tell(&tap, text).await })).await;
    }
}

/// Shows the words of an event to its session, if it lives here. Each event counts once, also where it is read again.
pub(super) async fn deliver(gate: &Arc<Gate>, seq: i64, event: &Event) -> Result<(), StoreError> {
    let (Some(session), Some(text)) =
        (event.session.and_then(|id| gate.live.one(id)), event.detail.get("text").and_then(|text| text.as_str()))
    else {
        return Ok(());
    };
    let person = match &event.actor.person {
        Some(id) => gate.store.person(id).await?,
        None => None,
    };
    let who = person.map_or_else(|| gate.config().hospital.name.clone(), |one| named(&one));
    if session.told.fetch_max(seq, Ordering::Relaxed) < seq {
        let language = session.caller.language();
        let from = if language == Language::Ja { "から" } else { "" };
        say(gate, &session, marked(language, &format!("{who}{from}: {text}")));
    }
    Ok(())
}

/// Holds and releases what was asked to be.
pub(super) async fn hold_what_was_asked(gate: &Arc<Gate>) -> Result<(), StoreError> {
    let asked = gate.store.pauses(&gate.instance).await?;
    for session in gate.live.all() {
        let pause = asked.iter().find(|(id, _)| *id == session.id).map(|(_, pause)| pause.clone());
        // In force first, then told.
        if let Some(line) = session.pauses(pause) {
            say(gate, &session, line);
        }
    }
    Ok(())
}

impl Session {
    /// From now on it is paused, or not; what its person reads of it, if that is otherwise than before.
    pub(super) fn pauses(&self, pause: Option<Pause>) -> Option<String> {
        let line = paused_or_not(self.caller.language(), pause.as_ref());
        let changed = self.held.send_if_modified(|held| {
            let changed = held.pause != pause;
            held.pause = pause;
            changed
        });
        changed.then_some(line)
    }

    /// Holds it while it is to be attended and nobody does.
    pub(super) fn wants_attendance(&self) {
        // Counted under the lock of the count: of two who come and go at once, the last word is the right one.
        let attending = self.attending.lock().unwrap_or_else(PoisonError::into_inner);
        let unattended = self.permit().attendance() && *attending == 0;
        self.held.send_if_modified(|held| std::mem::replace(&mut held.unattended, unattended) != unattended);
    }

    fn count_attending(&self, change: impl FnOnce(usize) -> usize) {
        {
            let mut attending = self.attending.lock().unwrap_or_else(PoisonError::into_inner);
            *attending = change(*attending);
        }
        self.wants_attendance();
    }
}

/// One who attends a session, until this is dropped: then its person is held again, unless somebody else attends.
pub struct Attending {
    gate: Arc<Gate>,
    session: Arc<Session>,
    observer: Person,
    event: Event,
}

/// Has somebody of the hospital attend a session that is to be attended. That they do is on record before anything goes
/// on. The event names actor and source; what it is about is filled in.
///
/// # Errors
/// The event cannot be written: nothing goes on.
pub async fn attend(
    gate: &Arc<Gate>,
    session: &Arc<Session>,
    observer: Person,
    event: Event,
) -> Result<Attending, StoreError> {
    let event = Event {
        person: Some(session.caller.person.id.clone()),
        vendor: session.caller.person.vendor.clone(),
        device: Some(session.device.clone()),
        work: Some(session.work.clone()),
        session: Some(session.id),
        ..event
    };
    gate.store.record(Event { kind: Kind::SessionAttended, ..event.clone() }).await?;
    session.count_attending(|count| count + 1);
    let who = named(&observer);
    let language = session.caller.language();
    let text = match language {
        Language::Ja => format!("{who}が立ち会っています。入力は機器に送られます。"),
        Language::En => format!("{who} attends. What you send goes to the device."),
    };
    say(gate, session, marked(language, &text));
    Ok(Attending { gate: gate.clone(), session: session.clone(), observer, event })
}

impl Drop for Attending {
    fn drop(&mut self) {
        let session = self.session.clone();
        // In force first, then told and on record.
        session.count_attending(|count| count.saturating_sub(1));
        if session.has_ended() {
            return;
        }
        let held = session.held().unattended;
        let event = Event {
            at: chrono::Utc::now(),
            kind: Kind::SessionUnattended,
            detail: json!({ "held": held }),
            ..self.event.clone()
        };
        let (gate, id) = (self.gate.clone(), session.id);
        self.gate.home.spawn(async move {
            if let Err(fault) = gate.store.record(event).await {
                tracing::error!(session = %id, %fault, "that somebody no longer attends could not be recorded");
            }
        });
        if held {
            let (language, who) = (session.caller.language(), named(&self.observer));
            let text = match language {
                Language::Ja => {
                    format!("{who}の立会いが終わりました。次の立会いが始まるまで、入力は機器に送られません。")
                }
                Language::En => format!("{who} no longer attends. What you send is held until somebody does."),
            };
            say(&self.gate, &session, marked(language, &text));
        }
    }
}

/// Why nothing begins in a session that is to be attended.
#[must_use]
pub fn to_be_attended(language: Language) -> &'static str {
    match language {
        Language::Ja => "立会いが必要な作業です。病院の立会いが始まるまでお待ちください。",
        Language::En => "this work is to be attended. Please wait until somebody of the hospital attends.",
    }
}

/// A line of the gateway's own, marked as such.
#[must_use]
pub fn marked(language: Language, text: &str) -> String {
    match language {
        Language::Ja => format!("*** 関守: {text}"),
        Language::En => format!("*** Sekimori: {text}"),
    }
}

fn named(person: &Person) -> String {
    format!("{} ({})", person.name, person.id)
}

fn paused_or_not(language: Language, pause: Option<&Pause>) -> String {
    let text = match (language, pause.map(|pause| &pause.reason)) {
        (Language::Ja, Some(reason)) => {
            format!("一時停止中です。入力した内容は、再開されるまで機器に送られません。理由: {reason}")
        }
        (Language::En, Some(reason)) => {
            format!("paused. What you send is held until the session is resumed. Reason: {reason}")
        }
        (Language::Ja, None) => "再開しました。待っていた入力を機器に送ります。".into(),
        (Language::En, None) => "resumed. What was held is sent to the device.".into(),
    };
    marked(language, &text)
}

/// Says it without waiting: somebody who does not read holds up no cut.
fn say(gate: &Arc<Gate>, session: &Arc<Session>, line: String) {
    let session = session.clone();
    gate.home.spawn(async move { session.tell(&line).await });
}
