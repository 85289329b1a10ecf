//! Ends that the person did not choose: out of band, on both sides, though the client has stopped reading.

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use sekimori_tests::{
    DEVICE, Database, ENGINEER, Hospital, Link, PATIENCE, Running, Terminal, Transcript, VENDOR, Window,
    await_disconnection, await_standstill, connections_to, on_both_databases,
};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

on_both_databases!(
    invariant_02_cut_at_window_end_on_both_sides,
    invariant_08_revoking_a_person_ends_live_sessions,
    invariant_08_revoking_a_vendor_ends_live_sessions,
);

/// A cut has taken effect by then.
const A_SECOND: Duration = Duration::from_secs(1);

fn invariant_02_cut_at_window_end_on_both_sides(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let window = Window::ending_in(TimeDelta::seconds(12));
    hospital.grant(window)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = shell(&hospital, &certificate)?;

    let left = (window.until - Utc::now()).to_std().context("the window ended before the session began")?;
    terminal.end_within(left + 3 * A_SECOND).context("the session outlives its window")?;
    let late = Utc::now() - window.until;
    ensure!(late > TimeDelta::seconds(-1), "cut {} s before the window's end", -late.num_seconds());
    cut_on_both_sides(&hospital)?;
    let session = hospital.closed_session()?;
    let reason = session.reason.context("no reason is on record")?;
    ensure!(reason.contains("window"), "the reason on record is {reason:?}");
    let events = hospital.events("session.close")?;
    ensure!(events.len() == 1, "{events:?}");
    Ok(())
}

fn invariant_08_revoking_a_person_ends_live_sessions(database: Database) -> Result<()> {
    revoking_ends_live_sessions(database, &["person", "suspend", ENGINEER])
}

fn invariant_08_revoking_a_vendor_ends_live_sessions(database: Database) -> Result<()> {
    revoking_ends_live_sessions(database, &["vendor", "suspend", VENDOR])
}

fn revoking_ends_live_sessions(database: Database, act: &[&str]) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = shell(&hospital, &certificate)?;
    hospital.gateway.act(&hospital.administrator, act)?;
    terminal.end_within(3 * A_SECOND).context("the session goes on")?;
    cut_on_both_sides(&hospital)?;
    let session = hospital.closed_session()?;
    ensure!(session.reason.is_some(), "no reason is on record");
    Ok(())
}

#[test]
fn a_lock_ends_live_sessions() -> Result<()> {
    revoking_ends_live_sessions(Database::Sqlite, &["lock", "set", "--everyone", "--reason", "incident"])
}

#[test]
fn a_cut_takes_effect_within_a_second_though_the_client_has_stopped_reading() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-T", "gate", "cat /dev/zero"]);
    // Nobody reads the pipe: the client fills it and then stops reading from the gateway.
    let child = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let client = Running::new(child);
    let session = hospital.await_session(|session| session.closed.is_none())?;
    client.signal(rustix::process::Signal::STOP)?;

    hospital.gateway.act(&hospital.approver, &["session", "cut", &session.id, "--reason", "seen on the camera"])?;
    let device = await_disconnection(hospital.sshd.address.port(), A_SECOND).context("towards the device")?;
    let person = await_disconnection(hospital.gateway.demo.ssh.port, A_SECOND).context("towards the person")?;
    ensure!(device + person <= A_SECOND, "{device:?} and {person:?}");
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref().is_some_and(|reason| reason.contains("seen on the camera")), "{session:?}");
    Ok(())
}

#[test]
fn invariant_02_a_line_that_went_dead_is_cut_off_within_a_second() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let link = Link::to(hospital.sshd.address)?;
    let change = ["device", "change", DEVICE, "--address", &link.address.to_string()];
    hospital.gateway.act(&hospital.administrator, &change)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-T", "gate", "echo begun; cat >/dev/null"]);
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
    let mut typed = child.stdin.take().context("no standard input")?;
    let _client = Running::new(child);
    said.wait_for("begun", PATIENCE)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    link.goes_dead();
    // Only now, so that the device's whole window piles up in the gateway's socket, and none of it beyond the line.
    std::thread::spawn(move || std::io::copy(&mut std::io::repeat(0), &mut typed));
    let (device, person) = (link.address.port(), hospital.gateway.demo.ssh.port);
    await_standstill(device)?;

    hospital.gateway.act(&hospital.approver, &["session", "cut", &session.id, "--reason", "seen on the camera"])?;
    let device = await_disconnection(device, A_SECOND).context("towards the device")?;
    let person = await_disconnection(person, A_SECOND).context("towards the person")?;
    ensure!(device + person <= A_SECOND, "{device:?} and {person:?}");
    ensure!(hospital.closed_session()?.reason.is_some_and(|reason| reason.contains("seen on the camera")));
    Ok(())
}

/// A shell on the device, with both connections up.
fn shell(hospital: &Hospital, certificate: &Path) -> Result<Terminal> {
    let terminal = hospital.shell(hospital.carried(certificate))?;
    ensure!(connections_to(hospital.sshd.address.port())? > 0, "the device is not connected");
    ensure!(connections_to(hospital.gateway.demo.ssh.port)? > 0, "the person is not connected");
    Ok(terminal)
}

fn cut_on_both_sides(hospital: &Hospital) -> Result<()> {
    await_disconnection(hospital.sshd.address.port(), A_SECOND).context("towards the device")?;
    await_disconnection(hospital.gateway.demo.ssh.port, PATIENCE).context("towards the person")?;
    Ok(())
}
