//! Mail that waits to be sent. It is written in the change that it tells of, so that none tells of what did not happen, and
//! none is lost with the process. One gateway of several claims a mail, for a while; it is sent at least once, and what
//! became of it is an event.

use super::Store;
use super::change::Change;
use super::db::{Row, args};
use super::error::StoreError;
use super::persons;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::id::PersonId;
use sekimori_policy::notice::Notice;
use sekimori_policy::work::Work;
use serde::Serialize;
use serde_json::json;
use std::sync::atomic::Ordering;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The most that waits. A server that is away must not fill the disk; what comes beyond that is given up, with an event.
const MOST_WAITING: i64 = 10_000;
/// How long news of a piece of work is worth sending.
const NEWS: TimeDelta = TimeDelta::hours(48);

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The link of an invitation.
    Invitation,
    /// News of a piece of work.
    Work(Notice),
}

impl What {
    /// The word, as stored and as events have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Work(notice) => notice.code(),
        }
    }

    fn of(code: &str) -> Option<Self> {
        match code {
            "invitation" => Some(Self::Invitation),
            code => Notice::from_code(code).map(Self::Work),
        }
    }
}

impl Serialize for What {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server took it.
    Sent,
    /// It was not to be sent any more, or could not be.
    GivenUp,
}

impl Outcome {
    fn code(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::GivenUp => "given-up",
        }
    }
}

/// One mail, without what is secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Its id; events name it, and the mail itself does.
    pub id: Uuid,
    /// Whom it is for.
    pub person: PersonId,
    /// What it is for.
    pub what: What,
    /// The invitation, or the piece of work.
    pub about: String,
    /// The step of the work's history that it tells of, counted from 1; 0 where it is none.
    pub step: usize,
    /// When it was written.
    pub made: DateTime<Utc>,
    /// When it is tried next.
    pub due: DateTime<Utc>,
    /// When it is given up.
    pub expires: DateTime<Utc>,
    /// How often it was tried.
    pub tries: u32,
    /// What stood in the way last, or what the server said to it.
    pub said: Option<String>,
    /// When it was sent or given up.
    pub ended: Option<DateTime<Utc>>,
    /// Which of the two.
    pub outcome: Option<Outcome>,
}

/// How it stands with the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailStanding {
    /// How many wait.
    pub waiting: i64,
    /// Since when the oldest of them does.
    pub oldest: Option<DateTime<Utc>>,
    /// How many were given up lately.
    pub given_up: i64,
}

/// A mail that is to be written.
pub(super) struct Posting<'a> {
    pub(super) person: &'a PersonId,
    pub(super) what: What,
    pub(super) about: String,
    pub(super) step: usize,
    pub(super) expires: DateTime<Utc>,
    pub(super) secret: Option<&'a [u8]>,
}

impl Store {
    /// Whether there is a server that takes mail: without one, none is written.
    pub fn take_mail(&self, on: bool) {
        self.inner.mails.store(on, Ordering::Release);
    }

    /// The mail that is due first and that nobody has claimed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn due_mail(&self, now: DateTime<Utc>) -> Result<Option<Mail>, StoreError> {
        let sql = "SELECT * FROM mail WHERE ended IS NULL AND due <= $1 AND claimed_until <= $1
                   ORDER BY due, id LIMIT 1";
        self.read().await?.row(sql, args![now]).await?.as_ref().map(stored).transpose()
    }

    /// Claims a mail until then; `false` if somebody else has, or it is over.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn claim_mail(
        &self,
        id: Uuid,
        by: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE mail SET claimed_by = $2, claimed_until = $4, tries = tries + 1
                   WHERE id = $1 AND ended IS NULL AND claimed_until <= $3";
        Ok(self.inner.db.run_alone(sql, args![id, by, now, until]).await? == 1)
    }

    /// Lets go of what this gateway had claimed when it was last ended.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn release_mails(&self, by: &str) -> Result<(), StoreError> {
        let sql = "UPDATE mail SET claimed_until = 0 WHERE claimed_by = $1 AND ended IS NULL";
        self.inner.db.run_alone(sql, args![by]).await.map(drop)
    }

    /// A mail that was claimed is to be tried again later.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn postpone_mail(&self, id: Uuid, due: DateTime<Utc>, said: &str) -> Result<(), StoreError> {
        let sql = "UPDATE mail SET due = $2, said = $3, claimed_until = 0 WHERE id = $1 AND ended IS NULL";
        self.inner.db.run_alone(sql, args![id, due, said]).await.map(drop)
    }

    /// A mail is over: the event says how, and what was secret in it is gone.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it was over already.
    pub async fn end_mail(&self, id: Uuid, outcome: Outcome, said: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE mail SET ended = $2, outcome = $3, said = $4, sealed = NULL WHERE id = $1 AND ended IS NULL";
        if change.run(sql, args![id, event.at, outcome.code(), said]).await? != 1 {
            return Err(StoreError::conflict("mail", id));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// What is secret in a mail.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if nothing is, or the mail is over; [`StoreError::Sealed`] if it does not open.
    pub async fn mail_secret(&self, id: Uuid) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let row = self.read().await?.row("SELECT sealed FROM mail WHERE id = $1", args![id]).await?;
        let sealed = row.map(|row| row.bytes_or_none("sealed")).transpose()?.flatten();
        self.unsealed(context(id), &sealed.ok_or_else(|| StoreError::unknown("mail with a link", id))?)
    }

    /// What waits, the oldest first, then what is over, the newest first; at most `limit` of each.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn mails(&self, limit: u32) -> Result<Vec<Mail>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM mail WHERE ended IS NULL ORDER BY made, id LIMIT $1";
        let mut rows = read.rows(sql, args![i64::from(limit)]).await?;
        let sql = "SELECT * FROM mail WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT $1";
        rows.extend(read.rows(sql, args![i64::from(limit)]).await?);
        rows.iter().map(stored).collect()
    }

    /// How many wait and since when, and how many were given up since.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn mail_standing(&self, since: DateTime<Utc>) -> Result<MailStanding, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT COUNT(*) AS mails, MIN(made) AS oldest FROM mail WHERE ended IS NULL";
        let none = || StoreError::damaged("mail", "count", "the database counts nothing");
        let waiting = read.row(sql, Vec::new()).await?.ok_or_else(none)?;
        let sql = "SELECT COUNT(*) AS mails FROM mail WHERE ended >= $1 AND outcome = 'given-up'";
        let given_up = read.row(sql, args![since]).await?.ok_or_else(none)?;
        Ok(MailStanding {
            waiting: waiting.integer("mails")?,
            oldest: waiting.time_or_none("oldest")?,
            given_up: given_up.integer("mails")?,
        })
    }

    /// Forgets mail that was over before then, its events stay; and what is secret in mail whose time is over, even where
    /// there is no server any more that it could be sent to.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn forget_mails(&self, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let sql = "UPDATE mail SET sealed = NULL WHERE sealed IS NOT NULL AND expires <= $1";
        self.inner.db.run_alone(sql, args![now]).await?;
        self.inner.db.run_alone("DELETE FROM mail WHERE ended < $1", args![before]).await.map(drop)
    }
}

/// Writes a mail into the change.
pub(super) async fn post(
    store: &Store,
    change: &mut Change,
    posting: Posting<'_>,
    event: &Event,
) -> Result<(), StoreError> {
    let row = change.read().row("SELECT COUNT(*) AS mails FROM mail WHERE ended IS NULL", Vec::new()).await?;
    let waiting = row.map_or(Ok(0), |row| row.integer("mails"))?;
    if waiting >= MOST_WAITING {
        if posting.secret.is_some() {
            let why = "too much mail waits: see `sekimori mail list`, or print the invitation";
            return Err(StoreError::invalid("mail to", posting.person, why));
        }
        let detail = json!({ "what": posting.what.code(), "why": "too-many" });
        let given_up = Event { kind: Kind::MailGivenUp, person: Some(posting.person.clone()), detail, ..event.clone() };
        return change.tell(&given_up).await.map(drop);
    }
    let id = Uuid::now_v7();
    let sealed = posting.secret.map(|secret| store.sealed(context(id), secret)).transpose()?;
    let sql = "INSERT INTO mail (id, person, what, about, step, made, due, expires, sealed)
               VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)";
    let step = i64::try_from(posting.step).unwrap_or(i64::MAX);
    let Posting { person, what, about, expires, .. } = posting;
    change.run(sql, args![id, person.as_str(), what.code(), about, step, event.at, expires, sealed]).await.map(drop)
}

/// Writes the mail that tells of the last step of a piece of work, to everybody whom it concerns and who gets mail.
pub(super) async fn post_step(
    store: &Store,
    change: &mut Change,
    work: &Work,
    event: &Event,
) -> Result<(), StoreError> {
    match Notice::of_last_step(work) {
        Some(notice) => post_notice(store, change, work, notice, event).await,
        None => Ok(()),
    }
}

/// The same for any notice.
pub(super) async fn post_notice(
    store: &Store,
    change: &mut Change,
    work: &Work,
    notice: Notice,
    event: &Event,
) -> Result<(), StoreError> {
    if !store.inner.mails.load(Ordering::Acquire) {
        return Ok(());
    }
    for person in persons::all(change.read()).await? {
        if person.mail.is_some() && notice.concerns(&person, work) {
            let posting = Posting {
                person: &person.id,
                what: What::Work(notice),
                about: work.id().to_string(),
                step: work.revision(),
                expires: event.at + NEWS,
                secret: None,
            };
            post(store, change, posting, event).await?;
        }
    }
    Ok(())
}

/// Binds what is sealed to its mail: elsewhere it does not open.
fn context(id: Uuid) -> String {
    format!("mail/{id}")
}

fn stored(row: &Row) -> Result<Mail, StoreError> {
    let damaged = |code: &str, why: &str| StoreError::damaged("mail", code, why.to_owned());
    let what = row.text("what")?;
    let outcome = match row.text_or_none("outcome")?.as_deref() {
        None => None,
        Some("sent") => Some(Outcome::Sent),
        Some("given-up") => Some(Outcome::GivenUp),
        Some(other) => return Err(damaged(other, "no outcome")),
    };
    Ok(Mail {
        id: row.parsed("id")?,
        person: row.parsed("person")?,
        what: What::of(&what).ok_or_else(|| damaged(&what, "no kind of mail"))?,
        about: row.text("about")?,
        step: usize::try_from(row.integer("step")?).unwrap_or_default(),
        made: row.time("made")?,
        due: row.time("due")?,
        expires: row.time("expires")?,
        tries: u32::try_from(row.integer("tries")?).unwrap_or(u32::MAX),
        said: row.text_or_none("said")?,
        ended: row.time_or_none("ended")?,
        outcome,
    })
}
