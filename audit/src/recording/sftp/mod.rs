//! SFTP version 3, decoded in passing (draft-ietf-secsh-filexfer-02, and what OpenSSH adds).
//!
//! Requests and answers are paired by number, so that a file's bytes are known by its path. What cannot be paired is
//! refused: a number used twice, bytes for a handle that nobody opened, more data than was asked for would each let a
//! file through unseen. Memory is bounded by what may be open and unanswered at once.

mod files;
mod frames;
mod requests;
#[cfg(test)]
mod tests;

use super::kept::Shelf;
use super::lines::{Entry, Lines, Request, opening};
use super::member::Folder;
use super::values::{ChannelKind, MemberEntry, Transfer};
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use files::{FileKey, Files};
use frames::{DATA, Fields, Frames, Piece, WRITE, malformed};
use requests::{ATTRS, Asked, HANDLE, INIT, STATUS, VERSION, stated_size, status_name};
use std::collections::{HashMap, VecDeque};

/// Requests that may be unanswered at once; OpenSSH has 64 under way.
const MAX_UNANSWERED: usize = 8192;
/// Bytes of paths and names that they may hold together.
const MAX_UNANSWERED_BYTES: usize = 4 * 1024 * 1024;
/// Sizes of paths that are remembered from STAT, for clients that never read past the size.
const MAX_SIZES: usize = 64;

/// The writer of one SFTP channel.
pub(super) struct SftpChannel {
    to_device: Frames,
    from_device: Frames,
    dialogue: Dialogue,
}

/// What both directions have said so far.
struct Dialogue {
    lines: Lines,
    files: Files,
    unanswered: HashMap<u32, Unanswered>,
    unanswered_bytes: usize,
    sizes: VecDeque<(Vec<u8>, u64)>,
    /// Where the next bytes of the WRITE under way belong: file and offset.
    writing: Option<(FileKey, u64)>,
    /// The same of the DATA under way, and how many bytes of it are to come.
    reading: Option<(FileKey, u64, u64)>,
    ended: Vec<Transfer>,
}

/// A request that waits for its answer.
struct Unanswered {
    asked: Waiting,
    /// The name of a request that has a line, so that its answer gets one.
    named: Option<String>,
    bytes: usize,
}

enum Waiting {
    Asked(Asked),
    /// A READ of this file, with the offset and the length that were asked for.
    Read(Option<FileKey>, u64, u32),
    Write(FileKey),
}

impl SftpChannel {
    /// Makes `00003.sftp.jsonl`; copies go to `files/`.
    pub(super) fn create(folder: &Folder, channel: u32, at: DateTime<Utc>) -> Result<Self, RecordingError> {
        let open = opening(channel, ChannelKind::Sftp, None, None);
        let name = format!("{channel:05}.sftp.jsonl");
        let lines = Lines::create(folder, name, "sftp, requests and transfers", at, open)?;
        let dialogue = Dialogue {
            lines,
            files: Files::new(Shelf::new(folder, channel)),
            unanswered: HashMap::new(),
            unanswered_bytes: 0,
            sizes: VecDeque::new(),
            writing: None,
            reading: None,
            ended: Vec::new(),
        };
        Ok(Self { to_device: Frames::default(), from_device: Frames::default(), dialogue })
    }

    /// Bytes of the person: requests.
    pub(super) fn person_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        let dialogue = &mut self.dialogue;
        self.to_device.feed(bytes, |piece| match piece {
            Piece::Packet(kind, body) => dialogue.request(at, kind, body),
            Piece::Head(WRITE, fields, length) => dialogue.write_begins(at, fields, length),
            Piece::Head(..) => Err(malformed("the client sent what only a server sends")),
            Piece::Data(data) => dialogue.write_goes_on(data),
        })?;
        self.dialogue.take_ended(at)
    }

    /// Bytes of the device: answers.
    pub(super) fn device_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        let dialogue = &mut self.dialogue;
        self.from_device.feed(bytes, |piece| match piece {
            Piece::Packet(kind, body) => dialogue.answer(at, kind, body),
            Piece::Head(DATA, fields, length) => dialogue.data_begins(at, fields, length),
            Piece::Head(..) => Err(malformed("the server sent what only a client sends")),
            Piece::Data(data) => dialogue.data_goes_on(at, data),
        })?;
        self.dialogue.take_ended(at)
    }

    /// The gateway told the person something.
    pub(super) fn note(&mut self, at: DateTime<Utc>, entry: Entry) -> Result<(), RecordingError> {
        self.dialogue.lines.add(at, entry)
    }

    /// The path of the file that was opened last of those that move.
    pub(super) fn moving(&self) -> Option<String> {
        self.dialogue.files.moving().map(|path| String::from_utf8_lossy(path).into_owned())
    }

    /// The channel closed; files that are still open are incomplete.
    pub(super) fn close(&mut self, at: DateTime<Utc>, last: Entry) -> Result<Vec<Transfer>, RecordingError> {
        let (ended, closed) = self.dialogue.files.close_all(at);
        self.dialogue.ended.extend(ended);
        let ended = self.dialogue.take_ended(at);
        // Whatever failed, what can still be told is told.
        let told = self.dialogue.lines.add(at, last);
        let synced = self.dialogue.lines.member().sync();
        closed.and(ended).and_then(|ended| told.and(synced).map(|()| ended))
    }

    /// The lines of the manifest.
    pub(super) fn entries(&self) -> Vec<MemberEntry> {
        let mut entries = vec![self.dialogue.lines.member().entry()];
        entries.extend(self.dialogue.files.entries().iter().cloned());
        entries
    }
}

impl Dialogue {
    fn request(&mut self, at: DateTime<Utc>, kind: u8, body: &[u8]) -> Result<(), RecordingError> {
        if kind == INIT {
            let detail = Some(format!("version {}", Fields(body).u32()?));
            let line = Request { request: "init".to_owned(), detail, ..Request::default() };
            return self.lines.add(at, Entry::Request(line));
        }
        let files = &self.files;
        let read = requests::read(kind, body, |handle| files.path_of(handle))?;
        let named = read.line.as_ref().map(|line| line.request.clone());
        if let Some(line) = read.line {
            self.lines.add(at, Entry::Request(line))?;
        }
        let waiting = match read.asked {
            Asked::Read { handle, offset, length } => {
                Waiting::Read(self.files.read_asked(at, &handle, offset), offset, length)
            }
            other => Waiting::Asked(other),
        };
        self.wait_for(read.id, waiting, named, body.len())
    }

    fn write_begins(&mut self, at: DateTime<Utc>, fields: &[u8], length: u64) -> Result<(), RecordingError> {
        let mut fields = Fields(fields);
        let (id, handle, offset) = (fields.u32()?, fields.string()?, fields.u64()?);
        if offset.checked_add(length).is_none() {
            return Err(malformed("a write past the largest offset"));
        }
        let key = self.files.write_asked(handle).ok_or_else(|| malformed("a write to a handle that is not open"))?;
        self.ended.extend(self.files.make_room(at, key, files::Leg::Write, offset, length)?);
        self.writing = Some((key, offset));
        self.wait_for(id, Waiting::Write(key), None, 0)
    }

    fn write_goes_on(&mut self, data: &[u8]) -> Result<(), RecordingError> {
        if let Some((key, offset)) = &mut self.writing {
            self.files.put(*key, files::Leg::Write, *offset, data)?;
            *offset += data.len() as u64;
        }
        Ok(())
    }

    fn answer(&mut self, at: DateTime<Utc>, kind: u8, body: &[u8]) -> Result<(), RecordingError> {
        let mut fields = Fields(body);
        let id = fields.u32()?;
        if kind == VERSION {
            // The other versions lay their packets out otherwise; what they carry could not be told.
            return if id == 3 { Ok(()) } else { Err(malformed(&format!("the device speaks version {id}, not 3"))) };
        }
        let Unanswered { asked, named, .. } = self.answered(id)?;
        let status = if kind == STATUS { Some(fields.u32()?) } else { None };
        if let Some(request) = named {
            let status = status.map_or_else(|| "ok".to_owned(), status_name);
            self.lines.add(at, Entry::Reply { id, request, status })?;
        }
        match (asked, kind, status) {
            (Waiting::Asked(Asked::Open { path, to_write }), HANDLE, _) => {
                let stated = self.sizes.iter().rev().find(|(known, _)| *known == path).map(|(_, size)| *size);
                self.files.opened(at, fields.string()?, path, to_write, stated)
            }
            (Waiting::Asked(Asked::OpenFolder { path }), HANDLE, _) => {
                self.files.opened(at, fields.string()?, path, false, None)
            }
            (Waiting::Asked(Asked::Close { handle }), _, status) => {
                self.ended.extend(self.files.closed(at, &handle, status == Some(0))?);
                Ok(())
            }
            (Waiting::Asked(Asked::StatFile { handle }), ATTRS, _) => {
                if let Some(size) = stated_size(fields)? {
                    self.files.stated(&handle, size);
                }
                Ok(())
            }
            (Waiting::Asked(Asked::StatPath { path }), ATTRS, _) => self.remember_size(path, fields),
            (Waiting::Read(Some(key), offset, _), _, status) => {
                self.ended.extend(self.files.read_refused(at, key, offset, status)?);
                Ok(())
            }
            (Waiting::Write(key), _, status) => {
                self.ended.extend(self.files.write_answered(at, key, status == Some(0))?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn data_begins(&mut self, at: DateTime<Utc>, fields: &[u8], length: u64) -> Result<(), RecordingError> {
        let id = Fields(fields).u32()?;
        let Waiting::Read(Some(key), offset, asked) = self.answered(id)?.asked else {
            return Err(malformed("data that nobody asked for, or of a file that is not open"));
        };
        if length > u64::from(asked) || offset.checked_add(length).is_none() {
            return Err(malformed("more data than was asked for"));
        }
        self.ended.extend(self.files.make_room(at, key, files::Leg::Read, offset, length)?);
        self.reading = Some((key, offset, length));
        self.data_goes_on(at, &[])
    }

    fn data_goes_on(&mut self, at: DateTime<Utc>, data: &[u8]) -> Result<(), RecordingError> {
        let Some((key, offset, left)) = self.reading else { return Ok(()) };
        let count = data.len() as u64;
        self.files.put(key, files::Leg::Read, offset, data)?;
        self.reading = Some((key, offset.saturating_add(count), left.saturating_sub(count)));
        if left <= count {
            self.reading = None;
            self.ended.extend(self.files.read_done(at, key)?);
        }
        Ok(())
    }

    fn remember_size(&mut self, path: Vec<u8>, fields: Fields<'_>) -> Result<(), RecordingError> {
        if let Some(size) = stated_size(fields)? {
            if self.sizes.len() >= MAX_SIZES {
                self.sizes.pop_front();
            }
            self.sizes.push_back((path, size));
        }
        Ok(())
    }

    fn wait_for(&mut self, id: u32, asked: Waiting, named: Option<String>, bytes: usize) -> Result<(), RecordingError> {
        self.unanswered_bytes += bytes;
        if self.unanswered.len() >= MAX_UNANSWERED || self.unanswered_bytes > MAX_UNANSWERED_BYTES {
            return Err(malformed("too many requests without waiting for an answer"));
        }
        match self.unanswered.insert(id, Unanswered { asked, named, bytes }) {
            None => Ok(()),
            Some(_) => Err(malformed("a request number that is in use")),
        }
    }

    fn answered(&mut self, id: u32) -> Result<Unanswered, RecordingError> {
        let request = self.unanswered.remove(&id).ok_or_else(|| malformed("an answer to no request"))?;
        self.unanswered_bytes -= request.bytes;
        Ok(request)
    }

    fn take_ended(&mut self, at: DateTime<Utc>) -> Result<Vec<Transfer>, RecordingError> {
        let ended = std::mem::take(&mut self.ended);
        for transfer in &ended {
            self.lines.add(at, Entry::Transfer(transfer.clone()))?;
        }
        Ok(ended)
    }
}
