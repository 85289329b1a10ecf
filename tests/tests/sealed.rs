//! Sealed recordings, from outside: other people's tools open them, and a changed one does not pass.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Session, Terminal, at, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A hospital with a session that has ended and is sealed.
fn stage(said: &str) -> Result<(Hospital, Session, PathBuf)> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, &format!("echo {said}"), Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    let sealed = hospital.sealed(&session.id)?;
    Ok((hospital, session, sealed))
}

/// `tar`, `age` and `zstd` of the distribution, and nothing of ours.
#[test]
fn stock_tools_open_a_sealed_recording() -> Result<()> {
    let (hospital, session, sealed) = stage("opened-by-hand")?;
    let unpacked = hospital.workstation.folder().join("by-hand");
    fs::create_dir(&unpacked)?;
    let mut tar = Command::new("tar");
    run(tar.arg("-xf").arg(&sealed).arg("-C").arg(&unpacked), Input::Nothing, PATIENCE)?.success()?;
    let mut grep = Command::new("grep");
    grep.args(["-r", "-a", "opened-by-hand"]).arg(&unpacked);
    ensure!(run(&mut grep, Input::Nothing, PATIENCE)?.code == Some(1), "it can be read without a key");

    let identity = hospital.gateway.demo.data_dir.join("keys/recordings/office.age");
    let mut by_hand = Command::new("sh");
    by_hand.args(["-c", r#"age -d -i "$0" "$1" | zstd -dc > opened && echo DO''NE"#]).arg(identity);
    by_hand.arg("00001.stdout.000001.zst.age").current_dir(unpacked.join(&session.id));
    let mut typing = Terminal::start(&by_hand, 80, 24)?;
    typing.screen.wait_for("passphrase", PATIENCE).context("is age installed? tests/setup.sh does it")?;
    typing.type_in(&format!("{}\r", hospital.gateway.demo.recordings_passphrase))?;
    typing.screen.wait_for("DONE", PATIENCE)?;
    ensure!(fs::read_to_string(unpacked.join(&session.id).join("opened"))? == "opened-by-hand\n");
    Ok(())
}

/// Every file of every recording is one that the log seals: no key is needed to see that one is not.
#[test]
fn what_was_done_to_a_recording_is_found() -> Result<()> {
    let (hospital, session, sealed) = stage("evidence")?;
    let verifying = Verifying::of(&hospital)?;
    let (code, report) = verifying.when_sealed(&hospital)?;
    ensure!(code == Some(0), "{report}");
    ensure!(at(&report, "/recordings/recordings") == 1, "{report}");

    let original = fs::read(&sealed)?;
    let flipped = |at: usize| {
        let mut bytes = original.clone();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        bytes
    };
    // The first bytes of the first file; those of the index; the recording of another session in its place.
    for (what, bytes) in [
        ("a changed file", flipped(600)),
        ("a changed index", flipped(original.len() - 1600)),
        ("half of it", original.get(..original.len() / 2).unwrap_or_default().to_vec()),
    ] {
        fs::write(&sealed, bytes)?;
        let (code, report) = verifying.report(&hospital)?;
        ensure!(code == Some(7), "{what}: {report}");
        let faults = at(&report, "/faults").as_array().context("no faults")?;
        let named = |code: &str| {
            faults.iter().any(|fault| at(fault, "/code") == code && at(fault, "/session") == session.id.as_str())
        };
        ensure!(named("body-missing") && named("recording-differs"), "{what}: {report}");
        ensure!(faults.iter().any(|fault| at(fault, "/time").is_string()), "{what}: {report}");
    }
    fs::remove_file(&sealed)?;
    let (code, report) = verifying.report(&hospital)?;
    ensure!(code == Some(7), "a removed recording: {report}");

    fs::write(&sealed, &original)?;
    ensure!(verifying.report(&hospital)?.0 == Some(0), "put right again");
    Ok(())
}

/// A session is sealed while it goes on: what the log was told of stays so when the gateway is killed, and all that was
/// shown is there when it serves again.
#[test]
fn a_long_session_is_sealed_while_it_goes_on_and_after_a_kill() -> Result<()> {
    let mut hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    terminal.ask("seq -f line-%g- 1 30000\r", "line-30000-")?;
    let end = Instant::now() + PATIENCE;
    let told = loop {
        let told = hospital.events("recording.segment")?;
        if !told.is_empty() {
            break told;
        }
        ensure!(Instant::now() < end, "nothing is sealed while it goes on: {told:?}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    ensure!(told.iter().any(|event| at(event, "/detail/name") == "00001.cast.000001.zst.age"), "{told:?}");
    terminal.ask("echo after''-wards\r", "after-wards")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    hospital.gateway.kill()?;
    let _gateway = hospital.gateway.serve_again()?;
    let sealed = hospital.sealed(&session.id)?;
    let text = hospital.replayed(&session.id)?;
    let lines = text.split("line-").filter_map(|part| part.split_once('-')?.0.parse::<u32>().ok());
    ensure!(lines.eq(1..=30_000), "not every line is there once, in order");
    ensure!(text.contains("after-wards"));
    let (code, report) = Verifying::of(&hospital)?.when_sealed(&hospital)?;
    ensure!(code == Some(0), "{report}");
    let mut tar = Command::new("tar");
    let listed = run(tar.arg("-tf").arg(sealed), Input::Nothing, PATIENCE)?.success()?.text();
    ensure!(
        ["/key.age", "/00001.cast.000001.zst.age", ".journal"].iter().all(|name| listed.contains(name)),
        "{listed}"
    );
    Ok(())
}

/// More files than are told of at once: all are, once each, and the last word comes last.
#[test]
fn a_large_recording_is_told_of_whole() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "head -c 450000000 /dev/zero", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    let (code, report) = Verifying::of(&hospital)?.when_sealed(&hospital)?;
    ensure!(code == Some(0), "{report}");
    let told = hospital.events("recording.segment")?;
    let mut names: Vec<_> = told.iter().map(|event| at(event, "/detail/name").to_string()).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    ensure!(all > 400 && names.len() == all, "{all} files were told of, {} of them once", names.len());
    ensure!(hospital.events("recording.sealed")?.len() == 1);
    Ok(())
}

struct Verifying {
    log: String,
    keys: String,
    recordings: String,
}

impl Verifying {
    fn of(hospital: &Hospital) -> Result<Self> {
        let places = hospital.gateway.act(&hospital.auditor, &["log", "where"])?;
        let path = |key: &str| at(&places, key).as_str().map(str::to_owned).with_context(|| format!("no {key}"));
        let keys = hospital.workstation.folder().join("log.keys");
        fs::copy(Path::new(&path("/keys")?), &keys)?;
        Ok(Self { log: path("/log")?, keys: keys.display().to_string(), recordings: path("/recordings")? })
    }

    fn report(&self, hospital: &Hospital) -> Result<(Option<i32>, Value)> {
        let places = ["--log", &self.log, "--keys", &self.keys, "--recordings", &self.recordings];
        let output = hospital.gateway.command(&[&["--json", "verify"][..], &places].concat(), Input::Nothing)?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("no report: {output:?}"))?;
        Ok((output.code, report))
    }

    /// The first report in which the log knows of the recording: a second after it was sealed.
    fn when_sealed(&self, hospital: &Hospital) -> Result<(Option<i32>, Value)> {
        let started = Instant::now();
        loop {
            let (code, report) = self.report(hospital)?;
            let unknown = report.to_string().contains("recording-unknown") || report.to_string().contains("differs");
            if !unknown || started.elapsed() > PATIENCE {
                return Ok((code, report));
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
