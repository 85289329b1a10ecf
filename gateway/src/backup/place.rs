//! Makes a gateway of a backup that was checked, where none is.

use super::files::{below, copy, make_folder, write};
use super::make::CONFIGURATION;
use super::{BackupError, KEYS, LOG, LOG_KEYS, RECORDINGS};
use crate::config::{Config, Database};
use sekimori_audit::keys::Identities;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

/// The configuration in a backup.
///
/// # Errors
/// [`BackupError`] if it cannot be opened, which takes the recovery key.
pub fn unpacked_configuration(folder: &Path, recovery: &Identities) -> Result<Vec<u8>, BackupError> {
    let mut found = None;
    unpack(folder, recovery, |name, bytes| {
        if name == Path::new(CONFIGURATION) {
            found = Some(bytes.to_vec());
        }
        Ok(())
    })?;
    found.ok_or_else(|| BackupError::unusable(&folder.join(KEYS), "it holds no configuration"))
}

/// Refuses if anything is where a gateway of this configuration would be.
///
/// # Errors
/// [`BackupError::Occupied`].
fn check_room(config: &Config) -> Result<(), BackupError> {
    let database = config.database().ok().and_then(|database| match database {
        Database::Sqlite(path) => Some(path),
        Database::Postgres { .. } => None,
    });
    if let Some(taken) = database.into_iter().chain([config.master_key()]).find(|path| path.exists()) {
        return Err(BackupError::Occupied(taken));
    }
    for place in [config.data_dir(), config.recordings_dir()] {
        match std::fs::read_dir(&place).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(BackupError::Occupied(place)),
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::storage("look into", &place)(fault));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts everything in its place; `database` is the one that was opened when the backup was checked. The data directory
/// gets its name last, so that half a gateway is never taken for one.
///
/// # Errors
/// [`BackupError::Occupied`] if there is a gateway; otherwise [`BackupError`], and then there is none. What the
/// configuration puts outside of the data directory may be there in part.
pub fn place(folder: &Path, config: &Config, recovery: &Identities, database: &Path) -> Result<(), BackupError> {
    check_room(config)?;
    let data = config.data_dir();
    let building = data.with_added_extension("restoring");
    if building.exists() {
        std::fs::remove_dir_all(&building).map_err(BackupError::storage("remove", &building))?;
    }
    make_folder(&building)?;
    // What is inside of the data directory is built beside it; what is elsewhere has its place already.
    let at = |path: &Path| match path.strip_prefix(&data) {
        Ok(inside) => building.join(inside),
        Err(_) => path.to_owned(),
    };
    unpack(folder, recovery, |name, bytes| {
        let to = match name.strip_prefix("keys") {
            Ok(key) if key == Path::new("master.key") => at(&config.master_key()),
            Ok(key) => at(&config.keys_dir()).join(key),
            Err(_) if name == Path::new(CONFIGURATION) => return Ok(()),
            Err(_) => building.join(name),
        };
        write(&to, |file| file.write_all(bytes)).map(|_| ())
    })?;
    for (from, to) in
        [(folder.join(LOG), at(&config.log_dir())), (folder.join(RECORDINGS), at(&config.recordings_dir()))]
    {
        for name in below(&from)? {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    copy(&folder.join(LOG_KEYS), &at(&config.log_keys()))?;
    if let Ok(Database::Sqlite(path)) = config.database()
        && database.exists()
    {
        copy(database, &at(&path))?;
    }
    if data.exists() {
        std::fs::remove_dir(&data).map_err(BackupError::storage("replace", &data))?;
    }
    std::fs::rename(&building, &data).map_err(BackupError::storage("name", &data))
}

/// Hands over each file among the keys.
fn unpack(
    folder: &Path,
    recovery: &Identities,
    mut each: impl FnMut(&Path, &[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let path = folder.join(KEYS);
    let reading = || BackupError::storage("read", &path);
    let file = File::open(&path).map_err(reading())?;
    let mut archive = tar::Archive::new(recovery.open(file, &path)?);
    for entry in archive.entries().map_err(reading())? {
        let mut entry = entry.map_err(reading())?;
        let name = entry.path().map_err(reading())?.into_owned();
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(BackupError::unusable(&path, format!("it holds {}", name.display())));
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        entry.read_to_end(&mut bytes).map_err(reading())?;
        each(&name, &bytes)?;
    }
    Ok(())
}
