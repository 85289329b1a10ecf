//! A device's host keys: what is pinned, what the device presents now, and pinning one of those. Whoever pins has compared
//! it with the device's own screen, and types its end: a page that is only clicked through pins nothing.

use super::devices::known;
use super::fault::Fault;
use super::page::{self, Frame};
use super::registry_texts;
use super::visit::{Request, Visit};
use crate::registry::keys::{must_have_host_keys, pin as pin_keys, unpin as unpin_key};
use crate::registry::{Flaw, Problem, RegistryFault};
use crate::ssh::equipment::{self, Presented};
use crate::store::DeviceRecord;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use sekimori_audit::event::Kind;
use sekimori_certs::host_key::fingerprint;
use sekimori_policy::authority::Act;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Devices that are looked at at once: each look opens several connections, and takes its time where nobody answers.
static LOOKS: Semaphore = Semaphore::const_new(2);
/// How many characters of a fingerprint are typed.
const TYPED: usize = 6;

struct PinnedRow {
    fingerprint: String,
    since: String,
}

struct PresentedRow {
    number: usize,
    kind: String,
    fingerprint: String,
    pinned: bool,
    needs: String,
    wrong: bool,
}

#[derive(Template)]
#[template(path = "host_keys.html")]
struct HostKeysPage {
    frame: Frame,
    r: &'static registry_texts::Texts,
    id: String,
    name: String,
    pinned: Vec<PinnedRow>,
    /// What the device presents, once it was asked.
    presented: Option<Vec<PresentedRow>>,
    /// Why it could not be asked.
    silent: Option<String>,
    may_pin: bool,
}

/// `GET /devices/{id}/host-keys`.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    page::shown(&page(&visit, &record, None, None).await?)
}

/// `POST /devices/{id}/scan`: asks the device; nothing is accepted.
pub async fn scan(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    must_have_host_keys(&record)?;
    match looked(&visit, &record).await? {
        Ok(presented) => page::shown(&page(&visit, &record, Some(rows(&presented)), None).await?),
        Err(silent) => {
            let page = page(&visit, &record, None, Some(silent)).await?;
            Ok(page::render(StatusCode::BAD_GATEWAY, &page))
        }
    }
}

/// `POST /devices/{id}/pin`: with its end typed, and with the second factor. The device is asked once more.
pub async fn pin(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    must_have_host_keys(&record)?;
    let wanted = visit.form.one("fingerprint");
    if !ends_with(wanted, visit.form.one("end")) {
        let row = PresentedRow {
            number: 0,
            kind: visit.form.one("kind").chars().take(40).collect(),
            fingerprint: wanted.chars().take(80).collect(),
            pinned: false,
            needs: String::new(),
            wrong: true,
        };
        let page = page(&visit, &record, Some(vec![row]), None).await?;
        return Ok(page::render(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    visit.demand_second_factor().await?;
    let presented = match looked(&visit, &record).await? {
        Ok(presented) => presented,
        Err(silent) => {
            let page = page(&visit, &record, None, Some(silent)).await?;
            return Ok(page::render(StatusCode::BAD_GATEWAY, &page));
        }
    };
    let keys: Vec<_> = presented.into_iter().map(|one| one.key).filter(|key| fingerprint(key) == wanted).collect();
    if keys.is_empty() {
        return Err(RegistryFault::Flaws(vec![Flaw::new("fingerprint", Problem::NotPresented)]).into());
    }
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::DeviceHostKey, Value::Null)?;
    pin_keys(&visit.console.gate.store, by, &record, &keys, &event).await?;
    back(&id)
}

/// `POST /devices/{id}/unpin`: with the second factor.
pub async fn unpin(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManageDevices)?;
    let record = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let event = visit.event(Kind::DeviceHostKey, Value::Null)?;
    unpin_key(&visit.console.gate.store, by, &record, visit.form.one("fingerprint"), event).await?;
    back(&id)
}

fn back(id: &str) -> Result<Response, Fault> {
    Ok(Redirect::to(&format!("/devices/{id}/host-keys")).into_response())
}

/// What the device presents, or why it does not.
async fn looked(visit: &Request, record: &DeviceRecord) -> Result<Result<Vec<Presented>, String>, Fault> {
    let _turn = LOOKS.try_acquire().map_err(|_| Fault::Conflict(visit.r().too_many_looks.into()))?;
    let limit = Duration::from_secs(visit.console.gate.config().ssh.dial_timeout_seconds);
    Ok(Box::pin(equipment::scan(record, limit)).await.map_err(|fault| fault.to_string()))
}

fn rows(presented: &[Presented]) -> Vec<PresentedRow> {
    let row = |(number, one): (usize, &Presented)| PresentedRow {
        number,
        kind: one.key.algorithm().to_string(),
        fingerprint: fingerprint(&one.key),
        pinned: false,
        needs: one.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        wrong: false,
    };
    presented.iter().enumerate().map(row).collect()
}

async fn page(
    visit: &Request,
    record: &DeviceRecord,
    presented: Option<Vec<PresentedRow>>,
    silent: Option<String>,
) -> Result<HostKeysPage, Fault> {
    let keys = visit.console.gate.store.host_keys(&record.device.id).await?;
    let presented = presented.map(|rows| {
        let pinned = |row: &PresentedRow| keys.iter().any(|key| key.fingerprint == row.fingerprint);
        rows.into_iter().map(|row| PresentedRow { pinned: pinned(&row), ..row }).collect()
    });
    Ok(HostKeysPage {
        frame: page::frame(visit, visit.r().host_keys),
        r: visit.r(),
        id: record.device.id.to_string(),
        name: record.name.clone(),
        pinned: keys
            .into_iter()
            .map(|key| PinnedRow { since: visit.show(key.pinned), fingerprint: key.fingerprint })
            .collect(),
        presented,
        silent,
        may_pin: must_have_host_keys(record).is_ok(),
    })
}

/// Whether these are the last characters of the fingerprint.
fn ends_with(fingerprint: &str, typed: &str) -> bool {
    typed.chars().count() == TYPED && fingerprint.starts_with("SHA256:") && fingerprint.ends_with(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_typed_whole_and_exactly() {
        let key = "SHA256:jTPzNbZRK8rmUIlJwiQhYv3QqVnPSXcuzJ2gzR6qFrE";
        assert!(ends_with(key, "R6qFrE"));
        for typed in ["", "E", "r6qfre", "6qFrE", "zR6qFrE", "R6qFrF", key] {
            assert!(!ends_with(key, typed), "{typed}");
        }
        assert!(!ends_with("R6qFrE", "R6qFrE"));
    }
}
