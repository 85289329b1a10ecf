//! One batch after the other: what the database holds behind the log's end, appended.
//!
//! An event that introduces the log's next key is a batch by itself: it is sealed under the old key and the new one.

use super::keys;
use super::leaves::{self, Leaves};
use super::progress::{self, Progress};
use crate::config::Config;
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use sekimori_audit::event::Kind;
use sekimori_audit::log::{Checkpoint, Leaf, LogError, Reader, SigningKey, Writer};
use sekimori_certs::log_key::LogKey;
use std::path::PathBuf;

/// Events sealed as one batch.
const BATCH: u32 = 1000;
/// How many of the newest starts and beats are looked through for one of this log: gateways may share a database.
const MOST_GATEWAYS: u32 = 64;

/// What is appended next.
enum Batch {
    /// These, and whether there may be more.
    Leaves(Vec<Leaf>, bool),
    /// The leaf that introduces a key.
    Rotation(Leaf, SigningKey),
}

/// The log with what is needed to go on with it.
pub struct Sealer {
    config: Config,
    folder: PathBuf,
    /// `None` after a failure: the log is opened anew before the next batch.
    writer: Option<Writer>,
    keys: Vec<LogKey>,
    /// The newest checkpoint that is known of: a folder that fell behind it, or is gone, is not continued.
    known: Checkpoint,
    leaves: Leaves,
}

impl Sealer {
    /// Opens the log of a data directory, and compares it with what the database knows of it: the checkpoints that
    /// starts and beats named, and the event behind its last entry.
    ///
    /// # Errors
    /// When there is no key, the log contradicts its checkpoint, or the database contradicts the log.
    pub async fn open(config: &Config, store: &Store) -> anyhow::Result<Self> {
        let keys = keys::load(config)?;
        let name = keys.first().map(|key| key.name.clone()).unwrap_or_default();
        let known = known(store, &name).await?;
        let (config, folder) = (config.clone(), config.log_dir());
        let leaves = Leaves::of(&known.origin);
        let mut sealer = Self { config, folder, writer: None, keys, known, leaves };
        let writer = sealer.reopened().await?;
        sealer.known = writer.checkpoint();
        let sealed = i64::try_from(writer.size()).context("the log is longer than any database")?;
        let folder = sealer.folder.display().to_string();
        if sealed > 0 {
            let events = store.events_to_seal(sealed - 1, 1).await?;
            let event = events.first().with_context(|| {
                format!("the log in {folder} seals {sealed} events, and the database does not hold the last: restore the newer database")
            })?;
            let leaf = sealer.leaves.of_event(store, event).await?;
            let entry = Reader::open(&sealer.folder)?.entry(writer.size() - 1)?;
            anyhow::ensure!(
                entry == Some(leaf.encode()),
                "event {sealed} in the database is not the one that the log in {folder} sealed: the database was altered or replaced"
            );
        }
        sealer.hand_over(&writer)?;
        sealer.writer = Some(writer);
        Ok(sealer)
    }

    /// A log that is written from the first event on, in a folder where none is.
    ///
    /// # Errors
    /// When there is no key, or the folder cannot be written.
    pub(super) async fn anew(config: &Config, folder: PathBuf) -> anyhow::Result<Self> {
        let keys = keys::load(config)?;
        let first = keys.first().context("the log has no first key")?;
        let (known, signing, place) = (progress::beginning(&first.name), keys::signing(first)?, folder.clone());
        // The others sign once their turn has come.
        let writer = blocking(move || Writer::open(&place, vec![signing], None)).await?;
        let (config, leaves) = (config.clone(), Leaves::of(&known.origin));
        Ok(Self { config, folder, writer: Some(writer), keys, known, leaves })
    }

    /// The checkpoint over all that was sealed.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.known.clone()
    }

    /// Seals one batch; returns whether there may be more.
    ///
    /// # Errors
    /// When the log cannot be written, which `progress` is told, or the database does not answer.
    pub async fn seal(&mut self, store: &Store, progress: &Progress) -> anyhow::Result<bool> {
        let told = |fault: &LogError| progress.failed(fault.to_string());
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                progress.waits();
                self.leaves.forget();
                self.reopened().await.inspect_err(told)?
            }
        };
        let sealed = i64::try_from(writer.size()).context("the log is longer than any database")?;
        // A database that does not answer is no fault of the log: the writer is kept.
        let batch = match self.next_batch(store, sealed).await {
            Ok(batch) => batch,
            Err(fault) => {
                self.writer = Some(writer);
                self.leaves.forget();
                // An event that is missing, or a key, will not come by itself.
                if !matches!(fault.downcast_ref(), Some(StoreError::Database(_) | StoreError::Silent)) {
                    progress.failed(format!("{fault:#}"));
                }
                return Err(fault);
            }
        };
        let (more, rotates) = match &batch {
            Batch::Leaves(_, more) => (*more, false),
            Batch::Rotation(..) => (true, true),
        };
        if !matches!(&batch, Batch::Leaves(leaves, _) if leaves.is_empty()) {
            progress.waits();
        }
        let writer = on_disk(writer, move |writer| match batch {
            // A folder that vanished is noticed before an event needs it.
            Batch::Leaves(leaves, _) if leaves.is_empty() => writer.check_place(),
            Batch::Leaves(leaves, _) => writer.append(&leaves).map(drop),
            Batch::Rotation(leaf, next) => writer.rotate(&leaf, next).map(drop),
        });
        let writer = writer.await.inspect_err(told)?;
        self.known = writer.checkpoint();
        if rotates {
            tracing::info!(key = %writer.key().verifier(), "the log goes on under its next key");
            self.hand_over(&writer)?;
        }
        progress.sealed(self.known.clone(), !more);
        self.writer = Some(writer);
        Ok(more)
    }

    async fn next_batch(&mut self, store: &Store, sealed: i64) -> anyhow::Result<Batch> {
        let events = store.events_to_seal(sealed, BATCH).await?;
        let mut leaves = Vec::with_capacity(events.len());
        for event in &events {
            match leaves::introduced(event, &self.known.origin) {
                Some(_) if !leaves.is_empty() => return Ok(Batch::Leaves(leaves, true)),
                Some(text) => {
                    let next = self.key(&text)?;
                    return Ok(Batch::Rotation(self.leaves.of_event(store, event).await?, next));
                }
                None => leaves.push(self.leaves.of_event(store, event).await?),
            }
        }
        let more = leaves.len() >= usize::try_from(BATCH)?;
        Ok(Batch::Leaves(leaves, more))
    }

    /// The key of ours that a verifier key is of. It may be younger than this process.
    fn key(&mut self, verifier: &str) -> anyhow::Result<SigningKey> {
        self.keys = keys::load(&self.config)?;
        let signing = self.keys.iter().map(keys::signing).collect::<Result<Vec<_>, _>>()?;
        let found = signing.into_iter().find(|key| key.verifier().to_string() == verifier);
        let folder = self.config.keys_dir();
        found.with_context(|| format!("the log's next key, {verifier}, is not in {}: restore it", folder.display()))
    }

    /// Lists the keys up to the one in force for the auditor.
    fn hand_over(&self, writer: &Writer) -> anyhow::Result<()> {
        // While an old log is written anew elsewhere, the auditor's file is ahead of it.
        if self.folder != self.config.log_dir() {
            return Ok(());
        }
        let in_force = |key| keys::signing(key).is_ok_and(|key| key.verifier() == writer.key().verifier());
        let introduced = self.keys.iter().position(in_force).map_or(0, |at| at + 1);
        keys::hand_over(&self.config, self.keys.get(..introduced).unwrap_or_default())
    }

    async fn reopened(&self) -> Result<Writer, LogError> {
        let keys = self.keys.iter().map(keys::signing).collect::<Result<_, _>>()?;
        let (folder, known) = (self.folder.clone(), self.known.clone());
        blocking(move || Writer::open(&folder, keys, Some(&known))).await
    }
}

/// The newest checkpoint of a log that the database knows of: a log that fell behind it is not served.
///
/// # Errors
/// The database's own failure.
pub async fn known(store: &Store, origin: &str) -> Result<Checkpoint, StoreError> {
    let mut known = progress::beginning(origin);
    for kind in [Kind::Beat, Kind::Start, Kind::Stop] {
        for event in store.newest_events(kind, MOST_GATEWAYS).await? {
            let named = progress::named(&event.detail).filter(|named| named.origin == origin);
            known = named.filter(|named| named.size > known.size).unwrap_or(known);
        }
    }
    Ok(known)
}

/// Lends the writer to a thread that may wait for the disk.
async fn on_disk(
    mut writer: Writer,
    act: impl FnOnce(&mut Writer) -> Result<(), LogError> + Send + 'static,
) -> Result<Writer, LogError> {
    blocking(move || act(&mut writer).map(|()| writer)).await
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(act).await.unwrap_or(Err(LogError::Crypto("finish what was begun on the log's disk")))
}
