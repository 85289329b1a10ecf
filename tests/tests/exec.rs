//! Commands, byte for byte: exit codes, both streams, bulk in both directions, and the record of them.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, Hospital, Input, PATIENCE, Proof, on_both_databases, sha256};
use std::fs::{self, File};

on_both_databases!(the_ways_to_prove_oneself, exit_codes_and_streams, bulk_both_ways);

const MEBIBYTES: u64 = 50;

fn the_ways_to_prove_oneself(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let (engineer, station) = (&hospital.engineer, &hospital.workstation);

    let code = engineer.codes.fresh()?;
    let proof = Proof::PasswordAndCode(&engineer.password, &code);
    let output = station.exec(&hospital.user(), proof, "echo by password and code", Input::Nothing, PATIENCE)?;
    ensure!(output.success()?.text() == "by password and code\n");

    let proof = Proof::KeyAndPassword(&engineer.key, &engineer.password);
    let output = station.exec(&hospital.user(), proof, "echo by key and password", Input::Nothing, PATIENCE)?;
    ensure!(output.success()?.text() == "by key and password\n");

    // With the account named.
    let certificate = hospital.sign_in()?;
    let user = format!("{}+{}", hospital.user(), hospital.sshd.account);
    let proof = hospital.carried(&certificate);
    let output = station.exec(&user, proof, "echo by a carried sign-in", Input::Nothing, PATIENCE)?;
    ensure!(output.success()?.text() == "by a carried sign-in\n");
    Ok(())
}

fn exit_codes_and_streams(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    for code in [0, 3, 127] {
        let output = hospital.exec(&certificate, &format!("exit {code}"), Input::Nothing)?;
        ensure!(output.code == Some(code), "exit {code}: {output:?}");
    }
    let output = hospital.exec(&certificate, "echo to-out; echo to-err >&2; cat", Input::from("typed in"))?;
    ensure!(output.stdout == b"to-out\ntyped in", "{output:?}");
    ensure!(output.stderr.contains("to-err"), "{output:?}");

    let session = hospital.closed_session()?;
    ensure!(session.person == hospital.engineer.id && session.device == DEVICE, "{session:?}");
    ensure!(fs::read(hospital.member(&session, ".stdout")?)? == b"to-out\ntyped in");
    ensure!(fs::read(hospital.member(&session, ".stderr")?)? == b"to-err\n");
    ensure!(fs::read(hospital.member(&session, ".stdin")?)? == b"typed in");
    ensure!(hospital.recording(&session)?.join("manifest.json").is_file());
    Ok(())
}

fn bulk_both_ways(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let file = hospital.bulk_file("bulk", MEBIBYTES)?;
    let sum = sha256(&file)?;

    let up = hospital.exec(&certificate, "sha256sum", Input::File(File::open(&file)?))?.success()?;
    ensure!(up.text().starts_with(&sum), "up: {}", up.text());

    let down = hospital.exec(&certificate, &format!("cat {}", file.display()), Input::Nothing)?.success()?;
    ensure!(down.stdout == fs::read(&file)?, "down: {} bytes came, other than were sent", down.stdout.len());

    // Both directions at once: one pump for both would lock up here.
    let echoed = hospital.exec(&certificate, "cat", Input::File(File::open(&file)?))?.success().context("echo")?;
    ensure!(echoed.stdout == fs::read(&file)?, "echo: {} bytes came, other than were sent", echoed.stdout.len());

    let session = hospital.closed_session()?;
    ensure!(sha256(&hospital.member(&session, ".stdout")?)? == sum, "the record is not what the person got");
    ensure!(sha256(&hospital.member(&session, ".stdin")?)? == sum, "the record is not what the person sent");
    Ok(())
}
