//! What every verb needs: the configuration, the store, and the person in whose name it is done.

use super::error::CliError;
use crate::config::Config;
use crate::serve;
use crate::store::Store;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::authority::{Act, may};
use sekimori_policy::facts::Person;
use sekimori_policy::id::PersonId;
use serde_json::Value;
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// The file, in the data directory, that names the administrator whom `init` made.
pub const ADMINISTRATOR: &str = "administrator";

/// One run of a command.
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// Where it was read.
    pub config_path: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
    as_person: Option<PersonId>,
    store: OnceCell<Store>,
}

impl Context {
    /// A run with this configuration.
    #[must_use]
    pub fn new(config: Config, config_path: PathBuf, json: bool, as_person: Option<PersonId>) -> Self {
        Self { config, config_path, json, as_person, store: OnceCell::new() }
    }

    /// The store, opened once.
    ///
    /// # Errors
    /// When the database or the master key cannot be used.
    pub async fn store(&self) -> Result<&Store, CliError> {
        let open = async {
            let database = self.config.database().map_err(CliError::Usage)?;
            let store = Store::open(&database, serve::master_key(&self.config)?).await?;
            store.take_mail(self.config.mail.is_on());
            Ok::<_, CliError>(store)
        };
        self.store.get_or_try_init(|| open).await
    }

    /// The person this is done as, whatever they may do.
    ///
    /// # Errors
    /// When nobody is named, or nobody of that name is registered.
    pub async fn person(&self) -> Result<(Person, Actor), CliError> {
        let id = match &self.as_person {
            Some(id) => id.clone(),
            None => self.administrator()?,
        };
        let person = self.store().await?.person(&id).await?;
        let person = person.ok_or_else(|| CliError::NotFound(format!("no person {id} is registered: check --as")))?;
        let actor = Actor { person: Some(person.id.clone()), system_user: Some(system_user()) };
        Ok((person, actor))
    }

    /// The person this is done as, if their roles allow the act.
    ///
    /// # Errors
    /// [`CliError::Refused`] with the reason.
    pub async fn authority(&self, act: Act) -> Result<(Person, Actor), CliError> {
        let (person, actor) = self.person().await?;
        let _authority = may(&person, act)?;
        Ok((person, actor))
    }

    fn administrator(&self) -> Result<PersonId, CliError> {
        let path = self.config.data_dir().join(ADMINISTRATOR);
        let text = std::fs::read_to_string(&path).map_err(|fault| {
            CliError::Usage(format!("cannot read {}: {fault}; name a person with --as", path.display()))
        })?;
        Ok(text.trim().parse()?)
    }

    /// An event of now.
    #[must_use]
    pub fn event(&self, kind: Kind, actor: &Actor, detail: Value) -> Event {
        Event { detail, ..Event::new(Utc::now(), kind, actor.clone()) }
    }

    /// The hospital's zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.config.hospital.zone
    }

    /// A time as people type it, in the hospital's zone: `2026-11-22T22:00`, `22:00` (today), `+2h`, or RFC 3339.
    ///
    /// # Errors
    /// When it is none of these, or does not exist on that day.
    pub fn time(&self, text: &str) -> Result<DateTime<Utc>, CliError> {
        if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
            return Ok(exact.to_utc());
        }
        let zone = self.zone();
        let local = local_time(text, Utc::now().with_timezone(&zone).naive_local())?;
        let resolved = zone.from_local_datetime(&local).earliest();
        let missing = || CliError::Usage(format!("{text} does not exist in {zone}: the clocks are set forward then"));
        Ok(resolved.ok_or_else(missing)?.to_utc())
    }

    /// The first moment of a day, in the hospital's zone.
    ///
    /// # Errors
    /// When the day has none there.
    pub fn midnight(&self, day: NaiveDate) -> Result<DateTime<Utc>, CliError> {
        let zone = self.zone();
        let midnight = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
        midnight.map(|at| at.to_utc()).ok_or_else(|| CliError::Usage(format!("{day} has no midnight in {zone}")))
    }

    /// The first moment after a day, in the hospital's zone.
    ///
    /// # Errors
    /// When there is none.
    pub fn midnight_after(&self, day: NaiveDate) -> Result<DateTime<Utc>, CliError> {
        self.midnight(day.succ_opt().ok_or_else(|| CliError::Usage(format!("{day} is too far away")))?)
    }

    /// The same as wall-clock time of a zone, for windows.
    ///
    /// # Errors
    /// When it is no time.
    pub fn local(&self, text: &str, zone: Tz) -> Result<NaiveDateTime, CliError> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(exact) => Ok(exact.with_timezone(&zone).naive_local()),
            Err(_) => local_time(text, Utc::now().with_timezone(&zone).naive_local()),
        }
    }

    /// A time as people read it, in the hospital's zone.
    #[must_use]
    pub fn show(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone()).format("%Y-%m-%d %H:%M").to_string()
    }
}

/// A date: `2026-11-22` or `2026/11/22`.
///
/// # Errors
/// When it is none.
pub fn date(text: &str) -> Result<NaiveDate, CliError> {
    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").or_else(|_| NaiveDate::parse_from_str(text, "%Y/%m/%d"));
    parsed.map_err(|_| CliError::Usage(format!("{text} is no date: write it as 2026-11-22")))
}

fn local_time(text: &str, now: NaiveDateTime) -> Result<NaiveDateTime, CliError> {
    let malformed = || {
        CliError::Usage(format!("{text} is no time: write 2026-11-22T22:00, 22:00, +2h, or RFC 3339 with an offset"))
    };
    if let Some(span) = text.strip_prefix('+') {
        let (number, unit) = span.split_at_checked(span.len().saturating_sub(1)).ok_or_else(malformed)?;
        let number: i64 = number.parse().ok().filter(|number| (0..=10_000).contains(number)).ok_or_else(malformed)?;
        return match unit {
            "s" => Ok(now + TimeDelta::seconds(number)),
            "m" => Ok(now + TimeDelta::minutes(number)),
            "h" => Ok(now + TimeDelta::hours(number)),
            "d" => now.checked_add_days(Days::new(number.unsigned_abs())).ok_or_else(malformed),
            _ => Err(malformed()),
        };
    }
    for format in ["%H:%M", "%H:%M:%S"] {
        if let Ok(time) = NaiveTime::parse_from_str(text, format) {
            return Ok(now.date().and_time(time));
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(time);
        }
    }
    date(text).map(|date| date.and_time(NaiveTime::MIN)).map_err(|_| malformed())
}

/// The operating system's user at the keyboard. Behind sudo, the one who called it is named as well.
fn system_user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(caller) if !caller.is_empty() => format!("{name} (sudo by {caller})"),
        _ => name,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap().and_hms_opt(13, 0, 0).unwrap();
        local_time(text, now).map_or_else(|fault| fault.to_string(), |time| time.to_string())
    }

    #[test]
    fn times_as_people_type_them() {
        assert_eq!(at("22:00"), "2026-11-22 22:00:00");
        assert_eq!(at("+90m"), "2026-11-22 14:30:00");
        assert_eq!(at("+1d"), "2026-11-23 13:00:00");
        assert_eq!(at("2026-12-01 08:30"), "2026-12-01 08:30:00");
        assert_eq!(at("2026/12/01"), "2026-12-01 00:00:00");
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_forms_that_are() {
        for text in ["", "+", "+x", "+5", "+99999d", "25:00", "2026-13-01", "tomorrow", "+1時"] {
            assert!(at(text).contains("is no time"), "{text:?}: {}", at(text));
        }
    }
}
