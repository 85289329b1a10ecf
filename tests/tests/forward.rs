//! Forwards (`ssh -L`): to the ports that the permit names, and to no others; recorded so that Wireshark reads them.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    DEVICE, Database, Echo, Hospital, Input, PATIENCE, Running, Transcript, free_port, on_both_databases, run,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

on_both_databases!(a_forward_carries_both_directions_and_is_recorded);

const BYTES: usize = 3 * 1024 * 1024;

fn a_forward_carries_both_directions_and_is_recorded(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let (ssh, local) = forward(&hospital, &certificate, hospital.echo.address.port())?;

    let mut stream = TcpStream::connect(("127.0.0.1", local))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = vec![0; Echo::GREETING.len()];
    stream.read_exact(&mut greeting).context("the service speaks first, and its greeting is lost")?;
    ensure!(greeting == Echo::GREETING.as_bytes());
    let mut writing = stream.try_clone()?;
    let writer = thread::spawn(move || -> std::io::Result<()> {
        writing.write_all(&[0x5a; BYTES])?;
        writing.shutdown(Shutdown::Write)
    });
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed)?;
    ensure!(writer.join().is_ok_and(|wrote| wrote.is_ok()), "writing failed");
    ensure!(echoed == [0x5a; BYTES], "{} bytes came back, other than were sent", echoed.len());
    drop(ssh);

    let session = hospital.closed_session()?;
    let by_port = payload_by_source_port(&hospital.member(&session, ".pcapng")?)?;
    let from_device = by_port.get(&hospital.echo.address.port()).copied().unwrap_or_default();
    let to_device: usize = by_port.values().sum::<usize>() - from_device;
    ensure!(from_device == BYTES + Echo::GREETING.len(), "from the device: {by_port:?}");
    ensure!(to_device == BYTES, "to the device: {by_port:?}");
    Ok(())
}

#[test]
fn a_forward_that_both_sides_have_ended_is_closed() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    // OpenSSH leaves it to the server to close what its `-W` asked for: it would wait for ever.
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args(["-W", &format!("{DEVICE}:{}", hospital.echo.address.port()), "gate"]);
    let output = run(&mut ssh, Input::from("there and back\n"), PATIENCE)?.success()?;
    ensure!(output.text() == format!("{}there and back\n", Echo::GREETING), "{output:?}");
    let output = run(&mut ssh, Input::Nothing, PATIENCE)?.success()?;
    ensure!(output.text() == Echo::GREETING, "{output:?}");
    Ok(())
}

#[test]
fn a_port_that_the_permit_does_not_name_is_not_reached() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let other = Echo::start()?;
    let (_ssh, local) = forward(&hospital, &certificate, other.address.port())?;
    let mut stream = TcpStream::connect(("127.0.0.1", local))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut got = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut got);
    ensure!(got.is_empty(), "a port that was not permitted answered: {}", String::from_utf8_lossy(&got));
    ensure!(!hospital.events("access.denied")?.is_empty(), "the denial is on record nowhere");
    Ok(())
}

/// `ssh -N -L LOCAL:xray-01:PORT mori1@gate`, ready.
fn forward(hospital: &Hospital, certificate: &Path, port: u16) -> Result<(Running, u16)> {
    let local = free_port()?;
    let proof = hospital.carried(certificate);
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, proof)?;
    ssh.args([
        "-v",
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-L",
        &format!("127.0.0.1:{local}:{DEVICE}:{port}"),
        "gate",
    ]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
    let running = Running::new(child);
    log.wait_for("Entering interactive session", PATIENCE)?;
    Ok((running, local))
}

/// How many bytes of TCP payload each port sent, as Wireshark's `tshark` reads the capture.
fn payload_by_source_port(capture: &Path) -> Result<BTreeMap<u16, usize>> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture).args(["-T", "fields", "-e", "tcp.srcport", "-e", "tcp.len"]);
    let output = run(&mut tshark, Input::Nothing, PATIENCE)?.success().context("tshark does not read the capture")?;
    let mut sums = BTreeMap::new();
    for line in output.text().lines() {
        let (port, length) = line.split_once('\t').with_context(|| format!("not TCP: {line:?}"))?;
        *sums.entry(port.parse()?).or_default() += length.parse::<usize>()?;
    }
    Ok(sums)
}
