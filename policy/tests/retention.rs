//! How long recordings are kept, and what stands against removing one.

use crate::hospital::*;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_policy::authority::{Act, may, may_purge};
use sekimori_policy::facts::HospitalRole;
use sekimori_policy::retention::{Class, Keeping, Recorded, Terms, keeping};
use sekimori_policy::work::{Transition, Work};
use std::collections::BTreeSet;

const TERMS: Terms = Terms {
    ordinary_days: Some(10),
    transfer_days: Some(20),
    personal_data_days: Some(30),
    emergency_days: Some(40),
    cut_off_days: Some(50),
};

fn ended() -> DateTime<Utc> {
    at("2026-11-24 23:00")
}

/// A session of an hour within the window.
fn recorded<'a>(work: &'a Work, holds: &'a BTreeSet<String>) -> Recorded<'a> {
    let (opened, ended) = (at("2026-11-24 22:10"), Some(ended()));
    Recorded { opened, ended, sealed: true, purged: None, transfers: 0, cut: false, holds, work }
}

fn confirmed(work: &Work) -> Work {
    let confirm = Transition::Confirm { comment: "計画どおり".to_owned() };
    after(work, confirm, &safety_manager(), at("2026-11-26 09:00"))
}

fn begun(work: &Work) -> Work {
    after(work, Transition::Begin, &engineer("eng1"), at("2026-11-24 22:10"))
}

fn reported(work: &Work, personal_data: Option<&str>) -> Work {
    let report = Transition::Report {
        text: "点検を実施".to_owned(),
        personal_data: personal_data.map(str::to_owned),
        files: Vec::new(),
    };
    after(work, report, &engineer("eng1"), at("2026-11-25 09:00"))
}

fn reviewed() -> Work {
    confirmed(&reported(&begun(&approved("w1", request(night()))), None))
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

#[test]
fn a_recording_is_due_when_its_time_is_over_and_not_before() {
    let (work, none) = (reviewed(), BTreeSet::new());
    let judge = |now| keeping(&recorded(&work, &none), &TERMS, now);
    let end = ended() + days(10);
    assert_eq!(judge(end - TimeDelta::microseconds(1)), Keeping::Kept { class: Class::Ordinary, until: end });
    assert_eq!(judge(end), Keeping::Due { class: Class::Ordinary, since: end });
}

#[test]
fn the_longest_term_of_all_that_fit_counts() {
    let (work, none) = (reviewed(), BTreeSet::new());
    let class = |recorded: Recorded<'_>| match keeping(&recorded, &TERMS, ended()) {
        Keeping::Kept { class, until } => (class, (until - ended()).num_days()),
        other => panic!("{other:?}"),
    };
    assert_eq!(class(Recorded { transfers: 1, ..recorded(&work, &none) }), (Class::Transfer, 20));
    assert_eq!(class(Recorded { transfers: 1, cut: true, ..recorded(&work, &none) }), (Class::CutOff, 50));
    let personal = confirmed(&reported(&begun(&approved("w1", request(night()))), Some("患者氏名")));
    assert_eq!(class(Recorded { transfers: 1, ..recorded(&personal, &none) }), (Class::PersonalData, 30));
    let mut expecting = request(night());
    expecting.personal_data_expected = true;
    let expected = confirmed(&reported(&begun(&approved("w1", expecting)), None));
    assert_eq!(class(recorded(&expected, &none)), (Class::PersonalData, 30));
    // Cut off after the emergency was approved: it was one all the same.
    let emergency = begun(&emergency("w1", request(night()), at("2026-11-25 09:00")));
    let approved = after(&emergency, Transition::ApproveRetrospectively, &safety_manager(), at("2026-11-24 22:20"));
    let emergency = confirmed(&reported(&approved, None));
    assert_eq!(class(recorded(&emergency, &none)), (Class::Emergency, 40));
    let cut = Transition::CutOff { reason: "不審な操作".to_owned() };
    let cut = confirmed(&reported(&after(&approved, cut, &approver(), at("2026-11-24 22:30")), None));
    assert_eq!(class(recorded(&cut, &none)), (Class::CutOff, 50));
    let short = Terms { cut_off_days: Some(5), ..TERMS };
    let due = keeping(&recorded(&cut, &none), &short, ended() + days(40));
    assert!(matches!(due, Keeping::Due { class: Class::Emergency, .. }), "{due:?}");
}

#[test]
fn what_is_missing_or_unsettled_keeps() {
    let (work, none) = (reviewed(), BTreeSet::new());
    let late = ended() + days(10_000);
    let judge = |recorded: Recorded<'_>, terms| keeping(&recorded, &terms, late);
    assert_eq!(judge(Recorded { ended: None, ..recorded(&work, &none) }, TERMS), Keeping::Live);
    assert_eq!(judge(Recorded { sealed: false, ..recorded(&work, &none) }, TERMS), Keeping::Unsealed);
    // Not reported, not reviewed, not approved after the fact, or of no round that anybody knows of.
    let working = begun(&approved("w1", request(night())));
    assert_eq!(judge(recorded(&working, &none), TERMS), Keeping::Unsettled);
    assert_eq!(judge(recorded(&reported(&working, None), &none), TERMS), Keeping::Unsettled);
    let awaiting = reported(&begun(&emergency("w1", request(night()), at("2026-11-25 09:00"))), None);
    assert_eq!(judge(recorded(&awaiting, &none), TERMS), Keeping::Unsettled);
    let elsewhere = Recorded { opened: at("2026-11-20 22:10"), ..recorded(&work, &none) };
    assert_eq!(judge(elsewhere, TERMS), Keeping::Unsettled);
    // A class without a term is kept for good, also beside one that has one.
    assert_eq!(judge(recorded(&work, &none), Terms::default()), Keeping::ForGood { class: Class::Ordinary });
    let transfers = Recorded { transfers: 1, ..recorded(&work, &none) };
    let terms = Terms { transfer_days: None, ..TERMS };
    assert_eq!(judge(transfers, terms), Keeping::ForGood { class: Class::Transfer });
    let terms = Terms { ordinary_days: Some(u32::MAX), ..TERMS };
    assert!(!matches!(judge(recorded(&work, &none), terms), Keeping::Due { .. }));
    let purged = Recorded { purged: Some(late), ..recorded(&work, &none) };
    assert_eq!(judge(purged, TERMS), Keeping::Purged { at: late });
}

#[test]
fn a_hold_keeps_however_old() {
    let work = reviewed();
    let matters = BTreeSet::from(["incident-1".to_owned()]);
    let held = keeping(&recorded(&work, &matters), &TERMS, ended() + days(10_000));
    assert_eq!(held, Keeping::Held { matters: matters.clone() });
}

#[test]
fn to_remove_takes_two() {
    let sato = approver();
    assert!(may(&sato, Act::ProposePurge).is_ok() && may_purge(&sato, &parsed("kato")).is_ok());
    let own = may_purge(&sato, &sato.id).unwrap_err();
    assert_eq!(own.code(), "own-proposal");
    // Who runs the gateway may ask, and not decide; an auditor neither.
    let operator = staff("ito", HospitalRole::Administrator);
    assert!(may(&operator, Act::ProposePurge).is_ok() && may_purge(&operator, &sato.id).is_err());
    assert!(may(&staff("ono", HospitalRole::Auditor), Act::ProposePurge).is_err());
    assert!(may(&operator, Act::HoldRecordings).is_ok() && may(&operator, Act::ReleaseRecordings).is_err());
}
