//! The terminal in the browser: Chromium before it, Debian's sshd and GNU telnetd behind it, and all that holds for a
//! session by `ssh`.

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use sekimori_tests::{Browser, DEVICE, Database, Hand, Hospital, Input, PATIENCE, Session, Tab, Telnetd, Window, at};

/// What xterm.js shows.
const SCREEN: &str = ".xterm-rows";
const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// What pages that are none of ours would do, for pages of ours to try.
const TALK: &str = "
    window.ticket = async () => {
        const body = new URLSearchParams({ token: document.querySelector('#again input').value });
        const text = await (await fetch(location.pathname, { method: 'POST', body })).text();
        return new DOMParser().parseFromString(text, 'text/html').getElementById('terminal').dataset.ticket;
    };
    window.begin = (first) => {
        const line = new WebSocket(`wss://${location.host}${document.getElementById('terminal').dataset.line}`);
        Object.assign(line, { binaryType: 'arraybuffer', bytes: 0, last: '', end: null, over: false });
        line.onopen = () => first.forEach((one) => line.send(one));
        line.onmessage = ({ data }) => {
            if (typeof data === 'string') return void (line.end = JSON.parse(data).end);
            line.bytes += data.byteLength;
            line.last = (line.last + new TextDecoder().decode(data)).slice(-200);
        };
        line.onclose = () => (line.over = true);
        return line;
    };
    window.open_with = (ticket) => JSON.stringify({ open: { ticket, size: [80, 24] } });
    true";

fn address(account: &str) -> String {
    format!("/terminal/{DEVICE}/{account}")
}

/// The engineer's browser with a terminal at the device.
fn connected(hospital: &Hospital, hand: &Hand, account: &str, size: (u32, u32)) -> Result<(Tab, Session)> {
    let tab = hand.sign_in_engineer(&hospital.engineer, "en", size)?;
    tab.go(&address(account))?;
    tab.submit("main form button.primary")?;
    tab.shows("#said", "Connected.")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    Ok((tab, session))
}

/// Waits for the device's shell: a terminal loses keys that come one by one while a shell takes it over.
fn prompt(tab: &Tab) -> Result<()> {
    tab.until("/[#$] /.test(document.querySelector('.xterm-rows').textContent)", PATIENCE).map(|_| ())
}

fn ask(tab: &Tab, line: &str, wanted: &str) -> Result<()> {
    tab.type_in(line)?;
    tab.press("Enter")?;
    tab.shows(SCREEN, wanted)
}

fn hand(hospital: &Hospital) -> Result<Hand> {
    Hand::start(&hospital.gateway.demo.console.url)
}

#[test]
fn a_terminal_is_a_session_like_any_other() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let hand = hand(&hospital)?;
    let tab = hand.sign_in_engineer(&hospital.engineer, "en", DESK)?;
    tab.go("/my-devices")?;
    tab.submit("main a[href^='/terminal/']")?;
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    tab.submit("main form button.primary")?;
    tab.shows("#said", "Connected.")?;
    prompt(&tab)?;
    // The device's shell takes what a Japanese keyboard types.
    ask(&tab, "echo REA''DY 関守", "READY 関守")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let (gateway, approver, id) = (&hospital.gateway, hospital.approver.as_str(), session.id.as_str());
    let opened = hospital.events("session.open")?.pop().context("no session on record")?;
    ensure!(at(&opened, "/detail/way") == "browser" && at(&opened, "/session") == id, "{opened}");

    // Whoever watches sees each key, and the device knows the window's size.
    let watching = hand.sign_in(gateway.person("approver")?, "en", DESK)?;
    watching.go(&format!("/sessions/{id}/live"))?;
    watching.shows(SCREEN, "READY")?;
    tab.type_in("KEYSTROKE")?;
    watching.shows(SCREEN, "KEYSTROKE")?;
    tab.press("Control+u")?;
    let rows = || tab.eval("document.querySelectorAll('.xterm-rows > div').length");
    let before = rows()?;
    tab.viewport(1000, 600)?;
    tab.until(&format!("document.querySelectorAll('.xterm-rows > div').length < {before}"), PATIENCE)?;
    let size = format!("until [ \"$(stty size | cut -d' ' -f1)\" = {} ]; do sleep 0.05; done; echo RE''SIZED", rows()?);
    ask(&tab, &size, "RESIZED")?;

    // What is typed and not shown is on record nowhere.
    ask(&tab, "stty -echo; echo PROM''PT; read -r word; stty echo; echo GOT''IT", "PROMPT")?;
    ask(&tab, "unseen-7431-word", "GOTIT")?;

    // Words, and a pause.
    gateway.act(approver, &["session", "message", id, "STEP-3 is enough"])?;
    tab.shows(SCREEN, "STEP-3 is enough")?;
    gateway.act(approver, &["session", "pause", id, "--reason", "CHECKING first"])?;
    tab.shows(SCREEN, "CHECKING first")?;
    tab.type_in("echo HE''LD")?;
    tab.press("Enter")?;
    gateway.act(approver, &["session", "message", id, "SAID meanwhile"])?;
    tab.shows(SCREEN, "SAID meanwhile")?;
    ensure!(!tab.eval("document.querySelector('.xterm-rows').textContent")?.to_string().contains("HELD"));
    gateway.act(approver, &["session", "resume", id])?;
    tab.shows(SCREEN, "HELD")?;

    // The keyboard finds its way out, and back.
    tab.press("Shift+F6")?;
    ensure!(tab.eval("document.activeElement.id")? == "copy", "the keyboard is caught in the terminal");
    tab.press("Tab")?;
    ensure!(tab.eval("document.activeElement.id")? == "leave");
    tab.eval("document.querySelector('.xterm-helper-textarea').focus()")?;
    let paste = |text: &str| {
        tab.eval(&format!(
            "(() => {{ const clipboardData = new DataTransfer(); clipboardData.setData('text/plain', {text}); \
             document.activeElement.dispatchEvent(new ClipboardEvent('paste', \
             {{ clipboardData, bubbles: true, cancelable: true }})); return true; }})()"
        ))
    };
    paste("\"echo PAS''TED\"")?;
    tab.press("Enter")?;
    tab.shows(SCREEN, "PASTED")?;
    paste("'x'.repeat(70000)")?;
    tab.shows("#said", "too much to paste at once")?;
    for size in [DESK, PHONE] {
        tab.viewport(size.0, size.1)?;
        ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    }

    gateway.act(approver, &["session", "cut", id, "--reason", "ENOUGH now"])?;
    tab.shows("#said", "ENOUGH now")?;
    tab.until("!document.getElementById('again').hidden && document.activeElement.closest('#again')", PATIENCE)?;
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);
    hospital.await_session(|session| session.closed.is_some())?;
    hospital.sealed(id)?;
    let replayed = hospital.replayed(id)?;
    for shown in ["READY 関守", "GOTIT", "STEP-3 is enough", "CHECKING first", "HELD", "PASTED", "ENOUGH now"] {
        ensure!(replayed.contains(shown), "{shown} is not on record: {replayed}");
    }
    ensure!(!replayed.contains("unseen-7431-word"), "{replayed}");
    Ok(())
}

#[test]
fn what_comes_from_elsewhere_opens_nothing_and_a_ticket_counts_once() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let hand = hand(&hospital)?;
    let account = hospital.sshd.account.clone();
    // Somebody's page has this browser's cookie and no more.
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.sign_in(&hospital.engineer.id, &hospital.engineer.password, &hospital.engineer.codes)?;
    let line = format!("{}/line", address(&account));
    let upgrade = [
        ["-H", "Connection: Upgrade"],
        ["-H", "Upgrade: websocket"],
        ["-H", "Sec-WebSocket-Version: 13"],
        ["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
    ]
    .concat();
    let own = format!("Origin: {}", hospital.gateway.demo.console.url);
    for (origin, site, status) in [
        ("Origin: https://evil.example", "same-origin", 403),
        ("X-None: 1", "same-origin", 403),
        (&own, "cross-site", 403),
        (&own, "same-origin", 101),
    ] {
        let site = format!("Sec-Fetch-Site: {site}");
        let options = [&upgrade[..], &["--http1.1", "-m", "2", "-H", origin, "-H", &site]].concat();
        let page = browser.ask(&line, &options, None)?;
        ensure!(page.status == status, "{origin}, {site}: {page:?}");
    }
    ensure!(hospital.sessions()?.is_empty(), "it opened a session");

    let (tab, _) = connected(&hospital, &hand, &account, DESK)?;
    tab.eval(TALK)?;
    let ends = |first: &str, words: &str| -> Result<()> {
        tab.eval(&format!(
            "(async () => {{ const fresh = await ticket(); window.one = begin({first}); return 1; }})()"
        ))?;
        tab.until("one.over", PATIENCE)?;
        let end = tab.eval("one.end")?;
        ensure!(end.as_str().is_some_and(|end| end.contains(words)), "{first}: {end}");
        Ok(())
    };
    ends("[open_with('00')]", "used already")?;
    ends("[open_with(document.getElementById('terminal').dataset.ticket)]", "used already")?;
    ends("['{}']", "could not be understood")?;
    ends("[new Uint8Array(10)]", "could not be understood")?;
    let before = hospital.sessions()?.len();
    ends("[open_with(fresh), open_with(fresh)]", "could not be understood")?;
    // What is larger than any paste is not read to its end.
    tab.eval("(async () => { const fresh = await ticket(); window.one = begin([open_with(fresh)]); return 1; })()")?;
    tab.until("one.bytes > 0", PATIENCE)?;
    tab.eval("one.send(new Uint8Array(70000)), 1")?;
    tab.until("one.over", PATIENCE)?;
    ensure!(hospital.sessions()?.len() > before, "a fresh ticket opens nothing");
    // The page's own goes on.
    prompt(&tab)?;
    ask(&tab, "echo STILL''-HERE", "STILL-HERE")
}

#[test]
fn a_device_that_floods_waits_for_a_page_that_does_not_draw() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let hand = hand(&hospital)?;
    let (tab, _) = connected(&hospital, &hand, &hospital.sshd.account.clone(), DESK)?;
    tab.eval(TALK)?;
    let before = hospital.gateway.resident_kib()?;
    tab.eval("(async () => { window.still = begin([open_with(await ticket())]); return 1; })()")?;
    let flood = "seq -f %080.0f 1 400000; echo LAT''EST\\n";
    tab.until("still.bytes > 0", PATIENCE)?;
    tab.eval(&format!("still.send(new TextEncoder().encode(\"{flood}\")), 1"))?;
    tab.until("still.bytes > 300000", PATIENCE)?;
    prompt(&tab)?;
    // Others go on, and by then it has come to stand.
    for word in ["ONE", "TWO", "THREE"] {
        ask(&tab, &format!("echo {word}''{word}"), &word.repeat(2))?;
    }
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "echo OTHER", Input::Nothing)?.success()?;
    let sent = tab.eval("still.bytes")?.as_u64().context("no number")?;
    ensure!(sent < 1 << 20, "{sent} bytes were sent to a page that draws nothing");
    let grew = hospital.gateway.resident_kib()?.saturating_sub(before);
    ensure!(grew < 96 << 10, "what nobody draws takes {grew} KiB");
    // Whoever draws again gets all of it.
    tab.eval(
        "(window.told = 0, window.draws = setInterval(() => { still.send(JSON.stringify({ drawn: still.bytes - told })); \
         told = still.bytes; }, 5), 1)",
    )?;
    tab.until("still.last.includes('LATEST')", PATIENCE)?;
    let sent = tab.eval("still.bytes")?.as_u64().context("no number")?;
    ensure!(sent > 400_000 * 82, "{sent} bytes are not all of it");
    Ok(())
}

#[test]
fn who_signs_out_has_no_terminal_any_more_and_a_closed_page_ends_its_session() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let hand = hand(&hospital)?;
    let account = hospital.sshd.account.clone();
    let (tab, session) = connected(&hospital, &hand, &account, DESK)?;
    tab.eval(TALK)?;
    tab.go("/account")?;
    let closed = hospital.await_session(|one| one.id == session.id && one.closed.is_some())?;
    ensure!(closed.reason.as_deref().is_some_and(|reason| !reason.is_empty()), "{closed:?}");
    let events = hospital.events("session.close")?;
    ensure!(events.iter().all(|event| at(event, "/detail/reason") == "person-left"), "{events:?}");

    tab.go(&address(&account))?;
    tab.submit("main form button.primary")?;
    tab.shows("#said", "Connected.")?;
    let token = "new URLSearchParams({ token: document.querySelector('#again input').value })";
    tab.eval(&format!("fetch('/sign-out', {{ method: 'POST', body: {token}, redirect: 'manual' }}).then(() => 1)"))?;
    tab.shows("#said", "was ended or revoked")?;
    hospital.await_session(|one| one.id != session.id && one.closed.is_some())?;
    let last = hospital.events("session.close")?.pop().context("no end on record")?;
    ensure!(at(&last, "/detail/reason") == "sign-in-revoked", "{last}");
    Ok(())
}

#[test]
fn a_window_that_ends_ends_the_terminal_and_the_page_says_why_there_is_none() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let hand = hand(&hospital)?;
    let account = hospital.sshd.account.clone();
    let tab = hand.sign_in_engineer(&hospital.engineer, "en", PHONE)?;
    tab.go(&address(&account))?;
    tab.shows("main .bad", "Not permitted")?;
    ensure!(
        tab.eval("document.querySelectorAll('main .bad li').length > 0 && !document.querySelector('.primary')")?
            == true
    );
    ensure!(tab.faults()?.is_empty(), "{:#?}", tab.faults()?);

    hospital.grant(Window::ending_in(TimeDelta::seconds(25)))?;
    tab.go(&address(&account))?;
    tab.submit("main form button.primary")?;
    tab.shows("#said", "Connected.")?;
    tab.until("!document.getElementById('again').hidden", PATIENCE)?;
    let closed = hospital.closed_session()?;
    let reason = closed.reason.context("no reason is on record")?;
    tab.shows("#said", "window")?;
    ensure!(reason.contains("window"), "the reason on record is {reason:?}");
    // The page's button asks again, and is told why not: that is on record as by SSH.
    let before = hospital.events("access.denied")?.len();
    tab.submit("#again button")?;
    tab.until("document.querySelectorAll('#said li').length > 0", PATIENCE)?;
    ensure!(hospital.events("access.denied")?.len() == before + 1);
    Ok(())
}

#[test]
fn nothing_reaches_the_device_before_somebody_attends() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, DEVICE, Window::now())?;
    hospital.gateway.act(&hospital.approver, &["work", "approve", &work, "--attendance"])?;
    let hand = hand(&hospital)?;
    let (tab, session) = connected(&hospital, &hand, &hospital.sshd.account.clone(), DESK)?;
    tab.shows(SCREEN, "wait until somebody of the hospital attends")?;
    let file = hospital.workstation.folder().join("begun");
    tab.type_in(&format!("touch {}; echo BE''GUN", file.display()))?;
    tab.press("Enter")?;
    hospital.gateway.act(&hospital.approver, &["session", "message", &session.id, "SAID meanwhile"])?;
    tab.shows(SCREEN, "SAID meanwhile")?;
    ensure!(!file.exists(), "it reached the device");
    let watching = hand.sign_in(hospital.gateway.person("approver")?, "en", DESK)?;
    watching.go(&format!("/sessions/{}/live", session.id))?;
    tab.shows(SCREEN, "BEGUN")?;
    ensure!(file.exists());
    Ok(())
}

#[test]
fn a_device_that_speaks_telnet_is_reached_as_well() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let device = Telnetd::start()?;
    let (address, account) = (device.address.to_string(), Telnetd::ACCOUNT);
    let change = ["device", "change", DEVICE, "--address", &address, "--protocol", "telnet", "--account", account];
    let change = [&change[..], &["--channel", "shell"]].concat();
    hospital.gateway.act(&hospital.administrator, &change)?;
    let store = ["device", "credential", DEVICE, account, "--password-stdin"];
    hospital.gateway.act_with(&hospital.administrator, &store, Input::from(Telnetd::PASSWORD))?;
    hospital.grant(Window::now())?;
    let hand = hand(&hospital)?;
    let (tab, session) = connected(&hospital, &hand, account, DESK)?;
    prompt(&tab)?;
    ask(&tab, "echo LOGGED''-IN as $(id -un)", "LOGGED-IN as service")?;
    let rows = tab.eval("document.querySelectorAll('.xterm-rows > div').length")?;
    ask(&tab, "echo RO''WS=$(stty size)", &format!("ROWS={rows} "))?;
    // Whoever leaves the device's shell has come to the end.
    tab.type_in("exit")?;
    tab.press("Enter")?;
    tab.shows("#said", "This terminal has ended.")?;
    hospital.await_session(|one| one.id == session.id && one.closed.is_some())?;
    let replayed = hospital.replayed(&session.id)?;
    ensure!(replayed.contains("LOGGED-IN as service") && !replayed.contains(Telnetd::PASSWORD), "{replayed}");
    Ok(())
}
