//! The historic scp protocol (`scp -O`), read in passing: which files went through, with a copy of each.
//!
//! One side is the source: it sends records (`C`, `D`, `E`, `T`), then a file's bytes and one status byte. The other is
//! the sink: it answers each of them with 0, or with 1 or 2 and a message. There is no standard; the behaviour is that
//! of OpenSSH's `scp.c`. The raw bytes are kept by the exec's own members as well. A copy is a file of its own all the
//! same, so that every transfer of a session is found, hashed and later purged in one way.

use super::kept::{Moving, Shelf, Subject};
use super::lines::{MOST_COMMAND, shortened, text_of};
use super::member::Folder;
use super::scp_command::ScpCommand;
use super::values::{Direction, MemberEntry, Transfer};
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use std::collections::VecDeque;

/// A record or message longer than this is no scp: a path of 4096 bytes and its numbers fit.
const MAX_LINE: usize = 4096 + 64;
/// Answers that may be due at once; real sources wait for each.
const MAX_DUE: usize = 64;
/// Folders inside folders; a path of 4096 bytes holds no more.
const MAX_DEPTH: usize = 2048;
/// Bytes of their names together; those that are no UTF-8 grow when they become text.
const MAX_FOLDERS: usize = 3 * MAX_LINE;

/// The reader of one scp.
pub(super) struct Scp {
    command: ScpCommand,
    shelf: Shelf,
    source: Source,
    answer: Option<Vec<u8>>,
    due: VecDeque<Due>,
    /// Entered folders below the command's path.
    folders: Vec<String>,
    current: Option<Current>,
    /// Files whose bytes are through and whose last answer is due, with the source's own verdict.
    ending: VecDeque<(Moving, bool)>,
}

/// What the source's next byte belongs to.
enum Source {
    /// A record, or a message of the source.
    Record(Vec<u8>),
    /// A file's bytes; so many are left.
    Data(u64),
    /// The status after the bytes.
    Status,
}

/// What the sink's next answer is for.
#[derive(PartialEq, Eq)]
enum Due {
    /// The start, a time, a folder.
    Other,
    /// A file's record: no bytes come before it.
    Begin,
    /// A file's bytes.
    End,
}

struct Current {
    moving: Moving,
    at: u64,
}

impl Scp {
    /// Reads along for `command`, keeping copies in the session's folder.
    pub(super) fn new(command: ScpCommand, folder: &Folder, channel: u32) -> Self {
        Self {
            command,
            shelf: Shelf::new(folder, channel),
            source: Source::Record(Vec::new()),
            answer: None,
            due: VecDeque::from([Due::Other]),
            folders: Vec::new(),
            current: None,
            ending: VecDeque::new(),
        }
    }

    /// Bytes of the device. Returns the transfers that they ended.
    pub(super) fn device_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        match self.command.direction {
            Direction::FromDevice => self.of_source(at, bytes),
            Direction::ToDevice => self.of_sink(at, bytes),
        }
    }

    /// Bytes of the person. Returns the transfers that they ended.
    pub(super) fn person_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        match self.command.direction {
            Direction::FromDevice => self.of_sink(at, bytes),
            Direction::ToDevice => self.of_source(at, bytes),
        }
    }

    /// The channel closed: what is under way is incomplete. Returns it, and the first fault.
    pub(super) fn close(&mut self, at: DateTime<Utc>) -> (Vec<Transfer>, Result<(), RecordingError>) {
        let ending = std::mem::take(&mut self.ending).into_iter().map(|(moving, _)| moving);
        let open = ending.chain(self.current.take().map(|current| current.moving)).collect::<Vec<_>>();
        Moving::finish_all(open, &mut self.shelf, at)
    }

    /// The lines of the manifest for the kept copies.
    pub(super) fn entries(&self) -> &[MemberEntry] {
        self.shelf.entries()
    }

    fn of_source(&mut self, at: DateTime<Utc>, mut bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.source {
                Source::Record(line) => {
                    bytes = rest;
                    if first != b'\n' {
                        extend(line, first)?;
                        continue;
                    }
                    let line = std::mem::take(line);
                    self.record(at, &line)?;
                }
                Source::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (data, after) = bytes.split_at(take);
                    *left -= take as u64;
                    if *left == 0 {
                        self.source = Source::Status;
                    }
                    if let Some(current) = &mut self.current {
                        current.moving.put(&mut self.shelf, current.at, data)?;
                        current.at += take as u64;
                    }
                    bytes = after;
                }
                Source::Status => {
                    // A status other than 0 opens a message, which is read as a record.
                    self.source = Source::Record(Vec::new());
                    if first == 0 {
                        bytes = rest;
                    }
                    if let Some(current) = self.current.take() {
                        self.ending.push_back((current.moving, first == 0));
                        self.expect(Due::End)?;
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    fn record(&mut self, at: DateTime<Utc>, line: &[u8]) -> Result<(), RecordingError> {
        let Some((kind, rest)) = line.split_first() else { return Err(malformed("an empty record")) };
        match kind {
            b'C' => {
                let (size, name) = size_and_name(rest)?;
                self.begin(at, size, name)
            }
            b'D' => {
                let (_, name) = size_and_name(rest)?;
                let name = text_of(name).0;
                // Each file that is under way has the whole path.
                let bytes = self.folders.iter().map(String::len).sum::<usize>() + name.len();
                if self.folders.len() >= MAX_DEPTH || bytes > MAX_FOLDERS {
                    return Err(malformed("folders too deep"));
                }
                self.folders.push(name);
                self.expect(Due::Other)
            }
            b'E' => {
                self.folders.pop();
                self.expect(Due::Other)
            }
            b'T' => self.expect(Due::Other),
            // The source reports an error, and nobody answers.
            1 | 2 => Ok(()),
            _ => Err(malformed("an unknown record")),
        }
    }

    fn begin(&mut self, at: DateTime<Utc>, size: u64, name: &[u8]) -> Result<(), RecordingError> {
        let (name, exact) = text_of(name);
        let (path, whole) = self.command.path_of(&self.folders, &name);
        let name = (!whole).then_some(name);
        let path = shortened(&path, MOST_COMMAND);
        let subject = Subject { path, path_hex: exact, name, direction: self.command.direction };
        self.current = Some(Current { moving: Moving::new(subject, at), at: 0 });
        self.source = if size == 0 { Source::Status } else { Source::Data(size) };
        self.expect(Due::Begin)
    }

    fn of_sink(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        let mut ended = Vec::new();
        for &byte in bytes {
            match (&mut self.answer, byte) {
                (None, 0) => ended.extend(self.answered(at, true)?),
                (None, 1 | 2) => self.answer = Some(Vec::new()),
                (None, _) => return Err(malformed("an answer that is neither 0, 1 nor 2")),
                (Some(_), b'\n') => {
                    self.answer = None;
                    ended.extend(self.answered(at, false)?);
                }
                (Some(message), byte) => extend(message, byte)?,
            }
        }
        Ok(ended)
    }

    fn answered(&mut self, at: DateTime<Utc>, yes: bool) -> Result<Option<Transfer>, RecordingError> {
        match self.due.pop_front() {
            Some(Due::Begin) if !yes => self.refused(at),
            Some(Due::End) => match self.ending.pop_front() {
                Some((moving, sent_well)) => moving.finish(&mut self.shelf, at, yes && sent_well).map(Some),
                None => Ok(None),
            },
            Some(Due::Other | Due::Begin) => Ok(None),
            // A sink that gives up says so without being asked.
            None if !yes => Ok(None),
            None => Err(malformed("an answer to nothing")),
        }
    }

    /// The sink does not want the file. A source that had already sent bytes cannot be followed any more: they may be
    /// data or records.
    fn refused(&mut self, at: DateTime<Utc>) -> Result<Option<Transfer>, RecordingError> {
        match self.current.take() {
            Some(current) if current.at == 0 => {
                self.source = Source::Record(Vec::new());
                current.moving.finish(&mut self.shelf, at, false).map(Some)
            }
            _ => Err(malformed("bytes of a file that the other side had refused")),
        }
    }

    fn expect(&mut self, due: Due) -> Result<(), RecordingError> {
        if self.due.len() >= MAX_DUE {
            return Err(malformed("records without waiting for an answer"));
        }
        self.due.push_back(due);
        Ok(())
    }
}

/// `0644 12 name` as in `C` and `D`.
fn size_and_name(rest: &[u8]) -> Result<(u64, &[u8]), RecordingError> {
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let _mode = parts.next();
    let size = parts.next().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match (size, parts.next()) {
        (Some(size), Some(name)) if !name.is_empty() => Ok((size, name)),
        _ => Err(malformed("a record without a size and a name")),
    }
}

fn extend(line: &mut Vec<u8>, byte: u8) -> Result<(), RecordingError> {
    if line.len() >= MAX_LINE {
        return Err(malformed("a record that does not end"));
    }
    line.push(byte);
    Ok(())
}

fn malformed(reason: &str) -> RecordingError {
    RecordingError::Malformed { protocol: "scp", reason: reason.to_owned() }
}
