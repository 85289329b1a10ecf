//! The vendor's first page: my devices, when they open, the lines to paste, and where one stays shut, every reason and
//! who can change it; and the word on my terminal (接続端末の安全確認).

use super::evidence::{self, Terminal};
use super::fault::Fault;
use super::page::{self, Frame};
use super::terminal;
use super::texts::evidence as evidence_texts;
use super::texts::terminal::Texts;
use super::visit::{Request, Visit};
use super::ways::{self, Ways};
use crate::session::Caller;
use crate::store::NewEvidence;
use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::decide::{Decision, decide};
use sekimori_policy::facts::{Attestation, Channel, Factors};
use sekimori_policy::id::DeviceId;
use sekimori_policy::work::{Stage, Work};
use serde_json::json;
use std::collections::BTreeSet;

/// Days that a word on a terminal counts.
const ATTESTED_DAYS: i64 = 30;
/// The most devices on the page.
const MOST: usize = 100;

struct Card {
    id: String,
    name: String,
    /// Until when it is open, and why it ends then.
    open: Option<(String, String)>,
    work: String,
    emergency: bool,
    next: Option<String>,
    reasons: Vec<String>,
    ways: Option<Ways>,
    /// Where it is reached in the browser, if a shell is permitted.
    terminal: Option<String>,
}

#[derive(Template)]
#[template(path = "my_devices.html")]
struct DevicesPage {
    frame: Frame,
    x: &'static Texts,
    cards: Vec<Card>,
    attested: Option<String>,
    to_report: Vec<String>,
}

/// `GET /my-devices`.
pub async fn my_devices(visit: Visit) -> Result<Response, Fault> {
    let person = &visit.signed_in()?.person;
    let vendor = person.vendor.as_ref().ok_or(Fault::Role)?;
    let store = &visit.console.gate.store;
    let works: Vec<Work> = store.works_of_vendor(vendor).await?;
    let mine: Vec<&Work> = works.iter().filter(|work| work.request().persons.contains(&person.id)).collect();
    let devices: BTreeSet<DeviceId> = mine.iter().flat_map(|work| work.request().devices.iter().cloned()).collect();
    let mut cards = Vec::new();
    for id in devices.into_iter().take(MOST) {
        cards.extend(Box::pin(card(&visit, &id, &mine)).await?);
    }
    // What is open comes first, then what opens next.
    cards.sort_by_key(|card| (card.open.is_none(), card.next.is_none()));
    let now = Utc::now();
    let owed = mine.iter().filter(|work| work.report_due(now).is_some()).map(|work| work.id().to_string());
    page::shown(&DevicesPage {
        frame: page::frame(&visit, visit.t().my_devices),
        x: Texts::of(visit.language),
        cards,
        attested: attested(&visit, now).await?.map(|until| visit.show(until)),
        to_report: owed.collect(),
    })
}

async fn card(visit: &Request, id: &DeviceId, works: &[&Work]) -> Result<Option<Card>, Fault> {
    let who = visit.signed_in()?;
    let gate = &visit.console.gate;
    let Some(record) = gate.store.device(id).await? else { return Ok(None) };
    let now = Utc::now();
    // What is proved here is proved anew by SSH: the question is everything else.
    let factors = Factors { methods: who.sign_in.sign_in.methods.clone(), proved_at: now, until: None };
    let caller = Caller {
        person: who.person.clone(),
        factors,
        sign_in: who.sign_in.sign_in.id,
        source: visit.source,
        carried: false,
    };
    let facts = gate.facts(&caller, id, None).await?;
    let approved = works.iter().filter(|work| {
        work.request().devices.contains(id) && matches!(work.stage(), Stage::Approved { .. } | Stage::Emergency { .. })
    });
    let next = approved.filter_map(|work| work.request().window.next_after(now)).min_by_key(|span| span.from);
    let mut card = Card {
        id: id.to_string(),
        name: record.name.clone(),
        open: None,
        work: String::new(),
        emergency: false,
        next: next.map(|span| format!("{} – {}", visit.show(span.from), visit.show(span.until))),
        reasons: Vec::new(),
        ways: None,
        terminal: None,
    };
    match decide(&facts, now) {
        Decision::Permit(permit) => {
            let because = permit.until_because().sentence(visit.language).to_owned();
            card.open = Some((visit.show(permit.until()), because));
            card.work = permit.work().to_string();
            card.emergency = permit.awaiting_retrospective_approval();
            let work = works.iter().find(|work| work.id() == permit.work());
            card.ways = work.map(|work| ways::to(visit, &who.person.id, &record, work.request()));
            let shell = permit.allows(Channel::Shell);
            card.terminal = shell.then(|| terminal::address(id.as_str(), permit.account()));
        }
        Decision::Denial(denial) => {
            card.reasons = denial.reasons().iter().map(|reason| reason.sentence(visit.language)).collect();
        }
    }
    Ok(Some(card))
}

/// Until when the last word on my terminal counts, if it does.
async fn attested(visit: &Request, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Fault> {
    let person = &visit.signed_in()?.person.id;
    let given = visit.console.gate.store.attestations(person).await?;
    Ok(Attestation::in_force(&given, now).map(|last| last.expires_at))
}

#[derive(Template)]
#[template(path = "attestation.html")]
struct AttestationPage {
    frame: Frame,
    x: &'static evidence_texts::Texts,
    mine: Option<Terminal>,
    days: i64,
}

/// `GET /attestation`.
pub async fn attestation(visit: Visit) -> Result<Response, Fault> {
    let mine = evidence::terminals(&visit, [&visit.signed_in()?.person.id]).await?.pop();
    page::shown(&AttestationPage {
        frame: page::frame(&visit, visit.t().attestation),
        x: evidence_texts::Texts::of(visit.language),
        mine,
        days: ATTESTED_DAYS,
    })
}

/// `POST /attestation`.
pub async fn attest(visit: Visit) -> Result<Response, Fault> {
    let person = &visit.signed_in()?.person;
    if !(visit.form.ticked("patched") && visit.form.ticked("scanned")) {
        return Err(Fault::Invalid(visit.t().attestation_whole.into()));
    }
    let files = evidence::brought(&visit).await?;
    let now = Utc::now();
    let attestation = Attestation {
        person: person.id.clone(),
        made_at: now,
        expires_at: now + TimeDelta::days(ATTESTED_DAYS),
        patched: true,
        scanned: true,
        note: visit.form.one("note").to_owned(),
    };
    let told = |file: &NewEvidence| json!({ "name": file.name, "format": file.format, "size": file.bytes.len(), "sha256": file.sha256 });
    let evidence: Vec<_> = files.iter().map(told).collect();
    let event = Event {
        person: Some(person.id.clone()),
        vendor: person.vendor.clone(),
        ..visit.event(Kind::Attest, json!({ "attestation": attestation, "evidence": evidence }))?
    };
    visit.console.gate.store.add_attestation(&attestation, &files, event).await?;
    Ok(Redirect::to("/my-devices").into_response())
}
