//! Sessions: opened before the device is dialled, asked to be cut, closed with the reason.

use super::Store;
use super::attending::Pause;
use super::change::{Change, Read, document};
use super::db::{Row, args};
use super::error::StoreError;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::{Method, Source};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use uuid::Uuid;

/// What is known when a session opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// Its id.
    pub id: Uuid,
    /// Who.
    pub person: PersonId,
    /// Of which vendor.
    pub vendor: VendorId,
    /// To what.
    pub device: DeviceId,
    /// As which account of the device.
    pub account: String,
    /// Whether several people share that account (共用).
    pub shared: bool,
    /// For which piece of work.
    pub work: WorkId,
    /// Where from.
    pub source: Source,
    /// The sign-in that it stands on.
    pub sign_in: Uuid,
    /// What was proved.
    pub methods: BTreeSet<Method>,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// When the permit ended, as of the opening.
    pub until: DateTime<Utc>,
    /// The gateway that serves it: a name that stays the same when the gateway starts again.
    pub instance: String,
}

/// What went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes from the person to the device.
    pub to_device_bytes: u64,
    /// Bytes from the device to the person.
    pub from_device_bytes: u64,
    /// Channels opened.
    pub channels: u32,
    /// Files transferred.
    pub transfers: u32,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closing {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, as a stable code.
    pub code: String,
    /// Why, as a sentence.
    pub reason: String,
    /// What went through.
    pub counts: Counts,
}

/// A cut that was asked for and is to be carried out by the gateway that serves the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutRequest {
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Who asked: a person's id, or the system user's name.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// One session as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionRow {
    /// How it began.
    #[serde(flatten)]
    pub opening: Opening,
    /// The cut that was asked for, if any.
    pub cut: Option<CutRequest>,
    /// Why it is paused, if it is.
    pub pause: Option<Pause>,
    /// How it ended; `None` while it lives.
    pub closing: Option<Closing>,
    /// When the bytes of its recording were removed (廃棄), if they were.
    pub purged: Option<DateTime<Utc>>,
}

/// Which live sessions a cut is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cutting {
    /// One.
    Session(Uuid),
    /// A person's.
    Person(PersonId),
    /// A vendor's.
    Vendor(VendorId),
    /// All on a device.
    Device(DeviceId),
    /// Every one.
    Everyone,
}

/// Which sessions to list; what is not set does not narrow.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only those that live.
    pub live: bool,
    /// Of this person.
    pub person: Option<PersonId>,
    /// On this device.
    pub device: Option<DeviceId>,
    /// Of this vendor.
    pub vendor: Option<VendorId>,
    /// Opened at or after this.
    pub since: Option<DateTime<Utc>>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

impl SessionFilter {
    /// Whether it is one of them, but for their number.
    #[must_use]
    pub fn fits(&self, row: &SessionRow) -> bool {
        let SessionRow { opening, closing, .. } = row;
        self.person.as_ref().is_none_or(|person| *person == opening.person)
            && self.device.as_ref().is_none_or(|device| *device == opening.device)
            && self.vendor.as_ref().is_none_or(|vendor| *vendor == opening.vendor)
            && self.since.is_none_or(|since| since <= opening.opened)
            && !(self.live && closing.is_some())
    }
}

impl Store {
    /// Writes that a session opens: durable when this returns, so before the device is dialled.
    ///
    /// # Errors
    /// The database's own failure, as when the person, device, work or sign-in is not there: do not dial.
    pub async fn open_session(&self, opening: &Opening, event: Event) -> Result<(), StoreError> {
        let methods = document("session", opening.id, &opening.methods)?;
        let mut change = self.change().await?;
        let sql = "INSERT INTO session (id, person, vendor, device, account, shared, work, source, sign_in, methods,
                   opened, until, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let values = args![
            opening.id,
            opening.person.as_str(),
            opening.vendor.as_str(),
            opening.device.as_str(),
            opening.account.clone(),
            opening.shared,
            opening.work.as_str(),
            opening.source.to_string(),
            opening.sign_in,
            methods,
            opening.opened,
            opening.until,
            opening.instance.clone(),
        ];
        change.run(sql, values).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Writes how a session ended. The first word counts.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no session of that id lives.
    pub async fn close_session(&self, id: Uuid, closing: &Closing, event: Event) -> Result<(), StoreError> {
        let counts = document("session", id, &closing.counts)?;
        let mut change = self.change().await?;
        let sql = "UPDATE session SET closed = $2, close_code = $3, close_reason = $4, counts = $5
                   WHERE id = $1 AND closed IS NULL";
        let values = args![id, closing.at, closing.code.clone(), closing.reason.clone(), counts];
        if change.run(sql, values).await? != 1 {
            return Err(StoreError::unknown("live session", id));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// Asks the serving gateways to cut sessions, and returns which: one event for each, which names it; or the event
    /// as it stands, if none lives. A cut that was asked for before keeps its first reason.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn ask_cut(&self, which: &Cutting, reason: &str, event: Event) -> Result<Vec<Uuid>, StoreError> {
        let by = doer(&event);
        let mut change = self.change().await?;
        let live = live_of(change.read(), which).await?;
        let sql = "UPDATE session SET cut_requested = $2, cut_by = $3, cut_reason = $4
                   WHERE id = $1 AND cut_requested IS NULL";
        let mut told = Vec::new();
        for row in &live {
            change.run(sql, args![row.opening.id, event.at, by.clone(), reason]).await?;
            told.push(of_session(row, &event));
        }
        commit_all(change, told, event).await?;
        Ok(live.into_iter().map(|row| row.opening.id).collect())
    }

    /// The live sessions of one gateway whose cut was asked for.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn cut_requests(&self, instance: &str) -> Result<Vec<(Uuid, CutRequest)>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM session WHERE instance = $1 AND closed IS NULL AND cut_requested IS NOT NULL
                   ORDER BY cut_requested, id";
        let rows = stored(&read.rows(sql, args![instance]).await?)?;
        Ok(rows.into_iter().filter_map(|row| row.cut.map(|cut| (row.opening.id, cut))).collect())
    }

    /// The sessions that a gateway left open when it ended without closing them, oldest first. It closes them when it
    /// starts again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sessions_left_open_by(&self, instance: &str) -> Result<Vec<SessionRow>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT * FROM session WHERE instance = $1 AND closed IS NULL ORDER BY opened, id";
        stored(&read.rows(sql, args![instance]).await?)
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
        list(&mut self.read().await?, filter).await
    }

    /// The session that an id, or the beginning of one, names.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Ambiguous`].
    pub async fn session(&self, id_or_beginning: &str) -> Result<SessionRow, StoreError> {
        let text = id_or_beginning.to_ascii_lowercase();
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(StoreError::Ambiguous { text: id_or_beginning.chars().take(80).collect() });
        }
        let mut read = self.read().await?;
        // `~` sorts behind every character of an id.
        let sql = "SELECT * FROM session WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 2";
        let mut found = stored(&read.rows(sql, args![text.clone(), format!("{text}~")]).await?)?;
        match (found.pop(), found.is_empty()) {
            (Some(row), true) => Ok(row),
            (None, _) => Err(StoreError::unknown("session", text)),
            (Some(_), false) => Err(StoreError::Ambiguous { text }),
        }
    }
}

pub(super) async fn list(read: &mut Read, filter: &SessionFilter) -> Result<Vec<SessionRow>, StoreError> {
    let sql = "SELECT * FROM session
               WHERE ($1 IS NULL OR person = $1) AND ($2 IS NULL OR device = $2) AND ($3 IS NULL OR vendor = $3)
               AND ($4 IS NULL OR opened >= $4) AND ($5 = 0 OR closed IS NULL)
               ORDER BY opened DESC, id DESC LIMIT $6";
    let values = args![
        filter.person.clone().map(String::from),
        filter.device.clone().map(String::from),
        filter.vendor.clone().map(String::from),
        filter.since,
        filter.live,
        i64::from(filter.limit.unwrap_or(u32::MAX)),
    ];
    stored(&read.rows(sql, values).await?)
}

async fn live_of(read: &mut Read, which: &Cutting) -> Result<Vec<SessionRow>, StoreError> {
    let mut narrow = [None, None, None, None];
    let [session, person, vendor, device] = &mut narrow;
    match which {
        Cutting::Session(id) => *session = Some(id.to_string()),
        Cutting::Person(id) => *person = Some(id.to_string()),
        Cutting::Vendor(id) => *vendor = Some(id.to_string()),
        Cutting::Device(id) => *device = Some(id.to_string()),
        Cutting::Everyone => {}
    }
    let [session, person, vendor, device] = narrow;
    let sql = "SELECT * FROM session WHERE closed IS NULL AND ($1 IS NULL OR id = $1) AND ($2 IS NULL OR person = $2)
               AND ($3 IS NULL OR vendor = $3) AND ($4 IS NULL OR device = $4) ORDER BY opened, id";
    stored(&read.rows(sql, args![session, person, vendor, device]).await?)
}

/// The event, as one of this session.
pub(super) fn of_session(row: &SessionRow, event: &Event) -> Event {
    Event {
        session: Some(row.opening.id),
        person: Some(row.opening.person.clone()),
        vendor: Some(row.opening.vendor.clone()),
        device: Some(row.opening.device.clone()),
        work: Some(row.opening.work.clone()),
        ..event.clone()
    }
}

/// Who did it, as it is kept beside what was done: a person's id, or the system user's name.
pub(super) fn doer(act: &Event) -> String {
    let person = act.actor.person.as_ref().map(ToString::to_string);
    person.or_else(|| act.actor.system_user.clone()).unwrap_or_else(|| "sekimori".to_owned())
}

/// Commits with one event of each session, or with the act's own where it met none.
async fn commit_all(mut change: Change, mut events: Vec<Event>, act: Event) -> Result<(), StoreError> {
    let last = events.pop().unwrap_or(act);
    for event in &events {
        change.tell(event).await?;
    }
    change.commit(&last).await?;
    Ok(())
}

pub(super) fn stored(rows: &[Row]) -> Result<Vec<SessionRow>, StoreError> {
    let session = |row: &Row| {
        let (opening, cut, closing) = (opening(row)?, cut(row)?, closing(row)?);
        let (pause, purged) = (Pause::of(row)?, row.time_or_none("purged")?);
        Ok(SessionRow { opening, cut, pause, closing, purged })
    };
    rows.iter().map(session).collect()
}

fn opening(row: &Row) -> Result<Opening, StoreError> {
    Ok(Opening {
        id: row.parsed("id")?,
        person: row.parsed("person")?,
        vendor: row.parsed("vendor")?,
        device: row.parsed("device")?,
        account: row.text("account")?,
        shared: row.integer("shared")? != 0,
        work: row.parsed("work")?,
        source: Source::from(row.parsed::<IpAddr>("source")?),
        sign_in: row.parsed("sign_in")?,
        methods: row.document("session", "methods")?,
        opened: row.time("opened")?,
        until: row.time("until")?,
        instance: row.text("instance")?,
    })
}

fn cut(row: &Row) -> Result<Option<CutRequest>, StoreError> {
    let Some(at) = row.time_or_none("cut_requested")? else { return Ok(None) };
    Ok(Some(CutRequest { at, by: row.text("cut_by")?, reason: row.text("cut_reason")? }))
}

fn closing(row: &Row) -> Result<Option<Closing>, StoreError> {
    let Some(at) = row.time_or_none("closed")? else { return Ok(None) };
    let counts = row.document("session", "counts")?;
    Ok(Some(Closing { at, code: row.text("close_code")?, reason: row.text("close_reason")?, counts }))
}
