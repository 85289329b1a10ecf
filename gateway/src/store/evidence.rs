//! Evidence: the files that show what an attestation of a terminal (接続端末の安全確認) rests on, sealed at rest. Whose and
//! of when it is says which attestation it belongs to; its SHA-256 stands in the attestation's event.

use super::Store;
use super::change::Change;
use super::db::{Row, args};
use super::error::StoreError;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sekimori_policy::facts::Attestation;
use sekimori_policy::id::PersonId;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A file as it was brought.
pub struct NewEvidence {
    /// Its name, as it will be called when somebody takes it.
    pub name: String,
    /// What it is: `pdf`, `png`, `jpeg` or `text`.
    pub format: &'static str,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// What may be told of a file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Evidence {
    /// What it is found by.
    pub id: Uuid,
    /// Whose attestation it belongs to.
    pub person: PersonId,
    /// When that was made.
    pub made: DateTime<Utc>,
    /// Its name.
    pub name: String,
    /// What it is: `pdf`, `png`, `jpeg` or `text`.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Store {
    /// The files of the attestation that a person made at that time, in the order in which they were brought.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn evidence_of(&self, person: &PersonId, made: DateTime<Utc>) -> Result<Vec<Evidence>, StoreError> {
        let sql = "SELECT id, person, made, name, kind, size, sha256 FROM evidence
                   WHERE person = $1 AND made = $2 ORDER BY id";
        let rows = self.read().await?.rows(sql, args![person.as_str(), made]).await?;
        rows.iter().map(told).collect()
    }

    /// Bytes that a person has brought since then.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn evidence_since(&self, person: &PersonId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM evidence
                   WHERE person = $1 AND made >= $2";
        let row = self.read().await?.row(sql, args![person.as_str(), since]).await?;
        row.map_or(Ok(0), |row| size(&row, "bytes"))
    }

    /// A file: what may be told of it, and what is in it.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it does not open, [`StoreError::Damaged`].
    pub async fn evidence(&self, id: Uuid) -> Result<Option<(Evidence, Zeroizing<Vec<u8>>)>, StoreError> {
        let sql = "SELECT id, person, made, name, kind, size, sha256, sealed FROM evidence WHERE id = $1";
        let Some(row) = self.read().await?.row(sql, args![id]).await? else { return Ok(None) };
        let bytes = self.unsealed(context(id), &row.bytes("sealed")?)?;
        Ok(Some((told(&row)?, bytes)))
    }

    /// Keeps the files with the attestation that `change` adds.
    pub(super) async fn keep_evidence(
        &self,
        change: &mut Change,
        attestation: &Attestation,
        files: &[NewEvidence],
    ) -> Result<(), StoreError> {
        for file in files {
            let id = Uuid::now_v7();
            let sealed = self.sealed(context(id), &file.bytes)?;
            let size = i64::try_from(file.bytes.len()).unwrap_or(i64::MAX);
            let sql = "INSERT INTO evidence (id, person, made, name, kind, size, sha256, sealed)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let (person, made) = (attestation.person.as_str(), attestation.made_at);
            let (name, sha256) = (file.name.as_str(), file.sha256.as_str());
            change.run(sql, args![id, person, made, name, file.format, size, sha256, sealed]).await?;
        }
        Ok(())
    }
}

/// Binds what is sealed to its row: moved to another it does not open.
fn context(id: Uuid) -> String {
    format!("evidence/{id}")
}

fn size(row: &Row, column: &str) -> Result<u64, StoreError> {
    let size = row.integer(column)?;
    u64::try_from(size).map_err(|fault| StoreError::damaged("evidence", column, fault))
}

fn told(row: &Row) -> Result<Evidence, StoreError> {
    Ok(Evidence {
        id: row.parsed("id")?,
        person: row.parsed("person")?,
        made: row.time("made")?,
        name: row.text("name")?,
        format: row.text("kind")?,
        size: size(row, "size")?,
        sha256: row.text("sha256")?,
    })
}
