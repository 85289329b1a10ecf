//! Old equipment: what is outdated is spoken towards the device that the hospital allows it to, each use is an event,
//! and the ledger shows the risk. Without the permission the hospital reads what would help.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, Hospital, Input, Sshd, at, keygen};
use serde_json::{Value, json};
use std::process::Command;

/// What OpenSSH's server is told to speak, and the classes that the hospital has to allow for it.
struct Age {
    host_key: &'static str,
    lines: &'static str,
    classes: &'static [&'static str],
    kex: &'static str,
}

#[test]
fn sha1_and_cbc_towards_a_device_that_is_allowed_them() -> Result<()> {
    old_equipment(&Age {
        host_key: "rsa",
        lines: "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1\nHostKeyAlgorithms ssh-rsa",
        classes: &["sha1", "cbc"],
        kex: "diffie-hellman-group14-sha1",
    })
}

#[test]
fn group_exchange_with_sha1_and_aes256_cbc() -> Result<()> {
    old_equipment(&Age {
        host_key: "rsa",
        lines: "KexAlgorithms diffie-hellman-group-exchange-sha1\nCiphers aes256-cbc\nMACs hmac-sha1-etm@openssh.com\n\
                HostKeyAlgorithms ssh-rsa",
        classes: &["sha1", "cbc"],
        kex: "diffie-hellman-group-exchange-sha1",
    })
}

#[test]
fn group1_and_triple_des() -> Result<()> {
    old_equipment(&Age {
        host_key: "rsa",
        lines: "KexAlgorithms diffie-hellman-group1-sha1\nCiphers 3des-cbc\nMACs hmac-sha1\nHostKeyAlgorithms ssh-rsa",
        classes: &["sha1", "cbc", "group1"],
        kex: "diffie-hellman-group1-sha1",
    })
}

#[test]
fn a_dsa_host_key_alone() -> Result<()> {
    old_equipment(&Age {
        host_key: "dsa",
        lines: "HostKeyAlgorithms ssh-dss",
        classes: &["dss"],
        kex: "curve25519-sha256",
    })
}

fn old_equipment(age: &Age) -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let old = Sshd::configured(&[age.host_key], age.lines)?;
    move_to(&hospital, &old)?;

    // The keys can be compared and pinned before anything is allowed, and what will be needed is told.
    let scanned = hospital.gateway.act(&hospital.administrator, &["device", "scan-keys", DEVICE])?;
    ensure!(at(&scanned, "/0/needs_legacy") == &json!(age.classes), "{scanned}");
    hospital.pin(&old.fingerprints()?)?;

    let certificate = hospital.sign_in()?;
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(refused.code == Some(77) && refused.stdout.is_empty(), "reached without permission: {refused:?}");
    ensure!(refused.stderr.contains("outdated encryption"), "the person is not told why: {}", refused.stderr);
    ensure!(!old.log.text().contains("Accepted"), "{}", old.log.text());
    ensure!(hospital.events("session.legacy")?.is_empty());
    let told = last(hospital.events("session.channel")?, "/detail/not_reached")?;
    ensure!(told.contains(age.kex), "the offer is not told: {told}");

    // The hospital types exactly what it is told.
    let command = told.split('`').nth(1).context("no command is told")?;
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    hospital.gateway.act(&hospital.administrator, &words)?;
    hospital.exec(&certificate, "echo reached", Input::Nothing)?.success()?;

    let event = hospital.events("session.legacy")?.pop().context("the use is no event")?;
    ensure!(at(&event, "/detail/classes") == &json!(age.classes), "{event}");
    ensure!(at(&event, "/detail/algorithms/kex") == age.kex && at(&event, "/session").is_string(), "{event}");
    shown_as_a_risk(&hospital, age.classes)?;

    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--legacy", "none"])?;
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(refused.code == Some(77), "reached though the permission was withdrawn: {refused:?}");
    ensure!(!risky(&hospital)?, "the ledger still shows the risk");
    Ok(())
}

#[test]
fn a_permission_is_for_one_device_and_never_towards_people() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let all = ["--legacy", "sha1", "--legacy", "cbc", "--legacy", "dss", "--legacy", "group1"];
    let add = ["device", "add", "old-01", "--name", "Old", "--address", "127.0.0.1:9", "--account", "service"];
    hospital.gateway.act(&hospital.administrator, &[&add[..], &all].concat())?;

    let old = Sshd::configured(&["rsa"], "KexAlgorithms diffie-hellman-group14-sha1")?;
    move_to(&hospital, &old)?;
    hospital.pin(&old.fingerprints()?)?;
    let certificate = hospital.sign_in()?;
    let refused = hospital.exec(&certificate, "true", Input::Nothing)?;
    ensure!(refused.code == Some(77), "another device's permission counts: {refused:?}");

    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-o", "KexAlgorithms=diffie-hellman-group14-sha1", "gate", "true"]);
    let output = sekimori_tests::run(&mut ssh, Input::Nothing, sekimori_tests::PATIENCE)?;
    ensure!(output.stderr.contains("no matching key exchange method"), "{output:?}");
    Ok(())
}

#[test]
fn a_modern_device_with_every_permission_is_spoken_to_in_modern_ways() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let all = ["--legacy", "sha1", "--legacy", "cbc", "--legacy", "dss", "--legacy", "group1"];
    hospital.gateway.act(&hospital.administrator, &[&["device", "change", DEVICE][..], &all].concat())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    ensure!(hospital.events("session.legacy")?.is_empty(), "{:?}", hospital.events("session.legacy")?);
    Ok(())
}

#[test]
fn an_rsa_key_signs_with_sha1_only_where_that_is_allowed() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let old = Sshd::configured(&["ed25519"], "PubkeyAcceptedAlgorithms ssh-rsa\nAuthorizedKeysFile {}/rsa_key.pub")?;
    move_to(&hospital, &old)?;
    hospital.pin(&old.fingerprints()?)?;
    let key = old.folder().join("rsa_key");
    keygen("rsa", &key)?;
    hospital.inject_key(&old.account, &key)?;

    let certificate = hospital.sign_in()?;
    let refused = hospital.exec(&certificate, "true", Input::Nothing)?;
    // It says that it takes SHA-2 and does not: what the hospital may allow is told all the same.
    ensure!(refused.code == Some(77) && refused.stderr.contains("credential"), "{refused:?}");
    let told = last(hospital.events("session.channel")?, "/detail/not_reached")?;
    ensure!(told.contains(&format!("`sekimori device change {DEVICE} --legacy sha1`")), "{told}");
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--legacy", "sha1"])?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let event = hospital.events("session.legacy")?.pop().context("the use is no event")?;
    ensure!(at(&event, "/detail/algorithms/sign_in") == "ssh-rsa", "{event}");
    Ok(())
}

#[test]
fn a_device_with_nothing_that_the_gateway_knows_is_told_of_as_such() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let strange = Sshd::configured(&["ed25519"], "Ciphers aes128-ctr\nMACs umac-64@openssh.com")?;
    move_to(&hospital, &strange)?;
    for fingerprint in strange.fingerprints()? {
        let refused = hospital
            .gateway
            .refused(&hospital.administrator, &["device", "pin", DEVICE, "--fingerprint", &fingerprint])?;
        ensure!(refused.contains("umac-64@openssh.com"), "{refused}");
    }
    Ok(())
}

/// Lets [`DEVICE`] be another machine, with the key that it takes; its host keys are yet to be pinned.
fn move_to(hospital: &Hospital, sshd: &Sshd) -> Result<()> {
    hospital.replace_device(&sshd.address.to_string())?;
    hospital.inject_key(&sshd.account, &sshd.service_key)
}

fn shown_as_a_risk(hospital: &Hospital, classes: &[&str]) -> Result<()> {
    let shown = hospital.gateway.act(&hospital.auditor, &["device", "show", DEVICE])?;
    ensure!(at(&shown, "/dialect/legacy") == &json!(classes), "{shown}");
    ensure!(risky(hospital)?, "the ledger shows no risk");
    let file = hospital.workstation.folder().join("ledger.csv");
    let out = ["ledger", "export", "--out", &file.display().to_string()];
    hospital.gateway.act(&hospital.auditor, &out)?;
    let exported = Command::new("grep").arg("旧式暗号").arg(&file).output()?;
    ensure!(exported.status.success(), "the exported ledger does not name the risk");
    Ok(())
}

fn risky(hospital: &Hospital) -> Result<bool> {
    let mismatches = hospital.gateway.act(&hospital.auditor, &["ledger", "mismatches"])?;
    let mismatches = mismatches.as_array().context("no list")?;
    Ok(mismatches.iter().any(|mismatch| {
        let sentence = at(mismatch, "/ja").as_str().unwrap_or_default();
        at(mismatch, "/code") == "unsafe-connection" && sentence.contains(DEVICE)
    }))
}

fn last(events: Vec<Value>, pointer: &str) -> Result<String> {
    let found = events.iter().rev().find_map(|event| at(event, pointer).as_str());
    found.map(str::to_owned).with_context(|| format!("no {pointer} in {events:?}"))
}
