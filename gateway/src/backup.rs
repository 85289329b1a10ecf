//! Copies of all that a gateway has, taken while it serves, and what becomes of one: a rehearsal, or a gateway again.
//!
//! Backups lie in a [`Place`], a folder or a bucket:
//!
//! | file | content |
//! |---|---|
//! | `sekimori-backup` | whose they are, so that nothing else is ever written over or cleared away |
//! | `log/`, `recordings/….tar` | what never changes, under its own name, copied once: the transparency log, sealed recordings |
//! | `taken/WHEN/` | what changes, of one backup: |
//! | `… database.age` | the database of a moment after the log's checkpoint, sealed to the audit office and the recovery key |
//! | `… keys.tar.age` | the gateway's keys and its configuration, sealed to the recovery key alone |
//! | `… log.keys`, `log/cosigned`, `recordings/…` | as they are; the working folders of live sessions among them |
//! | `… files` | every file of the backup with where it lies, its size and its SHA-256 ([`list`]) |
//! | `… backup.note` | the [`Manifest`]: the log's checkpoint and the hash of that list, signed by the log's key (C2SP signed-note) |
//!
//! Nothing in it can be read without a key, and who holds the office's cannot become the gateway. Anybody could seal another
//! database to the same public keys, so what is restored is what the gateway signed, file by file. The note is written last,
//! and nothing that an earlier note names is touched before: a backup that breaks off leaves the one before it whole. The
//! order makes it consistent: the log first, so that the database knows all that the log seals; recordings last, so that all
//! pieces are there that the database tells of.

mod bucket;
mod check;
mod files;
mod folder;
mod list;
mod lock;
mod make;
mod place;
mod revive;
mod s3;
mod stage;

pub use check::{Checked, check};
pub use make::{Made, make};
pub use place::Place;
pub use revive::{check_room, revive, unpacked_configuration};
pub use stage::{Found, Staged, find, stage};

use crate::store::StoreError;
use chrono::{DateTime, Utc};
use list::Entry;
use sekimori_audit::error::RecordingError;
use sekimori_audit::log::{LogError, LogKeys, Note, SigningKey, note};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Whose backups lie there.
const MARKER: &str = "sekimori-backup";
/// Below it each backup has a folder, whose names sort by time.
const TAKEN: &str = "taken";
const NOTE: &str = "backup.note";
/// What a note of a backup begins with; the digit is the version of the form.
const HEAD: &str = "sekimori backup 2\n";
const FILES: &str = "files";
const DATABASE: &str = "database.age";
const KEYS: &str = "keys.tar.age";
const LOG: &str = "log";
const LOG_KEYS: &str = "log.keys";
const RECORDINGS: &str = "recordings";
const CHECKPOINT: &str = "checkpoint";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// Of which hospital.
    pub hospital: String,
    /// Of which program.
    pub program: String,
    /// Entries of the log in it.
    pub entries: u64,
    /// The checkpoint over them, with its signatures.
    pub checkpoint: String,
    /// The list of its files.
    pub files: Entry,
}

/// Why a backup cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store of a bucket failed, or refused.
    #[error("cannot {doing} {what}: {why}")]
    Bucket {
        /// What was being done.
        doing: &'static str,
        /// With what.
        what: String,
        /// What the store said.
        why: String,
    },
    /// It is no backup, or not as it was made.
    #[error("{what} is no backup that can be used: {reason}")]
    Unusable {
        /// The file or the folder.
        what: String,
        /// Why.
        reason: String,
    },
    /// No backup may be written there.
    #[error("{what} cannot take backups of this gateway: {reason}")]
    Unfit {
        /// The folder.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Another run is at work.
    #[error("another backup of this gateway is under way: wait for its end (it holds {})", .0.display())]
    Busy(PathBuf),
    /// What is copied did not stand still.
    #[error("{} changes faster than it can be copied: try again", .0.display())]
    Unsteady(PathBuf),
    /// Something is where the backup would go.
    #[error("{0} is there already: a gateway is restored where none is")]
    Occupied(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Store(Box<StoreError>),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl BackupError {
    fn storage(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Storage { doing, path, source }
    }

    fn unusable(what: impl ToString, reason: impl ToString) -> Self {
        Self::Unusable { what: what.to_string(), reason: reason.to_string() }
    }

    fn unfit(what: impl ToString, reason: impl ToString) -> Self {
        Self::Unfit { what: what.to_string(), reason: reason.to_string() }
    }
}

impl From<StoreError> for BackupError {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::AlreadyCreated { place } => Self::Occupied(place),
            fault => Self::Store(Box::new(fault)),
        }
    }
}

impl Manifest {
    /// It as a signed note.
    ///
    /// # Errors
    /// [`BackupError::Other`] if it cannot be encoded.
    fn signed(&self, key: &SigningKey) -> Result<String, BackupError> {
        let json = serde_json::to_string(self).map_err(anyhow::Error::from)?;
        let text = format!("{HEAD}{json}\n");
        Ok(note::join(&text, &[key.sign(&text)]))
    }

    /// Reads a note, if the log's key signed it: the last of those that were kept. A key that was succeeded may have been
    /// stolen since, and whoever has it could sign a database of their own for a log that ends before the succession.
    ///
    /// # Errors
    /// Why it does not count.
    fn read(bytes: &[u8], keys: &LogKeys) -> Result<Self, String> {
        let note = Note::parse(bytes).map_err(|fault| fault.to_string())?;
        let signers = note.verify(keys.log()).map_err(|fault| fault.to_string())?;
        if !signers.iter().any(|signer| Some(&signer.key) == keys.log().last()) {
            return Err(
                "its key was succeeded by another since; for a backup of before that, give --keys a file that \
                        ends with the key of then"
                    .to_owned(),
            );
        }
        let json = note.text().strip_prefix(HEAD).ok_or("it is of another form; this program reads form 2")?;
        serde_json::from_str(json).map_err(|fault| fault.to_string())
    }
}
