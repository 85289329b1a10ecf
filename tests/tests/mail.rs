//! Mail: an invitation that comes by it, what becomes of mail that cannot go, and news of work, through a mail server that
//! is not ours and reads every mail with eyes that are not ours.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    Browser, Clock, Codes, DEVICE, Database, ENGINEER, Hospital, Input, MAIL_FROM, MAIL_PASSWORD, Mail, MailServer,
    MailWay, PATIENCE, VENDOR, Window, at, free_port, on_both_databases, run,
};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

on_both_databases!(
    an_invitation_comes_by_mail_and_enrols_once,
    what_was_committed_is_sent_after_a_kill,
    news_of_a_request_reaches_who_decides_and_who_asked,
);

const NEWCOMER: &str = "sato9";
const ADDRESS: &str = "sato.hana@vendor.example";

/// Somebody of the vendor's who gets mail there.
fn newcomer(hospital: &Hospital, id: &str, address: &str) -> Result<()> {
    let add = ["person", "add", id, "--name", "Sato Hana", "--vendor", VENDOR, "--language", "en", "--mail", address];
    hospital.gateway.act(&hospital.administrator, &add).map(drop)
}

fn invite(hospital: &Hospital, id: &str) -> Result<Value> {
    hospital.gateway.act(&hospital.administrator, &["person", "invite", id, "--mail"])
}

/// A mail server that the hospital's gateway is told of; it does not run yet.
fn server(hospital: &Hospital, way: MailWay) -> Result<MailServer> {
    let server = MailServer::beside(&hospital.gateway, way, free_port()?)?;
    hospital.gateway.set_last_section(&server.section())?;
    hospital.gateway.reload()?;
    Ok(server)
}

/// A mail of a person, as `sekimori mail list` has it, of which something holds.
fn listed(hospital: &Hospital, person: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let all = hospital.gateway.act(&hospital.auditor, &["mail", "list"])?;
        let mut of = all.as_array().into_iter().flatten().filter(|mail| at(mail, "/person") == person);
        if let Some(mail) = of.find(|mail| holds(mail)) {
            return Ok(mail.clone());
        }
        ensure!(Instant::now() < end, "the list does not come to that: {all:#}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// What the mail verb says when no mail goes.
fn not_sent(hospital: &Hospital) -> Result<String> {
    let mut test =
        hospital.gateway.prepared(&["--as", &hospital.administrator, "mail", "test", "desk@hospital.example"]);
    let output = run(&mut test, Input::Nothing, PATIENCE * 2)?;
    ensure!(output.code == Some(1) && !output.stderr.contains("panicked"), "{output:?}");
    ensure!(!output.stderr.contains(MAIL_PASSWORD), "the password is shown: {}", output.stderr);
    Ok(output.stderr)
}

/// The path of ours that a mail leads to; nothing else in it is a link.
fn link(mail: &Mail) -> Result<&str> {
    // As the demo's configuration has it: it listens on any port.
    let ours = "https://127.0.0.1:0";
    ensure!(mail.body.matches("://").count() == 1, "not one link: {}", mail.body);
    let line = mail.body.lines().find_map(|line| line.trim().strip_prefix(ours));
    line.with_context(|| format!("no link to {ours} on a line of its own: {}", mail.body))
}

/// From whom, to one, as one part of plain text, and sound in Python's eyes.
fn sound(mail: &Mail) -> Result<()> {
    ensure!(mail.from == MAIL_FROM && mail.to.len() == 1, "{mail:#?}");
    ensure!(mail.defects.is_empty() && mail.parts == ["text/plain"], "{mail:#?}");
    let mut names: Vec<String> = mail.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    let all = [
        "auto-submitted",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ];
    ensure!(names == all, "{names:?}");
    let acts =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    ensure!(!mail.subject.contains(acts) && !mail.body.replace("\r\n", "\n").contains(acts), "{mail:#?}");
    Ok(())
}

fn an_invitation_comes_by_mail_and_enrols_once(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let gateway = &hospital.gateway;
    newcomer(&hospital, NEWCOMER, ADDRESS)?;
    let said = gateway.refused(&hospital.administrator, &["person", "invite", NEWCOMER, "--mail"])?;
    ensure!(said.contains("mail.server"), "{said}");
    for bad in ["sato", "a@h.example\r\nBcc: x@evil.example", "a@h.example,b@h.example"] {
        gateway.refused(&hospital.administrator, &["person", "change", NEWCOMER, "--mail", bad])?;
    }

    let mut server = server(&hospital, MailWay::Starttls)?;
    server.start(&[])?;
    let tried = gateway.act(&hospital.administrator, &["mail", "test", "desk@hospital.example"])?;
    ensure!(at(&tried, "/answer") == "250 2.0.0 kept", "{tried}");
    sound(&server.await_mails("desk@hospital.example", 1)?.remove(0))?;

    let made = invite(&hospital, NEWCOMER)?;
    let mail = server.await_mails(ADDRESS, 1)?.remove(0);
    sound(&mail)?;
    ensure!(mail.protected && mail.authenticated, "{mail:#?}");
    let path = link(&mail)?;
    let token = path.strip_prefix("/join/").with_context(|| format!("no invitation: {}", mail.body))?;
    ensure!(token.len() == 64, "{token}");
    let page = Browser::new(&gateway.demo.console)?.get(path)?;
    ensure!(page.status == 303 && page.location == "/join", "{page:?}");

    let ended = listed(&hospital, NEWCOMER, |mail| at(mail, "/outcome") == "sent")?;
    let events = gateway.act(&hospital.auditor, &["log", "list"])?;
    let sent = events.as_array().into_iter().flatten().find(|event| at(event, "/kind") == "mail.sent");
    let sent = sent.with_context(|| format!("not on record: {events}"))?;
    ensure!(at(sent, "/person") == NEWCOMER && at(sent, "/detail/what") == "invitation", "{sent}");
    // The link is with its reader alone, and no address lies in the log for good.
    for told in [&made, &ended, &events] {
        ensure!(!told.to_string().contains(token), "the link is shown: {told}");
    }
    ensure!(!events.as_array().into_iter().flatten().any(|event| {
        at(event, "/kind").as_str().is_some_and(|kind| kind.starts_with("mail.")) && event.to_string().contains('@')
    }));
    ensure!(!gateway.log.text().contains(token), "the link is in the gateway's log");

    // The console mails one as well, and shows no link.
    let browser = Browser::new(&gateway.demo.console)?;
    browser.sign_in_as(gateway.person("administrator")?)?;
    let page = browser.send(&format!("/people/{NEWCOMER}/invite"), &[("by", "mail")])?;
    ensure!(page.status == 200 && !page.body.contains("/join/"), "{page:?}");
    let second = server.await_mails(ADDRESS, 2)?.remove(1);
    let fresh = link(&second)?;
    ensure!(fresh != path && second.id != mail.id, "the same link twice");
    let page = Browser::new(&gateway.demo.console)?.get(path)?;
    ensure!(page.location != "/join", "the earlier link counts still: {page:?}");
    let page = Browser::new(&gateway.demo.console)?.get(fresh)?;
    ensure!(page.status == 303 && page.location == "/join", "{page:?}");
    Ok(())
}

fn what_was_committed_is_sent_after_a_kill(database: Database) -> Result<()> {
    let mut hospital = Hospital::closed(database)?;
    newcomer(&hospital, NEWCOMER, ADDRESS)?;
    let mut server = server(&hospital, MailWay::Starttls)?;
    // The server is away: the mail waits, and the doctor says so.
    invite(&hospital, NEWCOMER)?;
    let waiting = listed(&hospital, NEWCOMER, |mail| !at(mail, "/said").is_null())?;
    ensure!(at(&waiting, "/outcome").is_null(), "{waiting}");
    let said = at(&waiting, "/said").as_str().unwrap_or_default();
    ensure!(said.contains("cannot connect"), "{waiting}");
    let doctor = hospital.gateway.command(&["doctor"], Input::Nothing)?;
    ensure!(doctor.code != Some(0) && doctor.text().contains("cannot connect"), "{doctor:?}");

    hospital.gateway.kill()?;
    server.start(&[])?;
    let again = hospital.gateway.serve_again()?;
    sound(&server.await_mails(ADDRESS, 1)?.remove(0))?;
    listed(&hospital, NEWCOMER, |mail| at(mail, "/outcome") == "sent")?;
    drop(again);
    Ok(())
}

#[test]
fn what_a_server_refuses_is_given_up_and_what_it_puts_off_waits_alone() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let mut server = server(&hospital, MailWay::Clear)?;
    server.start(&["--refuse", "gone@vendor.example", "--later", "later@vendor.example"])?;
    for (id, address) in [("gone1", "gone@vendor.example"), ("later1", "later@vendor.example"), (NEWCOMER, ADDRESS)] {
        newcomer(&hospital, id, address)?;
        invite(&hospital, id)?;
    }
    let refused = listed(&hospital, "gone1", |mail| at(mail, "/outcome") == "given-up")?;
    ensure!(at(&refused, "/said").as_str().is_some_and(|said| said.contains("unknown here")), "{refused}");
    let put_off = listed(&hospital, "later1", |mail| !at(mail, "/said").is_null())?;
    ensure!(at(&put_off, "/outcome").is_null() && at(&put_off, "/tries") == 1, "{put_off}");
    server.await_mails(ADDRESS, 1)?;
    let events = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let given_up = events.as_array().into_iter().flatten().find(|event| at(event, "/kind") == "mail.given-up");
    let given_up = given_up.with_context(|| format!("not on record: {events}"))?;
    ensure!(at(given_up, "/person") == "gone1" && at(given_up, "/detail/code") == 550, "{given_up}");
    let doctor = hospital.gateway.command(&["doctor"], Input::Nothing)?;
    ensure!(doctor.text().contains("1 were given up"), "{doctor:?}");
    // Whoever relies on being told sees it without a command line.
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.sign_in_as(hospital.gateway.person("approver")?)?;
    let page = browser.get("/mails")?.body;
    let row = |person: &str| page.split("<tr>").find(|row| row.contains(&format!(">{person}<"))).unwrap_or_default();
    ensure!(row("gone1").contains("断念") && row("gone1").contains("unknown here"), "{page}");
    ensure!(row("later1").contains("再送待ち") && row(NEWCOMER).contains("送信済み"), "{page}");
    ensure!(page.contains("送信を断念したメールがあります"), "{page}");
    let system = browser.get("/system")?.body;
    ensure!(system.contains("送信を断念したメールがあります") && system.contains("改ざん検知ログ"), "{system}");
    Ok(())
}

#[test]
fn a_server_that_is_not_to_be_believed_gets_nothing() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    for way in [MailWay::Starttls, MailWay::Implicit] {
        let mut server = server(&hospital, way)?;
        server.start(&[])?;
        hospital.gateway.act(&hospital.administrator, &["mail", "test", "desk@hospital.example"])?;
        let before = server.mails()?.len();
        ensure!(before > 0, "nothing came by {way:?}");

        // It takes the password of a file that nobody else reads, and no other.
        let file = server.password_file();
        std::fs::write(&file, "another one 99\n")?;
        let said = not_sent(&hospital)?;
        ensure!(said.contains("mail.user"), "{way:?}: {said}");
        std::fs::write(&file, format!("{MAIL_PASSWORD}\n"))?;
        open_to_all(&file)?;
        let said = not_sent(&hospital)?;
        ensure!(said.contains("mail.password_file"), "{way:?}: {said}");
        let server = {
            server.stop();
            // The certificate that it is known by is another one than it has.
            let mut other = MailServer::beside(&hospital.gateway, way, free_port()?)?;
            other.start(&[])?;
            other.make_certificate()?;
            hospital.gateway.set_last_section(&other.section())?;
            other
        };
        let said = not_sent(&hospital)?;
        ensure!(said.contains("certificate"), "{way:?}: {said}");
        ensure!(server.mails()?.len() == before, "{way:?}: something was sent");
    }
    // Without STARTTLS, nothing is said either.
    let mut clear = MailServer::beside(&hospital.gateway, MailWay::Clear, free_port()?)?;
    clear.start(&[])?;
    let before = clear.mails()?.len();
    let starttls = format!("tls = \"starttls\"\nca = \"{}\"", clear.certificate().display());
    let section = clear.section().replace("tls = \"none\"", &starttls);
    hospital.gateway.set_last_section(&section)?;
    let said = not_sent(&hospital)?;
    ensure!(said.contains("STARTTLS fails") && clear.mails()?.len() == before, "{said}");
    Ok(())
}

fn open_to_all(file: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644))?)
}

#[test]
fn a_server_that_stalls_keeps_nobody_and_the_mail_goes_when_it_speaks() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    newcomer(&hospital, NEWCOMER, ADDRESS)?;
    let mut server = server(&hospital, MailWay::Starttls)?;
    server.start(&[])?;
    server.stand_still()?;
    invite(&hospital, NEWCOMER)?;
    let said = not_sent(&hospital)?;
    ensure!(said.contains("does not get through"), "{said}");
    server.go_on()?;
    sound(&server.await_mails(ADDRESS, 1)?.remove(0))
}

/// What somebody hostile writes where words are free: an end of the headers, a link, marks that act on a screen.
const HOSTILE: &str =
    "x\r\nBcc: everybody@evil.example\r\n\r\nhttps://evil.example/works/1 \u{202e}\u{1b}]0;owned\u{7} www.evil.example";

/// The mail has that text in it, and nothing of it acts.
fn harmless(mail: &Mail) -> Result<()> {
    sound(mail)?;
    ensure!(mail.body.contains("evil[.]example"), "the text is not there: {}", mail.body);
    ensure!(!mail.body.contains("evil.example") && !mail.subject.contains("evil.example"), "{mail:#?}");
    ensure!(!mail.body.lines().any(|line| line.starts_with("Bcc")), "{}", mail.body);
    Ok(())
}

fn gets_mail(hospital: &Hospital, person: &str, address: &str) -> Result<()> {
    let change = ["person", "change", person, "--language", "en", "--mail", address];
    hospital.gateway.act(&hospital.administrator, &change).map(drop)
}

fn news_of_a_request_reaches_who_decides_and_who_asked(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let (gateway, engineer) = (&hospital.gateway, &hospital.engineer);
    let (desk, theirs) = ("desk@hospital.example", "engineer@vendor.example");
    gets_mail(&hospital, &hospital.approver, desk)?;
    gets_mail(&hospital, &engineer.id, theirs)?;
    let mut server = server(&hospital, MailWay::Starttls)?;
    server.start(&[])?;

    hospital.attest(engineer)?;
    let (start, end) = (Window::local(Window::tomorrow().from), Window::local(Window::tomorrow().until));
    let request = |purpose: &str| {
        let args = [
            &["work", "request", "--vendor", VENDOR, "--person", &engineer.id, "--device", DEVICE][..],
            &["--purpose", purpose, "--plan", HOSTILE, "--start", &start, "--end", &end, "--zone", "UTC"],
        ];
        let made = gateway.act(&engineer.id, &args.concat())?;
        Ok::<_, anyhow::Error>(at(&made, "/id").as_str().context("no id")?.to_owned())
    };
    let work = request(HOSTILE)?;
    let mail = server.await_mails(desk, 1)?.remove(0);
    harmless(&mail)?;
    ensure!([&work, DEVICE, ENGINEER].iter().all(|part| mail.body.contains(*part)), "{}", mail.body);
    let path = link(&mail)?;
    ensure!(path == format!("/works/{work}"), "{path}");

    // The link asks for a sign-in, and lands on that page; no other site is landed on.
    let person = gateway.person("approver")?;
    let codes = Codes::new(person.totp_secret.as_deref().context("no secret")?);
    let password = person.password.as_deref().context("no password")?;
    for (asked, lands) in [(None, path), (Some("//evil.example/"), "/")] {
        let browser = Browser::new(&gateway.demo.console)?;
        let page = browser.get(path)?;
        ensure!(page.status == 303 && page.location.starts_with("/sign-in?next="), "{page:?}");
        let form = browser.get(&page.location)?;
        let own = form.body.split_once("action=\"/sign-in\"").map_or("", |(_, own)| own);
        let next = own.split("name=\"next\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let next = next.with_context(|| format!("the form does not know where to go on: {}", form.body))?;
        ensure!(next.replace("&#x2f;", "/").replace("&#47;", "/") == path, "{next}");
        let code = codes.fresh()?;
        let fields =
            [("person", person.id.as_str()), ("password", password), ("code", &code), ("next", asked.unwrap_or(path))];
        let page = browser.send("/sign-in", &fields)?;
        ensure!(page.status == 303 && page.location == lands, "{asked:?}: {page:?}");
        let page = browser.get(path)?;
        ensure!(page.status == 200 && page.body.contains(&work), "{page:?}");
    }

    gateway.act(&hospital.approver, &["work", "reject", &work, "--reason", HOSTILE])?;
    let mail = server.await_mails(theirs, 1)?.remove(0);
    harmless(&mail)?;
    ensure!(mail.subject.contains("rejected") && mail.body.contains(&format!("Decided: {}", person.id)), "{mail:#?}");
    ensure!(link(&mail)? == path, "{}", mail.body);

    // What has become moot before it could be sent is not.
    server.stop();
    let work = request("quarterly maintenance")?;
    gateway.act(&engineer.id, &["work", "withdraw", &work])?;
    server.start(&[])?;
    let moot = listed(&hospital, &hospital.approver, |mail| at(mail, "/outcome") == "given-up")?;
    ensure!(at(&moot, "/about") == work.as_str() && at(&moot, "/said") == "overtaken", "{moot}");
    ensure!(server.await_mails(desk, 1)?.len() == 1, "who decides was told of more than one request");
    Ok(())
}

#[test]
fn emergency_access_is_told_at_once_and_its_approval_that_is_overdue_to_those_above() -> Result<()> {
    let clock = Clock::new()?;
    let hospital = clock.hospital()?;
    let gateway = &hospital.gateway;
    let (second, above) = ("second@hospital.example", "above@hospital.example");
    for (id, role, address) in [("second1", "approver", second), ("above1", "safety-manager", above)] {
        let add = ["person", "add", id, "--name", "A", "--role", role, "--language", "en", "--mail", address];
        gateway.act(&hospital.administrator, &add)?;
    }
    gets_mail(&hospital, &hospital.approver, "opener@hospital.example")?;
    let mut server = server(&hospital, MailWay::Starttls)?;
    server.start(&[])?;
    hospital.attest(&hospital.engineer)?;
    let window = Window::now();
    let (start, end) = (Window::local(window.from), Window::local(window.until));
    let args = [
        &["work", "emergency", "--vendor", VENDOR, "--person", ENGINEER, "--device", DEVICE][..],
        &["--purpose", "scanner down", "--plan", "look and repair", "--reason", HOSTILE],
        &["--start", &start, "--end", &end, "--zone", "UTC"],
    ];
    let opened = gateway.act(&hospital.approver, &args.concat())?;
    let work = at(&opened, "/id").as_str().with_context(|| format!("no id: {opened}"))?;
    let mail = server.await_mails(second, 1)?.remove(0);
    harmless(&mail)?;
    ensure!(mail.subject.contains("Emergency") && link(&mail)? == format!("/works/{work}"), "{mail:#?}");

    clock.set("+3d")?;
    gateway.reload()?;
    for (address, count) in [(second, 2), (above, 1)] {
        let mail = server.await_mails(address, count)?.pop().context("none")?;
        harmless(&mail)?;
        ensure!(mail.subject.contains("overdue") && link(&mail)? == format!("/works/{work}"), "{mail:#?}");
    }
    let all = server.mails()?;
    // Whoever opened it has nothing to decide on.
    ensure!(!all.iter().any(|mail| mail.to == ["opener@hospital.example"]), "{all:#?}");
    let events = gateway.act(&hospital.auditor, &["log", "list"])?;
    let told = |event: &&Value| at(event, "/kind") == "work.overdue";
    ensure!(events.as_array().into_iter().flatten().filter(told).count() == 1, "{events}");
    Ok(())
}
