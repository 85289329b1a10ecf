//! No earlier work of the vendor is past its review's deadline. It blocks the vendor's *next* window: an occurrence
//! that began before the deadline goes on, because to cut engineers off in the middle of their work over a late
//! paper would endanger the equipment.

use super::Judged;
use crate::facts::Facts;
use crate::reason::{Reason, shown};
use chrono::{DateTime, Utc};

/// All earlier work is reviewed or may still be.
pub(crate) struct UpToDate;

/// `opened` is the start of the occurrence in question, `now` where there is none.
pub(crate) fn up_to_date(facts: &Facts, opened: DateTime<Utc>, now: DateTime<Utc>) -> Judged<UpToDate> {
    let vendor = facts.person.as_ref().and_then(|person| person.vendor.as_ref()).ok_or_else(Vec::new)?;
    let reasons: Vec<Reason> = facts
        .works
        .iter()
        .filter(|work| work.vendor() == vendor && work.unreviewed_past_deadline(now))
        .filter_map(|work| Some((work, work.review_due(now)?)))
        .filter(|(_, due)| *due <= opened)
        .map(|(work, due)| Reason::WorkUnreviewed {
            work: work.id().clone(),
            due: shown(due, work.request().window.zone()),
        })
        .collect();
    if reasons.is_empty() { Ok(UpToDate) } else { Err(reasons) }
}
