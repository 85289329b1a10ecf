//! A person's page: roles or vendor, networks, which factors they have, where they are signed in; and the acts on them:
//! switching off and on, taking factors away, ending sign-ins. The forms that add and change are in `person_forms`.

use super::fault::Fault;
use super::invite;
use super::page::{self, Frame};
use super::registry_texts;
use super::texts::joining::Texts as Joining;
use super::texts::passkeys::Texts as Passkeys;
use super::vendors::{status, switching};
use super::visit::{Request, Visit};
use crate::registry::people;
use crate::store::{SessionPage, SignIn};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Attestation, Language, Person, Status};
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use uuid::Uuid;

/// The most sign-ins, of each kind, and sessions.
const MOST: u32 = 20;

struct SignInRow {
    id: String,
    how: &'static str,
    source: String,
    agent: String,
    since: String,
    until: String,
    this: bool,
}

struct SessionRow {
    device: String,
    work: String,
    opened: String,
    end: String,
}

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    frame: Frame,
    r: &'static registry_texts::Texts,
    j: &'static Joining,
    p: &'static Passkeys,
    id: String,
    status: (&'static str, &'static str),
    suspended: bool,
    vendor: Option<String>,
    roles: String,
    language: &'static str,
    mail: Option<String>,
    sources: Vec<String>,
    attested: Option<String>,
    password: bool,
    totp: bool,
    keys: Vec<String>,
    recovery: usize,
    passkeys: Vec<String>,
    failures: u32,
    sign_ins: Vec<SignInRow>,
    sessions: Vec<SessionRow>,
    may_change: bool,
    may_invite: bool,
    may_manage_credentials: bool,
}

/// `GET /people/{id}`.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let person = known(&visit, &id).await?;
    let store = &visit.console.gate.store;
    let given = store.attestations(&person.id).await?;
    let roles: Vec<_> = person.roles.iter().map(|role| role.label(visit.language)).collect();
    let factors = store.factors_listing(&person.id).await?;
    page::shown(&PersonPage {
        frame: page::frame(&visit, &person.name),
        r: visit.r(),
        j: Joining::of(visit.language),
        p: Passkeys::of(visit.language),
        status: status(&visit, person.status),
        suspended: person.status == Status::Suspended,
        vendor: person.vendor.as_ref().map(ToString::to_string),
        roles: roles.join(", "),
        language: match person.language {
            Language::Ja => visit.r().japanese,
            Language::En => visit.r().english,
        },
        mail: person.mail.as_ref().map(ToString::to_string),
        sources: person.sources.iter().map(ToString::to_string).collect(),
        attested: Attestation::in_force(&given, Utc::now()).map(|last| visit.show(last.expires_at)),
        password: factors.password,
        totp: factors.totp,
        keys: store.keys(&person.id).await?.into_iter().map(|key| key.fingerprint).collect(),
        passkeys: store.passkeys(&person.id).await?.into_iter().map(|passkey| passkey.name).collect(),
        recovery: store.recovery_codes(&person.id).await?.left,
        failures: store.failures(&person.id).await?,
        sign_ins: sign_ins(&visit, &person.id).await?,
        sessions: sessions(&visit, &person.id).await?,
        may_change: person.status != Status::Retired && visit.authority(Act::ManagePeople).is_ok(),
        may_invite: person.status == Status::Active && visit.authority(Act::ManagePeople).is_ok(),
        may_manage_credentials: visit.authority(Act::ManageCredentials).is_ok(),
        id: person.id.to_string(),
    })
}

/// A person who is registered.
pub async fn known(visit: &Request, id: &str) -> Result<Person, Fault> {
    let id: PersonId = id.parse().map_err(|_| Fault::NotFound)?;
    visit.console.gate.store.person(&id).await?.ok_or(Fault::NotFound)
}

/// Those of the console, then those that certificates carry.
async fn sign_ins(visit: &Request, person: &PersonId) -> Result<Vec<SignInRow>, Fault> {
    let (gate, r) = (&visit.console.gate, visit.r());
    let own = visit.signed_in()?.sign_in.sign_in.id;
    let now = Utc::now();
    let idle = TimeDelta::minutes(i64::from(gate.config().console.idle_minutes));
    let row = |sign_in: SignIn, how, agent, until: String| SignInRow {
        id: sign_in.id.to_string(),
        how,
        source: sign_in.source.to_string(),
        agent,
        since: visit.show(sign_in.proved_at),
        until,
        this: sign_in.id == own,
    };
    let mut rows = Vec::new();
    for one in gate.store.console_sign_ins(Some(person), now - idle, MOST).await? {
        let until = visit.show(one.seen + idle);
        rows.push(row(one.sign_in, r.in_browser, one.agent, until));
    }
    for one in gate.store.carried_sign_ins_of(person, now, MOST).await? {
        let (key, until) = (one.key_fingerprint.clone().unwrap_or_default(), one.expires);
        rows.push(row(one, r.by_certificate, key, until.map_or_else(String::new, |at| visit.show(at))));
    }
    Ok(rows)
}

async fn sessions(visit: &Request, person: &PersonId) -> Result<Vec<SessionRow>, Fault> {
    let wanted = SessionPage { person: Some(person.clone()), limit: MOST / 2, ..SessionPage::default() };
    let rows = visit.console.gate.store.session_page(&wanted).await?;
    let row = |row: crate::store::SessionRow| SessionRow {
        device: row.opening.device.to_string(),
        work: row.opening.work.to_string(),
        opened: visit.show(row.opening.opened),
        end: row.closing.map_or_else(|| visit.t().live_now.to_owned(), |end| end.code),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// `POST /people/{id}/switch`: to shut is never held up; to open again asks for the second factor.
pub async fn switch(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let person = known(&visit, &id).await?;
    let (to, reason) = switching(&visit).await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::PersonChange, Value::Null)?;
    people::switch(&visit.console.gate.store, by, &person.id, (to, &reason), event).await?;
    back(&id)
}

/// `POST /people/{id}/reset-factors`: password, authenticator, keys and sign-ins go, with a reason. Who may come back is
/// invited anew in the same step.
pub async fn reset_factors(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let person = known(&visit, &id).await?;
    let reason = visit.form.one("reason");
    if reason.is_empty() {
        return Err(Fault::Invalid(visit.t().words_missing.into()));
    }
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::PersonChange, Value::Null)?;
    people::reset_factors(&visit.console.gate.store, by, &person, reason, event).await?;
    if person.status != Status::Active || visit.authority(Act::ManagePeople).is_err() {
        return back(&id);
    }
    invite::make(&visit, &person).await
}

/// `POST /people/{id}/unlock`: failed sign-ins are forgiven.
pub async fn unlock(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let person = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::PersonChange, Value::Null)?;
    people::unlock(&visit.console.gate.store, by, &person, event).await?;
    back(&id)
}

/// `POST /people/{id}/end-sign-in`: one of theirs, of the console or carried.
pub async fn end_sign_in(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let person = known(&visit, &id).await?;
    let store = &visit.console.gate.store;
    let wanted: Uuid = visit.form.one("sign_in").parse().map_err(|_| Fault::NotFound)?;
    let sign_in = store.sign_in(wanted).await?.filter(|sign_in| sign_in.person == person.id).ok_or(Fault::NotFound)?;
    visit.demand_second_factor().await?;
    let detail = json!({ "console": sign_in.certificate_serial.is_none() });
    let event = Event {
        person: Some(person.id),
        vendor: person.vendor,
        sign_in: Some(wanted),
        ..visit.event(Kind::SignInRevoked, detail)?
    };
    store.revoke_sign_in(wanted, event).await?;
    back(&id)
}

fn back(id: &str) -> Result<Response, Fault> {
    Ok(Redirect::to(&format!("/people/{id}")).into_response())
}
