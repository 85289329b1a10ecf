//! Passkeys in the browser: challenges, a sign-in with nothing else, adding and removing one's own, and the second
//! factor once more.

use super::fault::Fault;
use super::sign_in;
use super::texts::passkeys::Texts;
use super::visit::{Request, Visit};
use crate::people::passkey::{
    ALGORITHMS, Assertion, CHALLENGE_TIME, Here, PasskeyFault, Registration, RelyingParty, new_challenge,
};
use crate::people::proving::{Proving, Way};
use crate::registry::typed;
use crate::store::{Challenge, Passkey, StoreError};
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most passkeys of a person.
const MOST: usize = 20;
/// The most characters of what somebody calls one.
const NAME: usize = 60;
/// What an answer is for.
const SIGN_IN: &str = "sign-in";

/// This console as authenticators know it, where the browser has found it under that name.
pub fn here(visit: &Request) -> Option<Here> {
    let party = RelyingParty::of(&visit.console.gate.config().web_names())?;
    let origin = visit.origin.clone().filter(|origin| party.has(origin))?;
    Some(Here { party, origin })
}

/// Whether whoever has signed in could use a passkey here and now.
///
/// # Errors
/// When the database does not answer.
pub async fn usable(visit: &Request) -> Result<bool, Fault> {
    let known = visit.console.gate.store.passkeys(&visit.signed_in()?.person.id).await?;
    Ok(here(visit).is_some() && !known.is_empty())
}

/// Where passkeys work, for whoever came by another name.
pub fn elsewhere(visit: &Request) -> Option<String> {
    if here(visit).is_some() {
        return None;
    }
    let party = RelyingParty::of(&visit.console.gate.config().web_names())?;
    // On another machine that name leads nowhere.
    if party.id == "localhost" && !visit.source.address().is_loopback() {
        return None;
    }
    let port = visit.origin.as_deref().and_then(|origin| origin.rsplit_once(':')).map(|(_, port)| port);
    let port = port.filter(|port| port.parse::<u16>().is_ok());
    Some(port.map_or_else(|| format!("https://{}/", party.id), |port| format!("https://{}:{port}/", party.id)))
}

/// `POST /sign-in/passkey/challenge`.
pub async fn challenge_to_sign_in(visit: Visit) -> Result<Response, Fault> {
    challenge(&visit, SIGN_IN, |_| json!({})).await
}

/// `POST /account/passkeys/challenge`: for a new passkey of one's own.
pub async fn challenge_to_add(visit: Visit) -> Result<Response, Fault> {
    let who = visit.signed_in()?;
    let known = visit.console.gate.store.passkeys(&who.person.id).await?;
    let handle = known.first().map_or_else(Uuid::now_v7, |passkey| passkey.handle);
    let purpose = format!("add {} {handle}", who.sign_in.sign_in.id);
    challenge(&visit, &purpose, |hospital| {
        json!({
            "hospital": hospital, "handle": handle.simple().to_string(), "person": who.person.id,
            "name": who.person.name, "algorithms": ALGORITHMS,
            "known": known.iter().map(|passkey| passkey.id.as_str()).collect::<Vec<_>>(),
        })
    })
    .await
}

/// `POST /account/passkeys/again`: for the second factor once more.
pub async fn challenge_again(visit: Visit) -> Result<Response, Fault> {
    let who = visit.signed_in()?;
    let known = visit.console.gate.store.passkeys(&who.person.id).await?;
    let known: Vec<_> = known.iter().map(|passkey| passkey.id.clone()).collect();
    challenge(&visit, &again(who.sign_in.sign_in.id), |_| json!({ "known": known })).await
}

fn again(sign_in: Uuid) -> String {
    format!("again {sign_in}")
}

/// A challenge that waits for its answer from here, and what else a browser needs to ask an authenticator.
async fn challenge(visit: &Request, purpose: &str, more: impl Fn(&str) -> Value) -> Result<Response, Fault> {
    let here = here(visit).ok_or(Fault::NotFound)?;
    let gate = &visit.console.gate;
    let (challenge, id) = new_challenge()?;
    let now = Utc::now();
    let open = Challenge { id: &id, purpose, source: visit.source, expires: now + CHALLENGE_TIME };
    if !gate.store.open_challenge(&open, now).await? {
        return Err(Fault::TooMuch);
    }
    let mut answer = more(&gate.config().hospital.name);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("challenge".into(), json!(*challenge));
        fields.insert("party".into(), json!(here.party.id));
        fields.insert("milliseconds".into(), json!(CHALLENGE_TIME.num_milliseconds()));
    }
    Ok(([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response())
}

/// `POST /sign-in/passkey`.
pub async fn sign_in(visit: Visit) -> Result<Response, Fault> {
    let next = sign_in::next(visit.form.one("next")).to_owned();
    let mut proving = Proving::new(visit.console.gate.clone(), visit.source, Way::Console);
    let answer = assertion(&visit);
    let here = here(&visit).ok_or(Fault::NotFound)?;
    let proved = Box::pin(proving.judge_passkey(&here, answer, SIGN_IN, None)).await?;
    let Some((person, passkey)) = proved else { return Ok(sign_in::refused(&visit, "", &next)) };
    let event = proving.event(&person, Kind::SignIn);
    let methods = BTreeSet::from([Method::Passkey]);
    Box::pin(sign_in::signed_in(&visit, person, methods, Some(&passkey), event, &next)).await
}

fn assertion(visit: &Request) -> Result<Assertion, PasskeyFault> {
    let part = |name| visit.form.one(name);
    Assertion::parse(
        part("passkey_id"),
        part("passkey_client"),
        part("passkey_authenticator"),
        part("passkey_signature"),
    )
}

/// Whether the form carries an answer of a passkey of whoever has signed in, for an act that asks for one. `None`: it
/// carries none.
///
/// # Errors
/// When the database does not answer.
pub async fn proved_again(visit: &Request) -> Result<Option<bool>, Fault> {
    if visit.form.one("passkey_id").is_empty() {
        return Ok(None);
    }
    let (who, Some(here)) = (visit.signed_in()?, here(visit)) else { return Ok(Some(false)) };
    let mut proving = Proving::new(visit.console.gate.clone(), visit.source, Way::Console);
    let purpose = again(who.sign_in.sign_in.id);
    let judged = proving.judge_passkey(&here, assertion(visit), &purpose, Some(&who.person.id));
    Ok(Some(Box::pin(judged).await?.is_some()))
}

/// `POST /account/passkeys`: a new one of one's own.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    visit.demand_second_factor().await?;
    let p = Texts::of(visit.language);
    let (who, here) = (visit.signed_in()?, here(&visit).ok_or(Fault::NotFound)?);
    let store = &visit.console.gate.store;
    let name = visit.form.one("name");
    if name.is_empty() || typed::line("name", name, NAME).is_some() {
        return Err(Fault::Invalid(p.name_missing.into()));
    }
    let known = store.passkeys(&who.person.id).await?;
    if known.len() >= MOST {
        return Err(Fault::Invalid(p.too_many.into()));
    }
    let part = |name| visit.form.one(name);
    let handle: Uuid = part("new_handle").parse().map_err(|_| Fault::Invalid(p.not_taken.into()))?;
    let purpose = format!("add {} {handle}", who.sign_in.sign_in.id);
    let refused = |why: PasskeyFault| Fault::Invalid(format!("{} ({why})", p.not_taken));
    let new = Registration::parse(part("new_client"), part("new_authenticator")).map_err(refused)?;
    let now = Utc::now();
    if !store.spend_challenge(&new.challenge().map_err(refused)?, &purpose, visit.source, now).await? {
        return Err(refused(PasskeyFault::Challenge));
    }
    let made = new.check(&here).map_err(refused)?;
    let detail = json!({ "passkey": made.id, "name": name, "algorithm": made.algorithm });
    let event = own(&visit, Kind::PasskeyAdd, detail)?;
    let (person, name) = (who.person.id.clone(), name.to_owned());
    let new = Passkey { id: made.id, person, handle, name, key: made.key, added: event.at, used: None };
    match store.add_passkey(&new, event).await {
        Err(StoreError::Exists { .. }) => Err(Fault::Invalid(p.known_already.into())),
        other => {
            other?;
            Ok(Redirect::to("/account").into_response())
        }
    }
}

/// `POST /account/passkeys/{id}/remove`.
pub async fn remove(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.demand_second_factor().await?;
    let event = own(&visit, Kind::PasskeyRemove, json!({ "passkey": id }))?;
    visit.console.gate.store.remove_passkey(&visit.signed_in()?.person.id, &id, event).await?;
    Ok(Redirect::to("/account").into_response())
}

/// An event about whoever has signed in.
fn own(visit: &Request, kind: Kind, detail: Value) -> Result<Event, Fault> {
    let person = &visit.signed_in()?.person;
    Ok(Event { person: Some(person.id.clone()), vendor: person.vendor.clone(), ..visit.event(kind, detail)? })
}
