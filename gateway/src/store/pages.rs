//! Reading a page at a time: what the console lists has no bound, and a view must not grow with it. Each page is found
//! through an index, and the next one begins where the last ended.

use super::Store;
use super::change::Read;
use super::db::{Arg, args};
use super::devices::{self, DeviceRecord};
use super::error::StoreError;
use super::sessions::{self, SessionRow};
use chrono::{DateTime, Utc};
use sekimori_policy::facts::{Period, Person};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use sekimori_policy::work::Work;

/// Which page of the sessions; what is not set does not narrow.
#[derive(Debug, Clone, Default)]
pub struct SessionPage {
    /// Of this person.
    pub person: Option<PersonId>,
    /// On this device.
    pub device: Option<DeviceId>,
    /// Of this vendor.
    pub vendor: Option<VendorId>,
    /// Opened before this.
    pub before: Option<DateTime<Utc>>,
    /// At most so many, the newest first.
    pub limit: u32,
}

impl Store {
    /// Pieces of work that wait for a decision: emergency access to be approved after the fact, then requests.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works_to_decide(&self, limit: u32) -> Result<Vec<Work>, StoreError> {
        let sql = "SELECT id, document FROM work WHERE stage IN ('requested', 'emergency') ORDER BY stage, id LIMIT $1";
        works(&mut self.read().await?, sql, args![i64::from(limit)]).await
    }

    /// Pieces of work that are asked for or granted and may open within `span`, of one vendor or of all. Which of them do
    /// is their windows' to say: recurring ones may pause.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works_within(
        &self,
        vendor: Option<&VendorId>,
        span: Period,
        limit: u32,
    ) -> Result<Vec<Work>, StoreError> {
        let sql = "SELECT id, document FROM work WHERE (closes > $1 OR closes IS NULL) AND (opens < $2 OR opens IS NULL) \
                   AND ($3 = '' OR vendor = $3) AND stage IN ('requested', 'approved', 'emergency') ORDER BY id LIMIT $4";
        let vendor = vendor.map(VendorId::as_str).unwrap_or_default();
        works(&mut self.read().await?, sql, args![span.from, span.until, vendor, i64::from(limit)]).await
    }

    /// Pieces of work with a round that lacks its review, be it that it is still under way.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works_to_review(&self, limit: u32) -> Result<Vec<Work>, StoreError> {
        let sql = "SELECT id, document FROM work WHERE unreviewed = 1 ORDER BY id LIMIT $1";
        works(&mut self.read().await?, sql, args![i64::from(limit)]).await
    }

    /// Pieces of work, of one vendor or of all, the highest ids first: those below `before`, if it is given.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works_page(
        &self,
        vendor: Option<&VendorId>,
        before: Option<&WorkId>,
        limit: u32,
    ) -> Result<Vec<Work>, StoreError> {
        // `~` sorts behind every character of an id.
        let below = before.map_or_else(|| "~".to_owned(), ToString::to_string);
        let mut read = self.read().await?;
        match vendor {
            None => {
                let sql = "SELECT id, document FROM work WHERE id < $1 ORDER BY id DESC LIMIT $2";
                works(&mut read, sql, args![below, i64::from(limit)]).await
            }
            Some(vendor) => {
                let sql = "SELECT id, document FROM work WHERE vendor = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
                works(&mut read, sql, args![vendor.as_str(), below, i64::from(limit)]).await
            }
        }
    }

    /// The ids of pieces of work that begin like this.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn work_ids(&self, beginning: &str) -> Result<Vec<WorkId>, StoreError> {
        let sql = "SELECT id FROM work WHERE id >= $1 AND id < $2";
        let values = args![beginning, format!("{beginning}~")];
        self.read().await?.rows(sql, values).await?.iter().map(|row| row.parsed("id")).collect()
    }

    /// The sessions that live, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn live_sessions(&self, limit: u32) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT * FROM session WHERE closed IS NULL ORDER BY opened DESC LIMIT $1";
        sessions::stored(&self.read().await?.rows(sql, args![i64::from(limit)]).await?)
    }

    /// A page of all sessions.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn session_page(&self, page: &SessionPage) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT * FROM session WHERE opened < $4
                   AND ($1 IS NULL OR person = $1) AND ($2 IS NULL OR device = $2) AND ($3 IS NULL OR vendor = $3)
                   ORDER BY opened DESC, id DESC LIMIT $5";
        let values = args![
            page.person.clone().map(String::from),
            page.device.clone().map(String::from),
            page.vendor.clone().map(String::from),
            page.before.map_or(i64::MAX, |at| at.timestamp_micros()),
            i64::from(page.limit),
        ];
        sessions::stored(&self.read().await?.rows(sql, values).await?)
    }

    /// The sessions of a piece of work that opened in this time, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn sessions_of_work(
        &self,
        work: &WorkId,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT * FROM session WHERE work = $1 AND opened >= $2 AND opened < $3 ORDER BY opened, id LIMIT $4";
        let values = args![work.as_str(), from, until, i64::from(limit)];
        sessions::stored(&self.read().await?.rows(sql, values).await?)
    }

    /// Persons, by id, those behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn person_page(&self, after: &str, limit: u32) -> Result<Vec<Person>, StoreError> {
        let sql = "SELECT id, document FROM person WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.read().await?.rows(sql, args![after, i64::from(limit)]).await?;
        rows.iter().map(|row| row.document("person", "document")).collect()
    }

    /// A vendor's people, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn persons_of_vendor(&self, vendor: &VendorId) -> Result<Vec<Person>, StoreError> {
        let sql = "SELECT id, document FROM person WHERE vendor = $1 ORDER BY id";
        let rows = self.read().await?.rows(sql, args![vendor.as_str()]).await?;
        rows.iter().map(|row| row.document("person", "document")).collect()
    }

    /// Devices, by id, those behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn device_page(&self, after: &str, limit: u32) -> Result<Vec<DeviceRecord>, StoreError> {
        let sql = "SELECT id, name, host, port, document, ledger FROM device WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.read().await?.rows(sql, args![after, i64::from(limit)]).await?;
        rows.iter().map(devices::record).collect()
    }
}

async fn works(read: &mut Read, sql: &'static str, values: Vec<Arg>) -> Result<Vec<Work>, StoreError> {
    read.rows(sql, values).await?.iter().map(|row| row.document("work", "document")).collect()
}
