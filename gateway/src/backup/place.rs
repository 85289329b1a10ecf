//! Where backups lie: a folder, or a bucket of an S3-compatible store. Making, finding and laying out one is the same for
//! both.

use super::bucket::Bucket;
use super::files::Copied;
use super::folder::Folder;
use super::list::Entry;
use super::{BackupError, RECORDINGS};
use crate::config;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What a bucket's name follows.
const SCHEME: &str = "s3://";

/// A file that lies there.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its path from the place's beginning.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Which of several of that name, where the place keeps versions.
    pub version: Option<String>,
}

/// What was put.
#[derive(Debug)]
pub struct Put {
    /// Its size and hash.
    pub copied: Copied,
    /// Which version it became, where the place keeps them.
    pub version: Option<String>,
    /// How long it is locked.
    pub until: Option<DateTime<Utc>>,
}

/// What no backup needs any more, and stays all the same.
#[derive(Debug, Default, Serialize)]
pub struct Stays {
    /// Under its lock.
    pub locked: u64,
    /// The recordings among them: those that two people removed.
    pub recordings: u64,
    /// When the last of these locks ends.
    pub until: Option<DateTime<Utc>>,
    /// Without a lock: the store's keys may not remove it.
    pub refused: u64,
}

impl Stays {
    /// One more, and when its lock ends, if it has one.
    pub fn add(&mut self, name: &str, until: Option<DateTime<Utc>>) {
        match until {
            None => self.refused += 1,
            Some(until) => {
                self.locked += 1;
                self.recordings += u64::from(name.starts_with(RECORDINGS));
                self.until = self.until.max(Some(until));
            }
        }
    }
}

/// The place.
pub enum Place {
    /// A folder.
    Folder(Folder),
    /// A bucket.
    Bucket(Box<Bucket>),
}

impl Place {
    /// A place to read from.
    ///
    /// # Errors
    /// [`BackupError::Unfit`] if it is in a store, and that is not known or its name is none.
    pub fn at(place: &Path, store: &config::Backup) -> Result<Self, BackupError> {
        Ok(match in_store(place)? {
            None => Self::Folder(Folder::at(place)),
            Some((bucket, prefix)) => Self::Bucket(Box::new(Bucket::at(&bucket, &prefix, store)?)),
        })
    }

    /// A place to write to: a new one, or that of earlier backups of the log `origin`. `own` are the gateway's folders.
    ///
    /// # Errors
    /// [`BackupError::Unfit`] if it is kept for something else.
    pub fn prepare(place: &Path, store: &config::Backup, origin: &str, own: &[PathBuf]) -> Result<Self, BackupError> {
        let claim = format!("backups of {origin}\n").into_bytes();
        Ok(match Self::at(place, store)? {
            Self::Folder(_) => Self::Folder(Folder::prepare(place, &claim, own)?),
            Self::Bucket(bucket) => Self::Bucket(Box::new(bucket.prepare(&claim)?)),
        })
    }

    /// How it is called in messages.
    #[must_use]
    pub fn called(&self, object: &str) -> String {
        match self {
            Self::Folder(folder) => folder.called(object),
            Self::Bucket(bucket) => bucket.called(object),
        }
    }

    /// Every file below a part of it.
    pub fn list(&self, part: &str) -> Result<Vec<Object>, BackupError> {
        match self {
            Self::Folder(folder) => folder.list(part),
            Self::Bucket(bucket) => bucket.list(part),
        }
    }

    /// Reads a small file, as far as `most`.
    pub fn read(&self, object: &str, version: Option<&str>, most: u64) -> Result<Vec<u8>, BackupError> {
        match self {
            Self::Folder(folder) => folder.read(object, most),
            Self::Bucket(bucket) => bucket.read(object, version, most),
        }
    }

    /// Copies a file into it.
    pub fn put(&self, object: &str, from: File) -> Result<Put, BackupError> {
        match self {
            Self::Folder(folder) => folder.put(object, from),
            Self::Bucket(bucket) => bucket.put(object, from),
        }
    }

    /// Whether what lies there is that file, by its bytes.
    pub fn holds(&self, object: &Object, copied: &Copied) -> Result<bool, BackupError> {
        match self {
            Self::Folder(folder) => folder.holds(&object.name, copied),
            Self::Bucket(bucket) => bucket.holds(object, copied),
        }
    }

    /// Puts a file of a backup where it is looked at; why not, where it is not as listed.
    pub fn fetch(&self, entry: &Entry, to: &Path) -> Result<Result<(), String>, BackupError> {
        match self {
            Self::Folder(folder) => folder.fetch(entry, to),
            Self::Bucket(bucket) => bucket.fetch(entry, to),
        }
    }

    /// Locks a file for as long as a backup of now is to be kept, where the place has locks.
    pub fn keep(&self, entry: &mut Entry) -> Result<(), BackupError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Bucket(bucket) => bucket.keep(entry),
        }
    }

    /// Demands that a file is locked as the place was asked to.
    pub fn prove_locked(&self, entry: &Entry) -> Result<(), BackupError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Bucket(bucket) => bucket.prove_locked(entry),
        }
    }

    /// Removes what no backup needs any more. What stays all the same is counted.
    pub fn remove(&self, object: &Object, stays: &mut Stays) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => folder.remove(object),
            Self::Bucket(bucket) => bucket.remove(object, stays),
        }
    }
}

/// Bucket and prefix, if it is `s3://BUCKET/PREFIX`.
fn in_store(place: &Path) -> Result<Option<(String, String)>, BackupError> {
    let Some(rest) = place.to_str().and_then(|text| text.strip_prefix(SCHEME)) else { return Ok(None) };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && letters(part);
    if !is_part(bucket) || !(prefix.is_empty() || prefix.split('/').all(is_part)) {
        let reason = "it is s3://BUCKET/PREFIX, of letters, digits, hyphens, points and low lines, with / between";
        return Err(BackupError::unfit(place.display(), reason));
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(Some((bucket.to_owned(), prefix)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_with_its_prefix() {
        let of = |text: &str| in_store(Path::new(text)).unwrap();
        assert_eq!(of("/srv/backup"), None);
        assert_eq!(of("s3://keep"), Some(("keep".to_owned(), String::new())));
        assert_eq!(of("s3://keep/gate/1/"), Some(("keep".to_owned(), "gate/1/".to_owned())));
        for none in ["s3://", "s3:///a", "s3://keep//a", "s3://keep/../a", "s3://keep/a?b", "s3://keep/a b"] {
            assert!(in_store(Path::new(none)).is_err(), "{none}");
        }
    }
}
