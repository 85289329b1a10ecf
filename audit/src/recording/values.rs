//! The plain values of a recording: what is known when it starts, what is said on the way, what is left at its end.
//!
//! They are the JSON of `session.json` and `manifest.json` as well, so a change of a name is a change of the format.

use chrono::{DateTime, Utc};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

/// The version of the folder's layout, of `session.json`, of `manifest.json` and of the `.jsonl` files.
pub const FORMAT_VERSION: u32 = 1;

/// Who, where, what for: written to `session.json` before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionHead {
    /// The session; the folder bears its name.
    pub session: Uuid,
    /// When the session opened; chooses the folder's day (UTC).
    pub opened: DateTime<Utc>,
    /// Who.
    pub person: PersonId,
    /// The person's vendor; `None` for the hospital's own staff.
    pub vendor: Option<VendorId>,
    /// What was reached.
    pub device: DeviceId,
    /// As whom on the device.
    pub account: String,
    /// The piece of work that it was permitted for.
    pub work: WorkId,
    /// Where from.
    pub source: IpAddr,
    /// The gateway's name.
    pub gateway: String,
}

/// `session.json`: the head with the version of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadFile {
    /// [`FORMAT_VERSION`].
    pub(crate) version: u32,
    /// Who, where, what for.
    #[serde(flatten)]
    pub(crate) head: SessionHead,
}

impl HeadFile {
    pub(crate) fn of(head: &SessionHead) -> Self {
        Self { version: FORMAT_VERSION, head: head.clone() }
    }
}

/// When and why the session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in words or as a code.
    pub reason: String,
}

/// A terminal as the client asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; 0 (a client that does not say) is recorded as 80.
    pub cols: u16,
    /// Rows; 0 is recorded as 24.
    pub rows: u16,
    /// The terminal's type: `xterm-256color`.
    pub term: String,
    /// The command, for an exec with a pty; `None` for a shell.
    pub command: Option<String>,
}

/// A forwarded TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The host as the client asked for it: a name or an address.
    pub destination: String,
    /// The port on the device.
    pub destination_port: u16,
    /// The address that was really dialled, once it is known.
    pub destination_address: Option<IpAddr>,
    /// Where the connection began on the client's side, as the client says (not proved).
    pub originator: SocketAddr,
}

/// Which of a device's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Standard output; for SFTP and forwards the only one.
    Stdout,
    /// Standard error (extended data).
    Stderr,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitStatus {
    /// It returned this code.
    Code(u32),
    /// A signal ended it; the name without `SIG` (RFC 4254 section 6.10).
    Signal(String),
}

/// Which way a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the person to the device (持込み).
    ToDevice,
    /// From the device to the person (持出し).
    FromDevice,
}

/// One file, or one unbroken part of it, that went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The channel that it went through.
    pub channel: u32,
    /// The file on the device, as the peer named it; U+FFFD where it was no UTF-8.
    pub path: String,
    /// The exact bytes of `path` (for scp: of its last part) in hexadecimal, where it was no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// The name that an scp sender gave, where `path` may be the folder that it landed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// Where in the file the first byte belongs: not 0 for a resumed or partial transfer.
    pub offset: u64,
    /// Bytes moved.
    pub size: u64,
    /// SHA-256 of those bytes, in hexadecimal.
    pub sha256: String,
    /// The file was closed in order, no byte between the first and the last is missing, no request for it failed, and
    /// a download reached the end of the file (the device said so, or had stated this size). A resumed transfer can be
    /// complete: `offset` says where it began.
    pub complete: bool,
    /// Its copy holds the bytes in the order in which they came, and not where they belong: too much of the channel had
    /// been moved here and there before. So are they hashed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unplaced: bool,
    /// The member of the recording that holds the bytes; `None` when there were none.
    pub kept_copy: Option<String>,
    /// When the file was opened, or the part began.
    pub started: DateTime<Utc>,
    /// When it was closed.
    pub ended: DateTime<Utc>,
}

/// One file of a recording, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// The path inside the folder, with `/`.
    pub name: String,
    /// What it is, for a reader who has only the folder.
    pub content: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of what is stored, in hexadecimal.
    pub sha256: String,
}

/// What a channel was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// A shell or command with a terminal.
    Terminal,
    /// A command without a terminal.
    Exec,
    /// The SFTP subsystem.
    Sftp,
    /// A forwarded TCP connection.
    Forward,
}

/// One channel, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelEntry {
    /// Its number in the session; the names of its members begin with it.
    pub channel: u32,
    /// What it was.
    pub kind: ChannelKind,
    /// The command, or the forward's destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// When it closed.
    pub closed: DateTime<Utc>,
    /// How its command ended, if the device said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitStatus>,
    /// Why the gateway closed it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Bytes from the person to the device.
    pub bytes_to_device: u64,
    /// Bytes from the device to the person, both outputs.
    pub bytes_from_device: u64,
    /// How many files went through; its `.jsonl` member tells of each.
    pub transfers: u64,
}

/// `manifest.json`: written last, so that a folder which has it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// The session.
    pub session: Uuid,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// Why it ended.
    pub reason: String,
    /// The failure that ended the recording, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Its channels in the order of their numbers.
    pub channels: Vec<ChannelEntry>,
    /// Every other file of the folder, by name.
    pub members: Vec<MemberEntry>,
}

/// What a finished recording hands back: the manifest, and what an audit record needs to refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The manifest as written.
    pub manifest: Manifest,
    /// SHA-256 of `manifest.json` as stored, in hexadecimal: through it every member is fixed.
    pub manifest_sha256: String,
    /// Bytes of all members together.
    pub size: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}
