//! The log's folder: how its files are read, and how they are made durable.
//!
//! Every file is written beside its place, synced, renamed into it, and its folder synced. A file that counts is never
//! opened for writing again, so that a kill or a power cut leaves the old file or the new one, never a part.

use super::error::LogError;
use super::tile::Resource;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// No file of a log is longer: a full bundle of the longest entries.
const LONGEST: u64 = 256 * (2 + 65_535);

/// Where the checkpoint of a rotation lies, below the log's folder: of this size, signed by the old key and the new.
#[must_use]
pub fn rotation_path(size: u64) -> String {
    format!("rotation/{size}")
}

/// Where the last checkpoint that witnesses cosigned lies, below the log's folder.
pub const COSIGNED: &str = "cosigned";

/// Puts a whole file below `root`: it is durable when this returns, and a crash leaves the old one or the new one.
///
/// # Errors
/// [`LogError::Storage`].
pub fn put_durably(root: &Path, name: &str, bytes: &[u8]) -> Result<(), LogError> {
    let mut durable = Durable::new(root);
    durable.put(name, bytes)?;
    durable.settle()
}

/// Reads a file below `root`; `None` if there is none.
pub(crate) fn read(root: &Path, name: &str) -> Result<Option<Vec<u8>>, LogError> {
    let path = root.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(fault) => return Err(LogError::storage("read", &path)(fault)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(LogError::storage("read", &path))?;
    if bytes.len() as u64 > LONGEST {
        return Err(LogError::malformed("file of a log", format!("{} is too long", path.display())));
    }
    Ok(Some(bytes))
}

/// Reads a tile or a bundle: the full one, where the part that was asked for is gone because it grew full.
pub(crate) fn read_resource(root: &Path, resource: Resource) -> Result<Option<Vec<u8>>, LogError> {
    if let Some(bytes) = read(root, &resource.path())? {
        return Ok(Some(bytes));
    }
    read(root, &full(resource).path())
}

fn full(resource: Resource) -> Resource {
    match resource {
        Resource::Checkpoint | Resource::Rotation { .. } | Resource::Cosigned => resource,
        Resource::Tile { level, index, .. } => Resource::Tile { level, index, width: 256 },
        Resource::Entries { index, .. } => Resource::Entries { index, width: 256 },
    }
}

/// Writes below one root, and knows which folders are durable already.
#[derive(Debug)]
pub(super) struct Durable {
    root: PathBuf,
    /// Folders whose own entries were synced up to the root in this life; what an earlier one did is not known.
    known: HashSet<PathBuf>,
    /// Folders in which files were renamed since the last [`Durable::settle`].
    touched: BTreeSet<PathBuf>,
}

impl Durable {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: HashSet::new(), touched: BTreeSet::new() }
    }

    /// Puts a whole file in its place. It counts after [`Durable::settle`].
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        fs::create_dir_all(&folder).map_err(LogError::storage("create", &folder))?;
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            fs::rename(&beside, &path)
        };
        written().map_err(LogError::storage("write", &path))?;
        self.touched.insert(folder);
        Ok(())
    }

    /// Makes every name that was put durable.
    pub(super) fn settle(&mut self) -> Result<(), LogError> {
        for folder in std::mem::take(&mut self.touched) {
            sync_folder(&folder)?;
            // A folder may be new, or its creation may have been lost half way before: its parents are synced once.
            for parent in folder.ancestors().skip(1).take_while(|parent| parent.starts_with(&self.root)) {
                if self.known.contains(&folder) {
                    break;
                }
                sync_folder(parent)?;
            }
            self.known.insert(folder);
        }
        Ok(())
    }

    /// Removes the parts of a tile or bundle that is full. What cannot be removed only takes room.
    pub(super) fn sweep(&self, resource: Resource) {
        let mut parts = self.root.join(full(resource).path()).into_os_string();
        parts.push(".p");
        let _ = fs::remove_dir_all(PathBuf::from(parts));
    }
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::storage("sync", folder))
}
