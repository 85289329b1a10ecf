//! Windows: local times, clocks that change, recurrence rules that are refused.

use crate::hospital::{ZONE, at, local};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::Period;
use sekimori_policy::window::Window;

const BERLIN: Tz = Tz::Europe__Berlin;

fn once(start: &str, end: &str, zone: Tz) -> Result<Window, PolicyError> {
    Window::once(local(start), local(end), zone)
}

fn recurring(rule: &str) -> Result<Window, PolicyError> {
    Window::recurring(local("2026-11-24 22:00"), local("2026-11-25 02:00"), ZONE, rule, [])
}

fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

fn period(from: &str, until: &str) -> Period {
    Period { from: utc(from), until: utc(until) }
}

#[test]
fn a_window_is_half_open() {
    let window = once("2026-11-24 22:00", "2026-11-25 02:00", ZONE).unwrap();
    let (start, end) = (at("2026-11-24 22:00"), at("2026-11-25 02:00"));
    let tick = TimeDelta::microseconds(1);
    for (now, open) in [(start - tick, false), (start, true), (end - tick, true), (end, false)] {
        assert_eq!(window.occurrence_containing(now).is_some(), open, "{now}");
    }
    assert_eq!(window.next_after(start - tick), Some(Period { from: start, until: end }));
    assert_eq!(window.next_after(start), None);
    assert_eq!(window.last_end(), end);
}

#[test]
fn a_start_that_the_clocks_skip_is_the_first_instant_after() {
    // Berlin, 28 March 2027: 02:00 is followed by 03:00, at 01:00 UTC.
    let window = once("2027-03-28 02:30", "2027-03-28 05:00", BERLIN).unwrap();
    assert_eq!(window.occurrences(), [period("2027-03-28 01:00", "2027-03-28 03:00")]);
    let window = once("2027-03-28 01:00", "2027-03-28 02:30", BERLIN).unwrap();
    assert_eq!(window.occurrences(), [period("2027-03-28 00:00", "2027-03-28 01:00")]);
    let skipped = once("2027-03-28 02:10", "2027-03-28 02:50", BERLIN);
    assert!(matches!(skipped, Err(PolicyError::EmptyWindow { .. })), "{skipped:?}");
    // Samoa skipped all of 30 December 2011.
    let window = once("2011-12-30 12:00", "2011-12-31 02:00", Tz::Pacific__Apia).unwrap();
    assert_eq!(window.occurrences(), [period("2011-12-30 10:00", "2011-12-30 12:00")]);
}

#[test]
fn repeated_local_time_counts_both_times() {
    // Berlin, 31 October 2027: 03:00 is followed by 02:00 again, at 01:00 UTC.
    let window = once("2027-10-31 02:15", "2027-10-31 02:45", BERLIN).unwrap();
    assert_eq!(window.occurrences(), [period("2027-10-31 00:15", "2027-10-31 01:45")]);
}

#[test]
fn a_recurrence_keeps_its_local_time_over_a_clock_change() {
    let rule = "FREQ=WEEKLY;COUNT=3";
    let window = Window::recurring(local("2027-03-21 02:30"), local("2027-03-21 04:00"), BERLIN, rule, []).unwrap();
    let expected = [
        period("2027-03-21 01:30", "2027-03-21 03:00"),
        period("2027-03-28 01:00", "2027-03-28 02:00"),
        period("2027-04-04 00:30", "2027-04-04 02:00"),
    ];
    assert_eq!(window.occurrences(), expected);
}

#[test]
fn an_excluded_date_drops_the_occurrence_that_starts_on_it() {
    let dropped = NaiveDate::from_ymd_opt(2026, 11, 25).unwrap();
    let (start, end) = (local("2026-11-24 22:00"), local("2026-11-25 02:00"));
    let window = Window::recurring(start, end, ZONE, "FREQ=DAILY;COUNT=3", [dropped]).unwrap();
    // The night from the 24th to the 25th stays: it starts on the 24th.
    assert!(window.occurrence_containing(at("2026-11-25 01:00")).is_some());
    assert!(window.occurrence_containing(at("2026-11-25 23:00")).is_none());
    assert!(window.occurrence_containing(at("2026-11-26 01:00")).is_none());
    assert!(window.occurrence_containing(at("2026-11-26 23:00")).is_some());
    let all = Window::recurring(start, end, ZONE, "FREQ=DAILY;COUNT=1", [start.date()]);
    assert_eq!(all, Err(PolicyError::NeverOpens));
}

#[test]
fn until_is_inclusive_in_local_time_and_in_utc() {
    for (until, count) in
        [("20261126T220000", 3), ("20261126T215959", 2), ("20261126T130000Z", 3), ("20261126T125959Z", 2)]
    {
        let window = recurring(&format!("FREQ=DAILY;UNTIL={until}")).unwrap();
        assert_eq!(window.occurrences().len(), count, "{until}");
    }
}

#[test]
fn invariant_11_no_window_is_empty_or_without_an_end_in_sight() {
    assert!(matches!(once("2026-11-24 22:00", "2026-11-24 22:00", ZONE), Err(PolicyError::EmptyWindow { .. })));
    assert!(matches!(once("2026-11-25 22:00", "2026-11-24 22:00", ZONE), Err(PolicyError::EmptyWindow { .. })));
    assert!(matches!(once("2026-11-24 22:00", "2027-11-25 22:01", ZONE), Err(PolicyError::LongWindow { .. })));
    assert!(matches!(once("2026-11-24 22:00", "9999-11-25 22:01", ZONE), Err(PolicyError::FarWindow { .. })));
    let long = Window::recurring(local("2026-11-24 22:00"), local("2026-11-25 22:01"), ZONE, "FREQ=DAILY;COUNT=2", []);
    assert!(matches!(long, Err(PolicyError::LongWindow { .. })));
    for rule in [
        "FREQ=DAILY",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=1001",
        "FREQ=DAILY;COUNT=800",
        "FREQ=MONTHLY;INTERVAL=300;COUNT=2",
        "FREQ=DAILY;UNTIL=20281125T220000",
        "FREQ=DAILY;UNTIL=99991231T235959Z",
    ] {
        assert!(matches!(recurring(rule), Err(PolicyError::InvalidRule { .. })), "{rule}");
    }
}

#[test]
fn a_rule_beyond_the_subset_is_refused_by_its_part() {
    for (rule, part) in [
        ("", ""),
        ("nonsense", "NONSENSE"),
        ("FREQ=DAILY", "end"),
        ("COUNT=3", "FREQ="),
        ("FREQ=YEARLY;COUNT=3", "FREQ=YEARLY"),
        ("FREQ=HOURLY;COUNT=3", "FREQ=HOURLY"),
        ("FREQ=DAILY;FREQ=DAILY;COUNT=3", "FREQ=DAILY"),
        ("FREQ=DAILY;INTERVAL=0;COUNT=3", "INTERVAL=0"),
        ("FREQ=DAILY;INTERVAL=+2;COUNT=3", "INTERVAL=+2"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101T000000", "COUNT"),
        ("FREQ=DAILY;COUNT=", "COUNT="),
        ("FREQ=DAILY;UNTIL=20270101", "UNTIL=20270101"),
        ("FREQ=DAILY;UNTIL=20270199T000000", "UNTIL=20270199T000000"),
        ("FREQ=DAILY;BYHOUR=22;COUNT=3", "BYHOUR=22"),
        ("FREQ=WEEKLY;WKST=SU;COUNT=3", "WKST=SU"),
        ("FREQ=WEEKLY;BYSETPOS=1;COUNT=3", "BYSETPOS=1"),
        ("FREQ=WEEKLY;BYDAY=2TU;COUNT=3", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=XX;COUNT=3", "BYDAY=XX"),
        ("FREQ=WEEKLY;BYDAY=;COUNT=3", "BYDAY="),
        ("FREQ=WEEKLY;BYDAY=火;COUNT=3", "BYDAY=火"),
        ("FREQ=WEEKLY;BYMONTHDAY=24;COUNT=3", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYDAY=TU;COUNT=3", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=6TU;COUNT=3", "BYDAY=6TU"),
        ("FREQ=MONTHLY;BYDAY=0TU;COUNT=3", "BYDAY=0TU"),
        ("FREQ=MONTHLY;BYDAY=-5TU;COUNT=3", "BYDAY=-5TU"),
        ("FREQ=MONTHLY;BYDAY=4TU;BYMONTHDAY=24;COUNT=3", "BYDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0;COUNT=3", "BYMONTHDAY=0"),
        ("FREQ=MONTHLY;BYMONTHDAY=32;COUNT=3", "BYMONTHDAY=32"),
        ("FREQ=MONTHLY;BYMONTHDAY=-128;COUNT=3", "BYMONTHDAY=-128"),
        ("FREQ=WEEKLY;BYDAY=WE;COUNT=3", "FREQ=WEEKLY;BYDAY=WE;COUNT=3"),
    ] {
        match recurring(rule) {
            Err(PolicyError::InvalidRule { part: found, .. }) => assert_eq!(found, part, "{rule}"),
            other => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn a_rule_that_never_comes_is_refused_soon() {
    // From a 31st every twelfth month: only one day in the rule's two years fits, so a second never comes.
    let start = local("2026-10-31 22:00");
    let rule = "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=30,31;COUNT=1000";
    let refused = Window::recurring(start, start + TimeDelta::hours(1), ZONE, rule, []);
    assert!(matches!(refused, Err(PolicyError::InvalidRule { .. })), "{refused:?}");
    let never = Window::recurring(
        local("2027-02-01 22:00"),
        local("2027-02-01 23:00"),
        ZONE,
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;COUNT=5",
        [],
    );
    assert!(matches!(never, Err(PolicyError::InvalidRule { .. })), "{never:?}");
}

#[test]
fn a_window_is_stored_as_people_wrote_it_and_read_back_checked() {
    for window in
        [once("2026-11-24 22:00", "2026-11-25 02:00", ZONE).unwrap(), recurring("rrule:freq=daily;count=3").unwrap()]
    {
        let stored = serde_json::to_string(&window).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&stored).unwrap(), window);
    }
    let stored = r#"{"kind":"recurring","start":"2026-11-24T22:00:00","end":"2026-11-25T02:00:00","zone":"Asia/Tokyo","rrule":"FREQ=DAILY;COUNT=3","excluded":["2026-11-25"]}"#;
    assert_eq!(serde_json::from_str::<Window>(stored).unwrap().occurrences().len(), 2);
    for (part, broken) in [
        ("COUNT=3", "COUNT=0"),
        ("2026-11-25T02", "2026-11-24T02"),
        ("Asia/Tokyo", "Asia/Edo"),
        ("\"excluded\"", "\"exclude\""),
        ("recurring", "always"),
    ] {
        assert!(serde_json::from_str::<Window>(&stored.replace(part, broken)).is_err(), "{broken}");
    }
}
