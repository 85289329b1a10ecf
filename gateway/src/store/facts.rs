//! The facts that a decision is made from, read in one consistent state; and who may connect at all.

use super::change::Read;
use super::error::StoreError;
use super::{Store, devices, locks, persons, vendors, works};
use ipnet::IpNet;
use sekimori_policy::facts::{Demands, Factors, Facts, Person, Source, Status};
use sekimori_policy::id::{DeviceId, PersonId};
use std::collections::BTreeSet;
use std::sync::PoisonError;

/// The lists of everybody who is active: `(vendor's, person's)`, as of one event.
pub(super) struct AllowedSources {
    as_of: i64,
    lists: BTreeSet<(Vec<IpNet>, Vec<IpNet>)>,
}

impl Store {
    /// Everything that [`decide`](sekimori_policy::decide::decide) needs, read in one transaction. What is not found is
    /// absent in the facts, and denies there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if anything of it cannot be read, or the database's own failure: deny.
    pub async fn facts(
        &self,
        person: &PersonId,
        device: Option<&DeviceId>,
        account: Option<&str>,
        source: Source,
        factors: Factors,
        demands: Demands,
    ) -> Result<Facts, StoreError> {
        let mut read = self.read().await?;
        let found = persons::find(&mut read, person).await?;
        let vendor_id = found.as_ref().and_then(|person| person.vendor.as_ref());
        let (vendor, works) = match vendor_id {
            Some(id) => (vendors::find(&mut read, id).await?, works::works_of(&mut read, id).await?),
            None => (None, Vec::new()),
        };
        let device = match device {
            Some(id) => devices::find(&mut read, id).await?.map(|record| record.device),
            None => None,
        };
        Ok(Facts {
            vendor,
            works,
            device,
            account: account.map(str::to_owned),
            source,
            factors,
            attestations: locks::attestations_of(&mut read, person).await?,
            locks: locks::locks_in_force(&mut read).await?,
            demands,
            person: found,
        })
    }

    /// Whether anybody could be let in from this address: an active person (of an active vendor, or of the hospital)
    /// for whom each list that is set contains it, at least one being set. Everyone else gets no banner.
    ///
    /// The lists are read again only when an event was written since.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure: refuse.
    pub async fn source_is_allowed_by_anybody(&self, source: Source) -> Result<bool, StoreError> {
        let now = self.last_seq().await?;
        if let Some(answer) = self.allowed_as_of(now, source) {
            return Ok(answer);
        }
        // A change between the two reads makes the lists newer than `now`: they are then read once too often.
        let lists = allow_lists(&mut self.read().await?).await?;
        let answer = contains(&lists, source);
        let mut cache = self.inner.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        *cache = Some(AllowedSources { as_of: now, lists });
        Ok(answer)
    }

    /// Whether this person, were they active, may come from this address: every list that is set, of the person and of
    /// an active vendor, contains it, and one at least is set.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn source_is_allowed_for(&self, person: &Person, source: Source) -> Result<bool, StoreError> {
        let vendor_list = match &person.vendor {
            None => Vec::new(),
            Some(id) => match self.vendor(id).await? {
                Some(vendor) if vendor.status == Status::Active => vendor.sources,
                _ => return Ok(false),
            },
        };
        Ok(contains(&BTreeSet::from([(vendor_list, person.sources.clone())]), source))
    }

    fn allowed_as_of(&self, seq: i64, source: Source) -> Option<bool> {
        let cache = self.inner.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        cache.as_ref().filter(|known| known.as_of == seq).map(|known| contains(&known.lists, source))
    }
}

async fn allow_lists(read: &mut Read) -> Result<BTreeSet<(Vec<IpNet>, Vec<IpNet>)>, StoreError> {
    let vendors = vendors::all(read).await?;
    let mut lists = BTreeSet::new();
    for person in persons::all(read).await? {
        if person.status != Status::Active {
            continue;
        }
        let vendor_list = match &person.vendor {
            None => Some(Vec::new()),
            Some(id) => vendors
                .iter()
                .find(|vendor| vendor.id == *id && vendor.status == Status::Active)
                .map(|vendor| vendor.sources.clone()),
        };
        if let Some(vendor_list) = vendor_list {
            lists.insert((vendor_list, person.sources));
        }
    }
    Ok(lists)
}

fn contains(lists: &BTreeSet<(Vec<IpNet>, Vec<IpNet>)>, source: Source) -> bool {
    let address = source.address();
    let passes = |list: &[IpNet]| list.is_empty() || list.iter().any(|net| net.contains(&address));
    lists.iter().any(|(vendor, person)| !(vendor.is_empty() && person.is_empty()) && passes(vendor) && passes(person))
}
