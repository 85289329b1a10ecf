//! A clock that is set: across a window's edge and back again. The gateway's clock alone is moved, by Debian's
//! libfaketime, which reads where it stands from a file; only the wall clock moves, as when an administrator or NTP sets
//! it.

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Proof, Surroundings, Window, faketime};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn a_clock_set_past_the_windows_end_cuts_and_set_back_lets_in_again() -> Result<()> {
    let clock = Clock::new()?;
    let hospital = clock.hospital()?;
    hospital.grant(Window::ending_in(TimeDelta::minutes(20)))?;
    let engineer = &hospital.engineer;
    let by_key = Proof::KeyAndPassword(&engineer.key, &engineer.password);
    let mut terminal = hospital.shell(by_key)?;

    // Forwards, across the end: no timer of the old time is waited for.
    clock.set("+30m")?;
    terminal.end_within(Duration::from_secs(5)).context("the session outlives its window")?;
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some("window-end"), "{session:?}");
    let refused = command(&hospital, by_key)?;
    ensure!(refused == Some(77), "let in past the window's end: {refused:?}");

    // Back into the window, and before its beginning, and in again.
    clock.set("+0")?;
    ensure!(command(&hospital, by_key)? == Some(0), "kept out within the window");
    let mut terminal = hospital.shell(by_key)?;
    clock.set("-30m")?;
    ensure!(command(&hospital, by_key)? == Some(77), "let in before the window's beginning");
    // Who is in is outside as well, although no end was reached.
    terminal.end_within(Duration::from_secs(5)).context("the session goes on before its window")?;
    clock.set("+0")?;
    ensure!(command(&hospital, by_key)? == Some(0), "kept out within the window, in the end");
    Ok(())
}

#[test]
fn a_code_stays_spent_though_the_clock_is_set_back() -> Result<()> {
    let clock = Clock::new()?;
    let hospital = clock.hospital()?;
    hospital.grant(Window::now())?;
    let engineer = &hospital.engineer;
    let code = engineer.codes.fresh()?;
    let proof = Proof::PasswordAndCode(&engineer.password, &code);
    ensure!(command(&hospital, proof)? == Some(0), "a fresh code is refused");
    // A step back: the spent code's step is the present once more.
    clock.set("-30s")?;
    ensure!(command(&hospital, proof)? == Some(255), "a code was taken twice");
    Ok(())
}

fn command(hospital: &Hospital, proof: Proof<'_>) -> Result<Option<i32>> {
    Ok(hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)?.code)
}

/// Where the gateway's clock stands, compared with everybody else's.
struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Clock {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-clock-").tempdir()?;
        Ok(Self { folder, library: faketime()? })
    }

    /// Among the gateway's own files, since it reads no others.
    fn file(&self) -> PathBuf {
        self.folder.path().join("hospital/faketime")
    }

    /// Sets it, as libfaketime writes it: `+30m` is half an hour fast.
    fn set(&self, offset: &str) -> Result<()> {
        // Never half written.
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("{offset}\n"))?;
        Ok(fs::rename(fresh, self.file())?)
    }

    /// A hospital whose gateway lives by this clock.
    fn hospital(&self) -> Result<Hospital> {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            // Timers run on; the wall clock alone is set.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let folder = Some(self.folder.path());
        let surroundings = Surroundings { environment: &environment, folder, ..Surroundings::default() };
        Hospital::closed_in(surroundings, Database::Sqlite)
    }
}
