//! What the pages on people and devices list: whether something is there, never what it is.

use super::Store;
use super::db::args;
use super::error::StoreError;
use super::sign_ins::{SignIn, stored};
use chrono::{DateTime, Utc};
use sekimori_policy::id::PersonId;

/// Which factors a person has; their keys are listed apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorsListing {
    /// A password is set.
    pub password: bool,
    /// An authenticator is enrolled.
    pub totp: bool,
}

impl Store {
    /// Which factors a person has; of a stranger none.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn factors_listing(&self, person: &PersonId) -> Result<FactorsListing, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT COUNT(password_hash) AS password, COUNT(totp_sealed) AS totp FROM person WHERE id = $1";
        let row = read.row(sql, args![person.as_str()]).await?;
        let set = |name: &str| row.as_ref().map_or(Ok(false), |row| row.integer(name).map(|count| count > 0));
        Ok(FactorsListing { password: set("password")?, totp: set("totp")? })
    }

    /// A person's carried sign-ins that stand at `now`, newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn carried_sign_ins_of(
        &self,
        person: &PersonId,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<SignIn>, StoreError> {
        let sql = "SELECT * FROM sign_in WHERE person = $1 AND certificate_serial IS NOT NULL AND revoked IS NULL
                   AND expires > $2 ORDER BY proved DESC, id DESC LIMIT $3";
        let values = args![person.as_str(), now, i64::from(limit)];
        self.read().await?.rows(sql, values).await?.iter().map(stored).collect()
    }
}
