//! Takes a backup, while the gateway serves or not.

use super::files::{below, copy, copy_once, make_private, put, write};
use super::{BackupError, CHECKPOINT, Copied, DATABASE, KEYS, LOG, LOG_KEYS, MANIFEST, Manifest, RECORDINGS};
use crate::cli::context::ADMINISTRATOR;
use crate::config::{Config, Database};
use crate::seal;
use crate::store::Store;
use chrono::Utc;
use sekimori_audit::keys::Recipients;
use sekimori_audit::log::Checkpoint;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How often a folder that changes meanwhile is copied again.
const ROUNDS: usize = 10;

/// The name of the configuration among the keys.
pub const CONFIGURATION: &str = "sekimori.toml";

/// Takes a backup into a folder, or brings up to date the one that is there.
///
/// # Errors
/// [`BackupError`]; then the manifest that was there still tells of what was there.
pub async fn make(
    config: &Config,
    config_path: &Path,
    store: &Store,
    to: &Path,
    without_database: bool,
) -> Result<Manifest, BackupError> {
    let recipients = Recipients::read(&config.recipients())?;
    let entries = copy_log(config, to)?;
    let database = match config.database().map_err(anyhow::Error::msg)? {
        Database::Sqlite(_) => Some(copy_database(config, store, &recipients, to).await?),
        Database::Postgres { .. } if without_database => None,
        Database::Postgres { .. } => return Err(BackupError::Postgres),
    };
    let recordings = config.recordings_dir();
    until_nothing_vanishes(&recordings, || copy_recordings(&recordings, &to.join(RECORDINGS)))?;
    let keys = write(&to.join(KEYS), |out| seal_keys(config, config_path, &recipients, out))?;
    let (hospital, program) = (config.hospital.name.clone(), env!("CARGO_PKG_VERSION").to_owned());
    let manifest = Manifest { at: Utc::now(), hospital, program, entries, database, keys };
    put(&to.join(MANIFEST), manifest.signed(&seal::key_in_force(config)?)?.as_bytes())?;
    Ok(manifest)
}

/// The checkpoint is read first and written last: what it stands for is there, and more does not hurt.
fn copy_log(config: &Config, to: &Path) -> Result<u64, BackupError> {
    let (from, to_log) = (config.log_dir(), to.join(LOG));
    let checkpoint = from.join(CHECKPOINT);
    let bytes = std::fs::read(&checkpoint).map_err(BackupError::storage("read", &checkpoint))?;
    let entries = Checkpoint::parse(&bytes)?.0.size;
    until_nothing_vanishes(&from, || copy_tiles(&from, &to_log))?;
    copy(&config.log_keys(), &to.join(LOG_KEYS))?;
    put(&to_log.join(CHECKPOINT), bytes.as_slice())?;
    Ok(entries)
}

/// Copies what is in a folder; whether all that was listed was still there. What vanishes has another name now (a tile that
/// grew full, a recording that was sealed), under which it may not have been listed.
fn until_nothing_vanishes(
    from: &Path,
    mut copied: impl FnMut() -> Result<bool, BackupError>,
) -> Result<(), BackupError> {
    for _ in 0..ROUNDS {
        if copied()? {
            return Ok(());
        }
    }
    Err(BackupError::unusable(from, "it changes faster than it can be copied: try again"))
}

fn copy_tiles(from: &Path, to_log: &Path) -> Result<bool, BackupError> {
    let mut whole = true;
    for name in below(from)? {
        let changes = name.as_os_str() == "cosigned";
        if name.as_os_str() == CHECKPOINT || name.extension().is_some_and(|extension| extension == "new") {
            continue;
        }
        let (from, to) = (from.join(&name), to_log.join(&name));
        whole &= if changes { copy(&from, &to)? } else { copy_once(&from, &to)? };
    }
    Ok(whole)
}

/// A copy of one moment lies in the data directory while it is sealed, and nowhere else in clear.
async fn copy_database(
    config: &Config,
    store: &Store,
    recipients: &Recipients,
    to: &Path,
) -> Result<Copied, BackupError> {
    let beside = config.data_dir().join("backup.db");
    remove(&beside)?;
    // SQLite fills an empty file; what it would make itself, others could read.
    make_private(&beside)?;
    let copied = store.copy_to(&beside).await;
    let sealed = copied.map_err(BackupError::from).and_then(|()| {
        let mut file = File::open(&beside).map_err(BackupError::storage("open", &beside))?;
        write(&to.join(DATABASE), |out| {
            let mut sealed = recipients.seal(out)?;
            io::copy(&mut file, &mut sealed)?;
            sealed.finish()?;
            Ok(())
        })
    });
    remove(&beside)?;
    sealed
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(BackupError::storage("remove", path)(fault)),
        _ => Ok(()),
    }
}

/// Sealed ones never change; what is under way is copied as it is now, and goes once the sealed one is there.
fn copy_recordings(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let files = below(from)?;
    let mut whole = true;
    for name in &files {
        let sealed = name.extension().is_some_and(|extension| extension == "tar");
        let (from, to) = (from.join(name), to.join(name));
        whole &= if sealed { copy_once(&from, &to)? } else { copy(&from, &to)? };
    }
    let there: HashSet<&PathBuf> = files.iter().collect();
    for name in below(to)? {
        // A recording that the gateway no longer has is kept: a backup forgets nothing by itself.
        let sealed = name.extension().is_some_and(|extension| extension == "tar");
        if !sealed && !there.contains(&name) {
            remove(&to.join(&name))?;
        }
    }
    Ok(whole)
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
