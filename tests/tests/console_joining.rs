//! Invitations and enrolment: from the link to a session on a device, and everything that a link is refused for.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    Browser, Clock, Codes, DEVICE, Database, Engineer, Hospital, Input, PATIENCE, Page, Proof, VENDOR, Window, at,
    enrol_in_a_browser, keygen, on_both_databases,
};
use serde_json::Value;

on_both_databases!(an_invited_person_enrols_once_and_comes_in_by_ssh_and_in_the_browser);

const PASSWORD: &str = "violet anchor 93 pumpkin";
const OTHER_PASSWORD: &str = "copper lantern 58 orchard";

/// Somebody of the vendor's who has no factor yet.
fn newcomer(hospital: &Hospital, id: &str) -> Result<()> {
    let add = ["person", "add", id, "--name", "Sato Hana", "--vendor", VENDOR, "--language", "en"];
    hospital.gateway.act(&hospital.administrator, &add).map(drop)
}

/// An invitation of the command line's: the path of its link.
fn invite(hospital: &Hospital, id: &str) -> Result<String> {
    let made = hospital.gateway.act(&hospital.administrator, &["person", "invite", id])?;
    let link = at(&made, "/link").as_str().context("no link")?;
    let (_, token) = link.split_once("/join/").with_context(|| format!("no link: {link}"))?;
    ensure!(link.starts_with("https://") && token.len() == 64, "{link}");
    Ok(format!("/join/{token}"))
}

/// A browser in English that has opened a link.
fn opened(hospital: &Hospital, link: &str) -> Result<Browser> {
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.send("/language", &[("language", "en")])?;
    let page = browser.get(link)?;
    ensure!(page.status == 303 && page.location == "/join", "{page:?}");
    Ok(browser)
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str> {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    Ok(found.with_context(|| format!("no {before} … {after} in {text}"))?.0)
}

/// What the page of an invitation gives: the authenticator, and what its form carries.
fn enrolment(browser: &Browser) -> Result<(Codes, String)> {
    let page = browser.get("/join")?;
    ensure!(page.status == 200, "{page:?}");
    let secret = between(&page.body, "id=\"secret\">", "<")?.replace(' ', "");
    Ok((Codes::new(&secret), between(&page.body, "name=\"join\" value=\"", "\"")?.to_owned()))
}

/// Sends the page's form.
fn enrol(browser: &Browser, form: &str, code: &str, password: (&str, &str), key: &str) -> Result<Page> {
    let fields = [("password", password.0), ("password_again", password.1), ("code", code), ("ssh_key", key)];
    browser.send("/join", &[&fields[..], &[("join", form)]].concat())
}

/// The details of all events of a kind about a person.
fn told(events: &Value, kind: &str, person: &str) -> Vec<Value> {
    let events = events.as_array().into_iter().flatten();
    let of = events.filter(|event| at(event, "/kind") == kind && at(event, "/person") == person);
    of.map(|event| at(event, "/detail").clone()).collect()
}

fn log(hospital: &Hospital) -> Result<Value> {
    hospital.gateway.act(&hospital.auditor, &["log", "list"])
}

fn an_invited_person_enrols_once_and_comes_in_by_ssh_and_in_the_browser(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let id = "sato9";
    newcomer(&hospital, id)?;
    let link = invite(&hospital, id)?;
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.send("/language", &[("language", "en")])?;
    let page = browser.get(&link)?;
    ensure!(page.status == 303 && page.location == "/join", "{page:?}");
    let cookie = page.headers.lines().find(|line| line.starts_with("set-cookie: __host-sekimori-join="));
    let cookie = cookie.context("no cookie")?;
    ensure!(["path=/", "secure", "httponly", "samesite=lax"].iter().all(|part| cookie.contains(part)), "{cookie}");
    for header in ["referrer-policy: no-referrer", "cache-control: no-store"] {
        ensure!(page.headers.contains(header), "{header} is missing: {}", page.headers);
    }
    let page = browser.get("/join")?;
    ensure!(page.headers.contains("cache-control: no-store") && page.body.contains("Sato Hana"), "{page:?}");
    ensure!(!page.body.contains(link.trim_start_matches("/join/")), "the page holds the link's token");

    // What is wrong is said beside its field, and nothing counts yet.
    let (codes, form) = enrolment(&browser)?;
    let key = hospital.workstation.folder().join("sato9_key");
    keygen("ed25519", &key)?;
    let (public, private) = (std::fs::read_to_string(key.with_extension("pub"))?, std::fs::read_to_string(&key)?);
    let code = codes.fresh()?;
    let good = (PASSWORD, PASSWORD);
    for (code, password, key, said) in [
        ("000000", good, "", "The code is wrong"),
        (code.as_str(), ("violet", "violet"), "", "use at least 13"),
        (code.as_str(), ("correct sato9 horse 47", "correct sato9 horse 47"), "", "it contains sato9"),
        (code.as_str(), (PASSWORD, OTHER_PASSWORD), "", "The two passwords differ"),
        (code.as_str(), good, private.as_str(), "This is a private key"),
        (code.as_str(), good, "ssh-ed25519 AAAA", "This is no OpenSSH public key"),
    ] {
        let page = enrol(&browser, &form, code, password, key)?;
        ensure!(page.status == 422 && page.body.contains(said), "{said}: {page:?}");
        ensure!(
            !page.body.contains(PASSWORD) && !page.body.contains("value=\"000000\""),
            "a secret came back: {page:?}"
        );
    }
    let proof = Proof::PasswordAndCode(PASSWORD, &code);
    ensure!(hospital.workstation.exec(id, proof, "true", Input::Nothing, PATIENCE)?.code == Some(255));

    let page = enrol(&browser, &form, &code, good, public.trim())?;
    ensure!(page.status == 200 && page.headers.contains("cache-control: no-store"), "{page:?}");
    let recovery: Vec<String> =
        page.body.split("<li class=\"code\">").skip(1).map(|rest| rest[..19].to_owned()).collect();
    ensure!(recovery.len() == 10, "{page:?}");
    ensure!(enrol(&browser, &form, &codes.fresh()?, good, "")?.status == 410, "it counted twice");
    let page = browser.get(&link)?;
    ensure!(page.status == 410 && page.body.contains("they have enrolled with it"), "{page:?}");

    // By SSH, up to a command on the device; the code that confirmed the authenticator is spent.
    let engineer = Engineer { id: id.to_owned(), password: PASSWORD.to_owned(), codes, key };
    ensure!(hospital.workstation.exec(id, proof, "true", Input::Nothing, PATIENCE)?.code == Some(255), "spent twice");
    hospital.grant_to(&engineer, DEVICE, Window::now())?;
    let certificate = hospital.workstation.sign_in(&engineer)?;
    let carried = Proof::Certificate(&engineer.key, &certificate);
    let done = hospital.workstation.exec(&format!("{id}+{DEVICE}"), carried, "echo here", Input::Nothing, PATIENCE)?;
    ensure!(done.success()?.text().contains("here"));
    let by_key = Proof::KeyAndPassword(&engineer.key, PASSWORD);
    let done = hospital.workstation.exec(&format!("{id}+{DEVICE}"), by_key, "echo key", Input::Nothing, PATIENCE)?;
    ensure!(done.success()?.text().contains("key"), "the key that was enrolled");
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.sign_in(id, PASSWORD, &engineer.codes)?;
    browser.send("/language", &[("language", "en")])?;
    ensure!(!browser.get("/account")?.body.contains("You signed in with a recovery code"));

    // A recovery code stands in for the authenticator, once, and both sides are told.
    let (first, second) = (recovery.first().context("none")?, recovery.get(1).context("none")?);
    let typed = first.to_lowercase().replace('-', " ");
    let with = |code: &str| [("person", id), ("password", PASSWORD), ("code", code)].map(|(n, v)| (n, v.to_owned()));
    let sign_in = |browser: &Browser, code: &str| -> Result<Page> {
        let fields = with(code);
        browser.send("/sign-in", &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    let lost = Browser::new(&hospital.gateway.demo.console)?;
    lost.send("/language", &[("language", "en")])?;
    let page = sign_in(&lost, &typed)?;
    ensure!(page.status == 303 && page.location == "/account", "{page:?}");
    let page = lost.get("/account")?;
    ensure!(
        page.body.contains("You signed in with a recovery code") && page.body.contains("left:</dt><dd>9 ("),
        "{page:?}"
    );
    ensure!(
        sign_in(&Browser::new(&hospital.gateway.demo.console)?, first)?.status == 401,
        "a recovery code counted twice"
    );
    let wrong = [("person", id), ("password", "not the password at all"), ("code", second.as_str())];
    ensure!(lost.send("/sign-in", &wrong)?.status == 401);
    let by_ssh = Proof::PasswordAndCode(PASSWORD, second);
    let done = hospital.workstation.exec(&format!("{id}+{DEVICE}"), by_ssh, "echo lost", Input::Nothing, PATIENCE)?;
    ensure!(done.success()?.text().contains("lost"), "a wrong password spent the code");
    let desk = Browser::new(&hospital.gateway.demo.console)?;
    desk.sign_in_as(hospital.gateway.person("administrator")?)?;
    desk.send("/language", &[("language", "en")])?;
    ensure!(desk.get("/sign-ins")?.body.contains("<span class=\"state warn\">password + recovery code"));

    let events = log(&hospital)?;
    for (kind, count) in [
        ("invitation.made", 1),
        ("invitation.opened", 1),
        ("invitation.used", 1),
        ("invitation.refused", 2),
        ("person.password", 1),
        ("person.totp", 1),
        ("person.key-add", 1),
        ("person.recovery-codes", 1),
        ("person.recovery-code-spent", 2),
    ] {
        ensure!(told(&events, kind, id).len() == count, "{kind}: {events}");
    }
    let (events, logged) = (events.to_string(), hospital.gateway.log.text());
    let secrets = [link.trim_start_matches("/join/"), PASSWORD, first, second, form.as_str()];
    for secret in secrets {
        ensure!(!events.contains(secret) && !logged.contains(secret), "a secret was written down");
    }
    Ok(())
}

#[test]
fn a_link_ends_with_a_newer_one_a_suspension_a_reset_and_guessing() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let id = "sato9";
    newcomer(&hospital, id)?;
    let act = |args: &[&str]| hospital.gateway.act(&hospital.administrator, args);
    let gone = |browser: &Browser, link: &str, why: &str| -> Result<()> {
        let page = browser.get(link)?;
        ensure!(page.status == 410 && page.body.contains(why), "{why}: {page:?}");
        ensure!(browser.get("/join")?.status == 410, "its page goes on: {why}");
        Ok(())
    };
    // Newer ones.
    let first = invite(&hospital, id)?;
    let browser = opened(&hospital, &first)?;
    let (codes, form) = enrolment(&browser)?;
    let second = invite(&hospital, id)?;
    gone(&browser, &first, "a newer one took its place")?;
    ensure!(enrol(&browser, &form, &codes.fresh()?, (PASSWORD, PASSWORD), "")?.status == 410, "the older one counted");

    // Two browsers: who opened it last goes on.
    let (one, other) = (opened(&hospital, &second)?, opened(&hospital, &second)?);
    ensure!(one.get("/join")?.status == 410 && other.get("/join")?.status == 200);
    // The same browser keeps its page, and the seed on it.
    let secret = between(&other.get("/join")?.body, "id=\"secret\">", "<")?.to_owned();
    ensure!(other.get(&second)?.status == 303 && other.get("/join")?.body.contains(&secret), "another seed");

    // Suspended, and back: the link stays shut.
    act(&["person", "suspend", id])?;
    ensure!(hospital.gateway.refused(&hospital.administrator, &["person", "invite", id])?.contains("switched off"));
    act(&["person", "resume", id])?;
    gone(&other, &second, "was switched off or reset")?;
    let third = invite(&hospital, id)?;
    let browser = opened(&hospital, &third)?;
    act(&["person", "reset-factors", id, "--reason", "a test"])?;
    gone(&browser, &third, "was switched off or reset")?;

    // Guessing at the code ends it.
    let fourth = invite(&hospital, id)?;
    let browser = opened(&hospital, &fourth)?;
    let (codes, form) = enrolment(&browser)?;
    for number in 1..=10 {
        let page = enrol(&browser, &form, "12345", (PASSWORD, PASSWORD), "")?;
        ensure!(page.status == if number < 10 { 422 } else { 410 }, "guess {number}: {page:?}");
    }
    ensure!(enrol(&browser, &form, &codes.fresh()?, (PASSWORD, PASSWORD), "")?.status == 410, "guessed on");
    gone(&browser, &fourth, "too much was wrong")?;

    // No such link, and a form from elsewhere or without what its page gave.
    let fifth = invite(&hospital, id)?;
    let stranger = Browser::new(&hospital.gateway.demo.console)?;
    ensure!(stranger.get(&format!("/join/{}", "0".repeat(64)))?.status == 404);
    ensure!(stranger.get("/join")?.status == 410);
    let browser = opened(&hospital, &fifth)?;
    let (codes, form) = enrolment(&browser)?;
    let code = codes.fresh()?;
    ensure!(enrol(&browser, "0000", &code, (PASSWORD, PASSWORD), "")?.status == 410, "without the page's token");
    let fields = [("password", PASSWORD), ("password_again", PASSWORD), ("code", code.as_str()), ("join", &form)];
    ensure!(browser.send_from("/join", "https://evil.example", &fields)?.status == 403, "from elsewhere");
    ensure!(enrol(&browser, &form, &code, (PASSWORD, PASSWORD), "")?.status == 200);
    let events = log(&hospital)?;
    let whys: Vec<String> =
        told(&events, "invitation.refused", id).iter().map(|detail| at(detail, "/why").to_string()).collect();
    for why in ["replaced", "taken-back", "failed", "wrong-code"] {
        ensure!(whys.iter().any(|one| one.contains(why)), "{why}: {whys:?}");
    }
    ensure!(told(&events, "invitation.made", id).len() == 5, "{events}");
    Ok(())
}

#[test]
fn enrolling_anew_ends_what_counted_before() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    let certificate = hospital.sign_in()?;
    let before = Browser::new(&hospital.gateway.demo.console)?;
    before.sign_in(&engineer.id, &engineer.password, &engineer.codes)?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let browser = opened(&hospital, &invite(&hospital, &engineer.id)?)?;
    ensure!(before.get("/account")?.status == 200, "an invitation alone changes something");
    let (codes, form) = enrolment(&browser)?;
    ensure!(enrol(&browser, &form, &codes.fresh()?, (OTHER_PASSWORD, OTHER_PASSWORD), "")?.status == 200);
    terminal.end_within(PATIENCE).context("a session goes on with factors that count no more")?;
    ensure!(before.get("/account")?.status == 303, "a sign-in goes on");
    for proof in [hospital.carried(&certificate), Proof::KeyAndPassword(&engineer.key, OTHER_PASSWORD)] {
        let done = hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)?;
        ensure!(done.code == Some(255), "an earlier factor counts: {done:?}");
    }
    let code = codes.fresh()?;
    let proof = Proof::PasswordAndCode(OTHER_PASSWORD, &code);
    let done = hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)?;
    ensure!(done.code == Some(0), "{done:?}");
    Ok(())
}

#[test]
fn a_link_counts_for_three_days_and_its_page_for_an_hour() -> Result<()> {
    let clock = Clock::new()?;
    let hospital = clock.hospital()?;
    newcomer(&hospital, "sato9")?;
    let link = invite(&hospital, "sato9")?;
    clock.set("+71h")?;
    let browser = opened(&hospital, &link)?;
    let (codes, form) = enrolment(&browser)?;
    clock.set("+73h")?;
    let page = browser.get(&link)?;
    ensure!(page.status == 410 && page.body.contains("its time is over"), "{page:?}");
    ensure!(enrol(&browser, &form, &codes.fresh()?, (PASSWORD, PASSWORD), "")?.status == 410, "it counted on");
    let events = log(&hospital)?;
    ensure!(told(&events, "invitation.refused", "sato9").iter().any(|detail| at(detail, "/why") == "expired"));

    clock.set("+0")?;
    let browser = opened(&hospital, &invite(&hospital, "sato9")?)?;
    clock.set("+61m")?;
    ensure!(browser.get("/join")?.status == 410, "a page lasts longer than an hour");
    Ok(())
}

#[test]
fn a_link_works_from_the_persons_own_network_only() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let add = ["person", "add", "desk9", "--name", "Desk", "--role", "auditor", "--source", "127.0.0.2/32"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    let link = invite(&hospital, "desk9")?;
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    ensure!(browser.get(&link)?.status == 404, "a link works from anywhere");
    let from = ["--interface", "127.0.0.2"];
    ensure!(browser.ask(&link, &from, None)?.status == 303);
    ensure!(browser.ask("/join", &from, None)?.status == 200);
    ensure!(browser.get("/join")?.status == 404, "its page works from anywhere");
    let events = log(&hospital)?;
    ensure!(told(&events, "invitation.refused", "desk9").len() == 1, "{events}");
    Ok(())
}

#[test]
fn the_hospital_invites_in_the_browser_and_on_paper() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    newcomer(&hospital, "sato9")?;
    let desk = Browser::new(&hospital.gateway.demo.console)?;
    desk.sign_in_as(hospital.gateway.person("administrator")?)?;
    desk.send("/language", &[("language", "en")])?;
    ensure!(desk.get("/people/sato9")?.body.contains("href=\"/people/sato9/invite\""));
    ensure!(desk.get("/people/sato9/invite")?.body.contains("There was none yet"));
    ensure!(desk.get("/people/nobody-here/invite")?.status == 404);
    let page = desk.send("/people/sato9/invite", &[])?;
    ensure!(page.status == 200 && page.headers.contains("cache-control: no-store"), "{page:?}");
    let link = between(&page.body, "<p class=\"code link\">", "<")?.to_owned();
    ensure!(link.starts_with(&hospital.gateway.demo.console.url), "{link}");
    ensure!(!desk.get("/people/sato9/invite")?.body.contains(&link), "the link is shown twice");
    let browser = opened(&hospital, link.trim_start_matches(&hospital.gateway.demo.console.url))?;
    let (codes, form) = enrolment(&browser)?;
    ensure!(enrol(&browser, &form, &codes.fresh()?, (PASSWORD, PASSWORD), "")?.status == 200);
    ensure!(desk.get("/people/sato9/invite")?.body.contains("they have enrolled with it"));

    // Who has factors is invited only by losing them, with a reason: one step, one way.
    ensure!(!desk.get("/people/sato9")?.body.contains("href=\"/people/sato9/invite\""));
    let page = desk.send("/people/sato9/invite", &[])?;
    ensure!(page.status == 422 && page.body.contains("Take them away on their page"), "{page:?}");
    ensure!(desk.send("/people/sato9/reset-factors", &[("reason", "")])?.status == 422, "without a reason");
    let page = desk.send("/people/sato9/reset-factors", &[("reason", "telephone lost")])?;
    ensure!(page.status == 200 && page.headers.contains("cache-control: no-store"), "{page:?}");
    let anew = between(&page.body, "<p class=\"code link\">", "<")?.to_owned();
    let code = codes.fresh()?;
    let proof = Proof::PasswordAndCode(PASSWORD, &code);
    let done = hospital.workstation.exec("sato9", proof, "true", Input::Nothing, PATIENCE)?;
    ensure!(done.code == Some(255), "a factor that was taken away counts: {done:?}");
    let browser = opened(&hospital, anew.trim_start_matches(&hospital.gateway.demo.console.url))?;
    let (codes, form) = enrolment(&browser)?;
    ensure!(enrol(&browser, &form, &codes.fresh()?, (OTHER_PASSWORD, OTHER_PASSWORD), "")?.status == 200);
    let events = log(&hospital)?;
    let resets = told(&events, "person.change", "sato9");
    ensure!(resets.iter().any(|detail| at(detail, "/reason") == "telephone lost"), "{events}");
    ensure!(told(&events, "invitation.made", "sato9").len() == 2, "{events}");

    let sheet = hospital.workstation.folder().join("sheet.html");
    let file = sheet.display().to_string();
    let made = hospital.gateway.act(&hospital.administrator, &["person", "invite", "sato9", "--page", &file])?;
    let text = std::fs::read_to_string(&sheet)?;
    ensure!(text.contains(at(&made, "/link").as_str().context("no link")?) && text.contains("<svg"), "{text}");
    let again = hospital.gateway.refused(&hospital.administrator, &["person", "invite", "sato9", "--page", &file])?;
    ensure!(again.contains("exists already"), "{again}");
    let refused = hospital.gateway.refused(&hospital.auditor, &["person", "invite", "sato9"])?;
    ensure!(refused.contains("person"), "{refused}");
    Ok(())
}

#[test]
fn in_a_browser_a_password_is_judged_while_it_is_typed_and_the_way_is_open_to_everybody() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    // Long enough, and of different characters: only the gateway knows that it is common.
    let passwords = ["passwordpassword123", PASSWORD];
    for (id, language, refused, accepted) in
        [("sato9", "en", "made of common passwords", "can be used"), ("sato8", "ja", "よく使われる語", "使えます")]
    {
        newcomer(&hospital, id)?;
        let link = format!("{}{}", hospital.gateway.demo.console.url, invite(&hospital, id)?);
        let seen = enrol_in_a_browser(&link, language, passwords, None)?;
        ensure!(seen.faults.is_empty(), "{seen:?}");
        ensure!(seen.address.ends_with("/join"), "the token stays in the address bar: {seen:?}");
        ensure!(seen.refused.contains(refused) && seen.accepted.contains(accepted), "{seen:?}");
        ensure!(seen.recovery == 10, "{seen:?}");
    }
    Ok(())
}
