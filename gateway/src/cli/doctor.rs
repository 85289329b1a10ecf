//! `sekimori doctor`: what stands in the way of a night without trouble, and what to do about it. What concerns the
//! machine itself is in `machine`, mail in `mail`.

mod machine;
mod mail;

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::room::Room;
use crate::seal::status::{State, Status};
use crate::store::{Protocol, SessionPage};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::Kind;
use sekimori_audit::keys::Recipients;
use sekimori_certs::host_ca::HostCa;
use sekimori_certs::host_key::HostKeys;
use sekimori_certs::ssh_ca::UserCa;
use serde::Serialize;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    grade: Grade,
    what: String,
    /// What was found, and what to do if it is not well.
    found: String,
}

/// How many of the newest sessions are looked at.
const LOOKED_AT: u32 = 1000;
/// In what time after its session's end a recording is sealed, even a long one.
const SEALED_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// Looks at everything, prints it, and fails if anything failed.
pub async fn run(context: &Context) -> Result<(), CliError> {
    let mut checks = vec![ok("configuration", context.config_path.display().to_string())];
    files(context, &mut checks);
    machine::check(context, &mut checks);
    listeners(context, &mut checks).await;
    checks.push(mail::server(context).await);
    match context.store().await {
        Ok(_) => {
            checks.push(ok("database", "opens, its schema is current, and the master key fits".into()));
            running(context, &mut checks).await?;
            sealing(context, &mut checks).await?;
            recordings(context, &mut checks).await?;
            checks.push(forecast(context).await?);
            checks.extend(mail::waiting(context).await?);
            register(context, &mut checks).await?;
        }
        Err(fault) => checks.push(fail("database", fault.to_string())),
    }
    if context.json {
        output::print_json(&checks)?;
    } else {
        for check in &checks {
            let grade = match check.grade {
                Grade::Ok => "OK  ",
                Grade::Warn => "WARN",
                Grade::Fail => "FAIL",
            };
            output::print_text(&format!("{grade}  {}: {}\n", check.what, output::visible(&check.found)))?;
        }
    }
    let failed = checks.iter().filter(|check| check.grade == Grade::Fail).count();
    if failed > 0 {
        return Err(CliError::Failed(format!("{failed} of {} checks failed", checks.len())));
    }
    Ok(())
}

fn ok(what: &str, found: String) -> Check {
    Check { grade: Grade::Ok, what: what.into(), found }
}

fn warn(what: &str, found: String) -> Check {
    Check { grade: Grade::Warn, what: what.into(), found }
}

fn fail(what: &str, found: String) -> Check {
    Check { grade: Grade::Fail, what: what.into(), found }
}

fn files(context: &Context, checks: &mut Vec<Check>) {
    let config = &context.config;
    for folder in [config.data_dir(), config.keys_dir(), config.recordings_dir()] {
        checks.push(private(&folder));
    }
    checks.push(match HostKeys::load(&config.keys_dir()) {
        Ok(keys) => {
            let prints = keys.public_keys().map(sekimori_certs::host_key::fingerprint);
            ok("host keys", prints.join(", "))
        }
        Err(fault) => fail("host keys", fault.to_string()),
    });
    let authorities = [
        ("user certificate authority", UserCa::load(&config.user_ca()).map(|ca| ca.fingerprint())),
        ("host certificate authority", HostCa::load(&config.host_ca()).map(|ca| ca.fingerprint())),
    ];
    for (what, loaded) in authorities {
        checks.push(match loaded {
            Ok(fingerprint) => ok(what, fingerprint),
            Err(fault) => fail(what, fault.to_string()),
        });
    }
    checks.push(match Recipients::read(&config.recipients()) {
        Ok(_) => ok("keys of recordings", "recordings are sealed to the audit office and to the recovery key".into()),
        Err(fault) => fail(
            "keys of recordings",
            format!("{fault}: restore the file, or make keys with `sekimori recording-key make`"),
        ),
    });
    checks.push(match crate::serve::master_key(config) {
        Ok(_) => ok("master key", "is readable by its owner only".into()),
        Err(fault) => fail("master key", fault.to_string()),
    });
}

fn private(folder: &Path) -> Check {
    let what = format!("folder {}", folder.display());
    match std::fs::metadata(folder) {
        Ok(found) if found.permissions().mode() & 0o077 == 0 => ok(&what, "open to its owner only".into()),
        Ok(_) => fail(&what, format!("others can read it: chmod 700 {}", folder.display())),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
            warn(&what, "is not there yet; the gateway makes it when it starts".into())
        }
        Err(fault) => fail(&what, format!("{fault}: run this as the gateway's own user")),
    }
}

async fn listeners(context: &Context, checks: &mut Vec<Check>) {
    let config = &context.config;
    let ssh = config.ssh.listen.iter().map(|address| ("SSH", address));
    let console = config.console.listen.iter().map(|address| ("the console", address));
    let log = config.log.listen.iter().map(|address| ("the log for anybody", address));
    for (what, address) in ssh.chain(console).chain(log) {
        let what = format!("{what} on {address}");
        checks.push(match tokio::net::TcpListener::bind(address).await {
            Ok(_) => warn(&what, "nobody listens: start `sekimori serve`".into()),
            Err(fault) if fault.kind() == std::io::ErrorKind::AddrInUse => ok(&what, "is served".into()),
            Err(fault) => fail(&what, format!("cannot be used: {fault}")),
        });
    }
}

/// What held the gateway that was started last, which an older kernel or configuration may have done.
async fn running(context: &Context, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let Some(start) = context.store().await?.newest_event(Kind::Start).await? else { return Ok(()) };
    let (at, held) = (context.show(start.at), start.detail.pointer("/sandbox/landlock").and_then(Value::as_i64));
    checks.push(match held {
        Some(version) => ok("last start", format!("{at}, held by Landlock {version}")),
        None => warn("last start", format!("{at}, without a sandbox: see the line above, then start it again")),
    });
    Ok(())
}

/// Whether the transparency log is being written.
async fn sealing(context: &Context, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let status = Status::of(&context.config, context.store().await?).await?;
    let sealed = status.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let found = match status.checkpoint {
        Some(_) => format!("{sealed} of {} events are sealed", status.events),
        None => format!("what was sealed of {} events cannot be read", status.events),
    };
    checks.push(match status.state {
        State::Level | State::Sealing => ok("log", found),
        State::Resting => warn("log", format!("{found}; the rest is sealed when `sekimori serve` runs")),
        State::Stalled => {
            let (folder, fault) =
                (context.config.log_dir(), status.fault.unwrap_or_else(|| "its disk does not answer".into()));
            let remedy =
                "no session starts; free space, mount the disk, or put the folder back, and it goes on by itself";
            fail("log", format!("{found}, and {} is not being written ({fault}): {remedy}", folder.display()))
        }
    });
    let required = context.config.log.witness_required_minutes > 0;
    for witness in &status.witnesses {
        let what = format!("witness {}", witness.name);
        let last = witness
            .at
            .map_or_else(|| "it has never cosigned".into(), |at| format!("it cosigned last at {}", context.show(at)));
        let remedy = "look whether it runs and is reached, or carry the log to it: sekimori log carry";
        checks.push(match (witness.silent, required) {
            (false, _) => ok(&what, last),
            (true, false) => warn(&what, format!("{last}: {remedy}")),
            (true, true) => fail(&what, format!("{last}, and sessions need a witness: {remedy}")),
        });
    }
    if status.witnesses.is_empty() {
        let found = "no witness is configured: what whoever holds this machine rewrites, only a checkpoint kept elsewhere shows";
        checks.push(warn("witness", found.into()));
    }
    Ok(())
}

/// Recordings that should have been sealed by now.
async fn recordings(context: &Context, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let newest = SessionPage { limit: LOOKED_AT, ..SessionPage::default() };
    let rows = context.store().await?.session_page(&newest).await?;
    let due = Utc::now() - SEALED_WITHIN;
    let ended = rows.iter().filter(|row| row.closing.as_ref().is_some_and(|end| end.at < due));
    let waiting: Vec<_> = ended.map(|row| super::session::folder(row, context)).collect();
    let waiting: Vec<_> = waiting.iter().filter(|folder| folder.exists()).collect();
    checks.push(match waiting.first() {
        None => ok("recordings", "those of sessions that have ended are sealed".into()),
        Some(first) => fail(
            "recordings",
            format!(
                "{} of sessions that have ended are not sealed, {} the newest: look at the gateway's messages, \
                 free space, and see whether `sekimori serve` runs",
                waiting.len(),
                first.display()
            ),
        ),
    });
    Ok(())
}

/// Days before the disk is full at which somebody should begin to do something about it.
const SOON: u64 = 30;

/// How long recordings have room, if people go on working as they did.
async fn forecast(context: &Context) -> Result<Check, CliError> {
    let what = "room for recordings";
    let room = match Room::look(&context.config, context.store().await?).await {
        Ok(room) => room,
        // What is wrong with the folder itself, its own line says.
        Err(fault) => return Ok(warn(what, format!("cannot be foretold: {fault}"))),
    };
    let free = room.free >> 20;
    Ok(match (room.a_day, room.days_left()) {
        (Some(a_day), Some(days)) => {
            let found = format!("{free} MiB are free, and {} MiB come a day: {days} days", a_day >> 20);
            let remedy = "see what is due (`sekimori retention show`), or give it a larger disk";
            if days < SOON { warn(what, format!("{found}: {remedy}")) } else { ok(what, found) }
        }
        _ => ok(what, format!("{free} MiB are free; there is less than a day to go by")),
    })
}

/// Devices that could not be dialled tonight, and work whose review is overdue.
async fn register(context: &Context, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let store = context.store().await?;
    for record in store.devices().await? {
        let id = &record.device.id;
        let what = format!("device {id}");
        if record.dialect.protocol == Protocol::Ssh && store.host_keys(id).await?.is_empty() {
            checks.push(warn(&what, format!("no host key is pinned: sekimori device scan-keys {id}")));
        }
        let credentials = store.credentials(id).await?;
        for account in &record.device.accounts {
            if !credentials.iter().any(|known| known.account == account.name) {
                let account = &account.name;
                checks.push(warn(
                    &what,
                    format!("no credential of {account}: sekimori device credential {id} {account}"),
                ));
            }
        }
    }
    let now = Utc::now();
    for work in store.works().await? {
        if work.unreviewed_past_deadline(now) {
            let (id, vendor) = (work.id(), work.vendor());
            let found = format!("its review is overdue, and blocks {vendor}: sekimori work review {id}");
            checks.push(warn(&format!("work {id}"), found));
        }
    }
    Ok(())
}
