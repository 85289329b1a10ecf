//! What those who watch ask of a live session beside its cut: words for its person, and to hold what that person sends.
//! The gateway that serves it learns of both by the events.

use super::Store;
use super::change::Read;
use super::db::{Row, args};
use super::error::StoreError;
use super::sessions::{SessionRow, doer, of_session, stored};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use serde::Serialize;
use uuid::Uuid;

/// Why a session is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Since when.
    pub at: DateTime<Utc>,
    /// Who asked for it: a person's id, or the system user's name.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Pause {
    pub(super) fn of(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(at) = row.time_or_none("paused")? else { return Ok(None) };
        Ok(Some(Self { at, by: row.text("paused_by")?, reason: row.text("pause_reason")? }))
    }
}

impl Store {
    /// Has words shown in a live session. The event holds them, and is all that is kept.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no session of that id lives.
    pub async fn tell_session(&self, id: Uuid, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let row = living(change.read(), id).await?;
        change.commit(&of_session(&row, &event)).await?;
        Ok(())
    }

    /// Has what a session's person sends held.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no session of that id lives, [`StoreError::Conflict`] if it is paused.
    pub async fn pause_session(&self, id: Uuid, reason: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let row = living(change.read(), id).await?;
        let sql = "UPDATE session SET paused = $2, paused_by = $3, pause_reason = $4 WHERE id = $1 AND paused IS NULL";
        if change.run(sql, args![id, event.at, doer(&event), reason]).await? != 1 {
            return Err(StoreError::conflict("session", id));
        }
        change.commit(&of_session(&row, &event)).await?;
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no session of that id lives, [`StoreError::Conflict`] if it is not paused.
    pub async fn resume_session(&self, id: Uuid, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let row = living(change.read(), id).await?;
        let sql = "UPDATE session SET paused = NULL, paused_by = NULL, pause_reason = NULL
                   WHERE id = $1 AND paused IS NOT NULL";
        if change.run(sql, args![id]).await? != 1 {
            return Err(StoreError::conflict("session", id));
        }
        change.commit(&of_session(&row, &event)).await?;
        Ok(())
    }

    /// The live sessions of one gateway that are paused.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn pauses(&self, instance: &str) -> Result<Vec<(Uuid, Pause)>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM session WHERE instance = $1 AND closed IS NULL AND paused IS NOT NULL ORDER BY id";
        let rows = stored(&read.rows(sql, args![instance]).await?)?;
        Ok(rows.into_iter().filter_map(|row| row.pause.map(|pause| (row.opening.id, pause))).collect())
    }
}

async fn living(read: &mut Read, id: Uuid) -> Result<SessionRow, StoreError> {
    let row = read.row("SELECT * FROM session WHERE id = $1 AND closed IS NULL", args![id]).await?;
    let found = stored(row.as_slice())?.pop();
    found.ok_or_else(|| StoreError::unknown("live session", id))
}
