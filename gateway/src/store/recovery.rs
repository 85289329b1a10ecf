//! Recovery codes: what stands in for a lost authenticator. Each is kept as a hash, sealed to its place, and spent once.

use super::Store;
use super::change::Change;
use super::db::args;
use super::error::StoreError;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::id::PersonId;
use std::collections::BTreeSet;

/// The SHA-256 of a code.
pub type RecoveryCode = [u8; 32];

/// How a person's recovery codes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryCodes {
    /// Those that count still.
    pub left: usize,
    /// When one was last spent.
    pub last_spent: Option<DateTime<Utc>>,
}

impl Store {
    /// How many are left to a person.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn recovery_codes(&self, person: &PersonId) -> Result<RecoveryCodes, StoreError> {
        let rows = self
            .read()
            .await?
            .rows("SELECT spent FROM recovery_code WHERE person = $1", args![person.as_str()])
            .await?;
        let spent = rows.iter().map(|row| row.time_or_none("spent")).collect::<Result<Vec<_>, _>>()?;
        let left = spent.iter().filter(|spent| spent.is_none()).count();
        Ok(RecoveryCodes { left, last_spent: spent.into_iter().flatten().max() })
    }

    /// Spends a code, with its event: true exactly once a code. Looking for it and spending it are one change, so that
    /// two connections at the same moment cannot both succeed.
    ///
    /// # Errors
    /// The database's own failure, or a code that does not open: deny.
    pub async fn spend_recovery_code(
        &self,
        person: &PersonId,
        code: &RecoveryCode,
        event: Event,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let sql = "SELECT number, sealed FROM recovery_code WHERE person = $1 AND spent IS NULL ORDER BY number";
        let rows = change.read().rows(sql, args![person.as_str()]).await?;
        let mut found = None;
        // All of them, whichever it is: how long it takes tells nothing.
        for row in &rows {
            let number = row.integer("number")?;
            let kept = self.unsealed(context(person, number), &row.bytes("sealed")?)?;
            if aws_lc_rs::constant_time::verify_slices_are_equal(&kept, code).is_ok() {
                found = Some(number);
            }
        }
        let Some(number) = found else { return Ok(false) };
        let sql = "UPDATE recovery_code SET spent = $3 WHERE person = $1 AND number = $2 AND spent IS NULL";
        if change.run(sql, args![person.as_str(), number, event.at]).await? != 1 {
            return Ok(false);
        }
        change.commit(&event).await?;
        Ok(true)
    }
}

/// Puts these in place of whatever there was.
pub(super) async fn replace(
    store: &Store,
    change: &mut Change,
    person: &PersonId,
    codes: &[RecoveryCode],
) -> Result<(), StoreError> {
    remove(change, person).await?;
    let distinct: BTreeSet<_> = codes.iter().collect();
    for (number, code) in (1_i64..).zip(distinct) {
        let sealed = store.sealed(context(person, number), code)?;
        let sql = "INSERT INTO recovery_code (person, number, sealed) VALUES ($1, $2, $3)";
        change.run(sql, args![person.as_str(), number, sealed]).await?;
    }
    Ok(())
}

pub(super) async fn remove(change: &mut Change, person: &PersonId) -> Result<(), StoreError> {
    change.run("DELETE FROM recovery_code WHERE person = $1", args![person.as_str()]).await.map(drop)
}

/// Binds a sealed hash to its row.
fn context(person: &PersonId, number: i64) -> String {
    format!("person/{person}/recovery/{number}")
}
