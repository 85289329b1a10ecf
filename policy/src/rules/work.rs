//! An approved piece of work (or open emergency access) names this person, this device and account, and its window
//! contains now.

use super::Judged;
use crate::facts::{Account, Channel, Device, Facts, Period, Person};
use crate::reason::{Reason, shown};
use crate::work::{Stage, Work};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// Work that permits now.
pub(crate) struct Permitting<'a> {
    pub(crate) work: &'a Work,
    pub(crate) occurrence: Period,
    pub(crate) channels: BTreeSet<Channel>,
    /// Until when emergency access waits for its approval.
    pub(crate) deadline: Option<DateTime<Utc>>,
}

/// Every piece of work that permits, at least one; otherwise why none does.
pub(crate) fn permitting<'a>(
    facts: &'a Facts,
    account: Option<&Account>,
    now: DateTime<Utc>,
) -> Judged<Vec<Permitting<'a>>> {
    let (Some(person), Some(device)) = (&facts.person, &facts.device) else { return Err(Vec::new()) };
    let vendor = person.vendor.as_ref().ok_or_else(Vec::new)?;
    let vendors: Vec<&Work> = facts.works.iter().filter(|work| work.vendor() == vendor).collect();
    let (named, others): (Vec<&Work>, Vec<&Work>) =
        vendors.into_iter().partition(|work| names_person(work, person) && names_device(work, device));
    if named.is_empty() {
        return Err(not_named(&others, person, device, now));
    }
    let mut permitting = Vec::new();
    let mut reasons = Vec::new();
    for work in worth_naming(named, now) {
        match permits(work, device, account, now) {
            Ok(permit) => permitting.push(permit),
            Err(found) => reasons.extend(found),
        }
    }
    if permitting.is_empty() { Err(reasons) } else { Ok(permitting) }
}

fn names_person(work: &Work, person: &Person) -> bool {
    work.request().persons.contains(&person.id)
}

fn names_device(work: &Work, device: &Device) -> bool {
    work.request().devices.contains(&device.id)
}

/// Work that is over would bury the reason that matters; where all is over, the last is named.
fn worth_naming(works: Vec<&Work>, now: DateTime<Utc>) -> Vec<&Work> {
    let (current, over): (Vec<&Work>, Vec<&Work>) = works.into_iter().partition(|work| now < work.last_end());
    if current.is_empty() { over.into_iter().max_by_key(|work| work.last_end()).into_iter().collect() } else { current }
}

/// Open work that names one of the two says most; otherwise there simply is no work.
fn not_named(works: &[&Work], person: &Person, device: &Device, now: DateTime<Utc>) -> Vec<Reason> {
    let open = |work: &&&Work| granted(work, now).is_ok() && work.occurrence_containing(now).is_some();
    let mut reasons: Vec<Reason> = works
        .iter()
        .filter(open)
        .filter_map(|work| {
            let id = || work.id().clone();
            if names_device(work, device) {
                Some(Reason::PersonNotNamed { work: id(), person: person.id.clone() })
            } else if names_person(work, person) {
                Some(Reason::DeviceNotNamed { work: id(), device: device.id.clone() })
            } else {
                None
            }
        })
        .collect();
    if reasons.is_empty() {
        reasons.push(Reason::WorkMissing { person: person.id.clone(), device: device.id.clone() });
    }
    reasons
}

fn permits<'a>(
    work: &'a Work,
    device: &Device,
    account: Option<&Account>,
    now: DateTime<Utc>,
) -> Judged<Permitting<'a>> {
    let mut reasons = Vec::new();
    let deadline = granted(work, now).unwrap_or_else(|reason| {
        reasons.push(reason);
        None
    });
    let occurrence = open(work, now).map_err(|reason| reasons.push(reason)).ok();
    if let Some(account) = account.filter(|account| !covers(work, account)) {
        reasons.push(Reason::AccountNotNamed { work: work.id().clone(), account: account.name.clone() });
    }
    let asked = &work.request().channels;
    let channels: BTreeSet<Channel> = asked.intersection(&device.channels).copied().collect();
    if channels.is_empty() {
        reasons.push(Reason::ChannelsDisjoint { work: work.id().clone(), asked: asked.clone() });
    }
    match occurrence {
        Some(occurrence) if reasons.is_empty() => Ok(Permitting { work, occurrence, channels, deadline }),
        _ => Err(reasons),
    }
}

fn covers(work: &Work, account: &Account) -> bool {
    work.request().accounts.as_ref().is_none_or(|accounts| accounts.contains(&account.name))
}

/// Whether the hospital consented; with the deadline, where that is still to be approved.
fn granted(work: &Work, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Reason> {
    let id = || work.id().clone();
    match work.stage() {
        Stage::Approved { .. } => Ok(None),
        Stage::Emergency { access, .. } if now < access.deadline => Ok(Some(access.deadline)),
        Stage::Emergency { access, .. } => Err(Reason::RetrospectiveApprovalOverdue {
            work: id(),
            deadline: shown(access.deadline, work.request().window.zone()),
        }),
        Stage::Draft | Stage::Requested => Err(Reason::WorkNotApproved { work: id() }),
        Stage::Rejected { .. } => Err(Reason::WorkRejected { work: id() }),
        Stage::Withdrawn { .. } => Err(Reason::WorkWithdrawn { work: id() }),
        Stage::CutOff { .. } => Err(Reason::WorkCutOff { work: id() }),
    }
}

/// The occurrence that contains now, unless its work was reported and so is done.
fn open(work: &Work, now: DateTime<Utc>) -> Result<Period, Reason> {
    let window = &work.request().window;
    let id = || work.id().clone();
    match (work.occurrence_containing(now), window.next_after(now)) {
        (Some(occurrence), _) => {
            if work.round_from(occurrence.from).is_some_and(|round| round.is_closed()) {
                return Err(Reason::WorkReported { work: id() });
            }
            Ok(occurrence)
        }
        (None, Some(next)) => Err(Reason::WindowNotOpen { work: id(), opens: shown(next.from, window.zone()) }),
        (None, None) => Err(Reason::WindowOver { work: id(), closed: shown(work.last_end(), window.zone()) }),
    }
}
