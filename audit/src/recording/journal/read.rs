//! Reads the journal of one member, while it is written or long after.

use super::{HEAD, MAGIC, MOST, SessionKey, TAG};
use crate::error::RecordingError;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Zeros that stand for a gap at a time.
const GAP: usize = 64 << 10;

/// What a journal is read from.
pub(crate) enum Stored {
    File(File),
    Memory(Vec<u8>),
}

impl Stored {
    /// Fills `buffer` from `at` on; `false` where that is not there, for now or for good.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let filled = match self {
            Self::File(file) => file.read_exact_at(buffer, at),
            Self::Memory(bytes) => {
                let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
                return Ok(from.map(|from| buffer.copy_from_slice(from)).is_some());
            }
        };
        match filled {
            Ok(()) => Ok(true),
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn is_there(&self, end: u64) -> io::Result<bool> {
        match self {
            Self::File(file) => Ok(end <= file.metadata()?.len()),
            Self::Memory(bytes) => Ok(end <= bytes.len() as u64),
        }
    }
}

/// A frame's place: in the member, and in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    position: u64,
    length: u32,
    at: u64,
}

impl Place {
    /// One past its last byte in the member.
    fn end(&self) -> u64 {
        self.position.saturating_add(self.length.into())
    }

    /// One past its last byte in the journal.
    fn behind(&self) -> u64 {
        self.at + HEAD as u64 + u64::from(self.length) + TAG as u64
    }
}

/// The frame that begins at `at`, if all of it is there.
fn place(stored: &Stored, at: u64, path: &Path) -> Result<Option<Place>, RecordingError> {
    let reading = || RecordingError::storage("read", path);
    let mut head = [0; HEAD];
    if !stored.fill(at, &mut head).map_err(reading())? {
        return Ok(None);
    }
    let (position, length) = head.split_at(8);
    let position = u64::from_be_bytes(position.try_into().unwrap_or_default());
    let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
    let place = Place { position, length, at };
    if length as usize > MOST {
        return Err(damaged(path, format!("a frame of {length} bytes at {at}")));
    }
    Ok(stored.is_there(place.behind()).map_err(reading())?.then_some(place))
}

/// All whole frames that are there, in the order in which they were written.
fn places(stored: &Stored, path: &Path) -> Result<Vec<Place>, RecordingError> {
    let mut places = Vec::new();
    let mut at = MAGIC.len() as u64;
    while begins_well(stored, path)?
        && let Some(place) = place(stored, at, path)?
    {
        at = place.behind();
        places.push(place);
    }
    Ok(places)
}

/// Whether it begins as a journal does; `false` while nothing is there.
fn begins_well(stored: &Stored, path: &Path) -> Result<bool, RecordingError> {
    let mut magic = [0; MAGIC.len()];
    let there = stored.fill(0, &mut magic).map_err(RecordingError::storage("read", path))?;
    if there && magic != MAGIC {
        return Err(damaged(path, "it is of another version, or none".to_owned()));
    }
    Ok(there)
}

/// The bytes of a member whose journal this is, up to its last whole frame; none is opened.
pub(crate) fn plain_size(path: &Path) -> Result<u64, RecordingError> {
    let stored = Stored::File(File::open(path).map_err(RecordingError::storage("open", path))?);
    Ok(places(&stored, path)?.iter().map(Place::end).max().unwrap_or(0))
}

/// A part of a journal that is a journal itself.
pub(crate) struct Part {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The member's first byte that counts in it; its first frame may begin before.
    pub(crate) start: u64,
    /// One past the last byte of the member in it.
    pub(crate) end: u64,
}

/// Cuts what a journal holds from the member's byte `from` on, as it is and without a key, into parts of some `most`
/// bytes, in the order of the member.
pub(crate) fn parts_of(
    path: &Path,
    from: u64,
    most: usize,
    mut each: impl FnMut(Part) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    let stored = Stored::File(File::open(path).map_err(RecordingError::storage("open", path))?);
    let mut places = places(&stored, path)?;
    places.retain(|place| place.end() > from);
    places.sort_by_key(|place| place.position);
    let mut part = Part { bytes: MAGIC.to_vec(), start: from, end: from };
    for place in places {
        if part.bytes.len() > most {
            let next = Part { bytes: MAGIC.to_vec(), start: place.position, end: part.end };
            each(std::mem::replace(&mut part, next))?;
        }
        let begin = part.bytes.len();
        let length = usize::try_from(place.behind() - place.at).unwrap_or(0);
        part.bytes.resize(begin + length, 0);
        let room = part.bytes.get_mut(begin..).unwrap_or_default();
        if !stored.fill(place.at, room).map_err(RecordingError::storage("read", path))? {
            return Err(damaged(path, "it became shorter while it was read".to_owned()));
        }
        part.end = place.end();
    }
    if part.end > part.start { each(part) } else { Ok(()) }
}

/// A place in a journal from which it can be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    at: u64,
}

impl Default for Mark {
    /// The first frame.
    fn default() -> Self {
        Self { at: MAGIC.len() as u64 }
    }
}

impl Mark {
    /// How many bytes of a journal lie behind it.
    pub(crate) fn bytes_behind(&self, journal: &Path) -> Result<u64, RecordingError> {
        let found = std::fs::metadata(journal).map_err(RecordingError::storage("look at", journal))?;
        Ok(found.len().saturating_sub(self.at))
    }
}

/// How a reader finds the next frame.
enum Order {
    /// They stand in the order of the member, without a gap; more may come.
    Written(u64),
    /// These are all, sorted.
    Sorted(VecDeque<Place>),
}

/// A member, decrypted as it is read.
pub(crate) struct JournalReader {
    path: PathBuf,
    stored: Stored,
    key: LessSafeKey,
    order: Order,
    /// The member's next byte that is to be given out.
    position: u64,
    /// Where the frame under way is, its bytes, and how many of them were given out.
    frame: Mark,
    plain: Vec<u8>,
    given: usize,
}

impl JournalReader {
    /// Reads a member of a folder, from its beginning. Where the file ends, for now, so does what is read.
    pub(crate) fn open(path: &Path, member: &str, key: &SessionKey) -> Result<Self, RecordingError> {
        Self::open_at(path, member, key, Mark::default(), 0)
    }

    /// Reads on from a mark, and the member's byte `from` that belongs to it.
    pub(crate) fn open_at(
        path: &Path,
        member: &str,
        key: &SessionKey,
        mark: Mark,
        from: u64,
    ) -> Result<Self, RecordingError> {
        let stored = Stored::File(File::open(path).map_err(RecordingError::storage("open", path))?);
        Self::new(stored, path, member, key, mark, from)
    }

    /// Reads a part of a journal from the member's byte `from` on; `path` is for messages.
    pub(crate) fn part(
        bytes: Vec<u8>,
        path: &Path,
        member: &str,
        key: &SessionKey,
        from: u64,
    ) -> Result<Self, RecordingError> {
        Self::new(Stored::Memory(bytes), path, member, key, Mark::default(), from)
    }

    /// Where reading can go on later from the byte that would come next.
    pub(crate) fn mark(&self) -> Mark {
        match self.order {
            Order::Written(at) if self.given == self.plain.len() => Mark { at },
            Order::Written(_) | Order::Sorted(_) => self.frame,
        }
    }

    fn new(
        stored: Stored,
        path: &Path,
        member: &str,
        key: &SessionKey,
        mark: Mark,
        from: u64,
    ) -> Result<Self, RecordingError> {
        let key = key.of_member(member).map_err(|_| damaged(path, "no key can be derived for it".to_owned()))?;
        // Only kept copies are written out of order, and have gaps.
        let order = if member.starts_with("files/") {
            let mut places = places(&stored, path)?;
            places.sort_by_key(|place| place.position);
            Order::Sorted(places.into())
        } else {
            Order::Written(mark.at)
        };
        let (position, plain) = (from, Vec::new());
        Ok(Self { path: path.to_owned(), stored, key, order, position, frame: mark, plain, given: 0 })
    }

    /// Has something to give out, if there is more.
    fn advance(&mut self) -> Result<(), RecordingError> {
        let place = match &mut self.order {
            Order::Sorted(places) => places.front().copied(),
            Order::Written(at) if *at > MAGIC.len() as u64 || begins_well(&self.stored, &self.path)? => {
                place(&self.stored, *at, &self.path)?
            }
            Order::Written(_) => None,
        };
        let Some(place) = place else { return Ok(()) };
        let gap = place.position.saturating_sub(self.position);
        if gap > 0 {
            if let Order::Written(at) = self.order {
                return Err(damaged(&self.path, format!("the frame at {at} does not follow the one before")));
            }
            // What never went through is told of by the transfer's line; here it reads as zeros.
            self.plain.clear();
            self.plain.resize(usize::try_from(gap).unwrap_or(GAP).min(GAP), 0);
            self.given = 0;
            return Ok(());
        }
        self.decrypt(place)?;
        self.frame = Mark { at: place.at };
        match &mut self.order {
            Order::Sorted(places) => drop(places.pop_front()),
            Order::Written(at) => *at = place.behind(),
        }
        // A part may begin before the byte that is wanted.
        let known = usize::try_from(self.position - place.position).unwrap_or(usize::MAX);
        self.given = known.min(self.plain.len());
        Ok(())
    }

    fn decrypt(&mut self, place: Place) -> Result<(), RecordingError> {
        let mut head = [0; HEAD];
        self.plain.clear();
        self.plain.resize(place.length as usize + TAG, 0);
        let reading = || RecordingError::storage("read", &self.path);
        let there = self.stored.fill(place.at, &mut head).map_err(reading())?
            && self.stored.fill(place.at + HEAD as u64, &mut self.plain).map_err(reading())?;
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(head), Aad::empty(), &mut self.plain);
        if !there || opened.is_err() {
            self.plain.clear();
            return Err(damaged(&self.path, format!("the frame at {} was altered", place.at)));
        }
        self.plain.truncate(place.length as usize);
        Ok(())
    }
}

impl BufRead for JournalReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.given == self.plain.len() {
            self.plain.clear();
            self.given = 0;
            self.advance().map_err(io::Error::other)?;
            if self.plain.is_empty() {
                break;
            }
        }
        Ok(self.plain.get(self.given..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.plain.len() - self.given);
        self.given += count;
        self.position += count as u64;
    }
}

impl Read for JournalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

fn damaged(path: &Path, reason: String) -> RecordingError {
    RecordingError::Damaged { path: path.to_owned(), format: "journal", reason }
}
