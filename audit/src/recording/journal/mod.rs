//! The journal of a recording's members: how they lie on the disk until they are sealed, so that nothing that was
//! recorded ever stands there in clear.
//!
//! When a recording starts, a key is made for it ([`SessionKey`]). It stays in the gateway's memory; what the folder holds
//! of it is `key.age`, sealed to the audit office's and the recovery key. So the gateway writes what it can read as long
//! as the session is its own, and nobody but an auditor can read it after a crash.
//!
//! `00001.cast.journal` holds the member `00001.cast`:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `SKMJRNL1` |
//! | 8 | a frame: where in the member its bytes belong, big-endian |
//! | 4 | how many they are, at most 1 MiB, big-endian |
//! | as many | the bytes, encrypted |
//! | 16 | the tag |
//!
//! and so on, frame after frame. The cipher is AES-256-GCM; its nonce are the twelve bytes before, which never repeat
//! within a member since no byte of one is written twice. A member's own key is HKDF-SHA256 of the session's, with the
//! salt `sekimori journal 1` and the member's name, so that no frame can pass for another's. Frames leave no gap, except
//! in the kept copy of a file whose middle never went through. What was not written whole, or not to the disk before the
//! power went, stands at the end and was never forwarded: a frame that is cut off, what is no frame, or frames that do
//! not open. One that does not open and is followed by another that does was altered.

mod key;
mod parts;
mod places;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use key::SessionKey;
pub(crate) use parts::parts_of;
pub(crate) use places::REACH;
pub(crate) use read::{JournalReader, Mark, size};
#[cfg(test)]
pub(crate) use tests::heads;
pub(crate) use write::{Journal, Lengths, Written, journal_of};

use crate::error::RecordingError;
use std::path::{Path, PathBuf};

/// What a journal begins with; the digit is the version.
pub(crate) const MAGIC: [u8; 8] = *b"SKMJRNL1";
/// What the name of a journal adds to its member's.
pub(crate) const SUFFIX: &str = ".journal";
/// The session's key, sealed.
pub(crate) const KEY: &str = "key.age";
/// Bytes before a frame's own.
const HEAD: usize = 12;
/// Bytes after them.
const TAG: usize = 16;
/// The most bytes of a member in one frame.
const MOST: usize = 1 << 20;

/// Where the journal of a member is.
pub(crate) fn path_of(folder: &Path, member: &str) -> PathBuf {
    folder.join(format!("{member}{SUFFIX}"))
}

fn damaged(path: &Path, reason: String) -> RecordingError {
    RecordingError::Damaged { path: path.to_owned(), format: "journal", reason }
}
