//! The transparency log of a running gateway: every event in it within a second, and what others make of the folder.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Output, PATIENCE, at, on_both_databases, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

on_both_databases!(every_event_is_sealed_within_a_second_and_others_verify_it, a_killed_gateway_goes_on_with_its_log);

/// The log of a hospital, and a copy of the keys that was kept elsewhere.
struct Sealed {
    log: PathBuf,
    keys: PathBuf,
}

fn places(hospital: &Hospital) -> Result<Sealed> {
    let places = hospital.gateway.act(&hospital.auditor, &["log", "where"])?;
    let path = |key: &str| at(&places, key).as_str().map(PathBuf::from).with_context(|| format!("no {key}: {places}"));
    ensure!(path("/recordings")? == hospital.recordings(), "{places}");
    let keys = hospital.workstation.folder().join("log.keys");
    fs::copy(path("/keys")?, &keys)?;
    Ok(Sealed { log: path("/log")?, keys })
}

fn verified(hospital: &Hospital, sealed: &Sealed, anchors: &[&Path]) -> Result<(Option<i32>, Value)> {
    let (log, keys) = (sealed.log.display().to_string(), sealed.keys.display().to_string());
    let mut args = vec!["--json", "verify", "--log", &log, "--keys", &keys];
    let anchors = anchors.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    anchors.iter().for_each(|anchor| args.extend(["--anchor", anchor]));
    let output = hospital.gateway.command(&args, Input::Nothing)?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| format!("no report: {output:?}"))?;
    Ok((output.code, report))
}

/// The number of the newest event.
fn newest(hospital: &Hospital) -> Result<u64> {
    let listed = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let last = listed.as_array().and_then(|events| events.last()).context("no event")?;
    at(last, "/seq").as_u64().context("no number")
}

/// The size that the checkpoint names.
fn size(sealed: &Sealed) -> Result<u64> {
    let text = fs::read_to_string(sealed.log.join("checkpoint"))?;
    Ok(text.lines().nth(1).context("no size")?.parse()?)
}

fn await_size(sealed: &Sealed, wanted: u64) -> Result<Duration> {
    let started = Instant::now();
    while size(sealed)? < wanted {
        ensure!(started.elapsed() < PATIENCE, "event {wanted} is not sealed: the log ends at {}", size(sealed)?);
        // There is nothing to wait on: the file is replaced by another process.
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(started.elapsed())
}

/// The verifiers that are not ours, as tests/setup.sh installed them.
fn others(sealed: &Sealed) -> Result<Vec<Output>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let mut python = Command::new(workspace.join("target/clients/venv/bin/python"));
    python.arg(workspace.join("tests/verifiers/verify_log.py"));
    let go = Command::new(workspace.join("target/verifiers/verify_log"));
    let judged = [python, go].into_iter().map(|mut command| {
        run(command.args([&sealed.log, &sealed.keys]), Input::Nothing, PATIENCE).context("run sh tests/setup.sh test")
    });
    judged.collect()
}

fn every_event_is_sealed_within_a_second_and_others_verify_it(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let sealed = places(&hospital)?;
    await_size(&sealed, newest(&hospital)?)?;
    let anchor = hospital.workstation.folder().join("anchor");
    fs::copy(sealed.log.join("checkpoint"), &anchor)?;

    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.closed_session()?;
    // The newest event was there before it was asked for, so that this is at least the time that sealing took.
    let took = await_size(&sealed, newest(&hospital)?)?;
    ensure!(took < Duration::from_secs(1), "sealing took {took:?}");

    let (code, report) = verified(&hospital, &sealed, &[&anchor])?;
    ensure!(code == Some(0) && at(&report, "/verdict") == "intact", "{code:?} {report:#}");
    ensure!(at(&report, "/anchors/0/agrees") == true && at(&report, "/sessions") == 1, "{report:#}");
    for other in others(&sealed)? {
        ensure!(other.code == Some(0) && other.text().contains("INTACT"), "{other:?}");
    }
    // No name of anybody in the whole log.
    let entries = fs::read_dir(sealed.log.join("tile/entries/000.p"))?;
    for file in entries {
        let text = String::from_utf8_lossy(&fs::read(file?.path())?).into_owned();
        ensure!(!text.contains(&hospital.user()) && !text.contains(&hospital.engineer.id), "a name in a leaf: {text}");
    }
    spoilt(&hospital, &sealed, &anchor)
}

/// The same log with a byte of its last entries flipped, and with keys from inside of it.
fn spoilt(hospital: &Hospital, sealed: &Sealed, anchor: &Path) -> Result<()> {
    let copy = hospital.workstation.folder().join("copy");
    run(Command::new("cp").arg("-a").args([&sealed.log, &copy]), Input::Nothing, PATIENCE)?.success()?;
    let copied = Sealed { log: copy.clone(), keys: sealed.keys.clone() };
    let width = size(&copied)?;
    ensure!(width < 256, "more events than this test expects: {width}");
    let bundle = copy.join(format!("tile/entries/000.p/{width}"));
    let mut bytes = fs::read(&bundle)?;
    // The entry's kind becomes another.
    let at_kind = bytes.windows(12).rposition(|window| window == b"session.open").context("no session.open")?;
    *bytes.get_mut(at_kind).context("no byte")? = b't';
    fs::write(&bundle, bytes)?;
    let (code, report) = verified(hospital, &copied, &[anchor])?;
    ensure!(code == Some(7) && at(&report, "/verdict") == "altered", "{code:?} {report:#}");
    let fault =
        at(&report, "/faults").as_array().into_iter().flatten().find(|fault| at(fault, "/code") == "entry-altered");
    let fault = fault.with_context(|| format!("no entry is named: {report:#}"))?;
    ensure!(
        at(fault, "/session").is_string() && at(fault, "/time").is_string() && at(fault, "/entry").is_u64(),
        "{fault}"
    );
    for other in others(&copied)? {
        ensure!(other.code == Some(1), "{other:?}");
    }
    fs::copy(&sealed.keys, copy.join("keys"))?;
    let inside = Sealed { keys: copy.join("keys"), log: copy };
    let (log, keys) = (inside.log.display().to_string(), inside.keys.display().to_string());
    let refused = hospital.gateway.command(&["verify", "--log", &log, "--keys", &keys], Input::Nothing)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("kept elsewhere"), "{refused:?}");
    Ok(())
}

fn a_killed_gateway_goes_on_with_its_log(database: Database) -> Result<()> {
    let mut hospital = Hospital::open(database)?;
    let sealed = places(&hospital)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    await_size(&sealed, newest(&hospital)?)?;
    let anchor = hospital.workstation.folder().join("anchor");
    fs::copy(sealed.log.join("checkpoint"), &anchor)?;
    hospital.gateway.kill()?;
    terminal.end_within(PATIENCE)?;
    // What happens while it is down is told by the command line, and sealed when it is back.
    hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let add = ["person", "add", "meanwhile", "--name", "Meanwhile", "--role", "approver"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    let again = hospital.gateway.serve_again()?;
    await_size(&sealed, newest(&hospital)?)?;
    let (code, report) = verified(&hospital, &sealed, &[&anchor])?;
    ensure!(code == Some(0) && at(&report, "/verdict") == "intact", "{code:?} {report:#}");
    for other in others(&sealed)? {
        ensure!(other.code == Some(0), "{other:?}");
    }
    drop(again);
    Ok(())
}

#[test]
fn a_database_that_contradicts_the_log_is_not_served() -> Result<()> {
    let mut hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = places(&hospital)?;
    let last = newest(&hospital)?;
    await_size(&sealed, last)?;
    hospital.gateway.kill()?;
    let database = sealed.log.with_file_name("sekimori.db");
    let script = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); \
                  base.execute(\"UPDATE event SET body = body || ' ' WHERE seq = ?\", (sys.argv[2],)); base.commit()";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&database).arg(size(&sealed)?.to_string());
    run(&mut python, Input::Nothing, PATIENCE)?.success()?;
    let served = hospital.gateway.command(&["serve"], Input::Nothing)?;
    ensure!(served.code == Some(1) && served.stderr.contains("altered or replaced"), "{served:?}");
    Ok(())
}
