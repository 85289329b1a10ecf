//! Sealed recordings: a tar for each session that whoever made it cannot open.
//!
//! `recordings/<yyyy>/<mm>/<dd>/<session>.tar` holds each member of the recording cut into pieces, each piece packed with
//! zstd and sealed as one age file to the office's and the recovery key ([`crate::keys`]):
//!
//! | member | content |
//! |---|---|
//! | `SESSION/00001.cast.000001.zst.age` | the first piece of `00001.cast`; joined in order they are the member |
//! | `SESSION/00001.txt.000001.zst.age` | the text of a terminal without control sequences, for people and for searching ([`words`]) |
//! | `SESSION/manifest.json.000001.zst.age` | who, what, and the SHA-256 of every member as it was before sealing |
//! | `SESSION/index.json` | in clear and last: where each piece is, its size and SHA-256 as stored ([`SealedIndex`]) |
//!
//! What a crash left of a recording the gateway cannot read any more, so it goes in as it is:
//!
//! | member | content |
//! |---|---|
//! | `SESSION/key.age` | the key of its journal, as one age file to the same keys |
//! | `SESSION/00001.cast.000001.journal` | a piece of the journal of `00001.cast` ([`journal`](super::journal)) |
//!
//! So `tar -x`, `age -d`, `zstd -d` and `cat` open a recording without this program. Text is cut between lines, after
//! 256 KiB, and a terminal's also after 60 s; other bytes after 1 MiB. (A recording of very many pieces has larger ones, so
//! that its index can be read.) From its second piece on a terminal's begins with a comment that holds the screen
//! ([`screen`]), unless that takes more than 1 MiB, so that a reader who wants one moment opens one piece. A reader
//! without a key can still check every stored byte: against the index, and against the log that holds the same hashes.

mod advance;
mod container;
mod cut;
mod press;
pub(crate) mod screen;
mod sealing;
pub(crate) mod words;

use super::journal::KEY;
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The version of the container and of its index. Without pieces of a journal it is written as version 1, which has
/// none and is otherwise the same.
pub const SEALED_VERSION: u32 = 2;
/// The last member, in clear.
pub(crate) const INDEX: &str = "index.json";

/// `index.json`: where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedIndex {
    /// At most [`SEALED_VERSION`].
    pub version: u32,
    /// The session.
    pub session: Uuid,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// The key of what is there as a journal; `None` where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Place>,
    /// The recording's members in the order of the tar.
    pub members: Vec<SealedMember>,
}

/// Where in the tar something is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Where its bytes begin.
    #[serde(default)]
    pub at: u64,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

impl SealedIndex {
    /// Reads the index of a sealed recording.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if there is none.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        Ok(read_index(path)?.0)
    }

    /// Every file of the tar but the index itself, with its name in the tar; in no order.
    pub fn places(&self) -> impl Iterator<Item = (String, &Place)> {
        let key = self.key.iter().map(|place| (KEY.to_owned(), place));
        let pieces = self.members.iter().flat_map(|member| {
            let numbered = member.pieces.iter().enumerate();
            numbered.map(|(number, piece)| (piece_name(&member.name, number, piece), &piece.place))
        });
        key.chain(pieces)
    }

    /// The same as the log is told of it.
    fn stored(&self) -> impl Iterator<Item = Stored> {
        let key = self.key.iter().map(|place| Stored::alone(KEY, place.clone()));
        let pieces = self.members.iter().flat_map(|member| {
            let ends = member.pieces.iter().skip(1).map(|following| following.start).chain([member.size]);
            let numbered = member.pieces.iter().zip(ends).enumerate();
            numbered.map(|(number, (piece, end))| {
                let name = piece_name(&member.name, number, piece);
                Stored { name, place: piece.place.clone(), start: piece.start, end, micros: piece.micros }
            })
        });
        key.chain(pieces)
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

/// One age file, or a part of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Whether it is part of a journal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub journal: bool,
    /// The bytes of the member that lie in earlier pieces.
    pub start: u64,
    /// For a terminal's: the microseconds of the recording that lie in earlier pieces. From the second on a line with
    /// the screen comes first that is no part of the member. `None` where that would take more than 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// The name in the tar of a member's piece, counted from 0.
#[must_use]
pub fn piece_name(member: &str, number: usize, piece: &Piece) -> String {
    let form = if piece.journal { "journal" } else { "zst.age" };
    format!("{member}.{:06}.{form}", number + 1)
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A file of a sealed recording, as the log is told of it: the line of its index, and enough to write that again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its name in the tar, without the session.
    pub name: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The member's bytes that lie in earlier pieces.
    #[serde(default)]
    pub start: u64,
    /// Those, and the bytes in this one.
    #[serde(default)]
    pub end: u64,
    /// [`Piece::micros`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

impl Stored {
    /// A file that belongs to no member.
    fn alone(name: &str, place: Place) -> Self {
        Self { name: name.to_owned(), place, start: 0, end: 0, micros: None }
    }
}

/// Where the sealed recording of the session in a working folder is, or would be.
#[must_use]
pub fn sealed_path(folder: &Path) -> PathBuf {
    folder.with_extension("tar")
}

pub(crate) use container::read_index;
pub use press::Press;
pub use sealing::Sealing;
