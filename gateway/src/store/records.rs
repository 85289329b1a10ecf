//! What happened inside a session: its channels and the files that went through.

use super::Store;
use super::change::{Change, document};
use super::db::args;
use super::error::StoreError;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::Channel;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One channel of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Its number in the session's recording.
    pub number: u32,
    /// What was opened.
    pub channel: Channel,
    /// When.
    pub opened: DateTime<Utc>,
    /// The command, the destination of a forward, the terminal's size.
    pub detail: Value,
}

impl Store {
    /// Writes that a channel opened in a session.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the session has a channel of that number; [`StoreError::Unknown`] session.
    pub async fn add_channel(&self, session: Uuid, channel: &ChannelRecord, event: Event) -> Result<(), StoreError> {
        let text = document("channel", channel.number, channel)?;
        let mut change = self.change().await?;
        require_session(&mut change, session).await?;
        let sql = "INSERT INTO session_channel (session, number, document) VALUES ($1, $2, $3)
                   ON CONFLICT (session, number) DO NOTHING";
        if change.run(sql, args![session, i64::from(channel.number), text]).await? != 1 {
            return Err(StoreError::exists("channel", channel.number));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// The channels of a session, by number.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn channels(&self, session: Uuid) -> Result<Vec<ChannelRecord>, StoreError> {
        let sql = "SELECT session AS id, document FROM session_channel WHERE session = $1 ORDER BY number";
        self.documents("channel", sql, session).await
    }

    /// Writes that a file went through, as the recording tells it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] session.
    pub async fn add_transfer(&self, session: Uuid, transfer: &impl Serialize, event: Event) -> Result<(), StoreError> {
        let text = document("transfer of", session, transfer)?;
        let mut change = self.change().await?;
        require_session(&mut change, session).await?;
        let sql = "INSERT INTO transfer (session, number, document)
                   SELECT $1, COALESCE(MAX(number), 0) + 1, $2 FROM transfer WHERE session = $1";
        change.run(sql, args![session, text]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The files that went through a session, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn transfers<T: DeserializeOwned>(&self, session: Uuid) -> Result<Vec<T>, StoreError> {
        let sql = "SELECT session AS id, document FROM transfer WHERE session = $1 ORDER BY number";
        self.documents("transfer", sql, session).await
    }

    async fn documents<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &'static str,
        session: Uuid,
    ) -> Result<Vec<T>, StoreError> {
        let mut read = self.read().await?;
        read.rows(sql, args![session]).await?.iter().map(|row| row.document(what, "document")).collect()
    }
}

async fn require_session(change: &mut Change, session: Uuid) -> Result<(), StoreError> {
    match change.read().row("SELECT id FROM session WHERE id = $1", args![session]).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::unknown("session", session)),
    }
}
