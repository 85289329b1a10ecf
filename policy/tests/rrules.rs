//! Recurrences compared with python-dateutil's; those that run over more than two years are refused. `rrule_expectations.py` says how the table is made.

use crate::hospital::ZONE;
use chrono::{NaiveDateTime, TimeDelta};
use sekimori_policy::error::PolicyError;
use sekimori_policy::window::Window;

/// The local starts in the form of the table: of more than seven, the first five and the last two.
fn shown(window: &Window) -> String {
    let starts: Vec<String> = window
        .occurrences()
        .iter()
        .map(|period| period.from.with_timezone(&ZONE).format("%Y-%m-%dT%H:%M").to_string())
        .collect();
    match starts.as_slice() {
        [a, b, c, d, e, .., y, z] if starts.len() > 7 => [a, b, c, d, e, y, z].map(String::as_str).join(" "),
        all => all.join(" "),
    }
}

#[test]
fn recurrences_are_those_of_dateutil() {
    let mut compared = 0;
    for line in include_str!("rrule_expectations.txt").lines() {
        let mut columns = line.split(" | ");
        let mut next = || columns.next().unwrap();
        let (first, rule, count, starts) = (next(), next(), next(), next());
        let start = NaiveDateTime::parse_from_str(first, "%Y-%m-%dT%H:%M").unwrap();
        let window = Window::recurring(start, start + TimeDelta::hours(4), ZONE, rule, []);
        let last = NaiveDateTime::parse_from_str(starts.rsplit(' ').next().unwrap(), "%Y-%m-%dT%H:%M").unwrap();
        if last > start + TimeDelta::days(731) {
            assert!(matches!(window, Err(PolicyError::InvalidRule { .. })), "{line}: {window:?}");
            continue;
        }
        let window = window.unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(window.occurrences().len().to_string(), count, "{line}");
        assert_eq!(shown(&window), starts, "{line}");
        compared += 1;
    }
    assert!(compared > 300, "{compared}");
}
