//! Writes the journal of one member.

use super::{HEAD, MAGIC, MOST, SessionKey, TAG, path_of};
use crate::error::RecordingError;
use crate::recording::Durability;
use crate::recording::member::create_file;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::error::Unspecified;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for a frame that stays with a journal between writes.
const ROOM: usize = 16 << 10;

/// How far a journal of this process is written: what lies beyond is under way, or was left by a write that failed, and
/// is not forwarded. It can be there whole all the same, for as long as a failing disk takes to say so.
#[derive(Debug, Clone)]
pub(crate) struct Written(Arc<AtomicU64>);

impl Written {
    /// How much of a file of this length that is.
    pub(crate) fn of(&self, length: u64) -> u64 {
        self.0.load(Ordering::Acquire).min(length)
    }
}

/// [`Written`] of each journal of a recording, by its member. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lengths(Arc<Mutex<HashMap<String, Written>>>);

impl Lengths {
    /// That of a member. One whose journal was closed is written to its end.
    pub(crate) fn of(&self, member: &str) -> Written {
        self.all().get(member).cloned().unwrap_or_else(|| Written(Arc::new(AtomicU64::new(u64::MAX))))
    }

    /// Whether more may come of a member.
    pub(crate) fn is_open(&self, member: &str) -> bool {
        self.all().contains_key(member)
    }

    fn add(&self, member: &str) -> Written {
        let written = Written(Arc::default());
        self.all().insert(member.to_owned(), written.clone());
        written
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A journal that is being written.
pub(crate) struct Journal {
    path: PathBuf,
    member: String,
    file: File,
    key: LessSafeKey,
    /// The frames of one write.
    frames: Vec<u8>,
    /// The bytes of all writes so far, for those who read it meanwhile.
    written: Written,
    lengths: Lengths,
    durability: Durability,
    /// A write failed half way: what would come behind it could not be read.
    torn: bool,
}

impl Journal {
    /// Makes the journal of a member, which must have none.
    pub(crate) fn create(
        folder: &Path,
        member: &str,
        key: &SessionKey,
        lengths: &Lengths,
        durability: Durability,
    ) -> Result<Self, RecordingError> {
        let path = path_of(folder, member);
        let key = key.of_member(member).map_err(|_| no_cipher(&path))?;
        // Known before there is a file: one that is not is taken for written to its end.
        let written = lengths.add(member);
        let file = create_file(&path).inspect_err(|_| drop(lengths.all().remove(member)))?;
        let (lengths, member) = (lengths.clone(), member.to_owned());
        Ok(Self { path, member, file, key, frames: MAGIC.to_vec(), written, lengths, durability, torn: false })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes that belong at `position` of the member, where none were written before. When it returns they outlive
    /// what they are to outlive.
    pub(crate) fn write(&mut self, position: u64, bytes: &[u8]) -> Result<(), RecordingError> {
        if self.torn {
            return Err(RecordingError::Closed(self.path.display().to_string()));
        }
        let frames = bytes.len().div_ceil(MOST);
        self.frames.reserve(bytes.len() + frames * (HEAD + TAG));
        let mut at = position;
        for part in bytes.chunks(MOST) {
            if add_frame(&mut self.frames, &self.key, at, part).is_err() {
                self.torn = true;
                return Err(no_cipher(&self.path));
            }
            at += part.len() as u64;
        }
        let written = self.file.write_all(&self.frames);
        let length = self.length() + self.frames.len() as u64;
        self.frames.clear();
        self.frames.shrink_to(ROOM);
        let kept = match self.durability {
            Durability::Process => written,
            Durability::Power => written.and_then(|()| self.file.sync_data()),
        };
        if let Err(fault) = kept {
            self.torn = true;
            // If this fails too, the first fault says more, and it is tried again at the end.
            let _ = self.cut_off();
            return Err(RecordingError::storage("write", &self.path)(fault));
        }
        self.written.0.store(length, Ordering::Release);
        Ok(())
    }

    /// Makes what was written outlive a power cut.
    pub(crate) fn sync(&self) -> Result<(), RecordingError> {
        if self.torn {
            self.cut_off().map_err(RecordingError::storage("shorten", &self.path))?;
        }
        self.file.sync_data().map_err(RecordingError::storage("sync", &self.path))
    }

    /// As a failed write leaves it.
    #[cfg(test)]
    pub(crate) fn tear(&mut self) {
        self.torn = true;
    }

    fn length(&self) -> u64 {
        self.written.0.load(Ordering::Acquire)
    }

    /// What was not kept whole is not forwarded, and nobody counts it.
    fn cut_off(&self) -> io::Result<()> {
        self.file.set_len(self.length())
    }
}

impl Drop for Journal {
    /// A recording can have very many copies of files: what is known of one ends with it, unless its file says more
    /// than was written.
    fn drop(&mut self) {
        if !self.torn || self.cut_off().is_ok() {
            self.lengths.all().remove(&self.member);
        }
    }
}

/// A whole journal in memory.
pub(crate) fn journal_of(bytes: &[u8], member: &str, key: &SessionKey) -> Result<Vec<u8>, Unspecified> {
    let key = key.of_member(member)?;
    let mut journal = MAGIC.to_vec();
    let mut at = 0;
    for part in bytes.chunks(MOST) {
        add_frame(&mut journal, &key, at, part)?;
        at += part.len() as u64;
    }
    Ok(journal)
}

fn add_frame(frames: &mut Vec<u8>, key: &LessSafeKey, position: u64, bytes: &[u8]) -> Result<(), Unspecified> {
    let mut head = [0; HEAD];
    let (first, last) = head.split_at_mut(8);
    first.copy_from_slice(&position.to_be_bytes());
    last.copy_from_slice(&u32::try_from(bytes.len()).map_err(|_| Unspecified)?.to_be_bytes());
    frames.extend_from_slice(&head);
    let begin = frames.len();
    frames.extend_from_slice(bytes);
    let encrypted = frames.get_mut(begin..).unwrap_or_default();
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(head), Aad::empty(), encrypted)?;
    frames.extend_from_slice(tag.as_ref());
    Ok(())
}

fn no_cipher(path: &Path) -> RecordingError {
    RecordingError::storage("encrypt", path)(io::Error::other("the cipher refuses"))
}
