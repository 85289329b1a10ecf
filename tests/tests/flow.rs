//! One channel does not spoil another: a device that takes nothing more beside one that answers.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Running, Terminal, Transcript, at, run};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_device_that_takes_nothing_loses_the_channel_and_the_others_answer_meanwhile() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let config = &hospital.gateway.demo.config;
    let short = fs::read_to_string(config)?.replace("[ssh]\n", "[ssh]\nstall_seconds = 5\n");
    ensure!(short.contains("stall_seconds"), "no [ssh] in the demo's configuration");
    fs::write(config, short)?;
    hospital.gateway.signal(Signal::HUP)?;
    hospital.gateway.log.wait_for("read again", PATIENCE)?;

    // One connection for all that follows.
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;

    let bulk = hospital.bulk_file("bulk", 64)?;
    let mut upload = shared.command(&["-T"]);
    let mut upload =
        upload.arg("sleep 600").stdin(fs::File::open(bulk)?).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let said = Transcript::of(upload.stderr.take().context("no standard error")?);
    let mut upload = Running::new(upload);
    // The device's window and every queue on the way fill up; the neighbours answer all the same.
    for n in 0..20 {
        terminal.ask(&format!("echo A''{n}-\r"), &format!("A{n}-"))?;
    }
    run(shared.command(&["-T"]).arg("true"), Input::Nothing, PATIENCE)?.success().context("a third channel")?;
    ensure!(!upload.has_ended()?, "the upload ended before its time");

    upload.end_within(Duration::from_secs(30)).context("a channel that stands still stays for ever")?;
    let said = said.wait_end(PATIENCE)?;
    ensure!(said.contains("stopped taking data"), "it was told: {said:?}");
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    let open = hospital.await_session(|session| session.closed.is_none())?;
    ensure!(at(&hospital.show(&open)?, "/id") == open.id.as_str());
    Ok(())
}
