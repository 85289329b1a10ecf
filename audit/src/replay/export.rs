//! Takes a recording elsewhere: a tar of its folder, each member checked against the manifest while it is written.
//!
//! Any `tar` opens it. Exporting to [`std::io::sink`] verifies a recording in place.

use super::index::{open, read_manifest};
use crate::error::RecordingError;
use crate::recording::{FORMAT_VERSION, MemberEntry};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Exported {
    /// Members written, the manifest included.
    pub members: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether there was a manifest, and everything agreed with it. Without one (a session that is live, or was torn
    /// off) the members are as they were found.
    pub verified: bool,
}

/// Writes the recording in `folder` to `out` as a tar; all names in it begin with the session's.
///
/// # Errors
/// [`RecordingError::Altered`] if a member differs from the manifest, is missing, or is not in it; what was written so
/// far is then no export. Otherwise [`RecordingError::Storage`] or [`RecordingError::Damaged`].
pub fn export(folder: &Path, out: impl Write) -> Result<Exported, RecordingError> {
    let index = open(folder)?;
    let manifest = read_manifest(folder)?;
    let expected: Option<BTreeMap<&str, &MemberEntry>> =
        manifest.as_ref().map(|manifest| manifest.members.iter().map(|entry| (entry.name.as_str(), entry)).collect());
    let modified = manifest.as_ref().map_or(index.head.opened, |manifest| manifest.ended).timestamp();
    let mut archive = Archive { tar: Builder::new(out), prefix: index.head.session.to_string(), modified, bytes: 0 };
    let found = names_in(folder)?;
    if let Some(expected) = &expected {
        check_names(folder, &found, expected)?;
    }
    for name in &found {
        let entry = expected.as_ref().and_then(|expected| expected.get(name.as_str()).copied());
        archive.add(folder, name, entry)?;
    }
    let mut out = archive.tar.into_inner().map_err(to_archive)?;
    out.flush().map_err(to_archive)?;
    Ok(Exported { members: found.len(), bytes: archive.bytes, verified: manifest.is_some() })
}

struct Archive<W: Write> {
    tar: Builder<W>,
    prefix: String,
    modified: i64,
    bytes: u64,
}

impl<W: Write> Archive<W> {
    fn add(&mut self, folder: &Path, name: &str, entry: Option<&MemberEntry>) -> Result<(), RecordingError> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(RecordingError::storage("open", &path))?;
        // The size of the opening: a live member may grow while it is read.
        let size = file.metadata().map_err(RecordingError::storage("look at", &path))?.len();
        if let Some(entry) = entry
            && entry.size != size
        {
            return Err(altered(&path, format!("{size} bytes instead of {}", entry.size)));
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.modified).unwrap_or(0));
        header.set_size(size);
        let mut hashed = Hashed { inner: file.take(size), hash: Context::new(&SHA256) };
        self.tar
            .append_data(&mut header, format!("{}/{name}", self.prefix), &mut hashed)
            .map_err(RecordingError::storage("export", &path))?;
        let sha256 = crate::recording::hex(hashed.hash.finish().as_ref());
        if let Some(entry) = entry
            && entry.sha256 != sha256
        {
            return Err(altered(&path, format!("SHA-256 {sha256} instead of {}", entry.sha256)));
        }
        self.bytes += size;
        Ok(())
    }
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hash: Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// All members by name, `session.json` first and the manifest second: a reader of the tar needs them first.
fn names_in(folder: &Path) -> Result<Vec<String>, RecordingError> {
    let mut names = files_in(folder, "")?;
    if folder.join("files").is_dir() {
        names.extend(files_in(&folder.join("files"), "files/")?);
    }
    names.sort_by_key(|name| {
        let rank = ["session.json", "manifest.json"].iter().position(|first| first == name).unwrap_or(2);
        (rank, name.clone())
    });
    Ok(names)
}

fn files_in(folder: &Path, prefix: &str) -> Result<Vec<String>, RecordingError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RecordingError::storage("list", folder))? {
        let entry = entry.map_err(RecordingError::storage("list", folder))?;
        let kind = entry.file_type().map_err(RecordingError::storage("look at", &entry.path()))?;
        let name = entry.file_name().into_string();
        match name {
            // A manifest that a crash kept from its name.
            Ok(name) if name == ".manifest.json.partial" => {}
            Ok(name) if kind.is_dir() && prefix.is_empty() && name == "files" => {}
            Ok(name) if kind.is_file() => names.push(format!("{prefix}{name}")),
            _ => {
                return Err(altered(&entry.path(), format!("it is no member of a version {FORMAT_VERSION} recording")));
            }
        }
    }
    Ok(names)
}

fn check_names(folder: &Path, found: &[String], expected: &BTreeMap<&str, &MemberEntry>) -> Result<(), RecordingError> {
    if let Some(missing) = expected.keys().find(|name| !found.iter().any(|found| found == *name)) {
        return Err(altered(&folder.join(missing), "it is missing".to_owned()));
    }
    let unlisted = found.iter().find(|name| *name != "manifest.json" && !expected.contains_key(name.as_str()));
    match unlisted {
        Some(name) => Err(altered(&folder.join(name), "it is not in the manifest".to_owned())),
        None => Ok(()),
    }
}

fn altered(path: &Path, reason: String) -> RecordingError {
    RecordingError::Altered { path: path.to_owned(), reason }
}

fn to_archive(error: io::Error) -> RecordingError {
    RecordingError::storage("write", Path::new("the archive"))(error)
}
