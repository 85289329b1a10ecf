//! The person is known, active, and belongs to a vendor alone.

use super::Judged;
use crate::facts::{Facts, Person, Status};
use crate::id::VendorId;
use crate::reason::Reason;

/// An active person of a vendor.
pub(crate) struct VendorPerson<'a> {
    pub(crate) person: &'a Person,
    pub(crate) vendor: &'a VendorId,
}

pub(crate) fn active(facts: &Facts) -> Judged<VendorPerson<'_>> {
    let person = facts.person.as_ref().ok_or_else(|| vec![Reason::PersonUnknown])?;
    let id = || person.id.clone();
    let mut reasons = Vec::new();
    if person.status != Status::Active {
        reasons.push(Reason::PersonInactive { person: id(), status: person.status });
    }
    match &person.vendor {
        None => reasons.push(Reason::HospitalStaff { person: id() }),
        Some(_) if !person.roles.is_empty() => reasons.push(Reason::RolesMixed { person: id() }),
        Some(vendor) if reasons.is_empty() => return Ok(VendorPerson { person, vendor }),
        Some(_) => {}
    }
    Err(reasons)
}
