//! Sessions: the cut of those that live, which `wall` and `watch` show; and those that were, a page at a time.

use super::fault::Fault;
use super::page::{self, Frame};
use super::visit::{Request, Visit};
use super::works::ROWS;
use crate::store::{Cutting, SessionPage, SessionRow};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use serde_json::json;

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
            end: row.closing.map_or_else(String::new, |end| end.code),
        }
    }
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
    let reason = reason(&visit)?;
    let store = &visit.console.gate.store;
    let id: uuid::Uuid = id.parse().map_err(|_| Fault::NotFound)?;
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
    let reason = reason(&visit)?;
    visit.demand_second_factor().await?;
    let event = visit.event(Kind::SessionCut, json!({ "reason": reason }))?;
    visit.console.gate.store.ask_cut(&Cutting::Everyone, reason, event).await?;
    Ok(Redirect::to("/live").into_response())
}

/// The person who is cut reads it, and the record needs it.
fn reason(visit: &Request) -> Result<&str, Fault> {
    match visit.form.one("reason") {
        "" => Err(Fault::Invalid(visit.t().words_missing.into())),
        reason => Ok(reason),
    }
}
