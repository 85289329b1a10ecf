//! One member of a recording, and the few ways in which files are made durable.
//!
//! Members are append-only and hashed as they are recorded, so that ending a session does not read them again.
//! Every call here may block.

use super::Durability;
use super::journal::{Journal, KEY, Lengths, SUFFIX, SessionKey, journal_of, path_of};
use super::values::{FORMAT_VERSION, MemberEntry};
use crate::error::RecordingError;
use crate::hex;
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the members of one recording are made.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) key: SessionKey,
    /// How far each journal is written.
    pub(super) lengths: Lengths,
    pub(super) durability: Durability,
}

impl Folder {
    /// A member's bytes.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "tests")]
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        use std::io::Read;
        let reader = super::journal::JournalReader::open(&path_of(&self.path, name), name, &self.key);
        let mut bytes = Vec::new();
        reader
            .and_then(|mut reader| reader.read_to_end(&mut bytes).map_err(RecordingError::reading(&self.path)))
            .unwrap();
        bytes
    }

    /// The journal of a new member.
    pub(super) fn journal(&self, member: &str) -> Result<Journal, RecordingError> {
        let journal = Journal::create(&self.path, member, &self.key, &self.lengths, self.durability)?;
        if self.durability == Durability::Power {
            // The folder of kept copies is new with the first of them, so its own name counts as well.
            let folders = journal.path().ancestors().skip(1).take_while(|folder| folder.starts_with(&self.path));
            folders.into_iter().try_for_each(sync_folder)?;
        }
        Ok(journal)
    }

    /// Writes a whole member so that after any crash it is there complete or not at all.
    pub(super) fn write_whole(&self, name: &str, bytes: &[u8]) -> Result<(), RecordingError> {
        let path = path_of(&self.path, name);
        let journal = journal_of(bytes, name, &self.key).map_err(std::io::Error::other);
        write_whole(&self.path, &path, &journal.map_err(RecordingError::storage("encrypt", &path))?)
    }
}

/// An append-only member with its running size and SHA-256.
pub(super) struct Member {
    name: String,
    content: &'static str,
    journal: Journal,
    size: u64,
    hash: Context,
}

impl Member {
    /// Makes the member `name`, which must not exist; `content` says what it is in the manifest.
    pub(super) fn create(folder: &Folder, name: String, content: &'static str) -> Result<Self, RecordingError> {
        let journal = folder.journal(&name)?;
        Ok(Self { name, content, journal, size: 0, hash: Context::new(&SHA256) })
    }

    /// Appends. When it returns, the kernel has the bytes: they outlive this process.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.journal.write(self.size, bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes the bytes outlive a power cut.
    pub(super) fn sync(&self) -> Result<(), RecordingError> {
        self.journal.sync()
    }

    /// As a failed write leaves it.
    #[cfg(test)]
    pub(super) fn tear(&mut self) {
        self.journal.tear();
    }

    /// The line of the manifest for what was written so far.
    pub(super) fn entry(&self) -> MemberEntry {
        let sha256 = hex::encode(self.hash.clone().finish().as_ref());
        MemberEntry { name: self.name.clone(), content: self.content.to_owned(), size: self.size, sha256 }
    }
}

/// A new file that only its owner can read.
pub(super) fn create_file(path: &Path) -> Result<File, RecordingError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(RecordingError::storage("create", path))
}

/// A folder that only its owner can enter, with its parents; none of them is an error.
pub(super) fn create_folder(path: &Path) -> Result<(), RecordingError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(RecordingError::storage("create", path))
}

/// Makes the names inside a folder outlive a power cut.
pub(super) fn sync_folder(path: &Path) -> Result<(), RecordingError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(RecordingError::storage("sync", path))
}

/// Temporary file, fsync, rename, fsync of the folder.
pub(super) fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), RecordingError> {
    let temporary = path.with_added_extension(PARTIAL);
    let mut file = create_file(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(RecordingError::storage("write", path));
    if written.is_err() {
        // Half a file tells nobody anything; if it cannot be removed either, the first error says more.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

/// Files that are not whole yet, or that a crash kept from their names, end so.
pub(crate) const PARTIAL: &str = "partial";

/// A member of a folder as it is found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name in the recording.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Whether that is a journal; otherwise it stands in clear.
    pub(crate) journal: bool,
}

/// The members of a folder: its files, and those of its folder of kept copies.
pub(crate) fn members_in(folder: &Path) -> Result<Vec<Found>, RecordingError> {
    let mut found = files_in(folder, "")?;
    if folder.join("files").is_dir() {
        found.extend(files_in(&folder.join("files"), "files/")?);
    }
    Ok(found)
}

fn files_in(folder: &Path, prefix: &str) -> Result<Vec<Found>, RecordingError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RecordingError::storage("list", folder))? {
        let entry = entry.map_err(RecordingError::storage("list", folder))?;
        let kind = entry.file_type().map_err(RecordingError::storage("look at", &entry.path()))?;
        let path = entry.path();
        match entry.file_name().into_string() {
            Ok(name) if prefix.is_empty() && (name == KEY || name.ends_with(&format!(".{PARTIAL}"))) => {}
            Ok(name) if kind.is_dir() && prefix.is_empty() && name == "files" => {}
            Ok(name) if kind.is_file() => {
                let member = name.strip_suffix(SUFFIX);
                let (name, journal) = (format!("{prefix}{}", member.unwrap_or(&name)), member.is_some());
                found.push(Found { name, path, journal });
            }
            _ => {
                let reason = format!("it is no member of a version {FORMAT_VERSION} recording");
                return Err(RecordingError::Altered { path, reason });
            }
        }
    }
    Ok(found)
}
