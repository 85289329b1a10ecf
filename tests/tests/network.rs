//! A real network's faults, between two namespaces of the test's own: delay, loss, a cut cable. The workstation is at
//! the far end of the wire; the gateway and its device are at the near one.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    Database, ENGINEER, Hospital, Input, PATIENCE, Surroundings, Terminal, VENDOR, Window, Wire, await_disconnection,
    connections_to, run, sha256,
};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the test's configuration sets: a person who is gone without a word is noticed after so long.
const GONE_SECONDS: u64 = 8;

#[test]
fn a_session_and_a_transfer_survive_a_hundred_milliseconds_and_a_lost_packet_in_a_hundred() -> Result<()> {
    // 50 ms each way.
    let wire = Wire::lay(50, 1.0)?;
    let (hospital, config) = stage(&wire)?;
    let mut terminal = far_shell(&wire, &config)?;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let begin = Instant::now();
        terminal.ask(&format!("echo A''{number}-\r"), &format!("A{number}-"))?;
        slowest = slowest.max(begin.elapsed());
    }
    ensure!(slowest < Duration::from_secs(5), "an answer took {slowest:?}");

    let sent = hospital.bulk_file("sent", 4)?;
    let (there, back) = (hospital.sshd.folder().join("there"), hospital.workstation.folder().join("back"));
    let batch = format!("put {} {}\nget {} {}\n", sent.display(), there.display(), there.display(), back.display());
    let mut sftp = Command::new("sftp");
    sftp.arg("-F").arg(&config).args(["-q", "-b", "-", "gate"]);
    let begin = Instant::now();
    run(&mut wire.far(&sftp), Input::from(batch.as_str()), PATIENCE)?.success()?;
    println!("the slowest of 20 answers took {slowest:?}; 4 MiB there and back {:?}", begin.elapsed());
    ensure!(sha256(&there)? == sha256(&sent)? && sha256(&back)? == sha256(&sent)?, "the file arrived otherwise");
    terminal.type_in("exit 3\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(3));
    for session in hospital.all_closed()? {
        ensure!(session.reason.as_deref() == Some("person-left"), "{session:?}");
        ensure!(hospital.recording(&session)?.join("manifest.json").is_file(), "{session:?} has no manifest");
    }
    Ok(())
}

#[test]
fn a_cut_cable_ends_the_session_on_both_sides_and_is_on_record() -> Result<()> {
    let mut wire = Wire::lay(1, 0.0)?;
    let (hospital, config) = stage(&wire)?;
    let mut terminal = far_shell(&wire, &config)?;
    let device = hospital.sshd.address.port();
    ensure!(connections_to(device)? > 0, "the device is not connected");

    // A cable that is out for a moment ends nothing.
    wire.is_cut()?;
    std::thread::sleep(Duration::from_secs(2));
    wire.is_mended()?;
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;

    wire.is_cut()?;
    let begin = Instant::now();
    let limit = Duration::from_secs(GONE_SECONDS * 2 + 10);
    await_disconnection(device, limit).context("the device is still connected, for somebody who is gone")?;
    println!("ended {:?} after the cable was cut", begin.elapsed());
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some("connection-lost"), "{session:?}");
    ensure!(hospital.recording(&session)?.join("manifest.json").is_file(), "the recording was not brought to its end");
    // The client notices by itself.
    terminal.end_within(limit)?;
    Ok(())
}

#[test]
fn a_cut_cable_under_bulk_data_ends_the_session_too() -> Result<()> {
    let mut wire = Wire::lay(1, 0.0)?;
    let (hospital, config) = stage(&wire)?;
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-tt", "gate", "echo BEG''UN; yes"]);
    let terminal = Terminal::start(&wire.far(&ssh), 80, 24)?;
    terminal.screen.wait_for("BEGUN", PATIENCE)?;
    let device = hospital.sshd.address.port();
    ensure!(connections_to(device)? > 0, "the device is not connected");
    wire.is_cut()?;
    await_disconnection(device, Duration::from_secs(GONE_SECONDS * 2 + 10))
        .context("bytes wait for ever for somebody who is gone")?;
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some("connection-lost"), "{session:?}");
    Ok(())
}

/// A hospital at the near end, whose vendor's people come from the far one.
fn stage(wire: &Wire) -> Result<(Hospital, PathBuf)> {
    let address = format!("{}:0", Wire::NEAR);
    let hospital =
        Hospital::closed_in(Surroundings { address: &address, ..Surroundings::default() }, Database::Sqlite)?;
    hospital.gateway.reconfigure("[ssh]", &format!("gone_seconds = {GONE_SECONDS}"))?;
    let act = ["vendor", "change", VENDOR, "--source", &format!("{}/32", Wire::FAR)];
    hospital.gateway.act(&hospital.administrator, &act)?;
    hospital.grant(Window::now())?;
    // Key, password: the far end is where the person signs in.
    let engineer = &hospital.engineer;
    let proof = sekimori_tests::Proof::KeyAndPassword(&engineer.key, &engineer.password);
    let signing = hospital.workstation.prepared("ssh", ENGINEER, proof)?;
    let mut signing = wire.far(&signing);
    signing.args(["-T", "gate", "sign-in"]);
    let key = std::fs::read(engineer.key.with_extension("pub"))?;
    let signed = run(&mut signing, Input::Bytes(key), PATIENCE)?.success().context("sign-in")?;
    let certificate = hospital.workstation.folder().join("far-cert.pub");
    std::fs::write(&certificate, &signed.stdout)?;
    let config = hospital.workstation.config(&hospital.user(), hospital.carried(&certificate))?;
    let patient = std::fs::read_to_string(&config)?;
    // The client gives up as well, as engineers' clients are set to.
    std::fs::write(&config, format!("ServerAliveInterval 5\nServerAliveCountMax 3\n{patient}"))?;
    Ok((hospital, config))
}

fn far_shell(wire: &Wire, config: &std::path::Path) -> Result<Terminal> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-tt", "gate"]);
    let mut terminal = Terminal::start(&wire.far(&ssh), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    Ok(terminal)
}
