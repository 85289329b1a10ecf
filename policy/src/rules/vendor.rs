//! The person's vendor is known, active, and under contract now.

use super::Judged;
use crate::facts::{Facts, Status};
use crate::reason::{Reason, shown};
use chrono::{DateTime, Utc};

/// A vendor under contract until then.
pub(crate) struct Contract {
    pub(crate) until: DateTime<Utc>,
}

pub(crate) fn under_contract(facts: &Facts, now: DateTime<Utc>) -> Judged<Contract> {
    let id = facts.person.as_ref().and_then(|person| person.vendor.as_ref()).ok_or_else(Vec::new)?;
    // A vendor that is not the person's own says nothing about this person.
    let vendor = facts.vendor.as_ref().filter(|vendor| vendor.id == *id);
    let vendor = vendor.ok_or_else(|| vec![Reason::VendorUnknown { vendor: id.clone() }])?;

    let zone = facts.demands.zone;
    let mut reasons = Vec::new();
    if vendor.status != Status::Active {
        reasons.push(Reason::VendorInactive { vendor: id.clone(), status: vendor.status });
    }
    match vendor.contract {
        None => reasons.push(Reason::ContractMissing { vendor: id.clone() }),
        Some(contract) if now < contract.from => {
            reasons.push(Reason::ContractNotBegun { vendor: id.clone(), from: shown(contract.from, zone) });
        }
        Some(contract) if !contract.contains(now) => {
            reasons.push(Reason::ContractEnded { vendor: id.clone(), until: shown(contract.until, zone) });
        }
        Some(contract) if reasons.is_empty() => return Ok(Contract { until: contract.until }),
        Some(_) => {}
    }
    Err(reasons)
}
