//! The file of verifier keys that an auditor holds: the log's keys in the order of their introduction, and witnesses.
//!
//! Text, a key a line, `#` before a comment. The type inside a key says whose it is: Ed25519 (01) the log's,
//! cosignature/v1 (04) a witness's. The first log key is believed because it was handed over; each later one has to be
//! introduced by a leaf that was sealed under the key before it.

use super::error::LogError;
use super::key::{Role, VerifierKey};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of the longest file of keys: thousands of them.
const LONGEST: u64 = 1024 * 1024;

/// Whom a verifier believes.
#[derive(Debug, Clone)]
pub struct LogKeys {
    log: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    /// Where they were read, resolved; `None` for keys that came otherwise.
    path: Option<PathBuf>,
}

impl LogKeys {
    /// Reads the text of a file of keys.
    ///
    /// # Errors
    /// [`LogError::Malformed`], naming the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let malformed = |reason: String| LogError::malformed("file of verifier keys", reason);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8".to_owned()))?;
        let (mut log, mut witnesses) = (Vec::<VerifierKey>::new(), Vec::<VerifierKey>::new());
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = VerifierKey::parse(line).map_err(|fault| malformed(format!("line {number}: {fault}")))?;
            let same = |other: &VerifierKey| other.name() == key.name() && other.id() == key.id();
            if log.iter().chain(&witnesses).any(same) {
                return Err(malformed(format!("line {number}: this key stands there already")));
            }
            if key.role() == Role::Log && log.first().is_some_and(|first| first.name() != key.name()) {
                return Err(malformed(format!("line {number}: this key is of another log than the first")));
            }
            if key.role() == Role::Log { log.push(key) } else { witnesses.push(key) }
        }
        if log.is_empty() {
            return Err(malformed("it holds no key of a log".to_owned()));
        }
        Ok(Self { log, witnesses, path: None })
    }

    /// Reads a file of keys.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
        read.map_err(LogError::storage("read", path))?;
        if bytes.len() as u64 > LONGEST {
            return Err(LogError::malformed("file of verifier keys", "it is far too long"));
        }
        // Resolved now: a link that points elsewhere is judged by where it leads.
        let resolved = path.canonicalize().map_err(LogError::storage("find", path))?;
        Ok(Self { path: Some(resolved), ..Self::parse(&bytes)? })
    }

    /// Refuses keys that lie inside the log's folder.
    ///
    /// # Errors
    /// [`LogError::KeysInsideLog`], [`LogError::Storage`].
    pub fn outside_of(&self, log: &Path) -> Result<(), LogError> {
        let folder = log.canonicalize().map_err(LogError::storage("find", log))?;
        match &self.path {
            Some(path) if path.starts_with(&folder) => Err(LogError::KeysInsideLog { keys: path.clone(), log: folder }),
            _ => Ok(()),
        }
    }

    /// The log's keys in their order; never none.
    #[must_use]
    pub fn log(&self) -> &[VerifierKey] {
        &self.log
    }

    /// The witnesses' keys.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.log.first().map_or("", VerifierKey::name)
    }
}
