//! Kept copies: the bytes of each file that went through, assembled by offset while they pass.
//!
//! A copy holds one unbroken stretch of a file. Bytes that would overwrite what is kept already, or that lie far from
//! it, begin another copy: so nothing that went through can be overwritten by what comes later, and an absurd offset
//! makes no absurd file. Bytes sent out of order inside the stretch find their place.
//!
//! What a copy costs later (its gaps read as zeros, which are hashed and sealed) is bounded by what went through: gaps are
//! counted over a channel, and so are the copies that were begun anew. Who moves bytes here and there beyond that has
//! them kept all the same, one behind the other as they came ([`Transfer::unplaced`]).

use super::journal::{Journal, JournalReader, Mark, REACH};
use super::member::{Folder, create_folder};
use super::values::{Direction, MemberEntry, Transfer};
use crate::error::RecordingError;
use crate::hex;
use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Gaps of all copies of a channel together, closed ones aside; one copy's are [`REACH`] at most. Clients have a few MiB
/// under way at once.
const GAPS: u64 = 4 * REACH;
/// Gaps that are remembered before another copy begins.
const MAX_STRETCHES: usize = 1024;
/// Bytes that did not follow those before them, in one copy: each is remembered when it is read.
const MAX_TURNS: u32 = 1 << 20;
/// Copies of a channel that were begun anew, because bytes did not belong to the one before.
const MAX_ANEW: u32 = 1024;

/// Where a channel's copies go: `files/00003-0001`, in the order of their beginning.
pub(super) struct Shelf {
    folder: Folder,
    channel: u32,
    count: u32,
    /// Bytes that are missing in its copies, for now or for good.
    gaps: u64,
    /// Copies that were begun anew.
    anew: u32,
    entries: Vec<MemberEntry>,
    /// Finished copies that a power cut could still take.
    unsynced: Vec<PathBuf>,
}

impl Shelf {
    /// The copies of one channel.
    pub(super) fn new(folder: &Folder, channel: u32) -> Self {
        Self { folder: folder.clone(), channel, count: 0, gaps: 0, anew: 0, entries: Vec::new(), unsynced: Vec::new() }
    }

    /// The lines of the manifest for all finished copies.
    pub(super) fn entries(&self) -> &[MemberEntry] {
        &self.entries
    }

    /// Makes the finished copies outlive a power cut: all at once, since who moves a thousand small files must not wait
    /// for the disk a thousand times.
    pub(super) fn sync(&mut self) -> Result<(), RecordingError> {
        for path in self.unsynced.drain(..) {
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map_err(RecordingError::storage("sync", &path))?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(String, Journal), RecordingError> {
        if self.count == 0 {
            create_folder(&self.folder.path.join("files"))?;
        }
        self.count += 1;
        let name = format!("files/{:05}-{:04}", self.channel, self.count);
        let journal = self.folder.journal(&name)?;
        Ok((name, journal))
    }

    /// Size and SHA-256 of a copy, read from its beginning.
    fn measure(&self, name: &str, journal: &Journal) -> Result<(u64, String), RecordingError> {
        let Folder { key, lengths, .. } = &self.folder;
        let mut reader = JournalReader::open_at(journal.path(), name, key, lengths.of(name), (Mark::default(), 0))?;
        let mut hash = Context::new(&SHA256);
        let mut buffer = vec![0; 256 * 1024];
        let mut size = 0;
        loop {
            let count = reader.read(&mut buffer).map_err(RecordingError::reading(journal.path()))?;
            if count == 0 {
                return Ok((size, hex::encode(hash.finish().as_ref())));
            }
            hash.update(buffer.get(..count).unwrap_or_default());
            size += count as u64;
        }
    }
}

/// What is known of a file when it begins to move.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) path: String,
    pub(super) path_hex: Option<String>,
    pub(super) name: Option<String>,
    pub(super) direction: Direction,
}

/// One transfer that is under way.
pub(super) struct Moving {
    subject: Subject,
    started: DateTime<Utc>,
    /// The offset of the first byte; `None` before one moved.
    base: Option<u64>,
    /// What is kept, as `start → end` in offsets of the file; touching stretches are one.
    stretches: BTreeMap<u64, u64>,
    /// Kept as it comes, wherever it belongs.
    unplaced: bool,
    /// Where the bytes ended that came last, and how often others did not follow them.
    last: u64,
    turns: u32,
    moved: u64,
    copy: Option<(String, Journal)>,
    /// The running hash while bytes come in order; `None` once they did not, and the copy is read at the end.
    hash: Option<Context>,
}

impl Moving {
    /// Nothing has moved yet.
    pub(super) fn new(subject: Subject, started: DateTime<Utc>) -> Self {
        let hash = Some(Context::new(&SHA256));
        let (base, stretches, copy) = (None, BTreeMap::new(), None);
        Self { subject, started, base, stretches, unplaced: false, last: 0, turns: 0, moved: 0, copy, hash }
    }

    /// Nothing has moved yet, and the first byte will be that at `base`.
    pub(super) fn starting_at(subject: Subject, started: DateTime<Utc>, base: u64) -> Self {
        Self { base: Some(base), ..Self::new(subject, started) }
    }

    /// The same, for bytes that do not belong to the copy before: the file's next one.
    pub(super) fn anew(subject: Subject, started: DateTime<Utc>, base: u64, shelf: &mut Shelf) -> Self {
        let unplaced = shelf.anew >= MAX_ANEW;
        shelf.anew = shelf.anew.saturating_add(1);
        Self { unplaced, ..Self::starting_at(subject, started, base) }
    }

    /// One past the last byte kept; where it would begin, before any.
    pub(super) fn end(&self) -> u64 {
        self.stretches.last_key_value().map_or(self.base.unwrap_or(0), |(_, end)| *end)
    }

    /// Whether `length` bytes at `offset` belong to this stretch of the file.
    pub(super) fn accepts(&self, shelf: &Shelf, offset: u64, length: u64) -> bool {
        let Some(base) = self.base.filter(|_| !self.unplaced) else { return true };
        let end = offset.saturating_add(length);
        let before = self.stretches.range(..end).next_back();
        let free = before.is_none_or(|(_, kept_to)| *kept_to <= offset);
        let gaps = self.end().saturating_sub(base).saturating_sub(self.moved);
        let room = REACH.saturating_sub(gaps).min(GAPS.saturating_sub(shelf.gaps));
        let near = base <= offset && offset.saturating_sub(self.end()) <= room;
        near && free && self.stretches.len() < MAX_STRETCHES && self.turns < MAX_TURNS
    }

    /// Keeps bytes that [`Moving::accepts`] agreed to. When it returns, the kernel has them.
    pub(super) fn put(&mut self, shelf: &mut Shelf, offset: u64, bytes: &[u8]) -> Result<(), RecordingError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let base = *self.base.get_or_insert(offset);
        let position = if self.unplaced { self.moved } else { offset.saturating_sub(base) };
        if self.copy.is_none() {
            self.copy = Some(shelf.next()?);
        }
        if let Some((_, journal)) = &mut self.copy {
            journal.write(position, bytes)?;
        }
        match (&mut self.hash, self.moved == position) {
            (Some(hash), true) => hash.update(bytes),
            _ => self.hash = None,
        }
        let length = bytes.len() as u64;
        self.moved += length;
        if !self.unplaced {
            match offset.checked_sub(self.end()) {
                Some(gap) => shelf.gaps = shelf.gaps.saturating_add(gap),
                None => shelf.gaps = shelf.gaps.saturating_sub(length),
            }
            let follows = std::mem::replace(&mut self.last, offset.saturating_add(length)) == offset;
            self.turns = self.turns.saturating_add(u32::from(!follows));
            self.remember(offset, offset.saturating_add(length));
        }
        Ok(())
    }

    /// Ends the transfer; `orderly` says that its protocol ended it well, gaps are found here.
    pub(super) fn finish(
        self,
        shelf: &mut Shelf,
        at: DateTime<Utc>,
        orderly: bool,
    ) -> Result<Transfer, RecordingError> {
        let (kept_copy, sha256) = match (self.copy, self.hash) {
            (Some((name, journal)), hash) => {
                let (size, sha256) = match hash {
                    Some(hash) => (self.moved, hex::encode(hash.finish().as_ref())),
                    None => shelf.measure(&name, &journal)?,
                };
                shelf.unsynced.push(journal.path().to_owned());
                let content = "kept copy of a transferred file".to_owned();
                shelf.entries.push(MemberEntry { name: name.clone(), content, size, sha256: sha256.clone() });
                (Some(name), sha256)
            }
            (None, hash) => (None, hex::encode(hash.unwrap_or_else(|| Context::new(&SHA256)).finish().as_ref())),
        };
        Ok(Transfer {
            channel: shelf.channel,
            path: self.subject.path,
            path_hex: self.subject.path_hex,
            name: self.subject.name,
            direction: self.subject.direction,
            offset: self.base.unwrap_or(0),
            size: self.moved,
            sha256,
            complete: orderly && self.stretches.len() <= 1 && !self.unplaced,
            unplaced: self.unplaced,
            kept_copy,
            started: self.started,
            ended: at,
        })
    }

    /// Ends all of these, the ones behind a fault as well: what of them is kept stands in the manifest all the same.
    pub(super) fn finish_all(
        all: impl IntoIterator<Item = Self>,
        shelf: &mut Shelf,
        at: DateTime<Utc>,
    ) -> (Vec<Transfer>, Result<(), RecordingError>) {
        let (mut ended, mut outcome) = (Vec::new(), Ok(()));
        for moving in all {
            match moving.finish(shelf, at, false) {
                Ok(transfer) => ended.push(transfer),
                Err(fault) => outcome = outcome.and(Err(fault)),
            }
        }
        let synced = shelf.sync();
        (ended, outcome.and(synced))
    }

    fn remember(&mut self, mut start: u64, mut end: u64) {
        if let Some((&before, &before_end)) = self.stretches.range(..=start).next_back()
            && before_end == start
        {
            self.stretches.remove(&before);
            start = before;
        }
        if let Some(after_end) = self.stretches.remove(&end) {
            end = after_end;
        }
        self.stretches.insert(start, end);
    }
}
