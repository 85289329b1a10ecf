//! The calendar: a week of windows, by device or by vendor, with those that meet at one device marked.

use super::fault::Fault;
use super::page::{self, Frame};
use super::texts::calendar::Texts;
use super::visit::{Request, Visit};
use super::works::tone;
use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc, Weekday};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Period;
use sekimori_policy::work::Work;
use std::collections::BTreeMap;

/// Days of a page.
const DAYS: u64 = 7;
/// The most pieces of work that are looked at for a page.
const WORKS: u32 = 1000;
/// The most rows of a page.
const ROWS: usize = 200;
/// The most names that an entry tells.
const NAMES: usize = 3;

/// A day of the head.
struct Day {
    label: String,
    today: bool,
}

/// A window in a day of a row.
struct Entry {
    work: String,
    hours: String,
    state: &'static str,
    tone: &'static str,
    /// The vendor in a device's row, the devices in a vendor's.
    with: String,
    overlaps: bool,
}

/// A device or a vendor.
struct Row {
    name: String,
    /// What the entries of each day lie in, on a phone with its name.
    days: Vec<(String, Vec<Entry>)>,
}

#[derive(Template)]
#[template(path = "calendar.html")]
struct CalendarPage {
    frame: Frame,
    c: &'static Texts,
    by_vendor: bool,
    from: String,
    earlier: Option<String>,
    later: Option<String>,
    days: Vec<Day>,
    rows: Vec<Row>,
    more: bool,
}

/// An occurrence of a piece of work, in the row of what it is told under.
struct Held<'a> {
    work: &'a Work,
    period: Period,
    overlaps: bool,
}

/// `GET /calendar`: a vendor's person sees the vendor's windows, the hospital all.
pub async fn calendar(visit: Visit) -> Result<Response, Fault> {
    let person = &visit.signed_in()?.person;
    if person.vendor.is_none() {
        visit.authority(Act::ReadLog)?;
    }
    let today = Utc::now().with_timezone(&visit.console.gate.config().hospital.zone).date_naive();
    // What is not a day, or lies where no calendar reaches, shows the week that is.
    let asked = visit.query.one("from").parse::<NaiveDate>().ok().filter(|day| (2000..2100).contains(&day.year()));
    let first = asked.unwrap_or_else(|| today.week(Weekday::Mon).first_day());
    let days: Vec<NaiveDate> = first.iter_days().take(DAYS as usize).collect();
    let span = Period { from: begin_of(&visit, first), until: begin_of(&visit, first + Days::new(DAYS)) };
    let mut works = visit.console.gate.store.works_within(person.vendor.as_ref(), span, WORKS + 1).await?;
    let cut_short = works.len() > WORKS as usize;
    works.truncate(WORKS as usize);
    let by_vendor = visit.query.one("by") == "vendor";
    let mut held = rows_of(&works, span, by_vendor);
    let more = cut_short || held.len() > ROWS;
    if !by_vendor {
        held.values_mut().for_each(|row| mark_overlaps(row));
    }
    let c = Texts::of(visit.language);
    page::shown(&CalendarPage {
        frame: page::frame(&visit, visit.t().calendar),
        c,
        by_vendor,
        from: first.to_string(),
        earlier: first.checked_sub_days(Days::new(DAYS)).map(|day| day.to_string()),
        later: first.checked_add_days(Days::new(DAYS)).map(|day| day.to_string()),
        days: days.iter().map(|day| Day { label: label(c, *day), today: *day == today }).collect(),
        rows: held.into_iter().take(ROWS).map(|(name, row)| shown(&visit, c, name, &row, &days, by_vendor)).collect(),
        more,
    })
}

/// Every occurrence under each device that it opens, or under its vendor.
fn rows_of(works: &[Work], span: Period, by_vendor: bool) -> BTreeMap<String, Vec<Held<'_>>> {
    let mut rows: BTreeMap<String, Vec<Held<'_>>> = BTreeMap::new();
    for work in works {
        let names: Vec<String> = if by_vendor {
            vec![work.vendor().to_string()]
        } else {
            work.request().devices.iter().map(ToString::to_string).collect()
        };
        for period in work.occurrences_within(span) {
            for name in &names {
                rows.entry(name.clone()).or_default().push(Held { work, period, overlaps: false });
            }
        }
    }
    rows.values_mut().for_each(|row| row.sort_by_key(|held| (held.period.from, held.period.until)));
    rows
}

/// Marks what meets another piece of work at the same device. The row is in the order of beginnings.
fn mark_overlaps(row: &mut [Held<'_>]) {
    for at in 1..row.len() {
        let (before, rest) = row.split_at_mut(at);
        let Some(one) = rest.first_mut() else { return };
        for other in before.iter_mut().filter(|other| other.period.until > one.period.from) {
            if other.work.id() != one.work.id() {
                other.overlaps = true;
                one.overlaps = true;
            }
        }
    }
}

fn shown(visit: &Request, c: &Texts, name: String, row: &[Held<'_>], days: &[NaiveDate], by_vendor: bool) -> Row {
    let of_day = |day: &NaiveDate| {
        let span = Period { from: begin_of(visit, *day), until: begin_of(visit, *day + Days::new(1)) };
        let within = row.iter().filter(|held| held.period.from < span.until && span.from < held.period.until);
        (label(c, *day), within.map(|held| entry(visit, c, held, span, by_vendor)).collect())
    };
    Row { name, days: days.iter().map(of_day).collect() }
}

fn entry(visit: &Request, c: &Texts, held: &Held<'_>, day: Period, by_vendor: bool) -> Entry {
    let zone = visit.console.gate.config().hospital.zone;
    let hour = |at: DateTime<Utc>| at.with_timezone(&zone).format("%H:%M").to_string();
    let Period { from, until } = held.period;
    // What goes on past midnight is told in both days, in each with the end that lies there.
    let begins = if from >= day.from { hour(from) } else { String::new() };
    let ends = if until < day.until { hour(until) } else { "24:00".to_owned() };
    let ends = if until > day.until { String::new() } else { ends };
    let state = held.work.state_at(Utc::now());
    let devices = &held.work.request().devices;
    let with = if by_vendor {
        let named = devices.iter().take(NAMES).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let rest = devices.len().saturating_sub(NAMES);
        if rest == 0 { named } else { format!("{named} {} {rest}", c.and_more) }
    } else {
        held.work.vendor().to_string()
    };
    Entry {
        work: held.work.id().to_string(),
        hours: format!("{begins}–{ends}"),
        state: state.label(visit.language),
        tone: tone(state),
        with,
        overlaps: held.overlaps,
    }
}

/// When a day begins in the hospital's zone, which may be later than midnight where clocks are put forward.
fn begin_of(visit: &Request, day: NaiveDate) -> DateTime<Utc> {
    let zone = visit.console.gate.config().hospital.zone;
    let midnight = day.and_time(NaiveTime::MIN);
    let found =
        (0..24).find_map(|hour| (midnight + chrono::TimeDelta::hours(hour)).and_local_timezone(zone).earliest());
    found.map_or_else(|| midnight.and_utc(), |begin| begin.with_timezone(&Utc))
}

fn label(c: &Texts, day: NaiveDate) -> String {
    let weekday = match day.weekday() {
        Weekday::Mon => c.monday,
        Weekday::Tue => c.tuesday,
        Weekday::Wed => c.wednesday,
        Weekday::Thu => c.thursday,
        Weekday::Fri => c.friday,
        Weekday::Sat => c.saturday,
        Weekday::Sun => c.sunday,
    };
    format!("{} ({weekday})", day.format("%m-%d"))
}
