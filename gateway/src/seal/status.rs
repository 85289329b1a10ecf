//! How the log stands, as another process than the gateway sees it: for `log status` and the doctor.

use super::witnesses;
use crate::config::{Config, Witness};
use crate::serve;
use crate::store::{Store, StoreError};
use chrono::{DateTime, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::log::{Checkpoint, Reader};
use serde::Serialize;
use std::net::SocketAddr;

/// The state of sealing in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Every event is sealed.
    Level,
    /// Events are being sealed.
    Sealing,
    /// No gateway serves: events are sealed when one does.
    Resting,
    /// Events wait for too long, or the folder cannot be read: no session starts.
    Stalled,
}

/// How the log stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// In a word.
    pub state: State,
    /// Whether a gateway serves this data directory.
    pub serving: bool,
    /// Where anybody may read the log while a gateway serves.
    pub listen: Option<SocketAddr>,
    /// The number of the newest event.
    pub events: u64,
    /// What the folder's checkpoint says; `None` if it cannot be read.
    pub checkpoint: Option<Checkpoint>,
    /// Events that are not sealed.
    pub behind: u64,
    /// How long the oldest of them has been waiting, in seconds.
    pub waiting_seconds: Option<i64>,
    /// Since when the gateway has said that it cannot seal.
    pub stalled_since: Option<DateTime<Utc>>,
    /// What the disk says, to the gateway or now.
    pub fault: Option<String>,
    /// The configured witnesses.
    pub witnesses: Vec<WitnessStatus>,
}

/// How a witness stands.
#[derive(Debug, Clone, Serialize)]
pub struct WitnessStatus {
    /// Its name.
    pub name: String,
    /// The size that it cosigned last.
    pub size: Option<u64>,
    /// When, by its clock.
    pub at: Option<DateTime<Utc>>,
    /// Whether that is longer ago than `log.witness_alarm_minutes`.
    pub silent: bool,
}

impl WitnessStatus {
    fn of(config: &Config, witness: &Witness) -> Self {
        let kept = witnesses::kept(config, witness);
        let at = kept.as_ref().map(|kept| kept.at);
        let silent = witnesses::is_silent(config, at);
        Self { name: witness.name().to_owned(), size: kept.map(|kept| kept.checkpoint.size), at, silent }
    }
}

impl Status {
    /// Looks at the folder and asks the database.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn of(config: &Config, store: &Store) -> Result<Self, StoreError> {
        let (checkpoint, unread) = match Reader::open(&config.log_dir()) {
            Ok(reader) => (Some(reader.checkpoint().clone()), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        // Asked after the folder was read: events that come in between are behind, never ahead.
        let events = u64::try_from(store.last_seq().await?).unwrap_or(0);
        let sealed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let oldest = store.events_to_seal(i64::try_from(sealed).unwrap_or(i64::MAX), 1).await?;
        let oldest = oldest.first().and_then(|event| DateTime::from_timestamp_micros(i64::try_from(event.at).ok()?));
        let waiting_seconds = oldest.map(|at| (Utc::now() - at).num_seconds().max(0));
        let stall = open_stall(store).await?;
        let serving = serve::is_served(config);
        let limit = i64::try_from(config.log.stall_seconds).unwrap_or(i64::MAX);
        let too_long = waiting_seconds.is_some_and(|seconds| seconds > limit);
        let state = match (serving, oldest.is_some()) {
            (true, _) if unread.is_some() || too_long || stall.is_some() => State::Stalled,
            // A folder that a gateway has yet to make is missed by nobody.
            (false, _) if unread.is_some() && config.log_dir().exists() => State::Stalled,
            (_, false) => State::Level,
            (true, true) => State::Sealing,
            (false, true) => State::Resting,
        };
        let told = stall.as_ref().and_then(|event| Some(event.detail.get("fault")?.as_str()?.to_owned()));
        Ok(Self {
            state,
            serving,
            listen: config.log.listen,
            events,
            checkpoint,
            behind: events.saturating_sub(sealed),
            waiting_seconds,
            stalled_since: stall.map(|event| event.at),
            fault: unread.or(told),
            witnesses: config.log.witnesses.iter().map(|witness| WitnessStatus::of(config, witness)).collect(),
        })
    }
}

/// The gateway's word that it cannot seal, where nothing newer takes it back.
async fn open_stall(store: &Store) -> Result<Option<Event>, StoreError> {
    let Some(stall) = store.newest_event(Kind::LogStalled).await? else { return Ok(None) };
    for kind in [Kind::LogResumed, Kind::Start] {
        if store.newest_event(kind).await?.is_some_and(|event| event.at > stall.at) {
            return Ok(None);
        }
    }
    Ok(Some(stall))
}
