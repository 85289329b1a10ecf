//! Sign-ins: factors proved by a person from a source, for one connection or carried by a certificate.

use super::Store;
use super::change::{Change, document};
use super::db::{Row, args};
use super::error::StoreError;
use super::factors::require_person;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::{Method, Source};
use sekimori_policy::id::PersonId;
use std::collections::BTreeSet;
use std::net::IpAddr;
use uuid::Uuid;

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SignIn {
    /// Its id; the events that stand on it name it.
    pub id: Uuid,
    /// Who signed in.
    pub person: PersonId,
    /// Where from.
    pub source: Source,
    /// What was proved.
    pub methods: BTreeSet<Method>,
    /// When the last of it was proved.
    pub proved_at: DateTime<Utc>,
    /// The SSH key that was proved, or that the certificate is for.
    pub key_fingerprint: Option<String>,
    /// The serial of the certificate that carries it; `None` for this connection only.
    pub certificate_serial: Option<i64>,
    /// When the certificate ends.
    pub expires: Option<DateTime<Utc>>,
    /// When it was revoked. The policy does not see this: whoever builds `Factors` from a sign-in refuses a revoked one.
    pub revoked: Option<DateTime<Utc>>,
}

impl Store {
    /// Writes a sign-in, and forgives the person's earlier failures.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person; [`StoreError::Exists`] id or serial; [`StoreError::Invalid`] if it carries a
    /// serial without an end, or an end without a serial.
    pub async fn open_sign_in(&self, sign_in: &SignIn, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        insert(&mut change, sign_in).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// One sign-in.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sign_in(&self, id: Uuid) -> Result<Option<SignIn>, StoreError> {
        let mut read = self.read().await?;
        read.row("SELECT * FROM sign_in WHERE id = $1", args![id]).await?.as_ref().map(stored).transpose()
    }

    /// The sign-in that the certificate of this serial carries.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sign_in_of_certificate(&self, serial: i64) -> Result<Option<SignIn>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM sign_in WHERE certificate_serial = $1";
        read.row(sql, args![serial]).await?.as_ref().map(stored).transpose()
    }

    /// The carried sign-ins that stand at `now`, newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn carried_sign_ins(&self, now: DateTime<Utc>) -> Result<Vec<SignIn>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM sign_in WHERE certificate_serial IS NOT NULL AND revoked IS NULL AND expires > $1
                   ORDER BY proved DESC, id DESC";
        read.rows(sql, args![now]).await?.iter().map(stored).collect()
    }

    /// Revokes a sign-in, at the event's time.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none of that id which stands.
    pub async fn revoke_sign_in(&self, id: Uuid, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE sign_in SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
        if change.run(sql, args![id, event.at]).await? != 1 {
            return Err(StoreError::unknown("sign-in that stands", id));
        }
        change.commit(&event).await?;
        Ok(())
    }
}

/// Revokes whatever a person has signed in to.
pub(super) async fn revoke_all(change: &mut Change, person: &PersonId, at: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "UPDATE sign_in SET revoked = $2 WHERE person = $1 AND revoked IS NULL";
    change.run(sql, args![person.as_str(), at]).await?;
    Ok(())
}

/// Writes the row, and forgives the person's earlier failures.
pub(super) async fn insert(change: &mut Change, sign_in: &SignIn) -> Result<(), StoreError> {
    if sign_in.certificate_serial.is_some() != sign_in.expires.is_some() {
        let why = "a carried sign-in has a certificate and an end, one of a connection has neither";
        return Err(StoreError::invalid("sign-in", sign_in.id, why));
    }
    let methods = document("sign-in", sign_in.id, &sign_in.methods)?;
    require_person(change, &sign_in.person).await?;
    let sql = "INSERT INTO sign_in
               (id, person, source, methods, proved, key_fingerprint, certificate_serial, expires, revoked)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let values = args![
        sign_in.id,
        sign_in.person.as_str(),
        sign_in.source.to_string(),
        methods,
        sign_in.proved_at,
        sign_in.key_fingerprint.clone(),
        sign_in.certificate_serial,
        sign_in.expires,
        sign_in.revoked,
    ];
    if change.run(sql, values).await? != 1 {
        return Err(StoreError::exists("sign-in", sign_in.id));
    }
    change.run("UPDATE person SET failures = 0 WHERE id = $1", args![sign_in.person.as_str()]).await?;
    Ok(())
}

pub(super) fn stored(row: &Row) -> Result<SignIn, StoreError> {
    Ok(SignIn {
        id: row.parsed("id")?,
        person: row.parsed("person")?,
        source: Source::from(row.parsed::<IpAddr>("source")?),
        methods: row.document("sign-in", "methods")?,
        proved_at: row.time("proved")?,
        key_fingerprint: row.text_or_none("key_fingerprint")?,
        certificate_serial: row.integer_or_none("certificate_serial")?,
        expires: row.time_or_none("expires")?,
        revoked: row.time_or_none("revoked")?,
    })
}
