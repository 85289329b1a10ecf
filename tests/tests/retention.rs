//! Recordings are kept as long as they have to be, held beyond that, and removed by two people; what is gone is told of
//! for ever. Time is made to pass for the commands by Debian's libfaketime.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Output, PATIENCE, SealedLog, at, faketime, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const TERMS: &str = "\n[retention]\nordinary_days = 100\ntransfer_days = 1000\n";

sekimori_tests::on_both_databases!(recordings_go_when_their_time_is_over_and_two_people_say_so);

fn recordings_go_when_their_time_is_over_and_two_people_say_so(database: Database) -> Result<()> {
    let mut hospital = Hospital::open(database)?;
    let config = hospital.gateway.demo.config.clone();
    fs::write(&config, fs::read_to_string(&config)? + TERMS)?;
    let work =
        at(&hospital.gateway.act(&hospital.auditor, &["work", "list", "--vendor", sekimori_tests::VENDOR])?, "/0/id")
            .as_str()
            .context("no work")?
            .to_owned();
    let certificate = hospital.sign_in()?;
    for command in ["echo first", "echo second", "echo third"] {
        hospital.exec(&certificate, command, Input::Nothing)?.success()?;
    }
    let sessions = hospital.all_closed()?;
    let [third, held, first] = sessions.as_slice() else { anyhow::bail!("not three sessions: {sessions:?}") };
    let tars = [first, held, third].iter().map(|session| hospital.sealed(&session.id)).collect::<Result<Vec<_>>>()?;
    hospital.await_events("recording.sealed", 3)?;
    let [first_tar, held_tar, third_tar] = tars.as_slice() else { anyhow::bail!("{tars:?}") };
    let later = Later { library: faketime()? };

    // Nobody reviewed the work yet: nothing is due, however old.
    ensure!(later.standings(&hospital)? == ["unsettled", "unsettled", "unsettled"]);
    let report = ["work", "report", &work, "--text", "done", "--by", &hospital.engineer.id];
    hospital.gateway.act(&hospital.approver, &report)?;
    hospital.gateway.act(&hospital.approver, &["work", "review", &work, "--comment", "as planned"])?;
    let now = hospital.gateway.act(&hospital.auditor, &["retention", "list"])?;
    ensure!(at(&now, "/0/is") == "kept" && at(&now, "/0/class") == "ordinary", "{now}");
    let reason = ["--reason", "term over"];
    let propose = [&["retention", "propose"][..], &reason].concat();
    hospital.gateway.refused(&hospital.approver, &propose)?;

    // What is held stays, and what is held may not be proposed by name.
    let hold = ["retention", "hold", "incident-1", &held.id, "--reason", "asked for by the police"];
    hospital.gateway.refused(&hospital.auditor, &hold)?;
    hospital.gateway.act(&hospital.administrator, &hold)?;
    ensure!(later.standings(&hospital)? == ["due", "held", "due"]);
    let by_name = [&propose[..], &[&held.id]].concat();
    ensure!(later.command(&hospital, &hospital.approver, &by_name)?.stderr.contains("held"));

    // Who proposed does not decide, nor who runs the gateway.
    let purge = later.act(&hospital, &hospital.approver, &propose)?;
    let id = at(&purge, "/id").as_str().context("no purge")?.to_owned();
    let named = at(&purge, "/sessions").as_object().context("no sessions")?.keys().cloned().collect::<BTreeSet<_>>();
    ensure!(named == BTreeSet::from([first.id.clone(), third.id.clone()]), "{purge}");
    for person in [&hospital.approver, &hospital.administrator, &hospital.auditor] {
        let refused = later.command(&hospital, person, &["retention", "approve", &id])?;
        ensure!(refused.code == Some(3), "{person} decides: {refused:?}");
    }
    ensure!(tars.iter().all(|tar| tar.exists()));
    let safety = ["person", "add", "safety", "--name", "安全 守", "--role", "safety_manager"];
    hospital.gateway.act(&hospital.administrator, &safety)?;

    // Held since it was proposed; and one cannot be removed just now, as after a crash.
    let late = ["retention", "hold", "case.2", &third.id, "--reason", "a complaint"];
    hospital.gateway.act(&hospital.approver, &late)?;
    let aside = first_tar.with_extension("aside");
    fs::rename(first_tar, &aside)?;
    fs::create_dir_all(first_tar.join("in the way"))?;
    let approved = later.command(&hospital, "safety", &["retention", "approve", &id])?;
    ensure!(approved.code == Some(1) && approved.stderr.contains("cannot remove"), "{approved:?}");
    fs::remove_dir_all(first_tar)?;
    fs::rename(&aside, first_tar)?;
    ensure!(
        later.command(&hospital, "safety", &["retention", "approve", &id])?.code == Some(5),
        "a purge is decided twice"
    );
    let purged = hospital.events("recording.purged")?;
    ensure!(purged.len() == 1 && at(purged.first().context("none")?, "/session") == first.id.as_str(), "{purged:?}");
    ensure!(hospital.events("purge.done")?.is_empty());
    let backup = hospital.workstation.folder().join("backup");
    let take = ["backup", &backup.display().to_string()].map(str::to_owned);
    let take: Vec<&str> = take.iter().map(String::as_str).collect();
    let below = hospital.recordings();
    let in_backup = |tar: &PathBuf| -> Result<bool> {
        let within = tar.strip_prefix(&below)?.to_owned();
        Ok(backup.join("recordings").join(within).exists())
    };
    // It was approved, and its bytes are there still.
    hospital.gateway.act(&hospital.administrator, &take)?;
    ensure!(in_backup(first_tar)? && in_backup(held_tar)?);
    hospital.gateway.kill()?;
    let _served = hospital.gateway.serve_again()?;
    let end = Instant::now() + PATIENCE;
    while hospital.events("purge.done")?.is_empty() {
        ensure!(Instant::now() < end, "what was approved is not removed");
        thread::sleep(Duration::from_millis(50));
    }
    ensure!(!first_tar.exists() && held_tar.exists() && third_tar.exists());

    hospital.gateway.act(&hospital.administrator, &take)?;
    ensure!(!in_backup(first_tar)? && in_backup(held_tar)?, "a backup keeps what was removed");

    // What is gone is told of: whoever looks for it, and whoever verifies.
    let passphrase = hospital.gateway.passphrase_file();
    let replay = ["session", "replay", &first.id, "--text", "--passphrase-file", &passphrase];
    ensure!(hospital.gateway.refused(&hospital.auditor, &replay)?.contains("was removed on"));
    let shown = hospital.gateway.act(&hospital.auditor, &["session", "show", &first.id])?;
    ensure!(at(&shown, "/purged").is_string(), "{shown}");
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let (log, keys) = (sealed.log.display().to_string(), sealed.keys.display().to_string());
    let recordings = hospital.recordings().display().to_string();
    let judged = |more: &[&str]| -> Result<Vec<String>> {
        let args = ["--json", "verify", "--log", &log, "--keys", &keys, "--recordings", &recordings];
        let output = hospital.gateway.command(&[&args[..], more].concat(), Input::Nothing)?;
        let report: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        let faults = at(&report, "/faults").as_array().context("no faults")?;
        let codes = faults.iter().filter_map(|fault| at(fault, "/code").as_str().map(str::to_owned));
        // The commands came from the future, and the gateway was killed: that is asked about.
        Ok(codes.filter(|code| !matches!(code.as_str(), "beat-gap" | "time-backwards" | "session-unclosed")).collect())
    };
    ensure!(judged(&["--retention", "150"])?.is_empty(), "{:?}", judged(&[])?);
    ensure!(judged(&["--retention", "300"])? == ["purge-early"], "{:?}", judged(&["--retention", "300"])?);
    fs::rename(held_tar, held_tar.with_extension("gone"))?;
    ensure!(judged(&[])?.iter().any(|code| code == "body-missing"), "a recording goes without a purge");
    fs::rename(held_tar.with_extension("gone"), held_tar)?;
    Ok(())
}

/// Commands two hundred days from now.
struct Later {
    library: PathBuf,
}

impl Later {
    fn command(&self, hospital: &Hospital, person: &str, args: &[&str]) -> Result<Output> {
        let mut command = hospital.gateway.prepared(&[&["--json", "--as", person], args].concat());
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", "+200d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        run(&mut command, Input::Nothing, PATIENCE)
    }

    fn act(&self, hospital: &Hospital, person: &str, args: &[&str]) -> Result<Value> {
        let output = self.command(hospital, person, args)?.success()?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?}: {output:?}"))
    }

    /// Where the recordings stand then, the oldest first.
    fn standings(&self, hospital: &Hospital) -> Result<Vec<String>> {
        let listed = self.act(hospital, &hospital.auditor, &["retention", "list"])?;
        let rows = listed.as_array().context("no list")?;
        Ok(rows.iter().filter_map(|row| at(row, "/is").as_str().map(str::to_owned)).collect())
    }
}
