//! Takes a recording elsewhere: the sealed tar as it is, or a tar of its members as they were before sealing. Each is
//! checked while it is written.
//!
//! Any `tar` opens both. Exporting to [`std::io::sink`] verifies a recording in place.

use super::index::{open, read_manifest};
use super::source::Source;
use crate::error::RecordingError;
use crate::hex;
use crate::recording::sealed::{INDEX, read_index};
use crate::recording::{MemberEntry, Place};
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
    /// Members written, the manifest or index included.
    pub members: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether there was a manifest or index, and everything agreed with it. Without one (a session that is live, or was
    /// torn off) the members are as they were found.
    pub verified: bool,
}

/// Writes a recording's members, opened, to `out` as a tar; all names in it begin with the session's.
///
/// # Errors
/// [`RecordingError::Altered`] if a member differs from the manifest, is missing, or is not in it; what was written so
/// far is then no export. Otherwise [`RecordingError::Storage`], [`RecordingError::Damaged`] or
/// [`RecordingError::Locked`].
pub fn export(source: impl Into<Source>, out: impl Write) -> Result<Exported, RecordingError> {
    let source = source.into();
    let session = open(&source)?.head.session.to_string();
    let mut tar = Builder::new(out);
    let exported = export_below(&source, &mut tar, &session)?;
    tar.into_inner().and_then(|mut out| out.flush()).map_err(to_archive)?;
    Ok(exported)
}

/// The same into a tar that has other members as well; names begin with `prefix`.
pub(crate) fn export_below(
    source: &Source,
    tar: &mut Builder<impl Write>,
    prefix: &str,
) -> Result<Exported, RecordingError> {
    let index = open(source)?;
    let manifest = read_manifest(&index.source)?;
    let expected: Option<BTreeMap<&str, &MemberEntry>> =
        manifest.as_ref().map(|manifest| manifest.members.iter().map(|entry| (entry.name.as_str(), entry)).collect());
    let modified = manifest.as_ref().map_or(index.head.opened, |manifest| manifest.ended).timestamp();
    let mut members = Members { tar, prefix, modified, bytes: 0 };
    let mut found = names_in_order(&index.source)?;
    if let Some(expected) = &expected {
        // The text of a terminal was made when its member was sealed, and nothing vouches for it.
        found.retain(|name| !name.strip_suffix(".txt").is_some_and(|of| expected.contains_key(&*format!("{of}.cast"))));
        check_names(&index.source, &found, expected)?;
    }
    for name in &found {
        let entry = expected.as_ref().and_then(|expected| expected.get(name.as_str()).copied());
        members.add(&index.source, name, entry)?;
    }
    Ok(Exported { members: found.len(), bytes: members.bytes, verified: manifest.is_some() })
}

/// Copies a sealed recording to `out`, every byte of it; each member is compared with the index. Nobody's key is needed.
///
/// # Errors
/// [`RecordingError::Altered`] if a member differs from the index, is missing, or is not in it; what was written so far
/// is then no export. Otherwise [`RecordingError::Storage`] or [`RecordingError::Damaged`].
pub fn export_sealed(path: &Path, out: impl Write) -> Result<Exported, RecordingError> {
    scan(path, out, |_, _, _| {})
}

/// Checks a sealed recording in place as [`export_sealed`] does; `each` is told the name, size and SHA-256 of every file
/// as it is stored, whatever the index says.
///
/// # Errors
/// As [`export_sealed`].
pub fn check_sealed(path: &Path, each: impl FnMut(&str, u64, &str)) -> Result<Exported, RecordingError> {
    scan(path, io::sink(), each)
}

/// Tells the name, size and SHA-256 of each file in a tar that is not whole yet, up to where it ends.
///
/// # Errors
/// What the file system said when it was opened.
pub(crate) fn files_so_far(path: &Path, mut each: impl FnMut(&str, u64, &str)) -> io::Result<()> {
    let mut archive = tar::Archive::new(File::open(path)?);
    // What is torn off has no hash that anybody knows of.
    for entry in archive.entries().into_iter().flatten() {
        let Ok(mut entry) = entry else { break };
        let Ok(name) = entry.path().map(|path| path.to_string_lossy().into_owned()) else { break };
        let mut hashed = Hashed { inner: &mut entry, hash: Context::new(&SHA256) };
        let Ok(size) = io::copy(&mut hashed, &mut io::sink()) else { break };
        let sha256 = hex::encode(hashed.hash.finish().as_ref());
        each(name.split_once('/').map_or(name.as_str(), |(_, name)| name), size, &sha256);
    }
    Ok(())
}

fn scan(path: &Path, out: impl Write, mut each: impl FnMut(&str, u64, &str)) -> Result<Exported, RecordingError> {
    let (index, stored_index) = read_index(path)?;
    let mut expected: BTreeMap<String, &Place> =
        index.places().map(|(name, place)| (format!("{}/{name}", index.session), place)).collect();
    let index_name = format!("{}/{INDEX}", index.session);
    let file = File::open(path).map_err(RecordingError::storage("open", path))?;
    let mut archive = tar::Archive::new(Copied { inner: file, out });
    let (mut members, mut bytes, mut fault) = (0, 0, None);
    let reading = || RecordingError::storage("read", path);
    // As they stand there: no file of ours has extended headers, and those of others may be as long as they like.
    for entry in archive.entries().map_err(reading())?.raw(true) {
        let mut entry = entry.map_err(reading())?;
        let name = entry.path().map_err(reading())?.to_string_lossy().into_owned();
        let altered = |reason: &str| RecordingError::Altered { path: path.join(&name), reason: reason.to_owned() };
        let at = entry.raw_file_position();
        let mut hashed = Hashed { inner: &mut entry, hash: Context::new(&SHA256) };
        let size = io::copy(&mut hashed, &mut io::sink()).map_err(reading())?;
        let sha256 = hex::encode(hashed.hash.finish().as_ref());
        each(name.split_once('/').map_or(name.as_str(), |(_, name)| name), size, &sha256);
        let as_expected = match expected.remove(&name) {
            Some(known) => (known.at, known.size, &known.sha256) == (at, size, &sha256),
            None if name == index_name => sha256 == stored_index.sha256,
            None => false,
        };
        if !as_expected {
            // Read on: whoever checks wants to know of every file.
            fault.get_or_insert(altered("it differs from the index, or is not in it"));
        }
        members += 1;
        bytes += size;
    }
    if let Some(missing) = expected.keys().next() {
        let missing = RecordingError::Altered { path: path.join(missing), reason: "it is missing".to_owned() };
        fault.get_or_insert(missing);
    }
    let mut copied = archive.into_inner();
    io::copy(&mut copied, &mut io::sink()).map_err(reading())?;
    copied.out.flush().map_err(to_archive)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    Ok(Exported { members, bytes, verified: true })
}

/// Copies what is read through it.
struct Copied<R, W> {
    inner: R,
    out: W,
}

impl<R: Read, W: Write> Read for Copied<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.out.write_all(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

struct Members<'t, W: Write> {
    tar: &'t mut Builder<W>,
    prefix: &'t str,
    modified: i64,
    bytes: u64,
}

impl<W: Write> Members<'_, W> {
    fn add(&mut self, source: &Source, name: &str, entry: Option<&MemberEntry>) -> Result<(), RecordingError> {
        let path = source.label(name);
        let file = source.open(name)?;
        // The size of the opening: a live member may grow while it is read.
        let size = source.size(name)?;
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
            .map_err(RecordingError::reading(&path))?;
        let sha256 = hex::encode(hashed.hash.finish().as_ref());
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
fn names_in_order(source: &Source) -> Result<Vec<String>, RecordingError> {
    let mut names = source.names()?;
    names.sort_by_key(|name| {
        let rank = ["session.json", "manifest.json"].iter().position(|first| first == name).unwrap_or(2);
        (rank, name.clone())
    });
    Ok(names)
}

fn check_names(
    source: &Source,
    found: &[String],
    expected: &BTreeMap<&str, &MemberEntry>,
) -> Result<(), RecordingError> {
    if let Some(missing) = expected.keys().find(|name| !found.iter().any(|found| found == *name)) {
        return Err(altered(&source.label(missing), "it is missing".to_owned()));
    }
    let unlisted = found.iter().find(|name| *name != "manifest.json" && !expected.contains_key(name.as_str()));
    match unlisted {
        Some(name) => Err(altered(&source.label(name), "it is not in the manifest".to_owned())),
        None => Ok(()),
    }
}

fn altered(path: &Path, reason: String) -> RecordingError {
    RecordingError::Altered { path: path.to_owned(), reason }
}

fn to_archive(error: io::Error) -> RecordingError {
    RecordingError::storage("write", Path::new("the archive"))(error)
}
