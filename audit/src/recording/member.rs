//! One file of a recording, and the few ways in which files are made durable.
//!
//! Members are append-only and hashed as they are stored, so that ending a session does not read them again.
//! Every call here may block: only the recording's own writer thread makes them.

use super::values::{FORMAT_VERSION, MemberEntry};
use crate::error::RecordingError;
use aws_lc_rs::digest::{Context, SHA256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An append-only file with its running size and SHA-256.
pub(super) struct Member {
    name: String,
    content: &'static str,
    path: PathBuf,
    file: File,
    size: u64,
    hash: Context,
    /// A write failed half way: size and hash no longer speak for the file.
    torn: bool,
}

impl Member {
    /// Makes `folder/name`, which must not exist; `content` says what it is in the manifest.
    pub(super) fn create(folder: &Path, name: String, content: &'static str) -> Result<Self, RecordingError> {
        let path = folder.join(&name);
        let file = create_file(&path)?;
        Ok(Self { name, content, path, file, size: 0, hash: Context::new(&SHA256), torn: false })
    }

    /// Appends. When it returns, the kernel has the bytes: they outlive this process.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.file.write_all(bytes).map_err(|error| {
            self.torn = true;
            RecordingError::storage("write", &self.path)(error)
        })?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes the bytes outlive a power cut.
    pub(super) fn sync(&self) -> Result<(), RecordingError> {
        self.file.sync_data().map_err(RecordingError::storage("sync", &self.path))
    }

    /// The line of the manifest for what was written so far.
    pub(super) fn entry(&self) -> Result<MemberEntry, RecordingError> {
        let (size, sha256) =
            if self.torn { measure(&self.path)? } else { (self.size, hex(self.hash.clone().finish().as_ref())) };
        Ok(MemberEntry { name: self.name.clone(), content: self.content.to_owned(), size, sha256 })
    }
}

/// Size and SHA-256 of a file as it is stored.
pub(super) fn measure(path: &Path) -> Result<(u64, String), RecordingError> {
    let mut file = File::open(path).map_err(RecordingError::storage("open", path))?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer).map_err(RecordingError::storage("read", path))?;
        if count == 0 {
            return Ok((size, hex(hash.finish().as_ref())));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        size += count as u64;
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

/// Writes a whole file so that after any crash it is there complete or not at all: temporary file, fsync, rename, fsync
/// of the folder.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), RecordingError> {
    let temporary = folder.join(format!(".{name}.partial"));
    let path = folder.join(name);
    let mut file = create_file(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(RecordingError::storage("write", &path));
    if written.is_err() {
        // Half a file tells nobody anything; if it cannot be removed either, the first error says more.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

/// The names of a working folder's members: its files, and those of its folder of kept copies.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, RecordingError> {
    let mut names = files_in(folder, "")?;
    if folder.join("files").is_dir() {
        names.extend(files_in(&folder.join("files"), "files/")?);
    }
    Ok(names)
}

fn files_in(folder: &Path, prefix: &str) -> Result<Vec<String>, RecordingError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RecordingError::storage("list", folder))? {
        let entry = entry.map_err(RecordingError::storage("list", folder))?;
        let kind = entry.file_type().map_err(RecordingError::storage("look at", &entry.path()))?;
        match entry.file_name().into_string() {
            // A manifest that a crash kept from its name.
            Ok(name) if name == ".manifest.json.partial" => {}
            Ok(name) if kind.is_dir() && prefix.is_empty() && name == "files" => {}
            Ok(name) if kind.is_file() => names.push(format!("{prefix}{name}")),
            _ => {
                let reason = format!("it is no member of a version {FORMAT_VERSION} recording");
                return Err(RecordingError::Altered { path: entry.path(), reason });
            }
        }
    }
    Ok(names)
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
