//! Where backups lie, and what is asked of such a place: to list, to read, to take a file, to hand one out.

use super::BackupError;
use super::files::Copied;
use super::folder::Folder;
use super::list::Entry;
use chrono::{DateTime, Utc};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A place of backups.
pub enum Place {
    /// A folder.
    Folder(Folder),
}

/// Something that lies there.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Which version of it, where the place keeps several.
    pub version: Option<String>,
    /// Its bytes.
    pub size: u64,
}

impl Object {
    /// The one that a list names.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self { name: entry.object.clone(), version: entry.version.clone(), size: entry.size }
    }
}

/// What became of a file that was put there.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What was put.
    pub copied: Copied,
    /// As which version.
    pub version: Option<String>,
    /// Until when it cannot be removed.
    pub until: Option<DateTime<Utc>>,
}

/// What the marker says of whose backups they are.
#[must_use]
pub fn claim(origin: &str) -> Vec<u8> {
    format!("backups of {origin}\n").into_bytes()
}

impl Place {
    /// A place to read backups from.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::Folder(Folder::at(Path::new(text)))
    }

    /// A place to write backups of the log `origin` to; `own` are the gateway's folders, which are none.
    ///
    /// # Errors
    /// [`BackupError::Unfit`] if something else lies there.
    pub fn prepare(text: &str, origin: &str, own: &[PathBuf]) -> Result<Self, BackupError> {
        Ok(Self::Folder(Folder::prepare(Path::new(text), origin, own)?))
    }

    /// How an object there is called in messages.
    #[must_use]
    pub fn called(&self, object: &str) -> String {
        match self {
            Self::Folder(folder) => folder.called(object),
        }
    }

    /// All that lies in a part of it, in no order; of several versions the newest first.
    ///
    /// # Errors
    /// What the place says.
    pub fn list(&self, part: &str) -> Result<Vec<Object>, BackupError> {
        match self {
            Self::Folder(folder) => folder.list(part),
        }
    }

    /// Reads at most so many bytes of a small object.
    ///
    /// # Errors
    /// What the place says.
    pub fn read(&self, object: &Object, most: u64) -> Result<Vec<u8>, BackupError> {
        match self {
            Self::Folder(folder) => folder.read(&object.name, most),
        }
    }

    /// Puts a file there.
    ///
    /// # Errors
    /// What the place says; then nothing that counts is there.
    pub fn put(&self, object: &str, from: File) -> Result<Stored, BackupError> {
        match self {
            Self::Folder(folder) => folder.put(object, from),
        }
    }

    /// Whether what lies there is that very file; then as what it was stored.
    ///
    /// # Errors
    /// What the place says.
    pub fn holds(&self, object: &Object, copied: &Copied) -> Result<Option<Stored>, BackupError> {
        match self {
            Self::Folder(folder) => {
                let there = folder.holds(&object.name, copied)?;
                Ok(there.then(|| Stored { copied: copied.clone(), version: None, until: None }))
            }
        }
    }

    /// Hands out a file of a backup to `to`; why not, where it is not as listed.
    ///
    /// # Errors
    /// When `to` cannot be written, or the place does not answer.
    pub fn fetch(&self, entry: &Entry, to: &Path) -> Result<Result<(), String>, BackupError> {
        match self {
            Self::Folder(folder) => folder.fetch(entry, to),
        }
    }

    /// Removes what `needed` does not know, where a place is tidied by us.
    ///
    /// # Errors
    /// What the place says.
    pub fn clear(&self, needed: impl Fn(&str) -> bool) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => folder.clear(needed),
        }
    }
}
