//! The G columns: what sessions show about each device, folded from facts that can be rebuilt from the events.

use super::choice::IdKind;
use super::risk::Risk;
use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use sekimori_policy::facts::{Method, Period};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What the ledger needs to know of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFact {
    /// The device reached.
    pub device: DeviceId,
    /// Who reached it.
    pub person: PersonId,
    /// The person's vendor; `None` for hospital staff.
    pub vendor: Option<VendorId>,
    /// The account used on the device.
    pub account: String,
    /// Whether several people share that account.
    pub shared: bool,
    /// Where from.
    pub source: IpAddr,
    /// When it opened.
    pub opened: DateTime<Utc>,
    /// When it ended; `None` while it lives.
    pub closed: Option<DateTime<Utc>>,
    /// What the person had proved.
    pub factors: BTreeSet<Method>,
    /// The piece of work it belonged to.
    pub work: WorkId,
    /// Whether that work has been reviewed (照合・確認済).
    pub reviewed: bool,
    /// The attestation of the person's terminal (接続端末の安全確認) that the session stood on: made at, expires at.
    pub attestation: Option<Period>,
}

/// What was seen of one device. Counts, durations, sources, factors and ID kinds are for the period; the rest is of all
/// time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Observed {
    /// Whether any session ever came through the gateway.
    pub via_gateway: bool,
    /// The addresses that sessions came from.
    pub sources_seen: BTreeSet<IpAddr>,
    /// The networks from which the gateway lets anybody reach the device.
    pub sources_enforced: Vec<IpNet>,
    /// What is unsafe about the way to the device, as the gateway is set up.
    pub risks: BTreeSet<Risk>,
    /// 共用 as soon as one session used a shared account of the device.
    pub id_kind_observed: Option<IdKind>,
    /// Every method that was proved in some session.
    pub factors_observed: BTreeSet<Method>,
    /// The newest attestation that a session stood on: made at, expires at.
    pub endpoint_attested_on: Option<Period>,
    /// When the last session opened.
    pub last_session_at: Option<DateTime<Utc>>,
    /// Who opened it.
    pub last_person: Option<PersonId>,
    /// How many sessions opened.
    pub session_count: u64,
    /// How long they lasted in all, in minutes, a begun minute counted.
    pub session_minutes: u64,
    /// How many pieces of work with sessions here nobody has reviewed yet.
    pub unreviewed_count: u64,
}

/// Folds sessions into what was seen of each device. A session belongs to the period in which it opened, with all of
/// its length.
#[must_use]
pub fn observe(sessions: &[SessionFact], period: Period, now: DateTime<Utc>) -> BTreeMap<DeviceId, Observed> {
    let mut devices: BTreeMap<&DeviceId, Vec<&SessionFact>> = BTreeMap::new();
    for session in sessions {
        devices.entry(&session.device).or_default().push(session);
    }
    devices.into_iter().map(|(device, sessions)| (device.clone(), fold(&sessions, period, now))).collect()
}

fn fold(sessions: &[&SessionFact], period: Period, now: DateTime<Utc>) -> Observed {
    let last = sessions.iter().max_by_key(|session| session.opened);
    let unreviewed: BTreeSet<&WorkId> =
        sessions.iter().filter(|session| !session.reviewed).map(|session| &session.work).collect();
    let within: Vec<&&SessionFact> = sessions.iter().filter(|session| period.contains(session.opened)).collect();
    let lasted: TimeDelta = within.iter().map(|session| duration(session, now)).sum();
    Observed {
        via_gateway: last.is_some(),
        sources_seen: within.iter().map(|session| session.source.to_canonical()).collect(),
        sources_enforced: Vec::new(),
        risks: BTreeSet::new(),
        id_kind_observed: within.iter().map(|session| id_kind(session)).max(),
        factors_observed: within.iter().flat_map(|session| session.factors.iter().copied()).collect(),
        endpoint_attested_on: sessions.iter().filter_map(|session| session.attestation).max_by_key(|it| it.from),
        last_session_at: last.map(|session| session.opened),
        last_person: last.map(|session| session.person.clone()),
        session_count: u64::try_from(within.len()).unwrap_or(u64::MAX),
        session_minutes: u64::try_from(lasted.num_seconds()).unwrap_or(0).div_ceil(60),
        unreviewed_count: u64::try_from(unreviewed.len()).unwrap_or(u64::MAX),
    }
}

/// Shared orders after personal, so that one shared use decides.
fn id_kind(session: &SessionFact) -> IdKind {
    if session.shared { IdKind::Shared } else { IdKind::Personal }
}

/// A clock that was set back makes no session shorter than nothing.
fn duration(session: &SessionFact, now: DateTime<Utc>) -> TimeDelta {
    (session.closed.unwrap_or(now) - session.opened).max(TimeDelta::zero())
}

/// The networks that all lists which are set have in common: those of the vendor, the person and the device. An empty
/// list is one that is not set; without any list nothing is enforced, and the answer is empty.
#[must_use]
pub fn enforced_sources(lists: &[&[IpNet]]) -> Vec<IpNet> {
    let mut set = lists.iter().filter(|list| !list.is_empty());
    let Some(first) = set.next() else { return Vec::new() };
    let common = set.fold(first.to_vec(), |common, list| {
        // Two networks are apart or one lies within the other: what they have in common is the smaller one.
        let pairs = common.iter().flat_map(|one| list.iter().map(move |other| (one, other)));
        pairs.filter_map(|(one, other)| smaller(*one, *other)).collect()
    });
    IpNet::aggregate(&common)
}

fn smaller(one: IpNet, other: IpNet) -> Option<IpNet> {
    if one.contains(&other) {
        Some(other)
    } else if other.contains(&one) {
        Some(one)
    } else {
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    /// Noon of a day, in UTC.
    pub(in super::super) fn at(day: &str) -> DateTime<Utc> {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    /// An hour of `eng1` on a device, reviewed, with a personal account.
    pub(in super::super) fn session(device: &str, day: &str) -> SessionFact {
        SessionFact {
            device: device.parse().unwrap(),
            person: "eng1".parse().unwrap(),
            vendor: Some("acme".parse().unwrap()),
            account: "eng1".into(),
            shared: false,
            source: "192.0.2.7".parse().unwrap(),
            opened: at(day),
            closed: Some(at(day) + TimeDelta::hours(1)),
            factors: BTreeSet::from([Method::Password, Method::Totp]),
            work: "work-1".parse().unwrap(),
            reviewed: true,
            attestation: None,
        }
    }

    fn year() -> Period {
        Period { from: at("2026-04-01"), until: at("2027-04-01") }
    }

    fn seen(sessions: &[SessionFact]) -> Observed {
        observe(sessions, year(), at("2026-12-01"))[&"ct-01".parse().unwrap()].clone()
    }

    #[test]
    fn counts_are_for_the_period_and_the_last_is_of_all_time() {
        let mut mapped = session("ct-01", "2026-04-01");
        mapped.source = "::ffff:192.0.2.7".parse().unwrap();
        let mut later = session("ct-01", "2027-04-01");
        later.person = "eng2".parse().unwrap();
        let observed = seen(&[later, mapped, session("ct-01", "2026-03-31"), session("ct-02", "2026-06-01")]);
        assert_eq!((observed.session_count, observed.session_minutes), (1, 60));
        assert_eq!(observed.sources_seen, BTreeSet::from(["192.0.2.7".parse().unwrap()]));
        assert_eq!(observed.last_session_at, Some(at("2027-04-01")));
        assert_eq!(observed.last_person.unwrap().as_str(), "eng2");
        assert!(observed.via_gateway);
    }

    #[test]
    fn begun_minutes_count_and_live_sessions_last_until_now() {
        let mut short = session("ct-01", "2026-05-01");
        short.closed = Some(short.opened + TimeDelta::seconds(61));
        assert_eq!(seen(&[short.clone()]).session_minutes, 2);
        let live = SessionFact { opened: at("2026-12-01") - TimeDelta::minutes(10), closed: None, ..short.clone() };
        assert_eq!(seen(&[live]).session_minutes, 10);
        let back = SessionFact { closed: Some(short.opened - TimeDelta::hours(1)), ..short };
        assert_eq!((seen(std::slice::from_ref(&back)).session_minutes, seen(&[back]).session_count), (0, 1));
    }

    #[test]
    fn one_shared_use_decides_and_methods_add_up() {
        let personal = session("ct-01", "2026-05-01");
        assert_eq!(seen(std::slice::from_ref(&personal)).id_kind_observed, Some(IdKind::Personal));
        let factors = BTreeSet::from([Method::SshKey]);
        let shared = SessionFact { shared: true, factors, ..session("ct-01", "2026-05-02") };
        let observed = seen(&[shared, personal]);
        assert_eq!(observed.id_kind_observed, Some(IdKind::Shared));
        assert_eq!(observed.factors_observed, BTreeSet::from([Method::Password, Method::Totp, Method::SshKey]));
        assert_eq!(seen(&[session("ct-01", "2025-05-01")]).id_kind_observed, None);
    }

    #[test]
    fn unreviewed_work_is_counted_by_the_piece() {
        let work = |work: &str, reviewed| SessionFact {
            work: work.parse().unwrap(),
            reviewed,
            ..session("ct-01", "2026-05-01")
        };
        assert_eq!(seen(&[work("a", false), work("a", false), work("b", false), work("c", true)]).unreviewed_count, 2);
    }

    #[test]
    fn the_newest_attestation_stands() {
        let with = |from: &str, until: &str| SessionFact {
            attestation: Some(Period { from: at(from), until: at(until) }),
            ..session("ct-01", "2026-05-01")
        };
        let observed = seen(&[with("2026-04-20", "2026-05-20"), with("2026-04-01", "2026-09-01")]);
        assert_eq!(observed.endpoint_attested_on, Some(Period { from: at("2026-04-20"), until: at("2026-05-20") }));
    }

    #[test]
    fn what_is_enforced_is_what_all_lists_that_are_set_have_in_common() {
        let nets = |texts: &[&str]| -> Vec<IpNet> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let (vendor, person) = (nets(&["192.0.2.0/24", "2001:db8::/32"]), nets(&["192.0.2.7/32", "198.51.100.0/24"]));
        assert_eq!(enforced_sources(&[&vendor, &person, &[]]), nets(&["192.0.2.7/32"]));
        assert_eq!(enforced_sources(&[&[], &vendor]), vendor);
        assert_eq!(enforced_sources(&[&[], &[]]), []);
        assert_eq!(enforced_sources(&[&vendor, &nets(&["203.0.113.0/24"])]), []);
    }
}
