//! What is done with a piece of work: its forms. Who may, and what follows, is the policy's to say; here the form is
//! read, and nothing is decided that its sender did not see.

use super::fault::Fault;
use super::visit::{Request, Visit};
use super::works::{EMERGENCY, known, local_time};
use crate::work::{self, WorkFault};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeZone, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::work::{Transition, Work};
use serde_json::Value;

/// `POST /works/{id}/approve`.
pub async fn approve(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let attendance = visit.form.ticked("attendance");
    decide(&visit, &id, Transition::Approve { attendance }).await
}

/// `POST /works/{id}/reject`.
pub async fn reject(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::Reject { reason: words(&visit)? }).await
}

/// `POST /works/{id}/approve-after`.
pub async fn approve_after(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    decide(&visit, &id, Transition::ApproveRetrospectively).await
}

/// `POST /works/{id}/reject-after`.
pub async fn reject_after(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::RejectRetrospectively { reason: words(&visit)? }).await
}

/// `POST /works/{id}/emergency`: opened before its approval, which has to follow.
pub async fn emergency(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let (reason, deadline) = (words(&visit)?, Utc::now() + EMERGENCY);
    decide(&visit, &id, Transition::OpenEmergency { reason, deadline }).await
}

/// `POST /works/{id}/extend`.
pub async fn extend(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let zone = Box::pin(known(&visit, &id)).await?.request().window.zone();
    let typed = visit.form.one("until");
    let local = local_time(typed).ok_or_else(|| Fault::Invalid(format!("{typed}: {}", visit.t().no_time)))?;
    let until = zone.from_local_datetime(&local).latest().ok_or_else(|| Fault::Invalid(visit.t().no_time.into()))?;
    decide(&visit, &id, Transition::Extend { until: until.to_utc() }).await
}

/// `POST /works/{id}/cut-off`.
pub async fn cut_off(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::CutOff { reason: words(&visit)? }).await
}

/// `POST /works/{id}/withdraw`.
pub async fn withdraw(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::Withdraw).await
}

/// `POST /works/{id}/report`.
pub async fn report(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let which = visit.form.one("which");
    let personal_data = match visit.form.one("personal_data") {
        "no" => None,
        "yes" if !which.is_empty() => Some(which.to_owned()),
        _ => return Err(Fault::Invalid(visit.t().personal_data_unsaid.into())),
    };
    let files = visit.form.one("files").split([',', '、', '\n']).map(str::trim).filter(|name| !name.is_empty());
    let files = files.map(ToOwned::to_owned).collect();
    act(&visit, &id, Transition::Report { text: words(&visit)?, personal_data, files }).await
}

/// `POST /works/{id}/confirm`.
pub async fn confirm(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::Confirm { comment: words(&visit)? }).await
}

/// `POST /works/{id}/send-back`.
pub async fn send_back(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    act(&visit, &id, Transition::SendBack { comment: words(&visit)? }).await
}

/// The hospital's consent: with the second factor.
async fn decide(visit: &Request, id: &str, transition: Transition) -> Result<Response, Fault> {
    // Found first: nobody types a code for something that is not there.
    Box::pin(seen(visit, id)).await?;
    visit.demand_second_factor().await?;
    act(visit, id, transition).await
}

async fn act(visit: &Request, id: &str, transition: Transition) -> Result<Response, Fault> {
    let work = Box::pin(seen(visit, id)).await?;
    let event = visit.event(Kind::Work, Value::Null)?;
    let person = &visit.signed_in()?.person;
    Box::pin(work::apply(&visit.console.gate.store, &work, transition, person, event)).await?;
    Ok(Redirect::to(&format!("/works/{id}")).into_response())
}

/// The work as it was when its page was made: what somebody else changed since is not decided unseen.
async fn seen(visit: &Request, id: &str) -> Result<Work, Fault> {
    let work = known(visit, id).await?;
    if visit.form.one("revision") == work.revision().to_string() {
        Ok(work)
    } else {
        Err(Fault::Conflict(format!("{} {id}", visit.t().work)))
    }
}

fn words(visit: &Request) -> Result<String, Fault> {
    match visit.form.one("words") {
        "" => Err(Fault::Invalid(visit.t().words_missing.into())),
        words => Ok(words.to_owned()),
    }
}

impl From<WorkFault> for Fault {
    fn from(fault: WorkFault) -> Self {
        match fault {
            WorkFault::Store(fault) => fault.into(),
            WorkFault::Policy(fault) => fault.into(),
            // Whether another vendor's person is there is not theirs to know.
            WorkFault::OfAnotherVendor { person, .. } => Self::Work(Box::new(work::no_person(&person))),
            other => Self::Work(Box::new(other)),
        }
    }
}
