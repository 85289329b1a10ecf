//! A terminal session: what it shows, that it changes its size, and that it can be replayed by us and by others.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Size, Terminal, on_both_databases, play, run};
use std::path::Path;
use std::process::Command;

on_both_databases!(a_terminal_session_is_shown_recorded_and_replayed);

fn a_terminal_session_is_shown_recorded_and_replayed(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let work = hospital.grant(sekimori_tests::Window::now())?;
    let certificate = hospital.sign_in()?;
    let mut terminal = open_terminal(&hospital, &certificate)?;

    terminal.ask("stty size\r", "30 100")?;
    terminal.resize(120, 40)?;
    // The quotes keep the echo of what is typed from looking like the answer.
    terminal.ask("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.05; done; echo RE''SIZED\r", "RESIZED")?;
    terminal.ask("printf '\\033[31m%s\\033[0m\\n' 関''守\r", "\u{1b}[31m関守\u{1b}[0m")?;
    terminal.ask("stty -echo; echo HID''DEN; read unseen\r", "HIDDEN")?;
    terminal.type_in("never-shown-7431\r")?;
    terminal.ask("stty echo; echo SHO''WN\r", "SHOWN")?;
    terminal.type_in("exit 7\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(7));
    let screen = terminal.screen.text();
    ensure!(screen.contains(&work), "the banner does not name the work {work}: {screen}");

    let session = hospital.closed_session()?;
    let played = play(&hospital.member(&session, ".cast")?)?;
    ensure!(played.size == Size { cols: 100, rows: 30 }, "{played:?}");
    ensure!(played.sizes == [Size { cols: 120, rows: 40 }], "{played:?}");
    ensure!(played.output.contains("\u{1b}[31m関守\u{1b}[0m\r\n"), "{played:?}");
    ensure!(played.output.contains("RESIZED\r\n"), "{played:?}");

    // What is typed without an echo is on record nowhere.
    let mut grep = Command::new("grep");
    grep.args(["-r", "never-shown-7431"]).arg(hospital.recording(&session)?);
    ensure!(run(&mut grep, Input::Nothing, PATIENCE)?.code == Some(1), "what was typed unseen is on record");

    let text = hospital.replayed(&session.id)?;
    ensure!(text.contains("関守") && text.contains("RESIZED") && !text.contains('\u{1b}'), "{text}");
    Ok(())
}

#[test]
fn a_live_session_can_be_watched() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = open_terminal(&hospital, &certificate)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;

    let command = hospital.gateway.prepared(&["--as", &hospital.auditor, "session", "watch", &session.id]);
    let mut watching = Terminal::start(&command, 100, 30)?;
    terminal.ask("echo WATCH''ED\r", "WATCHED")?;
    watching.screen.wait_for("WATCHED", PATIENCE)?;
    terminal.type_in("exit\r")?;
    terminal.end_within(PATIENCE)?;
    watching.end_within(PATIENCE).context("watching goes on after the session's end")?;
    Ok(())
}

#[test]
fn the_menu_shows_what_is_open_and_leads_there() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let proof = hospital.carried(&certificate);
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, proof)?;
    let mut menu = Terminal::start(ssh.args(["-tt", "gate"]), 100, 30)?;
    let shown = menu.screen.wait_for(sekimori_tests::DEVICE, PATIENCE)?;
    // The demo's other devices are other vendors' affair.
    for device in &hospital.gateway.demo.devices {
        ensure!(!shown.contains(&device.id), "the menu shows {}: {shown}", device.id);
    }
    menu.type_in("1\r")?;
    menu.ask("echo THROUGH''-MENU\r", "THROUGH-MENU")?;
    menu.type_in("exit\r")?;
    Ok(())
}

/// A shell on the device in a terminal of 100 × 30, at a prompt that is known.
fn open_terminal(hospital: &Hospital, certificate: &Path) -> Result<Terminal> {
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), 100, 30)?;
    // The echo of the line must not be taken for the prompt.
    terminal.ask("exec env -i PATH=\"$PATH\" PS1='prom''pt> ' sh; \r", "prompt> ")?;
    Ok(terminal)
}
