//! The console's doors: signing in as with SSH, who may call which route, forms from elsewhere, sign-ins that end.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Browser, Codes, Database, Gateway, Hospital, Input, PATIENCE, Page, at, on_both_databases, run};
use std::process::Command;
use std::time::Instant;

on_both_databases!(a_sign_in_takes_both_factors_once_and_can_be_ended_from_elsewhere);

/// What the page says that a wrong role gets.
const WRONG_ROLE: &str = "Your roles do not include this page";

fn a_sign_in_takes_both_factors_once_and_can_be_ended_from_elsewhere(database: Database) -> Result<()> {
    let hospital = Hospital::closed(database)?;
    let (door, engineer) = (&hospital.gateway.demo.console, &hospital.engineer);
    let browser = Browser::new(door)?;
    let code = engineer.codes.fresh()?;
    let tries = [
        [("person", "nobody-here"), ("password", engineer.password.as_str()), ("code", code.as_str())],
        [("person", engineer.id.as_str()), ("password", "not the password at all"), ("code", code.as_str())],
        [("person", engineer.id.as_str()), ("password", engineer.password.as_str()), ("code", "000000")],
        [("person", engineer.id.as_str()), ("password", engineer.password.as_str()), ("code", "")],
    ];
    let mut said = Vec::new();
    for fields in tries {
        let page = browser.send("/sign-in", &fields)?;
        ensure!(page.status == 401 && !page.headers.contains("set-cookie"), "{page:?}");
        said.push(page.body.replace(fields[0].1, "WHO"));
    }
    ensure!(said.iter().all(|one| Some(one) == said.first()), "refusals differ: {said:#?}");

    let right = [("person", engineer.id.as_str()), ("password", engineer.password.as_str()), ("code", code.as_str())];
    let page = browser.send("/sign-in", &right)?;
    ensure!(page.status == 303, "{page:?}");
    let cookie =
        page.headers.lines().find(|line| line.starts_with("set-cookie: __host-sekimori=")).context("no cookie")?;
    ensure!(["path=/", "secure", "httponly", "samesite=lax"].iter().all(|part| cookie.contains(part)), "{cookie}");
    ensure!(browser.get("/account")?.body.contains(&engineer.id));
    let again = Browser::new(door)?.send("/sign-in", &right)?;
    ensure!(again.status == 401, "the same code twice: {again:?}");

    // An administrator sees it, and ends it; the next request is nobody's.
    let desk = Browser::new(door)?;
    desk.sign_in_as(hospital.gateway.person("administrator")?)?;
    let listed = desk.get("/sign-ins")?.body;
    let row = listed.split("<tr>").find(|row| row.contains(&format!(">{}<", engineer.id))).context("not listed")?;
    let action = row.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).context("nothing to end it")?;
    ensure!(desk.send(action, &[])?.status == 303);
    let page = browser.get("/account")?;
    ensure!(page.status == 303 && page.location.starts_with("/sign-in"), "{page:?}");

    let events = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let count = |kind: &str, person: &str| {
        let events = events.as_array().into_iter().flatten();
        let of = events.filter(|event| at(event, "/event/kind") == kind || at(event, "/kind") == kind);
        of.filter(|event| event.to_string().contains(person) && event.to_string().contains("\"console\":true")).count()
    };
    ensure!(count("sign-in.proved", &engineer.id) == 1, "{events}");
    ensure!(count("sign-in.failed", &engineer.id) == 4, "{events}");
    ensure!(count("sign-in.revoked", &engineer.id) == 1, "{events}");
    Ok(())
}

#[test]
fn every_route_answers_those_whom_the_matrix_names_and_nobody_else() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let matrix = include_str!("../../gateway/src/console/routes.txt");
    let lines: Vec<&str> = matrix.lines().filter(|line| !line.starts_with('#')).collect();
    let columns: Vec<&str> =
        "nobody vendor approver safety-manager administrator auditor management".split(' ').collect();
    ensure!(lines.len() >= 10);
    let mut faults = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        let browser = Browser::new(&gateway.demo.console)?;
        if *column != "nobody" {
            sign_in_as(&gateway, &browser, column)?;
        }
        // Signing out comes last: nobody could call what follows.
        let mut routes = lines.clone();
        routes.sort_by_key(|line| line.contains("/sign-out"));
        for line in routes {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [method, route, allowed @ ..] = words.as_slice() else { anyhow::bail!("no route: {line}") };
            let path = route.replace("{id}", "none-such").replace("{account}", "none");
            let page =
                if *method == "GET" { browser.get(&path)? } else { browser.send(&path, &[("language", "en")])? };
            let let_in = let_in(&page, route);
            if let_in != (allowed.get(number) == Some(&"yes")) {
                faults.push(format!("{column}: {method} {route} answered {} {}", page.status, page.location));
            }
        }
    }
    ensure!(faults.is_empty(), "{faults:#?}");
    let denied = gateway.act("auditor", &["log", "list"])?;
    ensure!(denied.to_string().contains("role-missing"), "no event tells of a wrong role: {denied}");
    Ok(())
}

/// Whether the guard let it through to its page, whatever came of it there.
fn let_in(page: &Page, route: &str) -> bool {
    let signed_out = page.status == 303 && page.location.starts_with("/sign-in?next=");
    let asked_to_sign_in = page.status == 401 && route != "/sign-in";
    page.status != 0 && !signed_out && !asked_to_sign_in && !page.body.contains(WRONG_ROLE)
}

/// Somebody of the demo, or, for the roles that it lacks, somebody new; in English.
fn sign_in_as(gateway: &Gateway, browser: &Browser, column: &str) -> Result<()> {
    if let Ok(person) = gateway.person(column) {
        browser.sign_in_as(person)?;
    } else {
        let role = column.replace('-', "_");
        let act = |args: &[&str]| gateway.act("administrator", args);
        let name = ["person", "add", column, "--name", "A", "--role", &role, "--source", "127.0.0.0/8"];
        act(&name).or_else(|_| act(&name.map(|word| if word == role { column } else { word })))?;
        let password = "correct horse 47 battery";
        gateway.act_with("administrator", &["person", "password", column, "--stdin"], Input::from(password))?;
        let secret = act(&["person", "totp", column])?;
        browser.sign_in(column, password, &Codes::new(at(&secret, "/secret").as_str().context("no secret")?))?;
    }
    ensure!(browser.send("/language", &[("language", "en")])?.status == 303);
    Ok(())
}

#[test]
fn a_form_from_elsewhere_does_nothing_and_an_old_one_is_kept() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let browser = Browser::new(&gateway.demo.console)?;
    let form = [("language", "en"), ("note", "ten <b>words</b>"), ("token", "0000")];
    let page = browser.send_from("/sign-out", &gateway.demo.console.url, &form)?;
    ensure!(page.status == 401 && page.body.contains("ten &#60;b&#62;words&#60;/b&#62;"), "signed out: {page:?}");

    browser.sign_in_as(gateway.person("auditor")?)?;
    let page = browser.send_from("/sign-out", "https://evil.example", &form)?;
    ensure!(page.status == 403 && !page.body.contains("words"), "from elsewhere: {page:?}");
    let page = browser.send_from("/sign-out", &gateway.demo.console.url, &form)?;
    ensure!(page.status == 403 && page.body.contains("ten &#60;b&#62;words"), "without the token: {page:?}");
    ensure!(browser.get("/account")?.status == 200, "it was signed out all the same");
    // The page that asks for confirmation carries the right token.
    ensure!(browser.send("/sign-out", &[])?.location == "/sign-in");
    ensure!(browser.get("/account")?.status == 303);

    let page = browser.get("/sign-in")?;
    for header in ["content-security-policy: default-src 'none'", "x-frame-options: deny", "cache-control: no-store"] {
        ensure!(page.headers.contains(header), "{header} is missing: {}", page.headers);
    }
    let large = "x".repeat(70_000);
    ensure!(browser.send("/sign-in", &[("person", &large)])?.status == 413);
    Ok(())
}

#[test]
fn an_act_that_asks_for_a_code_keeps_the_form_until_it_comes() -> Result<()> {
    let gateway = Gateway::start(None)?;
    gateway.reconfigure("[console]", "step_up_minutes = 0")?;
    let (desk, other) = (Browser::new(&gateway.demo.console)?, Browser::new(&gateway.demo.console)?);
    let codes = desk.sign_in_as(gateway.person("administrator")?)?;
    other.sign_in_as(gateway.person("auditor")?)?;
    let listed = desk.get("/sign-ins")?.body;
    let row = listed.split("<tr>").find(|row| row.contains(">auditor<")).context("not listed")?;
    let action = row.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).context("nothing to end it")?;
    for wrong in [&[][..], &[("code", "000000")]] {
        let page = desk.send(action, &[&[("note", "kept")][..], wrong].concat())?;
        ensure!(page.status == 403 && page.body.contains("value=\"kept\""), "{page:?}");
        ensure!(page.body.contains("name=\"code\""), "no field for the code: {page:?}");
    }
    ensure!(other.get("/account")?.status == 200);
    let code = codes.fresh()?;
    ensure!(desk.send(action, &[("code", &code)])?.status == 303);
    ensure!(other.get("/account")?.status == 303);
    let again = desk.send(action, &[("code", &code)])?;
    ensure!(again.status == 403 && again.body.contains("name=\"code\""), "the same code twice: {again:?}");
    Ok(())
}

#[test]
fn invariant_09_a_source_that_nobody_allows_gets_no_answer() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    for person in &hospital.gateway.demo.people {
        hospital.gateway.act(&hospital.administrator, &["person", "change", &person.id, "--source", "127.0.0.1/32"])?;
    }
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    ensure!(browser.get("/sign-in")?.status == 200);
    let page = browser.ask("/sign-in", &["--interface", "127.0.0.2"], None)?;
    ensure!(page.status == 0 && page.body.is_empty(), "a stranger got an answer: {page:?}");
    let told = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    ensure!(told.to_string().contains("source.refused"), "{told}");
    Ok(())
}

#[test]
fn a_certificate_of_the_hospitals_is_taken_and_renewed_without_a_restart() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let folder = gateway.demo.data_dir.join("pki");
    std::fs::create_dir(&folder)?;
    let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
    let renew = || -> Result<()> {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=gate", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]).arg(&key);
        run(openssl.arg("-out").arg(&certificate), Input::Nothing, PATIENCE)?.success()?;
        run(Command::new("chmod").arg("600").arg(&key), Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    };
    renew()?;
    let (c, k) = (certificate.display(), key.display());
    gateway.reconfigure("[console]", &format!("certificate = \"{c}\"\nkey = \"{k}\""))?;
    let mut earlier = None;
    for round in ["the given one", "its successor"] {
        let copy = folder.join("trusted.pem");
        std::fs::copy(&certificate, &copy)?;
        let browser = Browser::new(&gateway.demo.console)?.trusting(copy);
        let since = Instant::now();
        while browser.get("/sign-in")?.status != 200 {
            ensure!(since.elapsed() < PATIENCE, "{round} is not in use; it logged: {}", gateway.log.text());
        }
        let seen = std::fs::read_to_string(&certificate)?;
        ensure!(earlier.as_ref() != Some(&seen));
        earlier = Some(seen);
        renew()?;
    }
    Ok(())
}
