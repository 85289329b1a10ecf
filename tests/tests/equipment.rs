//! Towards the device: the host key that the hospital pinned, and the credential that nobody sees.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, Hospital, Input, Sshd, at};

#[test]
fn a_device_with_another_host_key_gets_nothing() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let other = Sshd::start(Some(&hospital.gateway.demo.ssh.ca_key))?;
    let address = other.address.to_string();
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--address", &address])?;

    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(
        output.code == Some(77) && output.stdout.is_empty(),
        "another machine was taken for the device: {output:?}"
    );
    ensure!(output.stderr.contains("host key"), "the person is not told why: {}", output.stderr);
    let log = other.log.text();
    ensure!(!log.contains("Accepted") && !log.contains("Failed") && !log.contains("user"), "it got more: {log}");
    let events = hospital.events("session.channel")?;
    let told = events.iter().filter_map(|event| at(event, "/detail/not_reached").as_str()).next_back();
    ensure!(told.is_some_and(|told| told.contains("not pinned")), "{events:?}");

    // The hospital, and nobody else, says that the machine was replaced.
    for fingerprint in other.fingerprints()? {
        hospital.gateway.act(&hospital.administrator, &["device", "pin", DEVICE, "--fingerprint", &fingerprint])?;
    }
    trust_the_authority(&hospital, &other.account)?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("pinned again")?;
    Ok(())
}

#[test]
fn a_device_may_trust_the_gateways_certificates() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    trust_the_authority(&hospital, &hospital.sshd.account)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    // The device's own log names the person and the session.
    let session = hospital.closed_session()?;
    let id = format!("ID {}/{}", session.person, session.id);
    hospital.sshd.log.wait_for(&id, sekimori_tests::PATIENCE)?;
    Ok(())
}

#[test]
fn a_credential_that_the_device_refuses_is_told_of_without_showing_it() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let (administrator, account) = (&hospital.administrator, &hospital.sshd.account);
    let secret = "a-service-password-of-nobody";
    let args = ["device", "credential", DEVICE, account, "--password-stdin"];
    hospital.gateway.act_with(administrator, &args, Input::from(secret))?;
    let certificate = hospital.sign_in()?;
    let output = hospital.exec(&certificate, "true", Input::Nothing)?;
    ensure!(output.code == Some(77) && output.stderr.contains("credential"), "{output:?}");
    let everything = format!(
        "{} {} {}",
        output.stderr,
        hospital.gateway.log.text(),
        hospital.gateway.act(&hospital.auditor, &["log", "list"])?
    );
    ensure!(!everything.contains(secret), "the credential is shown");
    Ok(())
}

fn trust_the_authority(hospital: &Hospital, account: &str) -> Result<()> {
    let args = ["device", "credential", DEVICE, account, "--certificate"];
    hospital.gateway.act(&hospital.administrator, &args)?;
    Ok(())
}
