//! Vendors, people and devices by form: what is typed is judged field by field and kept, nobody overwrites what they did
//! not see, each change is one event with before and after, and what was registered here works.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    Browser, Codes, DEVICE, Database, Hospital, Input, PATIENCE, Page, Proof, VENDOR, Window, at, keygen,
    on_both_databases,
};
use serde_json::{Value, json};
use std::thread;

on_both_databases!(
    a_vendor_is_registered_changed_and_switched_off_by_form,
    a_person_is_registered_changed_and_loses_their_factors_by_form,
    a_device_is_registered_by_form_and_reached,
);

/// What somebody hostile writes into a name: nothing in it acts, so it is kept as it is.
const MARKUP: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
/// What acts on screens instead of being shown.
const ACTING: [&str; 4] = ["a\u{1b}[2Jb", "x\u{202e}gpj.exe", "a\u{200f}b", "two\nlines"];

/// A browser of somebody of the demo, in English.
fn of(hospital: &Hospital, role: &str) -> Result<(Browser, Codes)> {
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    let codes = browser.sign_in_as(hospital.gateway.person(role)?)?;
    browser.send("/language", &[("language", "en")])?;
    Ok((browser, codes))
}

/// What a form says that its page was made from.
fn seen(browser: &Browser, path: &str) -> Result<String> {
    let page = browser.get(path)?;
    let found = page.body.split("name=\"seen\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(found.with_context(|| format!("no form at {path}: {page:?}"))?.to_owned())
}

/// Opens a form, and sends it.
fn change(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Result<Page> {
    let seen = seen(browser, path)?;
    browser.send(path, &[fields, &[("seen", seen.as_str())]].concat())
}

/// Nothing of what was typed became a part of the page.
fn harmless(page: &Page) -> Result<()> {
    ensure!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    Ok(())
}

/// The form came back, blames this field, and keeps what was typed.
fn blamed(page: &Page, field: &str, kept: &str) -> Result<()> {
    ensure!(page.status == 422 && page.body.contains("role=\"alert\""), "{page:?}");
    ensure!(page.body.contains(&format!("href=\"#f-{field}\"")), "{field} is not blamed: {}", page.body);
    ensure!(page.body.contains(kept), "{kept} was lost: {}", page.body);
    harmless(page)
}

/// The last event of a kind, on this thing.
fn last(hospital: &Hospital, kind: &str, about: (&str, &str)) -> Result<Value> {
    let events = hospital.events(kind)?;
    let of = |event: &&Value| at(event, &format!("/{}", about.0)) == about.1;
    // Listings begin with the oldest.
    events.iter().rfind(of).cloned().with_context(|| format!("no {kind} of {about:?}"))
}

fn a_vendor_is_registered_changed_and_switched_off_by_form(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let (desk, _) = of(&hospital, "administrator")?;
    let bad = [
        ("id", "Bad ID"),
        ("name", MARKUP),
        ("contract_from", "2026-04-01"),
        ("sources", "203.0.113.0/24 10.0.0.0/33"),
        ("psirt", "psirt@example"),
    ];
    let page = desk.send("/vendors/_new", &bad)?;
    for field in ["id", "contract_until", "sources"] {
        blamed(&page, field, "psirt@example")?;
    }
    ensure!(page.body.contains("10.0.0.0/33 is no network"), "{}", page.body);
    let good = [
        ("id", "hamada"),
        ("name", MARKUP),
        ("contract_from", "2025-04-01"),
        ("contract_until", "2099-03-31"),
        ("sources", "127.0.0.0/8\r\n2001:db8::/32"),
        ("responsible", "浜田 責任者"),
    ];
    ensure!(desk.send("/vendors/_new", &good)?.location == "/vendors/hamada");
    let taken = desk.send("/vendors/_new", &good)?;
    blamed(&taken, "id", "浜田 責任者")?;
    let page = desk.get("/vendors/hamada")?;
    harmless(&page)?;
    ensure!(page.body.contains("2025-04-01 – 2099-03-31") && page.body.contains("2001:db8::/32"), "{}", page.body);
    let kept = hospital.gateway.act(&hospital.auditor, &["vendor", "show", "hamada"])?;
    ensure!(at(&kept, "/contract/until") == "2099-03-31T15:00:00Z" && at(&kept, "/name") == MARKUP, "{kept}");

    // What acts on a screen, what is too long, a contract that ends before it begins.
    let mut fields = good;
    let long = "長".repeat(201);
    for name in ACTING.into_iter().chain([long.as_str()]) {
        fields[1].1 = name;
        let page = change(&desk, "/vendors/hamada/change", &fields[1..])?;
        blamed(&page, "name", "浜田 責任者")?;
    }
    fields[1].1 = "浜田電機";
    fields[3].1 = "2025-03-31";
    blamed(&change(&desk, "/vendors/hamada/change", &fields[1..])?, "contract_until", "浜田電機")?;
    fields[3].1 = "2027-03-31";

    // Two at once: one wins; the other is told, sees what is there now, and loses nothing.
    let late = seen(&desk, "/vendors/hamada/change")?;
    ensure!(change(&desk, "/vendors/hamada/change", &fields[1..])?.status == 303);
    let mine = [("name", "浜田電機（株）"), ("sources", "127.0.0.0/8"), ("responsible", "わたし")];
    let page = desk.send("/vendors/hamada/change", &[&mine[..], &[("seen", late.as_str())]].concat())?;
    ensure!(page.status == 409 && page.body.contains("value=\"わたし\""), "{page:?}");
    ensure!(page.body.contains("Registered now:") && page.body.contains("2027-03-31"), "{}", page.body);
    let now = page.body.split("name=\"seen\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let now = now.context("no revision")?.to_owned();
    ensure!(desk.send("/vendors/hamada/change", &[&mine[..], &[("seen", &now)]].concat())?.status == 303);
    let event = last(&hospital, "vendor.change", ("vendor", "hamada"))?;
    ensure!(at(&event, "/detail/before/name") == "浜田電機" && at(&event, "/detail/after/name") == "浜田電機（株）");
    ensure!(
        at(&event, "/actor/person") == hospital.administrator.as_str() && !at(&event, "/source").is_null(),
        "{event}"
    );

    // Switching a vendor off counts for those who are connected.
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let switch = format!("/vendors/{VENDOR}/switch");
    ensure!(desk.send(&switch, &[("to", "suspend"), ("reason", " ")])?.status == 422, "without a reason");
    ensure!(desk.send(&switch, &[("to", "suspend"), ("reason", "incident 7")])?.status == 303);
    ensure!(hospital.exec(&certificate, "true", Input::Nothing)?.code != Some(0), "it is suspended");
    let event = last(&hospital, "vendor.change", ("vendor", VENDOR))?;
    ensure!(at(&event, "/detail/reason") == "incident 7" && at(&event, "/detail/before/status") == "active", "{event}");
    ensure!(desk.send(&switch, &[("to", "resume"), ("reason", "over")])?.status == 303);
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    ensure!(desk.send("/vendors/hamada/switch", &[("to", "retire"), ("reason", "over")])?.status == 303);
    let back = desk.send("/vendors/hamada/switch", &[("to", "resume"), ("reason", "again")])?;
    ensure!(back.status == 422 && back.body.contains("was retired for good"), "{back:?}");
    Ok(())
}

fn a_person_is_registered_changed_and_loses_their_factors_by_form(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let (desk, _) = of(&hospital, "administrator")?;
    let role = [("id", "noda"), ("name", MARKUP), ("vendor", VENDOR), ("roles", "approver"), ("language", "en")];
    blamed(&desk.send("/people/_new", &role)?, "roles", "&#60;script&#62;")?;
    let mut unknown = role;
    (unknown[2].1, unknown[3].1) = ("ghost", "");
    blamed(&desk.send("/people/_new", &unknown)?, "vendor", "noda")?;
    let mut staff = role;
    staff[2].1 = "";
    ensure!(desk.send("/people/_new", &staff)?.location == "/people/noda");
    harmless(&desk.get("/people/noda")?)?;
    let page = desk.get("/people/noda")?;
    ensure!(page.body.contains("/people/noda/invite\"") && page.body.contains("not set"), "{}", page.body);

    let more =
        [("name", "野田"), ("roles", "auditor"), ("roles", "management"), ("sources", "127.0.0.1"), ("language", "ja")];
    ensure!(change(&desk, "/people/noda/change", &more)?.status == 303);
    let event = last(&hospital, "person.change", ("person", "noda"))?;
    ensure!(at(&event, "/detail/before/roles") == &json!(["approver"]), "{event}");
    ensure!(at(&event, "/detail/after/roles") == &json!(["auditor", "management"]), "{event}");

    // Nobody shuts the hospital out of its own gateway.
    let me = hospital.administrator.as_str();
    let page = change(&desk, &format!("/people/{me}/change"), &[("name", "x"), ("language", "ja")])?;
    blamed(&page, "roles", "value=\"x\"")?;
    let page = desk.send(&format!("/people/{me}/switch"), &[("to", "suspend"), ("reason", "holiday")])?;
    ensure!(page.status == 422 && page.body.contains("the last one who manages people"), "{page:?}");
    ensure!(hospital.gateway.refused(me, &["person", "suspend", me])?.contains("the last one"));

    // Signed in twice: one is ended, then all of it with the factors.
    let engineer = Browser::new(&hospital.gateway.demo.console)?;
    let who = &hospital.engineer;
    engineer.sign_in(&who.id, &who.password, &who.codes)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let page = desk.get(&format!("/people/{}", who.id))?;
    ensure!(page.body.contains("certificate (SSH)") && page.body.contains("console"), "{}", page.body);
    let first = page.body.split("name=\"sign_in\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let first = first.context("nothing to end")?.to_owned();
    ensure!(desk.send("/people/noda/end-sign-in", &[("sign_in", &first)])?.status == 404, "another's sign-in");
    ensure!(desk.send(&format!("/people/{}/end-sign-in", who.id), &[("sign_in", &first)])?.status == 303);
    ensure!(engineer.get("/account")?.status == 303, "it goes on");
    engineer.sign_in(&who.id, &who.password, &who.codes)?;
    let reset = format!("/people/{}/reset-factors", who.id);
    ensure!(desk.send(&reset, &[("reason", "")])?.status == 422, "without a reason");
    let page = desk.send(&reset, &[("reason", "telephone lost")])?;
    ensure!(page.status == 200 && page.body.contains("/join/"), "no new invitation: {page:?}");
    ensure!(engineer.get("/account")?.status == 303, "still signed in without a factor");
    ensure!(hospital.exec(&certificate, "true", Input::Nothing)?.code != Some(0), "the certificate still counts");
    let event = last(&hospital, "person.change", ("person", &who.id))?;
    ensure!(at(&event, "/detail/reason") == "telephone lost" && at(&event, "/detail/before/totp") == true, "{event}");
    ensure!(at(&event, "/detail/before/keys/0").as_str().is_some_and(|key| key.starts_with("SHA256:")), "{event}");
    let page = desk.get(&format!("/people/{}", who.id))?;
    ensure!(page.body.contains("They are not signed in anywhere"), "{}", page.body);
    Ok(())
}

fn a_device_is_registered_by_form_and_reached(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let (desk, _) = of(&hospital, "administrator")?;
    let (address, account) = (hospital.sshd.address.to_string(), hospital.sshd.account.as_str());
    let port = hospital.sshd.address.port().to_string();
    let bad = [("id", "ct-09"), ("name", MARKUP), ("address", "h:70000"), ("protocol", "telnet"), ("channels", "sftp")];
    let page = desk.send("/devices/_new", &bad)?;
    blamed(&page, "address", "h:70000")?;
    let with_address = [
        &bad[..2],
        &[("address", "192.0.2.9"), ("accounts", "a:shared"), ("protocol", "telnet"), ("channels", "sftp")],
    ];
    blamed(&desk.send("/devices/_new", &with_address.concat())?, "channels", "192.0.2.9")?;
    let good = [("id", "ct-09"), ("name", MARKUP), ("address", &address), ("protocol", "ssh"), ("accounts", account)];
    let own_port = [&good[..], &[("channels", "exec"), ("ports", &port)]].concat();
    blamed(&desk.send("/devices/_new", &own_port)?, "channels", &port)?;
    let good = [&good[..], &[("channels", "shell"), ("channels", "exec")]].concat();
    ensure!(desk.send("/devices/_new", &good)?.location == "/devices/ct-09");
    harmless(&desk.get("/devices/ct-09")?)?;

    // The key is shown, and pinned by whoever types its end as the device itself shows it.
    let page = desk.send("/devices/ct-09/scan", &[])?;
    let fingerprints = hospital.sshd.fingerprints()?;
    ensure!(fingerprints.iter().all(|one| page.body.contains(one.as_str())), "{page:?}");
    let key = fingerprints.first().context("no key")?.as_str();
    let wrong = desk.send("/devices/ct-09/pin", &[("fingerprint", key), ("end", "abcdef")])?;
    ensure!(wrong.status == 422 && wrong.body.contains("Nothing was pinned"), "{wrong:?}");
    let stranger = format!("SHA256:{}", "A".repeat(43));
    let page = desk.send("/devices/ct-09/pin", &[("fingerprint", &stranger), ("end", "AAAAAA")])?;
    ensure!(page.status == 422 && page.body.contains("does not present this key"), "{page:?}");
    let shown = hospital.gateway.act(&hospital.auditor, &["device", "show", "ct-09"])?;
    ensure!(at(&shown, "/host_keys") == &json!([]), "{shown}");
    let end = &key[key.len() - 6..];
    ensure!(desk.send("/devices/ct-09/pin", &[("fingerprint", key), ("end", end)])?.status == 303);
    let event = last(&hospital, "device.host-key", ("device", "ct-09"))?;
    ensure!(at(&event, "/detail/before") == &json!([]) && at(&event, "/detail/after") == &json!([key]), "{event}");

    // A credential goes in and never comes out.
    let path = "/devices/ct-09/credential";
    let secret = "correct horse staple 77";
    let page = desk.send(path, &[("account", "ghost"), ("kind", "password"), ("password", secret)])?;
    ensure!(page.status == 422 && !page.body.contains(secret), "{page:?}");
    ensure!(desk.send(path, &[("account", account), ("kind", "password"), ("password", secret)])?.status == 303);
    let pem = std::fs::read_to_string(&hospital.sshd.service_key)?;
    let half = desk.send(path, &[("account", account), ("kind", "key"), ("private_key", &pem[..200])])?;
    blamed(&half, "private_key", "no OpenSSH private key")?;
    ensure!(!half.body.contains(&pem[100..140]), "the key came back: {half:?}");
    let key_form = [("account", account), ("kind", "key"), ("private_key", &pem.replace('\n', "\r\n"))];
    ensure!(desk.send(path, &key_form)?.status == 303);
    let event = last(&hospital, "device.credential", ("device", "ct-09"))?;
    ensure!(at(&event, "/detail/before") == "password" && at(&event, "/detail/after") == "key", "{event}");
    let told = hospital.gateway.act(&hospital.auditor, &["log", "list"])?.to_string();
    for page in [desk.get("/devices/ct-09")?.body, desk.get(path)?.body, told] {
        ensure!(!page.contains(secret) && !page.contains(&pem[100..140]), "a secret came out: {page}");
    }

    hospital.grant_to(&hospital.engineer, "ct-09", Window::now())?;
    let certificate = hospital.sign_in()?;
    let reach = || {
        let (user, proof) = (format!("{}+ct-09", hospital.engineer.id), hospital.carried(&certificate));
        hospital.workstation.exec(&user, proof, "true", Input::Nothing, PATIENCE)
    };
    reach()?.success().context("what was registered by form cannot be reached")?;
    let page = desk.get("/devices/ct-09")?;
    ensure!(page.body.contains(&format!("/people/{}", hospital.engineer.id)), "{}", page.body);

    // Without its key, and without its credential, nobody gets there.
    ensure!(desk.send("/devices/ct-09/remove-credential", &[("account", account)])?.status == 303);
    ensure!(reach()?.code != Some(0));
    ensure!(desk.send("/devices/ct-09/unpin", &[("fingerprint", key)])?.status == 303);
    ensure!(desk.send("/devices/ct-09/unpin", &[("fingerprint", key)])?.status == 404);
    let changed = [("name", "CT 9"), ("address", "192.0.2.9:2200"), ("protocol", "ssh"), ("accounts", "a\r\nb:shared")];
    let changed = [&changed[..], &[("legacy", "sha1"), ("ports", "3389 5900"), ("channels", "shell")]].concat();
    ensure!(change(&desk, "/devices/ct-09/change", &changed)?.status == 303);
    let event = last(&hospital, "device.change", ("device", "ct-09"))?;
    ensure!(at(&event, "/detail/before/name") == MARKUP && at(&event, "/detail/after/port") == 2200, "{event}");
    ensure!(desk.get("/devices/ct-09/change")?.body.contains("192.0.2.9:2200"));
    ensure!(desk.send("/devices/ct-09/switch", &[("to", "retire"), ("reason", "scrapped")])?.status == 303);
    Ok(())
}

#[test]
fn two_who_change_at_the_same_moment_do_not_both() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let (desk, _) = of(&hospital, "administrator")?;
    for (path, fields) in [
        (format!("/vendors/{VENDOR}/change"), &[("name", "一つだけ")][..]),
        (
            format!("/people/{}/change", hospital.engineer.id),
            &[("name", "一人だけ"), ("vendor", VENDOR), ("language", "ja")],
        ),
    ] {
        let seen = seen(&desk, &path)?;
        let fields = [fields, &[("seen", seen.as_str())]].concat();
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let twins = [desk.twin(), desk.twin()];
            let both = twins.map(|twin| scope.spawn(|| twin?.send(&path, &fields)));
            both.into_iter().filter_map(|one| one.join().ok()?.ok()).map(|page| page.status).collect()
        });
        statuses.sort_unstable();
        ensure!(statuses == [303, 409], "{path}: {statuses:?}");
    }
    Ok(())
}

#[test]
fn forms_are_the_administrators_and_weighty_ones_ask_for_a_code() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let (desk, codes) = of(&hospital, "administrator")?;
    let person = format!("/people/{}", hospital.engineer.id);
    let forms = [
        ("/vendors/_new".to_owned(), &[("id", "x-1"), ("name", "x")][..]),
        ("/people/_new".to_owned(), &[("id", "x-1"), ("name", "x"), ("language", "ja")]),
        (format!("{person}/switch"), &[("to", "suspend"), ("reason", "x")]),
        (format!("{person}/reset-factors"), &[("reason", "x")]),
        (format!("/devices/{DEVICE}/unpin"), &[("fingerprint", "x")]),
        (format!("/devices/{DEVICE}/credential"), &[("account", "x"), ("kind", "password"), ("password", "x")]),
    ];
    for role in ["approver", "auditor", "vendor"] {
        let (other, _) = of(&hospital, role)?;
        for (path, fields) in &forms {
            ensure!(other.send(path, fields)?.status == 403, "{role} may call {path}");
        }
    }
    // From another page, and with another sign-in's token.
    for (path, fields) in &forms {
        ensure!(desk.send_from(path, "https://evil.example", fields)?.status == 403, "{path} from elsewhere");
        let old = [fields, &[("token", "0000")][..]].concat();
        let page = desk.send_from(path, &hospital.gateway.demo.console.url, &old)?;
        ensure!(page.status == 403 && !page.body.contains("name=\"password\""), "{path}: {page:?}");
    }
    let large = "x".repeat(70_000);
    ensure!(desk.send("/vendors/_new", &[("id", "x-1"), ("name", &large)])?.status == 413);
    let untouched = hospital.gateway.act(&hospital.auditor, &["person", "show", &hospital.engineer.id])?;
    ensure!(at(&untouched, "/person/status") == "active", "{untouched}");

    hospital.gateway.reconfigure("[console]", "step_up_minutes = 0")?;
    let fields = [("id", "noda"), ("name", "野田"), ("language", "ja"), ("roles", "auditor"), ("roles", "management")];
    let asked = desk.send("/people/_new", &fields)?;
    ensure!(asked.status == 403 && asked.body.contains("name=\"code\""), "{asked:?}");
    ensure!(asked.body.contains("value=\"auditor\"") && asked.body.contains("value=\"management\""), "{}", asked.body);
    // A form that cannot be taken spends no code.
    ensure!(desk.send("/people/_new", &[("id", "noda"), ("language", "x")])?.status == 422);
    let code = codes.fresh()?;
    ensure!(desk.send("/people/_new", &[&fields[..], &[("code", &code)]].concat())?.location == "/people/noda");
    // A secret is asked for after the code, so that it is not lost for it.
    let path = format!("/devices/{DEVICE}/credential");
    let page = desk.get(&path)?;
    ensure!(page.status == 403 && page.body.contains("name=\"code\"") && !page.body.contains("type=\"password\""));
    let secret = [("account", "service"), ("kind", "password"), ("password", "correct horse")];
    let page = desk.send(&path, &secret)?;
    ensure!(page.status == 403 && !page.body.contains("correct horse"), "{page:?}");
    let key = hospital.sshd.fingerprints()?;
    let key = key.first().context("no key")?;
    ensure!(desk.send(&format!("/devices/{DEVICE}/unpin"), &[("fingerprint", key)])?.status == 403);
    // To shut is never held up; to open again asks.
    let off = desk.send(&format!("{person}/switch"), &[("to", "suspend"), ("reason", "x")])?;
    ensure!(off.status == 303, "{off:?}");
    ensure!(desk.send(&format!("{person}/switch"), &[("to", "resume"), ("reason", "x")])?.status == 403);
    Ok(())
}

#[test]
fn faults_are_told_in_the_pages_language() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let desk = Browser::new(&hospital.gateway.demo.console)?;
    desk.sign_in_as(hospital.gateway.person("administrator")?)?;
    desk.send("/language", &[("language", "ja")])?;
    let page = desk.send("/vendors/_new", &[("id", VENDOR), ("name", "石田")])?;
    blamed(&page, "id", "石田")?;
    ensure!(page.body.contains("すでに登録されています") && page.body.contains("lang=\"ja\""), "{}", page.body);
    let page = desk.send("/devices/_new", &[("id", "a b"), ("address", ""), ("protocol", "ssh")])?;
    ensure!(page.body.contains("IDとして使えません") && !page.body.contains("is no ID"), "{}", page.body);
    let me = &hospital.administrator;
    let page = desk.send(&format!("/people/{me}/switch"), &[("to", "retire"), ("reason", "退職")])?;
    ensure!(page.status == 422 && page.body.contains("最後の人です"), "{page:?}");
    Ok(())
}

#[test]
fn keys_are_added_by_their_person_and_taken_away_from_a_lost_laptop() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let engineer = &hospital.engineer;
    let mine = Browser::new(&hospital.gateway.demo.console)?;
    mine.sign_in(&engineer.id, &engineer.password, &engineer.codes)?;
    let key = hospital.workstation.folder().join("another");
    keygen("ed25519", &key)?;
    let private = std::fs::read_to_string(&key)?;
    let page = mine.send("/account/ssh-keys", &[("ssh_key", &private)])?;
    let secret = private.lines().nth(1).context("an empty key")?;
    ensure!(page.status == 422 && !page.body.contains(secret), "a private key was taken, or shown: {page:?}");
    ensure!(mine.send("/account/ssh-keys", &[("ssh_key", "ssh-ed25519 AAAA")])?.status == 422);
    let public = std::fs::read_to_string(key.with_extension("pub"))?;
    let public = format!("{} {MARKUP}", public.trim().trim_end_matches(" test"));
    ensure!(mine.send("/account/ssh-keys", &[("ssh_key", &public)])?.status == 303);
    ensure!(mine.send("/account/ssh-keys", &[("ssh_key", &public)])?.status == 422, "it was taken twice");
    let page = mine.get("/account")?;
    ensure!(page.body.contains("alert(1)") && !page.body.contains("<script>"), "{}", page.body);
    let proof = Proof::KeyAndPassword(&key, &engineer.password);
    let reach = |proof| hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE);
    reach(proof)?.success().context("the key that was added is not taken")?;

    // The laptop is gone: its person, or the hospital, takes the key away, and what it carried ends with it.
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let fingerprint = |of: &Value| Ok::<_, anyhow::Error>(at(of, "/fingerprint").as_str().context("none")?.to_owned());
    let keys = hospital.gateway.act(&hospital.auditor, &["person", "key", "list", &engineer.id])?;
    let (first, added) = (fingerprint(at(&keys, "/0"))?, fingerprint(at(&keys, "/1"))?);
    ensure!(mine.send("/account/ssh-keys/remove", &[("fingerprint", &added)])?.status == 303);
    ensure!(reach(proof)?.code != Some(0), "a key that was removed let somebody in");
    let remove = format!("/people/{}/remove-key", engineer.id);
    let (hall, _) = of(&hospital, "approver")?;
    ensure!(hall.send(&remove, &[("fingerprint", &first)])?.status == 403, "an approver took a key away");
    let (desk, _) = of(&hospital, "administrator")?;
    ensure!(desk.send(&remove, &[("fingerprint", &added)])?.status == 404, "a key was removed twice");
    ensure!(desk.send(&remove, &[("fingerprint", &first)])?.status == 303);
    ensure!(hospital.exec(&certificate, "true", Input::Nothing)?.code != Some(0), "its certificate went on");
    for (kind, key) in [("person.key-add", &added), ("person.key-remove", &first)] {
        let event = last(&hospital, kind, ("person", &engineer.id))?;
        ensure!(at(&event, "/detail/key") == key.as_str() && !at(&event, "/source").is_null(), "{event}");
    }
    Ok(())
}
