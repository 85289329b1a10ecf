//! The connection between a page and its terminal: a WebSocket (RFC 6455). Binary messages are what is typed and what is
//! shown; texts are JSON: the page says with which ticket it comes, how large it is, and how much it has drawn; the
//! gateway says why it is over.
//!
//! A browser reads whatever comes, as fast as it comes, into its memory. So no more is sent than half a megabyte ahead of
//! what the page has drawn: then the device waits.

use super::seat::{Line, Over, Terminal};
use super::tickets::Target;
use crate::console::texts::terminal::Texts;
use crate::console::visit::Visit;
use crate::session::backlog::Backlog;
use crate::session::screen::{Screen, Sent};
use crate::session::{Caller, End};
use crate::ssh::door::Place;
use crate::thread;
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use chrono::Utc;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use russh::ChannelMsg;
use serde::Deserialize;
use std::convert::Infallible;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};

/// The largest message of a page: a paste.
pub const MESSAGE: usize = 64 << 10;
/// Messages that wait for the session.
const QUEUE: usize = 16;
/// How long a page may take to say with which ticket it comes.
const OPENING: Duration = Duration::from_secs(10);
/// How often a browser is asked whether it is there, and how long it may give no sign.
const ASK: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(120);
/// How often an open terminal is noted as a use of its sign-in.
const USE: Duration = Duration::from_secs(60);
/// How long the last words may take, and after them the browser's own goodbye.
const GOODBYE: Duration = Duration::from_millis(300);
/// How long a session whose screen is gone may take to say why.
const REASON: Duration = Duration::from_secs(5);
/// The largest screens that are drawn.
const LARGEST: (u32, u32) = (1000, 500);

/// What a page says beside what is typed.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    /// First of all.
    Open { ticket: String, size: (u32, u32) },
    /// The window has another size: columns, rows.
    Size(u32, u32),
    /// Bytes drawn since the last time.
    Drawn(usize),
}

/// Serves one connection of a page to its end.
pub async fn serve(visit: Visit, caller: Caller, to: Target, place: Arc<Place>, socket: WebSocket) {
    // It stays a connection of somebody who has signed in.
    let _place = place;
    let (mut write, mut read) = socket.split();
    if let Err(words) = seated(&visit, caller, to, &mut write, &mut read).await {
        part(&mut write, &mut read, &Over { words: words.into(), reasons: Vec::new() }).await;
    }
}

type Out = SplitSink<WebSocket, Message>;
type In = SplitStream<WebSocket>;

/// Gives the page its terminal. What is said where it gets none, or did what no page of ours does.
async fn seated(visit: &Visit, caller: Caller, to: Target, write: &mut Out, read: &mut In) -> Result<(), &'static str> {
    let t = Texts::of(visit.language);
    let console = &visit.console;
    let (ticket, size) = timeout(OPENING, opening(read)).await.ok().flatten().ok_or(t.broken)?;
    if !console.tickets.spend(&ticket, caller.sign_in, &to) {
        return Err(t.stale);
    }
    let seat = console.seats.take(&caller.person.id).ok_or(t.too_many)?;
    let (typed, sent) = mpsc::channel(QUEUE);
    let (screen, mut shown) = Screen::in_a_browser();
    let line = Arc::new(Line::default());
    let backlog = Arc::new(Backlog::default());
    let _closed = line.closed.clone().drop_guard();
    let (say, over) = oneshot::channel();
    let gate = console.gate.clone();
    let (language, of_sign_in) = (visit.language, caller.sign_in);
    let terminal = Terminal { gate, caller, to, size, language, line: line.clone(), backlog: backlog.clone() };
    let began = thread::begin("terminal", move || async move {
        let over = terminal.run(screen, Sent::Browser(sent)).await;
        drop(seat);
        // The page may be gone.
        say.send(over).ok();
    });
    if let Err(fault) = began {
        tracing::error!(%fault, "a terminal was refused: no thread for it");
        return Err(t.failed);
    }
    let left = tokio::select! {
        left = hear(read, &typed, &line, &backlog) => Some(left),
        went = show(write, &mut shown, &line) => (!went).then_some(Left::Gone(End::PersonLeft)),
        () = line.cut.cancelled() => return Ok(()),
        never = in_use(visit, of_sign_in) => match never {},
    };
    match left {
        // What is typed ends with `typed`, and the session with that.
        Some(Left::Gone(end)) => {
            line.gone.set(end).ok();
        }
        Some(Left::Broken) => {
            drop(typed);
            return Err(t.broken);
        }
        None => {
            if let Ok(Ok(over)) = timeout(REASON, over).await {
                part(write, read, &over).await;
            }
        }
    }
    Ok(())
}

/// The first message. `None`: it is another.
async fn opening(read: &mut In) -> Option<(String, (u32, u32))> {
    let Message::Text(text) = read.next().await?.ok()? else { return None };
    match serde_json::from_str(&text) {
        Ok(Told::Open { ticket, size: (columns, rows) }) => Some((ticket, drawable(columns, rows))),
        _ => None,
    }
}

fn drawable(columns: u32, rows: u32) -> (u32, u32) {
    (columns.clamp(2, LARGEST.0), rows.clamp(1, LARGEST.1))
}

/// Why nothing more comes from a page.
enum Left {
    Gone(End),
    /// It sent what no page of ours sends. (Where that is too much at once, words seldom come through.)
    Broken,
}

/// Passes on what the page sends, for as long as it does.
async fn hear(read: &mut In, typed: &mpsc::Sender<ChannelMsg>, line: &Line, backlog: &Backlog) -> Left {
    loop {
        // A device that takes nothing holds back whoever types.
        backlog.keeps_up().await;
        let Ok(message) = timeout(SILENCE, read.next()).await else { return Left::Gone(End::PersonLost) };
        let said = match message {
            Some(Ok(Message::Binary(data))) => ChannelMsg::Data { data },
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(Told::Size(columns, rows)) => {
                    let (col_width, row_height) = drawable(columns, rows);
                    ChannelMsg::WindowChange { col_width, row_height, pix_width: 0, pix_height: 0 }
                }
                Ok(Told::Drawn(bytes)) => {
                    line.drawn(bytes);
                    continue;
                }
                Ok(Told::Open { .. }) | Err(_) => return Left::Broken,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return Left::Gone(End::PersonLeft),
            Some(Err(fault)) => return judged(&fault),
        };
        if typed.send(said).await.is_err() {
            // The session is over: what it said last is still on its way.
            std::future::pending::<()>().await;
        }
    }
}

/// What a fault of the connection says: its machine or network gave no sign any more, it hung up, or it broke a rule of
/// the protocol's. (Who hangs up without a goodbye breaks one, and hears no words about it.)
fn judged(fault: &axum::Error) -> Left {
    let mut cause: Option<&dyn Error> = Some(fault);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            let silent =
                matches!(io.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable);
            return Left::Gone(if silent { End::PersonLost } else { End::PersonLeft });
        }
        cause = one.source();
    }
    Left::Broken
}

/// Shows what comes, as far as the page draws it, and asks now and then whether it is there. `true`: all was shown.
async fn show(write: &mut Out, shown: &mut mpsc::Receiver<Bytes>, line: &Line) -> bool {
    let mut ask = interval_at(Instant::now() + ASK, ASK);
    loop {
        let room = line.has_room();
        let message = tokio::select! {
            data = shown.recv(), if room => {
                let Some(data) = data else { return true };
                line.sent(data.len());
                Message::Binary(data)
            }
            () = line.more_drawn(), if !room => continue,
            _ = ask.tick() => Message::Ping(Bytes::new()),
        };
        if write.send(message).await.is_err() {
            return false;
        }
    }
}

/// An open terminal is a use of the sign-in that it stands on: who works in one is not signed out meanwhile.
async fn in_use(visit: &Visit, sign_in: uuid::Uuid) -> Infallible {
    loop {
        tokio::time::sleep(USE).await;
        if let Err(fault) = visit.console.gate.store.saw_console_sign_in(sign_in, Utc::now()).await {
            tracing::warn!(%fault, "a terminal is in use, and that cannot be noted");
        }
    }
}

/// Says why it is over, and waits a moment for the browser to say goodbye: a connection that is dropped before would take
/// the words with it.
async fn part(write: &mut Out, read: &mut In, over: &Over) {
    let words = serde_json::to_string(over).unwrap_or_default();
    let goodbye = async {
        write.send(Message::Text(words.into())).await.ok();
        write.close().await.ok();
        while let Some(Ok(_)) = read.next().await {}
    };
    timeout(GOODBYE, goodbye).await.ok();
}
