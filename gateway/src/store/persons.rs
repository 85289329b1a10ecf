//! Persons: one human, one ID. What proves them is in `factors`.

use super::Store;
use super::change::{Read, document};
use super::db::args;
use super::error::StoreError;
use super::invitations::{self, Ending};
use super::{sign_ins, vendors};
use sekimori_audit::event::Event;
use sekimori_policy::authority::{self, Act};
use sekimori_policy::facts::{Person, Status};
use sekimori_policy::id::PersonId;

impl Store {
    /// Adds a person, without any factor yet.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Unknown`] vendor; [`StoreError::Invalid`] if a vendor's person holds
    /// hospital roles.
    pub async fn add_person(&self, person: &Person, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        if find(change.read(), &person.id).await?.is_some() {
            return Err(StoreError::exists("person", &person.id));
        }
        check(change.read(), person).await?;
        let text = document("person", &person.id, person)?;
        let vendor = person.vendor.clone().map(String::from);
        change
            .run(
                "INSERT INTO person (id, vendor, document) VALUES ($1, $2, $3)",
                args![person.id.as_str(), vendor, text],
            )
            .await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Edits a person as stored now: two edits at once both count. Returns what is stored. Whoever edits completes the
    /// event, which then tells of what was there at this very moment, and may refuse.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] person or vendor, [`StoreError::Invalid`] as for [`Store::add_person`],
    /// [`StoreError::LastAdministrator`], or the edit's own: nothing was changed.
    pub async fn update_person<E: From<StoreError>>(
        &self,
        id: &PersonId,
        mut event: Event,
        edit: impl FnOnce(&mut Person, &mut Event) -> Result<(), E> + Send,
    ) -> Result<Person, E> {
        let mut change = self.change().await?;
        let mut person = find(change.read(), id).await?.ok_or_else(|| StoreError::unknown("person", id))?;
        let administered = administers(&person);
        edit(&mut person, &mut event)?;
        person.id = id.clone();
        check(change.read(), &person).await?;
        if administered && !administers(&person) {
            another_administrator(change.read(), id).await?;
        }
        let text = document("person", id, &person)?;
        let vendor = person.vendor.clone().map(String::from);
        change
            .run("UPDATE person SET vendor = $2, document = $3 WHERE id = $1", args![id.as_str(), vendor, text])
            .await?;
        if person.status != Status::Active {
            // What was proved before does not count again when they are back.
            sign_ins::revoke_all(&mut change, id, event.at).await?;
            invitations::end_all(&mut change, id, Ending::TakenBack, event.at).await?;
        }
        change.commit(&event).await?;
        Ok(person)
    }

    /// One person.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        find(&mut self.read().await?, id).await
    }

    /// Every person, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn persons(&self) -> Result<Vec<Person>, StoreError> {
        all(&mut self.read().await?).await
    }
}

pub(super) async fn find(read: &mut Read, id: &PersonId) -> Result<Option<Person>, StoreError> {
    let row = read.row("SELECT id, document FROM person WHERE id = $1", args![id.as_str()]).await?;
    row.map(|row| row.document("person", "document")).transpose()
}

pub(super) async fn all(read: &mut Read) -> Result<Vec<Person>, StoreError> {
    let rows = read.rows("SELECT id, document FROM person ORDER BY id", Vec::new()).await?;
    rows.iter().map(|row| row.document("person", "document")).collect()
}

fn administers(person: &Person) -> bool {
    authority::may(person, Act::ManagePeople).is_ok()
}

/// With nobody left who manages people, nobody could ever be given a role again.
async fn another_administrator(read: &mut Read, id: &PersonId) -> Result<(), StoreError> {
    let others = all(read).await?;
    match others.iter().any(|other| other.id != *id && administers(other)) {
        true => Ok(()),
        false => Err(StoreError::LastAdministrator { person: id.to_string() }),
    }
}

async fn check(read: &mut Read, person: &Person) -> Result<(), StoreError> {
    if let Some(vendor) = &person.vendor
        && vendors::find(read, vendor).await?.is_none()
    {
        return Err(StoreError::unknown("vendor", vendor));
    }
    authority::check_person(person).map_err(|refusal| StoreError::invalid("person", &person.id, refusal))
}
