//! SSH keys in the browser: adding and removing one's own, and taking somebody's away whose laptop is gone.

use super::fault::Fault;
use super::people::known;
use super::texts::joining::Texts;
use super::visit::{Request, Visit};
use crate::store::StoreError;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use russh::keys::ssh_key::{HashAlg, PublicKey};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Person;
use serde_json::json;

/// A public key's line is far shorter.
const BYTES: usize = 16 << 10;
/// The most keys of a person.
const MOST: usize = 20;

/// A key, as pages show it.
pub struct Row {
    /// What it is known by.
    pub fingerprint: String,
    /// What its maker wrote behind it.
    pub comment: String,
    /// When it was added.
    pub added: String,
}

/// The keys of a person.
///
/// # Errors
/// The database's own failure.
pub async fn rows(visit: &Request, person: &Person) -> Result<Vec<Row>, Fault> {
    let keys = visit.console.gate.store.keys(&person.id).await?;
    let rows = keys.into_iter().map(|key| Row {
        comment: key.public_key.splitn(3, ' ').nth(2).unwrap_or_default().to_owned(),
        added: visit.show(key.added),
        fingerprint: key.fingerprint,
    });
    Ok(rows.collect())
}

/// The line and the fingerprint of a key that was typed.
///
/// # Errors
/// What is wrong with it.
pub fn typed(text: &str, j: &'static Texts) -> Result<(String, String), &'static str> {
    if text.is_empty() {
        return Err(j.key_missing);
    }
    if text.contains("PRIVATE KEY") {
        return Err(j.key_private);
    }
    let key = Some(text).filter(|text| text.len() <= BYTES).and_then(|text| PublicKey::from_openssh(text).ok());
    let line = key.as_ref().and_then(|key| key.to_openssh().ok());
    match (key, line) {
        (Some(key), Some(line)) => Ok((line, key.fingerprint(HashAlg::Sha256).to_string())),
        _ => Err(j.key_unreadable),
    }
}

/// `POST /account/ssh-keys`: a new one of one's own.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    let j = Texts::of(visit.language);
    let person = &visit.signed_in()?.person;
    let (line, fingerprint) = typed(visit.form.one("ssh_key"), j).map_err(|why| Fault::Invalid(why.to_owned()))?;
    let store = &visit.console.gate.store;
    if store.keys(&person.id).await?.len() >= MOST {
        return Err(Fault::Invalid(j.keys_too_many.to_owned()));
    }
    visit.demand_second_factor().await?;
    let event = event(&visit, person, Kind::KeyAdd, &fingerprint)?;
    match store.add_key(&person.id, &line, &fingerprint, event).await {
        Err(StoreError::Exists { .. }) => Err(Fault::Invalid(j.key_taken.to_owned())),
        other => {
            other?;
            Ok(Redirect::to("/account").into_response())
        }
    }
}

/// `POST /account/ssh-keys/remove`: one of one's own; what it carried ends.
pub async fn remove(visit: Visit) -> Result<Response, Fault> {
    let person = &visit.signed_in()?.person;
    visit.demand_second_factor().await?;
    take_away(&visit, person).await?;
    Ok(Redirect::to("/account").into_response())
}

/// `POST /people/{id}/remove-key`: somebody's.
pub async fn remove_others(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let person = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    take_away(&visit, &person).await?;
    Ok(Redirect::to(&format!("/people/{id}")).into_response())
}

async fn take_away(visit: &Request, person: &Person) -> Result<(), Fault> {
    let fingerprint = visit.form.one("fingerprint");
    let event = event(visit, person, Kind::KeyRemove, fingerprint)?;
    Ok(visit.console.gate.store.remove_key(&person.id, fingerprint, event).await?)
}

fn event(visit: &Request, person: &Person, kind: Kind, fingerprint: &str) -> Result<Event, Fault> {
    let about = visit.event(kind, json!({ "key": fingerprint }))?;
    Ok(Event { person: Some(person.id.clone()), vendor: person.vendor.clone(), ..about })
}
