//! What is in a recording: head, channels, transfers, end. Works for sessions that are live or were torn off, too.

use super::cast::{CastReader, Happening};
use super::lines::LineReader;
use crate::error::RecordingError;
use crate::recording::{ChannelKind, Entry, ExitStatus, FORMAT_VERSION, Line, Manifest, SessionHead, Transfer};
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A recording, opened for reading.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its folder.
    pub folder: PathBuf,
    /// Who, where, what for.
    pub head: SessionHead,
    /// The manifest; `None` while the session is live, and for good if the gateway was killed.
    pub manifest: Option<Manifest>,
    /// Its channels in the order of their numbers.
    pub channels: Vec<ChannelSummary>,
    /// What went through, channel by channel.
    pub transfers: Vec<Transfer>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChannelSummary {
    /// Its number.
    pub channel: u32,
    /// What it was.
    pub kind: ChannelKind,
    /// The command, or a forward's destination.
    pub command: Option<String>,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// When it closed; `None` while it is open, and where it was torn off.
    pub closed: Option<DateTime<Utc>>,
    /// How its command ended.
    pub exit: Option<ExitStatus>,
    /// Why the gateway closed it, if it did.
    pub reason: Option<String>,
    /// Its members, kept copies aside.
    pub members: Vec<String>,
}

/// Opens the recording in a folder.
///
/// # Errors
/// [`RecordingError::Storage`] if a member cannot be read, [`RecordingError::Damaged`] if one cannot be understood or is
/// of a newer version.
pub fn open(folder: &Path) -> Result<Index, RecordingError> {
    let head: Versioned<SessionHead> = read_json(&folder.join("session.json"), "session head")?;
    check_version(head.version, &folder.join("session.json"))?;
    let manifest = read_manifest(folder)?;
    let mut channels = Vec::new();
    let mut transfers = Vec::new();
    for (channel, members) in members_of(folder)? {
        if let Some(summary) = summary_of(folder, channel, members, &mut transfers)? {
            channels.push(summary);
        }
    }
    Ok(Index { folder: folder.to_owned(), head: head.value, manifest, channels, transfers })
}

impl Index {
    /// The `.cast` of a channel that was a terminal.
    #[must_use]
    pub fn cast_of(&self, channel: u32) -> Option<PathBuf> {
        let found = self.channels.iter().find(|summary| summary.channel == channel)?;
        (found.kind == ChannelKind::Terminal).then(|| self.folder.join(format!("{channel:05}.cast")))
    }
}

/// The manifest, once it is there.
pub(super) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, RecordingError> {
    let path = folder.join("manifest.json");
    if !path.exists() {
        return Ok(None);
    }
    let manifest: Manifest = read_json(&path, "manifest")?;
    check_version(manifest.version, &path)?;
    Ok(Some(manifest))
}

/// The members of each channel by its number, kept copies aside.
pub(super) fn members_of(folder: &Path) -> Result<BTreeMap<u32, Vec<String>>, RecordingError> {
    let mut channels: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let entries = std::fs::read_dir(folder).map_err(RecordingError::storage("list", folder))?;
    for entry in entries {
        let entry = entry.map_err(RecordingError::storage("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some(channel) = name.split_once('.').and_then(|(number, _)| number.parse().ok()) {
            channels.entry(channel).or_default().push(name);
        }
    }
    channels.values_mut().for_each(|members| members.sort());
    Ok(channels)
}

fn summary_of(
    folder: &Path,
    channel: u32,
    members: Vec<String>,
    transfers: &mut Vec<Transfer>,
) -> Result<Option<ChannelSummary>, RecordingError> {
    let named = |extension: &str| members.iter().find(|name| name.ends_with(extension)).map(|name| folder.join(name));
    let (cast, lines) = (named(".cast"), named(".jsonl"));
    match (cast, lines) {
        (Some(cast), _) => terminal_summary(&cast, channel, members).map(Some),
        (None, Some(lines)) => lines_summary(&lines, members, transfers),
        // Bytes whose first line was torn off.
        (None, None) => Ok(None),
    }
}

fn terminal_summary(path: &Path, channel: u32, members: Vec<String>) -> Result<ChannelSummary, RecordingError> {
    let mut reader = CastReader::open(path)?;
    let (opened, command) = (reader.header().opened, reader.header().command.clone());
    let kind = ChannelKind::Terminal;
    let mut summary =
        ChannelSummary { channel, kind, command, opened, closed: None, exit: None, reason: None, members };
    let mut signal = None;
    while let Some(event) = reader.next_event()? {
        match event.what {
            Happening::Signal(name) => signal = Some(name),
            Happening::Exit(code) => {
                summary.exit = Some(signal.take().map_or(ExitStatus::Code(code), ExitStatus::Signal));
            }
            Happening::Closed(reason) => {
                summary.closed = Some(opened + TimeDelta::from_std(event.at).unwrap_or_default());
                summary.reason = (!reason.is_empty()).then_some(reason);
            }
            _ => {}
        }
    }
    Ok(summary)
}

fn lines_summary(
    path: &Path,
    members: Vec<String>,
    transfers: &mut Vec<Transfer>,
) -> Result<Option<ChannelSummary>, RecordingError> {
    let mut reader = LineReader::open(path)?;
    let Some(first) = next_line_of(&mut reader)? else { return Ok(None) };
    let Entry::Open { version, channel, kind, command, forward } = first.entry else {
        return Err(reader.damaged("channel lines", "it does not begin with the opening"));
    };
    check_version(version, path)?;
    let destination = forward.map(|forward| format!("{}:{}", forward.destination, forward.destination_port));
    let command = command.or(destination);
    let opened = first.at;
    let mut summary =
        ChannelSummary { channel, kind, command, opened, closed: None, exit: None, reason: None, members };
    while let Some(line) = next_line_of(&mut reader)? {
        match line.entry {
            Entry::Exit { status } => summary.exit = Some(status),
            Entry::Transfer(transfer) => transfers.push(transfer),
            Entry::Close { reason, .. } => {
                summary.closed = Some(line.at);
                summary.reason = reason;
            }
            _ => {}
        }
    }
    Ok(Some(summary))
}

/// The next line of a `.jsonl` member.
pub(super) fn next_line_of(reader: &mut LineReader) -> Result<Option<Line>, RecordingError> {
    let parsed = match reader.next_line()? {
        None => return Ok(None),
        Some(line) => serde_json::from_slice(line).map_err(|error| error.to_string()),
    };
    parsed.map(Some).map_err(|reason| reader.damaged("channel lines", &reason))
}

#[derive(serde::Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    value: T,
}

fn read_json<T: DeserializeOwned>(path: &Path, format: &'static str) -> Result<T, RecordingError> {
    let bytes = std::fs::read(path).map_err(RecordingError::storage("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, format, error.to_string()))
}

fn check_version(version: u32, path: &Path) -> Result<(), RecordingError> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    Err(damaged(path, "recording", format!("version {version}; this program reads version {FORMAT_VERSION}")))
}

fn damaged(path: &Path, format: &'static str, reason: String) -> RecordingError {
    RecordingError::Damaged { path: path.to_owned(), format, reason }
}
