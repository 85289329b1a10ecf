//! What proves a person: password hash, sealed TOTP seed, SSH keys; and how often in a row proving failed.

use super::Store;
use super::change::Change;
use super::db::args;
use super::error::StoreError;
use super::invitations::{self, Ending};
use super::{passkeys, persons, recovery, sign_ins};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::id::PersonId;
use zeroize::Zeroizing;

/// An SSH public key of a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PersonKey {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// The OpenSSH public key line.
    pub public_key: String,
    /// When it was added.
    pub added: DateTime<Utc>,
}

impl Store {
    /// Sets the password (a PHC string from `people::password`) and forgives earlier failures.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person.
    pub async fn set_password(&self, person: &PersonId, hash: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE person SET password_hash = $2, failures = 0 WHERE id = $1";
        let touched = change.run(sql, args![person.as_str(), hash]).await?;
        one_person(touched, person)?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The PHC string, if a password is set and the person is known.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn password_hash(&self, person: &PersonId) -> Result<Option<String>, StoreError> {
        let mut read = self.read().await?;
        let row = read.row("SELECT password_hash FROM person WHERE id = $1", args![person.as_str()]).await?;
        Ok(row.map(|row| row.text_or_none("password_hash")).transpose()?.flatten())
    }

    /// Enrols a TOTP seed in place of any earlier one, sealed, and forgives earlier failures.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person, [`StoreError::Sealed`].
    pub async fn enrol_totp(&self, person: &PersonId, seed: &[u8], event: Event) -> Result<(), StoreError> {
        let sealed = self.sealed(totp_context(person), seed)?;
        let mut change = self.change().await?;
        let sql = "UPDATE person SET totp_sealed = $2, totp_step = 0, failures = 0 WHERE id = $1";
        let touched = change.run(sql, args![person.as_str(), sealed]).await?;
        one_person(touched, person)?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The TOTP seed, if one is enrolled and the person is known.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it does not open.
    pub async fn totp_seed(&self, person: &PersonId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let mut read = self.read().await?;
        let row = read.row("SELECT totp_sealed FROM person WHERE id = $1", args![person.as_str()]).await?;
        let Some(sealed) = row.map(|row| row.bytes_or_none("totp_sealed")).transpose()?.flatten() else {
            return Ok(None);
        };
        self.unsealed(totp_context(person), &sealed).map(Some)
    }

    /// Spends a step of the person's TOTP: true exactly once a step, and never for a step before a spent one (RFC 6238
    /// §5.2). One statement, so that two connections at the same moment cannot both succeed. It has no event of its
    /// own: the sign-in that it leads to, or its failure, has.
    ///
    /// # Errors
    /// The database's own failure; the step then counts as spent elsewhere: deny.
    pub async fn spend_totp_step(&self, person: &PersonId, step: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE person SET totp_step = $2 WHERE id = $1 AND totp_step < $2 AND totp_sealed IS NOT NULL";
        Ok(self.inner.db.run_alone(sql, args![person.as_str(), step]).await? == 1)
    }

    /// Takes away password, TOTP, recovery codes, passkeys and keys, ends every sign-in and invitation, and forgives
    /// failures: for a lost phone, or a person who locked themselves out.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person.
    pub async fn reset_factors(&self, person: &PersonId, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        take_away(&mut change, person, event.at).await?;
        invitations::end_all(&mut change, person, Ending::TakenBack, event.at).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Adds an SSH public key. A key belongs to one human.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if anybody has it already, [`StoreError::Unknown`] person.
    pub async fn add_key(
        &self,
        person: &PersonId,
        public_key: &str,
        fingerprint: &str,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        require_person(&mut change, person).await?;
        insert_key(&mut change, person, public_key, fingerprint, event.at).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The person's keys, oldest first.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn keys(&self, person: &PersonId) -> Result<Vec<PersonKey>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT fingerprint, public_key, added FROM person_key WHERE person = $1 ORDER BY added, fingerprint";
        let rows = read.rows(sql, args![person.as_str()]).await?;
        rows.iter()
            .map(|row| {
                Ok(PersonKey {
                    fingerprint: row.text("fingerprint")?,
                    public_key: row.text("public_key")?,
                    added: row.time("added")?,
                })
            })
            .collect()
    }

    /// Removes a key, and ends the sign-ins that its certificates carry.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] key.
    pub async fn remove_key(&self, person: &PersonId, fingerprint: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "DELETE FROM person_key WHERE person = $1 AND fingerprint = $2";
        if change.run(sql, args![person.as_str(), fingerprint]).await? != 1 {
            return Err(StoreError::unknown("key", fingerprint));
        }
        let sql = "UPDATE sign_in SET revoked = $3 WHERE person = $1 AND key_fingerprint = $2 AND revoked IS NULL";
        change.run(sql, args![person.as_str(), fingerprint, event.at]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Counts one more failure in a row of a person who is known, and writes the event either way; returns the count
    /// (0 for a stranger). `people::throttle` says what it means.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn sign_in_failed(&self, person: &PersonId, event: Event) -> Result<u32, StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE person SET failures = failures + 1 WHERE id = $1";
        change.run(sql, args![person.as_str()]).await?;
        let row = change.read().row("SELECT failures FROM person WHERE id = $1", args![person.as_str()]).await?;
        let count = row.map(|row| row.integer("failures")).transpose()?.unwrap_or_default();
        change.commit(&event).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Failures in a row since the last success; 0 for a stranger.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn failures(&self, person: &PersonId) -> Result<u32, StoreError> {
        let mut read = self.read().await?;
        let row = read.row("SELECT failures FROM person WHERE id = $1", args![person.as_str()]).await?;
        let count = row.map(|row| row.integer("failures")).transpose()?.unwrap_or_default();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Forgives a person's failures: the hospital has made sure who it is.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person.
    pub async fn forgive_failures(&self, person: &PersonId, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let touched = change.run("UPDATE person SET failures = 0 WHERE id = $1", args![person.as_str()]).await?;
        one_person(touched, person)?;
        change.commit(&event).await?;
        Ok(())
    }
}

/// Takes away everything that proves a person, ends the sign-ins that stand on it, and forgives failures.
pub(super) async fn take_away(change: &mut Change, person: &PersonId, at: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "UPDATE person SET password_hash = NULL, totp_sealed = NULL, totp_step = 0, failures = 0 WHERE id = $1";
    let touched = change.run(sql, args![person.as_str()]).await?;
    one_person(touched, person)?;
    change.run("DELETE FROM person_key WHERE person = $1", args![person.as_str()]).await?;
    recovery::remove(change, person).await?;
    passkeys::remove_all(change, person).await?;
    sign_ins::revoke_all(change, person, at).await
}

/// Writes a key that nobody has yet.
pub(super) async fn insert_key(
    change: &mut Change,
    person: &PersonId,
    public_key: &str,
    fingerprint: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "SELECT person FROM person_key WHERE fingerprint = $1";
    if change.read().row(sql, args![fingerprint]).await?.is_some() {
        return Err(StoreError::exists("key", fingerprint));
    }
    let sql = "INSERT INTO person_key (fingerprint, person, public_key, added) VALUES ($1, $2, $3, $4)";
    change.run(sql, args![fingerprint, person.as_str(), public_key, at]).await.map(drop)
}

pub(super) async fn require_person(change: &mut Change, person: &PersonId) -> Result<(), StoreError> {
    match persons::find(change.read(), person).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::unknown("person", person)),
    }
}

fn one_person(touched: u64, person: &PersonId) -> Result<(), StoreError> {
    if touched == 1 { Ok(()) } else { Err(StoreError::unknown("person", person)) }
}

/// Binds the sealed seed to its row: moved to another person it does not open.
pub(super) fn totp_context(person: &PersonId) -> String {
    format!("person/{person}/totp")
}
