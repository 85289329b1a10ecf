//! How the gateway does (稼働状況), for who has no command line at hand: log, witnesses, room, backup, mail; and what its
//! configuration demands. `sekimori doctor` looks at more.

use super::fault::Fault;
use super::mails;
use super::page::{self, Frame};
use super::texts::system::Texts;
use super::visit::{Request, Visit};
use crate::room::Room;
use crate::seal::status::{State, Status};
use askama::Template;
use axum::response::Response;
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::retention::Class;

/// Days before the disk is full at which somebody should begin to do something about it.
const SOON: u64 = 30;
/// How old the newest backup may be.
const BACKUP: TimeDelta = TimeDelta::hours(36);

struct Check {
    what: String,
    tone: &'static str,
    grade: &'static str,
    found: String,
}

struct Setting {
    what: String,
    value: String,
}

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: Frame,
    x: &'static Texts,
    checks: Vec<Check>,
    settings: Vec<Setting>,
}

/// `GET /system`.
pub async fn system(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let mut checks = Box::pin(log(&visit)).await?;
    checks.push(Box::pin(room(&visit)).await);
    checks.push(Box::pin(backup(&visit)).await?);
    checks.push(mail(&visit).await?);
    page::shown(&SystemPage {
        frame: page::frame(&visit, visit.t().system),
        x: Texts::of(visit.language),
        checks,
        settings: settings(&visit),
    })
}

fn good(x: &Texts, what: impl Into<String>, found: String) -> Check {
    Check { what: what.into(), tone: "good", grade: x.good, found }
}

fn warn(x: &Texts, what: impl Into<String>, found: String) -> Check {
    Check { what: what.into(), tone: "warn", grade: x.look, found }
}

fn bad(x: &Texts, what: impl Into<String>, found: String) -> Check {
    Check { what: what.into(), tone: "bad", grade: x.trouble, found }
}

async fn log(visit: &Request) -> Result<Vec<Check>, Fault> {
    let (x, gate) = (Texts::of(visit.language), &visit.console.gate);
    let status = Status::of(&gate.config(), &gate.store).await?;
    let sealed = status.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let found = format!("{sealed} / {}", status.events);
    let mut checks = vec![match status.state {
        State::Stalled => bad(x, x.log, format!("{found}. {}", x.log_stalled)),
        State::Level | State::Sealing | State::Resting => good(x, x.log, found),
    }];
    for witness in status.witnesses {
        let last = witness.at.map_or_else(|| x.never.to_owned(), |at| visit.show(at));
        let what = format!("{} {}", x.witness, witness.name);
        checks.push(if witness.silent { bad(x, what, last) } else { good(x, what, last) });
    }
    if checks.len() == 1 {
        checks.push(warn(x, x.witness, x.no_witness.to_owned()));
    }
    Ok(checks)
}

async fn room(visit: &Request) -> Check {
    let (x, gate) = (Texts::of(visit.language), &visit.console.gate);
    let room = match Room::look(&gate.config(), &gate.store).await {
        Ok(room) => room,
        Err(fault) => return bad(x, x.room, fault.to_string()),
    };
    let free = format!("{} GiB", room.free >> 30);
    match room.days_left() {
        _ if room.free <= room.reserve => bad(x, x.room, format!("{free}. {}", x.room_over)),
        Some(days) if days < SOON => warn(x, x.room, format!("{free} ({days} {})", x.days)),
        Some(days) => good(x, x.room, format!("{free} ({days} {})", x.days)),
        None => good(x, x.room, free),
    }
}

async fn backup(visit: &Request) -> Result<Check, Fault> {
    let (x, store) = (Texts::of(visit.language), &visit.console.gate.store);
    let made = store.newest_event(Kind::BackupMade).await?.map(|event| event.at);
    let failed = store.newest_event(Kind::BackupFailed).await?.map(|event| event.at);
    let shown = made.map_or_else(|| x.never.to_owned(), |at| visit.show(at));
    Ok(if failed > made {
        bad(x, x.backup, format!("{shown}. {}", x.backup_failed))
    } else if made.is_some_and(|at| Utc::now() - at <= BACKUP) {
        good(x, x.backup, shown)
    } else {
        warn(x, x.backup, shown)
    })
}

async fn mail(visit: &Request) -> Result<Check, Fault> {
    let x = Texts::of(visit.language);
    if !visit.console.gate.config().mail().is_on() {
        return Ok(warn(x, visit.t().mails, x.no_mail.to_owned()));
    }
    Ok(match mails::trouble(visit).await? {
        Some(why) => bad(x, visit.t().mails, why.to_owned()),
        None => good(x, visit.t().mails, x.mail_goes.to_owned()),
    })
}

/// What the configuration demands of people, and what it keeps.
fn settings(visit: &Request) -> Vec<Setting> {
    let (x, config) = (Texts::of(visit.language), visit.console.gate.config());
    let setting = |what: &str, value: String| Setting { what: what.to_owned(), value };
    let minutes = |minutes: u64| format!("{minutes} {}", x.minutes);
    let hours = |hours: u64| format!("{hours} {}", x.hours);
    let demanded: Vec<_> = config.demands.methods.iter().map(|method| method.label(visit.language)).collect();
    let demanded = if demanded.is_empty() { x.two_kinds.to_owned() } else { demanded.join(" + ") };
    let age = config.demands.factors_max_age_minutes;
    let mut settings = vec![
        setting(x.zone, config.hospital.zone.name().to_owned()),
        setting(x.demanded, demanded),
        setting(x.factors_age, age.map_or_else(|| x.no_limit.to_owned(), |age| minutes(age.into()))),
        setting(x.carried, hours(config.ssh.sign_in_hours)),
        setting(x.idle_session, minutes(config.ssh.idle_minutes)),
        setting(x.idle_console, minutes(config.console.idle_minutes.into())),
        setting(x.whole_console, hours(config.console.sign_in_hours.into())),
        setting(x.step_up, minutes(config.console.step_up_minutes.into())),
    ];
    for class in Class::ALL {
        let term = config.retention.of(class);
        let term = term.map_or_else(|| x.for_good.to_owned(), |days| format!("{days} {}", x.days));
        settings.push(Setting { what: format!("{}: {}", x.retention, class.label(visit.language)), value: term });
    }
    settings
}
