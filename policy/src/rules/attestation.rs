//! The person's terminal is attested as safe (接続端末の安全確認), and the attestation has not expired.

use super::Judged;
use crate::facts::{Attestation, Facts};
use crate::reason::{Reason, shown};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// An attestation that counts until then.
pub(crate) struct Attested {
    pub(crate) until: DateTime<Utc>,
}

pub(crate) fn valid(facts: &Facts, now: DateTime<Utc>) -> Judged<Attested> {
    let person = facts.person.as_ref().filter(|person| person.vendor.is_some()).ok_or_else(Vec::new)?;
    let own = || facts.attestations.iter().filter(|attestation| attestation.person == person.id);
    // The newest that has been made is the word that counts: a later "not patched" takes an earlier one back.
    let made = own().filter(|attestation| attestation.made_at <= now).max_by_key(|attestation| attestation.made_at);
    let newest = made.or_else(|| own().min_by_key(|attestation| attestation.made_at));
    let newest = newest.ok_or_else(|| vec![Reason::AttestationMissing { person: person.id.clone() }])?;
    let reasons = faults(newest, facts.demands.zone, now);
    if reasons.is_empty() { Ok(Attested { until: newest.expires_at }) } else { Err(reasons) }
}

fn faults(attestation: &Attestation, zone: Tz, now: DateTime<Utc>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if now < attestation.made_at {
        reasons.push(Reason::AttestationInFuture { made: shown(attestation.made_at, zone) });
    }
    if attestation.expires_at <= now {
        reasons.push(Reason::AttestationExpired { expired: shown(attestation.expires_at, zone) });
    }
    if !attestation.patched {
        reasons.push(Reason::TerminalUnpatched);
    }
    if !attestation.scanned {
        reasons.push(Reason::TerminalUnscanned);
    }
    reasons
}
