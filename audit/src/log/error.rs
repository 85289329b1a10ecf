//! What can go wrong with the log: with its folder, with its keys, with bytes of others.

use std::io;
use std::path::{Path, PathBuf};

/// Why the log could not be read, written or understood.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused. After a failed append the writer must be opened anew.
    #[error("cannot {doing} {path}: {source}; free space or repair the file system", path = path.display())]
    Storage {
        /// What was being done: `read`, `write`, `sync`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes from elsewhere are not what they should be.
    #[error("this is no {what}: {reason}")]
    Malformed {
        /// What they should be: `checkpoint`, `verifier key`.
        what: &'static str,
        /// Where they differ, without repeating them.
        reason: String,
    },
    /// What lies in the folder contradicts its checkpoint, or what is known of it from elsewhere. Nothing is appended.
    #[error(
        "the log in {path} contradicts what is known of it: {reason}; nothing is appended: keep the folder as it is, \
         verify it, and restore it from a mirror, or from the database: sekimori log rebuild",
        path = path.display()
    )]
    Contradiction {
        /// The log's folder.
        path: PathBuf,
        /// What contradicts what.
        reason: String,
    },
    /// Somebody else appends to this log.
    #[error("another process appends to the log in {path}; end it first", path = path.display())]
    Busy {
        /// The log's folder.
        path: PathBuf,
    },
    /// None of the given keys made the newest checkpoint.
    #[error("none of the given keys signed the checkpoint of {path}; give the key that is in force", path = path.display())]
    KeyNotInForce {
        /// The log's folder.
        path: PathBuf,
    },
    /// An append failed before; what is on disk is known only after opening it again.
    #[error("an earlier append to {path} failed; open the log again, which reads what is on disk", path = path.display())]
    Failed {
        /// The log's folder.
        path: PathBuf,
    },
    /// Keys that lie with the log prove nothing: whoever changed the log could change them too.
    #[error("{keys} lies inside the log's own folder {log}: give a copy that was kept elsewhere", keys = keys.display(), log = log.display())]
    KeysInsideLog {
        /// The file of verifier keys.
        keys: PathBuf,
        /// The log's folder.
        log: PathBuf,
    },
    /// The cryptographic library refused: no randomness, or a key that is none.
    #[error("cannot {0}; try again")]
    Crypto(&'static str),
}

impl LogError {
    /// Wraps what the system said about a path. For `map_err`.
    pub(crate) fn storage(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Storage { doing, path, source }
    }

    /// Bytes that are not what they should be.
    pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { what, reason: reason.into() }
    }
}
