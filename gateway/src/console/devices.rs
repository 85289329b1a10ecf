//! A device's page: where it is, what may be opened, how it is known and signed in to, its ledger row, what happened on
//! it. The forms that add and change it are in `device_forms`, its host keys and credentials in `host_keys` and
//! `credentials`.

use super::fault::Fault;
use super::page::{self, Frame};
use super::registry_texts;
use super::vendors::{status, switching};
use super::visit::{Request, Visit};
use super::works::names;
use crate::registry::devices;
use crate::store::{DeviceRecord, Protocol, SessionPage};
use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{Months, Utc};
use sekimori_audit::event::Kind;
use sekimori_audit::ledger::{Entry, Evidence, Ledger, Origin, columns};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Period, Status};
use sekimori_policy::id::DeviceId;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many sessions are shown.
const SESSIONS: u32 = 10;

struct AccountRow {
    name: String,
    /// The name, as a query holds it.
    query: String,
    shared: bool,
    credential: Option<&'static str>,
}

struct SessionRow {
    person: String,
    work: String,
    opened: String,
    end: String,
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    r: &'static registry_texts::Texts,
    id: String,
    status: (&'static str, &'static str),
    suspended: bool,
    address: String,
    protocol: String,
    telnet: bool,
    accounts: Vec<AccountRow>,
    channels: String,
    sources: Vec<String>,
    risks: Vec<&'static str>,
    host_keys: Vec<String>,
    ledger: Vec<(&'static str, String)>,
    sessions: Vec<SessionRow>,
    may_change: bool,
    may_manage_credentials: bool,
}

/// `GET /devices/{id}`.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ReadLedger)?;
    let record = known(&visit, &id).await?;
    let store = &visit.console.gate.store;
    let device = &record.device;
    let credentials = store.credentials(&device.id).await?;
    let credential = |account: &str| credentials.iter().find(|one| one.account == account);
    let accounts = device.accounts.iter().map(|account| AccountRow {
        name: account.name.clone(),
        query: form_urlencoded::byte_serialize(account.name.as_bytes()).collect(),
        shared: account.shared,
        credential: credential(&account.name).map(|one| kind_label(&visit, &one.kind)),
    });
    page::shown(&DevicePage {
        frame: page::frame(&visit, &record.name),
        r: visit.r(),
        status: status(&visit, device.status),
        suspended: device.status == Status::Suspended,
        address: address(&record),
        protocol: record.dialect.protocol.to_string(),
        telnet: record.dialect.protocol == Protocol::Telnet,
        accounts: accounts.collect(),
        channels: names(&device.channels),
        sources: device.sources.iter().map(ToString::to_string).collect(),
        risks: record.dialect.risks().into_iter().map(|risk| risk.name(visit.language)).collect(),
        host_keys: store.host_keys(&device.id).await?.into_iter().map(|key| key.fingerprint).collect(),
        ledger: ledger(&visit, &record)?,
        sessions: sessions(&visit, &device.id).await?,
        may_change: device.status != Status::Retired && visit.authority(Act::ManageDevices).is_ok(),
        may_manage_credentials: visit.authority(Act::ManageCredentials).is_ok(),
        id: device.id.to_string(),
    })
}

/// A device that is registered.
pub async fn known(visit: &Request, id: &str) -> Result<DeviceRecord, Fault> {
    let id: DeviceId = id.parse().map_err(|_| Fault::NotFound)?;
    visit.console.gate.store.device(&id).await?.ok_or(Fault::NotFound)
}

/// `HOST`, or `HOST:PORT` where the port is not the usual one.
pub fn address(record: &DeviceRecord) -> String {
    let (host, port) = (&record.host, record.port);
    if port == record.dialect.protocol.port() {
        host.clone()
    } else if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A kind of credential, in words.
fn kind_label(visit: &Request, kind: &str) -> &'static str {
    let r = visit.r();
    match kind {
        "password" => r.a_password,
        "key" => r.a_private_key,
        _ => r.a_certificate,
    }
}

/// What people wrote into its row, without what is empty.
fn ledger(visit: &Request, record: &DeviceRecord) -> Result<Vec<(&'static str, String)>, Fault> {
    let declared = serde_json::from_value(record.ledger.clone())
        .map_err(|fault| Fault::Failed(format!("the ledger row of {}: {fault}", record.device.id)))?;
    let entries = vec![Entry { device: Some(record.device.id.clone()), declared }];
    let now = Utc::now();
    // Only what was declared is shown here: the evidence stands in the ledger itself.
    let evidence = Evidence {
        sessions: &[],
        enforced: &BTreeMap::new(),
        risks: &BTreeMap::new(),
        period: Period { from: now, until: now },
        now,
        review_cycle: Months::new(0),
    };
    let zone = visit.console.gate.config().hospital.zone;
    let ledger = Ledger::assemble(entries, &evidence);
    let typed = columns().iter().filter(|column| column.origin == Origin::Typed && column.field != "device");
    let cells = typed.flat_map(|column| ledger.rows.iter().map(|row| (column.header, column.text(row, zone))));
    Ok(cells.filter(|(_, text)| !text.is_empty()).collect())
}

async fn sessions(visit: &Request, device: &DeviceId) -> Result<Vec<SessionRow>, Fault> {
    let wanted = SessionPage { device: Some(device.clone()), limit: SESSIONS, ..SessionPage::default() };
    let rows = visit.console.gate.store.session_page(&wanted).await?;
    let row = |row: crate::store::SessionRow| SessionRow {
        person: row.opening.person.to_string(),
        work: row.opening.work.to_string(),
        opened: visit.show(row.opening.opened),
        end: row.closing.map_or_else(|| visit.t().live_now.to_owned(), |end| end.code),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// `POST /devices/{id}/switch`: to shut is never held up; to open again asks for the second factor.
pub async fn switch(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    let (to, reason) = switching(&visit).await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::DeviceChange, Value::Null)?;
    devices::switch(&visit.console.gate.store, by, &record.device.id, (to, &reason), event).await?;
    Ok(Redirect::to(&format!("/devices/{id}")).into_response())
}
