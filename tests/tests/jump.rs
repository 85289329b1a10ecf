//! ProxyJump (`ssh -J`): the inner SSH is the gateway's own, under the device's certified name, and what runs in it is a
//! session like any other.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    DEVICE, Database, Echo, Hospital, Input, PATIENCE, Running, Terminal, Transcript, at, connected, free_port,
    on_both_databases, run, sha256,
};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

on_both_databases!(a_jump_is_decided_and_recorded_like_any_other_session);

fn a_jump_is_decided_and_recorded_like_any_other_session(database: Database) -> Result<()> {
    let (hospital, certificate) = stage(database)?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args([&target(&hospital), "cat; echo told >&2; exit 3"]);
    let output = run(&mut ssh, Input::from("through two of them"), PATIENCE)?;
    ensure!(output.code == Some(3) && output.stdout == b"through two of them", "{output:?}");
    ensure!(output.stderr.contains("told"), "{output:?}");

    let session = hospital.closed_session()?;
    ensure!((session.device.as_str(), session.person.as_str()) == (DEVICE, hospital.engineer.id.as_str()));
    let shown = hospital.show(&session)?;
    ensure!(at(&shown, "/account") == hospital.sshd.account.as_str(), "{shown}");
    ensure!(std::fs::read(hospital.member(&session, ".stdout")?)? == b"through two of them");
    // One sign-in, one session: the connection that carried it reached nothing by itself.
    ensure!(hospital.sessions()?.len() == 1);
    Ok(())
}

#[test]
fn files_travel_through_a_jump_and_are_on_record() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let sent = hospital.bulk_file("sent", 20)?;
    let there = hospital.sshd.folder().join("there");
    let jumping =
        |tool: &str| hospital.workstation.jumping(tool, &hospital.engineer.id, hospital.carried(&certificate));

    let put = format!("{}:{}", target(&hospital), there.display());
    run(jumping("scp")?.args(["-q", &sent.display().to_string(), &put]), Input::Nothing, PATIENCE)?.success()?;
    ensure!(sha256(&there)? == sha256(&sent)?);
    let back = hospital.workstation.folder().join("back");
    let get = format!("get {} {}\n", there.display(), back.display());
    let batch = Input::from(get.as_str());
    run(jumping("sftp")?.args(["-q", "-b", "-", &target(&hospital)]), batch, PATIENCE)?.success()?;
    ensure!(sha256(&back)? == sha256(&sent)?);

    hospital.closed_session()?;
    let transfers = hospital.events("session.transfer")?;
    let hash = sha256(&sent)?;
    let recorded = transfers.iter().filter(|event| event.to_string().contains(&hash)).count();
    ensure!(recorded == 2, "{transfers:?}");
    Ok(())
}

#[test]
fn bytes_flow_both_ways_at_once_through_a_jump() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let sent = hospital.bulk_file("sent", 64)?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    let input = Input::File(std::fs::File::open(&sent)?);
    let output = run(ssh.args([&target(&hospital), "cat"]), input, PATIENCE)?.success()?;
    ensure!(output.stdout == std::fs::read(&sent)?, "{} bytes came back, other than were sent", output.stdout.len());
    Ok(())
}

#[test]
fn a_jump_is_cut_within_a_second_and_told_why() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", &target(&hospital)]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;

    let begin = Instant::now();
    hospital.gateway.act(&hospital.administrator, &["session", "cut", &session.id, "--reason", "drill of the cut"])?;
    terminal.screen.wait_for("drill of the cut", PATIENCE)?;
    terminal.end_within(Duration::from_secs(10))?;
    ensure!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    ensure!(hospital.closed_session()?.reason.is_some_and(|reason| reason.contains("drill of the cut")));
    Ok(())
}

#[test]
fn a_forward_within_a_jump_obeys_the_permit() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let (_ssh, local) = forward(&hospital, &certificate, hospital.echo.address.port())?;
    let mut stream = connected(local)?;
    let mut greeting = vec![0; Echo::GREETING.len()];
    stream.read_exact(&mut greeting)?;
    ensure!(greeting == Echo::GREETING.as_bytes());

    let other = Echo::start()?;
    // Neither another port nor the device's SSH once more is behind the inner connection.
    for port in [other.address.port(), 22, hospital.sshd.address.port()] {
        let (_ssh, local) = forward(&hospital, &certificate, port)?;
        let mut got = Vec::new();
        let mut stream = connected(local)?;
        // A reset is as good as an end.
        let _ = stream.read_to_end(&mut got);
        ensure!(got.is_empty(), "port {port} answered: {}", String::from_utf8_lossy(&got));
    }
    Ok(())
}

/// The ports under which a device's SSH may be asked for all lead to the gateway's own.
#[test]
fn the_devices_own_ssh_is_never_forwarded() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    for port in [22, hospital.sshd.address.port()] {
        let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
        let mut child = ssh
            .args(["-W", &format!("{DEVICE}:{port}"), "gate"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let _running = Running::new(child);
        let greeting = said.wait_for("\n", PATIENCE)?;
        ensure!(greeting.starts_with("SSH-2.0-Sekimori"), "port {port}: {greeting}");
    }
    Ok(())
}

#[test]
fn what_is_not_permitted_is_refused_with_its_reasons() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let tried = |target: &str| -> Result<sekimori_tests::Output> {
        let proof = hospital.carried(&certificate);
        let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, proof)?;
        run(ssh.args(["-T", target, "echo reached"]), Input::Nothing, PATIENCE)
    };
    let account = tried(&format!("nobody@{DEVICE}"))?;
    ensure!(account.code == Some(77) && account.stderr.contains("nobody"), "{account:?}");
    // The demo's own: this vendor has no work there.
    let device = tried("service@ct-01")?;
    ensure!(device.code == Some(77) && device.stdout.is_empty(), "{device:?}");
    let unknown = tried("service@never-heard-of")?;
    ensure!(unknown.code == Some(255) && unknown.stderr.contains("No device is registered"), "{unknown:?}");
    ensure!(hospital.sessions()?.is_empty());
    ensure!(hospital.events("access.denied")?.len() >= 3);
    Ok(())
}

/// Without `User` in the line, clients send the person's own name: the device's first account is meant.
#[test]
fn the_persons_own_name_stands_for_the_first_account() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args([&format!("{}@{DEVICE}", hospital.engineer.id), "id -un"]);
    let output = run(&mut ssh, Input::Nothing, PATIENCE)?.success()?;
    ensure!(output.text().trim() == hospital.sshd.account, "{output:?}");
    Ok(())
}

#[test]
fn a_certificate_vouches_for_one_device_only() -> Result<()> {
    let (hospital, certificate) = stage(Database::Sqlite)?;
    hospital.workstation.knows(&line(&hospital, &["ct-01"])?)?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args(["-o", "HostKeyAlias=ct-01", &target(&hospital), "echo reached"]);
    let output = run(&mut ssh, Input::Nothing, PATIENCE)?;
    ensure!(output.code == Some(255) && output.stdout.is_empty(), "{output:?}");
    ensure!(output.stderr.contains("not a listed principal"), "{output:?}");
    Ok(())
}

/// A hospital with an open window, and a workstation that trusts its authority for the device's name.
fn stage(database: Database) -> Result<(Hospital, PathBuf)> {
    let hospital = Hospital::open(database)?;
    hospital.workstation.knows(&line(&hospital, &[])?)?;
    let certificate = hospital.sign_in()?;
    Ok((hospital, certificate))
}

/// What `sekimori ca known-hosts` prints.
fn line(hospital: &Hospital, devices: &[&str]) -> Result<String> {
    let shown = hospital.gateway.act(&hospital.administrator, &[&["ca", "known-hosts"], devices].concat())?;
    Ok(at(&shown, "/line").as_str().context("no line")?.to_owned())
}

fn target(hospital: &Hospital) -> String {
    format!("{}@{DEVICE}", hospital.sshd.account)
}

/// `ssh -J mori1@gate -N -L LOCAL:localhost:PORT account@xray-01`, ready.
fn forward(hospital: &Hospital, certificate: &Path, port: u16) -> Result<(Running, u16)> {
    let local = free_port()?;
    let proof = hospital.carried(certificate);
    let mut ssh: Command = hospital.workstation.jumping("ssh", &hospital.engineer.id, proof)?;
    ssh.args(["-N", "-o", "ExitOnForwardFailure=yes", "-L", &format!("127.0.0.1:{local}:localhost:{port}")]);
    ssh.arg(target(hospital)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((Running::new(ssh.spawn()?), local))
}
