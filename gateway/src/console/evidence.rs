//! What an attestation of a terminal (接続端末の安全確認) rests on: files that its person brings with it, and that those who
//! decide, review or audit take. They are handed out as files to keep, never as pages, and each time is an event.

use super::fault::Fault;
use super::texts::evidence::Texts;
use super::upload::{self, Format, Upload};
use super::visit::{Request, Visit};
use crate::store::{Evidence, NewEvidence};
use crate::web::encoded;
use axum::extract::Path;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::log::sha256;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Attestation;
use sekimori_policy::id::PersonId;
use serde_json::json;
use uuid::Uuid;

/// The most bytes that a person brings in a day.
const DAY_BYTES: u64 = 50 << 20;

/// A file, as pages show it.
pub struct File {
    /// What it is found by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How large it is, in words.
    pub size: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

impl From<Evidence> for File {
    fn from(kept: Evidence) -> Self {
        let size = match kept.size {
            bytes @ 0..1024 => format!("{bytes} B"),
            bytes => format!("{} KiB", bytes.div_ceil(1024)),
        };
        Self { id: kept.id.to_string(), name: kept.name, size, sha256: kept.sha256 }
    }
}

/// What is known of a person's terminal.
pub struct Terminal {
    /// Whose.
    pub person: String,
    /// Until when the last word on it counts; `None`: there is none that does.
    pub until: Option<String>,
    /// What that rests on, in words.
    pub note: String,
    /// And in files.
    pub files: Vec<File>,
}

/// The last word of each of these people on their terminal that counts.
///
/// # Errors
/// The database's own failure.
pub async fn terminals<'a>(
    visit: &Request,
    persons: impl IntoIterator<Item = &'a PersonId>,
) -> Result<Vec<Terminal>, Fault> {
    let (store, now) = (&visit.console.gate.store, Utc::now());
    let mut terminals = Vec::new();
    for person in persons {
        let given = store.attestations(person).await?;
        let last = Attestation::in_force(&given, now);
        let files = match last {
            Some(last) => store.evidence_of(person, last.made_at).await?,
            None => Vec::new(),
        };
        terminals.push(Terminal {
            person: person.to_string(),
            until: last.map(|last| visit.show(last.expires_at)),
            note: last.map_or_else(String::new, |last| last.note.clone()),
            files: files.into_iter().map(File::from).collect(),
        });
    }
    Ok(terminals)
}

/// The files that came with an attestation, looked at.
///
/// # Errors
/// [`Fault::Invalid`], which names the file and what is taken in its place.
pub async fn brought(visit: &Request) -> Result<Vec<NewEvidence>, Fault> {
    let x = Texts::of(visit.language);
    let files = &visit.uploads.files;
    if visit.form.all(upload::SENT).count() != files.len() {
        return Err(Fault::Invalid(x.choose_again.to_owned()));
    }
    let refused =
        |file: &Upload, why: &str| Fault::Invalid(format!("{}: {why}", upload::file_name(&file.name, Format::Text)));
    if files.len() > upload::FILES {
        return Err(Fault::Invalid(x.too_many.to_owned()));
    }
    let mut brought = Vec::new();
    for file in files {
        let bytes = file.bytes.as_ref().ok_or_else(|| refused(file, x.too_large))?;
        let format = Format::of(bytes).ok_or_else(|| refused(file, x.not_taken))?;
        brought.push(NewEvidence {
            name: upload::file_name(&file.name, format),
            format: format.name(),
            sha256: sha256(bytes).hex(),
            bytes: bytes.clone(),
        });
    }
    let person = &visit.signed_in()?.person.id;
    let before = visit.console.gate.store.evidence_since(person, Utc::now() - TimeDelta::days(1)).await?;
    let now: usize = brought.iter().map(|file| file.bytes.len()).sum();
    if !brought.is_empty() && before.saturating_add(now as u64) > DAY_BYTES {
        return Err(Fault::Invalid(x.enough_today.to_owned()));
    }
    Ok(brought)
}

/// `GET /evidence/{id}`: a vendor's people take what their own vendor's brought, the hospital's all.
pub async fn take(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let id: Uuid = id.parse().map_err(|_| Fault::NotFound)?;
    let store = &visit.console.gate.store;
    let (kept, bytes) = store.evidence(id).await?.ok_or(Fault::NotFound)?;
    let owner = store.person(&kept.person).await?.ok_or(Fault::NotFound)?;
    match &visit.signed_in()?.person.vendor {
        Some(vendor) if owner.vendor.as_ref() == Some(vendor) => {}
        Some(_) => return Err(Fault::NotFound),
        None => drop(visit.authority(Act::ReadLog)?),
    }
    if sha256(&bytes).hex() != kept.sha256 {
        return Err(Fault::Failed(format!("evidence {id} is not what was brought: its SHA-256 differs")));
    }
    let event = Event {
        person: Some(owner.id),
        vendor: owner.vendor,
        ..visit.event(Kind::EvidenceViewed, json!({ "evidence": kept }))?
    };
    store.record(event).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{}", encoded(&kept.name, false))),
    ];
    Ok((headers, bytes.to_vec()).into_response())
}
