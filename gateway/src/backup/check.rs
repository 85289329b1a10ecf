//! Proves that a backup is whole: its log by signatures and anchors, every byte of its recordings, and every event of its
//! database against the log. What it is laid out of was signed for, file by file ([`super::stage`]).

use super::files::put;
use super::{BackupError, DATABASE, Found, LOG, Manifest, RECORDINGS, Staged};
use crate::config::Database;
use crate::seal;
use crate::seal::compare::{Compared, compare};
use crate::store::Store;
use sekimori_audit::keys::Identities;
use sekimori_audit::log::{Anchor, Reader};
use sekimori_audit::verify::{Options, Recordings, Report, Verdict, verify};
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What was proved.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What the backup says of itself.
    pub backup: Manifest,
    /// Whether the keys that verified it were its own: then it only agrees with itself.
    pub own_keys: bool,
    /// Newer notes that count for nothing, and why not.
    pub passed_over: Vec<String>,
    /// What the verifier found in log and recordings.
    pub report: Report,
    /// The database against the log.
    pub database: Compared,
    /// The database, opened.
    #[serde(skip)]
    pub opened: PathBuf,
}

impl Checked {
    /// Whether a gateway may be made of it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.report.verdict != Verdict::Altered && self.database.agrees()
    }
}

/// Checks a backup that was laid out. Its database is opened beside it, and stays there.
///
/// # Errors
/// [`BackupError`] if something cannot be opened, or a gateway made of it would not start; what differs is in the result.
pub async fn check(
    found: &Found,
    staged: &Staged,
    anchors: &[Anchor],
    identities: &Identities,
) -> Result<Checked, BackupError> {
    let (log, recordings) = (staged.path(LOG), staged.path(RECORDINGS));
    let recordings = Recordings::below(&recordings).map_err(BackupError::storage("list", &recordings))?;
    let options = Options { recordings: Some(&recordings), ..Options::default() };
    let report = verify(&log, &found.keys, anchors, &options)?;
    let sealed = staged.path(DATABASE);
    let file = File::open(&sealed).map_err(BackupError::storage("open", &sealed))?;
    let opened = staged.folder.with_file_name("database.db");
    put(&opened, identities.open(file, &sealed)?)?;
    let store = Store::open_without_key(&Database::Sqlite(opened.clone())).await?;
    let compared = against(&store, &log).await;
    store.close().await;
    let (backup, own_keys, passed_over) = (found.manifest.clone(), found.own_keys, found.passed_over.clone());
    Ok(Checked { backup, own_keys, passed_over, report, database: compared?, opened })
}

/// The database against the log, as the start of a gateway compares them and event by event.
async fn against(store: &Store, log: &Path) -> Result<Compared, BackupError> {
    let mut reader = Reader::open(log)?;
    let known = seal::known(store, &reader.checkpoint().origin.clone()).await?;
    let size = reader.checkpoint().size;
    if known.size > size {
        let reason = format!("its log ends with entry {size}, and its database knows of {}", known.size);
        return Err(BackupError::unusable(log.display(), reason));
    }
    if known.size > 0 && reader.root_at(known.size)? != known.root {
        let reason = format!("its first {} entries are not those that its database knows of", known.size);
        return Err(BackupError::unusable(log.display(), reason));
    }
    Ok(compare(store, log).await?)
}
