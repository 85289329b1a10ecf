//! Words are found in what was shown, run and transferred, and each result opens at its moment.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Terminal, at, run};
use serde_json::Value;
use std::fs;

#[test]
fn words_are_found_and_open_at_their_moment() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    terminal.ask("echo befo''re\r", "before")?;
    terminal.ask("sleep 2; printf '\\033[31mｻｰﾊﾞ\\033[0m を RESTA''RT\\n'\r", "RESTART")?;
    terminal.ask("exit\r", "")?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    hospital.exec(&certificate, "true run-by-name", Input::Nothing)?.success()?;
    let file = hospital.workstation.folder().join("firmware.bin");
    fs::write(&file, "new")?;
    let target = hospital.sshd.folder().join("Firmware-Taken.bin").display().to_string();
    let mut scp = hospital.workstation.prepared("scp", &hospital.user(), hospital.carried(&certificate))?;
    run(scp.arg("-q").arg(&file).arg(format!("gate:{target}")), Input::Nothing, PATIENCE)?.success()?;
    for session in hospital.all_closed()? {
        hospital.sealed(&session.id)?;
    }

    // As people mean words: without case, and half-width is full-width.
    let found = search(&hospital, &["サーバ", "restart"])?;
    let [found] = found.as_slice() else { anyhow::bail!("not one result: {found:?}") };
    ensure!(at(found, "/text") == "ｻｰﾊﾞ を RESTART" && at(found, "/session") == session.id.as_str(), "{found}");
    let open = at(found, "/open").as_str().context("no way to open it")?;
    let words: Vec<_> = open.split(' ').skip(1).collect();
    let moment = words.last().and_then(|seconds| seconds.parse::<u64>().ok()).context("no moment")?;
    ensure!(moment >= 2, "{open}");
    let passphrase = hospital.gateway.passphrase_file();
    let play = [&["--as", &hospital.auditor], words.as_slice(), &["--passphrase-file", &passphrase]].concat();
    let played = Terminal::start(&hospital.gateway.prepared(&play), 80, 24)?;
    played.screen.wait_for("RESTART", PATIENCE)?;

    let found = search(&hospital, &["run-by-name"])?;
    ensure!(found.len() == 1 && at(found.first().context("no command")?, "/text") == "true run-by-name", "{found:?}");
    // Files and their hashes take no passphrase.
    let known = ["session", "search", "11507a0e2f5e69d5", "firmware-taken", "--known"];
    let found = hospital.gateway.act(&hospital.auditor, &known)?;
    ensure!(at(&found, "/0/open").as_str().is_some_and(|open| open.starts_with("sekimori session show ")), "{found}");
    ensure!(search(&hospital, &["never", "shown"])?.is_empty());
    // Who looked for what is on record; the engineer finds nothing.
    let events = hospital.events("recording.viewed")?;
    let searched = events.iter().filter(|event| at(event, "/detail/how") == "search");
    ensure!(searched.clone().count() == 4 && searched.clone().any(|event| at(event, "/detail/words/1") == "restart"));
    hospital.gateway.refused(&hospital.engineer.id, &known)?;
    Ok(())
}

fn search(hospital: &Hospital, words: &[&str]) -> Result<Vec<Value>> {
    let passphrase = hospital.gateway.passphrase_file();
    let search = [&["session", "search"], words, &["--passphrase-file", &passphrase]].concat();
    let found = hospital.gateway.act(&hospital.auditor, &search)?;
    Ok(found.as_array().context("no list")?.clone())
}
