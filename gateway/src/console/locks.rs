//! Incident locks (非常時遮断): keeping everyone, a vendor, a person or a device out, and letting them in again.

use super::fault::Fault;
use super::page::{self, Frame};
use super::visit::{Request, Visit};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Lock, LockScope};
use serde_json::json;

struct Row {
    id: String,
    scope: String,
    from: String,
    until: String,
    reason: String,
    in_force: bool,
}

#[derive(Template)]
#[template(path = "locks.html")]
struct LocksPage {
    frame: Frame,
    rows: Vec<Row>,
    may_set: bool,
    may_lift: bool,
}

/// `GET /locks`: those in force first.
pub async fn locks(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let now = Utc::now();
    let t = visit.t();
    let mut rows: Vec<Row> = Vec::new();
    for record in visit.console.gate.store.locks().await?.into_iter().rev() {
        let until = record.lifted.or(record.lock.until);
        rows.push(Row {
            id: record.id.to_string(),
            scope: match &record.lock.scope {
                LockScope::Everyone => t.everyone.to_owned(),
                LockScope::Vendor(id) => format!("{} {id}", t.vendor),
                LockScope::Person(id) => format!("{} {id}", t.person),
                LockScope::Device(id) => format!("{} {id}", t.device),
            },
            from: visit.show(record.lock.from),
            until: until.map_or_else(|| t.until_lifted.to_owned(), |at| visit.show(at)),
            reason: record.lock.reason,
            in_force: record.lifted.is_none() && record.lock.until.is_none_or(|until| until > now),
        });
    }
    rows.sort_by_key(|row| !row.in_force);
    rows.truncate(100);
    page::shown(&LocksPage {
        frame: page::frame(&visit, t.locks),
        rows,
        may_set: visit.authority(Act::SetLock).is_ok(),
        may_lift: visit.authority(Act::LiftLock).is_ok(),
    })
}

/// `POST /locks`: from now on, until somebody lifts it. For everyone with the second factor.
pub async fn set(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::SetLock)?;
    let (scope, reason) = (scope(&visit).await?, visit.form.one("reason"));
    if reason.is_empty() {
        return Err(Fault::Invalid(visit.t().words_missing.into()));
    }
    if scope == LockScope::Everyone {
        visit.demand_second_factor().await?;
    }
    let (vendor, person, device) = match &scope {
        LockScope::Everyone => (None, None, None),
        LockScope::Vendor(vendor) => (Some(vendor.clone()), None, None),
        LockScope::Person(person) => (None, Some(person.clone()), None),
        LockScope::Device(device) => (None, None, Some(device.clone())),
    };
    let lock = Lock { scope, from: Utc::now(), until: None, reason: reason.to_owned(), except: None };
    let event = Event { vendor, person, device, ..visit.event(Kind::LockSet, json!({ "lock": lock }))? };
    visit.console.gate.store.set_lock(&lock, event).await?;
    Ok(Redirect::to("/locks").into_response())
}

/// Whom it is for. A lock with a typing error in it would keep nobody out, and everybody would believe that it did.
async fn scope(visit: &Request) -> Result<LockScope, Fault> {
    let (store, whom) = (&visit.console.gate.store, visit.form.one("whom"));
    let unknown = || Fault::Invalid(format!("{whom}: {}", visit.t().nobody_of_that_name));
    match visit.form.one("scope") {
        "everyone" => Ok(LockScope::Everyone),
        "vendor" => {
            let id = whom.parse().map_err(|_| unknown())?;
            store.vendor(&id).await?.map(|_| LockScope::Vendor(id)).ok_or_else(unknown)
        }
        "person" => {
            let id = whom.parse().map_err(|_| unknown())?;
            store.person(&id).await?.map(|_| LockScope::Person(id)).ok_or_else(unknown)
        }
        "device" => {
            let id = whom.parse().map_err(|_| unknown())?;
            store.device(&id).await?.map(|_| LockScope::Device(id)).ok_or_else(unknown)
        }
        _ => Err(unknown()),
    }
}

/// `POST /locks/{id}/lift`: to open again is a decision, with the second factor.
pub async fn lift(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::LiftLock)?;
    let id: uuid::Uuid = id.parse().map_err(|_| Fault::NotFound)?;
    visit.demand_second_factor().await?;
    let event = visit.event(Kind::LockLift, json!({ "lock": id }))?;
    visit.console.gate.store.lift_lock(id, event).await?;
    Ok(Redirect::to("/locks").into_response())
}
