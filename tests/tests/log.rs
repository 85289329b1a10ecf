//! The transparency log of a running gateway: every event in it within a second, and what others make of the folder.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, at, on_both_databases, run};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

on_both_databases!(every_event_is_sealed_within_a_second_and_others_verify_it, a_killed_gateway_goes_on_with_its_log);

fn every_event_is_sealed_within_a_second_and_others_verify_it(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let anchor = sealed.keep("anchor")?;

    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.closed_session()?;
    // The newest event was there before it was asked for, so that this is at least the time that sealing took.
    let took = sealed.await_newest(&hospital)?;
    ensure!(took < Duration::from_secs(1), "sealing took {took:?}");

    let report = sealed.is_intact(&hospital, &[&anchor])?;
    ensure!(at(&report, "/anchors/0/agrees") == true && at(&report, "/sessions") == 1, "{report:#}");
    // No name of anybody in the whole log.
    let entries = fs::read_dir(sealed.log.join("tile/entries/000.p"))?;
    for file in entries {
        let text = String::from_utf8_lossy(&fs::read(file?.path())?).into_owned();
        ensure!(!text.contains(&hospital.user()) && !text.contains(&hospital.engineer.id), "a name in a leaf: {text}");
    }
    spoilt(&hospital, &sealed, &anchor)
}

/// The same log with a byte of its last entries flipped, and with keys from inside of it.
fn spoilt(hospital: &Hospital, sealed: &SealedLog, anchor: &Path) -> Result<()> {
    let copy = hospital.workstation.folder().join("copy");
    run(Command::new("cp").arg("-a").args([&sealed.log, &copy]), Input::Nothing, PATIENCE)?.success()?;
    let copied = SealedLog { log: copy.clone(), keys: sealed.keys.clone() };
    let width = copied.size()?;
    ensure!(width < 256, "more events than this test expects: {width}");
    let bundle = copy.join(format!("tile/entries/000.p/{width}"));
    let mut bytes = fs::read(&bundle)?;
    // The entry's kind becomes another.
    let at_kind = bytes.windows(12).rposition(|window| window == b"session.open").context("no session.open")?;
    *bytes.get_mut(at_kind).context("no byte")? = b't';
    fs::write(&bundle, bytes)?;
    let (code, report) = copied.verified(hospital, &[anchor])?;
    ensure!(code == Some(7) && at(&report, "/verdict") == "altered", "{code:?} {report:#}");
    let fault =
        at(&report, "/faults").as_array().into_iter().flatten().find(|fault| at(fault, "/code") == "entry-altered");
    let fault = fault.with_context(|| format!("no entry is named: {report:#}"))?;
    ensure!(
        at(fault, "/session").is_string() && at(fault, "/time").is_string() && at(fault, "/entry").is_u64(),
        "{fault}"
    );
    for other in copied.others()? {
        ensure!(other.code == Some(1), "{other:?}");
    }
    fs::copy(&sealed.keys, copy.join("keys"))?;
    let inside = SealedLog { keys: copy.join("keys"), log: copy };
    let (log, keys) = (inside.log.display().to_string(), inside.keys.display().to_string());
    let refused = hospital.gateway.command(&["verify", "--log", &log, "--keys", &keys], Input::Nothing)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("kept elsewhere"), "{refused:?}");
    Ok(())
}

fn a_killed_gateway_goes_on_with_its_log(database: Database) -> Result<()> {
    let mut hospital = Hospital::open(database)?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    sealed.await_newest(&hospital)?;
    let anchor = sealed.keep("anchor")?;
    hospital.gateway.kill()?;
    terminal.end_within(PATIENCE)?;
    // What happens while it is down is told by the command line, and sealed when it is back.
    hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let add = ["person", "add", "meanwhile", "--name", "Meanwhile", "--role", "approver"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    let again = hospital.gateway.serve_again()?;
    sealed.await_newest(&hospital)?;
    sealed.is_intact(&hospital, &[&anchor])?;
    drop(again);
    Ok(())
}

#[test]
fn a_database_that_contradicts_the_log_is_not_served() -> Result<()> {
    let mut hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    hospital.gateway.kill()?;
    let database = sealed.log.with_file_name("sekimori.db");
    let script = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); \
                  base.execute(\"UPDATE event SET body = body || ' ' WHERE seq = ?\", (sys.argv[2],)); base.commit()";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&database).arg(sealed.size()?.to_string());
    run(&mut python, Input::Nothing, PATIENCE)?.success()?;
    let served = hospital.gateway.command(&["serve"], Input::Nothing)?;
    ensure!(served.code == Some(1) && served.stderr.contains("altered or replaced"), "{served:?}");
    Ok(())
}

#[test]
fn a_folder_that_was_rolled_back_is_not_served() -> Result<()> {
    let mut hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let (old, newer) = (sealed.log.with_file_name("old"), sealed.log.with_file_name("newer"));
    run(Command::new("cp").arg("-a").args([&sealed.log, &old]), Input::Nothing, PATIENCE)?.success()?;
    let add = ["person", "add", "later", "--name", "Later", "--role", "approver"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    sealed.await_newest(&hospital)?;
    hospital.gateway.kill()?;
    // A start names the checkpoint that it stands on, as each hourly beat does.
    drop(hospital.gateway.serve_again()?);
    let starts = hospital.gateway.act(&hospital.auditor, &["log", "list", "--kind", "gateway.start"])?;
    let named = starts.as_array().and_then(|starts| starts.last()).map(|start| at(start, "/detail/log/size").as_u64());
    let named = named.flatten().context("the start names no checkpoint")?;

    fs::rename(&sealed.log, &newer)?;
    for (place, told) in [(&old, "is known to have held"), (&newer.join("nowhere"), "it has no checkpoint")] {
        if place.exists() {
            fs::rename(place, &sealed.log)?;
            ensure!(sealed.size()? < named, "it was not rolled back");
        } else {
            fs::remove_dir_all(&sealed.log)?;
        }
        let served = hospital.gateway.command(&["serve"], Input::Nothing)?;
        ensure!(served.code == Some(1) && served.stderr.contains(told), "{served:?}");
    }
    fs::rename(&newer, &sealed.log)?;
    drop(hospital.gateway.serve_again()?);
    sealed.is_intact(&hospital, &[])?;
    Ok(())
}
