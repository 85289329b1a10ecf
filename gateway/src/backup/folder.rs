//! A folder as the place of backups: on another disk, a mount, a stick. Others may write there, so links in it are not
//! followed when something is written, and nothing that is not a backup of this gateway is written over or removed.

use super::files::{self, Copied, below, measured, put, remove};
use super::list::Entry;
use super::place::{Object, Put};
use super::{BackupError, MARKER, RECORDINGS};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Component, Path, PathBuf};

/// What file systems put into a folder by themselves.
pub const LOST_AND_FOUND: &str = "lost+found";

/// The folder.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// A folder to read from.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A folder to write to: a new one, an empty one, or one that holds backups of whoever `claim` names. None of `own`,
    /// which are the gateway's folders, may lie in it, nor it in them.
    ///
    /// # Errors
    /// [`BackupError::Unfit`], [`BackupError::Storage`].
    pub fn prepare(root: &Path, claim: &[u8], own: &[PathBuf]) -> Result<Self, BackupError> {
        let unfit = |reason: String| BackupError::unfit(root.display(), reason);
        let there = resolved(root)?;
        for own in own {
            let own = resolved(own)?;
            if own.starts_with(&there) || there.starts_with(&own) {
                return Err(unfit(format!("it lies in, or around, {}, which is the gateway's own", own.display())));
            }
        }
        files::make_folder(&there)?;
        let folder = Self { root: there };
        let marker = folder.root.join(MARKER);
        let claimed = fs::symlink_metadata(&marker).is_ok_and(|found| found.is_file());
        match files::read(&marker)?.filter(|_| claimed) {
            Some(text) if text == claim => {}
            Some(_) => return Err(unfit("it holds those of another: name another folder".to_owned())),
            None => {
                let entries = fs::read_dir(&folder.root).map_err(BackupError::storage("list", root))?;
                if entries.flatten().any(|entry| entry.file_name() != LOST_AND_FOUND) {
                    return Err(unfit(format!(
                        "it is not empty, and there is no {MARKER} in it: name a new folder, which is then kept for them"
                    )));
                }
                put(&marker, claim)?;
            }
        }
        Ok(folder)
    }

    /// How it is called in messages.
    #[must_use]
    pub fn called(&self, object: &str) -> String {
        self.root.join(object).display().to_string()
    }

    /// Every file below a part of it.
    pub fn list(&self, part: &str) -> Result<Vec<Object>, BackupError> {
        let folder = self.root.join(part);
        let mut found = Vec::new();
        for path in below(&folder)? {
            let Ok(size) = fs::metadata(folder.join(&path)).map(|file| file.len()) else { continue };
            let name = name_of(&Path::new(part).join(&path))?;
            found.push(Object { name, size, version: None });
        }
        Ok(found)
    }

    /// Reads a small file.
    pub fn read(&self, object: &str, most: u64) -> Result<Vec<u8>, BackupError> {
        let path = self.root.join(object);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(BackupError::storage("read", &path))?;
        Ok(bytes)
    }

    /// Copies a file into it.
    pub fn put(&self, object: &str, from: File) -> Result<Put, BackupError> {
        let to = self.root.join(object);
        self.make_way(Path::new(object))?;
        // What grows meanwhile is copied as far as it went.
        let length = from.metadata().map_err(BackupError::storage("look at", &to))?.len();
        Ok(Put { copied: put(&to, from.take(length))?, version: None, until: None })
    }

    /// Whether a file in it is that one.
    pub fn holds(&self, object: &str, copied: &Copied) -> Result<bool, BackupError> {
        Ok(measured(&self.root.join(object))?.as_ref() == Some(copied))
    }

    /// Puts a file of a backup where it is looked at; why not, where it is not as listed. A recording stays where it lies,
    /// and what is in it is compared with the log.
    pub fn fetch(&self, entry: &Entry, to: &Path) -> Result<Result<(), String>, BackupError> {
        let path = self.root.join(&entry.object);
        if entry.name.starts_with(RECORDINGS) && entry.object == entry.name {
            let path = path.canonicalize().unwrap_or(path);
            return Ok(match fs::metadata(&path) {
                Ok(found) if found.len() == entry.size => {
                    symlink(&path, to).map_err(BackupError::storage("make", to))?;
                    Ok(())
                }
                Ok(found) => Err(format!("has {} bytes instead of {}", found.len(), entry.size)),
                Err(fault) => Err(fault.to_string()),
            });
        }
        let Some(file) = files::opened(&path)? else { return Ok(Err("is missing".to_owned())) };
        let copied = put(to, file.take(entry.size.saturating_add(1)))?;
        Ok(if entry.is(&copied) { Ok(()) } else { Err("is not the one that was signed for".to_owned()) })
    }

    /// Removes a file, and the folders above it that are empty then.
    pub fn remove(&self, object: &Object) -> Result<(), BackupError> {
        let path = self.root.join(&object.name);
        self.make_way(Path::new(&object.name))?;
        remove(&path)?;
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.root) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Makes the folders above an object, none of which may be a link to elsewhere.
    fn make_way(&self, object: &Path) -> Result<(), BackupError> {
        let mut folder = self.root.clone();
        for part in object.parent().into_iter().flat_map(Path::components) {
            folder.push(part);
            match fs::symlink_metadata(&folder) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    return Err(BackupError::unfit(folder.display(), "it is no folder, or a link to one: remove it"));
                }
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    let made = DirBuilder::new().mode(0o700).create(&folder);
                    made.map_err(BackupError::storage("make", &folder))?;
                }
                Err(fault) => return Err(BackupError::storage("look at", &folder)(fault)),
            }
        }
        Ok(())
    }
}

/// A path as the name of an object.
pub fn name_of(path: &Path) -> Result<String, BackupError> {
    let name = path.to_str().ok_or_else(|| BackupError::unfit(path.display(), "its name is not UTF-8"))?;
    Ok(name.to_owned())
}

/// Where a path leads that need not be there yet.
fn resolved(path: &Path) -> Result<PathBuf, BackupError> {
    let whole = std::path::absolute(path).map_err(BackupError::storage("find", path))?;
    for there in whole.ancestors() {
        match there.canonicalize() {
            Ok(resolved) => {
                let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
                if rest.components().any(|part| part == Component::ParentDir) {
                    return Err(BackupError::unfit(path.display(), "it leads through a folder that is not there"));
                }
                return Ok(resolved.join(rest));
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(BackupError::storage("find", there)(fault)),
        }
    }
    Ok(whole)
}
