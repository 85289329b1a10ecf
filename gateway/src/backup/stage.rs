//! Finds the newest backup that the log's key signed for, and lays out its files where they can be checked and used, each
//! of them the one that was signed for.

use super::files::put;
use super::list::{self, Entry};
use super::place::{Object, Place};
use super::{BackupError, CHECKPOINT, FILES, LOG, LOG_KEYS, Manifest, NOTE, RECORDINGS, TAKEN, files};
use sekimori_audit::log::{LogKeys, note};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of the longest note: more make it none.
const LONGEST_NOTE: u64 = note::LONGEST as u64 + 1;
/// Files that are named where several are not as they were; the rest are counted.
const MOST_NAMED: usize = 20;

/// A backup that somebody signed for whose word counts.
pub struct Found {
    /// Where it lies.
    pub place: Place,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The keys that verified it.
    pub keys: LogKeys,
    /// Whether these were its own: then it only agrees with itself.
    pub own_keys: bool,
    /// Newer notes that nobody signed whose word counts, and why not.
    pub passed_over: Vec<String>,
}

/// Its files, laid out.
pub struct Staged {
    /// The folder that they are below, each by its name.
    pub folder: PathBuf,
    /// What they are.
    pub files: BTreeMap<String, Entry>,
}

impl Staged {
    /// Where a file lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Finds the newest one that the last of `keys` signed, or the last of its own. What nobody signed is passed over: who can
/// write there, and nothing more, shall not be able to hide what is there. That a newer one was removed does not show
/// here, only against a checkpoint that was kept elsewhere.
///
/// # Errors
/// [`BackupError::Unusable`] if there is none.
pub fn find(place: Place, kept: Option<&Path>) -> Result<Found, BackupError> {
    let kept = kept.map(LogKeys::read).transpose()?;
    let own_keys = kept.is_none();
    let mut passed_over = Vec::new();
    for object in notes(&place)? {
        let candidates = match &kept {
            Some(keys) => vec![keys.clone()],
            None => own_keys_of(&place, &object)?,
        };
        let mut found = Err("its log's keys are not with it: name those that were kept, with --keys".to_owned());
        for keys in candidates {
            found = read(&place, &object, &keys).map(|manifest| (manifest, keys));
            if found.is_ok() {
                break;
            }
        }
        match found {
            Ok((manifest, keys)) => return Ok(Found { place, manifest, keys, own_keys, passed_over }),
            Err(why) => passed_over.push(format!("{}: {why}", place.called(&object.name))),
        }
    }
    let reason = match passed_over.first() {
        Some(first) => format!("of {} in it none counts; {first}", passed_over.len()),
        None => format!("there is no {TAKEN}/…/{NOTE} in it"),
    };
    Err(BackupError::unusable(place.called(""), reason))
}

/// The newest one that one of these keys signed, whichever: its list saves copying again what is there.
pub(super) fn newest(place: &Place, keys: &LogKeys) -> Option<Manifest> {
    let notes = notes(place).ok()?;
    notes.iter().find_map(|object| read(place, object, keys).ok())
}

/// A note that lies with its own list: an older one that was copied to a later time is not the newest.
fn read(place: &Place, note: &Object, keys: &LogKeys) -> Result<Manifest, String> {
    let bytes = place.read(&note.name, note.version.as_deref(), LONGEST_NOTE).map_err(|fault| fault.to_string())?;
    let manifest = Manifest::read(&bytes, keys)?;
    match note.name.strip_suffix(NOTE) == manifest.files.object.strip_suffix(FILES) {
        true => Ok(manifest),
        false => Err("it is the note of another time, and was copied there".to_owned()),
    }
}

/// The files of a backup, as it lists them.
pub(super) fn listed(place: &Place, manifest: &Manifest) -> Option<BTreeMap<String, Entry>> {
    let bytes = place.read(&manifest.files.object, manifest.files.version.as_deref(), list::LONGEST).ok()?;
    let copied = files::of_bytes(&bytes);
    manifest.files.is(&copied).then(|| list::decode(&bytes).ok()).flatten()
}

/// The notes there, the newest first.
fn notes(place: &Place) -> Result<Vec<Object>, BackupError> {
    let mut notes = place.list(TAKEN)?;
    notes.retain(|object| object.name.split('/').count() == 3 && object.name.ends_with(&format!("/{NOTE}")));
    notes.sort_by(|one, other| other.name.cmp(&one.name));
    Ok(notes)
}

/// The keys that lie with a note, in every version that can be read, the newest first: what was put on top hides nothing.
fn own_keys_of(place: &Place, note: &Object) -> Result<Vec<LogKeys>, BackupError> {
    let name = note.name.replace(NOTE, LOG_KEYS);
    let beside = place.list(note.name.strip_suffix(NOTE).unwrap_or_default())?;
    let versions = beside.iter().filter(|object| object.name == name);
    let read = |object: &Object| place.read(&object.name, object.version.as_deref(), LONGEST_NOTE);
    Ok(versions.filter_map(|object| LogKeys::parse(&read(object).ok()?).ok()).collect())
}

/// Lays out the files of a backup below a folder.
///
/// # Errors
/// [`BackupError::Unusable`] names the files that are not as they were signed for.
pub fn stage(found: &Found, folder: &Path) -> Result<Staged, BackupError> {
    let Found { place, manifest, .. } = found;
    let listing = folder.join("listing");
    let what = place.called(&manifest.files.object);
    if let Err(why) = place.fetch(&manifest.files, &listing)? {
        return Err(BackupError::unusable(what, why));
    }
    let bytes = files::read(&listing)?.unwrap_or_default();
    let files = list::decode(&bytes).map_err(|why| BackupError::unusable(what, why))?;
    let folder = folder.join("backup");
    files::make_folder(&folder.join(RECORDINGS))?;
    let (mut faults, mut count) = (Vec::new(), 0);
    for entry in files.values() {
        let to = folder.join(&entry.name);
        files::make_folder(to.parent().unwrap_or(&folder))?;
        if let Err(why) = place.fetch(entry, &to)? {
            count += 1;
            if faults.len() < MOST_NAMED {
                faults.push(format!("{}: {why}", place.called(&entry.object)));
            }
        }
    }
    if count > 0 {
        let reason = format!("of {} files {count} are not as they were signed for; {}", files.len(), faults.join("; "));
        return Err(BackupError::unusable(place.called(""), reason));
    }
    // The log ends where the note says, whatever was added behind it.
    put(&folder.join(LOG).join(CHECKPOINT), manifest.checkpoint.as_bytes())?;
    Ok(Staged { folder, files })
}
