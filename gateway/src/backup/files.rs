//! Copies of files and folders, each of them there whole or not at all.

use super::BackupError;
use aws_lc_rs::digest::{Context, SHA256};
use sekimori_audit::log::Hash;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a file is called until it is whole.
const PARTIAL: &str = "copying";

/// Size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Every file below a folder, by its path from there, in order. None if the folder is not there; one that vanishes
/// meanwhile stands for what was in it, so that whoever copies it notices.
pub fn below(root: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let (mut folders, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                files.extend((!folder.as_os_str().is_empty()).then_some(folder));
                continue;
            }
            Err(fault) => return Err(BackupError::storage("list", &root.join(&folder))(fault)),
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::storage("list", &root.join(&folder)))?;
            let path = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Opens a file; `None` if it is gone.
pub fn opened(path: &Path) -> Result<Option<File>, BackupError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(BackupError::storage("open", path)(fault)),
    }
}

/// Reads a small file; `None` if it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    let Some(mut file) = opened(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(BackupError::storage("read", path))?;
    Ok(Some(bytes))
}

/// Writes a file of what is read, in place of the one that was there.
pub fn put(to: &Path, mut from: impl Read) -> Result<Copied, BackupError> {
    write(to, |file| io::copy(&mut from, file).map(|_| ()))
}

/// Writes a file, in place of the one that was there. It is on the disk when this returns. A link that lies where it is
/// written is not followed: others may write to the medium as well.
pub fn write(to: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Copied, BackupError> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder)?;
    let partial = to.with_added_extension(PARTIAL);
    remove(&partial)?;
    let written = || {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let mut hashed = Hashed::new(file);
        fill(&mut hashed)?;
        let (file, copied) = hashed.finish();
        file.sync_all()?;
        fs::rename(&partial, to)?;
        File::open(folder)?.sync_all()?;
        Ok(copied)
    };
    written().map_err(|fault| {
        let _ = fs::remove_file(&partial);
        BackupError::storage("write", to)(fault)
    })
}

/// Gives a file its place: by another name where that can be, by a copy otherwise (a link stands for a file elsewhere,
/// which stays). What was copied.
pub fn bring(from: &Path, to: &Path) -> Result<Option<Copied>, BackupError> {
    let ours = fs::symlink_metadata(from).is_ok_and(|found| found.is_file());
    make_folder(to.parent().unwrap_or(to))?;
    if ours && fs::rename(from, to).is_ok() {
        return Ok(None);
    }
    let file = File::open(from).map_err(BackupError::storage("open", from))?;
    put(to, file).map(Some)
}

/// Size and SHA-256 of a file; `None` if it is gone.
pub fn measured(path: &Path) -> Result<Option<Copied>, BackupError> {
    let Some(mut file) = opened(path)? else { return Ok(None) };
    let mut hashed = Hashed::new(io::sink());
    io::copy(&mut file, &mut hashed).map_err(BackupError::storage("read", path))?;
    Ok(Some(hashed.finish().1))
}

/// Size and SHA-256 of what is in memory.
pub fn of_bytes(bytes: &[u8]) -> Copied {
    let mut hash = Context::new(&SHA256);
    hash.update(bytes);
    Hashed { out: (), hash, size: bytes.len() as u64 }.finish().1
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(BackupError::storage("remove", path)(fault)),
        _ => Ok(()),
    }
}

/// Makes an empty file that only its owner can read.
pub fn make_private(path: &Path) -> Result<(), BackupError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map(|_| ()).map_err(BackupError::storage("make", path))
}

/// Makes a folder that only its owner can enter.
pub fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::storage("make", path))
}

/// Hashes what is written through it.
pub struct Hashed<W> {
    out: W,
    hash: Context,
    size: u64,
}

impl<W> Hashed<W> {
    /// Nothing was written yet.
    pub fn new(out: W) -> Self {
        Self { out, hash: Context::new(&SHA256), size: 0 }
    }

    /// What was written through it.
    pub fn finish(self) -> (W, Copied) {
        let sha256 = Hash::from_bytes(self.hash.finish().as_ref()).map(|hash| hash.hex()).unwrap_or_default();
        (self.out, Copied { size: self.size, sha256 })
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
