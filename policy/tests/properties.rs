//! The invariants of DOMAIN §5 on situations that nobody thought of.

use crate::hospital::*;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use sekimori_policy::authority::may;
use sekimori_policy::decide::{Decision, Permit, decide};
use sekimori_policy::facts::{Facts, HospitalRole, LockScope, Method, Period, Person, Status};
use sekimori_policy::reason::Reason;
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Request, Round, Stage, Transition, Work};
use std::collections::BTreeSet;

/// An instant in the two days around the window, often on one of its edges.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        Just(at("2026-11-24 22:00")),
        Just(at("2026-11-25 02:00")),
        Just(at("2026-11-25 02:00") - TimeDelta::microseconds(1)),
        (0..48_i64 * 60).prop_map(|minutes| at("2026-11-24 00:00") + TimeDelta::minutes(minutes)),
        (20 * 60..30_i64 * 60).prop_map(|minutes| at("2026-11-24 00:00") + TimeDelta::minutes(minutes)),
    ]
}

fn work(id: &'static str) -> impl Strategy<Value = Work> {
    (0..24_i64, 1..8_i64, 0..10_u8).prop_map(move |(start, hours, kind)| {
        let start = local("2026-11-24 12:00") + TimeDelta::hours(start);
        let window = Window::once(start, start + TimeDelta::hours(hours), ZONE).unwrap();
        match kind {
            0 => draft(id, request(window)),
            1 => requested(id, request(window)),
            2 => emergency_or_request(id, window),
            3 => approved(id, Request { persons: BTreeSet::from([parsed("eng2")]), ..request(window) }),
            4 => approved(id, Request { accounts: Some(BTreeSet::from(["root".to_owned()])), ..request(window) }),
            _ => approved(id, request(window)),
        }
    })
}

fn emergency_or_request(id: &str, window: Window) -> Work {
    let work = requested(id, request(window));
    let open = Transition::OpenEmergency { reason: "CT停止".to_owned(), deadline: at("2026-11-25 01:00") };
    work.apply(open, By::Person(&approver()), at("2026-11-24 21:30")).unwrap_or(work)
}

prop_compose! {
    /// Facts of which most are in order, so that permits are common enough to say something.
    fn situation()(
        works in prop::collection::vec(prop_oneof![work("w1"), work("w2")], 0..3),
        night_too in prop::bool::weighted(0.7),
        harms in prop::collection::vec(harm(), 0..2),
        contract_end in instant(),
        attestation_end in instant(),
        lock_start in prop::option::weighted(0.3, instant()),
        sign_in_end in prop::option::weighted(0.3, instant()),
        max_age in prop::option::weighted(0.3, 1..600_u32),
        harmed in prop::bool::weighted(0.3),
        tight in prop::bool::weighted(0.5),
    ) -> Facts {
        let mut facts = facts();
        facts.factors.proved_at = at("2026-11-24 20:00");
        facts.factors.until = sign_in_end;
        facts.demands.factors_max_age_minutes = max_age;
        if tight {
            facts.vendor.as_mut().unwrap().contract = Some(Period { from: at("2026-11-01 00:00"), until: contract_end });
            facts.attestations[0].expires_at = attestation_end;
        }
        if !night_too {
            facts.works.clear();
        }
        facts.works.extend(works);
        facts.locks.extend(lock_start.map(|from| lock(LockScope::Everyone, from)));
        if harmed {
            harms.into_iter().for_each(|harm| harm.apply(&mut facts));
        }
        facts
    }
}

/// Something that denies, whatever else holds.
#[derive(Debug, Clone, Copy)]
enum Harm {
    NoPerson,
    PersonSuspended,
    PersonOfTheHospital,
    NoVendor,
    VendorRetired,
    NoContract,
    ContractOver,
    SourceElsewhere,
    NoLists,
    OneKind,
    MethodDemanded,
    NoAttestation,
    Unpatched,
    NoDevice,
    DeviceSuspended,
    NoSuchAccount,
    NoWork,
    Locked,
}

const HARMS: [Harm; 18] = [
    Harm::NoPerson,
    Harm::PersonSuspended,
    Harm::PersonOfTheHospital,
    Harm::NoVendor,
    Harm::VendorRetired,
    Harm::NoContract,
    Harm::ContractOver,
    Harm::SourceElsewhere,
    Harm::NoLists,
    Harm::OneKind,
    Harm::MethodDemanded,
    Harm::NoAttestation,
    Harm::Unpatched,
    Harm::NoDevice,
    Harm::DeviceSuspended,
    Harm::NoSuchAccount,
    Harm::NoWork,
    Harm::Locked,
];

fn harm() -> impl Strategy<Value = Harm> {
    prop::sample::select(HARMS.as_slice())
}

impl Harm {
    fn apply(self, facts: &mut Facts) {
        let Facts { person, vendor, device, works, attestations, .. } = facts;
        let (person_now, vendor_now, device_now) = (person.as_mut(), vendor.as_mut(), device.as_mut());
        match self {
            Self::NoPerson => *person = None,
            Self::PersonSuspended => person_now.into_iter().for_each(|person| person.status = Status::Suspended),
            Self::PersonOfTheHospital => person_now.into_iter().for_each(|person| person.vendor = None),
            Self::NoVendor => *vendor = None,
            Self::VendorRetired => vendor_now.into_iter().for_each(|vendor| vendor.status = Status::Retired),
            Self::NoContract => vendor_now.into_iter().for_each(|vendor| vendor.contract = None),
            Self::ContractOver => vendor_now.into_iter().for_each(|vendor| {
                vendor.contract = Some(Period { from: at("2025-04-01 00:00"), until: at("2026-04-01 00:00") });
            }),
            Self::SourceElsewhere => facts.source = source("2001:db8::1"),
            Self::NoLists => {
                vendor_now.into_iter().for_each(|vendor| vendor.sources.clear());
                person_now.into_iter().for_each(|person| person.sources.clear());
                device_now.into_iter().for_each(|device| device.sources.clear());
            }
            Self::OneKind => facts.factors.methods = methods(&[Method::SshKey, Method::Totp]),
            Self::MethodDemanded => facts.demands.methods = methods(&[Method::Passkey]),
            Self::NoAttestation => attestations.clear(),
            Self::Unpatched => attestations.iter_mut().for_each(|attestation| attestation.patched = false),
            Self::NoDevice => *device = None,
            Self::DeviceSuspended => device_now.into_iter().for_each(|device| device.status = Status::Suspended),
            Self::NoSuchAccount => facts.account = Some("nobody".to_owned()),
            Self::NoWork => works.clear(),
            Self::Locked => facts.locks.push(lock(LockScope::Everyone, at("2026-11-01 00:00"))),
        }
    }
}

fn permit(facts: &Facts, now: DateTime<Utc>) -> Option<Permit> {
    match decide(facts, now) {
        Decision::Permit(permit) => Some(permit),
        Decision::Denial(_) => None,
    }
}

fn codes(facts: &Facts, now: DateTime<Utc>) -> Vec<&'static str> {
    match decide(facts, now) {
        Decision::Permit(_) => Vec::new(),
        Decision::Denial(denial) => denial.reasons().iter().map(Reason::code).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn invariant_01_nothing_is_permitted_outside_a_window(facts in situation(), now in instant()) {
        if let Some(permit) = permit(&facts, now) {
            let work = facts.works.iter().find(|work| work.id() == permit.work() && {
                let inside = work.request().window.occurrences().iter().any(|window| window.from <= now && now < window.until);
                let consented = matches!(work.stage(), Stage::Approved { .. } | Stage::Emergency { .. });
                inside && consented && work.request().persons.contains(permit.person()) && work.request().devices.contains(permit.device())
            });
            prop_assert!(work.is_some());
        }
    }

    #[test]
    fn invariant_01_a_permit_never_outlives_its_inputs(facts in situation(), now in instant()) {
        if let Some(permit) = permit(&facts, now) {
            let until = permit.until();
            prop_assert!(now < until);
            prop_assert!(until <= facts.vendor.as_ref().unwrap().contract.unwrap().until);
            prop_assert!(until <= facts.attestations[0].expires_at);
            prop_assert!(facts.factors.until.is_none_or(|end| until <= end));
            let age = facts.demands.factors_max_age_minutes.map(|minutes| TimeDelta::minutes(minutes.into()));
            prop_assert!(age.is_none_or(|age| until <= facts.factors.proved_at + age));
            prop_assert!(facts.locks.iter().all(|lock| until <= lock.from));
            let ends = facts.works.iter().filter(|work| work.id() == permit.work()).map(Work::last_end);
            prop_assert!(ends.max().is_some_and(|end| until <= end));
        }
    }

    #[test]
    fn invariant_01_a_permit_holds_until_its_end_and_not_a_moment_longer(facts in situation(), now in instant(), share in 0.0..1.0) {
        if let Some(first) = permit(&facts, now) {
            let span = (first.until() - now).num_milliseconds();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a share of a day in milliseconds")]
            let later = now + TimeDelta::milliseconds((span as f64 * share) as i64);
            prop_assert!(permit(&facts, later).is_some_and(|again| again.until() >= first.until()));
            // Only other work can go on where this one's permit ends.
            if let Some(next) = permit(&facts, first.until()) {
                prop_assert!(facts.works.len() > 1, "{next:?}");
            }
        }
    }

    #[test]
    fn invariant_01_what_denies_denies_whatever_else_holds(mut facts in situation(), harm in harm(), now in instant()) {
        let before = permit(&facts, now).is_some();
        harm.apply(&mut facts);
        let reasons = codes(&facts, now);
        prop_assert!(!reasons.is_empty(), "{harm:?} turned into a permit (before: {before})");
    }

    #[test]
    fn reasons_are_known_and_in_the_order_of_the_rules(mut facts in situation(), now in instant()) {
        facts.works.truncate(1);
        let places: Vec<Option<usize>> =
            codes(&facts, now).iter().map(|code| Reason::CODES.iter().position(|known| known == code)).collect();
        prop_assert!(places.iter().all(Option::is_some));
        prop_assert!(places.is_sorted());
    }
}

/// Everybody who may come near a piece of work, some in several parts.
fn everybody() -> [Person; 6] {
    let roles = BTreeSet::from(HospitalRole::ALL);
    [
        engineer("eng1"),
        engineer("eng2"),
        approver(),
        safety_manager(),
        Person { roles: roles.clone(), ..staff("mori", HospitalRole::Approver) },
        // Once a vendor's engineer, now hospital staff under the same ID.
        Person { roles, ..staff("eng1", HospitalRole::Approver) },
    ]
}

fn transition(now: DateTime<Utc>) -> Vec<Transition> {
    let words = || "理由".to_owned();
    let persons = BTreeSet::from([parsed("eng1"), parsed("eng2")]);
    let week = Window::recurring(local("2026-11-24 22:00"), local("2026-11-25 02:00"), ZONE, "FREQ=DAILY;COUNT=5", []);
    vec![
        Transition::Submit,
        Transition::Edit(Box::new(Request { persons, ..request(week.unwrap()) })),
        Transition::Withdraw,
        Transition::Approve { attendance: false },
        Transition::Approve { attendance: true },
        Transition::Reject { reason: words() },
        Transition::Extend { until: now + TimeDelta::hours(5) },
        Transition::OpenEmergency { reason: words(), deadline: now + TimeDelta::hours(5) },
        Transition::ApproveRetrospectively,
        Transition::RejectRetrospectively { reason: words() },
        Transition::Begin,
        Transition::End,
        Transition::CutOff { reason: words() },
        report(),
        Transition::Confirm { comment: words() },
        Transition::SendBack { comment: words() },
    ]
}

fn check_step(before: &Work, after: &Work, step: &Transition, by: &Person, now: DateTime<Utc>) {
    if after == before {
        let goes_on =
            |round: &Round| round.ended_at(now).is_none() && !round.is_closed() && round.operators().contains(&by.id);
        assert_eq!(*step, Transition::Begin, "every other step is on record");
        assert!(before.rounds().iter().any(goes_on), "who begins is on record");
        return;
    }
    assert_eq!(after.revision(), before.revision() + 1);
    assert!(after.history().starts_with(before.history()), "history is only added to");
    match step {
        Transition::Edit(_) => {
            assert!(!matches!(after.stage(), Stage::Approved { .. } | Stage::Emergency { .. }), "edits void approval");
            assert_eq!(after.version(), before.version() + 1);
            assert!(after.authors().contains(&by.id));
        }
        Transition::Approve { .. } | Transition::Extend { .. } | Transition::ApproveRetrospectively => {
            assert!(!before.authors().contains(&by.id), "requester is never approver");
            assert!(by.vendor.is_none());
        }
        Transition::Confirm { .. } | Transition::SendBack { .. } => {
            assert!(
                before.rounds().iter().all(|round| !round.operators().contains(&by.id)),
                "operator is never reviewer"
            );
            assert!(by.vendor.is_none());
        }
        _ => assert_eq!(after.version(), before.version()),
    }
    let operated = |work: &Work| work.rounds().iter().map(|round| round.operators().len()).sum::<usize>();
    assert!(operated(after) >= operated(before), "what was done is not forgotten");
    assert_eq!(serde_json::from_str::<Work>(&serde_json::to_string(after).unwrap()).unwrap(), *after);
    let _ = after.state_at(now);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariant_04_and_05_hold_on_every_walk_through_a_works_life(
        steps in prop::collection::vec((0..16_usize, 0..6_usize, 0..90_i64), 1..60),
    ) {
        let people = everybody();
        let mut work = draft("w1", request(night()));
        let mut now = at("2026-11-24 20:00");
        for (step, by, minutes) in steps {
            now += TimeDelta::minutes(minutes);
            let step = transition(now).swap_remove(step);
            if let Ok(next) = work.apply(step.clone(), By::Person(&people[by]), now) {
                check_step(&work, &next, &step, &people[by], now);
                work = next;
            }
        }
    }

    #[test]
    fn invariant_11_every_window_ends_within_two_years_of_its_start(
        rule in "(FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY);?)?(INTERVAL=[0-9]{1,3};?)?(BYDAY=[-]?[0-6]?(MO|TU|SU);?)?(COUNT=[0-9]{1,4}|UNTIL=20[23][0-9]1[0-2][0-2]5T220000Z?)?",
        hours in 1..24_i64,
    ) {
        let start = local("2026-11-24 22:00");
        if let Ok(window) = Window::recurring(start, start + TimeDelta::hours(hours), ZONE, &rule, []) {
            let starts = window.occurrences();
            prop_assert!(!starts.is_empty() && starts.len() <= 1000);
            prop_assert!(window.last_end() <= at("2026-11-24 22:00") + TimeDelta::days(732));
            prop_assert!(starts.windows(2).all(|pair| pair[0].until <= pair[1].from));
        }
    }

    #[test]
    fn a_rule_of_any_text_is_answered(rule in ".{0,60}") {
        let start = local("2026-11-24 22:00");
        let _ = Window::recurring(start, start + TimeDelta::hours(1), ZONE, &rule, []);
    }
}

#[test]
fn invariant_11_closed_is_the_default() {
    let nothing =
        Facts { person: None, vendor: None, device: None, works: Vec::new(), attestations: Vec::new(), ..facts() };
    assert!(permit(&nothing, midnight()).is_none());
    let without_work = Facts { works: Vec::new(), ..facts() };
    assert_eq!(codes(&without_work, midnight()), ["work-missing"]);
    assert!(may(&engineer("eng1"), sekimori_policy::authority::Act::LiftLock).is_err());
}
