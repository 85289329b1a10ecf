//! The log's key is changed, while the gateway serves and while none does: every verifier follows, with the keys as they
//! are handed over, and nobody believes the next key before it is in their file.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, SealedLog, at, on_both_databases};

on_both_databases!(keys_are_changed_while_it_serves_and_while_it_does_not_and_verifiers_follow);

fn keys_are_changed_while_it_serves_and_while_it_does_not_and_verifiers_follow(database: Database) -> Result<()> {
    let mut hospital = Hospital::open(database)?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let first = sealed.keep("first")?;
    let refused = hospital.gateway.refused(&hospital.auditor, &["log", "rotate-key"])?;
    ensure!(!refused.is_empty(), "an auditor changes nothing");

    let turned = rotate(&hospital, 2)?;
    ensure!(sealed.log.join(format!("rotation/{turned}")).is_file(), "the turn was not kept");
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    sealed.await_newest(&hospital)?;
    // With the keys of before, a key that they do not know has signed.
    let (code, report) = sealed.verified(&hospital, &[&first])?;
    ensure!(code == Some(7) && report.to_string().contains("key-unknown"), "{code:?} {report:#}");
    ensure!(sealed.others()?.iter().all(|other| other.code != Some(0)), "others believe it: {:?}", sealed.others()?);
    sealed.copy_keys()?;
    sealed.is_intact(&hospital, &[&first])?;
    let second = sealed.keep("second")?;

    hospital.gateway.kill()?;
    rotate(&hospital, 3)?;
    sealed.copy_keys()?;
    sealed.is_intact(&hospital, &[&first, &second])?;
    let again = hospital.gateway.serve_again()?;
    rotate(&hospital, 4)?;
    sealed.await_newest(&hospital)?;
    sealed.copy_keys()?;
    let report = sealed.is_intact(&hospital, &[&first, &second])?;
    ensure!(at(&report, "/anchored").as_u64() >= Some(turned), "{report:#}");
    drop(again);
    Ok(())
}

/// Changes the key; returns the size at which both signed.
fn rotate(hospital: &Hospital, number: u64) -> Result<u64> {
    let rotated = hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
    ensure!(at(&rotated, "/sealed") == true && at(&rotated, "/number") == number, "{rotated}");
    let key = at(&rotated, "/key").as_str().context("no key")?;
    let handed = std::fs::read_to_string(hospital.gateway.demo.data_dir.join("log.keys"))?;
    ensure!(handed.lines().last() == Some(key), "the file of keys does not end with it: {handed}");
    at(&rotated, "/size").as_u64().context("no size")
}
