//! Work that is to be attended (立会い): nothing reaches the device while nobody of the hospital watches.

use anyhow::{Result, ensure};
use sekimori_tests::{Database, Hand, Hospital, Input, PATIENCE, Running, Terminal, Window, at, run};
use serde_json::Value;
use std::process::Stdio;

const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);
/// What a waiting person reads.
const WAITS: &str = "this work is to be attended";

/// A window that was approved on the condition that somebody attends.
fn attended() -> Result<Hospital> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, sekimori_tests::DEVICE, Window::now())?;
    hospital.gateway.act(&hospital.approver, &["work", "approve", &work, "--attendance"])?;
    Ok(hospital)
}

fn events(hospital: &Hospital) -> Result<Vec<Value>> {
    let mut events = hospital.events("session.attended")?;
    events.extend(hospital.events("session.unattended")?);
    events.sort_by_key(|event| at(event, "/seq").as_i64());
    Ok(events)
}

#[test]
fn a_session_waits_until_somebody_attends_and_is_held_when_they_leave() -> Result<()> {
    let hospital = attended()?;
    let (gateway, approver) = (&hospital.gateway, hospital.approver.as_str());
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.screen.wait_for(WAITS, PATIENCE)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let hand = Hand::start(&gateway.demo.console.url)?;
    let page = format!("/sessions/{}/live", session.id);

    // An auditor looks, and may not cut: that is no attendance. It is said where it will be seen.
    let auditor = hand.sign_in(gateway.person("auditor")?, "ja", PHONE)?;
    auditor.go(&page)?;
    auditor.shows("#attendance", "立会い待ちです")?;
    let tab = hand.sign_in(gateway.person("approver")?, "en", DESK)?;
    tab.go("/inbox")?;
    tab.shows("main", "Waits for somebody to attend")?;
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    tab.go("/live")?;
    tab.shows("#wall", "Waits for somebody to attend")?;
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    ensure!(!terminal.screen.text().contains('$') && events(&hospital)?.is_empty(), "the wall is no attendance");

    tab.click("#wall a[href$='/live']")?;
    tab.shows("#attendance", "You attend.")?;
    auditor.until("document.getElementById('attendance').hidden", PATIENCE)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);

    // They leave: what is typed waits.
    let gone = terminal.screen.mark();
    tab.go("/inbox")?;
    let shown = terminal.screen.wait_after(gone, "no longer attends", PATIENCE)?;
    ensure!(shown.contains(&format!("({approver})")), "{shown:?}");
    auditor.shows("#attendance", "立会い待ちです")?;
    terminal.type_in("echo HE''LD\r")?;
    gateway.act(approver, &["session", "message", &session.id, "SAID meanwhile"])?;
    let shown = terminal.screen.wait_after(gone, "SAID meanwhile", PATIENCE)?;
    ensure!(!shown.contains("HELD") && !shown.contains("echo HE"), "what is held reached the device: {shown:?}");

    // On the command line as well, for as long as the command runs.
    let watch = |person: &str| -> Result<Running> {
        let mut watch = gateway.prepared(&["--as", person, "session", "watch", &session.id]);
        Ok(Running::new(watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    };
    let looks = watch(&hospital.auditor)?;
    hospital.await_events("recording.viewed", 4)?;
    ensure!(!terminal.screen.text().contains("HELD"), "who may not cut does not attend");
    let attends = watch(approver)?;
    let mark = terminal.screen.mark();
    terminal.screen.wait_for("HELD", PATIENCE)?;
    drop(attends);
    terminal.screen.wait_after(mark, "no longer attends", PATIENCE)?;
    drop(looks);

    hospital.await_events("session.unattended", 2)?;
    let told = events(&hospital)?;
    ensure!(told.iter().filter(|event| at(event, "/detail/held") == true).count() == 2, "{told:#?}");
    let kinds = ["session.attended", "session.unattended", "session.attended", "session.unattended"];
    ensure!(told.iter().map(|event| at(event, "/kind")).eq(kinds.iter()), "{told:#?}");
    ensure!(
        told.iter().all(|event| at(event, "/session") == session.id.as_str() && at(event, "/actor/person") == approver),
        "{told:#?}"
    );
    Ok(())
}

#[test]
fn neither_a_command_nor_a_forward_begins_before_somebody_attends() -> Result<()> {
    let hospital = attended()?;
    let gateway = &hospital.gateway;
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let file = hospital.workstation.folder().join("begun");
    let mut command = shared.command(&["-T"]);
    command.arg(format!("touch {}; echo DONE", file.display()));
    let mut command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let told = command.stderr.take().map(sekimori_tests::Transcript::of);
    let said = command.stdout.take().map(sekimori_tests::Transcript::of);
    let mut command = Running::new(command);
    let (Some(told), Some(said)) = (told, said) else { anyhow::bail!("no pipes") };
    told.wait_for(WAITS, PATIENCE)?;

    let echo = format!("localhost:{}", hospital.echo.address.port());
    let refused = run(&mut shared.command(&["-W", &echo]), Input::Nothing, PATIENCE)?;
    ensure!(refused.code != Some(0), "{refused:?}");
    shared.log.wait_for(WAITS, PATIENCE)?;
    let denied = hospital.events("access.denied")?;
    ensure!(denied.iter().any(|event| at(event, "/detail/reasons/0") == "session-unattended"), "{denied:#?}");
    ensure!(refused.stdout.is_empty() && !file.exists(), "something began at the device: {refused:?}");

    let session = hospital.await_session(|session| session.closed.is_none())?;
    let mut watch = gateway.prepared(&["--as", &hospital.approver, "session", "watch", &session.id]);
    let _attends = Running::new(watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    said.wait_for("DONE", PATIENCE)?;
    ensure!(file.exists() && command.end_within(PATIENCE)?.success());
    Ok(())
}

#[test]
fn who_loses_the_right_to_cut_attends_no_longer() -> Result<()> {
    let hospital = attended()?;
    let gateway = &hospital.gateway;
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.screen.wait_for(WAITS, PATIENCE)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let hand = Hand::start(&gateway.demo.console.url)?;
    let tab = hand.sign_in(gateway.person("approver")?, "en", DESK)?;
    tab.go(&format!("/sessions/{}/live", session.id))?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    // They may look still.
    let mark = terminal.screen.mark();
    gateway.act(&hospital.administrator, &["person", "change", &hospital.approver, "--role", "auditor"])?;
    tab.shows("#said", "your roles have changed")?;
    terminal.screen.wait_after(mark, "no longer attends", PATIENCE)?;
    terminal.type_in("echo HE''LD\r")?;
    gateway.act(&hospital.administrator, &["session", "cut", &session.id, "--reason", "ENOUGH"])?;
    let shown = terminal.screen.wait_after(mark, "ENOUGH", PATIENCE)?;
    ensure!(!shown.contains("HELD"), "{shown:?}");
    Ok(())
}
