//! What is overdue of a piece of work, told once: by an event, and by mail to those whom it concerns.

use super::Store;
use super::db::args;
use super::error::StoreError;
use super::mails;
use super::works;
use chrono::{DateTime, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::id::WorkId;
use sekimori_policy::notice::Notice;
use sekimori_policy::work::Work;
use serde_json::json;

impl Store {
    /// Tells of everything that is overdue and was not told of yet; returns how much that was.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn tell_overdue(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let mut told = 0;
        for id in self.owing().await? {
            told += self.tell_overdue_of(&id, now).await?;
        }
        Ok(told)
    }

    /// The work that a review or an approval is owed to, due or not.
    async fn owing(&self) -> Result<Vec<WorkId>, StoreError> {
        let sql = "SELECT id FROM work WHERE unreviewed = 1 OR stage = 'emergency' ORDER BY id";
        let rows = self.read().await?.rows(sql, Vec::new()).await?;
        rows.iter().map(|row| row.parsed("id")).collect()
    }

    async fn tell_overdue_of(&self, id: &WorkId, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let known = works::find(&mut self.read().await?, id).await?;
        // Most is in time: nobody who writes waits for what is only read.
        if known.is_none_or(|work| Notice::overdue(&work, now).is_empty()) {
            return Ok(0);
        }
        let mut change = self.change().await?;
        let Some(work) = works::find(change.read(), id).await? else { return Ok(0) };
        let mut last: Option<Event> = None;
        let mut told = 0;
        for (notice, due) in Notice::overdue(&work, now) {
            let sql = "INSERT INTO overdue_told (work, what, due) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            if change.run(sql, args![id.as_str(), notice.code(), due]).await? == 0 {
                continue;
            }
            if let Some(earlier) = last.take() {
                change.tell(&earlier).await?;
            }
            let event = overdue(&work, notice, due, now);
            mails::post_notice(self, &mut change, &work, notice, &event).await?;
            last = Some(event);
            told += 1;
        }
        if let Some(event) = last {
            change.commit(&event).await?;
        }
        Ok(told)
    }
}

fn overdue(work: &Work, notice: Notice, due: DateTime<Utc>, now: DateTime<Utc>) -> Event {
    Event {
        work: Some(work.id().clone()),
        vendor: Some(work.vendor().clone()),
        detail: json!({ "what": notice.code(), "due": due }),
        ..Event::new(now, Kind::WorkOverdue, Actor::gateway())
    }
}
