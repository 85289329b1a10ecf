//! What can go wrong with a recording, written or read.
//!
//! Variants are named by who is at fault. The gateway maps them once, at its edge: everything except
//! [`RecordingError::Malformed`] ends the session, a malformed channel ends alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a recording could not be started, written, closed or read. `Clone`, because every tap of a failed recording
/// reports the first failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordingError {
    /// The file system refused (full, read-only, broken). The session must end.
    #[error("cannot {doing} {path}: {source}; free space or repair the file system", path = path.display())]
    Storage {
        /// What was being done: `write`, `create`, `sync`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said. Shared, because an `io::Error` cannot be cloned.
        source: Arc<io::Error>,
    },
    /// Less room than the configured reserve. Nothing was started.
    #[error(
        "only {free} bytes are free at {path}, and {reserve} are kept in reserve; free space or lower the reserve",
        path = path.display()
    )]
    ReserveReached {
        /// Where recordings are kept.
        path: PathBuf,
        /// Bytes free for this user.
        free: u64,
        /// Bytes that must be free before a session may start.
        reserve: u64,
    },
    /// The recording failed before this call; nothing more may be forwarded.
    #[error("the recording has failed and the session must end: {0}")]
    Failed(Box<RecordingError>),
    /// The channel or the whole recording was closed before this call.
    #[error("{0} is closed; nothing more can be recorded in it")]
    Closed(String),
    /// A peer broke its protocol, so that what it transfers could not be told. The channel must end.
    #[error("malformed {protocol}: {reason}; the channel is closed because it cannot be recorded")]
    Malformed {
        /// `sftp` or `scp`.
        protocol: &'static str,
        /// What is wrong, without the peer's bytes.
        reason: String,
    },
    /// A file of a recording cannot be understood.
    #[error("{path} cannot be read as {format}: {reason}; compare the recording with its manifest", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: &'static str,
        /// Where and what.
        reason: String,
    },
    /// A key, or a file of keys, is of no use.
    #[error("the keys in {path} cannot be used: {reason}", path = path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is sealed, and what was handed over does not open it.
    #[error(
        "{path} is sealed to other keys; open it with the audit office's identity, or with the recovery key from the safe",
        path = path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A file of a recording is not what the manifest says.
    #[error("{path} differs from the manifest: {reason}; the recording was changed after it ended", path = path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// Size or hash, expected and found.
        reason: String,
    },
}

impl RecordingError {
    /// Wraps what the system said about a path. For `map_err`.
    pub(crate) fn storage(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Storage { doing, path, source: Arc::new(source) }
    }

    /// What reading a member said: a sealed one may have more to say than the system. For `map_err`.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => Self::Storage { doing: "read", path, source: Arc::new(source) },
        }
    }

    /// Whether the fault is a peer's, so that only its channel ends and the recording goes on.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed { .. })
    }
}
