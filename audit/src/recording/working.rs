//! The working folders of recordings: finding them, and taking them away in an order that a crash may break off anywhere.
//!
//! `session.json` comes last of what is written before a session starts, and goes last of what is taken away when all is
//! sealed. So a folder without it either was never recorded in, or is sealed and half gone. One that is neither is left
//! as it is: its `key.age` is all there is of its key.

use super::journal::KEY;
use super::member::{PARTIAL, sync_folder};
use super::{HEAD, sealed_path};
use crate::error::RecordingError;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The working folders below `root`. Blocks.
pub(super) fn unsealed(root: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let mut folders = vec![root.to_owned()];
    // Years, months, days, sessions.
    for _ in 0..4 {
        folders = folders.iter().map(|folder| folders_in(folder)).collect::<Result<Vec<_>, _>>()?.concat();
    }
    let mut left = Vec::new();
    for folder in folders {
        if is_there(&folder.join(HEAD))? || !(is_half_gone(&folder)? || was_never_used(&folder)?) {
            left.push(folder);
        }
    }
    left.sort();
    Ok(left)
}

/// Takes the working folder of a sealed recording away. Done again after a crash at any point, it goes on. Blocks.
///
/// # Errors
/// [`RecordingError::Storage`]: there is no sealed recording in its place, or what the file system said.
pub fn take_away(folder: &Path) -> Result<(), RecordingError> {
    let sealed = sealed_path(folder);
    std::fs::metadata(&sealed).map_err(RecordingError::storage("find", &sealed))?;
    for entry in entries_in(folder)? {
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) if entry.file_name() == HEAD => Ok(()),
            Ok(_) => std::fs::remove_file(&path),
            Err(fault) => Err(fault),
        };
        removed.map_err(RecordingError::storage("remove", &path))?;
    }
    // Before it goes the others are gone, after a power cut as well.
    sync_folder(folder)?;
    remove(&folder.join(HEAD))?;
    std::fs::remove_dir(folder).map_err(RecordingError::storage("remove", folder))
}

/// Whether all of it is sealed and a crash came while it was taken away; then the rest is taken away.
fn is_half_gone(folder: &Path) -> Result<bool, RecordingError> {
    let sealed = is_there(&sealed_path(folder))?;
    if sealed {
        take_away(folder)?;
    }
    Ok(sealed)
}

/// Whether a session's folder was made and nothing more: a crash came before anything could be recorded there. Then it
/// is taken away.
fn was_never_used(folder: &Path) -> Result<bool, RecordingError> {
    let head = Path::new(HEAD).with_added_extension(PARTIAL);
    let entries = entries_in(folder)?;
    if entries.iter().any(|entry| entry.file_name() != KEY && entry.file_name() != head.as_os_str()) {
        return Ok(false);
    }
    remove(&folder.join(head))?;
    remove(&folder.join(KEY))?;
    std::fs::remove_dir(folder).map_err(RecordingError::storage("remove", folder))?;
    Ok(true)
}

/// Not [`Path::exists`], which takes a disk that cannot be read for one that is empty.
fn is_there(path: &Path) -> Result<bool, RecordingError> {
    path.try_exists().map_err(RecordingError::storage("look for", path))
}

fn remove(path: &Path) -> Result<(), RecordingError> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => Err(RecordingError::storage("remove", path)(fault)),
        _ => Ok(()),
    }
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let entries = entries_in(folder)?;
    let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(DirEntry::path).collect())
}

fn entries_in(folder: &Path) -> Result<Vec<DirEntry>, RecordingError> {
    let entries = std::fs::read_dir(folder).map_err(RecordingError::storage("list", folder))?;
    entries.collect::<Result<Vec<_>, _>>().map_err(RecordingError::storage("list", folder))
}
