//! Verbs about the log of events.

use super::context::Context;
use super::error::CliError;
use super::output;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::id::PersonId;
use serde::Serialize;

/// Verbs about the log.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List events in their order
    List {
        /// Only those after this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        since: i64,
        /// Only this kind, such as session.open
        #[arg(long, value_parser = kind)]
        kind: Option<Kind>,
        /// Only those about, or done by, this person
        #[arg(long)]
        person: Option<PersonId>,
        /// At most so many, the newest
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Say where the transparency log, the keys that verify it and the recordings are
    Where,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_code(text).ok_or_else(|| format!("{text} is no kind of event: see the codes in `sekimori log list`"))
}

/// An event with its number.
#[derive(Serialize)]
struct Numbered {
    seq: i64,
    #[serde(flatten)]
    event: Event,
}

/// Events read from the store at once.
const BATCH: u32 = 1000;

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let Command::List { since, kind, person, limit } = command else { return places(context) };
    context.authority(Act::ReadLog).await?;
    let store = context.store().await?;
    let mut found = std::collections::VecDeque::new();
    let mut at = since;
    loop {
        let events = store.events_since(at, BATCH).await?;
        let Some(last) = events.last() else { break };
        at = last.seq;
        for stored in &events {
            let event = stored.event()?;
            let about = person.as_ref().is_none_or(|person| {
                event.person.as_ref() == Some(person) || event.actor.person.as_ref() == Some(person)
            });
            if about && kind.is_none_or(|kind| kind == event.kind) {
                found.push_back(Numbered { seq: stored.seq, event });
                if found.len() > limit {
                    found.pop_front();
                }
            }
        }
    }
    let found: Vec<Numbered> = found.into();
    output::list(
        context,
        &found,
        &[
            ("番号", |row| row.seq.to_string()),
            ("日時 (UTC)", |row| row.event.at.format("%Y-%m-%d %H:%M:%S").to_string()),
            ("種別", |row| row.event.kind.code().into()),
            ("実行者", |row| who(&row.event)),
            ("対象", |row| about(&row.event)),
            ("内容", |row| detail(&row.event)),
        ],
    )
}

/// The folders, for scripts that serve, mirror or verify them.
fn places(context: &Context) -> Result<(), CliError> {
    let config = &context.config;
    let places = serde_json::json!({
        "log": config.log_dir(),
        "keys": config.log_keys(),
        "recordings": config.recordings_dir(),
    });
    output::one(context, &places, || {
        let [log, keys, recordings] = [config.log_dir(), config.log_keys(), config.recordings_dir()];
        format!("log         {}\nkeys        {}\nrecordings  {}", log.display(), keys.display(), recordings.display())
    })
}

fn who(event: &Event) -> String {
    match (&event.actor.person, &event.actor.system_user) {
        (Some(person), Some(user)) => format!("{person} ({user})"),
        (Some(person), None) => person.to_string(),
        (None, Some(user)) => user.clone(),
        (None, None) => "関守".into(),
    }
}

fn about(event: &Event) -> String {
    let parts = [
        event.person.as_ref().map(ToString::to_string),
        event.device.as_ref().map(ToString::to_string),
        event.work.as_ref().map(ToString::to_string),
        event.source.map(|source| source.to_string()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The detail on one line, and not for ever.
fn detail(event: &Event) -> String {
    if event.detail.is_null() { String::new() } else { event.detail.to_string().chars().take(120).collect() }
}
