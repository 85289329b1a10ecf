//! The files that an SFTP client has open, and what of each is moving.

use super::frames::{MAX_HANDLE, malformed};
use crate::error::RecordingError;
use crate::recording::kept::{Moving, Shelf, Subject};
use crate::recording::lines::text_of;
use crate::recording::values::{Direction, MemberEntry, Transfer};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// Handles that may be open at once; each that moves data holds a file descriptor of the gateway's.
const MAX_OPEN: usize = 256;

/// A file that is or was open. Handles are used again by servers, keys never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileKey(u64);

/// The two ways in which an open file can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    Read,
    Write,
}

/// All open files of a channel.
pub(super) struct Files {
    shelf: Shelf,
    next: u64,
    handles: HashMap<Vec<u8>, FileKey>,
    files: HashMap<FileKey, OpenFile>,
}

struct OpenFile {
    path: Vec<u8>,
    read: Option<Moving>,
    write: Option<Moving>,
    /// READs and WRITEs without an answer.
    unanswered: usize,
    /// The size that the device stated, by STAT before the opening or FSTAT after it.
    stated: Option<u64>,
    /// The device said that the file ends here.
    end_seen: Option<u64>,
    read_failed: bool,
    write_failed: bool,
    /// How the CLOSE was answered, while READs or WRITEs still are not.
    closed: Option<bool>,
}

impl Files {
    /// None open yet.
    pub(super) fn new(shelf: Shelf) -> Self {
        Self { shelf, next: 0, handles: HashMap::new(), files: HashMap::new() }
    }

    /// The lines of the manifest for the kept copies.
    pub(super) fn entries(&self) -> &[MemberEntry] {
        self.shelf.entries()
    }

    /// The path behind a handle.
    pub(super) fn path_of(&self, handle: &[u8]) -> Option<&[u8]> {
        let file = self.files.get(self.handles.get(handle)?)?;
        Some(&file.path)
    }

    /// The path of the file that was opened last of those that move.
    pub(super) fn moving(&self) -> Option<&[u8]> {
        let moving = self.files.iter().filter(|(_, file)| file.read.is_some() || file.write.is_some());
        moving.max_by_key(|(key, _)| key.0).map(|(_, file)| file.path.as_slice())
    }

    /// The device opened a file. One that was opened for writing counts as a transfer even if no byte follows.
    pub(super) fn opened(
        &mut self,
        at: DateTime<Utc>,
        handle: &[u8],
        path: Vec<u8>,
        to_write: bool,
        stated: Option<u64>,
    ) -> Result<(), RecordingError> {
        if self.files.len() >= MAX_OPEN {
            return Err(malformed("more than 256 files open at once"));
        }
        if handle.len() > MAX_HANDLE {
            return Err(malformed("a handle of more than 256 bytes"));
        }
        self.next += 1;
        let key = FileKey(self.next);
        if self.handles.insert(handle.to_vec(), key).is_some() {
            return Err(malformed("a handle that is already open"));
        }
        let write = to_write.then(|| Moving::new(subject(&path, Leg::Write), at));
        let file = OpenFile {
            path,
            read: None,
            write,
            unanswered: 0,
            stated,
            end_seen: None,
            read_failed: false,
            write_failed: false,
            closed: None,
        };
        self.files.insert(key, file);
        Ok(())
    }

    /// The device stated a file's size.
    pub(super) fn stated(&mut self, handle: &[u8], size: u64) {
        if let Some((_, file)) = self.by_handle(handle) {
            file.stated = Some(size);
        }
    }

    /// A READ was sent. The first tells where the transfer begins, whatever order the answers come in.
    pub(super) fn read_asked(&mut self, at: DateTime<Utc>, handle: &[u8], offset: u64) -> Option<FileKey> {
        let (key, file) = self.by_handle(handle)?;
        file.unanswered += 1;
        if file.read.is_none() {
            file.read = Some(Moving::starting_at(subject(&file.path, Leg::Read), at, offset));
        }
        Some(key)
    }

    /// A WRITE was sent.
    pub(super) fn write_asked(&mut self, handle: &[u8]) -> Option<FileKey> {
        let (key, file) = self.by_handle(handle)?;
        file.unanswered += 1;
        Some(key)
    }

    /// Makes sure that bytes at `offset` have a copy to go to; the one before them ends where they do not fit it.
    pub(super) fn make_room(
        &mut self,
        at: DateTime<Utc>,
        key: FileKey,
        leg: Leg,
        offset: u64,
        length: u64,
    ) -> Result<Vec<Transfer>, RecordingError> {
        let Some(file) = self.files.get_mut(&key) else {
            return Err(malformed("data of a file that is closed"));
        };
        if file.slot(leg).as_ref().is_some_and(|moving| moving.accepts(&self.shelf, offset, length)) {
            return Ok(Vec::new());
        }
        let subject = subject(&file.path, leg);
        let fresh = Moving::anew(subject, at, offset, &mut self.shelf);
        let before = file.slot(leg).replace(fresh);
        before.map(|moving| moving.finish(&mut self.shelf, at, false)).into_iter().collect()
    }

    /// Keeps bytes, before they are forwarded.
    pub(super) fn put(&mut self, key: FileKey, leg: Leg, offset: u64, data: &[u8]) -> Result<(), RecordingError> {
        match self.files.get_mut(&key).map(|file| file.slot(leg)) {
            Some(Some(moving)) => moving.put(&mut self.shelf, offset, data),
            _ => Err(malformed("data of a file that is closed")),
        }
    }

    /// A READ was answered and all its data kept.
    pub(super) fn read_done(&mut self, at: DateTime<Utc>, key: FileKey) -> Result<Vec<Transfer>, RecordingError> {
        self.settle(at, key, |_| ())
    }

    /// A READ was answered without data: the end of the file, or a failure.
    pub(super) fn read_refused(
        &mut self,
        at: DateTime<Utc>,
        key: FileKey,
        offset: u64,
        status: Option<u32>,
    ) -> Result<Vec<Transfer>, RecordingError> {
        self.settle(at, key, |file| match status {
            Some(1) => file.end_seen = Some(file.end_seen.map_or(offset, |end| end.min(offset))),
            _ => file.read_failed = true,
        })
    }

    /// A WRITE was answered.
    pub(super) fn write_answered(
        &mut self,
        at: DateTime<Utc>,
        key: FileKey,
        done: bool,
    ) -> Result<Vec<Transfer>, RecordingError> {
        self.settle(at, key, |file| file.write_failed |= !done)
    }

    /// A CLOSE was answered.
    pub(super) fn closed(
        &mut self,
        at: DateTime<Utc>,
        handle: &[u8],
        done: bool,
    ) -> Result<Vec<Transfer>, RecordingError> {
        let Some(key) = self.handles.remove(handle) else { return Ok(Vec::new()) };
        if let Some(file) = self.files.get_mut(&key) {
            file.closed = Some(done);
        }
        self.end_if_settled(at, key)
    }

    /// The channel closed. Returns what ended by that, and the first fault.
    pub(super) fn close_all(&mut self, at: DateTime<Utc>) -> (Vec<Transfer>, Result<(), RecordingError>) {
        let mut open = self.files.drain().collect::<Vec<_>>();
        open.sort_by_key(|(key, _)| key.0);
        let moving = open.into_iter().flat_map(|(_, file)| [file.read, file.write]).flatten();
        Moving::finish_all(moving, &mut self.shelf, at)
    }

    fn by_handle(&mut self, handle: &[u8]) -> Option<(FileKey, &mut OpenFile)> {
        let key = *self.handles.get(handle)?;
        Some((key, self.files.get_mut(&key)?))
    }

    fn settle(
        &mut self,
        at: DateTime<Utc>,
        key: FileKey,
        note: impl FnOnce(&mut OpenFile),
    ) -> Result<Vec<Transfer>, RecordingError> {
        if let Some(file) = self.files.get_mut(&key) {
            file.unanswered = file.unanswered.saturating_sub(1);
            note(file);
        }
        self.end_if_settled(at, key)
    }

    /// Ends the transfers of a file that is closed and has no answer outstanding.
    fn end_if_settled(&mut self, at: DateTime<Utc>, key: FileKey) -> Result<Vec<Transfer>, RecordingError> {
        let settled = self.files.get(&key).is_some_and(|file| file.closed.is_some() && file.unanswered == 0);
        let Some(file) = settled.then(|| self.files.remove(&key)).flatten() else { return Ok(Vec::new()) };
        let closed_well = file.closed == Some(true);
        let mut ended = Vec::new();
        if let Some(moving) = file.read {
            let end = moving.end();
            let whole = file.end_seen.is_some_and(|seen| seen <= end) || file.stated == Some(end);
            ended.push(moving.finish(&mut self.shelf, at, closed_well && !file.read_failed && whole)?);
        }
        if let Some(moving) = file.write {
            ended.push(moving.finish(&mut self.shelf, at, closed_well && !file.write_failed)?);
        }
        Ok(ended)
    }
}

impl OpenFile {
    fn slot(&mut self, leg: Leg) -> &mut Option<Moving> {
        match leg {
            Leg::Read => &mut self.read,
            Leg::Write => &mut self.write,
        }
    }
}

fn subject(path: &[u8], leg: Leg) -> Subject {
    let (path, path_hex) = text_of(path);
    let direction = match leg {
        Leg::Read => Direction::FromDevice,
        Leg::Write => Direction::ToDevice,
    };
    Subject { path, path_hex, name: None, direction }
}
