//! The forms that add and change a device.

use super::devices::{address, known};
use super::fault::Fault;
use super::forms::{Choice, Field, Flaws, Form, Input};
use super::vendors::lines;
use super::visit::{Fields, Request, Visit};
use crate::registry::devices::{self, revision};
use crate::registry::{Problem, typed};
use crate::store::{DeviceRecord, Dialect, Legacy, Prompts, Protocol};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use ipnet::IpNet;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Account, Channel, Device, Status};
use sekimori_policy::id::DeviceId;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// `GET /devices/_new`.
pub async fn new(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let values = Fields::of(&[("protocol", "ssh"), ("channels", "shell")]);
    form(&visit, None).shown(&visit, visit.r().add_device, &values)
}

/// `POST /devices/_new`.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    match try_add(&visit).await {
        Ok(id) => Ok(Redirect::to(&format!("/devices/{id}")).into_response()),
        Err(Fault::Registry(fault)) => form(&visit, None).again(&visit, visit.r().add_device, fault, None),
        Err(other) => Err(other),
    }
}

async fn try_add(visit: &Request) -> Result<DeviceId, Fault> {
    let mut flaws = Flaws::default();
    let id = flaws.read("id", typed::id::<DeviceId>(visit.form.one("id")));
    let said = said(visit, &mut flaws);
    let (id, said) = flaws.sound(id.zip(said))?;
    visit.demand_second_factor().await?;
    let device = Device {
        id: id.clone(),
        status: Status::Active,
        sources: Vec::new(),
        accounts: Vec::new(),
        channels: BTreeSet::new(),
    };
    let mut record = DeviceRecord {
        device,
        name: String::new(),
        host: String::new(),
        port: 0,
        dialect: Dialect::default(),
        ledger: Value::Object(Map::new()),
    };
    said.write(&mut record);
    let by = &visit.signed_in()?.person;
    devices::add(&visit.console.gate.store, by, &record, visit.event(Kind::DeviceAdd, Value::Null)?).await?;
    Ok(id)
}

/// `GET /devices/{id}/change`.
pub async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    form(&visit, Some(&record)).shown(&visit, visit.r().change_device, &values(&record))
}

/// `POST /devices/{id}/change`.
pub async fn change(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    match try_change(&visit, &record.device.id).await {
        Ok(()) => Ok(Redirect::to(&format!("/devices/{id}")).into_response()),
        Err(Fault::Registry(fault)) => {
            let kept = known(&visit, &id).await?;
            let kept = (values(&kept), revision(&kept));
            form(&visit, Some(&record)).again(&visit, visit.r().change_device, fault, Some(kept))
        }
        Err(other) => Err(other),
    }
}

async fn try_change(visit: &Request, id: &DeviceId) -> Result<(), Fault> {
    let mut flaws = Flaws::default();
    let said = said(visit, &mut flaws);
    let said = flaws.sound(said)?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let (store, event) = (&visit.console.gate.store, visit.event(Kind::DeviceChange, Value::Null)?);
    let edit = |record: &mut DeviceRecord| said.write(record);
    devices::change(store, by, id, Some(visit.form.one("seen")), event, edit).await?;
    Ok(())
}

/// What the form says of a device.
struct Said {
    name: String,
    address: (String, Option<u16>),
    accounts: Vec<Account>,
    channels: BTreeSet<Channel>,
    sources: Vec<IpNet>,
    dialect: Dialect,
}

impl Said {
    fn write(self, record: &mut DeviceRecord) {
        let (host, port) = self.address;
        record.name = self.name;
        record.host = host;
        record.port = port.unwrap_or(self.dialect.protocol.port());
        record.device.accounts = self.accounts;
        record.device.channels = self.channels;
        record.device.sources = self.sources;
        record.dialect = self.dialect;
    }
}

fn said(visit: &Request, flaws: &mut Flaws) -> Option<Said> {
    let form = &visit.form;
    let address = flaws.read("address", typed::address(form.one("address")));
    let protocol = flaws.read("protocol", form.one("protocol").parse::<Protocol>().map_err(|_| Problem::Missing));
    let accounts = typed::entries(form.one("accounts")).map(typed::account).collect::<Result<Vec<_>, _>>();
    let accounts = flaws.read("accounts", accounts);
    let unknown = |word: &str| Problem::Unknown(typed::short(word));
    let channel = |word: &str| {
        let offered = ["shell", "exec", "sftp", "scp"].contains(&word);
        word.parse::<Channel>().ok().filter(|_| offered).ok_or_else(|| unknown(word))
    };
    let channels = flaws.read("channels", form.all("channels").map(channel).collect::<Result<BTreeSet<_>, _>>());
    let ports = typed::entries(form.one("ports")).map(|port| typed::port(port).map(Channel::Forward));
    let ports = flaws.read("ports", ports.collect::<Result<BTreeSet<_>, _>>());
    let sources = flaws.read("sources", typed::networks(form.one("sources")));
    let legacy = |word: &str| word.parse::<Legacy>().map_err(|_| unknown(word));
    let legacy = flaws.read("legacy", form.all("legacy").map(legacy).collect::<Result<BTreeSet<_>, _>>());
    let prompts = |field: &str| {
        let lines = form.one(field).lines().map(|line| line.trim_end_matches('\r').to_owned());
        lines.filter(|line| !line.trim().is_empty()).collect::<Vec<_>>()
    };
    let prompts = Prompts { account: prompts("login_prompts"), password: prompts("password_prompts") };
    Some(Said {
        name: form.one("name").to_owned(),
        address: address?,
        accounts: accounts?,
        channels: &channels? | &ports?,
        sources: sources?,
        dialect: Dialect { protocol: protocol?, legacy: legacy?, prompts },
    })
}

/// A device as the form has it.
fn values(record: &DeviceRecord) -> Fields {
    let account = |account: &Account| match account.shared {
        true => format!("{}:shared", account.name),
        false => account.name.clone(),
    };
    let device = &record.device;
    let accounts: Vec<String> = device.accounts.iter().map(account).collect();
    let mut ports = Vec::new();
    let mut fields = Vec::new();
    for channel in &device.channels {
        match channel {
            Channel::Forward(port) => ports.push(port.to_string()),
            other => fields.push(("channels", other.to_string())),
        }
    }
    fields.extend(record.dialect.legacy.iter().map(|class| ("legacy", class.to_string())));
    fields.extend([
        ("name", record.name.clone()),
        ("address", address(record)),
        ("protocol", record.dialect.protocol.to_string()),
        ("accounts", lines(&accounts)),
        ("ports", ports.join(" ")),
        ("sources", lines(&device.sources)),
        ("login_prompts", lines(&record.dialect.prompts.account)),
        ("password_prompts", lines(&record.dialect.prompts.password)),
    ]);
    Fields::owned(fields)
}

fn form(visit: &Request, record: Option<&DeviceRecord>) -> Form {
    let (t, r) = (visit.t(), visit.r());
    let channels = [("shell", t.way_shell), ("exec", t.way_exec), ("sftp", t.way_files), ("scp", t.way_scp)];
    let channels = channels.map(|(value, label)| Choice::new(value, label)).into();
    let class = |class: Legacy| {
        let risks = Dialect { legacy: BTreeSet::from([class]), ..Dialect::default() }.risks();
        let words: Vec<_> = risks.into_iter().map(|risk| risk.name(visit.language)).collect();
        Choice::new(class, format!("{class} – {}", words.join(", ")))
    };
    let protocols = vec![Choice::new("ssh", r.speaks_ssh), Choice::new("telnet", r.speaks_telnet)];
    let id = || Field::new("id", r.id, r.id_hint, Input::Code).required();
    let fields = [
        Field::new("name", t.name, "", Input::Line).required(),
        Field::new("address", t.address, r.address_hint, Input::Code).required(),
        Field::new("protocol", r.protocol, "", Input::One(protocols)).required(),
        Field::new("accounts", t.accounts, r.accounts_hint, Input::Codes).required(),
        Field::new("channels", t.channels, "", Input::Any(channels)),
        Field::new("ports", r.device_ports, r.device_ports_hint, Input::Code),
        Field::new("sources", t.source, r.device_sources_hint, Input::Codes),
        Field::new("legacy", r.legacy, r.legacy_hint, Input::Any(Legacy::ALL.map(class).into())),
        Field::new("login_prompts", r.login_prompts, r.prompts_hint, Input::Codes),
        Field::new("password_prompts", r.password_prompts, r.prompts_hint, Input::Codes),
    ];
    let (action, back) = match record.map(|record| &record.device.id) {
        None => ("/devices/_new".to_owned(), "/devices".to_owned()),
        Some(id) => (format!("/devices/{id}/change"), format!("/devices/{id}")),
    };
    Form {
        action,
        back,
        lead: if record.is_none() { r.device_lead } else { "" },
        submit: r.save,
        seen: record.map(revision).unwrap_or_default(),
        fields: record.is_none().then(id).into_iter().chain(fields).collect(),
    }
}
