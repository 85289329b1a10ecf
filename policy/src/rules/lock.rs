//! No incident lock (非常時遮断) keeps this session out. The work that a lock excepts passes it.

use super::Judged;
use crate::facts::{Facts, Lock, LockScope};
use crate::reason::{Reason, shown};
use crate::work::Work;
use chrono::{DateTime, Utc};

/// No lock now, and the start of the first one announced.
pub(crate) struct Unlocked {
    pub(crate) until: Option<DateTime<Utc>>,
}

pub(crate) fn unlocked(facts: &Facts, work: Option<&Work>, now: DateTime<Utc>) -> Judged<Unlocked> {
    let mut reasons = Vec::new();
    let mut announced: Option<DateTime<Utc>> = None;
    for lock in facts.locks.iter().filter(|lock| concerns(lock, facts, work)) {
        if lock.until.is_some_and(|until| until <= now.max(lock.from)) {
            continue;
        }
        if lock.from <= now {
            reasons.push(Reason::Locked {
                scope: lock.scope.clone(),
                why: lock.reason.clone(),
                until: lock.until.map(|until| shown(until, facts.demands.zone)),
            });
        } else {
            announced = Some(announced.map_or(lock.from, |first| first.min(lock.from)));
        }
    }
    if reasons.is_empty() { Ok(Unlocked { until: announced }) } else { Err(reasons) }
}

fn concerns(lock: &Lock, facts: &Facts, work: Option<&Work>) -> bool {
    if lock.except.is_some() && lock.except.as_ref() == work.map(Work::id) {
        return false;
    }
    let person = facts.person.as_ref();
    match &lock.scope {
        LockScope::Everyone => true,
        LockScope::Vendor(id) => person.is_some_and(|person| person.vendor.as_ref() == Some(id)),
        LockScope::Person(id) => person.is_some_and(|person| person.id == *id),
        LockScope::Device(id) => facts.device.as_ref().is_some_and(|device| device.id == *id),
    }
}
