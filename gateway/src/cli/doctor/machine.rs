//! The machine: is there room, is the clock right, does the kernel hold the gateway, can its memory reach a disk?

use super::{Check, fail, ok, warn};
use crate::cli::context::Context;
use crate::config::{Database, Sandbox};
use crate::sandbox::{self, reach};
use crate::store::distant_and_unverified;
use chrono::Utc;
use std::path::Path;

/// All of it.
pub(super) fn check(context: &Context, checks: &mut Vec<Check>) {
    for folder in reach::writing(&context.config) {
        checks.push(room(&folder, context.config.recording.reserve_mib));
    }
    checks.push(clock());
    checks.push(held(context));
    checks.push(dumps());
    checks.extend(swap(&std::fs::read_to_string("/proc/swaps").unwrap_or_default()));
    checks.extend(context.config.database().ok().and_then(|database| network(&database)));
}

fn room(folder: &Path, reserve: u64) -> Check {
    let what = format!("room in {}", folder.display());
    match rustix::fs::statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
            let found = format!("{free} MiB free, {reserve} MiB are kept in reserve");
            if free < reserve {
                fail(&what, format!("{found}: no session starts; free some space"))
            } else if free < reserve.saturating_mul(4) {
                warn(&what, format!("{found}: recordings will fill it; move old ones away, or give it a larger disk"))
            } else {
                ok(&what, found)
            }
        }
        Err(rustix::io::Errno::NOENT) => warn(&what, "is not there yet; the gateway makes it when it starts".into()),
        Err(fault) => fail(&what, format!("cannot be looked at: {fault}; run this as the gateway's own user")),
    }
}

/// Where the daemons that keep the clock leave a sign of it.
const SYNCHRONISED: [&str; 5] = [
    "/run/systemd/timesync/synchronized",
    "/run/chrony/chronyd.pid",
    "/run/ntpd.pid",
    "/run/ntpsec/ntpd.pid",
    "/run/openntpd.pid",
];

/// Windows and one-time codes stand on the clock.
fn clock() -> Check {
    let now = Utc::now();
    let shown = now.format("%Y-%m-%d %H:%M:%S UTC");
    // Before this program was made: the machine has lost its time.
    if now.timestamp() < 1_767_225_600 {
        return fail("clock", format!("it says {shown}: set it, and have it kept (Debian: apt-get install chrony)"));
    }
    if SYNCHRONISED.iter().any(|sign| Path::new(sign).exists()) {
        return ok("clock", format!("{shown}, kept by time synchronisation"));
    }
    let found = "no sign of time synchronisation, and windows and one-time codes need a clock within 30 s";
    warn("clock", format!("{shown}; {found}: apt-get install chrony, or timedatectl set-ntp true"))
}

/// What the kernel would hold a gateway to that starts now.
fn held(context: &Context) -> Check {
    let wanted = context.config.process.sandbox;
    match sandbox::tried(wanted) {
        Err(fault) => fail("sandbox", format!("the gateway will not start: {fault}")),
        Ok(held) if wanted == Sandbox::Off => {
            warn("sandbox", format!("{held}: a gateway that is taken over may open any file; set \"best-effort\""))
        }
        Ok(held) if held.whole() => {
            let folders = reach::writing(&context.config);
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            ok("sandbox", format!("{held}; the gateway writes in {} only", folders.join(", ")))
        }
        Ok(held) => {
            let remedy = "it takes Linux 6.15 for all of it, with Landlock switched on (boot with lsm=landlock,…)";
            warn("sandbox", format!("{held}: {remedy}"))
        }
    }
}

/// A dump would hold keys, passwords, and what people saw.
fn dumps() -> Check {
    if sandbox::renounced() {
        ok("core dumps", "this program leaves none, and gains no privileges".into())
    } else {
        fail("core dumps", "the kernel did not keep what this program gave up: run it on the machine itself".into())
    }
}

/// Swap that is not encrypted keeps what memory held. `swaps` is the text of /proc/swaps.
fn swap(swaps: &str) -> Option<Check> {
    // A heading, then a line for each; zram is memory.
    let used = |line: &&str| !line.starts_with("/dev/zram") && !line.starts_with("/dev/dm-");
    let area = swaps.lines().skip(1).find(used)?.split_whitespace().next()?;
    let found = "may be written with what memory holds, secrets too";
    Some(warn("swap", format!("{area} {found}: encrypt it, or switch it off (swapoff {area}, and its line in fstab)")))
}

fn network(database: &Database) -> Option<Check> {
    let host = distant_and_unverified(database)?;
    let found = "is reached over a network, and nothing verifies that it is the one";
    Some(warn("database", format!("{host} {found}: set storage.database_ca and sslmode=verify-full")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Grade;

    #[test]
    fn swap_on_a_plain_disk_is_told_of() {
        let head = "Filename Type Size Used Priority\n";
        for quiet in ["", "/dev/zram0 partition 1 0 100\n", "/dev/dm-1 partition 1 0 -2\n"] {
            assert!(swap(&format!("{head}{quiet}")).is_none(), "{quiet}");
        }
        let told = swap(&format!("{head}/swapfile file 1 0 -2\n"));
        assert!(told.is_some_and(|check| check.grade == Grade::Warn && check.found.contains("swapoff /swapfile")));
    }

    #[test]
    fn a_distant_database_is_told_of_unless_it_is_verified() {
        let told = |url: &str, ca: bool| {
            network(&Database::Postgres { url: url.into(), ca: ca.then(|| "ca.pem".into()) }).map(|check| check.found)
        };
        assert!(
            told("postgres://u@db.example/x?sslmode=disable", false).is_some_and(|found| found.contains("db.example"))
        );
        assert!(told("postgres://u@db.example/x?sslmode=require", false).is_some());
        assert_eq!(told("postgres://u@db.example/x", true), None);
        assert_eq!(told("postgres://u@127.0.0.1/x", false), None);
        assert_eq!(told("postgres:///x?host=/run/postgresql", false), None);
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of() {
        assert_eq!(room(Path::new("/"), u64::MAX >> 21).grade, Grade::Fail);
        assert_eq!(room(Path::new("/"), 0).grade, Grade::Ok);
        assert_eq!(room(Path::new("/nowhere/at/all"), 0).grade, Grade::Warn);
    }
}
