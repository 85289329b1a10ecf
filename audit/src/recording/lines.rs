//! The `.jsonl` member of a channel that is no terminal: one JSON object a line, each with its time.
//!
//! The same lines serve commands, SFTP and forwards, so that a reader needs one parser. Terminals have no such member:
//! asciicast lines carry the same facts.

use super::member::{Folder, Member};
use super::values::{ChannelKind, ExitStatus, FORMAT_VERSION, Forward, Transfer};
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One line: what, and when by the gateway's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Which stream of a command some bytes belong to; the member of that extension holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// From the person.
    Stdin,
    /// From the device.
    Stdout,
    /// From the device, extended data.
    Stderr,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// The first line.
    Open {
        /// [`FORMAT_VERSION`].
        version: u32,
        /// The channel's number.
        channel: u32,
        /// What it is.
        kind: ChannelKind,
        /// The command of an exec.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The ends of a forward.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forward: Option<Forward>,
    },
    /// That many more bytes stand in the stream's member. Chunks within a tenth of a second share a line; bytes beyond
    /// the last line are there after a crash and have no time.
    Bytes {
        /// Which member.
        stream: Stream,
        /// How many.
        bytes: u64,
    },
    /// The gateway told the person something.
    Notice {
        /// What.
        text: String,
    },
    /// An SFTP request, before it was passed on. READ, WRITE and READDIR have none: transfers stand for them.
    Request(Request),
    /// The answer to a request that has a line.
    Reply {
        /// The request's number.
        id: u32,
        /// The request's name.
        request: String,
        /// `ok`, or the status code of the draft by name.
        status: String,
    },
    /// The device wrote to its error stream, where that has no member of its own.
    Stderr {
        /// What; U+FFFD where it was no UTF-8.
        text: String,
    },
    /// A transfer ended.
    Transfer(Transfer),
    /// The command ended.
    Exit {
        /// How.
        status: ExitStatus,
    },
    /// The last line.
    Close {
        /// Why, if the gateway closed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Bytes from the person to the device.
        bytes_to_device: u64,
        /// Bytes from the device to the person.
        bytes_from_device: u64,
    },
}

/// An SFTP request by the names of draft-ietf-secsh-filexfer-02.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The client's number for it.
    pub id: u32,
    /// `open`, `remove`, `posix-rename@openssh.com`, or `type 42` for what the draft does not name.
    pub request: String,
    /// The path, or the path behind the handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its exact bytes in hexadecimal, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// The second path of a rename or link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Its exact bytes in hexadecimal, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_hex: Option<String>,
    /// Flags or attributes: `read`, `write create truncate`, `size=0 mode=0644`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The longest command that is kept whole; Linux starts none that is longer.
pub(super) const MOST_COMMAND: usize = 128 << 10;
/// The longest name that is: of a request, a signal, a terminal, a host.
pub(super) const MOST_NAME: usize = 256;
/// Bytes of a peer's that become one line at most.
pub(super) const MOST_TEXT: usize = 64 << 10;

/// The writer of such a member.
pub(super) struct Lines {
    path: PathBuf,
    member: Member,
}

impl Lines {
    /// Makes the member `name` and writes its first line.
    pub(super) fn create(
        folder: &Folder,
        name: String,
        content: &'static str,
        at: DateTime<Utc>,
        open: Entry,
    ) -> Result<Self, RecordingError> {
        let path = folder.path.join(&name);
        let mut lines = Self { path, member: Member::create(folder, name, content)? };
        lines.add(at, open)?;
        Ok(lines)
    }

    /// Appends one line.
    pub(super) fn add(&mut self, at: DateTime<Utc>, entry: Entry) -> Result<(), RecordingError> {
        let mut line = serde_json::to_vec(&Line { at, entry })
            .map_err(std::io::Error::from)
            .map_err(RecordingError::storage("encode a line of", &self.path))?;
        line.push(b'\n');
        self.member.append(&line)
    }

    /// The member behind it.
    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    /// Nothing more can be written.
    #[cfg(test)]
    pub(super) fn tear(&mut self) {
        self.member.tear();
    }
}

/// The first line of a channel.
pub(super) fn opening(channel: u32, kind: ChannelKind, command: Option<String>, forward: Option<Forward>) -> Entry {
    Entry::Open { version: FORMAT_VERSION, channel, kind, command, forward }
}

/// Bytes as text, and in hexadecimal as well where the text is not exact.
pub(super) fn text_of(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(crate::hex::encode(bytes))),
    }
}

/// A text of a peer's, in at most some `most` bytes: what a line says must fit a frame of the journal, so that no crash
/// leaves half of it, and JSON takes six bytes for a control character. What was cut off is told of by size and hash.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let sha256 = super::sha256_of(text.as_bytes());
    let kept = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    format!("{kept}… [cut: {} bytes, SHA-256 {sha256}]", text.len())
}
