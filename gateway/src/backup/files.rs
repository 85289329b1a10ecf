//! Copies of files and folders, each of them there whole or not at all.

use super::{BackupError, Copied};
use aws_lc_rs::digest::{Context, SHA256};
use sekimori_audit::log::Hash;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a file is called until it is whole.
const PARTIAL: &str = "copying";

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

/// Copies a file; `false` if it is gone. It is on the disk when this returns.
pub fn copy(from: &Path, to: &Path) -> Result<bool, BackupError> {
    match File::open(from) {
        Ok(file) => put(to, file).map(|_| true),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(fault) => Err(BackupError::storage("open", from)(fault)),
    }
}

/// Copies a file that never changes, unless it is there already.
pub fn copy_once(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let length = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
    if length(to).is_some() && length(to) == length(from) {
        return Ok(true);
    }
    copy(from, to)
}

/// Writes a file of what is read, in place of the one that was there.
pub fn put(to: &Path, mut from: impl Read) -> Result<Copied, BackupError> {
    write(to, |file| io::copy(&mut from, file).map(|_| ()))
}

/// Writes a file, in place of the one that was there.
pub fn write(to: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Copied, BackupError> {
    let folder = to.parent().unwrap_or(to);
    make_folder(folder)?;
    let partial = to.with_added_extension(PARTIAL);
    let written = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        let mut hashed = Hashed { file, hash: Context::new(&SHA256), size: 0 };
        fill(&mut hashed)?;
        hashed.file.sync_all()?;
        fs::rename(&partial, to)?;
        File::open(folder)?.sync_all()?;
        Ok(Copied { size: hashed.size, sha256: sha256(hashed.hash) })
    };
    written().map_err(|fault| {
        let _ = fs::remove_file(&partial);
        BackupError::storage("write", to)(fault)
    })
}

/// Size and SHA-256 of a file.
pub fn measured(path: &Path) -> Result<Copied, BackupError> {
    let mut file = File::open(path).map_err(BackupError::storage("open", path))?;
    let mut hashed = Hashed { file: io::sink(), hash: Context::new(&SHA256), size: 0 };
    io::copy(&mut file, &mut hashed).map_err(BackupError::storage("read", path))?;
    Ok(Copied { size: hashed.size, sha256: sha256(hashed.hash) })
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
struct Hashed<W> {
    file: W,
    hash: Context,
    size: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn sha256(hash: Context) -> String {
    Hash::from_bytes(hash.finish().as_ref()).map(|hash| hash.hex()).unwrap_or_default()
}
