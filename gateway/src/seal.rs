//! Sealing: every event of the database becomes an entry of the transparency log, in its order, within a second.
//!
//! The entry at index `i` is that of event `i + 1`, made of nothing but what the database holds. So a crash at any point
//! leaves nothing to repair: the next life asks the log how far it came and goes on from there, and would write the very
//! same bytes again. What the log holds and the database contradicts is never continued.

use crate::config::Config;
use crate::store::{Store, StoreError, Unsealed};
use anyhow::Context as _;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::log::{Leaf, LogError, Reader, Role, SigningKey, Writer};
use sekimori_certs::log_key::LogKey;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How often new events are looked for; with the time that a batch takes this stays below a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// Events sealed as one batch.
const BATCH: u32 = 1000;
/// Silence longer than this shows in the log.
const BEAT: Duration = Duration::from_secs(3600);
/// Sessions whose numbers are kept in memory; others are counted in the database when they go on.
const MOST_NUMBERS: usize = 10_000;

/// The task that seals.
#[derive(Default)]
pub struct Sealing {
    stop: CancellationToken,
    task: TaskTracker,
}

impl Sealing {
    /// Seals until [`Sealing::finish`].
    pub fn spawn(&self, store: Store, sealer: Sealer) {
        self.task.spawn(run(store, sealer, self.stop.clone()));
        self.task.close();
    }

    /// Seals what there is, and ends.
    pub async fn finish(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }
}

/// The log with what is needed to go on with it.
pub struct Sealer {
    folder: PathBuf,
    /// `None` after a failure: the log is opened anew before the next batch.
    writer: Option<Writer>,
    keys: Vec<LogKey>,
    /// The last number of each session and, under `None`, of the events of no session.
    numbers: HashMap<Option<Uuid>, u64>,
}

impl Sealer {
    /// Opens the log of a data directory, and compares its last entry with the database.
    ///
    /// # Errors
    /// When there is no key, the log contradicts its checkpoint, or the database contradicts the log.
    pub async fn open(config: &Config, store: &Store) -> anyhow::Result<Self> {
        let keys = keys(config)?;
        let folder = config.log_dir();
        let mut sealer = Self { folder, writer: None, keys, numbers: HashMap::new() };
        let writer = sealer.reopened()?;
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

    /// Seals one batch; returns whether there may be more.
    async fn seal(&mut self, store: &Store) -> anyhow::Result<bool> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                self.numbers.clear();
                self.reopened()?
            }
        };
        let sealed = i64::try_from(writer.size()).context("the log is longer than any database")?;
        // A database that does not answer is no fault of the log: the writer is kept.
        let leaves = match self.next_leaves(store, sealed).await {
            Ok(leaves) => leaves,
            Err(fault) => {
                self.writer = Some(writer);
                self.numbers.clear();
                return Err(fault.into());
            }
        };
        if leaves.is_empty() {
            self.writer = Some(writer);
            return Ok(false);
        }
        let full = leaves.len() >= usize::try_from(BATCH)?;
        let appended = tokio::task::spawn_blocking(move || writer.append(&leaves).map(|_| writer)).await?;
        self.writer = Some(appended?);
        Ok(full)
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

    fn reopened(&self) -> Result<Writer, LogError> {
        let keys = self.keys.iter().map(|key| SigningKey::from_seed(&key.name, Role::Log, &key.seed));
        Writer::open(&self.folder, keys.collect::<Result<_, _>>()?, None)
    }
}

/// The keys of the log. A data directory of before the log had none: then the first is made, if there is no log yet.
fn keys(config: &Config) -> anyhow::Result<Vec<LogKey>> {
    let folder = config.keys_dir();
    let keys = LogKey::load_all(&folder)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let log = config.log_dir();
    anyhow::ensure!(
        !log.exists(),
        "there is a log in {} and no key for it in {}: restore the key",
        log.display(),
        folder.display()
    );
    make_key(config)?;
    Ok(LogKey::load_all(&folder)?)
}

/// Makes the first key of the log, and the file of verifier keys for the auditor; returns the verifier key.
///
/// # Errors
/// When a file cannot be written.
pub fn make_key(config: &Config) -> anyhow::Result<String> {
    let id = Uuid::now_v7().simple().to_string();
    // A name of its own for each log: two hospitals' logs must never be taken for each other.
    let key = LogKey::create_first(&config.keys_dir(), &format!("sekimori/{id}"))?;
    let verifier = SigningKey::from_seed(&key.name, Role::Log, &key.seed)?.verifier().to_string();
    let path = config.log_keys();
    let text = format!(
        "# The keys that verify this gateway's log. Keep a copy elsewhere: only that proves anything.\n{verifier}\n"
    );
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(verifier)
}

async fn run(store: Store, mut sealer: Sealer, stop: CancellationToken) {
    let mut look = interval(INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    while !stop.is_cancelled() {
        tokio::select! {
            _ = look.tick() => {}
            () = stop.cancelled() => {}
            _ = beat.tick() => {
                if let Err(fault) = store.record(Event::new(Utc::now(), Kind::Beat, Actor::gateway())).await {
                    tracing::error!(%fault, "cannot record the hourly beat");
                }
            }
        }
        loop {
            match sealer.seal(&store).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    tracing::error!(fault = format!("{fault:#}"), "cannot seal events into the log; trying again");
                    break;
                }
            }
        }
    }
}
