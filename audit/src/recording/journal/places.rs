//! Where the frames of a journal are, found without a key.
//!
//! A power cut can leave more of a file than was written: its size is on the disk before its bytes are, and zeros or
//! something older stand in their place. What cannot be the head of a frame ends what is found; a frame whose bytes are
//! missing looks whole until somebody with the key opens it, and that is left to [`super::JournalReader`].

use super::{HEAD, MAGIC, MOST, TAG};
use crate::error::RecordingError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How far the gaps of a kept copy may reach, all together. Other members have none.
pub(crate) const REACH: u64 = 64 << 20;

/// What a journal is read from.
pub(super) enum Stored {
    File(File),
    Memory(Vec<u8>),
}

impl Stored {
    pub(super) fn open(path: &Path) -> Result<Self, RecordingError> {
        File::open(path).map(Self::File).map_err(RecordingError::storage("open", path))
    }

    /// Fills `buffer` from `at` on; `false` where that is not there, for now or for good.
    pub(super) fn fill(&self, at: u64, buffer: &mut [u8]) -> io::Result<bool> {
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

    pub(super) fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }
}

/// A frame's place: in the member, and in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) length: u32,
    pub(super) at: u64,
}

impl Place {
    /// One past its last byte in the member.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.length.into())
    }

    /// One past its last byte in the journal.
    pub(super) fn behind(&self) -> u64 {
        self.at + HEAD as u64 + u64::from(self.length) + TAG as u64
    }
}

/// The frame that begins at `at` and ends before `limit`. `None` where none does: there is nothing, not all of it, or
/// what no frame begins with.
pub(super) fn place(stored: &Stored, at: u64, limit: u64, path: &Path) -> Result<Option<Place>, RecordingError> {
    let mut head = [0; HEAD];
    if !stored.fill(at, &mut head).map_err(RecordingError::storage("read", path))? {
        return Ok(None);
    }
    let (position, length) = head.split_at(8);
    let position = u64::from_be_bytes(position.try_into().unwrap_or_default());
    let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
    let place = Place { position, length, at };
    let possible = length > 0 && length as usize <= MOST && position.checked_add(length.into()).is_some();
    Ok((possible && place.behind() <= limit).then_some(place))
}

/// Whether it begins as a journal does; `false` while nothing is there, or nothing but zeros.
pub(super) fn begins_well(stored: &Stored, path: &Path) -> Result<bool, RecordingError> {
    match magic(stored, path)? {
        Some(MAGIC) => Ok(true),
        None | Some([0, 0, 0, 0, 0, 0, 0, 0]) => Ok(false),
        Some(_) => Err(super::damaged(path, "it is of another version, or none".to_owned())),
    }
}

fn magic(stored: &Stored, path: &Path) -> Result<Option<[u8; 8]>, RecordingError> {
    let mut magic = [0; MAGIC.len()];
    let there = stored.fill(0, &mut magic).map_err(RecordingError::storage("read", path))?;
    Ok(there.then_some(magic))
}

/// Frames that follow one another in the member as they do in the journal: as many as a file that came in order has are
/// one run, so that what is remembered of a journal is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Its first byte in the member, and one past its last.
    pub(super) position: u64,
    pub(super) end: u64,
    /// The same in the journal.
    pub(super) at: u64,
    pub(super) behind: u64,
    /// Where its last frame begins.
    pub(super) last: u64,
}

/// The runs of a journal in the order of the member, and where its frames end. What lies farther ahead than a writer goes
/// was written by none.
pub(super) fn runs(stored: &Stored, limit: u64, path: &Path) -> Result<(Vec<Run>, u64), RecordingError> {
    if magic(stored, path)? != Some(MAGIC) {
        return Ok((Vec::new(), 0));
    }
    let mut at = MAGIC.len() as u64;
    let (mut runs, mut reached) = (Vec::<Run>::new(), 0_u64);
    while let Some(place) = place(stored, at, limit, path)? {
        // The first frame of a part stands anywhere.
        let possible =
            if is_copy(path) { place.position <= reached.saturating_add(REACH) } else { place.position == reached };
        if !possible && !runs.is_empty() {
            break;
        }
        at = place.behind();
        reached = reached.max(place.end());
        match runs.last_mut().filter(|run| run.end == place.position) {
            Some(run) => (run.end, run.behind, run.last) = (place.end(), at, place.at),
            None => {
                let (position, end, last) = (place.position, place.end(), place.at);
                runs.push(Run { position, end, at: place.at, behind: at, last });
            }
        }
    }
    runs.sort_by_key(|run| run.position);
    Ok((runs, at))
}

/// Whether this is, or was, the journal of a kept copy: only these are written out of order, and have gaps.
pub(super) fn is_copy(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("files"))
}
