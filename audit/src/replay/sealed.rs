//! Reads the members of a sealed recording, piece by piece; each is compared with the index before it is opened.

use crate::error::RecordingError;
use crate::hex;
use crate::keys::Identities;
use crate::recording::SessionKey;
use crate::recording::journal::{JournalReader, KEY};
use crate::recording::sealed::screen::Snapshot;
use crate::recording::sealed::{Piece, Place, SealedIndex, SealedMember, piece_name, read_index};
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// More than any piece takes: a forged index must not take the memory.
const MOST_PIECE_BYTES: u64 = 64 << 20;

/// A sealed recording with what opens it.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) index: SealedIndex,
    file: File,
    identities: Identities,
    /// The journal's key, once it was needed.
    key: OnceLock<SessionKey>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Opened").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Opened {
    pub(super) fn new(path: &Path, identities: Identities) -> Result<Self, RecordingError> {
        let (index, _) = read_index(path)?;
        let file = File::open(path).map_err(RecordingError::storage("open", path))?;
        Ok(Self { path: path.to_owned(), index, file, identities, key: OnceLock::new() })
    }

    pub(super) fn member(&self, name: &str) -> Option<&SealedMember> {
        self.index.members.iter().find(|member| member.name == name)
    }

    /// A member that must be there.
    pub(super) fn known(&self, name: &str) -> Result<&SealedMember, RecordingError> {
        let missing = || RecordingError::Altered { path: self.path.join(name), reason: "it is missing".to_owned() };
        self.member(name).ok_or_else(missing)
    }

    /// A member's bytes. Who sealed the journal that a power cut had left could not see whether its last frames open.
    pub(super) fn size(&self, name: &str) -> Result<u64, RecordingError> {
        let member = self.known(name)?;
        let mut end = member.size;
        for (number, piece) in member.pieces.iter().enumerate().rev().take_while(|(_, piece)| piece.journal) {
            let path = self.path.join(piece_name(name, number, piece));
            if end > piece.start {
                let plain = self.journal(name, piece, &path)?;
                let mut counted = plain.take(end - piece.start);
                let size = io::copy(&mut counted, &mut io::sink()).map_err(RecordingError::reading(&path))?;
                if size > 0 {
                    return Ok(piece.start + size);
                }
            }
            end = piece.start;
        }
        Ok(end)
    }

    /// The last piece of a terminal's that begins with a screen at or before `to`, and when that is.
    pub(super) fn piece_before(&self, name: &str, to: Duration) -> Option<(usize, Duration)> {
        let pieces = self.member(name)?.pieces.iter().enumerate().skip(1).filter(|(_, piece)| !piece.journal);
        let timed = pieces.filter_map(|(number, piece)| Some((number, Duration::from_micros(piece.micros?))));
        timed.take_while(|(_, at)| *at <= to).last()
    }

    /// The bytes that are stored at a place, if they are those of the index; `path` is for messages.
    fn stored(&self, place: &Place, path: &Path) -> Result<Vec<u8>, RecordingError> {
        let altered = |reason: String| RecordingError::Altered { path: path.to_owned(), reason };
        if place.size > MOST_PIECE_BYTES {
            return Err(altered(format!("its index says that it has {} bytes", place.size)));
        }
        let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, place.at).map_err(RecordingError::storage("read", path))?;
        let sha256 = hex::encode(digest(&SHA256, &bytes).as_ref());
        if sha256 != place.sha256 {
            return Err(altered(format!("SHA-256 {sha256} instead of {}", place.sha256)));
        }
        Ok(bytes)
    }

    /// The key of the parts of journals.
    fn key(&self) -> Result<SessionKey, RecordingError> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        let path = self.path.join(KEY);
        let missing = || RecordingError::Altered { path: path.clone(), reason: "it is missing".to_owned() };
        let sealed = self.stored(self.index.key.as_ref().ok_or_else(missing)?, &path)?;
        let key = SessionKey::opened(Cursor::new(sealed), &path, &self.identities)?;
        Ok(self.key.get_or_init(|| key).clone())
    }

    /// A part of a journal, from the piece's first byte on.
    fn journal(&self, name: &str, piece: &Piece, path: &Path) -> Result<JournalReader, RecordingError> {
        JournalReader::part(self.stored(&piece.place, path)?, path, name, &self.key()?, piece.start)
    }

    /// A piece as it was before sealing.
    fn plain(&self, name: &str, piece: &Piece, path: &Path) -> Result<Box<dyn Read + Send>, RecordingError> {
        if piece.journal {
            return Ok(Box::new(self.journal(name, piece, path)?));
        }
        let stored = self.stored(&piece.place, path)?;
        let open = self.identities.open(Cursor::new(stored), path)?;
        let unpacked = zstd::stream::Decoder::new(open).map_err(|fault| damaged(path, &fault.to_string()))?;
        Ok(Box::new(unpacked))
    }
}

/// A member, read from one of its pieces on.
pub(super) struct Piecewise {
    opened: Arc<Opened>,
    member: SealedMember,
    next: usize,
    current: Option<Current>,
}

struct Current {
    plain: BufReader<Box<dyn Read + Send>>,
    /// Bytes of the member that are still to come from this piece.
    left: u64,
}

impl Piecewise {
    pub(super) fn new(opened: &Arc<Opened>, name: &str, from: usize) -> Result<Self, RecordingError> {
        Ok(Self { opened: opened.clone(), member: opened.known(name)?.clone(), next: from, current: None })
    }

    /// Opens the first piece; returns the screen at its beginning.
    pub(super) fn screen(&mut self) -> Result<Snapshot, RecordingError> {
        let path = self.path_of(self.next);
        let snapshot = self.open_next()?;
        snapshot.ok_or_else(|| damaged(&path, "it does not begin with the screen"))
    }

    fn path_of(&self, number: usize) -> PathBuf {
        let Some(piece) = self.member.pieces.get(number) else { return self.opened.path.clone() };
        self.opened.path.join(piece_name(&self.member.name, number, piece))
    }

    /// The piece under way has no more, although the index says so. A power cut can have taken the last frames of a
    /// journal, if nothing that came later is there.
    fn end_early(&mut self) -> Result<(), RecordingError> {
        let path = self.path_of(self.next.saturating_sub(1));
        let torn =
            self.next.checked_sub(1).and_then(|last| self.member.pieces.get(last)).is_some_and(|last| last.journal);
        let mut later = self.member.pieces.iter().enumerate().skip(self.next);
        let follows = later.try_fold(false, |follows, (number, piece)| {
            let open = || self.opened.journal(&self.member.name, piece, &self.path_of(number))?.opens();
            Ok(follows || !piece.journal || open()?)
        })?;
        if !torn || follows {
            return Err(damaged(&path, "it ends too early"));
        }
        (self.next, self.current) = (self.member.pieces.len(), None);
        Ok(())
    }

    fn open_next(&mut self) -> Result<Option<Snapshot>, RecordingError> {
        let Some(piece) = self.member.pieces.get(self.next) else { return Ok(None) };
        let path = self.path_of(self.next);
        let end = self.member.pieces.get(self.next + 1).map_or(self.member.size, |following| following.start);
        let mut plain = BufReader::with_capacity(32 << 10, self.opened.plain(&self.member.name, piece, &path)?);
        let mut snapshot = None;
        if self.next > 0 && piece.micros.is_some() {
            let mut line = Vec::new();
            let read = (&mut plain).take(MOST_PIECE_BYTES).read_until(b'\n', &mut line);
            read.map_err(|fault| damaged(&path, &fault.to_string()))?;
            snapshot = Snapshot::parse(&line);
            if snapshot.is_none() {
                return Err(damaged(&path, "it does not begin with the screen"));
            }
        }
        self.current = Some(Current { plain, left: end.saturating_sub(piece.start) });
        self.next += 1;
        Ok(snapshot)
    }
}

impl Read for Piecewise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current
                && current.left > 0
            {
                let most = buffer.len().min(usize::try_from(current.left).unwrap_or(usize::MAX));
                let part = buffer.get_mut(..most).unwrap_or_default();
                let count = current.plain.read(part)?;
                if count == 0 && most > 0 {
                    self.end_early().map_err(io::Error::other)?;
                    return Ok(0);
                }
                current.left -= count as u64;
                return Ok(count);
            }
            if self.next >= self.member.pieces.len() {
                return Ok(0);
            }
            self.open_next().map_err(io::Error::other)?;
        }
    }
}

fn damaged(path: &Path, reason: &str) -> RecordingError {
    RecordingError::Damaged { path: path.to_owned(), format: "sealed piece", reason: reason.to_owned() }
}
