//! The account exists on the device. Whether the work covers it is the work's rule.

use super::Judged;
use crate::facts::{Account, Facts};
use crate::reason::Reason;

pub(crate) fn exists(facts: &Facts) -> Judged<&Account> {
    let device = facts.device.as_ref().ok_or_else(Vec::new)?;
    match &facts.account {
        None => device.accounts.first().ok_or_else(|| vec![Reason::AccountMissing { device: device.id.clone() }]),
        Some(name) => device
            .accounts
            .iter()
            .find(|account| account.name == *name)
            .ok_or_else(|| vec![Reason::AccountUnknown { device: device.id.clone(), account: name.clone() }]),
    }
}
