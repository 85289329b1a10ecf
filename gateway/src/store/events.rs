//! Events as stored: numbered without gaps, salted, their text kept byte for byte because it is hashed as stored.

use super::Store;
use super::db::{Row, args};
use super::error::StoreError;
use sekimori_audit::event::{Event, Kind};

/// An event as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Ascending from 1 without gaps, in the order of the commits.
    pub seq: i64,
    /// 16 random bytes: without them nobody can guess a body from its hash.
    pub salt: Vec<u8>,
    /// The exact JSON text.
    pub body: String,
}

impl StoredEvent {
    /// The event that the body tells.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if this program cannot read it.
    pub fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_str(&self.body).map_err(|fault| StoreError::damaged("event", self.seq, fault))
    }
}

impl Store {
    /// Writes an event that no other change goes with (a refusal, a start, a replay); returns its number.
    ///
    /// # Errors
    /// The database's own failure; then the act it tells of must not happen.
    pub async fn record(&self, event: Event) -> Result<i64, StoreError> {
        self.change().await?.commit(&event).await
    }

    /// The number of the newest event, 0 before the first. One row is read: cheap enough to ask five times a second
    /// for changes that another process made.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn last_seq(&self) -> Result<i64, StoreError> {
        let row = self.read().await?.row("SELECT last FROM event_counter WHERE id = 1", Vec::new()).await?;
        row.ok_or_else(|| StoreError::damaged("counter", "event", "its row is missing"))?.integer("last")
    }

    /// At most `limit` events with numbers above `seq`, oldest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn events_since(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT seq, salt, body FROM event WHERE seq > $1 ORDER BY seq LIMIT $2";
        read.rows(sql, args![seq, i64::from(limit)]).await?.iter().map(stored).collect()
    }

    /// The newest event of a kind, if there is one.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn newest_event(&self, kind: Kind) -> Result<Option<Event>, StoreError> {
        let sql = "SELECT seq, salt, body FROM event WHERE kind = $1 ORDER BY seq DESC LIMIT 1";
        let row = self.read().await?.row(sql, args![kind.code()]).await?;
        row.as_ref().map(|row| stored(row)?.event()).transpose()
    }

    /// Every event of one session, oldest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn events_of_session(&self, session: uuid::Uuid) -> Result<Vec<StoredEvent>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT seq, salt, body FROM event WHERE session = $1 ORDER BY seq";
        read.rows(sql, args![session]).await?.iter().map(stored).collect()
    }
}

fn stored(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent { seq: row.integer("seq")?, salt: row.bytes("salt")?, body: row.text("body")? })
}
