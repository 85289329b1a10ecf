//! Compares recordings with the log: every file of every sealed recording has to be one that a leaf seals, and every
//! leaf's file has to be there. Nobody's key is needed, since what is hashed is what is stored.
//!
//! A recording is read once, when its first leaf comes. Leaves name no files, so that a changed file shows twice: as
//! bytes that are gone, at the leaf, and as a file that was never sealed, by its name. Of a session that goes on, what
//! leaves seal has to be there as well, in the tar that is not whole yet; what lies behind that is told of later.

use super::Body;
use super::fault::{Code, Fault};
use crate::log::leaf::{SEALED, SEGMENT};
use crate::log::{Hash, Leaf};
use crate::recording::PARTIAL;
use crate::replay::{check_sealed, files_so_far};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// The recordings below a folder.
#[derive(Default)]
pub struct Recordings {
    found: HashMap<Uuid, Recording>,
    bytes: AtomicU64,
}

struct Recording {
    /// Where it lies once it is whole.
    path: PathBuf,
    /// Another that goes by the same name.
    other: Option<PathBuf>,
    read: OnceLock<Files>,
    /// Whether a leaf says that it is whole.
    ended: AtomicBool,
}

struct Files {
    by_hash: HashMap<Hash, File>,
    whole: bool,
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
    /// Finds the recordings below a folder: `<yyyy>/<mm>/<dd>/<session>.tar`, or `.tar.partial`. Nothing is read yet.
    ///
    /// # Errors
    /// What the system says of a folder that cannot be listed.
    pub fn below(root: &Path) -> std::io::Result<Self> {
        let mut folders = vec![root.to_owned()];
        let mut recordings = Self::default();
        for depth in 0..4 {
            let mut below = Vec::new();
            for folder in &folders {
                for entry in std::fs::read_dir(folder)? {
                    let path = entry?.path();
                    if depth < 3 && path.is_dir() {
                        below.push(path);
                    } else if let Some((session, path)) = session_of(path) {
                        recordings.add(session, path);
                    }
                }
            }
            folders = below;
        }
        Ok(recordings)
    }

    fn add(&mut self, session: Uuid, path: PathBuf) {
        let new =
            || Recording { path: path.clone(), other: None, read: OnceLock::new(), ended: AtomicBool::new(false) };
        let known = self.found.entry(session).or_insert_with(new);
        if known.path != path {
            known.other = Some(path);
        }
    }

    /// What became of the bytes that a leaf seals.
    pub(super) fn body(&self, leaf: &Leaf) -> Body {
        let Some(session) = leaf.session else { return Body::Elsewhere };
        let recording = self.found.get(&session);
        match (leaf.kind.as_str(), recording) {
            (SEGMENT, None) => Body::Gone,
            (SEGMENT, Some(recording)) => match recording.files(&self.bytes).by_hash.get(&leaf.hash) {
                Some(file) => {
                    file.sealed.store(true, Ordering::Relaxed);
                    Body::Measured { length: file.size, hash: leaf.hash }
                }
                None => Body::Gone,
            },
            (SEALED, Some(recording)) => {
                recording.ended.store(true, Ordering::Relaxed);
                Body::Elsewhere
            }
            _ => Body::Elsewhere,
        }
    }

    /// What lies in the recordings and was never sealed, once all leaves were seen.
    pub(super) fn unsealed(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (session, recording) in &self.found {
            let found = |(code, detail)| Fault { session: Some(*session), ..Fault::new(code, detail) };
            faults.extend(recording.unsealed().into_iter().map(found));
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
            let mut each = |name: &str, size, sha256: &str| {
                bytes.fetch_add(size, Ordering::Relaxed);
                if let Some(hash) = Hash::from_hex(sha256) {
                    by_hash.insert(hash, File { name: name.to_owned(), size, sealed: AtomicBool::new(false) });
                }
            };
            let partial = self.path.with_added_extension(PARTIAL);
            // What is not whole now may be so a moment later, under its own name.
            let whole = self.path.exists() || files_so_far(&partial, &mut each).is_err();
            let fault = if whole { check_sealed(&self.path, each).err().map(|fault| fault.to_string()) } else { None };
            Files { by_hash, whole, fault }
        })
    }

    fn unsealed(&self) -> Vec<(Code, String)> {
        let path = self.path.display();
        let mut found = Vec::new();
        if let Some(other) = &self.other {
            found.push((Code::RecordingDiffers, format!("{} goes by the name of {path}", other.display())));
        }
        let Some(files) = self.read.get() else {
            // Of one that is under way the log may not have been told yet.
            if self.path.exists() {
                found.push((Code::RecordingUnknown, format!("no entry seals anything of {path}")));
            }
            return found;
        };
        found.extend(files.fault.iter().map(|fault| (Code::RecordingDiffers, fault.clone())));
        let unsealed = files.by_hash.values().filter(|file| !file.sealed.load(Ordering::Relaxed));
        match (self.ended.load(Ordering::Relaxed), files.whole) {
            (true, _) => found.extend(
                unsealed
                    .map(|file| (Code::RecordingDiffers, format!("{} in {path} is not what was sealed", file.name))),
            ),
            (false, true) => {
                let detail = |count| format!("{count} files in {path} are newer than this copy of the log");
                found.extend(
                    Some(unsealed.count())
                        .filter(|count| *count > 0)
                        .map(|count| (Code::RecordingUnknown, detail(count))),
                );
            }
            (false, false) => {}
        }
        found
    }
}

/// The session whose recording goes by this name, and its path once it is whole.
fn session_of(path: PathBuf) -> Option<(Uuid, PathBuf)> {
    let path = if path.extension().is_some_and(|end| end == PARTIAL) { path.with_extension("") } else { path };
    let name = path.file_name()?.to_str()?.strip_suffix(".tar")?;
    let session = Uuid::try_parse(name).ok().filter(|session| session.to_string() == name)?;
    Some((session, path))
}
