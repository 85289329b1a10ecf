//! Makes a gateway of a backup that was checked, where none is.

use super::files::{bring, make_folder, put, write};
use super::folder::LOST_AND_FOUND;
use super::make::CONFIGURATION;
use super::{BackupError, Checked, DATABASE, KEYS, LOG, LOG_KEYS, RECORDINGS, Staged};
use crate::config::{Config, Database};
use crate::store::Store;
use sekimori_audit::keys::Identities;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// What the data directory is called until it is whole, and what it is built in where it is a file system of its own.
const RESTORING: &str = "restoring";

/// The configuration in a backup.
///
/// # Errors
/// [`BackupError`] if it cannot be opened, which takes the recovery key.
pub fn unpacked_configuration(staged: &Staged, recovery: &Identities) -> Result<Vec<u8>, BackupError> {
    let mut found = None;
    unpack(staged, recovery, |name, bytes| {
        if name == Path::new(CONFIGURATION) {
            found = Some(bytes.to_vec());
        }
        Ok(())
    })?;
    found.ok_or_else(|| BackupError::unusable(KEYS, "it holds no configuration"))
}

/// Refuses if anything is where a gateway of this configuration would be.
///
/// # Errors
/// [`BackupError::Occupied`].
pub async fn check_room(config: &Config) -> Result<(), BackupError> {
    let database = config.database().map_err(anyhow::Error::msg)?;
    if !Store::is_vacant(&database).await? {
        let place = match database {
            Database::Sqlite(path) => path.display().to_string(),
            Database::Postgres { .. } => "a gateway's database, in PostgreSQL,".to_owned(),
        };
        return Err(BackupError::Occupied(place));
    }
    if config.master_key().exists() {
        return Err(BackupError::Occupied(config.master_key().display().to_string()));
    }
    for place in [config.data_dir(), config.recordings_dir()] {
        let entries = match fs::read_dir(&place) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(BackupError::storage("look into", &place))?,
        };
        // What an attempt that broke off left goes with the next one.
        let ours = |name: &std::ffi::OsStr| name == LOST_AND_FOUND || name == RESTORING;
        if entries.flatten().any(|entry| !ours(&entry.file_name())) {
            return Err(BackupError::Occupied(place.display().to_string()));
        }
    }
    Ok(())
}

/// Puts everything in its place. The data directory gets its name last, so that half a gateway is never taken for one.
///
/// # Errors
/// [`BackupError::Occupied`] if there is a gateway; otherwise [`BackupError`], and then there is none. What the
/// configuration puts outside of the data directory may be there in part.
pub async fn revive(
    staged: &Staged,
    checked: &Checked,
    config: &Config,
    recovery: &Identities,
) -> Result<(), BackupError> {
    check_room(config).await?;
    let data = config.data_dir();
    let mount = is_mount_point(&data);
    let building = if mount { data.join(RESTORING) } else { data.with_added_extension(RESTORING) };
    if building.exists() {
        fs::remove_dir_all(&building).map_err(BackupError::storage("remove", &building))?;
    }
    make_folder(&building)?;
    // What is inside of the data directory is built beside it; what is elsewhere has its place already.
    let at = |path: &Path| match path.strip_prefix(&data) {
        Ok(inside) => building.join(inside),
        Err(_) => path.to_owned(),
    };
    unpack(staged, recovery, |name, bytes| {
        let to = match name.strip_prefix("keys") {
            Ok(key) if key == Path::new("master.key") => at(&config.master_key()),
            Ok(key) => at(&config.keys_dir()).join(key),
            Err(_) if name == Path::new(CONFIGURATION) => return Ok(()),
            Err(_) => building.join(name),
        };
        write(&to, |file| file.write_all(bytes)).map(|_| ())
    })?;
    let checkpoint = format!("{LOG}/{}", super::CHECKPOINT);
    for name in staged.files.keys().map(String::as_str).chain([checkpoint.as_str()]) {
        let to = match name.split_once('/') {
            Some((LOG, inside)) => at(&config.log_dir()).join(inside),
            Some((RECORDINGS, inside)) => at(&config.recordings_dir()).join(inside),
            _ if name == LOG_KEYS => at(&config.log_keys()),
            // These were opened already.
            _ if matches!(name, DATABASE | KEYS) => continue,
            _ => return Err(BackupError::unusable(name, "a backup holds no such file")),
        };
        let copied = bring(&staged.path(name), &to)?;
        // A recording lay where others may write until now.
        if let (Some(copied), Some(entry)) = (copied, staged.files.get(name))
            && !entry.is(&copied)
        {
            return Err(BackupError::unusable(name, "it is not the one that was signed for"));
        }
    }
    match config.database().map_err(anyhow::Error::msg)? {
        Database::Sqlite(path) => {
            let copy = File::open(&checked.opened).map_err(BackupError::storage("open", &checked.opened))?;
            put(&at(&path), copy)?;
        }
        database @ Database::Postgres { .. } => Store::fill(&database, &checked.opened).await?,
    }
    if mount { moved_up(&building, &data) } else { named(&building, &data) }
}

/// Whether a folder is where another file system begins: nothing can take its name.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    device(path).is_some_and(|own| device(above) != Some(own))
}

fn named(building: &Path, data: &Path) -> Result<(), BackupError> {
    if data.exists() {
        fs::remove_dir(data).map_err(BackupError::storage("replace", data))?;
    }
    fs::rename(building, data).map_err(BackupError::storage("name", data))
}

/// The keys last: without them no gateway starts.
fn moved_up(building: &Path, data: &Path) -> Result<(), BackupError> {
    let entries = fs::read_dir(building).map_err(BackupError::storage("list", building))?;
    let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inside.sort_by_key(|path| path.ends_with("keys"));
    for path in inside {
        let to = data.join(path.file_name().unwrap_or_default());
        fs::rename(&path, &to).map_err(BackupError::storage("name", &to))?;
    }
    fs::remove_dir(building).map_err(BackupError::storage("remove", building))
}

/// Hands over each file among the keys.
fn unpack(
    staged: &Staged,
    recovery: &Identities,
    mut each: impl FnMut(&Path, &[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let path = staged.path(KEYS);
    let reading = || BackupError::storage("read", &path);
    let file = File::open(&path).map_err(reading())?;
    let mut archive = tar::Archive::new(recovery.open(file, &path)?);
    for entry in archive.entries().map_err(reading())? {
        let mut entry = entry.map_err(reading())?;
        let name = entry.path().map_err(reading())?.into_owned();
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(BackupError::unusable(path.display(), format!("it holds {}", name.display())));
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        entry.read_to_end(&mut bytes).map_err(reading())?;
        each(&name, &bytes)?;
    }
    Ok(())
}
