//! Sessions: what is done to those that live, which `wall` and `watch` show; and those that were, a page at a time.

use super::fault::Fault;
use super::page::{self, Frame};
use super::visit::{Request, Visit};
use super::watch;
use super::works::ROWS;
use crate::registry::{RegistryFault, typed};
use crate::store::{Cutting, Pause, SessionPage, SessionRow};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use serde_json::json;
use uuid::Uuid;

/// A session on a page.
pub struct Row {
    pub id: String,
    pub person: String,
    pub vendor: String,
    pub device: String,
    pub account: String,
    pub work: String,
    pub source: String,
    pub opened: String,
    pub until: String,
    pub lasted: String,
    pub end: String,
    /// A cut was asked for and is being carried out.
    pub cutting: bool,
    /// Who paused it, since when and why, if it is.
    pub paused: Option<String>,
    /// It is to be attended, and nobody does.
    pub unattended: bool,
}

impl Row {
    /// As the page's reader is told.
    pub fn new(row: SessionRow, visit: &Request) -> Self {
        let opening = row.opening;
        let end = row.closing.as_ref().map_or_else(Utc::now, |end| end.at);
        let seconds = (end - opening.opened).num_seconds().max(0);
        Self {
            id: opening.id.to_string(),
            person: opening.person.to_string(),
            vendor: opening.vendor.to_string(),
            device: opening.device.to_string(),
            account: opening.account,
            work: opening.work.to_string(),
            source: opening.source.to_string(),
            opened: visit.show(opening.opened),
            until: visit.show(opening.until),
            lasted: format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
            cutting: row.closing.is_none() && row.cut.is_some(),
            unattended: unattended(visit, opening.id),
            paused: row.pause.filter(|_| row.closing.is_none()).map(|pause| paused(visit, &pause)),
            end: row.closing.map_or_else(String::new, |end| end.code),
        }
    }
}

/// Whether a session that lives here waits for somebody to attend.
pub fn unattended(visit: &Request, id: Uuid) -> bool {
    visit.console.gate.live.one(id).is_some_and(|session| session.held().unattended)
}

/// Who paused a session, since when and why.
pub fn paused(visit: &Request, pause: &Pause) -> String {
    let Pause { at, by, reason } = pause;
    format!("{}: {by}, {} – {reason}", visit.t().paused, visit.show(*at))
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    frame: Frame,
    rows: Vec<Row>,
    person: String,
    device: String,
    vendor: String,
    /// The query of the next page.
    more: Option<String>,
}

/// `GET /sessions`, narrowed by person, device and vendor; `before` begins a later page.
pub async fn sessions(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let query = &visit.query;
    let page = SessionPage {
        person: query.one("person").parse().ok(),
        device: query.one("device").parse().ok(),
        vendor: query.one("vendor").parse().ok(),
        before: query.one("before").parse().ok().and_then(DateTime::from_timestamp_micros),
        limit: ROWS + 1,
    };
    let mut rows = visit.console.gate.store.session_page(&page).await?;
    let more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let more = rows.last().filter(|_| more).map(|row| {
        let mut next = form_urlencoded::Serializer::new(String::new());
        for name in ["person", "device", "vendor"] {
            next.append_pair(name, query.one(name));
        }
        next.append_pair("before", &row.opening.opened.timestamp_micros().to_string()).finish()
    });
    page::shown(&SessionsPage {
        frame: page::frame(&visit, visit.t().sessions),
        rows: rows.into_iter().map(|row| Row::new(row, &visit)).collect(),
        person: query.one("person").into(),
        device: query.one("device").into(),
        vendor: query.one("vendor").into(),
        more,
    })
}

/// `POST /sessions/{id}/cut`.
pub async fn cut(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::CutOff)?;
    let reason = words(&visit, "reason")?;
    let store = &visit.console.gate.store;
    let id: Uuid = id.parse().map_err(|_| Fault::NotFound)?;
    let row = store.session(&id.to_string()).await?;
    if row.closing.is_some() {
        return Err(Fault::Conflict(format!("{} {id}", visit.t().session)));
    }
    let event = visit.event(Kind::SessionCut, json!({ "reason": reason }))?;
    store.ask_cut(&Cutting::Session(id), reason, event).await?;
    Ok(Redirect::to("/live").into_response())
}

/// `POST /live/cut-everyone`: with the second factor.
pub async fn cut_everyone(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::CutOff)?;
    let reason = words(&visit, "reason")?;
    visit.demand_second_factor().await?;
    let event = visit.event(Kind::SessionCut, json!({ "reason": reason }))?;
    visit.console.gate.store.ask_cut(&Cutting::Everyone, reason, event).await?;
    Ok(Redirect::to("/live").into_response())
}

/// `POST /sessions/{id}/message`.
pub async fn message(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::CutOff)?;
    let text = words(&visit, "text")?;
    let id = watch::live(&visit, &id).await?.opening.id;
    let event = visit.event(Kind::SessionMessage, json!({ "text": text }))?;
    visit.console.gate.store.tell_session(id, event).await?;
    Ok(back(id))
}

/// `POST /sessions/{id}/pause`.
pub async fn pause(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::CutOff)?;
    let reason = words(&visit, "reason")?;
    let id = watch::live(&visit, &id).await?.opening.id;
    let event = visit.event(Kind::SessionPaused, json!({ "reason": reason }))?;
    visit.console.gate.store.pause_session(id, reason, event).await?;
    Ok(back(id))
}

/// `POST /sessions/{id}/resume`.
pub async fn resume(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::CutOff)?;
    let id = watch::live(&visit, &id).await?.opening.id;
    let event = visit.event(Kind::SessionResumed, json!({}))?;
    visit.console.gate.store.resume_session(id, event).await?;
    Ok(back(id))
}

fn back(id: Uuid) -> Response {
    Redirect::to(&format!("/sessions/{id}/live")).into_response()
}

/// The person reads it on a terminal, and the record needs it.
fn words<'a>(visit: &'a Request, field: &'static str) -> Result<&'a str, Fault> {
    let text = visit.form.one(field);
    match typed::words(field, text) {
        None => Ok(text),
        Some(flaw) => Err(RegistryFault::Flaws(vec![flaw]).into()),
    }
}
