//! Acts on people: one human, one ID. What proves them is theirs to choose; the hospital only takes it away.

use super::typed::{ENTRIES, LINE, line, name};
use super::{Flaw, Problem, RegistryFault, Switch, sound, unchanged};
use crate::store::{Store, StoreError};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::{Act, check_person, may};
use sekimori_policy::facts::Person;
use sekimori_policy::id::PersonId;
use serde_json::json;

/// Adds a person, without any factor yet. The event names actor and source; the rest is filled in.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field.
pub async fn add(store: &Store, by: &Person, person: &Person, event: Event) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManagePeople)?;
    sound(flaws(person))?;
    let detail = json!({ "person": person });
    let event = Event { kind: Kind::PersonAdd, detail, ..about(person, event) };
    match store.add_person(person, event).await {
        Err(StoreError::Exists { id, .. }) => sound(vec![Flaw::new("id", Problem::Taken(id))]),
        other => placed("roles", other.map_err(RegistryFault::from)),
    }
}

/// Changes what is said of a person; their status has acts of its own.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field; [`RegistryFault::Changed`] where they are not what was `seen` any more.
pub async fn change(
    store: &Store,
    by: &Person,
    id: &PersonId,
    seen: Option<&str>,
    event: Event,
    edit: impl FnOnce(&mut Person) + Send,
) -> Result<Person, RegistryFault> {
    let _authority = may(by, Act::ManagePeople)?;
    let changing = |person: &mut Person, event: &mut Event| {
        unchanged(id, person, seen)?;
        let before = person.clone();
        edit(person);
        sound(flaws(person))?;
        let detail = json!({ "change": "change", "before": before, "after": person });
        *event = Event { kind: Kind::PersonChange, detail, ..about(&before, event.clone()) };
        Ok(())
    };
    placed("roles", store.update_person(id, event, changing).await)
}

/// Suspends, resumes or retires a person.
///
/// # Errors
/// As [`change`].
pub async fn switch(
    store: &Store,
    by: &Person,
    id: &PersonId,
    (to, reason): (Switch, &str),
    event: Event,
) -> Result<Person, RegistryFault> {
    let _authority = may(by, Act::ManagePeople)?;
    sound(line("reason", reason, LINE).into_iter().collect())?;
    let switching = |person: &mut Person, event: &mut Event| {
        to.check(id, person.status)?;
        let before = person.clone();
        person.status = to.status();
        let detail = json!({ "change": to.code(), "reason": reason, "before": before, "after": person });
        *event = Event { kind: Kind::PersonChange, detail, ..about(&before, event.clone()) };
        Ok(())
    };
    placed("to", store.update_person(id, event, switching).await)
}

/// Takes every factor away and ends every sign-in: for a lost telephone. The event says what there was, as of a moment
/// before; no secret.
///
/// # Errors
/// [`RegistryFault`].
pub async fn reset_factors(
    store: &Store,
    by: &Person,
    person: &Person,
    reason: &str,
    event: Event,
) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageCredentials)?;
    sound(name("reason", reason).or_else(|| line("reason", reason, LINE)).into_iter().collect())?;
    let factors = store.factors_listing(&person.id).await?;
    let keys: Vec<String> = store.keys(&person.id).await?.into_iter().map(|key| key.fingerprint).collect();
    let passkeys: Vec<String> = store.passkeys(&person.id).await?.into_iter().map(|passkey| passkey.id).collect();
    let before = json!({ "password": factors.password, "totp": factors.totp, "keys": keys, "passkeys": passkeys });
    let after = json!({ "password": false, "totp": false, "keys": [], "passkeys": [] });
    let detail = json!({ "change": "reset-factors", "reason": reason, "before": before, "after": after });
    let event = Event { kind: Kind::PersonChange, detail, ..about(person, event) };
    Ok(store.reset_factors(&person.id, event).await?)
}

/// Forgives failed sign-ins: the hospital has made sure who it is.
///
/// # Errors
/// [`RegistryFault`].
pub async fn unlock(store: &Store, by: &Person, person: &Person, event: Event) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageCredentials)?;
    let failures = store.failures(&person.id).await?;
    let detail = json!({ "change": "unlock", "before": { "failures": failures }, "after": { "failures": 0 } });
    let event = Event { kind: Kind::PersonChange, detail, ..about(person, event) };
    Ok(store.forgive_failures(&person.id, event).await?)
}

fn about(person: &Person, event: Event) -> Event {
    Event { person: Some(person.id.clone()), vendor: person.vendor.clone(), ..event }
}

/// What the database alone knows, put where it was typed.
fn placed<T>(roles: &'static str, done: Result<T, RegistryFault>) -> Result<T, RegistryFault> {
    let Err(RegistryFault::Store(fault)) = done else { return done };
    let flaw = match *fault {
        StoreError::Unknown { what: "vendor", id } => Flaw::new("vendor", Problem::Unknown(id)),
        StoreError::LastAdministrator { person } => Flaw::new(roles, Problem::LastAdministrator(person)),
        other => return Err(other.into()),
    };
    Err(RegistryFault::Flaws(vec![flaw]))
}

/// What is wrong with a person as they would be kept.
fn flaws(person: &Person) -> Vec<Flaw> {
    let many = (person.sources.len() > ENTRIES).then(|| Flaw::new("sources", Problem::TooMany { most: ENTRIES }));
    let roles = check_person(person).err().map(|refusal| Flaw::new("roles", Problem::Refused(refusal)));
    [name("name", &person.name), many, roles].into_iter().flatten().collect()
}
