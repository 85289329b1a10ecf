//! Proving who one is: codes once, two kinds of factors, sources before anything else, and nothing learnt from a refusal.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Output, PATIENCE, Proof, at, on_both_databases, run};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;

on_both_databases!(
    invariant_06_the_same_code_twice_succeeds_once,
    invariant_06_the_same_code_from_two_places_at_once_succeeds_once,
    a_carried_sign_in_can_be_revoked,
);

/// Another machine, as far as the gateway can tell.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn invariant_06_the_same_code_twice_succeeds_once(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let code = hospital.engineer.codes.fresh()?;
    let right = Proof::PasswordAndCode(&hospital.engineer.password, &code);
    connect(&hospital, right)?.success().context("the first time")?;
    refused(&connect(&hospital, right)?).context("the second time")?;

    let earlier = hospital.engineer.codes.stale(1)?;
    let right_but_earlier = Proof::PasswordAndCode(&hospital.engineer.password, &earlier);
    refused(&connect(&hospital, right_but_earlier)?).context("an earlier code after a later one")
}

fn invariant_06_the_same_code_from_two_places_at_once_succeeds_once(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let code = hospital.engineer.codes.fresh()?;
    let proof = Proof::PasswordAndCode(&hospital.engineer.password, &code);
    let outputs: Vec<Output> = thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| connect(&hospital, proof))).collect();
        both.into_iter().filter_map(|one| one.join().ok()).collect::<Result<_>>()
    })?;
    let succeeded = outputs.iter().filter(|output| output.code == Some(0)).count();
    ensure!(outputs.len() == 2 && succeeded == 1, "{outputs:?}");
    Ok(())
}

fn a_carried_sign_in_can_be_revoked(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("the second connection")?;

    let listed = hospital.gateway.act(&hospital.administrator, &["sign-in", "list"])?;
    let carried =
        listed.as_array().context("no list")?.iter().filter(|one| at(one, "/person") == hospital.engineer.id.as_str());
    let ids: Vec<_> = carried.filter_map(|one| at(one, "/id").as_str()).collect();
    let [id] = ids.as_slice() else { anyhow::bail!("not one carried sign-in: {listed}") };
    hospital.gateway.act(&hospital.administrator, &["sign-in", "revoke", id])?;
    refused(&hospital.exec(&certificate, "true", Input::Nothing)?)
}

#[test]
fn a_carried_sign_in_is_bound_to_its_source() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    // Everybody may come from either address; only the certificate knows the difference.
    let both = ["vendor", "change", sekimori_tests::VENDOR, "--source", "127.0.0.1/32", "--source", "127.0.0.2/32"];
    hospital.gateway.act(&hospital.administrator, &both)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-o", &format!("BindAddress={STRANGER}"), "-T", "gate", "true"]);
    refused(&run(&mut ssh, Input::Nothing, PATIENCE)?)
}

#[test]
fn invariant_01_two_factors_of_one_kind_are_one() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let code = hospital.engineer.codes.fresh()?;
    let two_possessions = Proof::KeyAndCode(&hospital.engineer.key, &code);
    refused(&connect(&hospital, two_possessions)?)?;
    let only_a_password = Proof::PasswordAndCode(&hospital.engineer.password, "");
    refused(&connect(&hospital, only_a_password)?)
}

#[test]
fn a_refusal_does_not_tell_what_was_wrong() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let (password, code) = (&hospital.engineer.password, hospital.engineer.codes.fresh()?);
    let wrong_code = hospital.engineer.codes.stale(40)?;
    let tries = [
        (hospital.user(), Proof::PasswordAndCode("not the password at all", &code)),
        (hospital.user(), Proof::PasswordAndCode(password, &wrong_code)),
        (format!("nobody-here+{}", sekimori_tests::DEVICE), Proof::PasswordAndCode(password, &wrong_code)),
    ];
    let mut said = Vec::new();
    for (user, proof) in tries {
        let output = hospital.workstation.exec(&user, proof, "true", Input::Nothing, PATIENCE)?;
        refused(&output)?;
        said.push(output.stderr.replace(&user, "USER"));
    }
    ensure!(said.iter().all(|one| Some(one) == said.first()), "refusals differ: {said:#?}");
    let prompts = hospital.workstation.prompts();
    ensure!(prompts.len() == 6, "each is asked for both, whatever is wrong: {prompts:?}");
    Ok(())
}

fn connect(hospital: &Hospital, proof: Proof<'_>) -> Result<Output> {
    hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)
}

/// 255 is OpenSSH's own: the connection, not the command, failed.
fn refused(output: &Output) -> Result<()> {
    ensure!(output.code == Some(255), "not refused: {output:?}");
    Ok(())
}
