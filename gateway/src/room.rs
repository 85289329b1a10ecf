//! Room for recordings: how much there is, and how long it lasts if people go on working as they did.

use crate::config::Config;
use crate::store::{Store, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// Days that are looked back upon.
const LOOK_BACK: i64 = 30;

/// What room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Bytes that are free to who serves.
    pub free: u64,
    /// Bytes that are kept in reserve: below them no session starts.
    pub reserve: u64,
    /// Bytes that recordings took a day, of late; `None` while there is less than a day to go by.
    pub a_day: Option<u64>,
}

impl Room {
    /// Looks at the folder of the recordings, and at what was sealed of late.
    ///
    /// # Errors
    /// The file system's or the database's own failure.
    pub async fn look(config: &Config, store: &Store) -> anyhow::Result<Self> {
        let space = rustix::fs::statvfs(config.recordings_dir())?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        Ok(Self { free, reserve: config.recording.reserve_mib << 20, a_day: a_day(store, Utc::now()).await? })
    }

    /// Whole days until the reserve is reached; `None` if nothing is recorded, or too little is known.
    #[must_use]
    pub fn days_left(&self) -> Option<u64> {
        self.free.saturating_sub(self.reserve).checked_div(self.a_day?)
    }
}

async fn a_day(store: &Store, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
    let sealed = store.sealed_since(now - TimeDelta::days(LOOK_BACK)).await?;
    let Some((first, _)) = sealed.first() else { return Ok(None) };
    let days = u64::try_from((now - *first).num_days()).unwrap_or(0);
    let bytes: u64 = sealed.iter().map(|(_, bytes)| bytes).sum();
    Ok(bytes.checked_div(days))
}
