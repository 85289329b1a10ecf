//! Invitations, and the enrolment that one ends in. An invitation counts once: a newer one, its time, too many failures
//! and its person's suspension end it as well. Enrolling is one transaction: nobody is ever half enrolled.

use super::Store;
use super::change::Change;
use super::db::{Row, args};
use super::error::StoreError;
use super::factors::{insert_key, take_away};
use super::mails::{self, Posting, What};
use super::persons;
use super::recovery::{self, RecoveryCode};
use chrono::{DateTime, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::Status;
use sekimori_policy::id::PersonId;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Why an invitation lets nobody in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its person has enrolled.
    Used,
    /// A newer one took its place.
    Replaced,
    /// Too much was wrong that was sent with it.
    Failed,
    /// Its person was suspended or retired, or lost all factors.
    TakenBack,
    /// Its time is over.
    Expired,
}

impl Ending {
    /// The word, as stored and as events have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Replaced => "replaced",
            Self::Failed => "failed",
            Self::TakenBack => "taken-back",
            Self::Expired => "expired",
        }
    }

    fn of(code: &str) -> Option<Self> {
        let all = [Self::Used, Self::Replaced, Self::Failed, Self::TakenBack, Self::Expired];
        all.into_iter().find(|ending| ending.code() == code)
    }
}

/// One invitation. What opens it is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id; events name it.
    pub id: Uuid,
    /// Who is invited.
    pub person: PersonId,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When its time is over.
    pub expires: DateTime<Utc>,
    /// When the link was first opened.
    pub opened: Option<DateTime<Utc>>,
    /// Until when the page counts that was opened last.
    pub page_until: Option<DateTime<Utc>>,
    /// How much was sent with it that was wrong.
    pub attempts: u32,
    ended: Option<Ending>,
}

impl Invitation {
    /// A new one for this person, from `made` until `expires`; it is kept by [`Store::invite`].
    #[must_use]
    pub fn new(person: PersonId, made: DateTime<Utc>, expires: DateTime<Utc>) -> Self {
        let (id, attempts) = (Uuid::now_v7(), 0);
        Self { id, person, made, expires, opened: None, page_until: None, attempts, ended: None }
    }

    /// Why it lets nobody in; `None` while it does.
    #[must_use]
    pub fn ending(&self, now: DateTime<Utc>) -> Option<Ending> {
        self.ended.or((self.expires <= now).then_some(Ending::Expired))
    }
}

/// What a person brings to be enrolled, each already judged.
pub struct Enrolling {
    /// The password, as a PHC string.
    pub password_hash: String,
    /// The step of the code that confirmed the seed: it is spent with this.
    pub step: i64,
    /// An SSH key: its line and its fingerprint.
    pub key: Option<(String, String)>,
    /// The recovery codes.
    pub recovery: Vec<RecoveryCode>,
}

impl Store {
    /// Makes an invitation whose token has this hash, and ends the earlier ones of its person. With the token it is mailed
    /// as well.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person; [`StoreError::Invalid`] if they are not active.
    pub async fn invite(
        &self,
        new: &Invitation,
        token_hash: &str,
        by_mail: Option<&str>,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        require_active(&mut change, &new.person).await?;
        end_all(&mut change, &new.person, Ending::Replaced, event.at).await?;
        let sql = "INSERT INTO invitation (id, person, token, made, expires) VALUES ($1, $2, $3, $4, $5)";
        change.run(sql, args![new.id, new.person.as_str(), token_hash, new.made, new.expires]).await?;
        if let Some(token) = by_mail {
            let posting = Posting {
                person: &new.person,
                what: What::Invitation,
                about: new.id.to_string(),
                step: 0,
                expires: new.expires,
                secret: Some(token.as_bytes()),
            };
            mails::post(self, &mut change, posting, &event).await?;
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// The invitation whose token has this hash, whether it counts or not.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn invitation_of_token(&self, hash: &str) -> Result<Option<Invitation>, StoreError> {
        let row = self.read().await?.row("SELECT * FROM invitation WHERE token = $1", args![hash]).await?;
        row.as_ref().map(stored).transpose()
    }

    /// The invitation that a browser opened which holds what has this hash.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn invitation_of_page(&self, hash: &str) -> Result<Option<Invitation>, StoreError> {
        let row = self.read().await?.row("SELECT * FROM invitation WHERE page = $1", args![hash]).await?;
        row.as_ref().map(stored).transpose()
    }

    /// The newest invitation of a person.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn invitation_of(&self, person: &PersonId) -> Result<Option<Invitation>, StoreError> {
        let sql = "SELECT * FROM invitation WHERE person = $1 ORDER BY made DESC, id DESC LIMIT 1";
        let row = self.read().await?.row(sql, args![person.as_str()]).await?;
        row.as_ref().map(stored).transpose()
    }

    /// The seed that the page of an invitation shows.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if it was not opened; [`StoreError::Sealed`] if it does not open.
    pub async fn invitation_seed(&self, id: Uuid) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let row = self.read().await?.row("SELECT seed FROM invitation WHERE id = $1", args![id]).await?;
        let sealed = row.map(|row| row.bytes_or_none("seed")).transpose()?.flatten();
        self.unsealed(seed_context(id), &sealed.ok_or_else(|| StoreError::unknown("invitation that was opened", id))?)
    }

    /// The link was opened by the browser that holds what has this hash: it shows this seed, and no other browser goes
    /// on from here.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the invitation has ended meanwhile.
    pub async fn open_invitation(
        &self,
        id: Uuid,
        page_hash: &str,
        until: DateTime<Utc>,
        seed: &[u8],
        event: Event,
    ) -> Result<(), StoreError> {
        let sealed = self.sealed(seed_context(id), seed)?;
        let mut change = self.change().await?;
        let sql = "UPDATE invitation SET opened = COALESCE(opened, $2), page = $3, page_until = $4, seed = $5
                   WHERE id = $1 AND ended IS NULL AND expires > $2";
        if change.run(sql, args![id, event.at, page_hash, until, sealed]).await? != 1 {
            return Err(StoreError::conflict("invitation", id));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// Counts something wrong that was sent with an invitation; at `most` of them it ends.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn enrolment_failed(&self, id: Uuid, most: u32, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "UPDATE invitation SET attempts = attempts + 1 WHERE id = $1 AND ended IS NULL";
        change.run(sql, args![id]).await?;
        let sql = "UPDATE invitation SET ended = $2, ended_by = $3, seed = NULL
                   WHERE id = $1 AND ended IS NULL AND attempts >= $4";
        change.run(sql, args![id, event.at, Ending::Failed.code(), i64::from(most)]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Enrols the person: what the page of `page_hash` showed and what was brought count from here on, and nothing
    /// earlier does; carried sign-ins and those of the console end. All of it, with an event for each part, or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the invitation has ended, or its page was opened elsewhere meanwhile;
    /// [`StoreError::Exists`] if somebody else has the key; [`StoreError::Invalid`] if the person is not active.
    pub async fn enrol(
        &self,
        invitation: &Invitation,
        page_hash: &str,
        brought: &Enrolling,
        event: Event,
    ) -> Result<(), StoreError> {
        let (id, person) = (invitation.id, &invitation.person);
        // Sealed anew: to the person's own place.
        let seed = self.invitation_seed(id).await?;
        let sealed = self.sealed(super::factors::totp_context(person), &seed)?;
        let mut change = self.change().await?;
        require_active(&mut change, person).await?;
        let sql = "UPDATE invitation SET ended = $3, ended_by = $4, seed = NULL
                   WHERE id = $1 AND page = $2 AND ended IS NULL AND expires > $3 AND page_until > $3";
        if change.run(sql, args![id, page_hash, event.at, Ending::Used.code()]).await? != 1 {
            return Err(StoreError::conflict("invitation", id));
        }
        take_away(&mut change, person, event.at).await?;
        let sql = "UPDATE person SET password_hash = $2, totp_sealed = $3, totp_step = $4 WHERE id = $1";
        change.run(sql, args![person.as_str(), brought.password_hash.as_str(), sealed, brought.step]).await?;
        let part = |kind: Kind, detail| Event { kind, detail, ..event.clone() };
        let of = json!({ "invitation": id });
        change.tell(&part(Kind::PasswordSet, of.clone())).await?;
        change.tell(&part(Kind::TotpEnrol, of.clone())).await?;
        if let Some((line, fingerprint)) = &brought.key {
            insert_key(&mut change, person, line, fingerprint, event.at).await?;
            change.tell(&part(Kind::KeyAdd, json!({ "invitation": id, "key": fingerprint }))).await?;
        }
        recovery::replace(self, &mut change, person, &brought.recovery).await?;
        change.tell(&part(Kind::RecoveryCodes, json!({ "invitation": id, "codes": brought.recovery.len() }))).await?;
        change.commit(&event).await?;
        Ok(())
    }
}

/// Ends what stands of a person's invitations.
pub(super) async fn end_all(
    change: &mut Change,
    person: &PersonId,
    why: Ending,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "UPDATE invitation SET ended = $2, ended_by = $3, seed = NULL WHERE person = $1 AND ended IS NULL";
    change.run(sql, args![person.as_str(), at, why.code()]).await.map(drop)
}

async fn require_active(change: &mut Change, person: &PersonId) -> Result<(), StoreError> {
    let found = persons::find(change.read(), person).await?.ok_or_else(|| StoreError::unknown("person", person))?;
    if found.status == Status::Active {
        return Ok(());
    }
    Err(StoreError::invalid("invitation", person, "the person is switched off; switch them on again first"))
}

/// Binds a sealed seed to its invitation: elsewhere it does not open.
fn seed_context(id: Uuid) -> String {
    format!("invitation/{id}/totp")
}

fn stored(row: &Row) -> Result<Invitation, StoreError> {
    let ended = row.text_or_none("ended_by")?;
    let ended =
        ended.map(|code| Ending::of(&code).ok_or_else(|| StoreError::damaged("invitation", &code, "no ending")));
    Ok(Invitation {
        id: row.parsed("id")?,
        person: row.parsed("person")?,
        made: row.time("made")?,
        expires: row.time("expires")?,
        opened: row.time_or_none("opened")?,
        page_until: row.time_or_none("page_until")?,
        attempts: u32::try_from(row.integer("attempts")?).unwrap_or(u32::MAX),
        ended: ended.transpose()?,
    })
}
