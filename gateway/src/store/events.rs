//! Events as stored: numbered without gaps, salted, their text kept byte for byte because it is hashed as stored.

use super::Store;
use super::db::{Row, args};
use super::error::StoreError;
use chrono::{DateTime, Utc};
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

    /// Writes several events of one act: all of them or none.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_all(&self, events: &[Event]) -> Result<(), StoreError> {
        let Some((last, others)) = events.split_last() else { return Ok(()) };
        let mut change = self.change().await?;
        for event in others {
            change.tell(event).await?;
        }
        change.commit(last).await?;
        Ok(())
    }

    /// Writes those of several events of a session that are not there yet, when nobody knows whether an earlier try came
    /// through: two of the same kind that tell the same are one.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_missing(&self, session: uuid::Uuid, events: &[Event]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        // Within the change: a try that is still on its way has come through, or never will, when it is this one's turn.
        let mut known = Vec::new();
        for row in change.read().rows("SELECT seq, salt, body FROM event WHERE session = $1", args![session]).await? {
            known.push(stored(&row)?.event()?);
        }
        let told = |event: &Event| known.iter().any(|known| known.kind == event.kind && known.detail == event.detail);
        let missing: Vec<_> = events.iter().filter(|event| !told(event)).collect();
        let Some((last, others)) = missing.split_last() else { return Ok(()) };
        for event in others {
            change.tell(event).await?;
        }
        change.commit(last).await?;
        Ok(())
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

    /// At most `limit` events of a kind, newest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn newest_events(&self, kind: Kind, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT seq, salt, body FROM event WHERE kind = $1 ORDER BY seq DESC LIMIT $2";
        read.rows(sql, args![kind.code(), i64::from(limit)]).await?.iter().map(|row| stored(row)?.event()).collect()
    }

    /// Recordings that were sealed since: when, and how many bytes each took, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sealed_since(&self, since: DateTime<Utc>) -> Result<Vec<(DateTime<Utc>, u64)>, StoreError> {
        let sql = "SELECT seq, salt, body FROM event WHERE kind = 'recording.sealed' AND at >= $1 ORDER BY at";
        let rows = self.read().await?.rows(sql, args![since]).await?;
        let sealed = |row: &Row| {
            let event = stored(row)?.event()?;
            Ok((event.at, event.detail.get("bytes").and_then(serde_json::Value::as_u64).unwrap_or(0)))
        };
        rows.iter().map(sealed).collect()
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

/// An event as the transparency log needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Its number; the leaf's index is one less.
    pub seq: i64,
    /// When, Unix microseconds.
    pub at: u64,
    /// The kind's code.
    pub kind: String,
    /// The session it belongs to.
    pub session: Option<uuid::Uuid>,
    /// 16 random bytes.
    pub salt: Vec<u8>,
    /// The exact JSON text.
    pub body: String,
}

impl Store {
    /// At most `limit` events with numbers above `seq`, oldest first, for the log.
    ///
    /// # Errors
    /// The database's own failure; [`StoreError::Damaged`] if a number is missing.
    pub async fn events_to_seal(&self, seq: i64, limit: u32) -> Result<Vec<Unsealed>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT seq, at, kind, session, salt, body FROM event WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = read.rows(sql, args![seq, i64::from(limit)]).await?;
        let events = rows.iter().map(unsealed).collect::<Result<Vec<_>, _>>()?;
        for (event, expected) in events.iter().zip(seq + 1..) {
            if event.seq != expected {
                return Err(StoreError::damaged("event", expected, "it is missing: numbers have no gaps"));
            }
        }
        Ok(events)
    }

    /// How many events a session (or no session) has up to a number: the last one's number within it.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn number_within(&self, session: Option<uuid::Uuid>, seq: i64) -> Result<u64, StoreError> {
        let mut read = self.read().await?;
        let row = match session {
            Some(session) => {
                let sql = "SELECT COUNT(*) AS events FROM event WHERE session = $1 AND seq <= $2";
                read.row(sql, args![session, seq]).await?
            }
            None => {
                let sql = "SELECT COUNT(*) AS events FROM event WHERE session IS NULL AND seq <= $1";
                read.row(sql, args![seq]).await?
            }
        };
        let events = row.map_or(Ok(0), |row| row.integer("events"))?;
        u64::try_from(events).map_err(|fault| StoreError::damaged("event", seq, fault))
    }
}

fn unsealed(row: &Row) -> Result<Unsealed, StoreError> {
    let seq = row.integer("seq")?;
    let session = row.text_or_none("session")?.map(|text| text.parse()).transpose();
    let session = session.map_err(|fault: uuid::Error| StoreError::damaged("event", seq, fault))?;
    let at = u64::try_from(row.integer("at")?).map_err(|fault| StoreError::damaged("event", seq, fault))?;
    let kind = row.text("kind")?;
    Ok(Unsealed { seq, at, kind, session, salt: row.bytes("salt")?, body: row.text("body")? })
}

fn stored(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent { seq: row.integer("seq")?, salt: row.bytes("salt")?, body: row.text("body")? })
}
