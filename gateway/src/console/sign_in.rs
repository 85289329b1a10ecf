//! Signing in and out. All three fields are asked for at once, and one answer is given to everything that is wrong with
//! them, as with SSH.

use super::fault::Fault;
use super::guard::COOKIE_NAME;
use super::page::{self, Frame};
use super::passkeys::{elsewhere, here};
use super::texts::joining::Texts;
use super::texts::passkeys;
use super::visit::Visit;
use crate::people::proving::{Answers, Proving, Way};
use crate::people::token;
use crate::store::{Passkey, SignIn, stands_on};
use askama::Template;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{Method, Person};
use sekimori_policy::id::PersonId;
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;
use zeroize::Zeroizing;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    j: &'static Texts,
    p: &'static passkeys::Texts,
    /// Whether passkeys work at this address, and where they do.
    passkey: bool,
    elsewhere: Option<String>,
    /// Whether it asks for a recovery code in place of one of the authenticator's.
    recovery: bool,
    failed: bool,
    person: String,
    next: String,
    source: String,
}

impl SignInPage {
    fn new(visit: &Visit, failed: bool, person: &str, next: &str) -> Self {
        let frame = page::frame(visit, visit.t().sign_in);
        let recovery = visit.form.ticked("recovery") || visit.query.ticked("recovery");
        Self {
            j: Texts::of(visit.language),
            p: passkeys::Texts::of(visit.language),
            passkey: here(visit).is_some(),
            elsewhere: elsewhere(visit),
            recovery,
            frame,
            failed,
            person: person.into(),
            next: next.into(),
            source: visit.source.to_string(),
        }
    }
}

/// `GET /sign-in`.
pub async fn form(visit: Visit) -> Result<Response, Fault> {
    let page = SignInPage::new(&visit, false, "", next(visit.query.one("next")));
    Ok(page::scripted(StatusCode::OK, &page))
}

/// `POST /sign-in`.
pub async fn sign_in(visit: Visit) -> Result<Response, Fault> {
    let (typed, next) = (visit.form.one("person"), next(visit.form.one("next")));
    let id = typed.parse::<PersonId>().ok();
    let answers = Answers {
        password: Zeroizing::new(visit.form.one("password").to_owned()),
        code: Some(Zeroizing::new(visit.form.one("code").to_owned())),
        key: false,
    };
    let mut proving = Proving::new(visit.console.gate.clone(), visit.source, Way::Console);
    let proved = Box::pin(proving.judge(id.as_ref(), typed, answers)).await?;
    let Some((person, methods)) = proved else { return Ok(refused(&visit, typed, next)) };
    // Whoever signs in with a recovery code is told so first.
    let next = if methods.contains(&Method::RecoveryCode) { "/account" } else { next };
    let event = proving.event(&person, Kind::SignIn);
    Box::pin(signed_in(&visit, person, methods, None, event, next)).await
}

/// The form once more: what was wrong is not said.
pub fn refused(visit: &Visit, typed: &str, next: &str) -> Response {
    page::scripted(StatusCode::UNAUTHORIZED, &SignInPage::new(visit, true, typed, next))
}

/// Signs somebody in who has proved who they are, with this passkey if it was one.
pub async fn signed_in(
    visit: &Visit,
    person: Person,
    methods: BTreeSet<Method>,
    passkey: Option<&Passkey>,
    event: Event,
    next: &str,
) -> Result<Response, Fault> {
    let token = open(visit, person, methods, passkey, event).await?;
    let cookie = format!("{COOKIE_NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax", *token);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// Writes the sign-in down; the token is with the browser alone.
async fn open(
    visit: &Visit,
    person: Person,
    methods: BTreeSet<Method>,
    passkey: Option<&Passkey>,
    event: Event,
) -> Result<Zeroizing<String>, Fault> {
    let token = token::random()?;
    let id = Uuid::now_v7();
    let sign_in = SignIn {
        id,
        person: person.id,
        source: visit.source,
        methods: methods.clone(),
        proved_at: event.at,
        key_fingerprint: passkey.map(|passkey| stands_on(&passkey.id)),
        certificate_serial: None,
        expires: None,
        revoked: None,
    };
    let mut detail = json!({ "factors": methods, "console": true, "agent": visit.agent });
    if let (Some(passkey), Some(fields)) = (passkey, detail.as_object_mut()) {
        fields.insert("passkey".into(), json!(passkey.id));
    }
    let event = Event { sign_in: Some(id), detail, ..event };
    let store = &visit.console.gate.store;
    store.open_console_sign_in(&sign_in, &token::hash("sign-in", &token), &visit.agent, event).await?;
    Ok(token)
}

/// `POST /sign-out`.
pub async fn sign_out(visit: Visit) -> Result<Response, Fault> {
    let who = visit.signed_in()?;
    let event = Event {
        person: Some(who.person.id.clone()),
        ..visit.event(Kind::SignInRevoked, json!({ "console": true, "by": "sign-out" }))?
    };
    visit.console.gate.store.revoke_sign_in(who.sign_in.sign_in.id, event).await?;
    let cookie = format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

/// A path of ours to go on to: whatever else somebody put into a link leads to the first page.
pub fn next(asked: &str) -> &str {
    let ours = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains(['\\', '\r', '\n', '\t']);
    if ours && asked.len() <= 2000 { asked } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_no_other_site() {
        assert_eq!(next("/works/w-1?x=1"), "/works/w-1?x=1");
        for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", "", "javascript:x", "/\t/evil"]
        {
            assert_eq!(next(elsewhere), "/", "{elsewhere}");
        }
    }
}
