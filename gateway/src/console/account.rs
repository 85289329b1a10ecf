//! Who I am, where I am signed in, and ending that; for administrators, everybody's sign-ins.

use super::fault::Fault;
use super::guard::LANGUAGE_COOKIE;
use super::page::{self, Frame};
use super::passkeys::{elsewhere, here};
use super::sign_in::next;
use super::ssh_keys;
use super::texts::joining::Texts;
use super::texts::passkeys;
use super::visit::{Request, Visit};
use crate::store::ConsoleSignIn;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Method;
use sekimori_policy::id::PersonId;
use serde_json::json;
use uuid::Uuid;

/// The most sign-ins on a page.
const MOST: u32 = 200;

struct Row {
    id: String,
    person: String,
    source: String,
    agent: String,
    since: String,
    seen: String,
    proved: String,
    /// With a recovery code: somebody lost their authenticator, or a sheet.
    recovery: bool,
    this: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    j: &'static Texts,
    recovery_left: usize,
    recovery_spent: Option<String>,
    recovery_used: bool,
    id: String,
    name: String,
    roles: String,
    vendor: Option<String>,
    rows: Vec<Row>,
    p: &'static passkeys::Texts,
    keys: Vec<ssh_keys::Row>,
    passkeys: Vec<PasskeyRow>,
    passkey: bool,
    elsewhere: Option<String>,
}

struct PasskeyRow {
    id: String,
    name: String,
    added: String,
    used: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_ins.html")]
struct SignInsPage {
    frame: Frame,
    j: &'static Texts,
    rows: Vec<Row>,
}

/// `GET /`: the first place of whoever comes.
pub async fn home(visit: Visit) -> Result<Response, Fault> {
    let first = page::frame(&visit, "").nav.into_iter().next().map_or("/account", |place| place.href);
    Ok(Redirect::to(first).into_response())
}

/// `GET /account`.
pub async fn account(visit: Visit) -> Result<Response, Fault> {
    let who = visit.signed_in()?;
    let person = &who.person;
    let rows = rows(&visit, Some(&person.id)).await?;
    let recovery = visit.console.gate.store.recovery_codes(&person.id).await?;
    let roles: Vec<_> = person.roles.iter().map(|role| role.label(visit.language)).collect();
    let passkeys = visit.console.gate.store.passkeys(&person.id).await?;
    let passkeys = passkeys.into_iter().map(|one| PasskeyRow {
        added: visit.show(one.added),
        used: one.used.map(|at| visit.show(at)),
        id: one.id,
        name: one.name,
    });
    let page = AccountPage {
        frame: page::frame(&visit, visit.t().account),
        j: Texts::of(visit.language),
        recovery_left: recovery.left,
        recovery_spent: recovery.last_spent.map(|at| visit.show(at)),
        recovery_used: who.sign_in.sign_in.methods.contains(&Method::RecoveryCode),
        id: person.id.to_string(),
        name: person.name.clone(),
        roles: roles.join(", "),
        vendor: person.vendor.as_ref().map(ToString::to_string),
        rows,
        p: passkeys::Texts::of(visit.language),
        keys: ssh_keys::rows(&visit, person).await?,
        passkeys: passkeys.collect(),
        passkey: here(&visit).is_some(),
        elsewhere: elsewhere(&visit),
    };
    Ok(page::scripted(StatusCode::OK, &page))
}

/// `GET /sign-ins`.
pub async fn sign_ins(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let rows = rows(&visit, None).await?;
    let j = Texts::of(visit.language);
    page::shown(&SignInsPage { frame: page::frame(&visit, visit.t().all_sign_ins), j, rows })
}

async fn rows(visit: &Request, person: Option<&PersonId>) -> Result<Vec<Row>, Fault> {
    let own = visit.signed_in()?.sign_in.sign_in.id;
    let gate = &visit.console.gate;
    let idle = TimeDelta::minutes(i64::from(gate.config().console.idle_minutes));
    let found: Vec<ConsoleSignIn> = gate.store.console_sign_ins(person, Utc::now() - idle, MOST).await?;
    let row = |one: ConsoleSignIn| Row {
        id: one.sign_in.id.to_string(),
        person: one.sign_in.person.to_string(),
        source: one.sign_in.source.to_string(),
        agent: one.agent,
        since: visit.show(one.sign_in.proved_at),
        seen: visit.show(one.seen),
        recovery: one.sign_in.methods.contains(&Method::RecoveryCode),
        proved: one.sign_in.methods.iter().map(|method| method.label(visit.language)).collect::<Vec<_>>().join(" + "),
        this: one.sign_in.id == own,
    };
    Ok(found.into_iter().map(row).collect())
}

/// `POST /account/sign-ins/{id}/end`: one of my own.
pub async fn end_own(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let own = visit.signed_in()?.person.id.clone();
    end(&visit, &id, Some(&own)).await?;
    Ok(Redirect::to("/account").into_response())
}

/// `POST /sign-ins/{id}/end`: anybody's.
pub async fn end_others(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    visit.demand_second_factor().await?;
    end(&visit, &id, None).await?;
    Ok(Redirect::to("/sign-ins").into_response())
}

async fn end(visit: &Request, id: &str, of: Option<&PersonId>) -> Result<(), Fault> {
    let id: Uuid = id.parse().map_err(|_| Fault::NotFound)?;
    let store = &visit.console.gate.store;
    let sign_in = store.sign_in(id).await?.filter(|sign_in| of.is_none_or(|of| sign_in.person == *of));
    let sign_in = sign_in.ok_or(Fault::NotFound)?;
    let event = Event {
        person: Some(sign_in.person),
        sign_in: Some(id),
        ..visit.event(Kind::SignInRevoked, json!({ "console": true }))?
    };
    Ok(store.revoke_sign_in(id, event).await?)
}

/// `POST /language`: the other language, for this browser.
pub async fn language(visit: Visit) -> Result<Response, Fault> {
    let tag = if visit.form.one("language") == "en" { "en" } else { "ja" };
    let cookie = format!("{LANGUAGE_COOKIE}={tag}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=31536000");
    Ok(([(SET_COOKIE, cookie)], Redirect::to(next(visit.form.one("next")))).into_response())
}
