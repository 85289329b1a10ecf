//! Requesting work: the vendor's form. What cannot be taken is said above the form, and what was typed stays in it.

use super::fault::Fault;
use super::page::{self, Frame};
use super::visit::{Fields, Request, Visit};
use super::works::{known, local_time};
use crate::work::{Draft, WorkFault, put_forward};
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeDelta, Timelike, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::{Channel, Status};
use sekimori_policy::id::{DeviceId, InvalidId, PersonId, VendorId};
use sekimori_policy::window::Window;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many earlier pieces of work are looked through for devices to offer.
const EARLIER: u32 = 100;

struct Choice {
    id: String,
    name: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "request.html")]
struct FormPage {
    frame: Frame,
    fault: Option<String>,
    devices: Vec<Choice>,
    other_devices: String,
    persons: Vec<Choice>,
    purpose: String,
    plan: String,
    start: String,
    end: String,
    repeat: String,
    count: String,
    channels: Vec<Choice>,
    ports: String,
    personal_data: bool,
    attendance: bool,
}

/// `GET /request`, or `?from=ID` with what an earlier request said.
pub async fn form(visit: Visit) -> Result<Response, Fault> {
    let typed = match visit.query.one("from") {
        "" => defaults(&visit)?,
        id => earlier(&visit, id).await?,
    };
    page::shown(&page(&visit, &typed, None).await?)
}

/// `POST /request`.
pub async fn send(visit: Visit) -> Result<Response, Fault> {
    let sent = Box::pin(try_send(&visit)).await;
    match sent {
        Ok(id) => Ok(Redirect::to(&format!("/works/{id}")).into_response()),
        Err(fault) => {
            let why = match &fault {
                Fault::Invalid(why) => why.clone(),
                Fault::Policy(why) => why.sentence(visit.language),
                Fault::Work(why) => why.sentence(visit.language),
                _ => return Err(fault),
            };
            let page = page(&visit, &visit.form, Some(why)).await?;
            Ok(page::render(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

async fn try_send(visit: &Request) -> Result<String, Fault> {
    let person = &visit.signed_in()?.person;
    let draft = draft(visit, vendor(visit)?)?;
    let event = visit.event(Kind::Work, Value::Null)?;
    let gate = &visit.console.gate;
    let work = put_forward(&gate.store, gate.config().hospital.zone, &draft, person, &event).await?;
    Ok(work.id().to_string())
}

fn vendor(visit: &Request) -> Result<VendorId, Fault> {
    visit.signed_in()?.person.vendor.clone().ok_or(Fault::Role)
}

/// What was typed, as a request. The field that cannot be read is named.
fn draft(visit: &Request, vendor: VendorId) -> Result<Draft, Fault> {
    let (t, form) = (visit.t(), &visit.form);
    let zone = visit.console.gate.config().hospital.zone;
    let unreadable = |field: &str, why: &str| Fault::Invalid(format!("{field}: {why}"));
    let no_id = |field: &str, why: InvalidId| unreadable(field, &WorkFault::NoId(why).sentence(visit.language));
    let refused = |field: &str, why: PolicyError| unreadable(field, &why.sentence(visit.language));
    let devices = form.all("device").chain(form.one("other_devices").split([' ', ',', '、', '\n', '\r']));
    let devices: Result<BTreeSet<DeviceId>, _> = devices.filter(|id| !id.is_empty()).map(str::parse).collect();
    let persons: Result<Vec<PersonId>, _> = form.all("person").map(str::parse).collect();
    let ports = form.one("ports").split([' ', ',', '、']).filter(|port| !port.is_empty());
    let channels = form.all("channel").map(ToOwned::to_owned).chain(ports.map(|port| format!("forward:{port}")));
    let channels: Result<Vec<Channel>, _> = channels.map(|text| text.parse()).collect();
    let (start, end) = (local_time(form.one("start")), local_time(form.one("end")));
    let start = start.ok_or_else(|| unreadable(t.start, t.no_time))?;
    let end = end.ok_or_else(|| unreadable(t.end_time, t.no_time))?;
    let window = match rule(form)? {
        None => Window::once(start, end, zone),
        Some(rule) => Window::recurring(start, end, zone, &rule, []),
    };
    Ok(Draft {
        id: None,
        vendor,
        persons: persons.map_err(|why| no_id(t.persons, why))?,
        devices: devices.map_err(|why| no_id(t.devices, why))?.into_iter().collect(),
        purpose: form.one("purpose").to_owned(),
        plan: form.one("plan").to_owned(),
        window: window.map_err(|why| refused(t.window, why))?,
        channels: channels.map_err(|why| refused(t.channels, why))?,
        accounts: Vec::new(),
        personal_data: form.ticked("personal_data"),
        attendance: form.ticked("attendance"),
    })
}

/// The recurrence, as RFC 5545 says it.
fn rule(form: &Fields) -> Result<Option<String>, Fault> {
    let frequency = match form.one("repeat") {
        "" => return Ok(None),
        "daily" => "DAILY",
        "weekly" => "WEEKLY",
        other => return Err(Fault::Invalid(format!("{other}?"))),
    };
    Ok(Some(format!("FREQ={frequency};COUNT={}", form.one("count"))))
}

/// An empty form: myself, tomorrow evening.
fn defaults(visit: &Request) -> Result<Fields, Fault> {
    let zone = visit.console.gate.config().hospital.zone;
    let hour = Utc::now().with_timezone(&zone).naive_local() + TimeDelta::hours(1);
    let start = hour.with_minute(0).unwrap_or(hour);
    let me = visit.signed_in()?.person.id.to_string();
    let at = |time: chrono::NaiveDateTime| time.format("%Y-%m-%dT%H:%M").to_string();
    Ok(Fields::of(&[("person", &me), ("start", &at(start)), ("end", &at(start + TimeDelta::hours(2)))]))
}

/// What an earlier request said, with the times of a new one.
async fn earlier(visit: &Request, id: &str) -> Result<Fields, Fault> {
    let work = Box::pin(known(visit, id)).await?;
    let request = work.request();
    let defaults = defaults(visit)?;
    let (devices, persons): (Vec<_>, Vec<_>) = (
        request.devices.iter().map(|id| ("device", id.to_string())).collect(),
        request.persons.iter().map(|id| ("person", id.to_string())).collect(),
    );
    let mut fields: Vec<(&str, String)> = [devices, persons].concat();
    let mut ports = Vec::new();
    for channel in &request.channels {
        match channel {
            Channel::Forward(port) => ports.push(port.to_string()),
            other => fields.push(("channel", other.to_string())),
        }
    }
    let yes = |set: bool| if set { "yes" } else { "" }.to_owned();
    fields.extend([
        ("purpose", request.purpose.clone()),
        ("plan", request.plan.clone()),
        ("ports", ports.join(" ")),
        ("start", defaults.one("start").to_owned()),
        ("end", defaults.one("end").to_owned()),
        ("personal_data", yes(request.personal_data_expected)),
        ("attendance", yes(request.attendance)),
    ]);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(Fields::of(&fields))
}

/// The form with what was typed in it. Devices that this vendor worked on are offered; the hospital's others are not
/// shown to it, and can be named.
async fn page(visit: &Request, typed: &Fields, fault: Option<String>) -> Result<FormPage, Fault> {
    let vendor = vendor(visit)?;
    let store = &visit.console.gate.store;
    let works = store.works_page(Some(&vendor), None, EARLIER).await?;
    let offered: BTreeSet<DeviceId> = works.iter().flat_map(|work| work.request().devices.iter().cloned()).collect();
    let mut devices = Vec::new();
    for id in offered {
        if let Some(record) = store.device(&id).await?.filter(|record| record.device.status == Status::Active) {
            let chosen = typed.all("device").any(|typed| typed == id.as_str());
            devices.push(Choice { id: id.to_string(), name: record.name, chosen });
        }
    }
    let colleagues = store.persons_of_vendor(&vendor).await?;
    let persons = colleagues.into_iter().filter(|person| person.status == Status::Active);
    let channel = |(id, name): (&str, &str)| {
        let chosen = typed.all("channel").any(|typed| typed == id);
        Choice { id: id.into(), name: name.into(), chosen }
    };
    let t = visit.t();
    Ok(FormPage {
        frame: page::frame(visit, t.request),
        fault,
        devices,
        other_devices: typed.one("other_devices").into(),
        persons: persons
            .map(|person| Choice {
                chosen: typed.all("person").any(|typed| typed == person.id.as_str()),
                id: person.id.to_string(),
                name: person.name,
            })
            .collect(),
        purpose: typed.one("purpose").into(),
        plan: typed.one("plan").into(),
        start: typed.one("start").into(),
        end: typed.one("end").into(),
        repeat: typed.one("repeat").into(),
        count: typed.one("count").into(),
        channels: [("shell", t.way_shell), ("exec", t.way_exec), ("sftp", t.way_files), ("scp", t.way_scp)]
            .map(channel)
            .into(),
        ports: typed.one("ports").into(),
        personal_data: typed.ticked("personal_data"),
        attendance: typed.ticked("attendance"),
    })
}
