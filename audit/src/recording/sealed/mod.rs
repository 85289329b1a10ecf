//! Sealed recordings: a tar for each session that whoever made it cannot open.
//!
//! `recordings/<yyyy>/<mm>/<dd>/<session>.tar` holds each member of the recording cut into pieces, each piece packed with
//! zstd and sealed as one age file to the office's and the recovery key ([`crate::keys`]):
//!
//! | member | content |
//! |---|---|
//! | `SESSION/00001.cast.000001.zst.age` | the first piece of `00001.cast`; joined in order they are the member |
//! | `SESSION/manifest.json.000001.zst.age` | who, what, and the SHA-256 of every member as it was before sealing |
//! | `SESSION/index.json` | in clear and last: where each piece is, its size and SHA-256 as stored ([`SealedIndex`]) |
//!
//! So `tar -x`, `age -d`, `zstd -d` and `cat` open a recording without this program. Text is cut between lines, after
//! 256 KiB, and a terminal's also after 60 s; other bytes after 1 MiB. From its second piece on a terminal's begins with
//! a comment that holds the screen ([`screen`]), so that a reader who wants one moment opens one piece. A reader without
//! a key can still check every stored byte: against the index, and against the log that holds the same hashes.

mod container;
mod cut;
pub(crate) mod screen;

use super::member::{hex, sync_folder};
use super::values::SessionHead;
use crate::error::RecordingError;
use crate::keys::Recipients;
use chrono::{DateTime, Utc};
use container::Container;
use cut::{Kind, Pieces};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The version of the container and of its index.
pub const SEALED_VERSION: u32 = 1;
/// The last member, in clear.
pub(crate) const INDEX: &str = "index.json";

/// `index.json`: where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedIndex {
    /// [`SEALED_VERSION`].
    pub version: u32,
    /// The session.
    pub session: Uuid,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// The recording's members in the order of the tar.
    pub members: Vec<SealedMember>,
}

impl SealedIndex {
    /// Reads the index of a sealed recording.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if there is none.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        Ok(read_index(path)?.0)
    }
}

/// A member of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedMember {
    /// Its name in the recording: `00001.cast`.
    pub name: String,
    /// Its bytes before sealing.
    pub size: u64,
    /// What it was cut into; an empty member has one empty piece.
    pub pieces: Vec<Piece>,
}

/// One age file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where in the tar its bytes begin.
    pub at: u64,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
    /// The bytes of the member that lie in earlier pieces.
    pub start: u64,
    /// For a terminal's: the microseconds of the recording that lie in earlier pieces. From the second on a line with
    /// the screen comes first that is no part of the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// The name in the tar of a member's piece, counted from 0.
#[must_use]
pub fn piece_name(member: &str, piece: usize) -> String {
    format!("{member}.{:06}.zst.age", piece + 1)
}

/// A file of a sealed recording, as the log is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its name in the tar, without the session.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A recording that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The tar.
    pub path: PathBuf,
    /// Everything in it, `index.json` last.
    pub stored: Vec<Stored>,
}

/// Where the sealed recording of the session in a working folder is, or would be.
#[must_use]
pub fn sealed_path(folder: &Path) -> PathBuf {
    folder.with_extension("tar")
}

/// Seals the recording in a working folder into the tar beside it, which is on the disk when this returns. The folder
/// stays; take it away once the log has been told. One that was sealed before is not sealed again. Blocks.
///
/// # Errors
/// What the file system said; then there is no tar.
pub fn seal(
    folder: &Path,
    head: &SessionHead,
    recipients: &Recipients,
    press: &mut Press,
) -> Result<Sealed, RecordingError> {
    let path = sealed_path(folder);
    if !path.exists() {
        let partial = folder.with_extension("tar.partial");
        // What a crash left of an earlier try.
        std::fs::remove_file(&partial).or_else(not_there).map_err(RecordingError::storage("remove", &partial))?;
        let index =
            SealedIndex { version: SEALED_VERSION, session: head.session, opened: head.opened, members: Vec::new() };
        let mut container = Container::create(&partial, index)?;
        for name in members_in_order(folder)? {
            seal_member(folder, &name, recipients, &mut container, press)?;
        }
        container.finish()?;
        std::fs::rename(&partial, &path).map_err(RecordingError::storage("name", &path))?;
        sync_folder(folder.parent().unwrap_or(folder))?;
    }
    let (index, stored_index) = container::read_index(&path)?;
    let mut stored: Vec<_> = index.members.iter().flat_map(pieces_stored).collect();
    stored.push(stored_index);
    Ok(Sealed { path, stored })
}

fn pieces_stored(member: &SealedMember) -> impl Iterator<Item = Stored> {
    member.pieces.iter().enumerate().map(|(number, piece)| Stored {
        name: piece_name(&member.name, number),
        size: piece.size,
        sha256: piece.sha256.clone(),
    })
}

pub use container::Press;
pub(crate) use container::read_index;

/// Who and what for first, what makes it whole last.
fn members_in_order(folder: &Path) -> Result<Vec<String>, RecordingError> {
    let mut names = super::names_in(folder)?;
    names.sort_by_key(|name| {
        let rank = match name.as_str() {
            "session.json" => 0,
            "manifest.json" => 2,
            _ => 1,
        };
        (rank, name.clone())
    });
    Ok(names)
}

fn seal_member(
    folder: &Path,
    name: &str,
    recipients: &Recipients,
    container: &mut Container,
    press: &mut Press,
) -> Result<(), RecordingError> {
    let path = folder.join(name);
    let file = std::fs::File::open(&path).map_err(RecordingError::storage("open", &path))?;
    let room = std::mem::take(&mut press.room);
    let mut pieces = Pieces::of(Kind::of(name), Box::new(file), &path, room);
    container.begin(name);
    while let Some(cut) = pieces.next_piece()? {
        container.add(&cut, recipients, press)?;
    }
    container.end(pieces.size());
    press.room = pieces.into_room();
    Ok(())
}

fn not_there(fault: std::io::Error) -> std::io::Result<()> {
    if fault.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(fault) }
}
