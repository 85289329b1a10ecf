//! One channel between a person and a device: two pumps, all taps in one place.
//!
//! Each direction has its own pump ([`super::pump`]). Every byte is on record before it is passed on. Replies are
//! truthful: a request counts as granted when the device has granted it; exit status, signal and EOF travel as they
//! came, the status before the EOF where both are there.

use super::attended::Hold;
use super::backlog::Backlog;
use super::pump::{Data, Pass, discard, pump};
use super::screen::{Gone, Screen, Sent};
use super::sftp_offer::SftpOffer;
use super::{End, Session};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use sekimori_audit::recording::{ExitStatus, Output, RecordingError, Tap};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// The person's half of a channel.
pub struct PersonEnd {
    /// What the person's client sends.
    pub read: Sent,
    /// Where the person's client reads.
    pub screen: Arc<Screen>,
    /// How far the pump towards the device lags behind.
    pub backlog: Arc<Backlog>,
    /// What was sent while the device was being dialled; counted in the backlog.
    pub early: VecDeque<ChannelMsg>,
    /// Looks at what an SFTP client offers.
    pub offer: Option<SftpOffer>,
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

/// Relays until either side ends. The caller ends it from outside by dropping the future.
pub async fn relay(person: PersonEnd, device: DeviceEnd, tap: &Tap, session: &Session) -> Outcome {
    let PersonEnd { read: mut person_read, screen, backlog: person_backlog, early, offer } = person;
    let DeviceEnd { read, write, backlog: device_backlog, expected } = device;
    let mut device_read = Sent::Channel(read);
    let mut down = Down { screen: &screen, tap, session, expected, exited: false, closed: false };
    let mut down_pump = Box::pin(pump(&mut device_read, &device_backlog, VecDeque::new(), &mut down));
    let first = {
        let mut up = Up { screen: &screen, device: &write, tap, session, offer };
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

/// How long a device may take for the last words of a person who has left.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(10);

/// OpenSSH's server says that the stream has ended just before it says how the command ended, and PuTTY closes the
/// channel as soon as it hears the first: then the second could no longer be told.
const STATUS_GRACE: Duration = Duration::from_millis(300);

/// Which pump ended first.
enum First {
    Up(Option<Outcome>),
    Down(Option<Outcome>),
}

/// From the person to the device.
struct Up<'a> {
    screen: &'a Screen,
    device: &'a ChannelWriteHalf<client::Msg>,
    tap: &'a Tap,
    session: &'a Session,
    offer: Option<SftpOffer>,
}

impl Pass for Up<'_> {
    fn hold(&self) -> Option<Hold> {
        Some(self.session.hold())
    }

    fn patience(&self) -> Option<Duration> {
        Some(LAST_WORDS)
    }

    async fn data(&mut self, data: Data) -> Result<(), Outcome> {
        // Standard input has one stream: extended data towards a device means nothing.
        if data.extended.is_some() {
            return Ok(());
        }
        self.session.sent_to_device(data.len());
        let chunks = match &mut self.offer {
            Some(offer) => offer.lowered(data.chunks),
            None => data.chunks,
        };
        self.tap.from_person(&chunks).map_err(Outcome::Recorder)?;
        for chunk in chunks {
            self.device.data_bytes(chunk).await.map_err(|_| Outcome::DeviceLost)?;
        }
        Ok(())
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        match message {
            ChannelMsg::Eof => self.device.eof().await.map_err(|_| Outcome::DeviceLost)?,
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                let (columns, rows) = (cells(col_width), cells(row_height));
                self.tap.resize(columns, rows).map_err(Outcome::Recorder)?;
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
                self.screen.answer(false).await.ok();
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
    exited: bool,
    closed: bool,
}

impl Pass for Down<'_> {
    fn status_grace(&self) -> Option<Duration> {
        (!self.exited).then_some(STATUS_GRACE)
    }

    async fn data(&mut self, data: Data) -> Result<(), Outcome> {
        self.session.came_from_device(data.len());
        let output = if data.extended.is_some() { Output::Stderr } else { Output::Stdout };
        self.tap.from_device(output, &data.chunks).map_err(Outcome::Recorder)?;
        for chunk in data.chunks {
            match data.extended {
                None => self.screen.data(chunk).await?,
                Some(kind) => self.screen.extended(kind, chunk).await?,
            }
        }
        Ok(())
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        match message {
            ChannelMsg::Success => self.answered(true).await?,
            ChannelMsg::Failure => self.answered(false).await?,
            ChannelMsg::ExitStatus { exit_status } => {
                self.exited = true;
                self.tap.exit(ExitStatus::Code(exit_status)).map_err(Outcome::Recorder)?;
                self.screen.exit_status(exit_status).await?;
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
                self.exited = true;
                let status = ExitStatus::Signal(format!("{signal_name:?}"));
                self.tap.exit(status).map_err(Outcome::Recorder)?;
                self.screen.exit_signal(signal_name, core_dumped, error_message, lang_tag).await?;
            }
            ChannelMsg::XonXoff { client_can_do } => self.screen.xon_xoff(client_can_do).await,
            ChannelMsg::Eof => self.screen.eof().await?,
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
        match self.expected.pop_front() {
            Some(Expected::Start) => Ok(self.screen.answer(granted).await?),
            Some(Expected::Terminal) | None => Ok(()),
        }
    }
}

/// Columns or rows as recordings count them; clients that ask for more than 65,535 get that.
pub fn cells(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

impl From<Gone> for Outcome {
    fn from(_: Gone) -> Self {
        Self::PersonClosed
    }
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
