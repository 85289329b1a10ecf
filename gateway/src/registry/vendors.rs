//! Acts on vendors (事業者).

use super::typed::{ENTRIES, LINE, line, name};
use super::{Flaw, Problem, RegistryFault, Switch, sound, unchanged};
use crate::store::{Store, StoreError};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::{Act, may};
use sekimori_policy::facts::{Person, Vendor};
use sekimori_policy::id::VendorId;
use serde_json::json;

/// Adds a vendor. The event names actor and source; the rest is filled in.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field.
pub async fn add(store: &Store, by: &Person, vendor: &Vendor, event: Event) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageVendors)?;
    sound(flaws(vendor))?;
    let detail = json!({ "vendor": vendor });
    let event = Event { kind: Kind::VendorAdd, vendor: Some(vendor.id.clone()), detail, ..event };
    match store.add_vendor(vendor, event).await {
        Err(StoreError::Exists { id, .. }) => sound(vec![Flaw::new("id", Problem::Taken(id))]),
        other => Ok(other?),
    }
}

/// Changes what is said of a vendor; its status has acts of its own.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field; [`RegistryFault::Changed`] where it is not what was `seen` any more.
pub async fn change(
    store: &Store,
    by: &Person,
    id: &VendorId,
    seen: Option<&str>,
    event: Event,
    edit: impl FnOnce(&mut Vendor) + Send,
) -> Result<Vendor, RegistryFault> {
    let _authority = may(by, Act::ManageVendors)?;
    let event = Event { kind: Kind::VendorChange, vendor: Some(id.clone()), ..event };
    let changing = |vendor: &mut Vendor, event: &mut Event| {
        unchanged(id, vendor, seen)?;
        let before = vendor.clone();
        edit(vendor);
        sound(flaws(vendor))?;
        event.detail = json!({ "change": "change", "before": before, "after": vendor });
        Ok(())
    };
    store.update_vendor(id, event, changing).await
}

/// Suspends, resumes or retires a vendor.
///
/// # Errors
/// As [`change`].
pub async fn switch(
    store: &Store,
    by: &Person,
    id: &VendorId,
    (to, reason): (Switch, &str),
    event: Event,
) -> Result<Vendor, RegistryFault> {
    let _authority = may(by, Act::ManageVendors)?;
    sound(line("reason", reason, LINE).into_iter().collect())?;
    let event = Event { kind: Kind::VendorChange, vendor: Some(id.clone()), ..event };
    let switching = |vendor: &mut Vendor, event: &mut Event| {
        to.check(id, vendor.status)?;
        let before = vendor.clone();
        vendor.status = to.status();
        event.detail = json!({ "change": to.code(), "reason": reason, "before": before, "after": vendor });
        Ok(())
    };
    store.update_vendor(id, event, switching).await
}

/// What is wrong with a vendor as it would be kept.
fn flaws(vendor: &Vendor) -> Vec<Flaw> {
    let many = (vendor.sources.len() > ENTRIES).then(|| Flaw::new("sources", Problem::TooMany { most: ENTRIES }));
    let backwards = vendor.contract.is_some_and(|contract| contract.until <= contract.from);
    let backwards = backwards.then(|| Flaw::new("contract_until", Problem::ContractBackwards));
    let texts = [
        name("name", &vendor.name),
        line("responsible", &vendor.responsible, LINE),
        line("psirt", &vendor.psirt, LINE),
    ];
    texts.into_iter().chain([many, backwards]).flatten().collect()
}
