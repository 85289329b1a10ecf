//! People, vendors and devices, as the hospital keeps them: lists to look things up in, a page at a time,
//! each entry with its own page.

use super::fault::Fault;
use super::page::{self, Frame};
use super::visit::Visit;
use super::works::{ROWS, names};
use askama::Template;
use axum::response::Response;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Status;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    lead: &'static str,
    heads: Vec<&'static str>,
    /// The first cell is the id.
    rows: Vec<Vec<String>>,
    path: &'static str,
    /// The word on the button that adds one, for whom it is.
    add: Option<&'static str>,
    /// The id after which the next page begins.
    more: Option<String>,
}

impl ListPage {
    /// One row too many was read, if there is a next page.
    fn new(
        frame: Frame,
        lead: &'static str,
        path: &'static str,
        heads: Vec<&'static str>,
        mut rows: Vec<Vec<String>>,
    ) -> Self {
        let more = rows.len() > ROWS as usize;
        rows.truncate(ROWS as usize);
        let more = rows.last().and_then(|row| row.first()).filter(|_| more).cloned();
        Self { frame, lead, heads, rows, path, add: None, more }
    }

    fn adding(self, word: &'static str, may: bool) -> Self {
        Self { add: may.then_some(word), ..self }
    }
}

/// `GET /people`.
pub async fn people(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let t = visit.t();
    let people = visit.console.gate.store.person_page(visit.query.one("after"), ROWS + 1).await?;
    let rows = people.into_iter().map(|person| {
        let roles: Vec<_> = person.roles.iter().map(|role| role.label(visit.language)).collect();
        let sources: Vec<_> = person.sources.iter().map(ToString::to_string).collect();
        let belongs = person.vendor.map_or_else(|| roles.join(", "), |vendor| vendor.to_string());
        vec![person.id.to_string(), person.name, belongs, status(t, person.status), sources.join(", ")]
    });
    let heads = vec![t.person, t.name, t.vendor_or_roles, t.state, t.source];
    let page = ListPage::new(page::frame(&visit, t.people), t.people_lead, "/people", heads, rows.collect());
    page::shown(&page.adding(visit.r().add_person, visit.authority(Act::ManagePeople).is_ok()))
}

/// `GET /vendors`: there are few.
pub async fn vendors(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let t = visit.t();
    let vendors = visit.console.gate.store.vendors().await?;
    let rows =
        vendors.into_iter().filter(|vendor| vendor.id.as_str() > visit.query.one("after")).take(ROWS as usize + 1);
    let rows = rows.map(|vendor| {
        let contract = vendor.contract.map_or_else(
            || t.none.to_owned(),
            |span| format!("{} – {}", visit.show(span.from), visit.show(span.until)),
        );
        let sources: Vec<_> = vendor.sources.iter().map(ToString::to_string).collect();
        vec![
            vendor.id.to_string(),
            vendor.name,
            contract,
            status(t, vendor.status),
            sources.join(", "),
            vendor.responsible,
        ]
    });
    let heads = vec![t.vendor, t.name, t.contract, t.state, t.source, t.responsible];
    let page = ListPage::new(page::frame(&visit, t.vendors), t.vendors_lead, "/vendors", heads, rows.collect());
    page::shown(&page.adding(visit.r().add_vendor, visit.authority(Act::ManageVendors).is_ok()))
}

/// `GET /devices`.
pub async fn devices(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLedger)?;
    let t = visit.t();
    let devices = visit.console.gate.store.device_page(visit.query.one("after"), ROWS + 1).await?;
    let rows = devices.into_iter().map(|record| {
        let accounts: Vec<_> = record.device.accounts.iter().map(|account| account.name.clone()).collect();
        vec![
            record.device.id.to_string(),
            record.name,
            format!("{}:{}", record.host, record.port),
            status(t, record.device.status),
            accounts.join(", "),
            names(&record.device.channels),
        ]
    });
    let heads = vec![t.device, t.name, t.address, t.state, t.accounts, t.channels];
    let page = ListPage::new(page::frame(&visit, t.devices), t.devices_lead, "/devices", heads, rows.collect());
    page::shown(&page.adding(visit.r().add_device, visit.authority(Act::ManageDevices).is_ok()))
}

fn status(t: &super::texts::Texts, status: Status) -> String {
    match status {
        Status::Active => t.active,
        Status::Suspended => t.suspended,
        Status::Retired => t.retired,
    }
    .to_owned()
}
