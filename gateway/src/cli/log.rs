//! Verbs about the log of events.

mod carry;
mod checkpoint;
mod rebuild;

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::seal::status::{State, Status};
use crate::seal::{self, Rotated};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::id::PersonId;
use serde::Serialize;
use std::path::PathBuf;

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
    /// Say how the transparency log stands: sealed how far, and whether it goes on; exit code 1 if it does not
    Status,
    /// Take in the answers of witnesses that were carried here, and leave requests for them: for closed networks
    Carry {
        /// The folder that is carried, as on a USB stick
        folder: PathBuf,
    },
    /// Compare every event of the database with its entry in the log: exit code 7 if one differs
    Compare,
    /// Print the newest checkpoint for paper: as text that can be typed back, and as a QR
    Checkpoint,
    /// Change the log's signing key: the old one introduces the next; prints the line for the file of verifier keys
    RotateKey,
    /// Write the log's folder anew from the database's events, where it was lost or damaged and no gateway serves; only if it
    /// agrees with every checkpoint that is left or given
    Rebuild {
        /// A checkpoint that was kept elsewhere, a paper typed back, or a witness's folder
        #[arg(long, value_name = "FILE")]
        anchor: Vec<PathBuf>,
        /// Take what lies behind the newest checkpoint at the database's word, where none is to be had that covers it
        #[arg(long)]
        trust_database: bool,
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
    match command {
        Command::List { since, kind, person, limit } => list(context, since, kind, person, limit).await,
        Command::Status => status(context).await,
        Command::Carry { folder } => carry::run(&folder, context).await,
        Command::Compare => compare(context).await,
        Command::Checkpoint => checkpoint::run(context),
        Command::RotateKey => rotate_key(context).await,
        Command::Rebuild { anchor, trust_database } => rebuild::run(&anchor, trust_database, context).await,
        Command::Where => places(context),
    }
}

/// Says whether the database holds what the log sealed.
async fn compare(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let compared = seal::compare::compare(context.store().await?, &context.config.log_dir()).await;
    let compared = compared.map_err(|fault| CliError::Failed(format!("{fault:#}")))?;
    output::one(context, &compared, || {
        let named = compared.differing.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        match compared.differ {
            0 => format!("{} events are as the log sealed them; {} wait", compared.events, compared.waiting),
            count => format!("{count} of {} events differ from what the log sealed: {named}", compared.events),
        }
    })?;
    if compared.agrees() { Ok(()) } else { Err(CliError::Verdict { code: 7 }) }
}

async fn list(
    context: &Context,
    since: i64,
    kind: Option<Kind>,
    person: Option<PersonId>,
    limit: usize,
) -> Result<(), CliError> {
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

/// How sealing stands, for people and for whatever watches over the gateway.
async fn status(context: &Context) -> Result<(), CliError> {
    let status = Status::of(&context.config, context.store().await?).await?;
    output::one(context, &status, || told(&status, context))?;
    match status.state {
        State::Stalled => Err(CliError::Failed(format!(
            "the log in {} is not being written: no session starts until it is; see `sekimori doctor`",
            context.config.log_dir().display()
        ))),
        State::Level | State::Sealing | State::Resting => Ok(()),
    }
}

fn told(status: &Status, context: &Context) -> String {
    let state = match status.state {
        State::Level => "封印済み / level: every event is sealed",
        State::Sealing => "封印中 / sealing",
        State::Resting => "停止中 / resting: no gateway serves, events are sealed when one does",
        State::Stalled => "封印不能 / STALLED: events wait for the log, no session starts",
    };
    let mut lines = vec![state.to_owned()];
    if let Some(checkpoint) = &status.checkpoint {
        lines.push(format!("log         {}", output::visible(&checkpoint.origin)));
        lines.push(format!("sealed      {} of {} events, root {}", checkpoint.size, status.events, checkpoint.root));
    }
    if let Some(seconds) = status.waiting_seconds {
        lines.push(format!("waiting     {} events, the oldest for {seconds} s", status.behind));
    }
    if let Some(since) = status.stalled_since {
        lines.push(format!("stalled     since {}", context.show(since)));
    }
    if let Some(address) = status.listen {
        let when = if status.serving { "" } else { ", once `sekimori serve` runs" };
        lines.push(format!("served      https://{address}/checkpoint, to anybody{when}"));
    }
    for witness in &status.witnesses {
        let cosigned = match (witness.size, witness.at) {
            (Some(size), Some(at)) => format!("cosigned {size} events at {}", context.show(at)),
            _ => "has cosigned nothing yet".to_owned(),
        };
        let silent = if witness.silent { ": 応答なし / SILENT" } else { "" };
        lines.push(format!("witness     {} {cosigned}{silent}", output::visible(&witness.name)));
    }
    if let Some(fault) = &status.fault {
        lines.push(format!("fault       {}", output::visible(fault)));
    }
    lines.join("\n")
}

async fn rotate_key(context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::RunService).await?;
    let event = context.event(Kind::LogKeyRotated, &actor, serde_json::Value::Null);
    let rotated = seal::rotate(&context.config, context.store().await?, event).await?;
    output::one(context, &rotated, || {
        let Rotated { key, number, size, sealed } = &rotated;
        let state = if *sealed {
            format!("封印済み / sealed: entry {size} of the log introduces it, and both keys signed there")
        } else {
            "未封印 / not sealed yet: the next start of the gateway does that first; see `sekimori log status`"
                .to_owned()
        };
        format!(
            "{state}\nkey {number}:\n{key}\n検証者の鍵ファイルにこの行を追記してください。 / Hand this line to \
             whoever verifies the log, for the end of their file of keys ({}).",
            context.config.log_keys().display()
        )
    })
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
