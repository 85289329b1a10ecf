//! One batch after the other: what the database holds behind the log's end, appended.

use super::keys;
use super::progress::{self, Progress};
use crate::config::Config;
use crate::store::{Store, StoreError, Unsealed};
use anyhow::Context as _;
use sekimori_audit::event::Kind;
use sekimori_audit::log::{Checkpoint, Leaf, LogError, Reader, Writer};
use sekimori_certs::log_key::LogKey;
use std::collections::HashMap;
use std::path::PathBuf;
use uuid::Uuid;

/// Events sealed as one batch.
const BATCH: u32 = 1000;
/// Sessions whose numbers are kept in memory; others are counted in the database when they go on.
const MOST_NUMBERS: usize = 10_000;
/// How many of the newest starts and beats are looked through for one of this log: gateways may share a database.
const MOST_GATEWAYS: u32 = 64;

/// The log with what is needed to go on with it.
pub struct Sealer {
    folder: PathBuf,
    /// `None` after a failure: the log is opened anew before the next batch.
    writer: Option<Writer>,
    keys: Vec<LogKey>,
    /// The newest checkpoint that is known of: a folder that fell behind it, or is gone, is not continued.
    known: Checkpoint,
    /// The last number of each session and, under `None`, of the events of no session.
    numbers: HashMap<Option<Uuid>, u64>,
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
        let mut sealer = Self { folder: config.log_dir(), writer: None, keys, known, numbers: HashMap::new() };
        let writer = sealer.reopened().await?;
        sealer.known = writer.checkpoint();
        let sealed = i64::try_from(writer.size()).context("the log is longer than any database")?;
        let folder = sealer.folder.display().to_string();
        if sealed > 0 {
            let events = store.events_to_seal(sealed - 1, 1).await?;
            let event = events.first().with_context(|| {
                format!("the log in {folder} seals {sealed} events, and the database does not hold the last: restore the newer database")
            })?;
            let leaf = sealer.leaf(store, event).await?;
            let entry = Reader::open(&sealer.folder)?.entry(writer.size() - 1)?;
            anyhow::ensure!(
                entry == Some(leaf.encode()),
                "event {sealed} in the database is not the one that the log in {folder} sealed: the database was altered or replaced"
            );
        }
        sealer.writer = Some(writer);
        Ok(sealer)
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
                self.numbers.clear();
                self.reopened().await.inspect_err(told)?
            }
        };
        let sealed = i64::try_from(writer.size()).context("the log is longer than any database")?;
        // A database that does not answer is no fault of the log: the writer is kept.
        let leaves = match self.next_leaves(store, sealed).await {
            Ok(leaves) => leaves,
            Err(fault) => {
                self.writer = Some(writer);
                self.numbers.clear();
                if matches!(fault, StoreError::Damaged { .. }) {
                    progress.failed(fault.to_string());
                }
                return Err(fault.into());
            }
        };
        let more = leaves.len() >= usize::try_from(BATCH)?;
        if !leaves.is_empty() {
            progress.waits();
        }
        let writer = on_disk(writer, move |writer| {
            // Also where there is nothing to write: a folder that vanished is noticed before an event needs it.
            if leaves.is_empty() { writer.check_place() } else { writer.append(&leaves).map(drop) }
        });
        let writer = writer.await.inspect_err(told)?;
        self.known = writer.checkpoint();
        progress.sealed(self.known.clone(), !more);
        self.writer = Some(writer);
        Ok(more)
    }

    async fn next_leaves(&mut self, store: &Store, sealed: i64) -> Result<Vec<Leaf>, StoreError> {
        if self.numbers.len() > MOST_NUMBERS {
            self.numbers.clear();
        }
        let events = store.events_to_seal(sealed, BATCH).await?;
        let mut leaves = Vec::with_capacity(events.len());
        for event in &events {
            leaves.push(self.leaf(store, event).await?);
        }
        Ok(leaves)
    }

    async fn leaf(&mut self, store: &Store, event: &Unsealed) -> Result<Leaf, StoreError> {
        let number = match self.numbers.get(&event.session) {
            Some(last) => last + 1,
            None => store.number_within(event.session, event.seq).await?,
        };
        self.numbers.insert(event.session, number);
        Ok(Leaf::of_event(&event.kind, event.session, number, event.at, &event.salt, &event.body))
    }

    async fn reopened(&self) -> Result<Writer, LogError> {
        let keys = self.keys.iter().map(keys::signing).collect::<Result<_, _>>()?;
        let (folder, known) = (self.folder.clone(), self.known.clone());
        blocking(move || Writer::open(&folder, keys, Some(&known))).await
    }
}

/// The newest checkpoint of a log that the database knows of.
async fn known(store: &Store, origin: &str) -> Result<Checkpoint, StoreError> {
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
