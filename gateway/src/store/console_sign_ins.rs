//! Sign-ins through the console: a sign-in like any other, and beside it what the browser holds, as a hash.
//!
//! When it was last used is written without an event of its own (every page view would be one); that it began, was
//! proved again, or ended is an event like any other change.

use super::Store;
use super::db::{Row, args};
use super::error::StoreError;
use super::sign_ins::{SignIn, insert, stored};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::Person;
use sekimori_policy::id::PersonId;
use uuid::Uuid;

/// One sign-in through the console.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConsoleSignIn {
    /// The sign-in; revoking it ends this.
    #[serde(flatten)]
    pub sign_in: SignIn,
    /// What the browser calls itself.
    pub agent: String,
    /// When it was last used, to the minute.
    pub seen: DateTime<Utc>,
    /// When the second factor was last proved: at the sign-in, or later for an act that asks for it.
    pub proved_again: DateTime<Utc>,
}

impl Store {
    /// Writes a sign-in whose browser holds the token with this hash, and forgives the person's earlier failures.
    ///
    /// # Errors
    /// As [`Store::open_sign_in`].
    pub async fn open_console_sign_in(
        &self,
        sign_in: &SignIn,
        token_hash: &str,
        agent: &str,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        insert(&mut change, sign_in).await?;
        let sql = "INSERT INTO console_sign_in (sign_in, token, agent, seen, proved) VALUES ($1, $2, $3, $4, $4)";
        change.run(sql, args![sign_in.id, token_hash, agent, sign_in.proved_at]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The sign-in of the browser that holds this token, revoked or not, with the person as kept now.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn console_sign_in(&self, token_hash: &str) -> Result<Option<(ConsoleSignIn, Person)>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT s.*, c.agent, c.seen, c.proved AS proved_again FROM console_sign_in c
                   JOIN sign_in s ON s.id = c.sign_in WHERE c.token = $1";
        let Some(row) = read.row(sql, args![token_hash]).await? else { return Ok(None) };
        let found = of_console(&row)?;
        let person = super::persons::find(&mut read, &found.sign_in.person).await?;
        Ok(person.map(|person| (found, person)))
    }

    /// The sign-ins that stand and were used since `since`, of one person or of all, the last used first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn console_sign_ins(
        &self,
        person: Option<&PersonId>,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<ConsoleSignIn>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT s.*, c.agent, c.seen, c.proved AS proved_again FROM console_sign_in c
                   JOIN sign_in s ON s.id = c.sign_in
                   WHERE c.seen >= $1 AND s.revoked IS NULL AND ($2 IS NULL OR s.person = $2)
                   ORDER BY c.seen DESC, s.id DESC LIMIT $3";
        let values = args![since, person.map(ToString::to_string), i64::from(limit)];
        read.rows(sql, values).await?.iter().map(of_console).collect()
    }

    /// Notes that it is in use.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn saw_console_sign_in(&self, id: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
        let sql = "UPDATE console_sign_in SET seen = $2 WHERE sign_in = $1 AND seen < $2";
        self.inner.db.run_alone(sql, args![id, at]).await.map(drop)
    }

    /// The second factor was proved once more, at the event's time.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] sign-in.
    pub async fn prove_console_sign_in_again(&self, id: Uuid, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE console_sign_in SET proved = $2, seen = $2 WHERE sign_in = $1";
        if change.run(sql, args![id, event.at]).await? != 1 {
            return Err(StoreError::unknown("sign-in of the console", id));
        }
        change.commit(&event).await?;
        Ok(())
    }
}

fn of_console(row: &Row) -> Result<ConsoleSignIn, StoreError> {
    Ok(ConsoleSignIn {
        sign_in: stored(row)?,
        agent: row.text("agent")?,
        seen: row.time("seen")?,
        proved_again: row.time("proved_again")?,
    })
}
