//! Passkeys and their open challenges.
//!
//! A challenge is made and spent without an event of its own: until it is answered it says nothing, and the answer has
//! one. That a passkey was used, and how far it has counted, is told by the sign-in that it leads to, or the refusal.

use super::Store;
use super::change::Change;
use super::db::{Row, args};
use super::error::StoreError;
use super::factors::require_person;
use crate::people::passkey::PublicKey;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::Source;
use sekimori_policy::id::PersonId;
use uuid::Uuid;

/// The most challenges of one source that are open at once.
const MOST_OF_A_SOURCE: i64 = 64;
/// The most of all sources together.
const MOST: i64 = 20_000;

/// A passkey of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// The credential's id, in hexadecimal.
    pub id: String,
    /// Whose it is.
    pub person: PersonId,
    /// What the authenticator knows its person by.
    pub handle: Uuid,
    /// What its person calls it.
    pub name: String,
    /// What verifies it.
    pub key: PublicKey,
    /// When it was added.
    pub added: DateTime<Utc>,
    /// When it was last used.
    pub used: Option<DateTime<Utc>>,
}

/// A challenge that is about to be open.
pub struct Challenge<'a> {
    /// Its SHA-256.
    pub id: &'a str,
    /// What its answer is for; an answer for anything else is none.
    pub purpose: &'a str,
    /// Where its answer has to come from.
    pub source: Source,
    /// Until when it waits.
    pub expires: DateTime<Utc>,
}

impl Store {
    /// Opens a challenge. `false`: there are too many, and it is not open.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn open_challenge(&self, challenge: &Challenge<'_>, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut tx = self.inner.db.write().await?;
        tx.run("DELETE FROM passkey_challenge WHERE expires <= $1", args![now]).await?;
        let source = challenge.source.to_string();
        let sql = "SELECT COUNT(*) AS everybodys, COALESCE(SUM(CASE WHEN source = $1 THEN 1 ELSE 0 END), 0) AS own
                   FROM passkey_challenge";
        let open = tx.rows(sql, args![source.as_str()]).await?;
        let count = |column| open.first().map_or(Ok(0), |row| row.integer(column));
        if count("everybodys")? >= MOST || count("own")? >= MOST_OF_A_SOURCE {
            return Ok(false);
        }
        let sql = "INSERT INTO passkey_challenge (id, purpose, source, expires) VALUES ($1, $2, $3, $4)";
        tx.run(sql, args![challenge.id, challenge.purpose, source, challenge.expires]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Spends a challenge: true exactly once, in time, for its own purpose and from its own source. It is gone after.
    ///
    /// # Errors
    /// The database's own failure: deny.
    pub async fn spend_challenge(
        &self,
        id: &str,
        purpose: &str,
        source: Source,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.inner.db.write().await?;
        let sql = "DELETE FROM passkey_challenge WHERE id = $1 RETURNING purpose, source, expires";
        let rows = tx.rows(sql, args![id]).await?;
        tx.commit().await?;
        let Some(row) = rows.first() else { return Ok(false) };
        Ok(row.text("purpose")? == purpose && row.text("source")? == source.to_string() && row.time("expires")? > now)
    }

    /// Adds a passkey.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if anybody has it already, [`StoreError::Unknown`] person.
    pub async fn add_passkey(&self, new: &Passkey, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        require_person(&mut change, &new.person).await?;
        let sql = "INSERT INTO passkey (id, person, handle, name, public_key, counter, added)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let values = args![
            new.id.as_str(),
            new.person.as_str(),
            new.handle,
            new.name.as_str(),
            new.key.cose.clone(),
            i64::from(new.key.counter),
            new.added,
        ];
        if change.run(sql, values).await? != 1 {
            return Err(StoreError::exists("passkey", &new.name));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// A person's passkeys, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn passkeys(&self, person: &PersonId) -> Result<Vec<Passkey>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM passkey WHERE person = $1 ORDER BY added, id";
        read.rows(sql, args![person.as_str()]).await?.iter().map(stored).collect()
    }

    /// The passkey of this id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn passkey(&self, id: &str) -> Result<Option<Passkey>, StoreError> {
        let row = self.read().await?.row("SELECT * FROM passkey WHERE id = $1", args![id]).await?;
        row.as_ref().map(stored).transpose()
    }

    /// Notes that a passkey was used and has counted up to here: true exactly once a count, so that two answers with
    /// the same count cannot both prove anything. Many authenticators never count; theirs stays 0.
    ///
    /// # Errors
    /// The database's own failure: deny.
    pub async fn count_passkey(&self, id: &str, counter: u32, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let sql = "UPDATE passkey SET counter = $2, used = $3
                   WHERE id = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))";
        Ok(self.inner.db.run_alone(sql, args![id, i64::from(counter), now]).await? == 1)
    }

    /// Removes a passkey, and ends the sign-ins that were made with it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] passkey.
    pub async fn remove_passkey(&self, person: &PersonId, id: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        if change.run("DELETE FROM passkey WHERE person = $1 AND id = $2", args![person.as_str(), id]).await? != 1 {
            return Err(StoreError::unknown("passkey", id));
        }
        let sql = "UPDATE sign_in SET revoked = $3 WHERE person = $1 AND key_fingerprint = $2 AND revoked IS NULL";
        change.run(sql, args![person.as_str(), stands_on(id), event.at]).await?;
        change.commit(&event).await?;
        Ok(())
    }
}

/// What a sign-in names as its key that was made with this passkey.
#[must_use]
pub fn stands_on(id: &str) -> String {
    format!("passkey:{id}")
}

pub(super) async fn remove_all(change: &mut Change, person: &PersonId) -> Result<(), StoreError> {
    change.run("DELETE FROM passkey WHERE person = $1", args![person.as_str()]).await.map(drop)
}

fn stored(row: &Row) -> Result<Passkey, StoreError> {
    let counter = row.integer("counter")?;
    Ok(Passkey {
        id: row.text("id")?,
        person: row.parsed("person")?,
        handle: row.parsed("handle")?,
        name: row.text("name")?,
        key: PublicKey {
            cose: row.bytes("public_key")?,
            counter: u32::try_from(counter).map_err(|fault| StoreError::damaged("passkey", counter, fault))?,
        },
        added: row.time("added")?,
        used: row.time_or_none("used")?,
    })
}
