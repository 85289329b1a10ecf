//! Two factors of different kinds were proved, with all that the hospital demands, and they still count.

use super::Judged;
use crate::decide::Limit;
use crate::factor;
use crate::facts::Facts;
use crate::reason::{Reason, shown};
use chrono::{DateTime, TimeDelta, Utc};

/// Factors that count, and the limits until when they do.
pub(crate) struct Proved {
    pub(crate) limits: Vec<(DateTime<Utc>, Limit)>,
}

pub(crate) fn two_kinds(facts: &Facts, now: DateTime<Utc>) -> Judged<Proved> {
    let factors = &facts.factors;
    let mut reasons = Vec::new();
    let mut limits = Vec::new();
    if !factor::are_two_kinds(&factors.methods) {
        reasons.push(Reason::FactorKinds { proved: factor::kinds(&factors.methods) });
    }
    for method in facts.demands.methods.difference(&factors.methods) {
        reasons.push(Reason::FactorDemanded { method: *method });
    }
    if now < factors.proved_at {
        reasons.push(Reason::FactorsInFuture);
    }
    if let Some(minutes) = facts.demands.factors_max_age_minutes {
        let until = factors.proved_at + TimeDelta::minutes(i64::from(minutes));
        if until <= now {
            reasons.push(Reason::FactorsOld { minutes });
        }
        limits.push((until, Limit::FactorAge));
    }
    if let Some(until) = factors.until {
        if until <= now {
            reasons.push(Reason::SignInEnded { until: shown(until, facts.demands.zone) });
        }
        limits.push((until, Limit::SignInEnd));
    }
    if reasons.is_empty() { Ok(Proved { limits }) } else { Err(reasons) }
}
