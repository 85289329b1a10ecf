//! Copies of all that a gateway has, taken while it serves, and what becomes of one: a rehearsal, or a gateway again.
//!
//! A backup is a folder:
//!
//! | file | content |
//! |---|---|
//! | `log/` | the transparency log up to a checkpoint, as it is; `log.keys` beside it |
//! | `recordings/` | sealed recordings, and the working folders of live sessions, as they are |
//! | `database.age` | the database of a moment after that checkpoint, sealed to the audit office and the recovery key |
//! | `keys.tar.age` | the gateway's keys and its configuration, sealed to the recovery key alone |
//! | `backup.note` | what of it is new each time, with sizes and SHA-256, signed by the log's key (C2SP signed-note); written last ([`Manifest`]) |
//!
//! Nothing in it can be read without a key, and who holds the office's cannot become the gateway. Anybody could seal another
//! database to the same public keys, so what is restored is what the gateway signed. The order makes it
//! consistent: the log first, so that the database knows all that the log seals; recordings last, so that all pieces are
//! there that the database tells of. What never changes is not copied again, so that a folder can be one of object store
//! that keeps what it has (rclone, restic, an immutable mount), and a second copy costs little.

mod check;
mod files;
mod make;
mod place;

pub use check::{Checked, check};
pub use make::make;
pub use place::{place, unpacked_configuration};

use crate::store::StoreError;
use chrono::{DateTime, Utc};
use sekimori_audit::error::RecordingError;
use sekimori_audit::log::{LogError, LogKeys, Note, SigningKey, note};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const MANIFEST: &str = "backup.note";
/// What a note of a backup begins with; the digit is the version of the form.
const HEAD: &str = "sekimori backup 1\n";
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
    /// The database; `None` where PostgreSQL is backed up by its own tools.
    pub database: Option<Copied>,
    /// Keys and configuration.
    pub keys: Copied,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
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
    /// It is no backup, or not as it was made.
    #[error("{path} is no backup that can be used: {reason}", path = path.display())]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something is where the backup would go.
    #[error("{} is there already: a gateway is restored where none is", .0.display())]
    Occupied(PathBuf),
    #[error(
        "the database is PostgreSQL: dump it with its own tools, and then say --without-database so that it is known \
         that the dump belongs to this backup"
    )]
    Postgres,
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

    fn unusable(path: &Path, reason: impl ToString) -> Self {
        Self::Unusable { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl From<StoreError> for BackupError {
    fn from(fault: StoreError) -> Self {
        Self::Store(Box::new(fault))
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

    /// Reads that of a backup, if one of the log's keys signed it.
    ///
    /// # Errors
    /// [`BackupError::Unusable`] if there is none, of another form, or signed by others.
    pub fn read(folder: &Path, keys: &LogKeys) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let bytes = std::fs::read(&path).map_err(|fault| BackupError::unusable(&path, fault))?;
        let note = Note::parse(&bytes).map_err(|fault| BackupError::unusable(&path, fault))?;
        note.verify(keys.log()).map_err(|fault| BackupError::unusable(&path, fault))?;
        let json = note.text().strip_prefix(HEAD);
        let json =
            json.ok_or_else(|| BackupError::unusable(&path, "it is of another form; this program reads form 1"))?;
        serde_json::from_str(json).map_err(|fault| BackupError::unusable(&path, fault))
    }
}
