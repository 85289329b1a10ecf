//! The two kinds of transaction. A [`Read`] cannot write. A [`Change`] can, and the only way to keep what it wrote is
//! [`Change::commit`], which takes the event: a change without its event does not compile, and dropping undoes both.

use super::db::{Arg, Row, Tx, args};
use super::error::StoreError;
use sekimori_audit::event::Event;
use serde::Serialize;

/// One consistent state of the database, to read from.
pub(super) struct Read {
    tx: Tx,
}

impl Read {
    pub(super) fn new(tx: Tx) -> Self {
        Self { tx }
    }

    pub(super) async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.tx.rows(sql, args).await
    }

    pub(super) async fn row(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.tx.rows(sql, args).await?.into_iter().next())
    }
}

/// A change under way. Nobody else writes until it is committed or dropped.
#[must_use = "a change that is not committed with its event is undone"]
pub(super) struct Change {
    read: Read,
}

impl Change {
    pub(super) fn new(tx: Tx) -> Self {
        Self { read: Read::new(tx) }
    }

    /// Reading inside the change.
    pub(super) fn read(&mut self) -> &mut Read {
        &mut self.read
    }

    /// Runs a statement; returns how many rows it touched.
    pub(super) async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.read.tx.run(sql, args).await
    }

    /// Appends one event of several; returns its number.
    pub(super) async fn tell(&mut self, event: &Event) -> Result<i64, StoreError> {
        let seq = self
            .read
            .row("UPDATE event_counter SET last = last + 1 WHERE id = 1 RETURNING last", Vec::new())
            .await?
            .ok_or_else(|| StoreError::damaged("counter", "event", "its row is missing"))?
            .integer("last")?;
        let mut salt = vec![0_u8; 16];
        aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_| StoreError::invalid("event", seq, "the system gave no randomness for its salt; try again"))?;
        self.run(
            "INSERT INTO event (seq, at, kind, person, vendor, device, work, session, salt, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            args![
                seq,
                event.at,
                event.kind.code(),
                event.person.clone().map(String::from),
                event.vendor.clone().map(String::from),
                event.device.clone().map(String::from),
                event.work.clone().map(String::from),
                event.session,
                salt,
                document("event", seq, event)?,
            ],
        )
        .await?;
        Ok(seq)
    }

    /// Appends the event and makes the change durable; returns the event's number.
    pub(super) async fn commit(mut self, event: &Event) -> Result<i64, StoreError> {
        let seq = self.tell(event).await?;
        self.read.tx.commit().await?;
        Ok(seq)
    }
}

/// The JSON text under which a value is stored.
pub(super) fn document(what: &'static str, id: impl ToString, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|fault| StoreError::invalid(what, id, fault))
}
