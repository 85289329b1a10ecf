//! One channel between a person and a device: two pumps, all taps in one place.
//!
//! Each direction has its own pump; a pump always drains its reader (see [`super::backlog`]) and passes messages on
//! in order. Every byte is on record before it is passed on. Replies are truthful: a request counts as granted when
//! the device has granted it; exit status, signal and EOF travel as they came.

use super::backlog::Backlog;
use super::{End, Session};
use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client, server};
use sekimori_audit::recording::{ExitStatus, Output, RecordingError, Tap};
use std::collections::VecDeque;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The person's half of a channel.
pub struct PersonEnd {
    /// What the person's client sends.
    pub read: ChannelReadHalf,
    /// Where the person's client reads.
    pub screen: Arc<Screen>,
    /// How far the pump towards the device lags behind.
    pub backlog: Arc<Backlog>,
    /// What was sent while the device was being dialled; counted in the backlog.
    pub early: VecDeque<ChannelMsg>,
}

/// The device's half of a channel, with the connection that carries nothing else.
pub struct DeviceEnd {
    /// What the device sends.
    pub read: ChannelReadHalf,
    /// Where the device reads.
    pub write: ChannelWriteHalf<client::Msg>,
    /// How far the pump towards the person lags behind.
    pub backlog: Arc<Backlog>,
    /// The requests sent ahead whose answers come back in this order.
    pub expected: VecDeque<Expected>,
}

/// A request that the device has yet to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A pseudo-terminal; the person's client was already told yes.
    Terminal,
    /// The shell, command or subsystem: the person's client waits for the device's word.
    Start,
}

/// Where a person sees what comes: the channel's writing half, with the tap that records it.
pub struct Screen {
    /// The channel, as russh numbers it.
    pub id: ChannelId,
    /// The connection, for replies that are no data.
    pub handle: server::Handle,
    /// The writing half.
    pub write: ChannelWriteHalf<server::Msg>,
    /// Whether notices may be written between the output (a terminal), or would damage a stream.
    pub terminal: bool,
}

/// How a channel came to its end.
#[derive(Debug)]
pub enum Outcome {
    /// The device closed the channel after answering.
    DeviceClosed,
    /// The person's client closed the channel, or its connection went away.
    PersonClosed,
    /// The device's connection broke off.
    DeviceLost,
    /// The recorder refused; the whole session ends.
    Recorder(RecordingError),
    /// The peer sent more than flow control allows.
    Flooded,
    /// The device took nothing for a set time while other channels of the connection were slowed down for it.
    Stalled,
}

impl Screen {
    /// Shows lines of the gateway's own, and gives up when the person does not read: on a terminal as output, on
    /// record; beside a stream on standard error.
    pub async fn tell(&self, tap: &Tap, text: &str) {
        let shown = Bytes::from(format!("\r\n{text}\r\n"));
        let told = async {
            if self.terminal {
                // The reason why recording failed is told although it cannot be recorded.
                tap.notice(&String::from_utf8_lossy(&shown)).await.ok();
                self.write.data_bytes(shown.clone()).await
            } else {
                self.write.extended_data_bytes(1, shown.clone()).await
            }
        };
        tokio::time::timeout(PATIENCE, told).await.ok();
    }

    /// Answers the request that waits with words of the gateway's own, an exit status and the end of the channel.
    pub async fn refuse(&self, text: &str) {
        let told = async {
            self.handle.channel_success(self.id).await.ok();
            self.write.extended_data_bytes(1, Bytes::from(text.to_owned())).await.ok();
            self.finish(Some(NO_PERMISSION)).await;
        };
        tokio::time::timeout(PATIENCE, told).await.ok();
    }

    /// The end of the channel, with an exit status where the gateway itself has one to give.
    pub async fn finish(&self, status: Option<u32>) {
        if let Some(status) = status {
            self.write.exit_status(status).await.ok();
        }
        self.write.eof().await.ok();
        self.write.close().await.ok();
    }
}

/// How long the gateway's own words wait for a person who does not read.
const PATIENCE: Duration = Duration::from_millis(200);

/// `EX_NOPERM` of sysexits.h: scripts can tell a refusal from a failed command.
const NO_PERMISSION: u32 = 77;

/// Relays until either side ends. The caller ends it from outside by dropping the future.
pub async fn relay(person: PersonEnd, device: DeviceEnd, tap: &Tap, session: &Session) -> Outcome {
    let PersonEnd { read: mut person_read, screen, backlog: person_backlog, early } = person;
    let DeviceEnd { read: mut device_read, write, backlog: device_backlog, expected } = device;
    let mut down = Down { screen: &screen, tap, session, expected, closed: false };
    let mut down_pump = Box::pin(pump(&mut device_read, &device_backlog, VecDeque::new(), &mut down));
    let first = {
        let mut up = Up { screen: &screen, device: &write, tap, session };
        let up_pump = pump(&mut person_read, &person_backlog, early, &mut up);
        tokio::select! {
            outcome = up_pump => First::Up(outcome),
            outcome = &mut down_pump => First::Down(outcome),
        }
    };
    let outcome = match first {
        First::Down(outcome) => outcome,
        // The device takes nothing more, but what it said last may still be on its way to a slow person.
        First::Up(Some(Outcome::DeviceLost)) => tokio::select! {
            outcome = &mut down_pump => outcome,
            () = discard(&mut person_read, &person_backlog) => return Outcome::PersonClosed,
        },
        First::Up(outcome) => return outcome.unwrap_or(Outcome::PersonClosed),
    };
    drop(down_pump);
    match outcome {
        Some(outcome) => outcome,
        None if down.closed => Outcome::DeviceClosed,
        None => Outcome::DeviceLost,
    }
}

/// Which pump ended first.
enum First {
    Up(Option<Outcome>),
    Down(Option<Outcome>),
}

/// Reads and throws away, so that the connection's other channels go on. Resolves when the person is gone.
pub(super) async fn discard(read: &mut ChannelReadHalf, backlog: &Backlog) {
    backlog.emptied();
    while let Some(message) = read.wait().await {
        if matches!(message, ChannelMsg::Close) {
            return;
        }
    }
}

/// What a pump does with what it drained.
pub(super) trait Pass: Send {
    /// Passes data on; returns when all of it is on record and handed to the other side's window.
    fn data(&mut self, data: Data) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// Passes on a message that is no data.
    fn message(&mut self, message: ChannelMsg) -> impl Future<Output = Result<ControlFlow<()>, Outcome>> + Send;

    /// How long the other side may take for what a sender that is gone has left behind. `None`: a slow reader gets
    /// all of it, for as long as it lives.
    fn patience(&self) -> Option<Duration> {
        None
    }
}

/// How long a device may take for the last words of a person who has left.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(10);

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// Bytes that are recorded in one write at most. Bulk data queues up while the write before it is under way; a
/// keystroke goes alone.
const BATCH: usize = 512 << 10;

/// Data of one stream, in the order in which it came.
pub(super) struct Data {
    /// The type of extended data (RFC 4254 section 5.2); `None` is the main stream.
    pub extended: Option<u32>,
    /// Its bytes.
    pub chunks: Vec<Bytes>,
}

impl Data {
    /// How many bytes it is.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// What is passed on at a time.
enum Batch {
    Data(Data),
    Message(ChannelMsg),
}

/// Takes from the front of the queue what is passed on together, with its weight.
fn batch(waiting: &mut VecDeque<ChannelMsg>) -> Option<(Batch, usize)> {
    let first = waiting.pop_front()?;
    let mut taken = weight(&first);
    let (extended, data) = match first {
        ChannelMsg::Data { data } => (None, data),
        ChannelMsg::ExtendedData { data, ext } => (Some(ext), data),
        other => return Some((Batch::Message(other), taken)),
    };
    let mut chunks = vec![data];
    while taken < BATCH {
        let next = match (waiting.front(), extended) {
            (Some(ChannelMsg::Data { data }), None) => data,
            (Some(ChannelMsg::ExtendedData { data, ext }), Some(same)) if *ext == same => data,
            _ => break,
        };
        chunks.push(next.clone());
        taken += waiting.pop_front().as_ref().map_or(0, weight);
    }
    Some((Batch::Data(Data { extended, chunks }), taken))
}

/// Drains `read` for as long as it lives, and passes on what came, in order.
/// `None`: the side that was read from came to its end.
pub(super) async fn pump(
    read: &mut ChannelReadHalf,
    backlog: &Backlog,
    mut waiting: VecDeque<ChannelMsg>,
    side: &mut impl Pass,
) -> Option<Outcome> {
    let mut open = true;
    // When the sender is gone, what it sent last may still be passed on, but not wait for ever.
    let mut last_chance = None;
    loop {
        if waiting.is_empty() && open {
            let message = read.wait().await?;
            if !backlog.arrived(weight(&message)) {
                return Some(Outcome::Flooded);
            }
            waiting.push_back(message);
        }
        let (batch, weight_passing) = batch(&mut waiting)?;
        let side_patience = side.patience();
        let stalled = tokio::time::sleep(backlog.stall());
        let passing = async {
            match batch {
                Batch::Data(data) => side.data(data).await.map(|()| ControlFlow::Continue(())),
                Batch::Message(message) => side.message(message).await,
            }
        };
        tokio::pin!(passing, stalled);
        let passed = loop {
            tokio::select! {
                biased;
                passed = &mut passing => break passed,
                () = until(last_chance), if last_chance.is_some() => return None,
                // Asked again with each message that trickles in.
                () = &mut stalled, if backlog.holds_up_others() => return Some(Outcome::Stalled),
                more = read.wait(), if open => match more {
                    Some(message) => {
                        if matches!(message, ChannelMsg::Close) {
                            last_chance = side_patience.map(|patience| Instant::now() + patience);
                        }
                        if !backlog.arrived(weight(&message)) {
                            return Some(Outcome::Flooded);
                        }
                        waiting.push_back(message);
                    }
                    None => {
                        open = false;
                        last_chance = side_patience.map(|patience| Instant::now() + patience);
                    }
                },
            }
        };
        backlog.left(weight_passing);
        match passed {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return None,
            Err(outcome) => return Some(outcome),
        }
    }
}

/// Keeps draining `read` while something else is under way; what arrives waits in `waiting`. Resolves to `None` when
/// the side that is read from is gone, or floods.
pub async fn drain_meanwhile<T>(
    read: &mut ChannelReadHalf,
    backlog: &Backlog,
    waiting: &mut VecDeque<ChannelMsg>,
    under_way: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(under_way);
    loop {
        tokio::select! {
            biased;
            done = &mut under_way => return Some(done),
            more = read.wait() => {
                let message = more?;
                if matches!(message, ChannelMsg::Close) || !backlog.arrived(weight(&message)) {
                    return None;
                }
                waiting.push_back(message);
            }
        }
    }
}

/// What a message takes in memory, in bytes: a flood of empty ones counts as well.
pub fn weight(message: &ChannelMsg) -> usize {
    const OVERHEAD: usize = 64;
    match message {
        ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => OVERHEAD + data.len(),
        _ => OVERHEAD,
    }
}

/// From the person to the device.
struct Up<'a> {
    screen: &'a Screen,
    device: &'a ChannelWriteHalf<client::Msg>,
    tap: &'a Tap,
    session: &'a Session,
}

impl Pass for Up<'_> {
    fn patience(&self) -> Option<Duration> {
        Some(LAST_WORDS)
    }

    async fn data(&mut self, data: Data) -> Result<(), Outcome> {
        // Standard input has one stream: extended data towards a device means nothing.
        if data.extended.is_some() {
            return Ok(());
        }
        self.session.sent_to_device(data.len());
        self.tap.from_person(&data.chunks).await.map_err(Outcome::Recorder)?;
        for chunk in data.chunks {
            self.device.data_bytes(chunk).await.map_err(|_| Outcome::DeviceLost)?;
        }
        Ok(())
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        match message {
            ChannelMsg::Eof => self.device.eof().await.map_err(|_| Outcome::DeviceLost)?,
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                let (columns, rows) = (cells(col_width), cells(row_height));
                self.tap.resize(columns, rows).await.map_err(Outcome::Recorder)?;
                self.device
                    .window_change(col_width, row_height, pix_width, pix_height)
                    .await
                    .map_err(|_| Outcome::DeviceLost)?;
            }
            ChannelMsg::Signal { signal } => {
                self.device.signal(signal).await.map_err(|_| Outcome::DeviceLost)?;
            }
            // A channel carries one shell, command or subsystem (RFC 4254 section 6.5).
            ChannelMsg::RequestShell { .. } | ChannelMsg::Exec { .. } | ChannelMsg::RequestSubsystem { .. } => {
                self.screen.handle.channel_failure(self.screen.id).await.ok();
            }
            ChannelMsg::Close => {
                self.device.close().await.ok();
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// From the device to the person.
struct Down<'a> {
    screen: &'a Screen,
    tap: &'a Tap,
    session: &'a Session,
    expected: VecDeque<Expected>,
    closed: bool,
}

impl Pass for Down<'_> {
    async fn data(&mut self, data: Data) -> Result<(), Outcome> {
        self.session.came_from_device(data.len());
        let output = if data.extended.is_some() { Output::Stderr } else { Output::Stdout };
        self.tap.from_device(output, &data.chunks).await.map_err(Outcome::Recorder)?;
        let write = &self.screen.write;
        for chunk in data.chunks {
            match data.extended {
                None => write.data_bytes(chunk).await,
                Some(kind) => write.extended_data_bytes(kind, chunk).await,
            }
            .map_err(|_| Outcome::PersonClosed)?;
        }
        Ok(())
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        let gone = |_| Outcome::PersonClosed;
        let write = &self.screen.write;
        match message {
            ChannelMsg::Success => self.answered(true).await?,
            ChannelMsg::Failure => self.answered(false).await?,
            ChannelMsg::ExitStatus { exit_status } => {
                self.tap.exit(ExitStatus::Code(exit_status)).await.map_err(Outcome::Recorder)?;
                write.exit_status(exit_status).await.map_err(gone)?;
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
                let status = ExitStatus::Signal(format!("{signal_name:?}"));
                self.tap.exit(status).await.map_err(Outcome::Recorder)?;
                let handle = &self.screen.handle;
                let told =
                    handle.exit_signal_request(self.screen.id, signal_name, core_dumped, error_message, lang_tag);
                told.await.map_err(|()| Outcome::PersonClosed)?;
            }
            ChannelMsg::XonXoff { client_can_do } => {
                self.screen.handle.xon_xoff_request(self.screen.id, client_can_do).await.ok();
            }
            ChannelMsg::Eof => write.eof().await.map_err(gone)?,
            ChannelMsg::Close => {
                self.closed = true;
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Down<'_> {
    async fn answered(&mut self, granted: bool) -> Result<(), Outcome> {
        let (handle, id) = (&self.screen.handle, self.screen.id);
        match (self.expected.pop_front(), granted) {
            (Some(Expected::Start), true) => handle.channel_success(id).await.map_err(|()| Outcome::PersonClosed),
            (Some(Expected::Start), false) => handle.channel_failure(id).await.map_err(|()| Outcome::PersonClosed),
            (Some(Expected::Terminal) | None, _) => Ok(()),
        }
    }
}

/// Columns or rows as recordings count them; clients that ask for more than 65,535 get that.
pub fn cells(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

impl Outcome {
    /// The end of the whole session that this outcome brings, if it does.
    pub fn end_of_session(&self) -> Option<End> {
        match self {
            // What the decoder cannot follow is the channel's own fault; the recording itself goes on.
            Self::Recorder(fault) if fault.is_malformed() => None,
            Self::Recorder(fault) => Some(End::RecordingFailed(fault.to_string())),
            _ => None,
        }
    }
}
