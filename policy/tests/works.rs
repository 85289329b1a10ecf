//! The life of a piece of work, from draft to review, and what it may not do.

use crate::hospital::*;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::{HospitalRole, Language, Period};
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Request, Stage, State, Transition, Work};
use std::collections::BTreeSet;

fn confirm() -> Transition {
    Transition::Confirm { comment: "計画どおり".to_owned() }
}

fn begun() -> Work {
    after(&approved("w1", request(night())), Transition::Begin, &engineer("eng1"), at("2026-11-24 22:10"))
}

fn state(work: &Work, now: &str) -> State {
    work.state_at(at(now))
}

fn wrong_state(work: &Work, transition: Transition, by: By<'_>, now: DateTime<Utc>) {
    let result = work.apply(transition.clone(), by, now);
    assert!(matches!(result, Err(PolicyError::WrongState { .. })), "{transition:?}: {result:?}");
}

#[test]
fn from_draft_to_review() {
    let eng1 = engineer("eng1");
    let work = draft("w1", request(night()));
    assert_eq!(state(&work, "2026-11-01 09:00"), State::Draft);
    let work = after(&work, Transition::Submit, &eng1, at("2026-11-01 09:00"));
    assert_eq!(state(&work, "2026-11-01 09:00"), State::Requested);
    let work = after(&work, Transition::Approve { attendance: false }, &approver(), at("2026-11-02 09:00"));
    assert_eq!(state(&work, "2026-11-02 09:00"), State::Approved);
    assert_eq!(state(&work, "2026-11-24 22:00"), State::Open);
    assert_eq!(state(&work, "2026-11-25 02:00"), State::Expired);
    let work = after(&work, Transition::Begin, &eng1, at("2026-11-24 22:10"));
    assert_eq!(state(&work, "2026-11-24 22:10"), State::Working);
    assert_eq!(state(&work, "2026-11-25 02:00"), State::Ended);
    let work = after(&work, Transition::End, &eng1, at("2026-11-24 23:00"));
    assert_eq!(state(&work, "2026-11-24 23:00"), State::Ended);
    assert_eq!(work.report_due(at("2026-11-24 23:00")), Some(at("2026-11-27 23:00")));
    let work = after(&work, report(), &eng1, at("2026-11-25 09:00"));
    assert_eq!(state(&work, "2026-11-25 09:00"), State::Reported);
    assert_eq!(work.review_due(at("2026-11-25 09:00")), Some(at("2026-12-01 23:00")));
    let work = after(&work, confirm(), &approver(), at("2026-11-26 09:00"));
    assert_eq!(state(&work, "2026-11-26 09:00"), State::Reviewed);
    assert!(!work.unreviewed_past_deadline(at("2027-11-26 09:00")));
    let acts: Vec<&str> = work.history().iter().map(|entry| entry.act.as_str()).collect();
    assert_eq!(acts, ["draft", "submit", "approve", "begin", "end", "report", "confirm"]);
    assert_eq!((work.revision(), work.version()), (7, 1));
    assert_eq!(State::Reviewed.label(Language::Ja), "照合・確認済");
}

#[test]
fn what_ends_with_its_window_is_owed_a_report_and_a_review() {
    let work = begun();
    assert!(!work.unreviewed_past_deadline(at("2026-12-02 01:59")));
    assert!(work.unreviewed_past_deadline(at("2026-12-02 02:00")));
    let reported = after(&work, report(), &engineer("eng1"), at("2026-11-25 09:00"));
    assert_eq!(
        reported.pending_round(at("2026-11-25 09:00")).unwrap().ended_at(midnight()),
        Some(at("2026-11-25 02:00"))
    );
    assert!(reported.unreviewed_past_deadline(at("2026-12-02 02:00")), "a report alone does not finish it");
}

#[test]
fn a_report_that_is_sent_back_is_owed_again() {
    let eng1 = engineer("eng1");
    let work = after(&begun(), report(), &eng1, at("2026-11-24 23:00"));
    let word = Transition::SendBack { comment: "再起動の時刻がない".to_owned() };
    let work = after(&work, word, &approver(), at("2026-11-25 09:00"));
    assert_eq!(state(&work, "2026-11-25 09:00"), State::Ended);
    assert_eq!(work.rounds()[0].sent_back().unwrap().comment, "再起動の時刻がない");
    wrong_state(&work, confirm(), By::Person(&approver()), at("2026-11-25 10:00"));
    wrong_state(&work, Transition::Begin, By::Person(&eng1), at("2026-11-25 01:00"));
    let work = after(&work, report(), &eng1, at("2026-11-25 11:00"));
    assert_eq!(
        state(&after(&work, confirm(), &approver(), at("2026-11-25 12:00")), "2026-11-25 12:00"),
        State::Reviewed
    );
}

#[test]
fn a_calendar_is_told_where_an_extension_moved_an_end() {
    let span = |from: &str, until: &str| Period { from: at(from), until: at(until) };
    let day = span("2026-11-24 00:00", "2026-11-26 00:00");
    let within = |work: &Work, day| work.occurrences_within(day).collect::<Vec<_>>();
    assert_eq!(within(&begun(), day), [span("2026-11-24 22:00", "2026-11-25 02:00")]);
    let extended = Transition::Extend { until: at("2026-11-25 03:00") };
    let extended = after(&begun(), extended, &approver(), midnight());
    assert_eq!(within(&extended, day), [span("2026-11-24 22:00", "2026-11-25 03:00")]);
    // It reaches into a span that begins before its moved end, and not into one that begins with it.
    assert_eq!(within(&extended, span("2026-11-25 02:30", "2026-11-26 00:00")).len(), 1);
    assert_eq!(within(&extended, span("2026-11-25 03:00", "2026-11-26 00:00")), []);
    assert_eq!(within(&extended, span("2026-11-24 00:00", "2026-11-24 22:00")), []);
}

#[test]
fn a_further_session_of_work_that_goes_on_changes_nothing() {
    let eng1 = engineer("eng1");
    let work = begun();
    assert_eq!(after(&work, Transition::Begin, &eng1, at("2026-11-24 22:20")), work);
    let ended = after(&work, Transition::End, &eng1, at("2026-11-24 23:00"));
    let resumed = after(&ended, Transition::Begin, &eng1, at("2026-11-24 23:10"));
    assert_eq!(resumed.revision(), ended.revision() + 1, "who goes on after the end is on record");
}

#[test]
fn recurring_work_is_reviewed_each_time() {
    let eng1 = engineer("eng1");
    let rule = "FREQ=WEEKLY;COUNT=3";
    let window =
        Window::recurring(local("2026-11-10 22:00"), local("2026-11-11 02:00"), ZONE, rule, [] as [NaiveDate; 0]);
    let work = approved("w1", request(window.unwrap()));
    let work = after(&work, Transition::Begin, &eng1, at("2026-11-10 22:10"));
    assert_eq!(state(&work, "2026-11-12 09:00"), State::Ended);
    assert!(work.unreviewed_past_deadline(at("2026-11-18 02:00")));
    let work = after(&work, report(), &eng1, at("2026-11-12 09:00"));
    let work = after(&work, confirm(), &approver(), at("2026-11-13 09:00"));
    assert_eq!(state(&work, "2026-11-13 09:00"), State::Approved);
    let work = after(&work, Transition::Begin, &engineer("eng1"), at("2026-11-17 22:10"));
    assert_eq!(work.rounds().len(), 2);
    assert_eq!(state(&work, "2026-11-17 23:00"), State::Working);
}

#[test]
fn invariant_05_edit_voids_approval() {
    let eng1 = engineer("eng1");
    let devices = BTreeSet::from([parsed("ct-01"), parsed("mr-01")]);
    let changed = Request { devices, ..request(night()) };
    for work in [approved("w1", request(night())), begun()] {
        let edited = after(&work, Transition::Edit(Box::new(changed.clone())), &eng1, at("2026-11-24 22:30"));
        assert_eq!(*edited.stage(), Stage::Requested);
        assert_eq!((edited.version(), edited.request()), (2, &changed));
        assert_eq!(edited.rounds().len(), work.rounds().len(), "what was done stays, to be reported");
        wrong_state(&edited, Transition::Begin, By::Person(&eng1), at("2026-11-24 22:31"));
    }
}

#[test]
fn invariant_05_an_edit_does_not_wash_off_an_emergency() {
    let opened = emergency("w1", request(night()), at("2026-11-25 12:00"));
    let edit = Transition::Edit(Box::new(request(night())));
    wrong_state(&opened, edit, By::Person(&engineer("eng1")), midnight());
    wrong_state(&opened, Transition::Withdraw, By::Person(&engineer("eng1")), midnight());
}

#[test]
fn an_extension_moves_the_open_end_and_only_that() {
    let extend = |until| Transition::Extend { until: at(until) };
    let work = after(&begun(), extend("2026-11-25 03:00"), &approver(), midnight());
    assert_eq!(work.occurrence_containing(at("2026-11-25 02:30")).unwrap().until, at("2026-11-25 03:00"));
    assert_eq!(state(&work, "2026-11-25 02:30"), State::Working);
    assert_eq!(state(&work, "2026-11-25 03:00"), State::Ended);
    let again = after(&work, extend("2026-11-25 04:00"), &approver(), at("2026-11-25 02:30"));
    assert_eq!(again.last_end(), at("2026-11-25 04:00"));
    let invalid = |work: &Work, until, now| {
        let result = work.apply(extend(until), By::Person(&approver()), at(now));
        assert!(matches!(result, Err(PolicyError::InvalidTransition { .. })), "{until}: {result:?}");
    };
    invalid(&work, "2026-11-25 03:00", "2026-11-25 02:30");
    // Extensions do not add up past a day after the planned end.
    invalid(&again, "2026-11-26 02:01", "2026-11-25 03:30");
    wrong_state(&begun(), extend("2026-11-25 03:00"), By::Person(&approver()), at("2026-11-25 02:00"));
    wrong_state(&requested("w1", request(night())), extend("2026-11-25 03:00"), By::Person(&approver()), midnight());
}

#[test]
fn emergency_access_is_marked_until_it_is_decided() {
    let deadline = at("2026-11-25 12:00");
    let opened = emergency("w1", request(night()), deadline);
    let worked = after(&opened, Transition::Begin, &engineer("eng1"), at("2026-11-24 22:10"));
    for now in ["2026-11-24 23:00", "2026-11-25 09:00", "2027-01-01 00:00"] {
        assert_eq!(state(&worked, now), State::AwaitingRetrospectiveApproval);
    }
    // A late approval counts: the paper is owed all the same.
    let late = after(&worked, Transition::ApproveRetrospectively, &safety_manager(), at("2026-11-26 09:00"));
    assert_eq!(late.emergency().unwrap().deadline, deadline);
    assert_eq!(state(&late, "2026-11-26 09:00"), State::Ended);
    let cut = Transition::CutOff { reason: "誤操作".to_owned() };
    let cut = after(&worked, cut, &approver(), midnight());
    assert_eq!(state(&cut, "2026-11-25 00:00"), State::AwaitingRetrospectiveApproval);
    let rejected = Transition::RejectRetrospectively { reason: "不要".to_owned() };
    let rejected = after(&cut, rejected, &safety_manager(), at("2026-11-25 09:00"));
    assert_eq!(state(&rejected, "2026-11-25 09:00"), State::CutOff);
    assert_eq!(rejected.rounds()[0].ended_at(midnight()), Some(midnight()));
}

#[test]
fn an_emergency_has_a_reason_and_a_near_deadline() {
    let work = requested("w1", request(night()));
    let open = |reason: &str, deadline| Transition::OpenEmergency { reason: reason.to_owned(), deadline };
    let now = at("2026-11-24 21:00");
    for transition in [
        open(" ", now + TimeDelta::hours(1)),
        open("CT停止", now),
        open("CT停止", now + TimeDelta::days(7) + TimeDelta::seconds(1)),
    ] {
        let result = work.apply(transition, By::Person(&approver()), now);
        assert!(matches!(result, Err(PolicyError::InvalidTransition { .. })), "{result:?}");
    }
    let refused = work.apply(open("CT停止", now + TimeDelta::hours(1)), By::Person(&engineer("eng1")), now);
    assert!(matches!(refused, Err(PolicyError::Refused(_))), "{refused:?}");
}

#[test]
fn what_was_cut_off_is_still_reported_and_reviewed() {
    let cut = Transition::CutOff { reason: "誤操作".to_owned() };
    let work = after(&begun(), cut, &safety_manager(), at("2026-11-24 23:00"));
    assert_eq!(state(&work, "2026-11-24 23:00"), State::CutOff);
    wrong_state(&work, Transition::Begin, By::Person(&engineer("eng1")), at("2026-11-24 23:01"));
    wrong_state(&work, Transition::Approve { attendance: false }, By::Person(&approver()), at("2026-11-24 23:01"));
    assert!(work.unreviewed_past_deadline(at("2026-12-01 23:00")));
    let work = after(&work, report(), &engineer("eng1"), at("2026-11-25 09:00"));
    let work = after(&work, confirm(), &approver(), at("2026-11-26 09:00"));
    assert!(!work.unreviewed_past_deadline(at("2026-12-01 23:00")));
}

#[test]
fn the_gateway_only_notes_the_end() {
    let ended = begun().apply(Transition::End, By::Gateway, at("2026-11-25 05:00")).unwrap();
    assert_eq!(ended.rounds()[0].ended_at(midnight()), Some(at("2026-11-25 02:00")));
    let refused =
        requested("w1", request(night())).apply(Transition::Approve { attendance: false }, By::Gateway, midnight());
    assert!(matches!(refused, Err(PolicyError::Refused(_))), "{refused:?}");
}

#[test]
fn steps_out_of_turn_are_refused() {
    let (eng1, sato) = (engineer("eng1"), approver());
    let now = at("2026-11-24 22:30");
    let drafted = draft("w1", request(night()));
    let waiting = requested("w1", request(night()));
    let granted = approved("w1", request(night()));
    wrong_state(&drafted, Transition::Approve { attendance: false }, By::Person(&sato), now);
    wrong_state(&waiting, Transition::Submit, By::Person(&eng1), now);
    wrong_state(&waiting, Transition::Begin, By::Person(&eng1), now);
    wrong_state(&granted, Transition::Reject { reason: "遅い".to_owned() }, By::Person(&sato), now);
    wrong_state(&granted, Transition::End, By::Person(&eng1), now);
    wrong_state(&granted, report(), By::Person(&eng1), now);
    wrong_state(&granted, confirm(), By::Person(&sato), now);
    wrong_state(&granted, Transition::Begin, By::Person(&eng1), at("2026-11-25 02:00"));
    wrong_state(&begun(), Transition::Withdraw, By::Person(&eng1), now);
    let stranger = granted.apply(Transition::Begin, By::Person(&engineer("eng2")), now);
    assert!(matches!(stranger, Err(PolicyError::InvalidTransition { .. })), "{stranger:?}");
    let late = waiting.apply(Transition::Approve { attendance: false }, By::Person(&sato), at("2026-11-25 02:00"));
    assert!(matches!(late, Err(PolicyError::InvalidTransition { .. })), "{late:?}");
}

#[test]
fn a_request_names_all_that_it_must() {
    let complete = || request(night());
    for broken in [
        Request { purpose: "  ".to_owned(), ..complete() },
        Request { plan: String::new(), ..complete() },
        Request { devices: BTreeSet::new(), ..complete() },
        Request { persons: BTreeSet::new(), ..complete() },
        Request { channels: BTreeSet::new(), ..complete() },
        Request { accounts: Some(BTreeSet::new()), ..complete() },
        Request { review_days: 0, ..complete() },
        Request { report_days: 91, ..complete() },
    ] {
        let by = engineer("eng1");
        let result = Work::draft(parsed("w1"), parsed("acme"), broken.clone(), &by, at("2026-11-01 09:00"));
        assert!(matches!(result, Err(PolicyError::IncompleteRequest { .. })), "{result:?}");
        let edit = Transition::Edit(Box::new(broken));
        assert!(approved("w1", complete()).apply(edit, By::Person(&by), at("2026-11-03 09:00")).is_err());
    }
}

#[test]
fn a_work_is_read_back_as_it_was_stored_and_unknown_fields_are_refused() {
    let deadline = at("2026-11-25 12:00");
    let reported = after(&begun(), report(), &engineer("eng1"), at("2026-11-24 23:00"));
    let administrator = staff("ito", HospitalRole::Administrator);
    let cut = after(&begun(), Transition::CutOff { reason: "誤操作".to_owned() }, &administrator, midnight());
    for work in [draft("w1", request(night())), reported, cut, emergency("w1", request(night()), deadline)] {
        let stored = serde_json::to_string(&work).unwrap();
        assert_eq!(serde_json::from_str::<Work>(&stored).unwrap(), work);
        for field in ["\"version\":1", "\"purpose\":", "\"kind\":\"once\""] {
            assert!(stored.contains(field), "{field} in {stored}");
            let broken = stored.replacen(field, &format!("\"novelty\":1,{field}"), 1);
            assert!(serde_json::from_str::<Work>(&broken).is_err(), "{field}");
        }
    }
}
