//! A terminal's session: opened, recorded, relayed and ended as SSH's are, for a person who sits before a browser. It
//! runs on a thread of its own, as a connection of SSH does; what it has in common with the browser's line is [`Line`].

use super::tickets::Target;
use crate::console::texts::terminal::Texts;
use crate::gate::Gate;
use crate::session::backlog::Backlog;
use crate::session::channel::{self, Incoming, Opening, PtyRequest, Start};
use crate::session::screen::{Screen, Sent};
use crate::session::{self, Caller, End, HangUp, Refusal, Way};
use futures_util::FutureExt;
use sekimori_policy::facts::Language;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What devices are told of the terminal: xterm.js understands it.
const TERM: &str = "xterm-256color";

/// What a page types is UTF-8, and what it draws: devices that take a locale from who connects (`AcceptEnv`) are told, as
/// `ssh` would tell them. It is in every C library, and translates nothing.
const LOCALE: (&str, &str) = ("LANG", "C.UTF-8");

/// How long a browser may take to hear the end, before its connection is dropped.
const LEAVING: Duration = Duration::from_millis(400);

/// Bytes on their way to a browser that it has not drawn yet.
const UNSEEN: usize = 512 << 10;

/// What a session and the browser's connection know of each other.
#[derive(Default)]
pub struct Line {
    /// Why the browser is gone, once it is.
    pub gone: OnceLock<End>,
    /// Drops the connection, whatever the browser does.
    pub cut: CancellationToken,
    /// The connection is over.
    pub closed: CancellationToken,
    unseen: AtomicUsize,
    seen: Notify,
}

impl Line {
    /// Whether more may be sent before the browser has drawn what is on its way.
    pub fn has_room(&self) -> bool {
        self.unseen.load(Ordering::Acquire) < UNSEEN
    }

    /// Notes what was sent.
    pub fn sent(&self, bytes: usize) {
        self.unseen.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Notes what the browser says that it has drawn. More than was sent counts for nothing.
    pub fn drawn(&self, bytes: usize) {
        let less = |unseen: usize| Some(unseen.saturating_sub(bytes));
        self.unseen.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok();
        self.seen.notify_one();
    }

    /// Resolves when the browser has drawn more.
    pub async fn more_drawn(&self) {
        self.seen.notified().await;
    }
}

/// What is known when a terminal begins.
pub struct Terminal {
    /// The gateway.
    pub gate: Arc<Gate>,
    /// Who.
    pub caller: Caller,
    /// Where to.
    pub to: Target,
    /// Columns and rows.
    pub size: (u32, u32),
    /// The page's language.
    pub language: Language,
    /// The browser's connection.
    pub line: Arc<Line>,
    /// How far what is typed lags behind.
    pub backlog: Arc<Backlog>,
}

/// What is said when it is over.
#[derive(Debug, Default, serde::Serialize)]
pub struct Over {
    /// What happened.
    #[serde(rename = "end")]
    pub words: String,
    /// Why nothing was opened: every reason, and who can change it.
    pub reasons: Vec<String>,
}

impl Terminal {
    /// Serves it to its end.
    pub async fn run(self, screen: Screen, sent: Sent) -> Over {
        let t = Texts::of(self.language);
        let (device, account) = (&self.to.device, self.to.account.as_str());
        let opened = session::open(&self.gate, &self.caller, device, Some(account), Way::Browser, self.hang_up()).await;
        let session = match opened {
            Ok(session) => session,
            Err(refusal) => {
                if !matches!(refusal, Refusal::Denied(_)) {
                    tracing::error!(%refusal, %device, "a session was refused");
                }
                return Over { words: t.refused.into(), reasons: refusal.sentences(self.language) };
            }
        };
        let (columns, rows) = self.size;
        let pty = PtyRequest { term: TERM.into(), columns, rows, width: 0, height: 0, modes: Vec::new() };
        let environment = vec![(LOCALE.0.into(), LOCALE.1.into())];
        let opening = Opening { terminal: Some(pty), environment };
        let incoming = Incoming { read: sent, backlog: self.backlog.clone(), early: VecDeque::new() };
        let told = channel::serve(&self.gate, &session, Arc::new(screen), incoming, opening, Start::Shell).await;
        // The first reason counts; without one the terminal came to its end, and with it the session.
        session.end(self.line.gone.get().cloned().unwrap_or(End::PersonLeft));
        let words = match session.reason() {
            Some(End::PersonLeft | End::PersonLost) | None => told.unwrap_or_else(|| t.over.into()),
            Some(end) => end.sentence(self.language),
        };
        Over { words, reasons: Vec::new() }
    }

    /// How the session ends the browser's connection: after it was told, or without.
    fn hang_up(&self) -> HangUp {
        let line = self.line.clone();
        Arc::new(move |_, _| {
            let line = line.clone();
            async move {
                tokio::time::timeout(LEAVING, line.closed.cancelled()).await.ok();
                line.cut.cancel();
            }
            .boxed()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn what_a_browser_did_not_draw_holds_back_what_follows() {
        let line = Line::default();
        line.sent(UNSEEN - 1);
        assert!(line.has_room());
        line.sent(1);
        assert!(!line.has_room() && line.more_drawn().now_or_never().is_none());
        line.drawn(1);
        assert!(line.has_room() && line.more_drawn().now_or_never().is_some());
        // Who claims to have drawn what was never sent gains nothing.
        line.drawn(usize::MAX);
        line.sent(UNSEEN);
        assert!(!line.has_room());
    }
}
