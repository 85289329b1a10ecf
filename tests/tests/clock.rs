//! A clock that is set: across a window's edge and back again. The gateway's clock alone is moved, by Debian's
//! libfaketime, which reads where it stands from a file; only the wall clock moves, as when an administrator or NTP sets
//! it.

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use sekimori_tests::{Clock, Hospital, Input, PATIENCE, Proof, Window};
use std::time::Duration;

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
