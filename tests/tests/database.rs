//! A database that goes away and returns: sessions go on for the set grace and then end, new ones are refused in bounded
//! time and are told why, and all is well again by itself.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Terminal, run};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The set grace, in seconds.
const GRACE: u64 = 12;

/// What a question to a database that does not answer may take until it is given up.
const GIVEN_UP: Duration = Duration::from_secs(30);

#[test]
fn a_database_that_stands_still_stops_nobody_for_the_grace_and_then_everybody() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    // Signed in, with no session yet.
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let database = hospital.database.as_ref().context("no database")?;

    database.stand_still()?;
    let begin = Instant::now();
    // The data path asks the database nothing: whoever types is answered as ever.
    for number in 0..10 {
        let asked = Instant::now();
        terminal.ask(&format!("echo A''{number}-\r"), &format!("A{number}-"))?;
        ensure!(asked.elapsed() < Duration::from_secs(2), "an answer took {:?}", asked.elapsed());
    }
    ensure!(begin.elapsed() < Duration::from_secs(GRACE), "too slow to tell");
    thread::scope(|scope| -> Result<()> {
        let on_a_connection = scope.spawn(|| run(&mut shared.command(&["-T"]), Input::Nothing, GIVEN_UP));
        let newly = scope.spawn(|| run(&mut connecting(&hospital, &certificate)?, Input::Nothing, GIVEN_UP));
        terminal.end_within(Duration::from_secs(GRACE) + GIVEN_UP).context("the session outlives the grace")?;
        // The last answer came a moment before.
        let early = begin.elapsed() + Duration::from_secs(1) < Duration::from_secs(GRACE);
        ensure!(!early, "ended after {:?}, before the grace", begin.elapsed());
        let screen = terminal.screen.text();
        ensure!(screen.contains("database does not answer"), "the person is not told why: {screen}");
        let refused = on_a_connection.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        ensure!(refused.code == Some(77), "a channel opened without a database: {refused:?}");
        ensure!(refused.stderr.contains("database does not answer"), "it is not told why: {refused:?}");
        // Nothing is said to whoever cannot be told from a stranger.
        let refused = newly.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        ensure!(refused.code == Some(255) && refused.stdout.is_empty(), "{refused:?}");
        Ok(())
    })?;

    database.go_on()?;
    recovers(&hospital, &certificate)?;
    let ended = hospital.all_closed()?;
    let ended = ended.last().context("no session is on record")?;
    ensure!(ended.reason.as_deref() == Some("store-unavailable"), "{ended:?}");
    ensure!(hospital.recording(ended)?.join("manifest.json").is_file(), "the recording was not brought to its end");
    Ok(())
}

#[test]
fn a_database_that_starts_again_within_the_grace_ends_no_session() -> Result<()> {
    let (mut hospital, certificate) = stage()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let database = hospital.database.as_mut().context("no database")?;
    database.crash()?;
    terminal.ask("echo WITHOUT''-IT\r", "WITHOUT-IT")?;
    let refused = run(&mut connecting(&hospital, &certificate)?, Input::Nothing, GIVEN_UP)?;
    ensure!(refused.code == Some(255), "{refused:?}");
    hospital.database.as_mut().context("no database")?.start_again()?;
    recovers(&hospital, &certificate)?;
    // Changes are seen again: what is cut is cut.
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    cut_works(&hospital, &mut terminal)?;
    Ok(())
}

fn cut_works(hospital: &Hospital, terminal: &mut Terminal) -> Result<()> {
    let live =
        hospital.sessions()?.into_iter().find(|session| session.closed.is_none()).context("no session is open")?;
    hospital.gateway.act(&hospital.approver, &["session", "cut", &live.id, "--reason", "seen on the camera"])?;
    terminal.end_within(Duration::from_secs(5)).context("a cut is not seen any more")?;
    Ok(())
}

fn stage() -> Result<(Hospital, std::path::PathBuf)> {
    let hospital = Hospital::open(Database::Postgres)?;
    hospital.gateway.reconfigure("[storage]", &format!("grace_seconds = {GRACE}"))?;
    let certificate = hospital.sign_in()?;
    Ok((hospital, certificate))
}

fn connecting(hospital: &Hospital, certificate: &Path) -> Result<std::process::Command> {
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(certificate))?;
    ssh.args(["-T", "gate", "echo in"]);
    Ok(ssh)
}

/// New sessions are let in again, without anybody doing anything.
fn recovers(hospital: &Hospital, certificate: &Path) -> Result<()> {
    let begin = Instant::now();
    loop {
        let output = run(&mut connecting(hospital, certificate)?, Input::Nothing, PATIENCE)?;
        if output.code == Some(0) {
            println!("let in again after {:?}", begin.elapsed());
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(20), "it does not recover: {output:?}");
        thread::sleep(Duration::from_millis(200));
    }
}
