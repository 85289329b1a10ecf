//! Passkeys: added, used and removed in Chromium with a virtual authenticator, and everything that one is refused for.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Browser, Database, Hospital, at, on_both_databases, passkeys_in_a_browser};
use serde_json::Value;

on_both_databases!(a_passkey_signs_in_alone_and_counts_once);

/// The details of all events of a kind about or by a person, oldest first.
fn told(events: &Value, kind: &str, person: &str) -> Vec<Value> {
    let events = events.as_array().into_iter().flatten();
    let whose = |event: &Value| at(event, "/person") == person || at(event, "/actor/person") == person;
    let of = events.filter(|event| at(event, "/kind") == kind && whose(event));
    of.map(|event| at(event, "/detail").clone()).collect()
}

fn a_passkey_signs_in_alone_and_counts_once(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let language = if database == Database::Sqlite { "en" } else { "ja" };
    let who = &hospital.engineer;
    // Each act that asks for the second factor asks for a new proof.
    hospital.gateway.reconfigure("[console]", "step_up_minutes = 0")?;
    let seen = passkeys_in_a_browser(&hospital, who, language, None)?;
    ensure!(seen.faults.is_empty(), "{seen:?}");
    let tried = |what: &str| seen.tried.get(what).cloned().with_context(|| format!("{what} was not tried: {seen:?}"));
    ensure!(tried("signed in")? == "/my-devices", "{seen:?}");
    for what in [
        "replayed",
        "for another purpose",
        "user not verified",
        "from another port's page",
        "counted backwards",
        "once removed",
    ] {
        ensure!(tried(what)? == 401, "{what}: {seen:?}");
    }
    ensure!(tried("of somebody else")? == 403, "{seen:?}");
    ensure!(tried("counted on")? == 303 && tried("confirmed before there is one")? == 0, "{seen:?}");

    let events = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let added = told(&events, "person.passkey-add", &who.id);
    ensure!(added.len() == 1 && added.iter().all(|detail| at(detail, "/name") == "laptop"), "{events}");
    ensure!(told(&events, "person.passkey-remove", &who.id).len() == 1, "{events}");
    let failed = told(&events, "sign-in.failed", &who.id);
    let whys: Vec<_> = failed.iter().map(|detail| at(detail, "/why").as_str().unwrap_or_default().to_owned()).collect();
    ensure!(whys == ["challenge", "challenge", "user-verification", "origin", "counter"], "{whys:?}");
    ensure!(
        failed.iter().all(|detail| at(detail, "/passkey").is_string() && at(detail, "/console") == true),
        "{events}"
    );
    let by_passkey = |detail: &&Value| at(detail, "/factors/0") == "passkey" && at(detail, "/passkey").is_string();
    ensure!(told(&events, "sign-in.proved", &who.id).iter().filter(by_passkey).count() == 3, "{events}");
    let again = told(&events, "sign-in.again", &who.id);
    let again: Vec<_> = again.iter().filter_map(|detail| at(detail, "/factors/0").as_str()).collect();
    ensure!(again == ["totp", "passkey"], "{events}");
    Ok(())
}

#[test]
fn passkeys_are_for_names_and_for_pages_of_ours() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.send("/language", &[("language", "en")])?;
    // By its address the console has no passkeys, and says where it has.
    let page = browser.get("/sign-in")?;
    ensure!(
        page.body.contains("Passkeys work at this address only") && !page.body.contains("data-passkey="),
        "{page:?}"
    );
    ensure!(browser.send("/sign-in/passkey/challenge", &[])?.status == 404);
    ensure!(browser.send("/sign-in/passkey", &[])?.status == 404);
    ensure!(
        browser.send_from("/sign-in/passkey/challenge", "https://evil.example", &[])?.status == 403,
        "from elsewhere"
    );
    ensure!(browser.send("/account/passkeys/challenge", &[])?.location.starts_with("/sign-in"), "for nobody");
    Ok(())
}
