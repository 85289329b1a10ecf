//! Reads the journal of one member, while it is written or long after.

use super::places::{Place, Run, Stored, begins_well, place, runs};
use super::{HEAD, MAGIC, SessionKey, TAG, Written, damaged};
use crate::error::RecordingError;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

/// Zeros that stand for a gap at a time.
static GAP: [u8; 64 << 10] = [0; 64 << 10];

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
    pub(crate) fn bytes_behind(&self, journal: &Path, written: &Written) -> Result<u64, RecordingError> {
        let found = std::fs::metadata(journal).map_err(RecordingError::storage("look at", journal))?;
        Ok(written.of(found.len()).saturating_sub(self.at))
    }
}

/// How a reader finds the next frame.
enum Order {
    /// They stand in the order of the member, without a gap; more may come.
    Written(u64),
    /// These are all, sorted.
    Sorted(VecDeque<Run>),
}

/// A member, decrypted as it is read.
pub(crate) struct JournalReader {
    path: PathBuf,
    stored: Stored,
    key: LessSafeKey,
    /// How far this process has written it; `None`: another one did, and nobody knows.
    written: Option<Written>,
    order: Order,
    /// The member's next byte that is to be given out.
    position: u64,
    /// Zeros to give out before the frame's bytes.
    gap: u64,
    /// Where the frame under way is, its bytes, and how many of them were given out.
    frame: Mark,
    plain: Vec<u8>,
    given: usize,
}

impl JournalReader {
    /// Reads a member of a folder that another process may have left, from its beginning. Where the file ends, for now,
    /// so does what is read.
    pub(crate) fn open(path: &Path, member: &str, key: &SessionKey) -> Result<Self, RecordingError> {
        Self::new(Stored::open(path)?, path, (member, key), None, (Mark::default(), 0))
    }

    /// Reads a member that this process writes, or has written, from a mark and the member's byte that belongs to it.
    pub(crate) fn open_at(
        path: &Path,
        member: &str,
        key: &SessionKey,
        written: Written,
        from: (Mark, u64),
    ) -> Result<Self, RecordingError> {
        Self::new(Stored::open(path)?, path, (member, key), Some(written), from)
    }

    /// Reads a part of a journal from the member's byte `from` on; `path` is for messages.
    pub(crate) fn part(
        bytes: Vec<u8>,
        path: &Path,
        member: &str,
        key: &SessionKey,
        from: u64,
    ) -> Result<Self, RecordingError> {
        Self::new(Stored::Memory(bytes), path, (member, key), None, (Mark::default(), from))
    }

    /// Where reading can go on later from the byte that would come next.
    pub(crate) fn mark(&self) -> Mark {
        match self.order {
            Order::Written(at) if self.given == self.plain.len() => Mark { at },
            Order::Written(_) | Order::Sorted(_) => self.frame,
        }
    }

    /// Whether any frame opens.
    pub(crate) fn opens(&self) -> Result<bool, RecordingError> {
        self.opens_from(MAGIC.len() as u64)
    }

    fn new(
        stored: Stored,
        path: &Path,
        (member, key): (&str, &SessionKey),
        written: Option<Written>,
        (mark, from): (Mark, u64),
    ) -> Result<Self, RecordingError> {
        let key = key.of_member(member).map_err(|_| damaged(path, "no key can be derived for it".to_owned()))?;
        let mut reader = Self {
            path: path.to_owned(),
            stored,
            key,
            written,
            order: Order::Written(mark.at),
            position: from,
            gap: 0,
            frame: mark,
            plain: Vec::new(),
            given: 0,
        };
        // Only kept copies are written out of order, and have gaps.
        if member.starts_with("files/") {
            begins_well(&reader.stored, path)?;
            let limit = reader.limit()?;
            let (runs, behind) = runs(&reader.stored, limit, path)?;
            if behind < limit && reader.written.is_some() {
                return Err(damaged(path, format!("what stands at {behind} is no frame")));
            }
            let mut runs = VecDeque::from(runs);
            if reader.written.is_some() {
                pass_over(&mut runs, from, &reader.stored, path)?;
            }
            reader.order = Order::Sorted(runs);
        }
        Ok(reader)
    }

    /// Where what counts ends.
    fn limit(&self) -> Result<u64, RecordingError> {
        let length = self.stored.length().map_err(RecordingError::storage("look at", &self.path))?;
        Ok(self.written.as_ref().map_or(length, |written| written.of(length)))
    }

    /// Has something to give out, if there is more.
    fn advance(&mut self) -> Result<(), RecordingError> {
        while let Some(place) = self.next_place()? {
            if !self.decrypt(&place)? {
                if self.written.is_some() || self.opens_from(place.behind())? {
                    return Err(damaged(&self.path, format!("the frame at {} was altered", place.at)));
                }
                // It was not on the disk whole when the power went. What was written later is not there either.
                match &mut self.order {
                    Order::Written(_) => return Ok(()),
                    Order::Sorted(runs) => cut(runs, place.at),
                }
                continue;
            }
            let gap = place.position.saturating_sub(self.position);
            self.frame = Mark { at: place.at };
            match &mut self.order {
                Order::Written(at) if gap > 0 => {
                    let reason = format!("the frame at {at} does not follow the one before");
                    self.plain.clear();
                    return Err(damaged(&self.path, reason));
                }
                Order::Written(at) => *at = place.behind(),
                Order::Sorted(runs) => go_on(runs, &place),
            }
            // What never went through is told of by the transfer's line; here it reads as zeros.
            self.gap = gap;
            // A part may begin before the byte that is wanted.
            let known = usize::try_from(self.position.saturating_sub(place.position)).unwrap_or(usize::MAX);
            self.given = known.min(self.plain.len());
            return Ok(());
        }
        Ok(())
    }

    /// The next frame that is there.
    fn next_place(&self) -> Result<Option<Place>, RecordingError> {
        let limit = self.limit()?;
        let (at, limit) = match &self.order {
            Order::Sorted(runs) => match runs.front() {
                Some(run) => (run.at, run.behind),
                None => return Ok(None),
            },
            Order::Written(at) if *at > MAGIC.len() as u64 || begins_well(&self.stored, &self.path)? => (*at, limit),
            Order::Written(_) => return Ok(None),
        };
        let found = place(&self.stored, at, limit, &self.path)?;
        if found.is_none() && self.written.is_some() && at < limit {
            return Err(damaged(&self.path, format!("what stands at {at} is no frame")));
        }
        Ok(found)
    }

    /// Whether a frame from `at` on opens, in the order of their writing.
    fn opens_from(&self, mut at: u64) -> Result<bool, RecordingError> {
        let limit = self.limit()?;
        let mut plain = Vec::new();
        while let Some(place) = place(&self.stored, at, limit, &self.path)? {
            if self.opened(&place, &mut plain)? {
                return Ok(true);
            }
            at = place.behind();
        }
        Ok(false)
    }

    fn decrypt(&mut self, place: &Place) -> Result<bool, RecordingError> {
        let mut plain = std::mem::take(&mut self.plain);
        let opened = self.opened(place, &mut plain)?;
        self.plain = plain;
        self.given = 0;
        Ok(opened)
    }

    /// A frame's bytes, if it opens; otherwise none.
    fn opened(&self, place: &Place, plain: &mut Vec<u8>) -> Result<bool, RecordingError> {
        let mut head = [0; HEAD];
        plain.clear();
        plain.resize(place.length as usize + TAG, 0);
        let reading = || RecordingError::storage("read", &self.path);
        let there = self.stored.fill(place.at, &mut head).map_err(reading())?
            && self.stored.fill(place.at + HEAD as u64, plain).map_err(reading())?;
        let opened = there && self.key.open_in_place(Nonce::assume_unique_for_key(head), Aad::empty(), plain).is_ok();
        plain.truncate(if opened { place.length as usize } else { 0 });
        Ok(opened)
    }
}

/// Leaves out the frames before the member's byte `from`, which need not be opened once more: they were read.
fn pass_over(runs: &mut VecDeque<Run>, from: u64, stored: &Stored, path: &Path) -> Result<(), RecordingError> {
    runs.retain(|run| run.end > from);
    while let Some(run) = runs.front()
        && let Some(before) = place(stored, run.at, run.behind, path)?.filter(|place| place.end() <= from)
    {
        go_on(runs, &before);
    }
    Ok(())
}

/// Takes a frame from the first run.
fn go_on(runs: &mut VecDeque<Run>, place: &Place) {
    if let Some(run) = runs.front_mut() {
        (run.position, run.at) = (place.end(), place.behind());
        if run.at >= run.behind {
            runs.pop_front();
        }
    }
}

/// Takes away what stands at `at` of the journal, or behind it.
fn cut(runs: &mut VecDeque<Run>, at: u64) {
    for run in runs.iter_mut().filter(|run| run.behind > at) {
        run.behind = at.max(run.at);
    }
    runs.retain(|run| run.at < run.behind);
}

/// The bytes of a member whose journal this is. As long as its last frame opens, that is the only one which is opened.
pub(crate) fn size(path: &Path, member: &str, key: &SessionKey) -> Result<u64, RecordingError> {
    let mut reader = JournalReader::open(path, member, key)?;
    let (runs, _) = runs(&reader.stored, reader.limit()?, path)?;
    let Some(written_last) = runs.iter().max_by_key(|run| run.at) else { return Ok(0) };
    let last = place(&reader.stored, written_last.last, reader.limit()?, path)?;
    match last {
        None => Ok(0),
        Some(last) if reader.opened(&last, &mut Vec::new())? => Ok(runs.iter().map(|run| run.end).max().unwrap_or(0)),
        Some(_) => io::copy(&mut reader, &mut io::sink()).map_err(RecordingError::reading(path)),
    }
}

impl BufRead for JournalReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.gap == 0 && self.given == self.plain.len() {
            self.plain.clear();
            self.given = 0;
            self.advance().map_err(io::Error::other)?;
            if self.plain.is_empty() {
                break;
            }
        }
        if self.gap > 0 {
            let count = usize::try_from(self.gap).unwrap_or(usize::MAX).min(GAP.len());
            return Ok(GAP.get(..count).unwrap_or_default());
        }
        Ok(self.plain.get(self.given..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let gap = self.gap.min(count as u64);
        self.gap -= gap;
        let own = count.saturating_sub(usize::try_from(gap).unwrap_or(0)).min(self.plain.len() - self.given);
        self.given += own;
        self.position += gap + own as u64;
    }
}

impl Read for JournalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
