//! Writes the journal of one member.

use super::{HEAD, MAGIC, MOST, SessionKey, TAG, path_of};
use crate::error::RecordingError;
use crate::recording::Durability;
use crate::recording::member::create_file;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::error::Unspecified;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Room for a frame that stays with a journal between writes.
const ROOM: usize = 16 << 10;

/// A journal that is being written.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    key: LessSafeKey,
    /// The frames of one write.
    frames: Vec<u8>,
    /// The bytes of all writes so far.
    length: u64,
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
        durability: Durability,
    ) -> Result<Self, RecordingError> {
        let path = path_of(folder, member);
        let key = key.of_member(member).map_err(|_| no_cipher(&path))?;
        let file = create_file(&path)?;
        Ok(Self { path, file, key, frames: MAGIC.to_vec(), length: 0, durability, torn: false })
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
        let length = self.length + self.frames.len() as u64;
        self.frames.clear();
        self.frames.shrink_to(ROOM);
        let kept = match self.durability {
            Durability::Process => written,
            Durability::Power => written.and_then(|()| self.file.sync_data()),
        };
        if let Err(fault) = kept {
            self.torn = true;
            // What was not kept whole is not forwarded, and nobody counts it. If this fails too, the first fault says more.
            let _ = self.file.set_len(self.length);
            return Err(RecordingError::storage("write", &self.path)(fault));
        }
        self.length = length;
        Ok(())
    }

    /// Makes what was written outlive a power cut.
    pub(crate) fn sync(&self) -> Result<(), RecordingError> {
        self.file.sync_data().map_err(RecordingError::storage("sync", &self.path))
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
