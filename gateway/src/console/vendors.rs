//! A vendor's page: contract, networks, its people and the state of their terminals, its devices, its work; and the forms
//! that add, change, suspend and retire it.

use super::fault::Fault;
use super::forms::{Field, Flaws, Form, Input};
use super::page::{self, Frame};
use super::registry_texts;
use super::visit::{Fields, Request, Visit};
use super::works::Row;
use crate::registry::{Problem, Switch, revision, typed, vendors};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use ipnet::IpNet;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Period, Status, Vendor};
use sekimori_policy::id::{DeviceId, VendorId};
use serde_json::Value;
use std::collections::BTreeSet;

/// Pieces of work that are looked through, for the devices.
const LOOKED_THROUGH: u32 = 100;
/// Pieces of work that are shown.
const SHOWN: usize = 10;

struct Member {
    id: String,
    name: String,
    status: (&'static str, &'static str),
    attested: Option<String>,
}

#[derive(Template)]
#[template(path = "vendor.html")]
struct VendorPage {
    frame: Frame,
    r: &'static registry_texts::Texts,
    id: String,
    status: (&'static str, &'static str),
    suspended: bool,
    contract: Option<String>,
    in_contract: bool,
    sources: Vec<String>,
    responsible: String,
    psirt: String,
    members: Vec<Member>,
    devices: Vec<String>,
    works: Vec<Row>,
    may_change: bool,
}

/// `GET /vendors/{id}`.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let vendor = known(&visit, &id).await?;
    let store = &visit.console.gate.store;
    let now = Utc::now();
    let mut members = Vec::new();
    for person in store.persons_of_vendor(&vendor.id).await? {
        let given = store.attestations(&person.id).await?;
        let good = given.iter().filter(|one| one.patched && one.scanned && one.expires_at > now);
        members.push(Member {
            id: person.id.to_string(),
            attested: good.map(|one| one.expires_at).max().map(|until| visit.show(until)),
            status: status(&visit, person.status),
            name: person.name,
        });
    }
    let works = store.works_page(Some(&vendor.id), None, LOOKED_THROUGH).await?;
    let devices: BTreeSet<&DeviceId> = works.iter().flat_map(|work| work.request().devices.iter()).collect();
    page::shown(&VendorPage {
        frame: page::frame(&visit, &vendor.name),
        r: visit.r(),
        id: vendor.id.to_string(),
        status: status(&visit, vendor.status),
        suspended: vendor.status == Status::Suspended,
        contract: vendor.contract.map(|term| {
            let (first, last) = typed::first_and_last(term, visit.console.gate.config().hospital.zone);
            format!("{first} – {last}")
        }),
        in_contract: vendor.contract.is_some_and(|term| term.contains(now)),
        sources: vendor.sources.iter().map(ToString::to_string).collect(),
        members,
        devices: devices.into_iter().map(ToString::to_string).collect(),
        works: works.iter().take(SHOWN).map(|work| Row::new(work, &visit)).collect(),
        may_change: vendor.status != Status::Retired && visit.authority(Act::ManageVendors).is_ok(),
        responsible: vendor.responsible,
        psirt: vendor.psirt,
    })
}

async fn known(visit: &Request, id: &str) -> Result<Vendor, Fault> {
    let id: VendorId = id.parse().map_err(|_| Fault::NotFound)?;
    visit.console.gate.store.vendor(&id).await?.ok_or(Fault::NotFound)
}

/// A status in words, with its colour.
pub fn status(visit: &Request, status: Status) -> (&'static str, &'static str) {
    let t = visit.t();
    match status {
        Status::Active => (t.active, "good"),
        Status::Suspended => (t.suspended, "bad"),
        Status::Retired => (t.retired, ""),
    }
}

/// `GET /vendors/_new`.
pub async fn new(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManageVendors)?;
    form(&visit, None).shown(&visit, visit.r().add_vendor, &Fields::default())
}

/// `POST /vendors/_new`.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManageVendors)?;
    match try_add(&visit).await {
        Ok(id) => Ok(Redirect::to(&format!("/vendors/{id}")).into_response()),
        Err(Fault::Registry(fault)) => form(&visit, None).again(&visit, visit.r().add_vendor, fault, None),
        Err(other) => Err(other),
    }
}

async fn try_add(visit: &Request) -> Result<VendorId, Fault> {
    let mut flaws = Flaws::default();
    let id = flaws.read("id", typed::id::<VendorId>(visit.form.one("id")));
    let said = said(visit, &mut flaws);
    let (id, said) = flaws.sound(id.zip(said))?;
    visit.demand_second_factor().await?;
    let mut vendor = Vendor {
        id,
        name: String::new(),
        status: Status::Active,
        contract: None,
        sources: Vec::new(),
        responsible: String::new(),
        psirt: String::new(),
    };
    said.write(&mut vendor);
    let by = &visit.signed_in()?.person;
    vendors::add(&visit.console.gate.store, by, &vendor, visit.event(Kind::VendorAdd, Value::Null)?).await?;
    Ok(vendor.id)
}

/// `GET /vendors/{id}/change`.
pub async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageVendors)?;
    let vendor = known(&visit, &id).await?;
    form(&visit, Some(&vendor)).shown(&visit, visit.r().change_vendor, &values(&visit, &vendor))
}

/// `POST /vendors/{id}/change`.
pub async fn change(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageVendors)?;
    let vendor = known(&visit, &id).await?;
    match try_change(&visit, &vendor.id).await {
        Ok(()) => Ok(Redirect::to(&format!("/vendors/{id}")).into_response()),
        Err(Fault::Registry(fault)) => {
            let kept = known(&visit, &id).await?;
            let kept = (values(&visit, &kept), revision(&kept));
            form(&visit, Some(&vendor)).again(&visit, visit.r().change_vendor, fault, Some(kept))
        }
        Err(other) => Err(other),
    }
}

async fn try_change(visit: &Request, id: &VendorId) -> Result<(), Fault> {
    let mut flaws = Flaws::default();
    let said = said(visit, &mut flaws);
    let said = flaws.sound(said)?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let (store, event) = (&visit.console.gate.store, visit.event(Kind::VendorChange, Value::Null)?);
    let edit = |vendor: &mut Vendor| said.write(vendor);
    vendors::change(store, by, id, Some(visit.form.one("seen")), event, edit).await?;
    Ok(())
}

/// `POST /vendors/{id}/switch`: to shut is never held up; to open again asks for the second factor.
pub async fn switch(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageVendors)?;
    let vendor = known(&visit, &id).await?;
    let (to, reason) = switching(&visit).await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::VendorChange, Value::Null)?;
    vendors::switch(&visit.console.gate.store, by, &vendor.id, (to, &reason), event).await?;
    Ok(Redirect::to(&format!("/vendors/{id}")).into_response())
}

/// What the form says that something is switched to, and why.
///
/// # Errors
/// Without a reason, or without the second factor where it is wanted.
pub async fn switching(visit: &Request) -> Result<(Switch, String), Fault> {
    let to = Switch::from_code(visit.form.one("to")).ok_or(Fault::NotFound)?;
    let reason = visit.form.one("reason");
    if reason.is_empty() {
        return Err(Fault::Invalid(visit.t().words_missing.into()));
    }
    if to != Switch::Suspend {
        visit.demand_second_factor().await?;
    }
    Ok((to, reason.to_owned()))
}

/// What the form says of a vendor.
struct Said {
    name: String,
    contract: Option<Period>,
    sources: Vec<IpNet>,
    responsible: String,
    psirt: String,
}

impl Said {
    fn write(self, vendor: &mut Vendor) {
        vendor.name = self.name;
        vendor.contract = self.contract;
        vendor.sources = self.sources;
        vendor.responsible = self.responsible;
        vendor.psirt = self.psirt;
    }
}

fn said(visit: &Request, flaws: &mut Flaws) -> Option<Said> {
    let form = &visit.form;
    let contract = contract(visit, flaws);
    let sources = flaws.read("sources", typed::networks(form.one("sources")));
    Some(Said {
        name: form.one("name").to_owned(),
        contract: contract?,
        sources: sources?,
        responsible: form.one("responsible").to_owned(),
        psirt: form.one("psirt").to_owned(),
    })
}

fn contract(visit: &Request, flaws: &mut Flaws) -> Option<Option<Period>> {
    let mut day = |field: &'static str| match visit.form.one(field) {
        "" => Some(None),
        text => flaws.read(field, typed::date(text)).map(Some),
    };
    let (first, last) = (day("contract_from")?, day("contract_until")?);
    let zone = visit.console.gate.config().hospital.zone;
    match (first, last) {
        (None, None) => Some(None),
        (Some(first), Some(last)) => flaws.read("contract_until", typed::days(first, last, zone)).map(Some),
        (None, Some(_)) => flaws.read("contract_from", Err(Problem::HalfContract)),
        (Some(_), None) => flaws.read("contract_until", Err(Problem::HalfContract)),
    }
}

/// A vendor as the form has it.
fn values(visit: &Request, vendor: &Vendor) -> Fields {
    let days = vendor.contract.map(|term| typed::first_and_last(term, visit.console.gate.config().hospital.zone));
    let day = |day: Option<chrono::NaiveDate>| day.map_or_else(String::new, |day| day.to_string());
    Fields::owned(vec![
        ("name", vendor.name.clone()),
        ("contract_from", day(days.map(|days| days.0))),
        ("contract_until", day(days.map(|days| days.1))),
        ("sources", lines(&vendor.sources)),
        ("responsible", vendor.responsible.clone()),
        ("psirt", vendor.psirt.clone()),
    ])
}

/// Entries, a line each.
pub fn lines<T: ToString>(entries: &[T]) -> String {
    entries.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn form(visit: &Request, vendor: Option<&Vendor>) -> Form {
    let (t, r) = (visit.t(), visit.r());
    let id = || Field::new("id", r.id, r.id_hint, Input::Code).required();
    let fields = [
        Field::new("name", t.name, "", Input::Line).required(),
        Field::new("contract_from", r.contract_from, "", Input::Day),
        Field::new("contract_until", r.contract_until, "", Input::Day),
        Field::new("sources", t.source, r.sources_hint, Input::Codes),
        Field::new("responsible", t.responsible, r.responsible_hint, Input::Line),
        Field::new("psirt", r.psirt, r.responsible_hint, Input::Line),
    ];
    let (action, back) = match vendor {
        None => ("/vendors/_new".to_owned(), "/vendors".to_owned()),
        Some(vendor) => (format!("/vendors/{}/change", vendor.id), format!("/vendors/{}", vendor.id)),
    };
    Form {
        action,
        back,
        lead: r.vendor_lead,
        submit: r.save,
        seen: vendor.map(revision).unwrap_or_default(),
        fields: vendor.is_none().then(id).into_iter().chain(fields).collect(),
    }
}
