//! Reads the members of a sealed recording, piece by piece; each is compared with the index before it is opened.

use crate::error::RecordingError;
use crate::keys::Identities;
use crate::recording::hex;
use crate::recording::sealed::screen::Snapshot;
use crate::recording::sealed::{Piece, SealedIndex, SealedMember, piece_name, read_index};
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// More than any piece takes: a forged index must not take the memory.
const MOST_PIECE_BYTES: u64 = 64 << 20;

/// A sealed recording with what opens it.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) index: SealedIndex,
    file: File,
    identities: Identities,
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
        Ok(Self { path: path.to_owned(), index, file, identities })
    }

    pub(super) fn member(&self, name: &str) -> Option<&SealedMember> {
        self.index.members.iter().find(|member| member.name == name)
    }

    /// A member that must be there.
    pub(super) fn known(&self, name: &str) -> Result<&SealedMember, RecordingError> {
        let missing = || RecordingError::Altered { path: self.path.join(name), reason: "it is missing".to_owned() };
        self.member(name).ok_or_else(missing)
    }

    /// The last piece of a terminal's that begins with a screen at or before `to`, and when that is.
    pub(super) fn piece_before(&self, name: &str, to: Duration) -> Option<(usize, Duration)> {
        let pieces = self.member(name)?.pieces.iter().enumerate().skip(1);
        let timed = pieces.filter_map(|(number, piece)| Some((number, Duration::from_micros(piece.micros?))));
        timed.take_while(|(_, at)| *at <= to).last()
    }

    /// The stored bytes of a piece, if they are those of the index.
    fn stored(&self, name: &str, number: usize, piece: &Piece) -> Result<Vec<u8>, RecordingError> {
        let path = || self.path.join(piece_name(name, number));
        let altered = |reason: String| RecordingError::Altered { path: path(), reason };
        if piece.size > MOST_PIECE_BYTES {
            return Err(altered(format!("its index says that it has {} bytes", piece.size)));
        }
        let mut bytes = vec![0; usize::try_from(piece.size).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, piece.at).map_err(RecordingError::storage("read", &path()))?;
        let sha256 = hex(digest(&SHA256, &bytes).as_ref());
        if sha256 != piece.sha256 {
            return Err(altered(format!("SHA-256 {sha256} instead of {}", piece.sha256)));
        }
        Ok(bytes)
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
        let path = self.opened.path.join(piece_name(&self.member.name, self.next));
        let snapshot = self.open_next()?;
        snapshot.ok_or_else(|| damaged(&path, "it does not begin with the screen"))
    }

    fn open_next(&mut self) -> Result<Option<Snapshot>, RecordingError> {
        let Some(piece) = self.member.pieces.get(self.next) else { return Ok(None) };
        let name = &self.member.name;
        let path = self.opened.path.join(piece_name(name, self.next));
        let end = self.member.pieces.get(self.next + 1).map_or(self.member.size, |following| following.start);
        let stored = self.opened.stored(name, self.next, piece)?;
        let open = self.opened.identities.open(Cursor::new(stored), &path)?;
        let unpacked = zstd::stream::Decoder::new(open).map_err(|fault| damaged(&path, &fault.to_string()))?;
        let mut plain: BufReader<Box<dyn Read + Send>> = BufReader::with_capacity(32 << 10, Box::new(unpacked));
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
                    let path = self.opened.path.join(piece_name(&self.member.name, self.next.saturating_sub(1)));
                    return Err(io::Error::other(damaged(&path, "it ends too early")));
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
