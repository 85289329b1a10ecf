//! Signals under load, and a gateway that runs out of file descriptors: everybody is told, nothing is left half done.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Running, Terminal, Transcript, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Terminals, and commands that send without end.
const TERMINALS: usize = 6;
const BULK: usize = 2;

#[test]
fn reading_the_configuration_again_under_load_is_noticed_by_nobody() -> Result<()> {
    let mut busy = Busy::start()?;
    for _ in 0..25 {
        let mark = busy.hospital.gateway.log.mark();
        busy.hospital.gateway.signal(Signal::HUP)?;
        busy.hospital.gateway.log.wait_after(mark, "was read again", PATIENCE)?;
    }
    busy.everybody_is_there()?;
    ensure!(busy.hospital.events("gateway.reload")?.len() == 25, "a reload is not on record");
    Ok(())
}

#[test]
fn a_stop_under_load_tells_everybody_and_completes_every_recording() -> Result<()> {
    let mut busy = Busy::start()?;
    busy.hospital.gateway.signal(Signal::TERM)?;
    for terminal in &mut busy.terminals {
        terminal.end_within(PATIENCE).context("a session outlives the gateway's stop")?;
        let screen = terminal.screen.text();
        ensure!(screen.contains("gateway is being stopped"), "the person is not told why: {screen}");
    }
    for (bulk, said) in &mut busy.bulk {
        bulk.end_within(PATIENCE)?;
        let said = said.wait_end(PATIENCE)?;
        ensure!(said.contains("gateway is being stopped"), "the person is not told why: {said}");
    }
    busy.hospital.gateway.log.wait_end(PATIENCE).context("the gateway does not end")?;
    let sessions = busy.hospital.sessions()?;
    ensure!(sessions.len() == TERMINALS + BULK, "{sessions:?}");
    for session in &sessions {
        ensure!(session.reason.as_deref() == Some("shutdown"), "{session:?}");
        export(&busy.hospital, &session.id)?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_is_killed_under_load_closes_all_at_its_next_start() -> Result<()> {
    let mut busy = Busy::start()?;
    busy.hospital.gateway.kill()?;
    for terminal in &mut busy.terminals {
        terminal.end_within(PATIENCE)?;
    }
    let again = busy.hospital.gateway.serve_again()?;
    let sessions = busy.hospital.sessions()?;
    ensure!(sessions.len() == TERMINALS + BULK, "{sessions:?}");
    let reasons: BTreeSet<_> = sessions.iter().map(|session| session.reason.as_deref()).collect();
    ensure!(reasons == BTreeSet::from([Some("crash")]), "{sessions:?}");
    let auditor = &busy.hospital.auditor;
    for session in &sessions {
        // What was shown until then can be looked at.
        let args = ["--as", auditor, "session", "show", &session.id];
        busy.hospital.gateway.command(&args, Input::Nothing)?.success()?;
        ensure!(busy.hospital.recording(session)?.join("session.json").is_file(), "{session:?} has no recording");
    }
    drop(again);
    Ok(())
}

#[test]
fn without_file_descriptors_nobody_new_comes_in_and_nobody_who_is_in_goes() -> Result<()> {
    let mut busy = Busy::start()?;
    let config = busy.config.clone();
    let held = busy.hospital.gateway.footprint()?.files;
    // Room for a handful more: less than a connection, its session, its recording and its device take together.
    limit_files(&busy.hospital, held + 3)?;
    for _ in 0..6 {
        ensure!(!comes_in(&config)?, "somebody came in");
    }
    busy.everybody_is_there()?;

    limit_files(&busy.hospital, 4096)?;
    let begin = std::time::Instant::now();
    while !comes_in(&config)? {
        ensure!(begin.elapsed() < Duration::from_secs(20), "it does not recover");
        thread::sleep(Duration::from_millis(200));
    }
    busy.everybody_is_there()?;
    drop(busy.terminals.drain(..));
    drop(busy.bulk.drain(..));
    for session in busy.hospital.all_closed()? {
        // Whoever had no room to begin was closed as well, and says why.
        let reason = session.reason.as_deref();
        ensure!(matches!(reason, Some("person-left" | "recording-failed")), "{session:?}");
    }
    Ok(())
}

/// A gateway with much going on.
struct Busy {
    terminals: Vec<Terminal>,
    bulk: Vec<(Running, Transcript)>,
    config: PathBuf,
    hospital: Hospital,
}

impl Busy {
    fn start() -> Result<Self> {
        let hospital = Hospital::open(Database::Sqlite)?;
        let certificate = hospital.sign_in()?;
        let config = hospital.workstation.config(&hospital.user(), hospital.carried(&certificate))?;
        let mut bulk = Vec::new();
        for _ in 0..BULK {
            let mut ssh = Command::new("ssh");
            // Fast enough to be under way at each moment, slow enough to leave the disk alone.
            let send = "while head -c 2000000 /dev/zero; do sleep 0.1; done";
            ssh.arg("-F").arg(&config).args(["-T", "gate", send]);
            let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
            let said = child.stderr.take().map(Transcript::of).context("no standard error")?;
            bulk.push((Running::new(child), said));
        }
        let terminals = (0..TERMINALS).map(|_| shell(&config)).collect::<Result<Vec<_>>>()?;
        Ok(Self { terminals, bulk, config, hospital })
    }

    fn everybody_is_there(&mut self) -> Result<()> {
        for terminal in &mut self.terminals {
            terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
        }
        for (bulk, said) in &mut self.bulk {
            ensure!(!bulk.has_ended()?, "bulk data ended: {}", said.text());
        }
        Ok(())
    }
}

fn shell(config: &Path) -> Result<Terminal> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-tt", "gate"]);
    let mut terminal = Terminal::start(&ssh, 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    Ok(terminal)
}

/// Whether somebody who comes now is let in.
fn comes_in(config: &Path) -> Result<bool> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-o", "ConnectTimeout=5", "-T", "gate", "echo in"]);
    Ok(run(&mut ssh, Input::Nothing, PATIENCE)?.code == Some(0))
}

/// The recording, checked against its manifest.
fn export(hospital: &Hospital, session: &str) -> Result<()> {
    let out = hospital.workstation.folder().join(format!("{session}.tar"));
    hospital.gateway.act(&hospital.auditor, &["session", "export", session, "--out", &out.display().to_string()])?;
    Ok(())
}

fn limit_files(hospital: &Hospital, files: u64) -> Result<()> {
    let mut prlimit = Command::new("prlimit");
    prlimit.args([format!("--pid={}", hospital.gateway.id()), format!("--nofile={files}:4096")]);
    run(&mut prlimit, Input::Nothing, PATIENCE)?.success().context("prlimit")?;
    Ok(())
}
