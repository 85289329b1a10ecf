//! Pieces of work (作業). Their life is `sekimori_policy::work`'s; here they are kept, each step once.

use super::Store;
use super::change::{Change, Read, document};
use super::db::{Arg, args};
use super::error::StoreError;
use super::{devices, factors, mails, vendors};
use sekimori_audit::event::Event;
use sekimori_policy::id::{VendorId, WorkId};
use sekimori_policy::work::{Stage, Work};

impl Store {
    /// Adds a piece of work.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Unknown`] vendor, device or person that it names.
    pub async fn add_work(&self, work: &Work, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        if find(change.read(), work.id()).await?.is_some() {
            return Err(StoreError::exists("work", work.id()));
        }
        require_named(&mut change, work).await?;
        let sql = "INSERT INTO work (id, vendor, document, stage, unreviewed, opens, closes) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        change.run(sql, columns(work)?).await?;
        mails::post_step(self, &mut change, work, &event).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Writes the state of a piece of work that follows from the state it was read in.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not stored as `before` any more: read it again and apply the transition to
    /// that. [`StoreError::Unknown`] work, or vendor, device or person that it names.
    pub async fn update_work(&self, before: &Work, after: &Work, event: Event) -> Result<(), StoreError> {
        let id = after.id();
        let mut change = self.change().await?;
        let stored = find(change.read(), id).await?.ok_or_else(|| StoreError::unknown("work", id))?;
        if stored != *before {
            return Err(StoreError::conflict("work", id));
        }
        write(&mut change, after).await?;
        mails::post_step(self, &mut change, after, &event).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Applies a transition to a piece of work as stored now: of many at once none is lost. One that changes nothing is
    /// no event. `Err` inside: what the transition said; `None` inside: there is no such work.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn transit_work<E: Send>(
        &self,
        id: &WorkId,
        event: Event,
        transit: impl FnOnce(&Work) -> Result<Work, E> + Send,
    ) -> Result<Option<Result<(), E>>, StoreError> {
        let mut change = self.change().await?;
        let Some(before) = find(change.read(), id).await? else { return Ok(None) };
        let after = match transit(&before) {
            Ok(after) => after,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        if after != before {
            write(&mut change, &after).await?;
            mails::post_step(self, &mut change, &after, &event).await?;
            change.commit(&event).await?;
        }
        Ok(Some(Ok(())))
    }

    /// One piece of work.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn work(&self, id: &WorkId) -> Result<Option<Work>, StoreError> {
        find(&mut self.read().await?, id).await
    }

    /// Every piece of work, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works(&self) -> Result<Vec<Work>, StoreError> {
        all(&mut self.read().await?).await
    }

    /// Every piece of work of one vendor, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn works_of_vendor(&self, vendor: &VendorId) -> Result<Vec<Work>, StoreError> {
        works_of(&mut self.read().await?, vendor).await
    }
}

async fn write(change: &mut Change, work: &Work) -> Result<(), StoreError> {
    require_named(change, work).await?;
    let sql = "UPDATE work SET vendor = $2, document = $3, stage = $4, unreviewed = $5, opens = $6, closes = $7 WHERE id = $1";
    change.run(sql, columns(work)?).await?;
    Ok(())
}

/// The row: the document, and what lists are narrowed by.
fn columns(work: &Work) -> Result<Vec<Arg>, StoreError> {
    let text = document("work", work.id(), work)?;
    let stage = match work.stage() {
        Stage::Draft => "draft",
        Stage::Requested => "requested",
        Stage::Rejected { .. } => "rejected",
        Stage::Approved { .. } => "approved",
        // Cut off, it waits for its approval all the same.
        Stage::Emergency { .. } | Stage::CutOff { awaiting: Some(_), .. } => "emergency",
        Stage::CutOff { awaiting: None, .. } => "cut_off",
        Stage::Withdrawn { .. } => "withdrawn",
    };
    let unreviewed = work.rounds().iter().any(|round| round.review().is_none());
    let opens = work.request().window.occurrences().first().map(|first| first.from);
    Ok(args![work.id().as_str(), work.vendor().as_str(), text, stage, unreviewed, opens, work.last_end()])
}

pub(super) async fn all(read: &mut Read) -> Result<Vec<Work>, StoreError> {
    let rows = read.rows("SELECT id, document FROM work ORDER BY id", Vec::new()).await?;
    rows.iter().map(|row| row.document("work", "document")).collect()
}

pub(super) async fn works_of(read: &mut Read, vendor: &VendorId) -> Result<Vec<Work>, StoreError> {
    let rows = read.rows("SELECT id, document FROM work WHERE vendor = $1 ORDER BY id", args![vendor.as_str()]).await?;
    rows.iter().map(|row| row.document("work", "document")).collect()
}

pub(super) async fn find(read: &mut Read, id: &WorkId) -> Result<Option<Work>, StoreError> {
    let row = read.row("SELECT id, document FROM work WHERE id = $1", args![id.as_str()]).await?;
    row.map(|row| row.document("work", "document")).transpose()
}

/// Whatever a piece of work names must be there: a typing error is told at the request, not at the window.
async fn require_named(change: &mut Change, work: &Work) -> Result<(), StoreError> {
    if vendors::find(change.read(), work.vendor()).await?.is_none() {
        return Err(StoreError::unknown("vendor", work.vendor()));
    }
    for device in &work.request().devices {
        devices::require_device(change, device).await?;
    }
    for person in &work.request().persons {
        factors::require_person(change, person).await?;
    }
    Ok(())
}
