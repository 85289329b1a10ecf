//! Debian's Chromium, driven by playwright-core: what people see of the console, judged by axe-core.

use crate::hospital::{DEVICE, Engineer, Hospital, Window};
use crate::process::{Input, run};
use crate::{Codes, DemoPerson, Terminal};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What was seen.
#[derive(Debug, Deserialize)]
pub struct Look {
    /// Pages, each language and width counted.
    pub looked: usize,
    /// What is wrong, with its page.
    pub faults: Vec<String>,
    /// Milliseconds until the slowest page was there, style and all.
    pub slowest: u64,
    /// Bytes of the largest page.
    pub largest: usize,
}

/// A hospital with something on every page: work in several states, somebody who is connected, a lock that was lifted.
/// The terminal is the connection.
///
/// # Errors
/// A step is refused.
pub fn busy(hospital: &Hospital) -> Result<Terminal> {
    let act = |who: &str, args: &[&str]| hospital.gateway.act(who, args);
    let done = hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let report = ["work", "report", &done, "--text", "Logs read, one file replaced.", "--by", &hospital.engineer.id];
    act(&hospital.approver, &[&report[..], &["--personal-data", "patient IDs in the log"]].concat())?;
    hospital.request(&hospital.engineer, DEVICE, Window::tomorrow())?;
    hospital.grant(Window::now())?;
    act(&hospital.approver, &["lock", "set", "--device", "switch-01", "--reason", "交換のため"])?;
    let terminal = hospital.shell(hospital.carried(&certificate))?;
    hospital.await_session(|session| session.closed.is_none())?;
    Ok(terminal)
}

/// Looks at every page of the console, as those who may.
///
/// # Errors
/// Chromium or the npm packages are missing, or a page cannot be opened.
pub fn look_at_the_console(hospital: &Hospital, shots: Option<&Path>) -> Result<Look> {
    let works = hospital.gateway.act(&hospital.auditor, &["work", "list", "--vendor", crate::VENDOR])?;
    let of = |state: &str| -> Result<String> {
        let mut listed = works.as_array().into_iter().flatten();
        let found = listed.find(|work| crate::at(work, "/state") == state);
        Ok(found
            .and_then(|work| crate::at(work, "/id").as_str())
            .with_context(|| format!("no {state} work"))?
            .to_owned())
    };
    let (requested, reported) = (of("requested")?, of("reported")?);
    let page = |name: &str, path: &str| json!([name, path]);
    let engineer = &hospital.engineer;
    let vendor = json!({ "id": engineer.id, "password": engineer.password, "code": engineer.codes.fresh()?, "pages": [
        page("v-devices", "/my-devices"), page("v-terminal", &format!("/terminal/{DEVICE}/{}", hospital.sshd.account)),
        page("v-works", "/works"), page("v-work", &format!("/works/{requested}")),
        page("v-reported", &format!("/works/{reported}")), page("v-request", &format!("/request?from={requested}")),
        page("v-attestation", "/attestation"), page("v-account", "/account"),
    ] });
    let connected = hospital.await_session(|session| session.closed.is_none())?;
    let hall = somebody(
        hospital,
        "approver",
        json!([
            page("h-inbox", "/inbox"),
            page("h-decide", &format!("/works/{requested}")),
            page("h-live", "/live"),
            page("h-watch", &format!("/sessions/{}/live", connected.id)),
            page("h-reviews", "/reviews"),
            page("h-review", &format!("/works/{reported}")),
            page("h-calendar", "/calendar"),
            page("h-calendar-by-vendor", "/calendar?by=vendor"),
            page("h-works", "/works"),
            page("h-sessions", "/sessions"),
            page("h-locks", "/locks"),
            page("h-mails", "/mails"),
            page("h-system", "/system"),
            page("h-people", "/people"),
            page("h-vendors", "/vendors"),
            page("h-devices", "/devices"),
            page("h-missing", "/no-such-page"),
        ]),
    )?;
    for id in ["kato-n", "kudo-n"] {
        let add = ["person", "add", id, "--name", "加藤 花子", "--vendor", crate::VENDOR];
        hospital.gateway.act(&hospital.administrator, &add)?;
    }
    let desk = somebody(hospital, "administrator", Value::Array(desk_pages("kudo-n")))?;
    let invited = hospital.gateway.act(&hospital.administrator, &["person", "invite", "kato-n"])?;
    let (_, link) =
        crate::at(&invited, "/link").as_str().and_then(|link| link.split_once("/join/")).context("no link")?;
    let nobody = json!({ "pages": [
        page("n-sign-in", "/sign-in"), page("n-recovery", "/sign-in?recovery=yes"),
        page("n-join", &format!("/join/{link}")),
    ] });
    let plan =
        json!({ "url": hospital.gateway.demo.console.url, "shots": shots, "people": [nobody, vendor, hall, desk] });
    report("look.mjs", &plan, Duration::from_secs(290))
}

/// The administrator's pages and forms; some are filled in and sent first, as a third entry says (see `look.mjs`).
fn desk_pages(newcomer: &str) -> Vec<Value> {
    let (vendor, person, device) = (crate::VENDOR, crate::ENGINEER, DEVICE);
    let flawed =
        json!([["#f-id", "Bad ID"], ["#f-name", "浜田電機"], ["#f-sources", "203.0.113.0/33"], ["Enter", 422]]);
    let overtaken = json!([["[name=seen]", "0", "set"], ["#f-name", "Ishida Medical Systems"], ["Enter", 409]]);
    let scanned = json!([["form[action$='/scan'] button", 200]]);
    vec![
        json!(["a-sign-ins", "/sign-ins"]),
        json!(["a-vendor", format!("/vendors/{vendor}")]),
        json!(["a-vendor-new", "/vendors/_new"]),
        json!(["a-vendor-flawed", "/vendors/_new", flawed]),
        json!(["a-vendor-overtaken", format!("/vendors/{vendor}/change"), overtaken]),
        json!(["a-person", format!("/people/{person}")]),
        json!(["a-invite", format!("/people/{newcomer}/invite"), [["form[action$='/invite'] button", 200]]]),
        json!(["a-person-new", "/people/_new"]),
        json!(["a-person-change", format!("/people/{person}/change")]),
        json!(["a-device", format!("/devices/{device}")]),
        json!(["a-device-change", format!("/devices/{device}/change")]),
        json!(["a-host-keys", format!("/devices/{device}/host-keys"), scanned]),
        json!(["a-credential", format!("/devices/{device}/credential")]),
    ]
}

/// What happened in a browser in which somebody enrolled.
#[derive(Debug, Deserialize)]
pub struct Enrolled {
    /// What is wrong, with its page.
    pub faults: Vec<String>,
    /// Where the link led.
    pub address: String,
    /// What was said to the weak password while it was typed.
    pub refused: String,
    /// What was said to the good one.
    pub accepted: String,
    /// How many recovery codes were shown.
    pub recovery: usize,
}

/// Enrols in Chromium, at the width of a phone: opens the link, types a weak password, then a good one, and confirms
/// the authenticator.
///
/// # Errors
/// Chromium or the npm packages are missing, or a step does not happen.
pub fn enrol_in_a_browser(link: &str, language: &str, passwords: [&str; 2], shots: Option<&Path>) -> Result<Enrolled> {
    let [weak, password] = passwords;
    let plan = json!({
        "link": link, "weak": weak, "password": password, "language": language, "width": 390, "shots": shots,
    });
    report("join.mjs", &plan, Duration::from_secs(120))
}

/// What came of each thing that was tried with a passkey.
#[derive(Debug, Deserialize)]
pub struct Passkeys {
    /// What is wrong, with its page.
    pub faults: Vec<String>,
    /// The status, or the page that it led to.
    pub tried: BTreeMap<String, Value>,
}

/// Adds a passkey in Chromium with a virtual authenticator, at the width of a phone, and tries everything with it that
/// `passkeys.mjs` knows.
///
/// # Errors
/// Chromium or the npm packages are missing, or a step does not happen.
pub fn passkeys_in_a_browser(
    hospital: &Hospital,
    who: &Engineer,
    language: &str,
    shots: Option<&Path>,
) -> Result<Passkeys> {
    let url = hospital.gateway.demo.console.url.replace("127.0.0.1", "localhost");
    let approver = hospital.gateway.person("approver")?;
    let codes = Codes::new(approver.totp_secret.as_deref().context("no secret")?);
    // The last that is valid already: it is typed after everything else.
    let (_, _, code) = (codes.fresh()?, codes.fresh()?, codes.fresh()?);
    let other = json!({ "id": approver.id, "password": approver.password, "code": code });
    let plan = json!({
        "url": url, "id": who.id, "password": who.password, "codes": [who.codes.fresh()?, who.codes.fresh()?],
        "other": other, "language": language, "shots": shots,
    });
    report("passkeys.mjs", &plan, Duration::from_secs(120))
}

/// `node` with a script that drives the browser.
pub(crate) fn driver(script: &str) -> Result<Command> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = here.join("../target/browser/node_modules").canonicalize();
    let mut node = Command::new("node");
    node.arg(here.join("browser").join(script));
    node.arg(modules.context("the browser's driver is missing: sh tests/setup.sh test")?);
    Ok(node)
}

/// What a script says of a plan.
fn report<T: DeserializeOwned>(script: &str, plan: &Value, patience: Duration) -> Result<T> {
    let plan = Input::Bytes(plan.to_string().into_bytes());
    let output = run(&mut driver(script)?, plan, patience)?.success()?;
    serde_json::from_slice(&output.stdout).context("the browser's report")
}

/// Somebody of the demo, with the pages to look at.
fn somebody(hospital: &Hospital, role: &str, pages: Value) -> Result<Value> {
    let person: &DemoPerson = hospital.gateway.person(role)?;
    let codes = Codes::new(person.totp_secret.as_deref().context("no secret")?);
    Ok(json!({ "id": person.id, "password": person.password, "code": codes.fresh()?, "pages": pages }))
}
