//! Compares sealed recordings with the log: every file of every recording has to be one that a leaf seals, and every
//! leaf's file has to be there. Nobody's key is needed, since what is hashed is what is stored.
//!
//! A recording is read once, when its first leaf comes. Leaves name no files, so that a changed file shows twice: as
//! bytes that are gone, at the leaf, and as a file that was never sealed, by its name.

use super::Body;
use super::fault::{Code, Fault};
use crate::log::leaf::SEGMENT;
use crate::log::{Hash, Leaf};
use crate::replay::check_sealed;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// The sealed recordings below a folder.
pub struct Recordings {
    found: HashMap<Uuid, Recording>,
    bytes: AtomicU64,
}

struct Recording {
    path: PathBuf,
    read: OnceLock<Files>,
}

struct Files {
    by_hash: HashMap<Hash, File>,
    /// What the recording itself contradicts.
    fault: Option<String>,
}

struct File {
    name: String,
    size: u64,
    sealed: AtomicBool,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Recordings that are there.
    pub recordings: u64,
    /// Bytes that were read of them.
    pub bytes: u64,
}

impl Recordings {
    /// Finds the recordings below a folder: `<yyyy>/<mm>/<dd>/<session>.tar`. Nothing is read yet.
    ///
    /// # Errors
    /// What the system says of a folder that cannot be listed.
    pub fn below(root: &Path) -> std::io::Result<Self> {
        let mut folders = vec![root.to_owned()];
        let mut found = HashMap::new();
        for depth in 0..4 {
            let mut below = Vec::new();
            for folder in &folders {
                for entry in std::fs::read_dir(folder)? {
                    let path = entry?.path();
                    if depth < 3 && path.is_dir() {
                        below.push(path);
                    } else if let Some(session) = session_of(&path) {
                        found.insert(session, Recording { path, read: OnceLock::new() });
                    }
                }
            }
            folders = below;
        }
        Ok(Self { found, bytes: AtomicU64::new(0) })
    }

    /// What became of the bytes that a leaf seals.
    pub(super) fn body(&self, leaf: &Leaf) -> Body {
        let (SEGMENT, Some(session)) = (leaf.kind.as_str(), leaf.session) else { return Body::Elsewhere };
        let Some(recording) = self.found.get(&session) else { return Body::Gone };
        match recording.files(&self.bytes).by_hash.get(&leaf.hash) {
            Some(file) => {
                file.sealed.store(true, Ordering::Relaxed);
                Body::Measured { length: file.size, hash: leaf.hash }
            }
            None => Body::Gone,
        }
    }

    /// What lies in the recordings and was never sealed, once all leaves were seen.
    pub(super) fn unsealed(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (session, recording) in &self.found {
            let mut found = |code, detail| faults.push(Fault { session: Some(*session), ..Fault::new(code, detail) });
            let path = recording.path.display();
            let Some(files) = recording.read.get() else {
                found(Code::RecordingUnknown, format!("no entry seals anything of {path}"));
                continue;
            };
            if let Some(fault) = &files.fault {
                found(Code::RecordingDiffers, fault.clone());
            }
            for file in files.by_hash.values().filter(|file| !file.sealed.load(Ordering::Relaxed)) {
                found(Code::RecordingDiffers, format!("{} in {path} is not what was sealed", file.name));
            }
        }
        faults.sort_by(|one, other| (one.session, &one.detail).cmp(&(other.session, &other.detail)));
        faults
    }

    /// How much was compared.
    pub(super) fn compared(&self) -> Compared {
        Compared { recordings: self.found.len() as u64, bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl Recording {
    fn files(&self, bytes: &AtomicU64) -> &Files {
        self.read.get_or_init(|| {
            let mut by_hash = HashMap::new();
            let checked = check_sealed(&self.path, |name, size, sha256| {
                bytes.fetch_add(size, Ordering::Relaxed);
                if let Some(hash) = Hash::from_hex(sha256) {
                    by_hash.insert(hash, File { name: name.to_owned(), size, sealed: AtomicBool::new(false) });
                }
            });
            Files { by_hash, fault: checked.err().map(|fault| fault.to_string()) }
        })
    }
}

fn session_of(path: &Path) -> Option<Uuid> {
    let name = path.file_name()?.to_str()?.strip_suffix(".tar")?;
    Uuid::try_parse(name).ok().filter(|session| session.to_string() == name)
}
