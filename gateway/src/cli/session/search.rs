//! Finds words in sessions: in what the database knows of them (files and their hashes), and in what was run and shown,
//! for which the recordings are opened. That somebody searched is an event before anything is looked at.

use super::folder;
use super::unlock::Unlock;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output;
use crate::store::{SessionFilter, SessionRow, Store};
use chrono::{DateTime, Utc};
use sekimori_audit::event::Kind;
use sekimori_audit::keys::Identities;
use sekimori_audit::recording::{Direction, RecordingError, Transfer, sealed_path};
use sekimori_audit::replay::{self, Source, Wanted};
use sekimori_policy::authority::Act;
use sekimori_policy::id::{DeviceId, PersonId};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use uuid::Uuid;

/// Results that are looked for: who gets more has asked for too little.
const MOST: usize = 10_000;

/// A result.
#[derive(Debug, Serialize)]
struct Found {
    session: Uuid,
    person: PersonId,
    device: DeviceId,
    channel: u32,
    at: DateTime<Utc>,
    /// The same as the hospital's clocks show it.
    #[serde(skip)]
    shown_at: String,
    text: String,
    /// The command that opens it at its moment.
    open: String,
}

/// Searches the sessions of a filter; without `unlock` only in what the database knows.
pub async fn run(
    words: &[String],
    filter: &SessionFilter,
    unlock: Option<&Unlock>,
    context: &Context,
) -> Result<(), CliError> {
    let wanted = Wanted::new(words).ok_or_else(|| CliError::Usage("there is no word to look for".into()))?;
    let (person, actor) = context.authority(Act::ReadRecordings).await?;
    let store = context.store().await?;
    let rows = store.sessions(filter).await?;
    let detail = json!({ "how": "search", "words": words, "sessions": rows.len(), "opened": unlock.is_some() });
    store.record(context.event(Kind::RecordingViewed, &actor, detail)).await?;
    let identities = unlock.map(|unlock| unlock.identities(&person.id, context)).transpose()?;
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for row in rows {
        if found.len() >= MOST {
            break;
        }
        found.extend(known(&row, &wanted, store).await?);
        let Some(identities) = &identities else { continue };
        let folder = folder(&row, context);
        if !sealed_path(&folder).exists() && !folder.exists() {
            continue;
        }
        let room = MOST.saturating_sub(found.len());
        match shown(&row, folder, identities.clone(), wanted.clone(), room).await? {
            Ok(shown) => found.extend(shown),
            // One that cannot be read must not hide what is in the others.
            Err(fault) => unread.push((row.opening.id, fault)),
        }
    }
    if found.len() >= MOST {
        eprintln!("these are the first {MOST}: there may be more; ask for more words, or for fewer sessions");
    }
    for one in &mut found {
        one.shown_at = context.show(one.at);
    }
    for (session, fault) in &unread {
        eprintln!("session {session} was not searched: {fault}");
    }
    output::list(
        context,
        &found,
        &[
            ("日時", |found| found.shown_at.clone()),
            ("保守要員", |found| found.person.to_string()),
            ("機器", |found| found.device.to_string()),
            ("内容", |found| output::visible(&found.text)),
            ("開く", |found| found.open.clone()),
        ],
    )?;
    match unread.len() {
        0 => Ok(()),
        count => Err(CliError::Failed(format!("{count} recordings could not be searched"))),
    }
}

/// What the database knows of a session.
async fn known(row: &SessionRow, wanted: &Wanted, store: &Store) -> Result<Vec<Found>, CliError> {
    let session = row.opening.id;
    let mut found = Vec::new();
    for transfer in store.transfers::<Transfer>(session).await? {
        let arrow = match transfer.direction {
            Direction::ToDevice => "→機器",
            Direction::FromDevice => "←機器",
        };
        let text = format!("{arrow} {}  {} バイト  SHA-256 {}", transfer.path, transfer.size, transfer.sha256);
        if wanted.are_in(&text) {
            found.push(result(row, transfer.channel, transfer.started, text, format!("show {session}")));
        }
    }
    Ok(found)
}

/// What its recording shows.
async fn shown(
    row: &SessionRow,
    folder: PathBuf,
    identities: Identities,
    wanted: Wanted,
    room: usize,
) -> Result<Result<Vec<Found>, RecordingError>, CliError> {
    let row = row.clone();
    let look = move || {
        let index = replay::open(Source::of(&folder, || Ok::<_, RecordingError>(identities))?)?;
        let mut found = Vec::new();
        replay::search(&index, &wanted, |hit| {
            if found.len() == room {
                return;
            }
            let (session, channel) = (row.opening.id, hit.line.channel);
            let how = match index.cast_of(channel) {
                Some(_) => format!("replay {session} --channel {channel} --at {}", hit.moment.as_secs()),
                None => format!("replay {session} --text"),
            };
            found.push(result(&row, channel, hit.line.at, hit.line.text, how));
        })?;
        Ok(found)
    };
    tokio::task::spawn_blocking(look).await.map_err(|fault| CliError::Failed(fault.to_string()))
}

fn result(row: &SessionRow, channel: u32, at: DateTime<Utc>, text: String, verb: String) -> Found {
    let (session, person, device) = (row.opening.id, row.opening.person.clone(), row.opening.device.clone());
    let (shown_at, open) = (String::new(), format!("sekimori session {verb}"));
    Found { session, person, device, channel, at, shown_at, text, open }
}
