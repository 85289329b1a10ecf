//! Changing the log's key: the old key introduces the next one as an entry of the log, and both sign at that point.
//!
//! The event that tells of it is the order: whoever seals, the gateway that serves or this command where none does,
//! meets it in its turn and goes on under the next key. A crash at any point leaves the one or the other.

use super::{Sealer, keys, progress::Progress};
use crate::config::Config;
use crate::serve;
use crate::store::Store;
use anyhow::Context as _;
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::log::{Reader, Resource};
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// How long a serving gateway is given to seal the change.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

/// What became of a change of keys.
#[derive(Debug, Serialize)]
pub struct Rotated {
    /// The next key as verifiers know it.
    pub key: String,
    /// Its place among the keys, from 1.
    pub number: usize,
    /// The number of the event that introduces it, which is the size of the log whose checkpoint both keys sign.
    pub size: u64,
    /// Whether that is sealed; if not, it is the first thing that the next start does.
    pub sealed: bool,
}

/// Makes the next key, records its introduction, and waits until it is sealed, or seals it where no gateway serves.
///
/// # Errors
/// When somebody else does the same, a key cannot be made, or the event cannot be recorded.
pub async fn rotate(config: &Config, store: &Store, event: Event) -> anyhow::Result<Rotated> {
    // Two at once would introduce the same key twice.
    let folder = config.keys_dir();
    let lock = File::open(&folder).with_context(|| format!("cannot open {}", folder.display()))?;
    lock.try_lock().context("another command changes the log's key: wait for it")?;
    let all = keys::load(config)?;
    let origin = all.first().map(|key| key.name.clone()).unwrap_or_default();
    let introduced = 1 + store
        .newest_events(Kind::LogKeyRotated, u32::MAX)
        .await?
        .iter()
        .filter(|event| event.detail.get("origin").is_some_and(|of| *of == origin.as_str()))
        .count();
    let next = keys::signing(&keys::next(config, introduced)?)?.verifier().to_string();
    let number = introduced + 1;
    let detail = json!({ "origin": origin, "number": number, "key": next });
    let size = u64::try_from(store.record(Event { detail, ..event }).await?)?;
    let sealed = sealed(config, store, size, &next).await?;
    Ok(Rotated { key: next, number, size, sealed })
}

/// Waits for the gateway to seal so many events, or does it in its place.
async fn sealed(config: &Config, store: &Store, size: u64, key: &str) -> anyhow::Result<bool> {
    let reached = || {
        let listed = std::fs::read_to_string(config.log_keys()).is_ok_and(|keys| keys.lines().any(|line| line == key));
        listed && Reader::open(&config.log_dir()).is_ok_and(|log| log.checkpoint().size >= size)
    };
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if reached() {
            return Ok(true);
        }
        if !serve::is_served(config) {
            return seal(config, store, size).await;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(reached())
}

async fn seal(config: &Config, store: &Store, size: u64) -> anyhow::Result<bool> {
    // What root writes there the gateway could not go on with.
    let checkpoint = config.log_dir().join(Resource::Checkpoint.path());
    let owner = std::fs::metadata(&checkpoint).with_context(|| format!("cannot look at {}", checkpoint.display()))?;
    if owner.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let _serving = serve::lock(config)?;
    let mut sealer = Sealer::open(config, store).await?;
    while sealer.seal(store, &Progress::default()).await? {}
    Ok(sealer.checkpoint().size >= size)
}
