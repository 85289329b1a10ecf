//! Attestations (接続端末の安全確認) and incident locks (非常時遮断).

use super::Store;
use super::change::{Read, document};
use super::db::args;
use super::error::StoreError;
use super::evidence::NewEvidence;
use super::factors::require_person;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::{Attestation, Lock};
use sekimori_policy::id::PersonId;
use uuid::Uuid;

/// An incident lock as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LockRecord {
    /// What [`Store::lift_lock`] takes.
    pub id: Uuid,
    /// Whom it keeps out, and when.
    pub lock: Lock,
    /// When it was lifted, if it was.
    pub lifted: Option<DateTime<Utc>>,
}

impl Store {
    /// Adds an attestation, with the files that it rests on.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person, [`StoreError::Invalid`] (it expires before it was made), [`StoreError::Sealed`].
    pub async fn add_attestation(
        &self,
        attestation: &Attestation,
        files: &[NewEvidence],
        event: Event,
    ) -> Result<(), StoreError> {
        let person = &attestation.person;
        if attestation.expires_at <= attestation.made_at {
            let why = "it expires before it was made: give an end after the beginning";
            return Err(StoreError::invalid("attestation of", person, why));
        }
        let text = document("attestation of", person, attestation)?;
        let mut change = self.change().await?;
        require_person(&mut change, person).await?;
        let sql = "INSERT INTO attestation (id, person, made, document) VALUES ($1, $2, $3, $4)";
        change.run(sql, args![Uuid::now_v7(), person.as_str(), attestation.made_at, text]).await?;
        self.keep_evidence(&mut change, attestation, files).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The person's attestations, oldest first, expired ones too.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn attestations(&self, person: &PersonId) -> Result<Vec<Attestation>, StoreError> {
        attestations_of(&mut self.read().await?, person).await
    }

    /// Sets an incident lock; returns the id that lifts it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] (it ends before it begins).
    pub async fn set_lock(&self, lock: &Lock, event: Event) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        if lock.until.is_some_and(|until| until <= lock.from) {
            return Err(StoreError::invalid("lock", id, "it ends before it begins: give an end after the beginning"));
        }
        let text = document("lock", id, lock)?;
        let mut change = self.change().await?;
        let sql = "INSERT INTO incident_lock (id, starts, document) VALUES ($1, $2, $3)";
        change.run(sql, args![id, lock.from, text]).await?;
        change.commit(&event).await?;
        Ok(id)
    }

    /// Lifts a lock, at the event's time.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none of that id in force.
    pub async fn lift_lock(&self, id: Uuid, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE incident_lock SET lifted = $2 WHERE id = $1 AND lifted IS NULL";
        if change.run(sql, args![id, event.at]).await? != 1 {
            return Err(StoreError::unknown("lock in force", id));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// Every lock there ever was, in the order of their beginnings.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn locks(&self) -> Result<Vec<LockRecord>, StoreError> {
        let mut read = self.read().await?;
        let rows = read.rows("SELECT id, document, lifted FROM incident_lock ORDER BY starts, id", Vec::new()).await?;
        rows.iter()
            .map(|row| {
                Ok(LockRecord {
                    id: row.parsed("id")?,
                    lock: row.document("lock", "document")?,
                    lifted: row.time_or_none("lifted")?,
                })
            })
            .collect()
    }
}

pub(super) async fn attestations_of(read: &mut Read, person: &PersonId) -> Result<Vec<Attestation>, StoreError> {
    let sql = "SELECT id, document FROM attestation WHERE person = $1 ORDER BY made, id";
    let rows = read.rows(sql, args![person.as_str()]).await?;
    rows.iter().map(|row| row.document("attestation", "document")).collect()
}

/// The locks that nobody has lifted; whether one is in force at a moment is for policy to say.
pub(super) async fn locks_in_force(read: &mut Read) -> Result<Vec<Lock>, StoreError> {
    let sql = "SELECT id, document FROM incident_lock WHERE lifted IS NULL ORDER BY starts, id";
    read.rows(sql, Vec::new()).await?.iter().map(|row| row.document("lock", "document")).collect()
}
