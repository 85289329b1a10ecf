//! The checkpoint on paper: its text typed back with careless fingers, and its QR read by somebody else's reader.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, at, run};
use std::fs;
use std::process::Command;

#[test]
fn the_printed_checkpoint_is_an_anchor_typed_back_and_as_a_qr() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let printed = hospital.gateway.command(&["log", "checkpoint"], Input::Nothing)?.success()?.text();
    let size = sealed.size()?;
    let folder = hospital.workstation.folder();

    // The text begins with its heading and has seven lines.
    let lines = printed.lines().skip_while(|line| *line != "sekimori anchor 1").take(7);
    let text = lines.map(|line| format!("  {line}\n\n")).collect::<String>();
    let typed = folder.join("typed");
    let (head, numbers) = text.split_at(text.find("size").context("no size")?);
    fs::write(&typed, format!("{head}{}", numbers.to_uppercase().replace('0', "O").replace('1', "l")))?;
    let agrees = |anchor: &std::path::Path| -> Result<()> {
        let report = sealed.is_intact(&hospital, &[anchor])?;
        ensure!(at(&report, "/anchored").as_u64() == Some(size), "{report:#}");
        Ok(())
    };
    agrees(&typed)?;

    let picture = folder.join("code.pbm");
    fs::write(&picture, photographed(&printed)?)?;
    let read = run(Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&picture), Input::Nothing, PATIENCE);
    let read = read.context("run sh tests/setup.sh test")?.success()?.text();
    let scanned = folder.join("scanned");
    // The reader ends what it read with a line break of its own.
    fs::write(&scanned, format!("{}\n", read.trim_end()))?;
    ensure!(fs::read(&scanned)? == fs::read(sealed.log.join("checkpoint"))?, "the QR says something else: {read}");
    agrees(&scanned)?;

    // Of a log that was rewritten the paper says so.
    let wrong = folder.join("wrong");
    fs::write(&wrong, text.replacen("size", "sise", 1))?;
    let (log, keys) = (sealed.log.display().to_string(), sealed.keys.display().to_string());
    let args = ["verify", "--log", &log, "--keys", &keys, "--anchor", &wrong.display().to_string()];
    let refused = hospital.gateway.command(&args, Input::Nothing)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("typing error"), "{refused:?}");
    Ok(())
}

/// The QR in half blocks as a picture: a full block is ink.
fn photographed(printed: &str) -> Result<String> {
    let blocks =
        |line: &&str| line.chars().count() > 20 && line.chars().all(|each| " \u{2580}\u{2584}\u{2588}".contains(each));
    let rows = printed.lines().filter(blocks).collect::<Vec<_>>();
    let width = rows.first().context("no QR was printed")?.chars().count();
    let mut picture = String::new();
    for row in &rows {
        let half = |ink: &[char]| {
            let line = row.chars().map(|each| if ink.contains(&each) { "1 ".repeat(4) } else { "0 ".repeat(4) });
            format!("{}\n", line.collect::<String>()).repeat(4)
        };
        picture.push_str(&half(&['\u{2588}', '\u{2580}']));
        picture.push_str(&half(&['\u{2588}', '\u{2584}']));
    }
    Ok(format!("P1\n{} {}\n{picture}", width * 4, rows.len() * 8))
}
