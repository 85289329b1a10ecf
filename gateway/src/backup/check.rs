//! Proves that a backup is whole: its log by signatures and anchors, every byte of its recordings, and every event of its
//! database against the log.

use super::files::{measured, put};
use super::{BackupError, DATABASE, KEYS, LOG, LOG_KEYS, Manifest, RECORDINGS};
use crate::config::Database;
use crate::seal::compare::{Compared, compare};
use crate::store::Store;
use sekimori_audit::keys::Identities;
use sekimori_audit::log::{Anchor, LogKeys};
use sekimori_audit::verify::{Options, Recordings, Report, Verdict, verify};
use serde::Serialize;
use std::fs::File;
use std::path::Path;

/// What was proved.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What the backup says of itself.
    pub backup: Manifest,
    /// Whether the keys that verified it were its own: then it only agrees with itself.
    pub own_keys: bool,
    /// What the verifier found in log and recordings.
    pub report: Report,
    /// The database against the log; `None` where it is not in the backup.
    pub database: Option<Compared>,
}

impl Checked {
    /// Whether a gateway may be made of it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.report.verdict != Verdict::Altered && self.database.as_ref().is_none_or(Compared::agrees)
    }
}

/// Checks a backup. Its database is opened into the file `database`, which stays.
///
/// # Errors
/// [`BackupError`] if something is missing or cannot be opened; what differs is in the result.
pub async fn check(
    folder: &Path,
    keys: Option<&Path>,
    anchors: &[Anchor],
    identities: &Identities,
    database: &Path,
) -> Result<Checked, BackupError> {
    let log = folder.join(LOG);
    let own = folder.join(LOG_KEYS);
    let keys_read = LogKeys::read(keys.unwrap_or(&own))?;
    let backup = Manifest::read(folder, &keys_read)?;
    if measured(&folder.join(KEYS))? != backup.keys {
        return Err(BackupError::unusable(&folder.join(KEYS), "it is not the one that was made with this backup"));
    }
    let recordings = folder.join(RECORDINGS);
    let recordings = match recordings.is_dir() {
        true => Some(Recordings::below(&recordings).map_err(BackupError::storage("list", &recordings))?),
        false => None,
    };
    let options = Options { recordings: recordings.as_ref(), ..Options::default() };
    let report = verify(&log, &keys_read, anchors, &options)?;
    let compared = match &backup.database {
        Some(known) => {
            let sealed = folder.join(DATABASE);
            if measured(&sealed)? != *known {
                return Err(BackupError::unusable(&sealed, "it is not the one that was made with this backup"));
            }
            let file = File::open(&sealed).map_err(BackupError::storage("open", &sealed))?;
            put(database, identities.open(file, &sealed)?)?;
            let store = Store::open_without_key(&Database::Sqlite(database.to_owned())).await?;
            let compared = compare(&store, &log).await;
            store.close().await;
            Some(compared?)
        }
        None => None,
    };
    Ok(Checked { backup, own_keys: keys.is_none(), report, database: compared })
}
