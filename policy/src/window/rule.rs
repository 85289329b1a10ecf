//! The recurrence rules that are accepted: a bounded subset of RFC 5545, section 3.3.10.
//!
//! The `rrule` crate expands them, but on floating time (the wall clock taken for UTC): it goes astray where clocks
//! change. [`super::Window`] puts the occurrences into the zone.

use crate::error::PolicyError;
use crate::words::Words;
use chrono::{DateTime, Days, NaiveDateTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use rrule::{Frequency, NWeekday, RRule};

/// The most occurrences of one window.
const MOST_OCCURRENCES: u16 = 1000;
/// The longest time from the first to the last start, in days: two years.
const MOST_DAYS: u64 = 731;

const NOT_UNDERSTOOD: Words = Words::new("この組み合わせは解釈できません", "these parts do not go together");
const TOO_MANY: Words =
    Words::new("回数が1000回を超えます。早く終わるようにしてください", "more than 1000 occurrences: end it earlier");
const TOO_LONG: Words = Words::new(
    "2年（731日）を超えるか、二度と当てはまりません。2年以内に終わるようにしてください",
    "it runs over more than 731 days or never comes up again: end it within two years",
);

/// A rule that was understood. Whether it fits a first start is known in [`Rule::starts`].
pub(super) struct Rule {
    text: String,
    frequency: Frequency,
    interval: u16,
    weekdays: Vec<NWeekday>,
    month_days: Vec<i8>,
    bound: Bound,
}

/// How a rule ends. A rule without an end is not accepted.
enum Bound {
    Count(u32),
    UntilLocal(NaiveDateTime),
    UntilUtc(DateTime<Utc>),
}

impl Rule {
    /// Reads a rule such as `FREQ=WEEKLY;BYDAY=TU,TH;COUNT=10`; a leading `RRULE:` is taken off.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        let parts = Parts::parse(text)?;
        let rule = Self {
            text: text.to_owned(),
            frequency: frequency(parts.value("FREQ"))?,
            interval: parts.value("INTERVAL").map_or(Ok(1), interval)?,
            weekdays: parts.value("BYDAY").map_or(Ok(Vec::new()), |days| list(days, weekday))?,
            month_days: parts.value("BYMONTHDAY").map_or(Ok(Vec::new()), |days| list(days, month_day))?,
            bound: bound(parts.value("COUNT"), parts.value("UNTIL"))?,
        };
        rule.check_parts_fit()?;
        Ok(rule)
    }

    /// The rule as it is kept: upper case, without `RRULE:`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The local starts of all occurrences, ascending, the first of which is `first`.
    pub(super) fn starts(&self, first: NaiveDateTime, zone: Tz) -> Result<Vec<NaiveDateTime>, PolicyError> {
        let last = first
            .checked_add_days(Days::new(MOST_DAYS))
            .ok_or_else(|| self.fault(Words::new("先の日付すぎます", "too far ahead")))?;
        let mut rule = RRule::new(self.frequency)
            .interval(self.interval)
            .week_start(Weekday::Mon)
            .by_weekday(self.weekdays.clone())
            .by_month_day(self.month_days.clone());
        rule = match self.bound {
            Bound::Count(count) => rule.count(count),
            Bound::UntilLocal(until) => rule.until(floating(self.within(until, last)?)),
            Bound::UntilUtc(until) => {
                rule.until(floating(self.within(until.with_timezone(&zone).naive_local(), last)?))
            }
        };
        let found = rule
            .build(floating(first))
            .map_err(|_| self.fault(NOT_UNDERSTOOD))?
            .before(floating(last))
            .all(MOST_OCCURRENCES.saturating_add(1));
        let starts: Vec<NaiveDateTime> = found.dates.iter().map(|at| at.naive_utc()).collect();
        self.check_starts(first, &starts)?;
        Ok(starts)
    }

    fn within(&self, until: NaiveDateTime, last: NaiveDateTime) -> Result<NaiveDateTime, PolicyError> {
        if until <= last { Ok(until) } else { Err(self.fault(TOO_LONG)) }
    }

    fn check_starts(&self, first: NaiveDateTime, starts: &[NaiveDateTime]) -> Result<(), PolicyError> {
        // RFC 5545, 3.8.5.3: a first start that the rule does not give makes the set undefined.
        if starts.first() != Some(&first) {
            return Err(self.fault(Words::new(
                "最初の開始日が繰り返しの日に含まれていません。繰り返しに含まれる日から始めてください",
                "the first start is not one of its occurrences: begin on a day that it names",
            )));
        }
        if starts.len() > usize::from(MOST_OCCURRENCES) {
            return Err(self.fault(TOO_MANY));
        }
        match self.bound {
            Bound::Count(count) if u32::try_from(starts.len()) != Ok(count) => Err(self.fault(TOO_LONG)),
            _ => Ok(()),
        }
    }

    fn check_parts_fit(&self) -> Result<(), PolicyError> {
        let monthly = self.frequency == Frequency::Monthly;
        let ordinal = |day: &NWeekday| matches!(day, NWeekday::Nth(..));
        if monthly && !self.weekdays.iter().all(ordinal) {
            return Err(fault(
                "BYDAY",
                Words::new(
                    "毎月の場合は何番目かを書いてください。2TUは第2火曜日、-1FRは最終金曜日です",
                    "by month, say which one: 2TU is the second Tuesday, -1FR the last Friday",
                ),
            ));
        }
        if !monthly && self.weekdays.iter().any(ordinal) {
            return Err(fault(
                "BYDAY",
                Words::new(
                    "番号はFREQ=MONTHLYのときだけ使えます。TUのように書いてください",
                    "a number goes with FREQ=MONTHLY only: write TU",
                ),
            ));
        }
        if !monthly && !self.month_days.is_empty() {
            return Err(fault(
                "BYMONTHDAY",
                Words::new("FREQ=MONTHLYのときだけ使えます", "it goes with FREQ=MONTHLY only"),
            ));
        }
        if !self.weekdays.is_empty() && !self.month_days.is_empty() {
            return Err(fault("BYDAY", Words::new("BYMONTHDAYと一緒には使えません", "use it or BYMONTHDAY, not both")));
        }
        Ok(())
    }

    fn fault(&self, what: Words) -> PolicyError {
        fault(&self.text, what)
    }
}

/// The parts of a rule, each known and given once.
struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Result<Self, PolicyError> {
        let mut parts: Vec<(&str, &str)> = Vec::new();
        for part in text.split(';') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| fault(part, Words::new("「名前=値」の形で書いてください", "write NAME=VALUE")))?;
            if !["FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "COUNT", "UNTIL"].contains(&name) {
                return Err(fault(
                    part,
                    Words::new(
                        "使えるのはFREQ・INTERVAL・BYDAY・BYMONTHDAY・COUNT・UNTILだけです",
                        "use FREQ, INTERVAL, BYDAY, BYMONTHDAY, COUNT and UNTIL only",
                    ),
                ));
            }
            if parts.iter().any(|(other, _)| *other == name) {
                return Err(fault(part, Words::new("2回書かれています", "it is given twice")));
            }
            parts.push((name, value));
        }
        Ok(Self(parts))
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(part, _)| *part == name).map(|(_, value)| *value)
    }
}

fn frequency(value: Option<&str>) -> Result<Frequency, PolicyError> {
    match value {
        Some("DAILY") => Ok(Frequency::Daily),
        Some("WEEKLY") => Ok(Frequency::Weekly),
        Some("MONTHLY") => Ok(Frequency::Monthly),
        other => Err(fault(
            &format!("FREQ={}", other.unwrap_or_default()),
            Words::new("DAILY・WEEKLY・MONTHLYのいずれかにしてください", "use DAILY, WEEKLY or MONTHLY"),
        )),
    }
}

fn interval(value: &str) -> Result<u16, PolicyError> {
    number(value).filter(|n| (1..=366).contains(n)).ok_or_else(|| {
        fault(&format!("INTERVAL={value}"), Words::new("1から366の数にしてください", "use a number from 1 to 366"))
    })
}

fn weekday(value: &str) -> Result<NWeekday, PolicyError> {
    let refused = || {
        fault(
            &format!("BYDAY={value}"),
            Words::new(
                "MO・TU・WE・TH・FR・SA・SUのいずれかにしてください。毎月の場合は1から5、または-1から-4を前に付けます",
                "use MO, TU, WE, TH, FR, SA, SU, by month with 1 to 5 or -1 to -4",
            ),
        )
    };
    let (ordinal, day) = value.split_at_checked(value.len().saturating_sub(2)).ok_or_else(refused)?;
    let day = match day {
        "MO" => Weekday::Mon,
        "TU" => Weekday::Tue,
        "WE" => Weekday::Wed,
        "TH" => Weekday::Thu,
        "FR" => Weekday::Fri,
        "SA" => Weekday::Sat,
        "SU" => Weekday::Sun,
        _ => return Err(refused()),
    };
    if ordinal.is_empty() {
        return Ok(NWeekday::Every(day));
    }
    let ordinal: i16 = ordinal.parse().map_err(|_| refused())?;
    if (-4..=5).contains(&ordinal) && ordinal != 0 { Ok(NWeekday::Nth(ordinal, day)) } else { Err(refused()) }
}

fn month_day(value: &str) -> Result<i8, PolicyError> {
    value.parse::<i8>().ok().filter(|day| (1..=31).contains(&day.unsigned_abs())).ok_or_else(|| {
        fault(
            &format!("BYMONTHDAY={value}"),
            Words::new(
                "1から31、または月末から数えて-1から-31にしてください",
                "use 1 to 31, or -1 to -31 from the month's end",
            ),
        )
    })
}

fn bound(count: Option<&str>, until: Option<&str>) -> Result<Bound, PolicyError> {
    match (count, until) {
        (Some(_), Some(_)) => Err(fault("COUNT", Words::new("UNTILと一緒には使えません", "use it or UNTIL, not both"))),
        (None, None) => Err(fault(
            "end",
            Words::new(
                "終わりのない時間帯は作れません。COUNTかUNTILを加えてください",
                "every window ends: add COUNT or UNTIL",
            ),
        )),
        (Some(count), None) => {
            number(count).filter(|n| (1..=u32::from(MOST_OCCURRENCES)).contains(n)).map(Bound::Count).ok_or_else(|| {
                fault(
                    &format!("COUNT={count}"),
                    Words::new("1から1000の数にしてください", "use a number from 1 to 1000"),
                )
            })
        }
        (None, Some(until)) => moment(until),
    }
}

/// An `UNTIL`, inclusive as the RFC has it. A bare date is refused: readers differ on whether that day still counts.
fn moment(value: &str) -> Result<Bound, PolicyError> {
    let (digits, utc) = value.strip_suffix('Z').map_or((value, false), |digits| (digits, true));
    let moment = NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S")
        .ok()
        .filter(|_| digits.len() == 15)
        .ok_or_else(|| {
            let what = Words::new(
                "日付と時刻を書いてください。現地時刻なら20270331T235959、UTCなら20270331T145959Zです",
                "write date and time, 20270331T235959 in local time or 20270331T145959Z in UTC",
            );
            fault(&format!("UNTIL={value}"), what)
        })?;
    Ok(if utc { Bound::UntilUtc(moment.and_utc()) } else { Bound::UntilLocal(moment) })
}

fn list<T>(values: &str, one: fn(&str) -> Result<T, PolicyError>) -> Result<Vec<T>, PolicyError> {
    values.split(',').map(one).collect()
}

/// Digits only: `parse` would take a sign too.
fn number<T: std::str::FromStr>(value: &str) -> Option<T> {
    value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

fn floating(local: NaiveDateTime) -> DateTime<rrule::Tz> {
    rrule::Tz::UTC.from_utc_datetime(&local)
}

fn fault(part: &str, what: Words) -> PolicyError {
    PolicyError::InvalidRule { part: part.chars().take(80).collect(), fault: what }
}
