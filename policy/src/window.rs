//! Windows (作業時間帯): when a piece of work may be done. One-off or recurring, half-open, in a named time zone.
//!
//! A [`Window`] in memory is valid and has at least one occurrence. People write local times; instants are resolved
//! here, once, when the window is made.

mod rule;

use crate::error::PolicyError;
use crate::facts::Period;
use crate::words::Words;
use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest one-off window, in hours: a year. There is no window without an end that somebody lives to see.
pub const LONGEST_ONCE_HOURS: i64 = 366 * 24;
/// The longest occurrence of a recurring window, in hours. With a day, occurrences cannot overlap.
pub const LONGEST_OCCURRENCE_HOURS: i64 = 24;

/// Windows lie in these years, so that adding days to a time never leaves what a time can hold.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2999;

/// When work may be done. Equality is that of the terms: two windows are equal if people wrote the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Window {
    terms: Terms,
    /// In ascending order, never empty.
    occurrences: Vec<Period>,
}

/// What people wrote, and what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Terms {
    Once {
        start: NaiveDateTime,
        end: NaiveDateTime,
        zone: Tz,
    },
    Recurring {
        start: NaiveDateTime,
        end: NaiveDateTime,
        zone: Tz,
        rrule: String,
        #[serde(default)]
        excluded: BTreeSet<NaiveDate>,
    },
}

impl Window {
    /// A window that opens once: `[start, end)` in local time of `zone`.
    ///
    /// # Errors
    /// When it is empty or longer than [`LONGEST_ONCE_HOURS`].
    pub fn once(start: NaiveDateTime, end: NaiveDateTime, zone: Tz) -> Result<Self, PolicyError> {
        check_length(
            start,
            end,
            LONGEST_ONCE_HOURS,
            Words::new(
                "早く終わるようにし、残りはあらためて申請してください",
                "end it earlier, and apply again for the rest",
            ),
        )?;
        let period = resolve(start, end, zone).ok_or(PolicyError::EmptyWindow { start, end })?;
        Ok(Self { terms: Terms::Once { start, end, zone }, occurrences: vec![period] })
    }

    /// A window that opens again and again. `start` and `end` are the first occurrence in local time of `zone`;
    /// `rrule` is a bounded subset of RFC 5545, section 3.3.10: `FREQ=DAILY|WEEKLY|MONTHLY`, `INTERVAL`,
    /// `BYDAY` (`TU` by day and week, `2TU` or `-1FR` by month), `BYMONTHDAY` by month, and `COUNT` or `UNTIL`.
    /// Occurrences that start on an `excluded` local date are left out.
    ///
    /// # Errors
    /// When the rule uses anything else, does not begin with `start`, gives more than 1000 occurrences or
    /// runs over more than two years; when an occurrence is empty or longer than [`LONGEST_OCCURRENCE_HOURS`].
    pub fn recurring(
        start: NaiveDateTime,
        end: NaiveDateTime,
        zone: Tz,
        rrule: &str,
        excluded: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<Self, PolicyError> {
        check_length(
            start,
            end,
            LONGEST_OCCURRENCE_HOURS,
            Words::new("1回ごとに1日以内に終わるようにしてください", "let each occurrence end within a day"),
        )?;
        let rule = Rule::parse(rrule)?;
        let excluded: BTreeSet<NaiveDate> = excluded.into_iter().collect();
        let length = end - start;
        let occurrences: Vec<Period> = rule
            .starts(start, zone)?
            .into_iter()
            .filter(|local| !excluded.contains(&local.date()))
            .filter_map(|local| resolve(local, local + length, zone))
            .collect();
        if occurrences.is_empty() {
            return Err(PolicyError::NeverOpens);
        }
        let rrule = rule.text().to_owned();
        Ok(Self { terms: Terms::Recurring { start, end, zone, rrule, excluded }, occurrences })
    }

    /// The occurrence that contains `now`, if one does.
    #[must_use]
    pub fn occurrence_containing(&self, now: DateTime<Utc>) -> Option<Period> {
        // Where one occurrence's end is repeated by the clocks, two may overlap: the later one lasts longer.
        self.occurrences.iter().rev().find(|period| period.contains(now)).copied()
    }

    /// The first occurrence that begins after `now`.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<Period> {
        self.occurrences.iter().find(|period| period.from > now).copied()
    }

    /// The end of the last occurrence: the window never opens again.
    #[must_use]
    pub fn last_end(&self) -> DateTime<Utc> {
        self.occurrences.iter().map(|period| period.until).max().unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// All occurrences, in ascending order: for calendars. At most 1000.
    #[must_use]
    pub fn occurrences(&self) -> &[Period] {
        &self.occurrences
    }

    /// The zone in which people wrote it, and in which its times are shown.
    #[must_use]
    pub fn zone(&self) -> Tz {
        match &self.terms {
            Terms::Once { zone, .. } | Terms::Recurring { zone, .. } => *zone,
        }
    }

    /// The recurrence rule, if it recurs.
    #[must_use]
    pub fn rrule(&self) -> Option<&str> {
        match &self.terms {
            Terms::Once { .. } => None,
            Terms::Recurring { rrule, .. } => Some(rrule),
        }
    }
}

impl TryFrom<Terms> for Window {
    type Error = PolicyError;

    fn try_from(terms: Terms) -> Result<Self, PolicyError> {
        match terms {
            Terms::Once { start, end, zone } => Self::once(start, end, zone),
            Terms::Recurring { start, end, zone, rrule, excluded } => {
                Self::recurring(start, end, zone, &rrule, excluded)
            }
        }
    }
}

impl From<Window> for Terms {
    fn from(window: Window) -> Terms {
        window.terms
    }
}

fn check_length(start: NaiveDateTime, end: NaiveDateTime, most: i64, remedy: Words) -> Result<(), PolicyError> {
    if !YEARS.contains(&start.year()) || !YEARS.contains(&end.year()) {
        return Err(PolicyError::FarWindow { start, end });
    }
    if end <= start {
        return Err(PolicyError::EmptyWindow { start, end });
    }
    let length = end - start;
    if length > TimeDelta::hours(most) {
        return Err(PolicyError::LongWindow { hours: length.num_hours(), most, remedy });
    }
    Ok(())
}

/// The instants of a local span; `None` if the clocks skip all of it.
///
/// Where local time is repeated, the start is the earlier and the end the later reading: people go by the clock on
/// the wall, and the window is open whenever that clock shows a time inside it.
fn resolve(start: NaiveDateTime, end: NaiveDateTime, zone: Tz) -> Option<Period> {
    let from = match zone.from_local_datetime(&start) {
        LocalResult::Single(at) => at.to_utc(),
        LocalResult::Ambiguous(earlier, _) => earlier.to_utc(),
        LocalResult::None => end_of_gap(start, zone),
    };
    let until = match zone.from_local_datetime(&end) {
        LocalResult::Single(at) => at.to_utc(),
        LocalResult::Ambiguous(_, later) => later.to_utc(),
        LocalResult::None => end_of_gap(end, zone),
    };
    (from < until).then_some(Period { from, until })
}

/// The first instant whose local time is `local` or later, for a `local` that the clocks skip.
fn end_of_gap(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    // Offsets lie between -12 and +14 hours, so the answer lies within 16 hours; transitions fall on whole seconds.
    let reading = local.and_utc();
    let (mut before, mut after) = (-16 * 3600, 16 * 3600);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if zone.from_utc_datetime(&(local + TimeDelta::seconds(middle))).naive_local() < local {
            before = middle;
        } else {
            after = middle;
        }
    }
    reading + TimeDelta::seconds(after)
}
