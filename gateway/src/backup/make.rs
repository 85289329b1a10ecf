//! Takes a backup, while the gateway serves or not.

use super::files::{below, make_private, measured, opened, read, remove, write};
use super::folder::name_of;
use super::list::{self, Entry};
use super::place::{Object, Place, Put, Stays};
use super::{BackupError, CHECKPOINT, DATABASE, FILES, KEYS, LOG, LOG_KEYS, Manifest, NOTE, RECORDINGS, TAKEN, stage};
use crate::cli::context::ADMINISTRATOR;
use crate::config::{Config, Database};
use crate::seal;
use crate::store::Store;
use chrono::{DateTime, Utc};
use sekimori_audit::keys::Recipients;
use sekimori_audit::log::{COSIGNED, Checkpoint, LogKeys, Resource, SigningKey};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How often a folder that changes meanwhile is copied again.
const ROUNDS: usize = 10;

/// How many versions of an object are read for one that is the file already.
const MOST_COMPARED: usize = 3;
/// The name of the configuration among the keys.
pub const CONFIGURATION: &str = "sekimori.toml";

/// A backup that was taken.
#[derive(Debug, Serialize)]
pub struct Made {
    /// What it says of itself.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// What of earlier ones could not be removed.
    pub stays: Stays,
}

/// Takes a backup into a place, which may hold earlier ones: what never changes is not copied again.
///
/// # Errors
/// [`BackupError`]; then the backup that was there before is there still.
pub async fn make(config: &Config, config_path: &Path, store: &Store, to: &Path) -> Result<Made, BackupError> {
    let _alone = lock(config)?;
    let recipients = Recipients::read(&config.recipients())?;
    let keys = LogKeys::read(&config.log_keys())?;
    let own = [config.data_dir(), config.recordings_dir(), config.log_dir()];
    let place = Place::prepare(to, &config.backup_store(), keys.origin(), &own)?;
    let mut backup = Backup::begin(config, place, &keys)?;
    let sealing = backup.put_evidence(store, &recipients).await?;
    backup.seal(KEYS, |out| seal_keys(config, config_path, &recipients, out))?;
    backup.finish(sealing)
}

/// A backup that is being taken.
struct Backup<'a> {
    config: &'a Config,
    place: Place,
    at: DateTime<Utc>,
    /// The folder of what changes.
    taken: String,
    /// What lies there, by name.
    there: HashMap<String, Vec<Object>>,
    /// The files of the backup before it.
    before: BTreeMap<String, Entry>,
    /// Its own.
    files: BTreeMap<String, Entry>,
    /// Sessions whose recordings were removed, as its database knows.
    purged: BTreeSet<Uuid>,
}

/// The log as it is in a backup, and the key that signs for it.
struct Sealing {
    checkpoint: Checkpoint,
    note: String,
    key: SigningKey,
}

impl<'a> Backup<'a> {
    fn begin(config: &'a Config, place: Place, keys: &LogKeys) -> Result<Self, BackupError> {
        let mut there: HashMap<String, Vec<Object>> = HashMap::new();
        for object in place.list("")? {
            there.entry(object.name.clone()).or_default().push(object);
        }
        // Whatever is wrong with the one before, this one is made whole.
        let before =
            stage::newest(&place, keys).and_then(|manifest| stage::listed(&place, &manifest)).unwrap_or_default();
        let at = Utc::now();
        let taken = format!("{TAKEN}/{}", at.format("%Y%m%dT%H%M%S%.6fZ"));
        Ok(Self { config, place, at, taken, there, before, files: BTreeMap::new(), purged: BTreeSet::new() })
    }

    /// Log, database and recordings: again if a recording was removed meanwhile, since only a later log tells of that.
    async fn put_evidence(&mut self, store: &Store, recipients: &Recipients) -> Result<Sealing, BackupError> {
        for _ in 0..ROUNDS {
            let sealing = self.put_log_and_database(store, recipients).await?;
            self.put_recordings()?;
            if store.purged_sessions().await? == self.purged {
                return Ok(sealing);
            }
        }
        Err(BackupError::Unsteady(self.config.recordings_dir()))
    }

    /// The log under a checkpoint, and a database that knows all that is sealed there and of no later checkpoint: the
    /// hourly beat names one, and a gateway whose log fell behind what its database knows does not start.
    async fn put_log_and_database(&mut self, store: &Store, recipients: &Recipients) -> Result<Sealing, BackupError> {
        let copy = Clear::beside(self.config)?;
        for _ in 0..ROUNDS {
            let Some(sealing) = self.put_log()? else { continue };
            copy.taken_of(store).await?;
            let copied = Store::open_without_key(&Database::Sqlite(copy.0.clone())).await?;
            let known = seal::known(&copied, &sealing.checkpoint.origin).await;
            let purged = copied.purged_sessions().await;
            copied.close().await;
            self.purged = purged?;
            if known?.size <= sealing.checkpoint.size {
                self.seal(DATABASE, |out| copy.sealed(recipients, out))?;
                return Ok(sealing);
            }
        }
        Err(BackupError::Unsteady(self.config.log_dir()))
    }

    /// What belongs to a checkpoint is read before it, so that it is of no later one. `None` while a key is succeeded.
    fn put_log(&mut self) -> Result<Option<Sealing>, BackupError> {
        let folder = self.config.log_dir();
        let needed = |name: &Path, path: &Path| {
            read(path)?.ok_or_else(|| BackupError::unusable(name.display(), "the gateway has none"))
        };
        let key = seal::key_in_force(self.config)?;
        let keys = needed(Path::new(LOG_KEYS), &self.config.log_keys())?;
        if LogKeys::parse(&keys)?.log().last() != Some(key.verifier()) {
            return Ok(None);
        }
        let cosigned = read(&folder.join(COSIGNED))?;
        let bytes = needed(Path::new(CHECKPOINT), &folder.join(CHECKPOINT))?;
        let checkpoint = Checkpoint::parse(&bytes)?.0;
        self.until_nothing_vanishes(&folder, |backup| backup.put_tiles(&folder, checkpoint.size))?;
        self.put_bytes(LOG_KEYS, &keys)?;
        if let Some(cosigned) = cosigned {
            self.put_bytes(&format!("{LOG}/{COSIGNED}"), &cosigned)?;
        }
        let note = String::from_utf8(bytes).map_err(anyhow::Error::from)?;
        Ok(Some(Sealing { checkpoint, note, key }))
    }

    /// Puts what is in a folder; again if something vanished meanwhile. That has another name now (a tile that grew full, a
    /// recording that was sealed), under which it may not have been listed.
    fn until_nothing_vanishes(
        &mut self,
        folder: &Path,
        mut put: impl FnMut(&mut Self) -> Result<bool, BackupError>,
    ) -> Result<(), BackupError> {
        for _ in 0..ROUNDS {
            if put(self)? {
                return Ok(());
            }
        }
        Err(BackupError::Unsteady(folder.to_owned()))
    }

    fn put_tiles(&mut self, folder: &Path, size: u64) -> Result<bool, BackupError> {
        let mut whole = true;
        for path in below(folder)? {
            // What a verifier would ask about has to be of this checkpoint; what is written just now has no name yet.
            let wanted = match Resource::parse(&name_of(&path)?) {
                Some(Resource::Rotation { size: at }) => at <= size,
                Some(Resource::Tile { .. } | Resource::Entries { .. }) => true,
                Some(Resource::Checkpoint | Resource::Cosigned) | None => false,
            };
            if wanted {
                whole &= self.put_once(&format!("{LOG}/{}", name_of(&path)?), &folder.join(&path))?;
            }
        }
        Ok(whole)
    }

    /// Sealed ones never change; what is under way is copied as it is now.
    fn put_recordings(&mut self) -> Result<(), BackupError> {
        let folder = self.config.recordings_dir();
        self.until_nothing_vanishes(&folder, |backup| {
            // Of the round before, what has another name now.
            backup.files.retain(|name, _| !name.starts_with(RECORDINGS));
            let mut whole = true;
            for path in below(&folder)? {
                let (name, from) = (format!("{RECORDINGS}/{}", name_of(&path)?), folder.join(&path));
                whole &=
                    if is_sealed(&name) { backup.put_once(&name, &from)? } else { backup.put_anew(&name, &from)? };
            }
            Ok(whole)
        })?;
        // A recording that the gateway no longer has is kept, unless it was removed by two people: a backup forgets nothing
        // by itself, and keeps nothing that was to go.
        let stays = |entry: &&Entry| {
            is_sealed(&entry.name) && !session_of(&entry.name).is_some_and(|id| self.purged.contains(&id))
        };
        let gone: Vec<Entry> = self.before.values().filter(stays).cloned().collect();
        for entry in gone {
            if !self.files.contains_key(&entry.name) && self.has(&entry) {
                self.files.insert(entry.name.clone(), entry);
            }
        }
        Ok(())
    }

    /// Whether what an earlier backup put is there still, as far as a list can tell.
    fn has(&self, entry: &Entry) -> bool {
        self.lying(&entry.object).any(|object| object.size == entry.size && object.version == entry.version)
    }

    fn lying(&self, object: &str) -> impl Iterator<Item = &Object> {
        self.there.get(object).into_iter().flatten()
    }

    /// A file that never changes; `false` if it is gone. Of a recording its name and size tell that it is the one that was
    /// put before: it is read again by whoever restores. The log's files are small, and another log may have some of the
    /// same size (one that went on from an older copy): they are compared.
    fn put_once(&mut self, name: &str, from: &Path) -> Result<bool, BackupError> {
        let Some(file) = opened(from)? else { return Ok(false) };
        let size = file.metadata().map_err(BackupError::storage("look at", from))?.len();
        let before = self.before.get(name).filter(|before| before.size == size && self.has(before));
        if let Some(before) = before.filter(|_| is_sealed(name)) {
            self.files.insert(name.to_owned(), before.clone());
            return Ok(true);
        }
        let Some(copied) = measured(from)? else { return Ok(false) };
        if let Some(before) = before.filter(|before| before.is(&copied)) {
            self.files.insert(name.to_owned(), before.clone());
            return Ok(true);
        }
        // One that broke off may have put it already.
        let mut found = None;
        for object in self.lying(name).take(MOST_COMPARED) {
            if object.size == copied.size && self.place.holds(object, &copied)? {
                found = Some(object.version.clone());
                break;
            }
        }
        let put = match found {
            Some(version) => Put { copied, version, until: None },
            None => self.place.put(name, file)?,
        };
        self.listed(name, name.to_owned(), put);
        Ok(true)
    }

    /// A file that changes, as it is now; `false` if it is gone.
    fn put_anew(&mut self, name: &str, from: &Path) -> Result<bool, BackupError> {
        let Some(file) = opened(from)? else { return Ok(false) };
        let object = format!("{}/{name}", self.taken);
        let put = self.place.put(&object, file)?;
        self.listed(name, object, put);
        Ok(true)
    }

    fn listed(&mut self, name: &str, object: String, put: Put) {
        let Put { copied, version, until } = put;
        let entry = Entry { name: name.to_owned(), object, size: copied.size, sha256: copied.sha256, version, until };
        self.files.insert(entry.name.clone(), entry);
    }

    /// A file that is made now, beside the data until it is put.
    fn seal(&mut self, name: &str, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), BackupError> {
        let beside = self.config.data_dir().join("backup.sealed");
        write(&beside, fill)?;
        let put = self.put_anew(name, &beside);
        remove(&beside)?;
        put.map(|_| ())
    }

    fn put_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        self.seal(name, |out| out.write_all(bytes))
    }

    /// The list, then the note that makes it count; only then is removed what no backup needs.
    fn finish(mut self, sealing: Sealing) -> Result<Made, BackupError> {
        for entry in self.files.values_mut() {
            self.place.keep(entry)?;
        }
        let lines = list::encode(&self.files)?;
        self.put_bytes(FILES, &lines)?;
        let files = self.files.get(FILES).cloned().ok_or_else(|| anyhow::anyhow!("the list of files was not put"))?;
        self.place.prove_locked(&files)?;
        self.prove_there()?;
        let (hospital, program) = (self.config.hospital.name.clone(), env!("CARGO_PKG_VERSION").to_owned());
        let entries = sealing.checkpoint.size;
        let manifest = Manifest { at: self.at, hospital, program, entries, checkpoint: sealing.note, files };
        let note = manifest.signed(&sealing.key)?;
        self.put_bytes(NOTE, note.as_bytes())?;
        let mut stays = Stays::default();
        for object in self.prove_there()? {
            self.place.remove(&object, &mut stays)?;
        }
        Ok(Made { manifest, stays })
    }

    /// Demands that all that was put is there, as far as a list can tell: a place may say that it took a file, and not have
    /// it. What else is there, which no backup needs any more.
    fn prove_there(&self) -> Result<Vec<Object>, BackupError> {
        let object = |entry: &Entry| (entry.object.clone(), entry.version.clone());
        let sizes: HashMap<_, u64> = self.files.values().map(|entry| (object(entry), entry.size)).collect();
        let (mut missing, mut others): (HashSet<_>, _) = (sizes.keys().collect(), Vec::new());
        for part in [LOG, RECORDINGS, TAKEN] {
            for object in self.place.list(&format!("{part}/"))? {
                match sizes.get_key_value(&(object.name.clone(), object.version.clone())) {
                    Some((key, size)) if *size == object.size => {
                        missing.remove(key);
                    }
                    Some(_) => {}
                    None => others.push(object),
                }
            }
        }
        match missing.into_iter().min() {
            Some((name, _)) => {
                Err(BackupError::unfit(self.place.called(""), format!("it took {name}, and does not have it")))
            }
            None => Ok(others),
        }
    }
}

fn is_sealed(name: &str) -> bool {
    name.starts_with(RECORDINGS) && name.ends_with(".tar")
}

fn session_of(name: &str) -> Option<Uuid> {
    Path::new(name).file_stem()?.to_str()?.parse().ok()
}

/// One at a time: what is copied in clear for a moment has one name, and a list tells of one place.
fn lock(config: &Config) -> Result<File, BackupError> {
    let path = config.data_dir().join("backup.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(BackupError::storage("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::Busy(path)),
        Err(TryLockError::Error(fault)) => Err(BackupError::storage("lock", &path)(fault)),
    }
}

/// A copy of the database of one moment: in clear it lies in the data directory alone, until it is sealed.
struct Clear(PathBuf);

impl Clear {
    fn beside(config: &Config) -> Result<Self, BackupError> {
        let copy = Self(config.data_dir().join("backup.db"));
        copy.removed()?;
        Ok(copy)
    }

    async fn taken_of(&self, store: &Store) -> Result<(), BackupError> {
        self.removed()?;
        // SQLite fills an empty file; what it would make itself, others could read.
        make_private(&self.0)?;
        Ok(store.copy_to(&self.0).await?)
    }

    fn sealed(&self, recipients: &Recipients, out: &mut dyn Write) -> io::Result<()> {
        let mut sealed = recipients.seal(out)?;
        io::copy(&mut File::open(&self.0)?, &mut sealed)?;
        sealed.finish().map(|_| ())
    }

    fn removed(&self) -> Result<(), BackupError> {
        ["", "-wal", "-shm"].iter().try_for_each(|end| {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            remove(Path::new(&name))
        })
    }
}

impl Drop for Clear {
    fn drop(&mut self) {
        // What could not be removed is removed by the next backup, or stops it.
        let _ = self.removed();
    }
}

fn seal_keys(config: &Config, config_path: &Path, recipients: &Recipients, out: &mut dyn Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(recipients.seal_to_recovery(out)?);
    let keys = config.keys_dir();
    let names = below(&keys).map_err(io::Error::other)?;
    let mut files: Vec<_> = names.iter().map(|name| (Path::new("keys").join(name), keys.join(name))).collect();
    if !config.master_key().starts_with(&keys) {
        files.push((PathBuf::from("keys/master.key"), config.master_key()));
    }
    files.push((PathBuf::from(ADMINISTRATOR), config.data_dir().join(ADMINISTRATOR)));
    files.push((PathBuf::from(CONFIGURATION), config_path.to_owned()));
    for (name, path) in files {
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(|fault| io::Error::other(format!("{}: {fault}", path.display())))?,
        };
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice())?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}
