//! The two ends of a session channel as programs see them: a keyboard to read from, a console to write to.
//!
//! Whoever waits for anything else has to keep the keyboard drained meanwhile ([`Keyboard::interruption`]): a full
//! channel buffer would stop the whole connection, and with it the window adjustments that its writers wait for.

use bytes::{Buf, Bytes, BytesMut};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::time::Duration;

/// Input that no program has asked for yet, in bytes; more is dropped, as a terminal drops it.
const TYPED_AHEAD: usize = 64 * 1024;
/// Ctrl-C.
const INTERRUPT: u8 = 0x03;
/// How long text may wait for a caller who does not read. It ends then, because the keyboard is not drained meanwhile.
const UNREAD: Duration = Duration::from_secs(600);
/// `SSH_EXTENDED_DATA_STDERR` (RFC 4254 §5.2).
const STDERR: u32 = 1;

/// The size of the caller's terminal, in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub columns: usize,
    /// Height.
    pub rows: usize,
}

impl Size {
    /// The size a client names; 0 means that it does not know (RFC 4254 §6.2).
    pub fn named(columns: u32, rows: u32) -> Self {
        let or = |cells: u32, usual: usize| match cells {
            0 => usual,
            _ => usize::try_from(cells.min(1000)).unwrap_or(usual),
        };
        Self { columns: or(columns, 80), rows: or(rows, 24) }
    }
}

/// How a program, or the whole session, came to its end.
#[derive(Debug)]
pub enum Exit {
    /// By itself or by Ctrl-C, with an exit status.
    Status(u32),
    /// By a signal the caller sent.
    Signal(Sig),
    /// The caller has left.
    Gone,
}

/// One thing that comes from the caller.
#[derive(Debug)]
pub enum Input {
    /// Bytes, never none.
    Bytes(Bytes),
    /// The terminal has a new size, which [`Keyboard::size`] tells.
    Resized,
    /// No more bytes will come.
    End,
    /// A signal.
    Signal(Sig),
    /// The caller has left.
    Gone,
}

/// What comes from the caller.
pub struct Keyboard {
    channel: ChannelReadHalf,
    size: Option<Size>,
    typed: BytesMut,
    ended: bool,
}

impl Keyboard {
    /// Reads from `channel`; `size` is `None` when there is no terminal.
    pub fn new(channel: ChannelReadHalf, size: Option<Size>) -> Self {
        Self { channel, size, typed: BytesMut::new(), ended: false }
    }

    /// The terminal's size now; `None` without a terminal.
    pub fn size(&self) -> Option<Size> {
        self.size
    }

    /// Whether bytes are at hand without waiting.
    pub fn has_bytes(&self) -> bool {
        !self.typed.is_empty()
    }

    /// The next input. Cancelling loses nothing.
    pub async fn next(&mut self) -> Input {
        if !self.typed.is_empty() {
            return Input::Bytes(self.typed.split().freeze());
        }
        if self.ended {
            return Input::End;
        }
        self.arrival().await
    }

    /// The next byte, or what comes instead of one. Cancelling loses nothing.
    pub async fn next_byte(&mut self) -> Result<u8, Input> {
        loop {
            if self.typed.has_remaining() {
                return Ok(self.typed.get_u8());
            }
            match self.next().await {
                Input::Bytes(bytes) => self.typed.extend_from_slice(&bytes),
                other => return Err(other),
            }
        }
    }

    /// Waits for what ends a running program: Ctrl-C, a signal, the caller's leaving. Other input is kept for later.
    pub async fn interruption(&mut self) -> Exit {
        loop {
            match self.arrival().await {
                Input::Bytes(bytes) if self.size.is_some() && bytes.contains(&INTERRUPT) => {
                    // As a terminal does: what was typed before the interrupt goes with it.
                    self.typed.clear();
                    let rest = bytes.split(|byte| *byte == INTERRUPT).next_back().unwrap_or_default();
                    self.keep(rest);
                    return Exit::Status(130);
                }
                Input::Bytes(bytes) => self.keep(&bytes),
                // At a terminal the signal and the key are one.
                Input::Signal(Sig::INT) if self.size.is_some() => return Exit::Status(130),
                Input::Signal(signal) => return Exit::Signal(signal),
                Input::Gone => return Exit::Gone,
                Input::Resized | Input::End => {}
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = TYPED_AHEAD.saturating_sub(self.typed.len());
        self.typed.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    async fn arrival(&mut self) -> Input {
        loop {
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => return Input::Bytes(data),
                Some(ChannelMsg::WindowChange { col_width, row_height, .. }) if self.size.is_some() => {
                    self.size = Some(Size::named(col_width, row_height));
                    return Input::Resized;
                }
                Some(ChannelMsg::Eof) => {
                    self.ended = true;
                    return Input::End;
                }
                Some(ChannelMsg::Signal { signal }) => return Input::Signal(signal),
                Some(ChannelMsg::Close) | None => return Input::Gone,
                Some(_) => {}
            }
        }
    }
}

/// What goes to the caller. Writing waits for the caller's window.
pub struct Console {
    channel: ChannelWriteHalf<Msg>,
    terminal: bool,
}

impl Console {
    /// Writes to `channel`; with a terminal, line ends become CR LF and errors go where everything goes.
    pub fn new(channel: ChannelWriteHalf<Msg>, terminal: bool) -> Self {
        Self { channel, terminal }
    }

    /// Whether the caller has a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes text whose lines end in LF.
    pub async fn print(&self, text: &str) -> Result<(), russh::Error> {
        within_patience(self.channel.data_bytes(self.for_display(text))).await
    }

    /// Writes an error message whose lines end in LF.
    pub async fn error(&self, text: &str) -> Result<(), russh::Error> {
        if self.terminal {
            self.print(text).await
        } else {
            within_patience(self.channel.extended_data_bytes(STDERR, Bytes::copy_from_slice(text.as_bytes()))).await
        }
    }

    /// Writes bytes as they are.
    pub async fn bytes(&self, bytes: Bytes) -> Result<(), russh::Error> {
        self.channel.data_bytes(bytes).await
    }

    /// Gives the channel back, for its exit status and its end.
    pub fn into_channel(self) -> ChannelWriteHalf<Msg> {
        self.channel
    }

    fn for_display(&self, text: &str) -> Bytes {
        if self.terminal { Bytes::from(text.replace('\n', "\r\n")) } else { Bytes::copy_from_slice(text.as_bytes()) }
    }
}

async fn within_patience(writing: impl Future<Output = Result<(), russh::Error>>) -> Result<(), russh::Error> {
    tokio::time::timeout(UNREAD, writing).await.map_err(|_| russh::Error::ConnectionTimeout)?
}

/// How many cells a character takes (UAX #11: wide and fullwidth take two), as far as Japanese needs it.
pub fn width(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f | 0x200b..=0x200f | 0x3099..=0x309a | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
