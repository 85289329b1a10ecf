//! Who gets through and who does not, decided afresh for each connection (DOMAIN §5, invariants 1, 4, 5 and 11).

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, ENGINEER, Hospital, Input, Proof, VENDOR, Window, on_both_databases};
use serde_json::Value;

on_both_databases!(invariant_01_anything_missing_denies, invariant_05_editing_an_approved_request_voids_it);

/// An act that takes something away which access needs, and one that gives it back.
type Change<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn invariant_01_anything_missing_denies(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let act = |args: &[&str]| hospital.gateway.act(&hospital.administrator, args);
    let changes: [Change<'_>; 5] = [
        (
            "the source is not on the device's list",
            &["device", "change", DEVICE, "--source", "192.0.2.0/24"],
            &["device", "change", DEVICE, "--source", "127.0.0.1/32"],
        ),
        ("the device is suspended", &["device", "suspend", DEVICE], &["device", "resume", DEVICE]),
        (
            "the contract has ended",
            &["vendor", "change", VENDOR, "--contract-until", "2026-04-01"],
            &["vendor", "change", VENDOR, "--contract-until", "2099-03-31"],
        ),
        ("the vendor is suspended", &["vendor", "suspend", VENDOR], &["vendor", "resume", VENDOR]),
        // Last: it ends the carried sign-in as well, and what came after would be denied for that.
        ("the person is suspended", &["person", "suspend", ENGINEER], &["person", "resume", ENGINEER]),
    ];
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with everything in place")?;
    for (what, away, back) in changes {
        act(away)?;
        denied(&hospital, &certificate).with_context(|| what.to_owned())?;
        ensure!(!reasons(&hospital)?.is_empty(), "{what}: explain gives no reason");
        act(back)?;
        ensure!(
            reasons(&hospital)?.is_empty(),
            "{what}: still denied when it was put right: {:?}",
            reasons(&hospital)?
        );
    }
    denied(&hospital, &certificate).context("who is back signs in anew")?;
    hospital.exec(&hospital.sign_in()?, "true", Input::Nothing)?.success().context("signed in anew")?;
    Ok(())
}

#[test]
fn invariant_01_without_a_window_an_attestation_or_in_a_lock_nobody_enters() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    hospital.grant(Window::tomorrow())?;
    let proof = Proof::KeyAndPassword(&hospital.engineer.key, &hospital.engineer.password);
    let early = hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, sekimori_tests::PATIENCE)?;
    ensure!(early.code == Some(77), "outside the window: {early:?}");

    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("in the window")?;

    let lock = hospital.gateway.act(&hospital.administrator, &["lock", "set", "--everyone", "--reason", "incident"])?;
    denied(&hospital, &certificate).context("in a lock")?;
    let id = lock.get("id").and_then(Value::as_str).with_context(|| format!("no id: {lock}"))?;
    hospital.gateway.act(&hospital.approver, &["lock", "lift", id])?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("after the lock")?;

    // Another device of the hospital is not in the work's scope.
    let other = hospital.gateway.demo.devices.first().context("the demo has no device")?;
    let user = format!("{ENGINEER}+{}", other.id);
    let output = hospital.workstation.exec(
        &user,
        hospital.carried(&certificate),
        "true",
        Input::Nothing,
        sekimori_tests::PATIENCE,
    )?;
    ensure!(output.code != Some(0), "a device outside the scope was reached");

    // A second engineer of the same vendor is not named in the work, and has attested nothing.
    hospital.add_engineer("mori2")?;
    let shown = explain(&hospital, "mori2")?;
    ensure!(shown.to_string().contains("attestation"), "no word of the missing attestation: {shown}");
    Ok(())
}

#[test]
fn invariant_04_nobody_approves_or_reviews_his_own() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, DEVICE, Window::now())?;
    hospital.gateway.refused(ENGINEER, &["work", "approve", &work])?;

    // A vendor's person never holds a hospital role.
    let both = ["person", "add", "both1", "--name", "Both", "--vendor", VENDOR, "--role", "approver"];
    hospital.gateway.refused(&hospital.administrator, &both)?;

    // Who requested does not approve, though the role would allow it.
    let requested = hospital.gateway.act(&hospital.approver, &request_by_the_hospital())?;
    let own = requested.get("id").and_then(Value::as_str).with_context(|| format!("no id: {requested}"))?;
    hospital.gateway.refused(&hospital.approver, &["work", "approve", own])?;
    Ok(())
}

fn invariant_05_editing_an_approved_request_voids_it(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let work = hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("approved")?;
    hospital.gateway.act(ENGINEER, &["work", "edit", &work, "--purpose", "something else"])?;
    denied(&hospital, &certificate).context("edited, not approved again")?;
    hospital.gateway.act(&hospital.approver, &["work", "approve", &work])?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("approved again")?;
    Ok(())
}

#[test]
fn invariant_11_no_window_is_open_for_ever() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let mut args = request_by_the_hospital().to_vec();
    args.extend(["--rrule", "FREQ=DAILY"]);
    let said = hospital.gateway.refused(ENGINEER, &args)?;
    ensure!(said.contains("UNTIL") || said.contains("COUNT"), "it does not say what to do: {said}");
    Ok(())
}

fn request_by_the_hospital() -> [&'static str; 18] {
    [
        "work",
        "request",
        "--vendor",
        VENDOR,
        "--person",
        ENGINEER,
        "--device",
        DEVICE,
        "--purpose",
        "inspection",
        "--plan",
        "read the logs",
        "--start",
        "2026-12-01T09:00:00",
        "--end",
        "2026-12-01T10:00:00",
        "--zone",
        "UTC",
    ]
}

fn denied(hospital: &Hospital, certificate: &std::path::Path) -> Result<()> {
    let accepted = |text: String| text.matches("Accepted publickey").count();
    let before = accepted(hospital.sshd.log.text());
    let output = hospital.exec(certificate, "true", Input::Nothing)?;
    ensure!(output.code != Some(0), "not denied: {output:?}");
    ensure!(accepted(hospital.sshd.log.text()) == before, "denied, but the device was dialled");
    Ok(())
}

fn explain(hospital: &Hospital, person: &str) -> Result<Value> {
    let args = ["--json", "explain", "--person", person, "--device", DEVICE, "--from", "127.0.0.1"];
    let output = hospital.gateway.command(&args, Input::Nothing)?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))
}

fn reasons(hospital: &Hospital) -> Result<Vec<Value>> {
    let shown = explain(hospital, ENGINEER)?;
    Ok(shown.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default())
}
