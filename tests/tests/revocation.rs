//! What is taken back ends what stands on it: factors, sign-ins, channels, pieces of work.

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use rustix::process::Signal;
use sekimori_tests::{DEVICE, Database, ENGINEER, Hospital, Input, PATIENCE, Proof, Running, Window, at, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A change is noticed within 200 ms, and the parting takes less than a second.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn invariant_08_taking_the_factors_away_ends_an_ordinary_sign_in_too() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    let mut terminal = hospital.shell(Proof::KeyAndPassword(&engineer.key, &engineer.password))?;
    let act = ["person", "reset-factors", ENGINEER, "--reason", "the telephone is lost"];
    hospital.gateway.act(&hospital.administrator, &act)?;
    terminal.end_within(SOON).context("the session goes on")?;
    ends_with(&hospital, "sign-in-revoked")
}

#[test]
fn invariant_08_a_revoked_sign_in_opens_nothing_more_on_a_connection_that_is_still_up() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let control = hospital.workstation.folder().join("control");
    let mut master = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let master = master.args(["-M", "-N", "-S"]).arg(&control).arg("gate");
    let _master = Running::new(master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    wait_for(&control)?;

    let listed = hospital.gateway.act(&hospital.auditor, &["sign-in", "list"])?;
    let id = at(&listed, "/0/id").as_str().context("no carried sign-in is listed")?;
    hospital.gateway.act(&hospital.administrator, &["sign-in", "revoke", id])?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let output = run(ssh.arg("-S").arg(&control).args(["gate", "true"]), Input::Nothing, PATIENCE)?;
    ensure!(output.code == Some(77), "a session opened on a revoked sign-in: {output:?}");
    ensure!(hospital.sessions()?.is_empty(), "a session is on record");
    Ok(())
}

#[test]
fn a_channel_in_use_that_is_no_longer_permitted_ends() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--channel", "sftp"])?;
    terminal.end_within(SOON).context("the shell goes on although only SFTP is permitted")?;
    ends_with(&hospital, "no-longer-permitted")
}

#[test]
fn a_session_ends_with_its_own_work_although_another_is_open() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let first = hospital.grant(Window::ending_in(TimeDelta::hours(1)))?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    // Lasts longer: a decision about today's facts alone would choose it.
    let second = hospital.grant(Window::ending_in(TimeDelta::hours(3)))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    ensure!(at(&hospital.show(&session)?, "/work") == &Value::String(first.clone()), "not opened for {first}");

    hospital.gateway.act(&hospital.administrator, &["work", "cut-off", &first, "--reason", "stop this work"])?;
    terminal.end_within(SOON).with_context(|| format!("the session went over to {second}"))?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("under the second work")?;
    Ok(())
}

#[test]
fn a_second_gateway_is_refused_and_leaves_the_first_ones_sessions_alone() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let second = hospital.gateway.refused(&hospital.administrator, &["serve"])?;
    ensure!(second.contains("another gateway"), "{second}");
    hospital.await_session(|session| session.closed.is_none()).context("the session was closed on record")?;
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    Ok(())
}

#[test]
fn a_stricter_configuration_ends_what_it_no_longer_permits() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    let mut terminal = hospital.shell(Proof::KeyAndPassword(&engineer.key, &engineer.password))?;
    let path = &hospital.gateway.demo.config;
    let before = fs::read_to_string(path)?;

    // What cannot be read leaves the old one in force.
    fs::write(path, format!("{before}\n[demands]\nmethod = [\"totp\"]\n"))?;
    hospital.gateway.signal(Signal::HUP)?;
    hospital.gateway.log.wait_for("the old one stays in force", PATIENCE)?;
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;

    // A key and a password were enough; now everybody needs a code.
    fs::write(path, format!("{before}\n[demands]\nmethods = [\"totp\"]\n"))?;
    hospital.gateway.signal(Signal::HUP)?;
    terminal.end_within(SOON).context("the session goes on without the factor that is demanded")?;
    ensure!(hospital.events("gateway.reload")?.len() == 1, "a reload is not on record once");
    ends_with(&hospital, "denied")
}

fn ends_with(hospital: &Hospital, code: &str) -> Result<()> {
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some(code), "{session:?}");
    Ok(())
}

/// `ssh -M` makes its socket when the connection is up, and tells nobody.
fn wait_for(socket: &Path) -> Result<()> {
    let begin = std::time::Instant::now();
    while !socket.exists() {
        ensure!(begin.elapsed() < PATIENCE, "the control socket does not appear");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
