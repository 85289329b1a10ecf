//! Single values as people type them. What is wrong is told with the text that was typed, cut short.

use super::{Flaw, Problem};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use ipnet::IpNet;
use sekimori_policy::facts::{Account, Period};
use sekimori_policy::mail::MailAddress;
use std::net::IpAddr;
use std::str::FromStr;

/// The most characters of a name.
pub const NAME: usize = 200;
/// The most characters of anything else on one line.
pub const LINE: usize = 500;
/// The most entries of a list.
pub const ENTRIES: usize = 100;

/// A text on one line: nothing in it that acts on a screen instead of being shown.
pub fn line(field: &'static str, text: &str, most: usize) -> Option<Flaw> {
    let problem = if text.chars().count() > most {
        Problem::TooLong { most }
    } else if text.chars().any(|c| c.is_control() || acts(c)) {
        Problem::Unseen
    } else {
        return None;
    };
    Some(Flaw::new(field, problem))
}

/// The same for what must not be empty.
pub fn name(field: &'static str, text: &str) -> Option<Flaw> {
    if text.trim().is_empty() { Some(Flaw::new(field, Problem::Missing)) } else { line(field, text, NAME) }
}

/// Words that somebody else reads, on a screen of theirs: a reason, a message.
pub fn words(field: &'static str, text: &str) -> Option<Flaw> {
    if text.trim().is_empty() { Some(Flaw::new(field, Problem::Missing)) } else { line(field, text, LINE) }
}

/// Marks that reorder or hide what stands around them. Joiners are none of them: some scripts need them.
#[must_use]
pub fn acts(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// An ID.
///
/// # Errors
/// What an ID looks like.
pub fn id<T: FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| if text.is_empty() { Problem::Missing } else { Problem::NoId(short(text)) })
}

/// A network, or one address.
///
/// # Errors
/// What a network looks like.
pub fn network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| Problem::NoNetwork(short(text)))
}

/// Entries separated by blanks, commas or lines.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || [',', '、', '，'].contains(&c)).filter(|entry| !entry.is_empty())
}

/// Networks, in any number of lines.
///
/// # Errors
/// The first that is none.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Problem> {
    let networks: Vec<IpNet> = entries(text).take(ENTRIES + 1).map(network).collect::<Result<_, _>>()?;
    if networks.len() > ENTRIES { Err(Problem::TooMany { most: ENTRIES }) } else { Ok(networks) }
}

/// An address with or without a port: `HOST`, `HOST:PORT`, `[IPV6]:PORT`.
///
/// # Errors
/// What an address looks like.
pub fn address(text: &str) -> Result<(String, Option<u16>), Problem> {
    let malformed = || Problem::NoAddress(short(text));
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(malformed)?)),
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(self::port).transpose()?;
    let speakable = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c));
    if host.is_empty() || host.len() > 253 || host.starts_with('-') || !speakable {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

/// A TCP port.
///
/// # Errors
/// What a port looks like.
pub fn port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| Problem::NoPort(short(text)))
}

/// A mail address; none where nothing was typed.
///
/// # Errors
/// What a mail address looks like.
pub fn mail(text: &str) -> Result<Option<MailAddress>, Problem> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Problem::NoMail(short(text))),
    }
}

/// An account on a device: `NAME`, or `NAME:shared`.
///
/// # Errors
/// What an account looks like.
pub fn account(text: &str) -> Result<Account, Problem> {
    let malformed = || Problem::NotAnAccount(short(text));
    let (name, shared) = match text.split_once(':') {
        Some((name, "shared")) => (name, true),
        Some(_) => return Err(malformed()),
        None => (text, false),
    };
    if name.is_empty() || name.len() > NAME || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'+') {
        return Err(malformed());
    }
    Ok(Account { name: name.to_owned(), shared })
}

/// A date: `2026-11-22` or `2026/11/22`.
///
/// # Errors
/// What a date looks like.
pub fn date(text: &str) -> Result<NaiveDate, Problem> {
    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(text, "%Y/%m/%d"));
    parsed.map_err(|_| Problem::NoDate(short(text)))
}

/// From the first moment of the first day to the last moment of the last, in the hospital's zone.
///
/// # Errors
/// A day that has no midnight there, or days in the wrong order.
pub fn days(first: NaiveDate, last: NaiveDate, zone: Tz) -> Result<Period, Problem> {
    let after = last.succ_opt().ok_or_else(|| Problem::NoDate(last.to_string()))?;
    let period = Period { from: midnight(first, zone)?, until: midnight(after, zone)? };
    if period.from < period.until { Ok(period) } else { Err(Problem::ContractBackwards) }
}

fn midnight(day: NaiveDate, zone: Tz) -> Result<DateTime<Utc>, Problem> {
    let midnight = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    midnight.map(|at| at.to_utc()).ok_or_else(|| Problem::NoDate(day.to_string()))
}

/// The first and the last day of a period, as [`days`] reads them.
#[must_use]
pub fn first_and_last(period: Period, zone: Tz) -> (NaiveDate, NaiveDate) {
    let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    (day(period.from), day(period.until - TimeDelta::microseconds(1)))
}

/// What was typed, as far as a message repeats it.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() || acts(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use chrono_tz::Asia::Tokyo;

    #[test]
    fn what_acts_on_a_screen_is_no_name() {
        for text in ["a\u{1b}[2J", "a\nb", "x\u{202e}gpj", "a\u{200f}", "a\u{2066}b", "\u{feff}a", "a\u{e0041}"] {
            assert_eq!(name("name", text).unwrap().problem, Problem::Unseen, "{text:?}");
        }
        for text in ["アクメ医療機器（株）", "<script>alert(1)</script>", "O'Brien & Söhne", "च\u{94d}\u{200d}"]
        {
            assert_eq!(name("name", text), None, "{text:?}");
        }
        assert_eq!(name("name", " \u{3000}").unwrap().problem, Problem::Missing);
        assert_eq!(name("name", &"a".repeat(201)).unwrap().problem, Problem::TooLong { most: 200 });
    }

    #[test]
    fn addresses_as_people_type_them() {
        assert_eq!(address("ct.local"), Ok(("ct.local".into(), None)));
        assert_eq!(address("192.0.2.1:2200"), Ok(("192.0.2.1".into(), Some(2200))));
        assert_eq!(address("[2001:db8::1]:2200"), Ok(("2001:db8::1".into(), Some(2200))));
        assert_eq!(address("2001:db8::1"), Ok(("2001:db8::1".into(), None)));
        for text in ["", ":22", "h:0", "h:x", "h:+22", "h:70000", "a b", "[::1]x", "-oProxyCommand=x", "ct;01"] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn accounts_as_people_type_them() {
        assert_eq!(account("root:shared"), Ok(Account { name: "root".into(), shared: true }));
        for text in ["", ":shared", "a b", "a+b", "a:other"] {
            assert!(account(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_are_checked_each() {
        assert_eq!(networks("203.0.113.0/24\r\n 2001:db8::1、192.0.2.1").unwrap().len(), 3);
        assert_eq!(networks("203.0.113.0/24 10.0.0.0/33"), Err(Problem::NoNetwork("10.0.0.0/33".into())));
        assert_eq!(networks(&"192.0.2.1 ".repeat(101)), Err(Problem::TooMany { most: 100 }));
    }

    #[test]
    fn a_contract_lasts_to_the_end_of_its_last_day() {
        let day = |text: &str| date(text).unwrap();
        let term = days(day("2026-04-01"), day("2026/04/01"), Tokyo).unwrap();
        assert_eq!((term.until - term.from).num_hours(), 24);
        assert_eq!(first_and_last(term, Tokyo), (day("2026-04-01"), day("2026-04-01")));
        assert_eq!(days(day("2026-04-02"), day("2026-04-01"), Tokyo), Err(Problem::ContractBackwards));
        assert!(date("2026-02-30").is_err() && date("").is_err());
        assert!(days(day("2026-04-01"), NaiveDate::MAX, Tokyo).is_err());
    }
}
