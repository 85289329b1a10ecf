//! Sessions watched in a browser while they go on: OpenSSH on one side, Chromium on the other.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Browser, Database, Hand, Hospital, Input, PATIENCE, Running, Session, Tab, Terminal, at, run};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What xterm.js shows.
const SCREEN: &str = ".xterm-rows";
const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

struct Watched {
    hospital: Hospital,
    terminal: Terminal,
    session: Session,
}

fn watched() -> Result<Watched> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let terminal = hospital.shell(hospital.carried(&certificate))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    Ok(Watched { hospital, terminal, session })
}

impl Watched {
    fn hand(&self) -> Result<Hand> {
        Hand::start(&self.hospital.gateway.demo.console.url)
    }

    fn watch(&self, hand: &Hand, role: &str, language: &str, size: (u32, u32)) -> Result<Tab> {
        let tab = hand.sign_in(self.hospital.gateway.person(role)?, language, size)?;
        tab.go(&format!("/sessions/{}/live", self.session.id))?;
        Ok(tab)
    }
}

#[test]
fn what_is_typed_shows_to_who_watches_and_what_a_device_sends_only_draws() -> Result<()> {
    let mut watched = watched()?;
    let hand = watched.hand()?;
    let tab = watched.watch(&hand, "approver", "en", DESK)?;
    // The screen as it was before anybody looked, then each key.
    tab.shows(SCREEN, "READY")?;
    watched.terminal.type_in("KEYSTROKE")?;
    tab.shows(SCREEN, "KEYSTROKE")?;
    let title = tab.eval("document.title")?;
    let hostile = "\u{15}printf '\\033]0;pwned\\007\\033]52;c;ZXZpbA==\\007\\033]8;;https://evil.example/\\007li''nk\
                   \\033]8;;\\007\\033[31mDRA''WN\\033[0m\\033[6n\\n'\r";
    watched.terminal.type_in(hostile)?;
    tab.shows(SCREEN, "linkDRAWN")?;
    ensure!(tab.eval("document.title")? == title, "the title is the device's: {}", tab.eval("document.title")?);
    ensure!(tab.eval("document.querySelectorAll('main a[href*=evil], .xterm-underline-5').length")? == 0);
    let red = "[...document.querySelectorAll('.xterm-rows span')].some((one) => one.textContent.includes('DRAWN') \
               && getComputedStyle(one).color.match(/[0-9]+/g).map(Number).every((part, at) => at ? part < 128 : part > 128))";
    ensure!(tab.eval(red)? == true, "no colour is drawn");

    watched.terminal.resize(100, 30)?;
    tab.until("document.querySelectorAll('.xterm-rows > div').length === 30", PATIENCE)?;
    let viewed = watched.hospital.events("recording.viewed")?;
    let [viewed] = viewed.as_slice() else { anyhow::bail!("not one viewing is on record: {viewed:?}") };
    ensure!(at(viewed, "/detail/how") == "watch" && at(viewed, "/session") == watched.session.id.as_str(), "{viewed}");

    // Keys are the page's: Tab leads on, and nothing reaches the device.
    tab.eval("document.querySelector('.xterm-helper-textarea').focus()")?;
    tab.press("X")?;
    tab.press("Tab")?;
    ensure!(tab.eval("document.activeElement.className !== 'xterm-helper-textarea'")? == true, "Tab leads nowhere");
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);

    watched.terminal.ask("\u{15}echo NO''X\r", "NOX")?;
    watched.terminal.type_in("exit\r")?;
    tab.shows("#said", "This session has ended.")?;
    Ok(())
}

#[test]
fn who_may_no_longer_watch_is_shown_nothing_more() -> Result<()> {
    let mut watched = watched()?;
    let hand = watched.hand()?;
    let tab = watched.watch(&hand, "approver", "en", DESK)?;
    let other = watched.watch(&hand, "auditor", "en", DESK)?;
    for tab in [&tab, &other] {
        tab.shows(SCREEN, "READY")?;
    }
    let approver = &watched.hospital.approver;
    watched
        .hospital
        .gateway
        .act(&watched.hospital.administrator, &["person", "change", approver, "--role", "management"])?;
    tab.shows("#said", "your roles have changed")?;
    watched.terminal.ask("echo SEC''RET\r", "SECRET")?;
    other.shows(SCREEN, "SECRET")?;
    ensure!(tab.eval("document.querySelector('.xterm-rows').textContent.includes('SECRET')")? == false);
    Ok(())
}

#[test]
fn a_watcher_that_stands_still_holds_up_nobody_and_is_shown_the_screen_anew() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    // The device floods the terminal once it is watched, and says when all of it has gone through.
    let file = |name: &str| hospital.workstation.folder().join(name);
    let (go, done) = (file("go"), file("done"));
    let flood = format!(
        "echo READY; until [ -e {} ]; do sleep 0.05; done; seq -f %080.0f 1 400000; touch {}; echo LATEST; sleep 600",
        go.display(),
        done.display()
    );
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-tt", "gate", &flood]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ssh = Running::new(ssh.spawn()?);
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.sign_in_as(hospital.gateway.person("auditor")?)?;
    let mut still = browser.begin(&format!("/sessions/{}/live/stream", session.id))?;
    let mut lines = still.stdout.take().context("no pipe")?;
    let _still = Running::new(still);
    read_until(&mut lines, "READY")?;

    // More than sockets and pipes between them take.
    let before = hospital.gateway.resident_kib()?;
    std::fs::write(&go, "")?;
    let since = Instant::now();
    while !done.exists() {
        ensure!(since.elapsed() < PATIENCE, "the session is held up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let grew = hospital.gateway.resident_kib()?.saturating_sub(before);
    ensure!(grew < 96 << 10, "what nobody reads takes {grew} KiB");

    let (found, read) = read_until(&mut lines, "LATEST")?;
    let flood = 400_000 * 82;
    ensure!(read < flood, "{read} bytes were kept for who did not read");
    ensure!(found.contains("\"screen\""), "the screen was not told anew");
    Ok(())
}

/// Reads on until `wanted` was told; what was told last, and how many bytes it took.
fn read_until(lines: &mut impl Read, wanted: &str) -> Result<(String, usize)> {
    let mut told = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while !String::from_utf8_lossy(&told).contains(wanted) {
        let count = lines.read(&mut piece)?;
        ensure!(count > 0, "it ended without {wanted}");
        told.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    Ok((String::from_utf8_lossy(&told).into_owned(), told.len()))
}

#[test]
fn the_wall_shows_every_session_as_it_is_with_one_request() -> Result<()> {
    let mut watched = watched()?;
    let hospital = &watched.hospital;
    let hand = watched.hand()?;
    let wall = hand.sign_in(hospital.gateway.person("approver")?, "ja", DESK)?;
    wall.go("/live")?;
    let first = format!("[data-session='{}'] pre", watched.session.id);
    wall.shows(&first, "READY")?;
    watched.terminal.type_in("printf '\\033[1;32mGRE''EN\\033[0m\\n'\r")?;
    wall.shows(&first, "GREEN")?;
    let green = "[...document.querySelectorAll('pre .i2.bold')].some((one) => one.textContent.includes('GREEN'))";
    ensure!(wall.eval(green)? == true, "no colour is drawn");

    // Others come, and go: a command, which has no screen, and a second terminal.
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["gate", "echo COMMAND; sleep 600"]).stdin(Stdio::null()).stdout(Stdio::null());
    let command = Running::new(ssh.spawn()?);
    wall.shows("#wall", "echo COMMAND; sleep 600")?;
    let second = hospital.shell(hospital.carried(&certificate))?;
    wall.until("document.querySelectorAll('#wall pre:not([hidden])').length === 2", PATIENCE)?;
    // What is being typed stays when sessions come and go.
    let tile = format!("[data-session='{}']", watched.session.id);
    wall.click(&format!("{tile} summary"))?;
    wall.fill(&format!("{tile} input[name=reason]"), "half a rea")?;
    drop(command);
    wall.until("document.querySelectorAll('#wall > section').length === 2", PATIENCE)?;

    ensure!(wall.eval(&format!("document.querySelector(\"{tile} input[name=reason]\").value"))? == "half a rea");

    // What goes on in them takes no request more.
    wall.asked()?;
    for word in ["ONE", "TWO", "THREE"] {
        watched.terminal.type_in(&format!("echo {word}''{word}\r"))?;
        wall.shows(&first, &word.repeat(2))?;
    }
    let asked = wall.asked()?;
    ensure!(asked.is_empty(), "each change asks: {asked:?}");
    for size in [DESK, PHONE] {
        wall.viewport(size.0, size.1)?;
        ensure!(wall.faults()?.is_empty(), "{:#?}", wall.faults()?);
    }
    let viewed = hospital.events("recording.viewed")?;
    ensure!(viewed.len() == 3 && viewed.iter().all(|one| at(one, "/detail/how") == "wall"), "{viewed:?}");
    drop(second);
    Ok(())
}

#[test]
fn who_watches_says_something_pauses_resumes_and_cuts_and_both_sides_see_it() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let (gateway, approver, id) = (&hospital.gateway, hospital.approver.as_str(), session.id.as_str());
    let hand = Hand::start(&gateway.demo.console.url)?;
    let page = format!("/sessions/{id}/live");
    let tab = hand.sign_in(gateway.person("approver")?, "en", DESK)?;
    let other = hand.sign_in(gateway.person("auditor")?, "ja", PHONE)?;
    for tab in [&tab, &other] {
        tab.go(&page)?;
        tab.shows(SCREEN, "READY")?;
    }
    ensure!(other.eval("document.querySelectorAll('main form').length")? == 0, "an auditor may not act on sessions");

    let mark = terminal.screen.mark();
    tab.fill("#text", "STEP-3 is enough")?;
    tab.submit("form[action$='/message'] button")?;
    let shown = terminal.screen.wait_after(mark, "STEP-3 is enough", PATIENCE)?;
    ensure!(shown.contains(&format!("({approver})")), "it does not say who: {shown:?}");
    other.shows(SCREEN, "STEP-3 is enough")?;
    let refused = gateway.refused(approver, &["session", "message", id, "\u{1b}]0;pwned\u{7}"])?;
    ensure!(refused.contains("text: there are control characters"), "{refused}");

    let mark = terminal.screen.mark();
    tab.fill("#why", "CHECKING first")?;
    tab.submit("#pause button")?;
    terminal.screen.wait_after(mark, "CHECKING first", PATIENCE)?;
    for tab in [&tab, &other] {
        tab.shows("#paused", "CHECKING first")?;
        ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    }
    // What is typed waits, and nothing new begins; what the gateway says comes through.
    terminal.type_in("echo HE''LD\r")?;
    let refused = run(shared.command(&["-T"]).arg("echo BEGUN"), Input::Nothing, PATIENCE)?;
    ensure!(refused.code == Some(77) && refused.stderr.contains("CHECKING first"), "{refused:?}");
    gateway.act(approver, &["session", "message", id, "SAID meanwhile"])?;
    let shown = terminal.screen.wait_after(mark, "SAID meanwhile", PATIENCE)?;
    ensure!(!shown.contains("HELD") && !shown.contains("echo HE"), "what is held reached the device: {shown:?}");
    let twice = gateway.refused(approver, &["session", "pause", id, "--reason", "again"])?;
    ensure!(twice.contains("is paused already"), "{twice}");

    let mark = terminal.screen.mark();
    gateway.act(approver, &["session", "resume", id])?;
    terminal.screen.wait_after(mark, "HELD", PATIENCE)?;
    for tab in [&tab, &other] {
        tab.until("document.getElementById('paused').hidden", PATIENCE)?;
    }
    tab.until("!document.getElementById('pause').hidden && document.getElementById('resume').hidden", PATIENCE)?;

    let mark = terminal.screen.mark();
    tab.fill("#reason", "ENOUGH now")?;
    tab.submit("form[action$='/cut'] button")?;
    terminal.screen.wait_after(mark, "ENOUGH now", PATIENCE)?;
    other.shows("#said", "ENOUGH now")?;
    terminal.end_within(PATIENCE)?;
    let closed = hospital.await_session(|session| session.closed.is_some())?;
    ensure!(closed.id == session.id);
    let kinds = ["session.message", "session.paused", "session.message", "session.resumed", "session.cut"];
    let mut told = Vec::new();
    for kind in ["session.message", "session.paused", "session.resumed", "session.cut"] {
        told.extend(hospital.events(kind)?);
    }
    told.sort_by_key(|event| at(event, "/seq").as_i64());
    ensure!(told.iter().map(|event| at(event, "/kind")).eq(kinds.iter()), "{told:#?}");
    ensure!(
        told.iter().all(|event| at(event, "/session") == id && at(event, "/actor/person") == approver),
        "{told:#?}"
    );
    hospital.sealed(id)?;
    let replayed = hospital.replayed(id)?;
    ensure!(replayed.contains("STEP-3 is enough") && replayed.contains("CHECKING first"), "{replayed}");
    Ok(())
}
