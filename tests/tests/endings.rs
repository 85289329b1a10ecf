//! Ends that come with a warning, with the gateway's own end, or with a crash; and what the person hears of them.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use sekimori_tests::{
    DEVICE, Database, ENGINEER, Hospital, Input, PATIENCE, Proof, Running, Transcript, VENDOR, Window, at, connected,
    free_port, on_both_databases,
};
use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

on_both_databases!(emergency_access_opens_at_once_and_ends_with_its_refusal, a_crash_closes_its_sessions_on_record);

#[test]
fn a_notice_comes_ten_minutes_before_the_end() -> Result<()> {
    a_notice_comes(10)
}

#[test]
fn a_notice_comes_one_minute_before_the_end() -> Result<()> {
    a_notice_comes(1)
}

fn a_notice_comes(minutes: i64) -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    hospital.grant(Window::ending_in(TimeDelta::minutes(minutes) + TimeDelta::seconds(25)))?;
    let mut terminal = hospital.shell(Proof::KeyAndPassword(&engineer.key, &engineer.password))?;
    let notice = format!("this session ends in {minutes} min");
    ensure!(!terminal.screen.text().contains(&notice), "the notice came at the start");
    terminal.screen.wait_for(&notice, PATIENCE)?;
    // The session goes on, and what was shown is on record.
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    terminal.ask("exit\r", "")?;
    let session = hospital.closed_session()?;
    let cast = fs::read_to_string(hospital.member(&session, ".cast")?)?;
    ensure!(cast.contains(&notice), "the notice is not on record");
    Ok(())
}

#[test]
fn a_gateway_that_stops_lets_sessions_end_and_takes_no_new_ones() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let config = &hospital.gateway.demo.config;
    let patient = fs::read_to_string(config)?.replace("shutdown_grace_seconds = 2", "shutdown_grace_seconds = 8");
    ensure!(patient.contains("shutdown_grace_seconds = 8"), "the demo's configuration has another grace: {patient}");
    fs::write(config, patient)?;
    hospital.gateway.signal(Signal::HUP)?;
    hospital.gateway.log.wait_for("read again", PATIENCE)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;

    hospital.gateway.signal(Signal::TERM)?;
    hospital.gateway.log.wait_for("stopping", PATIENCE)?;
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(refused.code != Some(0) && refused.stdout.is_empty(), "a new session while it stops: {refused:?}");
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    terminal.end_within(Duration::from_secs(12)).context("the session outlives the grace")?;
    let screen = terminal.screen.text();
    ensure!(screen.contains("gateway is being stopped"), "the person is not told why: {screen}");
    hospital.gateway.log.wait_end(PATIENCE).context("the gateway does not end")?;
    let closed = hospital.events("session.close")?;
    let [closed] = closed.as_slice() else { anyhow::bail!("not one end: {closed:?}") };
    ensure!(at(closed, "/detail/reason") == "shutdown", "{closed}");
    ensure!(hospital.events("gateway.stop")?.len() == 1, "the end of the gateway is not on record");
    Ok(())
}

fn a_crash_closes_its_sessions_on_record(database: Database) -> Result<()> {
    let mut hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    hospital.gateway.kill()?;
    terminal.end_within(PATIENCE)?;
    ensure!(hospital.events("session.close")?.is_empty(), "a dead gateway closed a session");

    let again = hospital.gateway.serve_again()?;
    let closed = hospital.events("session.close")?;
    let [closed] = closed.as_slice() else { anyhow::bail!("not one end: {closed:?}") };
    ensure!(at(closed, "/detail/reason") == "crash", "{closed}");
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some("crash"), "{session:?}");
    drop(again);
    Ok(())
}

fn emergency_access_opens_at_once_and_ends_with_its_refusal(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    hospital.attest(&hospital.engineer)?;
    let (opener, second) = (&hospital.approver, "second-approver");
    let add = ["person", "add", second, "--name", "Second", "--role", "approver"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    let window = Window::now();
    let local = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S").to_string();
    let (start, end) = (local(window.from), local(window.until));
    let args = [
        &["work", "emergency", "--vendor", VENDOR, "--person", ENGINEER, "--device", DEVICE][..],
        &["--purpose", "scanner down", "--plan", "look and repair", "--reason", "a patient waits"],
        &["--start", &start, "--end", &end, "--zone", "UTC"],
    ];
    let opened = hospital.gateway.act(opener, &args.concat())?;
    let work = at(&opened, "/id").as_str().with_context(|| format!("no id: {opened}"))?;

    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let greeting = terminal.screen.text();
    ensure!(greeting.contains("mergency"), "the person is not told that this is emergency access: {greeting}");
    let events = hospital.events("session.open")?;
    let open = events.last().context("no session on record")?;
    ensure!(at(open, "/detail/awaiting_retrospective_approval") == true, "{open}");

    // Who opened it does not approve it; somebody else may refuse to, and then it is over.
    hospital.gateway.refused(opener, &["work", "approve-after", work])?;
    hospital.gateway.act(second, &["work", "reject-after", work, "--reason", "it could have waited"])?;
    terminal.end_within(Duration::from_secs(3)).context("the session goes on without the approval")?;
    let after = hospital.exec(&certificate, "true", Input::Nothing)?;
    ensure!(after.code != Some(0), "refused after the fact, and open all the same");
    Ok(())
}

/// Beside a stream the gateway's own words stand on standard error, where the device's could stand as well.
#[test]
fn what_is_told_beside_a_stream_is_on_record_as_the_gateways() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-T", "gate", "echo reached; sleep 60"]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let said = Transcript::of(child.stderr.take().context("no standard error")?);
    let shown = Transcript::of(child.stdout.take().context("no standard output")?);
    let mut client = Running::new(child);
    shown.wait_for("reached", PATIENCE)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    hospital.gateway.act(&hospital.approver, &["session", "cut", &session.id, "--reason", "seen on the camera"])?;
    client.end_within(PATIENCE).context("the command goes on")?;
    let said = said.wait_end(PATIENCE)?;
    ensure!(said.contains("cut this session off"), "it was told: {said:?}");
    let session = hospital.closed_session()?;
    let lines = fs::read_to_string(hospital.member(&session, ".exec.jsonl")?)?;
    let noted = lines.lines().any(|line| line.contains(r#""event":"notice""#) && line.contains("cut this session off"));
    ensure!(noted, "it is not on record that this was told: {lines}");
    Ok(())
}

#[test]
fn who_only_forwards_is_told_why_it_ends() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let forward = format!("127.0.0.1:{}:{DEVICE}:{}", free_port()?, hospital.echo.address.port());
    ssh.args(["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward, "gate"]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let said = Transcript::of(child.stderr.take().context("no standard error")?);
    let mut client = Running::new(child);
    let local = forward.split(':').nth(1).context("no port")?.parse()?;
    let mut stream = connected(local)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    stream.read_exact(&mut [0; 4])?;
    hospital.gateway.act(&hospital.approver, &["session", "cut", &session.id, "--reason", "seen on the camera"])?;
    client.end_within(Duration::from_secs(3)).context("the forward goes on")?;
    let said = said.wait_end(PATIENCE)?;
    ensure!(said.contains("cut this session off") && said.contains("seen on the camera"), "it was told: {said:?}");
    Ok(())
}
