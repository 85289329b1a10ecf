//! Storing and removing what the gateway signs in with on a device. A secret goes one way: no page ever holds it again,
//! not even the one that comes back with a fault. The code is asked for before the form, so that it is not lost for that.

use super::devices::known;
use super::fault::Fault;
use super::forms::{Choice, Field, Form, Input};
use super::visit::{Fields, Request, Visit};
use crate::registry::{Flaw, Problem, RegistryFault, keys};
use crate::store::{Credential, DeviceRecord};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use serde_json::Value;
use zeroize::Zeroizing;

/// `GET /devices/{id}/credential`, or `?account=NAME`.
pub async fn form(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let record = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    let first = record.device.accounts.first().map(|account| account.name.as_str()).unwrap_or_default();
    let account = match visit.query.one("account") {
        "" => first,
        account => account,
    };
    let values = Fields::of(&[("account", account), ("kind", "password")]);
    fields(&visit, &record).shown(&visit, visit.r().store_credential, &values)
}

/// `POST /devices/{id}/credential`.
pub async fn store(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let record = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    let account = visit.form.one("account");
    if visit.form.one("kind").is_empty() {
        // The code that the form asks for first has come.
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("account", visit.query.one("account")).finish();
        return Ok(Redirect::to(&format!("/devices/{id}/credential?{query}")).into_response());
    }
    match try_store(&visit, &record, account).await {
        Ok(()) => Ok(Redirect::to(&format!("/devices/{id}")).into_response()),
        Err(Fault::Registry(fault)) => fields(&visit, &record).again(&visit, visit.r().store_credential, fault, None),
        Err(other) => Err(other),
    }
}

async fn try_store(visit: &Request, record: &DeviceRecord, account: &str) -> Result<(), Fault> {
    let credential = match visit.form.one("kind") {
        "password" => Credential::Password(Zeroizing::new(visit.form.raw("password").to_owned())),
        // Browsers end lines with CR LF.
        "key" => Credential::PrivateKey(Zeroizing::new(visit.form.raw("private_key").replace('\r', ""))),
        "certificate" => Credential::Certificate,
        _ => return Err(RegistryFault::Flaws(vec![Flaw::new("kind", Problem::Missing)]).into()),
    };
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::DeviceCredential, Value::Null)?;
    keys::store_credential(&visit.console.gate.store, by, record, (account, &credential), event).await?;
    Ok(())
}

/// `POST /devices/{id}/remove-credential`.
pub async fn remove(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageCredentials)?;
    let record = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::DeviceCredential, Value::Null)?;
    keys::remove_credential(&visit.console.gate.store, by, &record, visit.form.one("account"), event).await?;
    Ok(Redirect::to(&format!("/devices/{id}")).into_response())
}

fn fields(visit: &Request, record: &DeviceRecord) -> Form {
    let (t, r) = (visit.t(), visit.r());
    let accounts = record.device.accounts.iter().map(|account| Choice::new(&account.name, &account.name));
    let kinds = vec![
        Choice::new("password", r.a_password),
        Choice::new("key", r.a_private_key),
        Choice::new("certificate", r.a_certificate),
    ];
    let id = &record.device.id;
    Form {
        action: format!("/devices/{id}/credential"),
        back: format!("/devices/{id}"),
        lead: r.credential_lead,
        submit: r.save,
        seen: String::new(),
        fields: vec![
            Field::new("account", t.account_on_device, "", Input::One(accounts.collect())).required(),
            Field::new("kind", r.credential_kind, "", Input::One(kinds)).required(),
            Field::new("password", t.password, r.password_hint, Input::Secret),
            Field::new("private_key", r.a_private_key, r.private_key_hint, Input::SecretLines),
        ],
    }
}
