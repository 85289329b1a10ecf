//! What is in a recording: head, channels, transfers, end. Works for sessions that are live or were torn off, too.

use super::cast::{Cast, CastReader, Happening};
use super::lines::LineReader;
use super::source::Source;
use super::transcript::moment;
use crate::error::RecordingError;
use crate::recording::{
    ChannelEntry, ChannelKind, Entry, ExitStatus, FORMAT_VERSION, Line, Manifest, SessionHead, Transfer,
};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A recording, opened for reading.
#[derive(Debug, Clone)]
pub struct Index {
    /// Where it is.
    pub source: Source,
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

/// Opens a recording: a working folder, or a sealed one with what opens it.
///
/// # Errors
/// [`RecordingError::Storage`] if a member cannot be read, [`RecordingError::Damaged`] if one cannot be understood or is
/// of a newer version, [`RecordingError::Locked`] if it is sealed to others.
pub fn open(source: impl Into<Source>) -> Result<Index, RecordingError> {
    let source = source.into();
    let head: Versioned<SessionHead> = read_json(&source, "session.json", "session head")?;
    check_version(head.version, &source.label("session.json"))?;
    let manifest = read_manifest(&source)?;
    let mut channels = Vec::new();
    let mut transfers = Vec::new();
    for (channel, members) in members_of(&source)? {
        let listed = manifest.as_ref().and_then(|manifest| manifest.channels.iter().find(|one| one.channel == channel));
        if let Some(summary) = summary_of(&source, channel, members, listed, &mut transfers)? {
            channels.push(summary);
        }
    }
    Ok(Index { source, head: head.value, manifest, channels, transfers })
}

impl Index {
    /// A channel that was a terminal.
    #[must_use]
    pub fn cast_of(&self, channel: u32) -> Option<Cast> {
        let found = self.channels.iter().find(|summary| summary.channel == channel)?;
        let length = found.closed.and_then(|closed| (closed - found.opened).to_std().ok());
        let cast = || Cast::member(&self.source, format!("{channel:05}.cast"), length);
        (found.kind == ChannelKind::Terminal).then(cast)
    }
}

/// The manifest, once it is there.
pub(super) fn read_manifest(source: &Source) -> Result<Option<Manifest>, RecordingError> {
    if !source.has("manifest.json") {
        return Ok(None);
    }
    let manifest: Manifest = read_json(source, "manifest.json", "manifest")?;
    check_version(manifest.version, &source.label("manifest.json"))?;
    Ok(Some(manifest))
}

/// The members of each channel by its number, kept copies aside.
pub(super) fn members_of(source: &Source) -> Result<BTreeMap<u32, Vec<String>>, RecordingError> {
    let mut channels: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for name in source.names()? {
        if let Some(channel) = name.split_once('.').and_then(|(number, _)| number.parse().ok()) {
            channels.entry(channel).or_default().push(name);
        }
    }
    channels.values_mut().for_each(|members| members.sort());
    Ok(channels)
}

fn summary_of(
    source: &Source,
    channel: u32,
    members: Vec<String>,
    listed: Option<&ChannelEntry>,
    transfers: &mut Vec<Transfer>,
) -> Result<Option<ChannelSummary>, RecordingError> {
    let named = |extension: &str| members.iter().find(|name| name.ends_with(extension)).cloned();
    match (named(".cast"), named(".jsonl"), listed) {
        // A terminal's own end is far away; the manifest says the same.
        (Some(_), _, Some(entry)) => Ok(Some(of_entry(entry, members))),
        // Nothing of it was on the disk when the power went.
        (Some(cast), _, None) if source.size(&cast)? == 0 => Ok(None),
        (Some(cast), _, None) => terminal_summary(source, &cast, channel, members).map(Some),
        (None, Some(lines), _) => lines_summary(source, &lines, members, transfers),
        // Bytes whose first line was torn off.
        (None, None, _) => Ok(None),
    }
}

fn of_entry(entry: &ChannelEntry, members: Vec<String>) -> ChannelSummary {
    let ChannelEntry { channel, kind, command, opened, closed, exit, reason, .. } = entry.clone();
    ChannelSummary { channel, kind, command, opened, closed: Some(closed), exit, reason, members }
}

fn terminal_summary(
    source: &Source,
    name: &str,
    channel: u32,
    members: Vec<String>,
) -> Result<ChannelSummary, RecordingError> {
    let mut reader = CastReader::of(source, name)?;
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
                summary.closed = Some(moment(opened, event.at));
                summary.reason = (!reason.is_empty()).then_some(reason);
            }
            _ => {}
        }
    }
    Ok(summary)
}

fn lines_summary(
    source: &Source,
    name: &str,
    members: Vec<String>,
    transfers: &mut Vec<Transfer>,
) -> Result<Option<ChannelSummary>, RecordingError> {
    let mut reader = LineReader::of(source, name)?;
    let Some(first) = next_line_of(&mut reader)? else { return Ok(None) };
    let Entry::Open { version, channel, kind, command, forward } = first.entry else {
        return Err(reader.damaged("channel lines", "it does not begin with the opening"));
    };
    check_version(version, &source.label(name))?;
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

/// The most that is read of a member in JSON.
const MOST_JSON_BYTES: u64 = 64 << 20;

fn read_json<T: DeserializeOwned>(source: &Source, name: &str, format: &'static str) -> Result<T, RecordingError> {
    let path = source.label(name);
    let mut bytes = Vec::new();
    let member = source.open(name)?;
    member.take(MOST_JSON_BYTES).read_to_end(&mut bytes).map_err(RecordingError::reading(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(&path, format, error.to_string()))
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
