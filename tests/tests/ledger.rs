//! The ledger is fed by what happened, and exported as the hospital's office software reads it.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, Hospital, Input, PATIENCE, at, on_both_databases, run};
use serde_json::Value;
use std::fs;
use std::process::Command;

on_both_databases!(a_session_feeds_the_ledger_and_silence_says_nothing);

fn a_session_feeds_the_ledger_and_silence_says_nothing(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let before = row(&hospital, DEVICE)?;
    ensure!(at(&before, "/remote_maintenance") == "未確認", "nobody has said anything yet: {before}");

    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.closed_session()?;
    let after = row(&hospital, DEVICE)?;
    ensure!(at(&after, "/remote_maintenance") == "有", "{after}");
    ensure!(at(&after, "/last_person") == hospital.engineer.id.as_str(), "{after}");
    ensure!(at(&after, "/session_count") == 1, "{after}");
    ensure!(at(&after, "/last_session_at").is_string(), "{after}");
    for device in &hospital.gateway.demo.devices {
        let silent = row(&hospital, &device.id)?;
        ensure!(
            at(&silent, "/session_count") != 0 || at(&silent, "/remote_maintenance") != "無",
            "silence became 無: {silent}"
        );
    }
    Ok(())
}

#[test]
fn exports_open_in_utf_8_and_cp932() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let file = |name: &str| hospital.workstation.folder().join(name);
    for encoding in ["utf-8", "cp932"] {
        let out = file(encoding).display().to_string();
        hospital.gateway.act(&hospital.auditor, &["ledger", "export", "--out", &out, "--encoding", encoding])?;
    }
    let utf8 = fs::read(file("utf-8"))?;
    let text = utf8.strip_prefix(b"\xef\xbb\xbf").context("no byte order mark: a spreadsheet takes it for CP932")?;
    let text = std::str::from_utf8(text)?;
    ensure!(text.starts_with("管理番号,メーカー,OS,"), "{}", text.lines().next().unwrap_or_default());
    ensure!(text.contains("リモート保守の有無"));

    // iconv, not our own decoder.
    let mut iconv = Command::new("iconv");
    let decoded =
        run(iconv.args(["-f", "CP932", "-t", "UTF-8"]).arg(file("cp932")), Input::Nothing, PATIENCE)?.success()?;
    ensure!(decoded.text() == text, "the two exports differ");
    Ok(())
}

fn row(hospital: &Hospital, device: &str) -> Result<Value> {
    let listed = hospital.gateway.act(&hospital.auditor, &["ledger", "list"])?;
    let rows = listed.as_array().with_context(|| format!("no list: {listed}"))?;
    let found = rows.iter().find(|row| at(row, "/device") == device);
    found.cloned().with_context(|| format!("{device} is not in the ledger: {listed}"))
}
