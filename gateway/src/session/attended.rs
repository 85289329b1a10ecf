//! What those who watch do to a session beside cutting it: they say something to its person, and they pause it.
//!
//! Both come by the event log, as a cut does, so that it does not matter which process was asked. While a session is
//! paused nothing that its person sends goes on to the device; it waits in the backlog of its channel, in order, and goes
//! on when the session is resumed. What the device says is shown meanwhile.

use super::Session;
use crate::gate::Gate;
use crate::store::{Pause, StoreError};
use futures_util::future::join_all;
use sekimori_audit::event::Event;
use sekimori_policy::facts::Language;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// Whether a session is paused, as its pumps ask.
pub type Hold = watch::Receiver<Option<Pause>>;

impl Session {
    /// Why it is paused, if it is.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        self.pause.borrow().clone()
    }

    /// For those who have to wait while it is paused.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.pause.subscribe()
    }

    /// Resolves when it is not paused.
    pub async fn released(&self) {
        // The sender is the session's own.
        let _ = self.hold().wait_for(Option::is_none).await;
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
    let who = person.map_or_else(|| gate.config().hospital.name.clone(), |one| format!("{} ({})", one.name, one.id));
    if session.told.fetch_max(seq, Ordering::Relaxed) < seq {
        let line = match session.caller.language() {
            Language::Ja => format!("*** 関守: {who}から: {text}"),
            Language::En => format!("*** Sekimori: {who}: {text}"),
        };
        say(gate, &session, line);
    }
    Ok(())
}

/// Holds and releases what was asked to be.
pub(super) async fn hold_what_was_asked(gate: &Arc<Gate>) -> Result<(), StoreError> {
    let asked = gate.store.pauses(&gate.instance).await?;
    for session in gate.live.all() {
        let pause = asked.iter().find(|(id, _)| *id == session.id).map(|(_, pause)| pause.clone());
        // In force first, then told.
        if let Some(line) = session.holds(pause) {
            say(gate, &session, line);
        }
    }
    Ok(())
}

impl Session {
    /// From now on it is paused, or not; what its person reads of it, if that is otherwise than before.
    pub(super) fn holds(&self, pause: Option<Pause>) -> Option<String> {
        let line = line(self.caller.language(), pause.as_ref());
        let changed = self.pause.send_if_modified(|before| {
            let changed = *before != pause;
            *before = pause;
            changed
        });
        changed.then_some(line)
    }
}

fn line(language: Language, pause: Option<&Pause>) -> String {
    match (language, pause.map(|pause| &pause.reason)) {
        (Language::Ja, Some(reason)) => {
            format!("*** 関守: 一時停止中です。入力した内容は、再開されるまで機器に送られません。理由: {reason}")
        }
        (Language::En, Some(reason)) => {
            format!("*** Sekimori: paused. What you send is held until the session is resumed. Reason: {reason}")
        }
        (Language::Ja, None) => "*** 関守: 再開しました。待っていた入力を機器に送ります。".into(),
        (Language::En, None) => "*** Sekimori: resumed. What was held is sent to the device.".into(),
    }
}

/// Says it without waiting: somebody who does not read holds up no cut.
fn say(gate: &Arc<Gate>, session: &Arc<Session>, line: String) {
    let session = session.clone();
    gate.home.spawn(async move { session.tell(&line).await });
}
