//! Work through the console, as a vendor and a hospital would do it: requested, approved, connected, watched, cut,
//! reported, reviewed; and who is kept from what on the way.

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use sekimori_tests::{
    Browser, Codes, DEVICE, Database, Hospital, Input, PATIENCE, Page, Window, at, on_both_databases, run,
};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

on_both_databases!(work_goes_from_the_request_to_the_review_in_two_browsers);

/// What somebody hostile writes into each field.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A browser in which the engineer of the stage has signed in.
fn engineers(hospital: &Hospital) -> Result<Browser> {
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    let engineer = &hospital.engineer;
    browser.sign_in(&engineer.id, &engineer.password, &engineer.codes)?;
    Ok(browser)
}

/// A browser of somebody of the demo, in English.
fn of(hospital: &Hospital, role: &str) -> Result<(Browser, Codes)> {
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    let codes = browser.sign_in_as(hospital.gateway.person(role)?)?;
    browser.send("/language", &[("language", "en")])?;
    Ok((browser, codes))
}

/// The revision that the forms of a work's page carry.
fn revision(page: &Page) -> Result<String> {
    let found = page.body.split("name=\"revision\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(found.with_context(|| format!("no form on the page: {}", page.body))?.to_owned())
}

/// Opens the page of a work, and sends one of its forms.
fn act(browser: &Browser, work: &str, act: &str, fields: &[(&str, &str)]) -> Result<Page> {
    let revision = revision(&browser.get(&format!("/works/{work}"))?)?;
    browser.send(&format!("/works/{work}/{act}"), &[fields, &[("revision", revision.as_str())]].concat())
}

fn work_goes_from_the_request_to_the_review_in_two_browsers(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let vendor = engineers(&hospital)?;
    // Until the terminal is attested, the page says why nothing opens.
    ensure!(vendor.send("/attestation", &[("patched", "yes")])?.status == 422, "half a word was taken");
    ensure!(vendor.send("/attestation", &[("patched", "yes"), ("scanned", "yes"), ("note", HOSTILE)])?.status == 303);

    let zone = TimeDelta::hours(9);
    let local = |at: chrono::DateTime<Utc>| (at + zone).format("%Y-%m-%dT%H:%M").to_string();
    let (start, end) = (local(Utc::now() - TimeDelta::minutes(2)), local(Utc::now() + TimeDelta::hours(2)));
    let form = [
        ("other_devices", DEVICE),
        ("person", hospital.engineer.id.as_str()),
        ("purpose", HOSTILE),
        ("plan", HOSTILE),
        ("start", &start),
        ("end", &end),
        ("channel", "shell"),
        ("channel", "exec"),
    ];
    let bad = vendor.send("/request", &form.map(|(name, value)| (name, if name == "end" { "" } else { value })))?;
    ensure!(bad.status == 422 && bad.body.contains("role=\"alert\"") && bad.body.contains("alert(1)"), "{bad:?}");
    harmless(&bad)?;
    vendor.send("/language", &[("language", "ja")])?;
    let faults = [
        ("end", start.as_str(), "時間帯は空です"),
        ("plan", "", "作業計画を書いてください"),
        ("person", "nobody", "利用者「nobody」は登録されていません"),
    ];
    for (field, value, fault) in faults {
        let bad =
            vendor.send("/request", &form.map(|(name, typed)| (name, if name == field { value } else { typed })))?;
        ensure!(bad.status == 422 && bad.body.contains(fault) && bad.body.contains("alert(1)"), "{bad:?}");
    }
    let sent = vendor.send("/request", &form)?;
    let work = sent.location.strip_prefix("/works/").with_context(|| format!("not taken: {sent:?}"))?.to_owned();

    // The hospital finds it where it decides, and two who decide at once do not both.
    let (hall, _) = of(&hospital, "approver")?;
    let inbox = hall.get("/inbox")?;
    ensure!(inbox.body.contains(&work), "not in the inbox: {}", inbox.body);
    harmless(&inbox)?;
    let page = hall.get(&format!("/works/{work}"))?;
    harmless(&page)?;
    let seen = revision(&page)?;
    let approve = format!("/works/{work}/approve");
    ensure!(hall.send(&approve, &[("revision", "1")])?.status == 409, "an older page decided");
    ensure!(hall.send(&approve, &[("revision", &seen)])?.status == 303);
    ensure!(hall.send(&approve, &[("revision", &seen)])?.status == 409, "it was approved twice");

    // The engineer reads the line, and it works.
    let mine = vendor.get("/my-devices")?.body;
    let line = format!("ssh -p {} {}+{DEVICE}@", hospital.gateway.demo.ssh.port, hospital.engineer.id);
    ensure!(mine.contains(&line), "{line} is not on the page: {mine}");
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;

    // Reported, sent back, reported once more, confirmed by somebody else.
    ensure!(act(&vendor, &work, "report", &[("words", "x")])?.status == 422, "personal data was left open");
    let report = [("words", HOSTILE), ("personal_data", "yes"), ("which", HOSTILE), ("files", "patch.bin")];
    ensure!(act(&vendor, &work, "report", &report)?.status == 303);
    ensure!(hall.get("/reviews")?.body.contains(&work));
    let page = hall.get(&format!("/works/{work}"))?;
    harmless(&page)?;
    ensure!(page.body.contains("not planned"), "personal data that was not planned is not marked: {}", page.body);
    ensure!(act(&hall, &work, "send-back", &[("words", "whose?")])?.status == 303);
    ensure!(act(&vendor, &work, "report", &[("words", "logs read"), ("personal_data", "no")])?.status == 303);
    ensure!(act(&hall, &work, "confirm", &[("words", "as planned")])?.status == 303);
    let shown = hospital.gateway.act(&hospital.auditor, &["work", "show", &work])?;
    let confirmed = shown.to_string().contains("as planned");
    ensure!(confirmed, "{shown}");
    let events = hospital.gateway.act(&hospital.auditor, &["log", "list"])?.to_string();
    ensure!(
        events.contains("\"transition\":\"confirm\"") && events.contains("\"transition\":\"send-back\""),
        "{events}"
    );

    // Whoever decides on the next request sees what this vendor did before.
    let next = hospital.request(&hospital.engineer, DEVICE, Window::tomorrow())?;
    let page = hall.get(&format!("/works/{next}"))?;
    let earlier = page.body.split_once("What this vendor did last").context("nothing earlier is shown")?.1;
    ensure!(earlier.contains(&format!("/works/{work}")) && !earlier.contains(&format!("/works/{next}")), "{earlier}");
    harmless(&page)?;
    for page in ["/live", "/sessions", "/sessions?person=nobody", "/people", "/vendors", "/devices", "/locks"] {
        ensure!(hall.get(page)?.status == 200, "{page}");
    }

    // The same again: what was typed is offered.
    let again = vendor.get(&format!("/request?from={work}"))?;
    harmless(&again)?;
    ensure!(again.body.contains(&format!("value=\"{DEVICE}\" checked")), "{}", again.body);
    Ok(())
}

/// Nothing of what was typed became a part of the page.
fn harmless(page: &Page) -> Result<()> {
    ensure!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    Ok(())
}

#[test]
fn invariant_04_nobody_decides_on_what_is_not_theirs() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, DEVICE, Window::now())?;
    let engineer = engineers(&hospital)?;
    let revision = revision(&engineer.get(&format!("/works/{work}"))?)?;
    let approve = engineer.send(&format!("/works/{work}/approve"), &[("revision", &revision)])?;
    ensure!(approve.status == 403, "the vendor approved: {approve:?}");

    // Another vendor's person does not learn that it is there.
    let other = of(&hospital, "vendor")?.0;
    ensure!(other.get(&format!("/works/{work}"))?.status == 404);
    for list in ["/works", "/calendar", "/calendar?by=vendor"] {
        ensure!(!other.get(list)?.body.contains(&work), "{list} tells of another vendor's work");
    }
    ensure!(other.send(&format!("/works/{work}/withdraw"), &[("revision", &revision)])?.status == 404);

    // Whoever asked for it on the vendor's behalf does not approve it.
    let window = Window::now();
    let (start, end) = (Window::local(window.from), Window::local(window.until));
    let own = [
        &["work", "request", "w-own", "--vendor", sekimori_tests::VENDOR, "--person", &hospital.engineer.id][..],
        &["--device", DEVICE, "--purpose", "p", "--plan", "p", "--zone", "UTC", "--start", &start, "--end", &end],
    ]
    .concat();
    hospital.gateway.act(&hospital.approver, &own)?;
    let (hall, _) = of(&hospital, "approver")?;
    let page = hall.get("/works/w-own")?;
    ensure!(!page.body.contains("/works/w-own/approve\""), "it is offered: {}", page.body);
    let seen = self::revision(&page)?;
    let refused = hall.send("/works/w-own/approve", &[("revision", &seen)])?;
    ensure!(refused.status == 403, "{refused:?}");
    let state = |work: &str| hospital.gateway.act(&hospital.auditor, &["work", "show", work]);
    ensure!(at(&state("w-own")?, "/state") == "requested");

    // Whoever opened access in an emergency does not approve it after the fact.
    ensure!(act(&hall, &work, "emergency", &[("words", " ")])?.status == 422, "opened without a reason");
    ensure!(act(&hall, &work, "emergency", &[("words", "the scanner stands still")])?.status == 303);
    ensure!(at(&state(&work)?, "/state") == "awaiting-retrospective-approval");
    let own = act(&hall, &work, "approve-after", &[])?;
    ensure!(own.status == 403, "{own:?}");
    ensure!(hall.get("/inbox")?.body.contains(&work));
    Ok(())
}

#[test]
fn invariant_08_a_session_is_seen_cut_and_locked_out_from_a_browser() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let (hall, codes) = of(&hospital, "approver")?;
    let live = hall.get("/live")?;
    ensure!(live.body.contains(&session.id) && live.body.contains(&hospital.engineer.id), "{}", live.body);
    let cut = format!("/sessions/{}/cut", session.id);
    ensure!(hall.send(&cut, &[("reason", " ")])?.status == 422, "cut without a reason");
    ensure!(hall.send(&cut, &[("reason", "unknown traffic")])?.status == 303);
    terminal.end_within(Duration::from_secs(5)).context("the session goes on")?;
    let ended = hospital.closed_session()?;
    ensure!(ended.reason.as_deref() == Some("cut: unknown traffic"), "{ended:?}");
    ensure!(hall.get("/sessions?person=eng-x")?.body.contains("There are no such sessions"));
    ensure!(hall.get(&format!("/sessions?person={}", ended.person))?.body.contains(&ended.id));

    ensure!(hall.send("/locks", &[("scope", "vendor"), ("whom", "acmee"), ("reason", "x")])?.status == 422);
    hospital.gateway.reconfigure("[console]", "step_up_minutes = 0")?;
    let lock = [("scope", "everyone"), ("reason", "investigation")];
    let asked = hall.send("/locks", &lock)?;
    ensure!(asked.status == 403 && asked.body.contains("name=\"code\""), "{asked:?}");
    let code = codes.fresh()?;
    ensure!(hall.send("/locks", &[&lock[..], &[("code", code.as_str())]].concat())?.status == 303);
    let shut = hospital.exec(&certificate, "true", Input::Nothing)?;
    ensure!(shut.code != Some(0), "a lock keeps nobody out: {shut:?}");
    let locks = hall.get("/locks")?.body;
    let lift = locks.split("action=\"/locks/").nth(1).and_then(|rest| rest.split('"').next()).context("no lock")?;
    let code = codes.fresh()?;
    ensure!(hall.send(&format!("/locks/{lift}"), &[("code", &code)])?.status == 303);
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    Ok(())
}

#[test]
fn two_who_decide_at_the_same_moment_do_not_both() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, DEVICE, Window::now())?;
    let (hall, _) = of(&hospital, "approver")?;
    let revision = revision(&hall.get(&format!("/works/{work}"))?)?;
    let path = format!("/works/{work}/approve");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let twins = [hall.twin(), hall.twin()];
        let both = twins.map(|twin| scope.spawn(|| twin?.send(&path, &[("revision", revision.as_str())])));
        both.into_iter().filter_map(|one| one.join().ok()?.ok()).map(|page| page.status).collect()
    });
    let mut sorted = statuses.clone();
    sorted.sort_unstable();
    ensure!(sorted == [303, 409], "{statuses:?}");
    Ok(())
}

/// What a scan said, in a file that a browser would show as a page.
const SCAN: &str = "<html><script>alert(1)</script>検出なし</html>";

#[test]
fn what_a_terminals_word_rests_on_is_sealed_and_taken_as_a_file() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let work = hospital.request(&hospital.engineer, DEVICE, Window::tomorrow())?;
    let vendor = engineers(&hospital)?;
    let folder = tempfile::Builder::new().prefix("sekimori-evidence-").tempdir()?;
    let file = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let scan = file("走査 結果.html", SCAN.as_bytes())?;
    let program = file("patch.exe", b"MZ\x90\0\x03")?;
    let large = file("large.txt", &vec![b'a'; (5 << 20) + 1])?;
    let word = [("patched", "yes"), ("scanned", "yes"), ("note", "EDR 7.1")];

    // What is not taken is named, and with it nothing is.
    for (wrong, name) in [(&program, "patch.exe"), (&large, "large.txt")] {
        let page = vendor.bring("/attestation", &word, "files", &[&scan, wrong])?;
        ensure!(page.status == 422 && page.body.contains(name) && page.body.contains("EDR 7.1"), "{page:?}");
    }
    let lost = vendor.send("/attestation", &[&word[..], &[("file_sent", "a.pdf")]].concat())?;
    ensure!(lost.status == 422, "a form that had lost its files was taken: {lost:?}");
    let empty = vendor.get("/attestation")?;
    ensure!(!empty.body.contains("/evidence/"), "{}", empty.body);
    ensure!(vendor.bring("/attestation", &word, "files", &[&scan])?.status == 303);
    let page = vendor.get("/attestation")?;
    harmless(&page)?;
    let address = page.body.split("href=\"/evidence/").nth(1).and_then(|rest| rest.split('"').next());
    let address = format!("/evidence/{}", address.with_context(|| page.body.clone())?);

    // Who decides sees it beside the request, and gets a file, whatever is in it.
    let (hall, _) = of(&hospital, "approver")?;
    let shown = hall.get(&format!("/works/{work}"))?;
    harmless(&shown)?;
    ensure!(shown.body.contains(&address) && shown.body.contains("EDR 7.1"), "{}", shown.body);
    for taker in [&hall, &vendor] {
        let taken = taker.get(&address)?;
        ensure!(taken.status == 200 && taken.body == SCAN, "{taken:?}");
        let head = &taken.headers;
        ensure!(head.contains("content-type: application/octet-stream\r\n"), "{head}");
        let name = "attachment; filename*=utf-8''%e8%b5%b0%e6%9f%bb%20%e7%b5%90%e6%9e%9c.html.txt";
        ensure!(head.contains(&format!("content-disposition: {name}\r\n")), "{head}");
        ensure!(head.contains("x-content-type-options: nosniff\r\n"), "{head}");
    }
    let (other, _) = of(&hospital, "vendor")?;
    ensure!(other.get(&address)?.status == 404, "another vendor took it");
    let stranger = Browser::new(&hospital.gateway.demo.console)?;
    ensure!(stranger.get(&address)?.status == 303, "nobody in particular took it");

    // The attestation's event holds its hash, each taking is an event, and nowhere on the disk does it lie in clear.
    let sum = run(Command::new("sha256sum").arg(&scan), Input::Nothing, PATIENCE)?.text();
    let sum = sum.split(' ').next().unwrap_or_default().trim_start_matches('\\').to_owned();
    let log = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let events = |kind: &str| -> Vec<String> {
        let all = log.as_array().into_iter().flatten();
        all.filter(|event| at(event, "/kind") == kind).map(ToString::to_string).collect()
    };
    let attested = events("person.attest");
    ensure!(attested.iter().any(|event| event.contains(&sum)), "{sum} is in none of {attested:?}");
    let takers: Vec<String> = events("evidence.viewed");
    ensure!(takers.len() == 2 && takers.iter().all(|event| event.contains(&sum)), "{takers:?}");
    let data = &hospital.gateway.demo.data_dir;
    let grep =
        run(Command::new("grep").args(["-rlaF", "alert(1)</script>検出なし"]).arg(data), Input::Nothing, PATIENCE)?;
    ensure!(grep.text().is_empty(), "it lies in clear in {}", grep.text());
    Ok(())
}
