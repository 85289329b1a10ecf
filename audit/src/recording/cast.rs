//! A terminal as asciicast v3 (<https://docs.asciinema.org/manual/asciicast/v3/>), line by line.
//!
//! Codes of the format: `o` output, `r` resize, `x` exit status. Our own, which other players ignore:
//!
//! | code | data | meaning |
//! |---|---|---|
//! | `k` | decimal number | so many bytes were typed. Never which: what the device echoes is in the output |
//! | `b` | hexadecimal | the exact bytes of the `o` that follows, whose text is not exact |
//! | `p` | hexadecimal | shown bytes that begin a UTF-8 sequence; the next `o` holds them again, whole |
//! | `g` | text | the `o` that follows is the gateway's own notice |
//! | `s` | text | the command was ended by this signal |
//! | `c` | text | the channel is closed; the gateway's reason, or empty |
//!
//! `p` is there because a chunk may end inside a character: the bytes are shown at once, so they must be on record at
//! once, yet text in JSON cannot hold them. They wait for the rest, which comes in the next `o`; only at the end of a
//! torn file does a `p` stand alone.
//!
//! Intervals are differences of whole microseconds since the opening, so their sum never drifts.

use super::member::{Folder, Member};
use super::values::{ExitStatus, Terminal};
use crate::error::RecordingError;
use crate::hex;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::json;

/// The writer of one `.cast`.
pub(super) struct Cast {
    member: Member,
    last: DateTime<Utc>,
    /// The incomplete UTF-8 sequence at the end of what was shown; at most 3 bytes.
    pending: Vec<u8>,
    line: Vec<u8>,
}

impl Cast {
    /// Makes `00001.cast` with its header and a comment that holds the opening time to the microsecond.
    pub(super) fn create(
        folder: &Folder,
        channel: u32,
        terminal: &Terminal,
        opened: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let mut member = Member::create(folder, format!("{channel:05}.cast"), "terminal, asciicast v3")?;
        let header = header(channel, terminal, opened)
            .map_err(std::io::Error::from)
            .map_err(RecordingError::storage("encode the header of a terminal in", &folder.path))?;
        member.append(header.as_bytes())?;
        Ok(Self { member, last: opened, pending: Vec::new(), line: Vec::new() })
    }

    /// Output of the device, as it is shown.
    pub(super) fn output(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), RecordingError> {
        if self.pending.is_empty() {
            return self.shown(at, bytes);
        }
        let mut joined = std::mem::take(&mut self.pending);
        joined.extend_from_slice(bytes);
        self.shown(at, &joined)
    }

    /// Something that the gateway itself shows.
    pub(super) fn notice(&mut self, at: DateTime<Utc>, text: &str) -> Result<(), RecordingError> {
        self.release(at)?;
        self.event(at, "g", text);
        self.event(at, "o", text);
        self.flush()
    }

    /// So many bytes were typed.
    pub(super) fn typed(&mut self, at: DateTime<Utc>, bytes: usize) -> Result<(), RecordingError> {
        self.event(at, "k", &bytes.to_string());
        self.flush()
    }

    /// The window changed.
    pub(super) fn resize(&mut self, at: DateTime<Utc>, cols: u16, rows: u16) -> Result<(), RecordingError> {
        let (cols, rows) = size_or_default(cols, rows);
        self.event(at, "r", &format!("{cols}x{rows}"));
        self.flush()
    }

    /// The command ended. `x` takes a number, so a signal is told by its shell number, 128 and the signal's own.
    pub(super) fn exit(&mut self, at: DateTime<Utc>, status: &ExitStatus) -> Result<(), RecordingError> {
        self.release(at)?;
        match status {
            ExitStatus::Code(code) => self.event(at, "x", &code.to_string()),
            ExitStatus::Signal(name) => {
                self.event(at, "s", name);
                self.event(at, "x", &shell_status(name).to_string());
            }
        }
        self.flush()
    }

    /// The channel closed.
    pub(super) fn close(&mut self, at: DateTime<Utc>, reason: Option<&str>) -> Result<(), RecordingError> {
        self.release(at)?;
        self.event(at, "c", reason.unwrap_or_default());
        self.flush()?;
        self.member.sync()
    }

    /// The member behind it.
    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    fn shown(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), RecordingError> {
        let (whole, tail) = bytes.split_at(whole_characters(bytes));
        if !whole.is_empty() {
            self.text(at, whole);
        }
        if !tail.is_empty() {
            self.event(at, "p", &hex::encode(tail));
            self.pending = tail.to_vec();
        }
        self.flush()
    }

    /// Text for `o`, with the exact bytes before it where it is lossy.
    fn text(&mut self, at: DateTime<Utc>, bytes: &[u8]) {
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.event(at, "o", text);
        } else {
            self.event(at, "b", &hex::encode(bytes));
            self.event(at, "o", &String::from_utf8_lossy(bytes));
        }
    }

    /// Gives up waiting for the rest of a character, because something else comes next.
    fn release(&mut self, at: DateTime<Utc>) -> Result<(), RecordingError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.text(at, &pending);
        self.flush()
    }

    fn event(&mut self, at: DateTime<Utc>, code: &str, data: &str) {
        let interval = at.timestamp_micros().saturating_sub(self.last.timestamp_micros()).max(0);
        self.last = self.last.max(at);
        let (seconds, micros) = (interval / 1_000_000, interval % 1_000_000);
        self.line.extend_from_slice(format!("[{seconds}.{micros:06}, \"{code}\", {}]\n", json!(data)).as_bytes());
    }

    /// One write(2) for all events of a call.
    fn flush(&mut self) -> Result<(), RecordingError> {
        let written = self.member.append(&self.line);
        self.line.clear();
        self.line.shrink_to(64 * 1024);
        written
    }
}

/// The header, as the format names its fields.
#[derive(Serialize)]
struct Header<'a> {
    version: u32,
    term: Term<'a>,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
}

#[derive(Serialize)]
struct Term<'a> {
    cols: u16,
    rows: u16,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'a str,
}

fn header(channel: u32, terminal: &Terminal, opened: DateTime<Utc>) -> serde_json::Result<String> {
    let (cols, rows) = size_or_default(terminal.cols, terminal.rows);
    let term = Term { cols, rows, kind: &terminal.term };
    let command = terminal.command.as_deref();
    let head = serde_json::to_string(&Header { version: 3, term, timestamp: opened.timestamp(), command })?;
    let precise = opened.to_rfc3339_opts(SecondsFormat::Micros, true);
    Ok(format!("{head}\n# sekimori 1: channel {channel} opened {precise}\n"))
}

/// Players divide by the size, so a client that does not know its own gets the usual one.
fn size_or_default(cols: u16, rows: u16) -> (u16, u16) {
    (if cols == 0 { 80 } else { cols }, if rows == 0 { 24 } else { rows })
}

/// How many bytes of `bytes` stand before a UTF-8 sequence that the end cuts off. Bytes that can never become a
/// character do not wait.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => continue,
        };
        let tail = bytes.get(index..).unwrap_or_default();
        let incomplete = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
        if index + length > bytes.len() && incomplete {
            return index;
        }
    }
    bytes.len()
}

/// What a shell would report for a signal of RFC 4254 section 6.10.
fn shell_status(signal: &str) -> u32 {
    128 + match signal {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 127,
    }
}
