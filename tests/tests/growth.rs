//! Nothing is kept of what is over: a thousand short sessions in a row, and passwords that were looked at.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Proof, run};
use std::process::Command;
use std::thread;

const SESSIONS: usize = 1000;

/// Before the first figure is taken: pools fill up, and the allocator finds its size.
const WARM_UP: usize = 200;

const LANES: usize = 4;

/// Two percent of what a thousand sessions take while they are open.
const GROWTH_KIB: u64 = 12 << 10;

#[test]
fn a_thousand_short_sessions_in_a_row_leave_nothing_behind() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let config = hospital.workstation.config(&hospital.user(), hospital.carried(&certificate))?;
    let visit = |number: usize| -> Result<()> {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&config).args(["-T", "gate", &format!("echo {number}; exit {}", number % 50)]);
        let output = run(&mut ssh, Input::Nothing, PATIENCE)?;
        ensure!(
            output.text() == format!("{number}\n") && output.code == Some(i32::try_from(number % 50)?),
            "{output:?}"
        );
        Ok(())
    };
    let visits = |from: usize, to: usize| -> Result<()> {
        thread::scope(|scope| {
            let lane = |lane: usize| (from + lane..to).step_by(LANES).try_for_each(visit);
            let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
            lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))?)
        })
    };
    let gateway = &hospital.gateway;
    visits(0, WARM_UP)?;
    hospital.all_closed()?;
    let before = gateway.at_rest()?;
    let mut points = vec![before];
    for number in 0..4 {
        let quarter = (SESSIONS - WARM_UP) / 4;
        visits(WARM_UP + number * quarter, WARM_UP + (number + 1) * quarter)?;
        hospital.all_closed()?;
        points.push(gateway.back_at(&before)?);
    }
    println!("at rest: {points:?}");
    points.last().context("no point")?.is_no_more_than(&before, GROWTH_KIB)?;

    let sessions = hospital.all_closed()?;
    ensure!(sessions.len() == SESSIONS, "{} sessions are on record", sessions.len());
    let other = sessions.iter().find(|session| session.reason.as_deref() != Some("person-left"));
    ensure!(other.is_none(), "{other:?}");
    for session in &sessions {
        hospital.sealed(&session.id)?;
    }
    Ok(())
}

/// A hash takes 19 MiB, four are computed at once, and the gateway itself takes some fifty.
#[test]
fn passwords_that_were_looked_at_do_not_pile_up_in_memory() -> Result<()> {
    const MOST_KIB: u64 = 150 << 10;
    let hospital = Hospital::open(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    let sign_in = || -> Result<()> {
        for _ in 0..6 {
            let proof = Proof::KeyAndPassword(&engineer.key, &engineer.password);
            hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)?.success()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(sign_in)).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))?)
    })?;
    let held = hospital.gateway.resident_kib()?;
    println!("{held} KiB after 24 sign-ins by password");
    ensure!(held < MOST_KIB, "the gateway holds {held} KiB");
    Ok(())
}
