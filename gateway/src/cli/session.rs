//! Verbs about sessions: list, show, cut. Looking at recordings is in `viewing`, what else is done to a live one in
//! `attending`.

mod attending;
mod bundle;
mod search;
pub mod unlock;
mod viewing;

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::store::{Cutting, SessionFilter, SessionRow, Store};
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::recording::{
    Direction, RecordingError, SealedIndex, Transfer, is_whole, sealed_path, working_folder,
};
use sekimori_policy::authority::Act;
use sekimori_policy::id::{DeviceId, PersonId, VendorId};
use serde_json::{Value, json};
use std::path::PathBuf;
use unlock::Unlock;

/// Verbs about sessions. An ID may be shortened to a beginning that no other has.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List sessions, the newest first
    List {
        /// Only those that are open now
        #[arg(long)]
        live: bool,
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one session: its channels, transfers and end
    Show {
        /// The session's ID
        id: String,
    },
    /// Play a terminal's recording: space pauses, arrows seek, + and - change the speed, q ends
    Replay {
        /// The session's ID
        id: String,
        /// The channel, where there are several
        #[arg(long)]
        channel: Option<u32>,
        /// How many times as fast
        #[arg(long, default_value_t = 1.0)]
        speed: f64,
        /// Cut pauses down to so many seconds
        #[arg(long, value_name = "SECONDS")]
        idle_limit: Option<f64>,
        /// Begin at this second
        #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
        at: f64,
        /// Print all text with its times instead
        #[arg(long)]
        text: bool,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// Find words in what was shown, run and transferred; each result says how to open it at its moment
    Search {
        /// Words that all have to stand in one line; case and width do not matter
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// At most in so many sessions, the newest
        #[arg(long, default_value_t = 1000)]
        sessions: u32,
        /// Only in files and their hashes, which needs no passphrase
        #[arg(long)]
        known: bool,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// Write the whole recording as a tar file, sealed as it is, after checking every byte of it
    #[command(group(clap::ArgGroup::new("to").required(true)))]
    Export {
        /// The session's ID
        id: String,
        /// The file to write; it must not exist
        #[arg(long, value_name = "FILE", group = "to")]
        out: Option<PathBuf>,
        /// The same for an outsider: with the session's events, their proofs, and a script that verifies all of it
        #[arg(long, value_name = "FILE", group = "to")]
        bundle: Option<PathBuf>,
        /// Open it first: the file holds the recording in clear
        #[arg(long)]
        opened: bool,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// Follow a live session as it happens; Ctrl-C ends the watching, not the session
    Watch {
        /// The session's ID
        id: String,
    },
    /// Say something on the terminals of a live session, under your name
    Message {
        /// The session's ID
        id: String,
        /// What the person reads, on one line
        text: String,
    },
    /// Hold what the person of a live session sends, until it is resumed; what the device says is shown still
    Pause {
        /// The session's ID
        id: String,
        /// Why: the person reads it
        #[arg(long)]
        reason: String,
    },
    /// Let a paused session go on: what was held is sent to the device
    Resume {
        /// The session's ID
        id: String,
    },
    /// End live sessions at once, on both sides
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Cut {
        /// The session's ID
        #[arg(group = "which")]
        id: Option<String>,
        /// All of a person
        #[arg(long, group = "which")]
        person: Option<PersonId>,
        /// All of a vendor
        #[arg(long, group = "which")]
        vendor: Option<VendorId>,
        /// All on a device
        #[arg(long, group = "which")]
        device: Option<DeviceId>,
        /// All there are
        #[arg(long, group = "which")]
        everyone: bool,
        /// Why: the person reads it
        #[arg(long)]
        reason: String,
    },
}

/// Which sessions.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only this person's
    #[arg(long)]
    person: Option<PersonId>,
    /// Only on this device
    #[arg(long)]
    device: Option<DeviceId>,
    /// Only this vendor's
    #[arg(long)]
    vendor: Option<VendorId>,
    /// Only those opened since
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

impl Which {
    /// Whether anything was named.
    pub(super) fn narrows(&self) -> bool {
        self.person.is_some() || self.device.is_some() || self.vendor.is_some() || self.since.is_some()
    }

    pub(super) fn filter(self, limit: u32, context: &Context) -> Result<SessionFilter, CliError> {
        let Self { person, device, vendor, since } = self;
        let since = since.map(|text| context.time(&text)).transpose()?;
        Ok(SessionFilter { live: false, person, device, vendor, since, limit: Some(limit) })
    }
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List { live, which, limit } => {
            list(&SessionFilter { live, ..which.filter(limit, context)? }, context).await
        }
        Command::Show { id } => show(&id, context).await,
        Command::Replay { id, channel, speed, idle_limit, at, text, unlock } => {
            let how = viewing::How { channel, speed, idle_limit, at, text };
            viewing::replay(&id, how, &unlock, context).await
        }
        Command::Search { words, which, sessions, known, unlock } => {
            let filter = which.filter(sessions, context)?;
            search::run(&words, &filter, (!known).then_some(&unlock), context).await
        }
        Command::Export { id, bundle: Some(out), opened, unlock, .. } => {
            bundle::export(&id, &out, opened.then_some(&unlock), context).await
        }
        Command::Export { id, out: Some(out), opened: false, .. } => viewing::export(&id, &out, context).await,
        Command::Export { id, out: Some(out), opened: true, unlock, .. } => {
            viewing::export_opened(&id, &out, &unlock, context).await
        }
        Command::Export { .. } => Err(CliError::Usage("give --out or --bundle".into())),
        Command::Watch { id } => viewing::watch(&id, context).await,
        Command::Message { id, text } => attending::message(&id, &text, context).await,
        Command::Pause { id, reason } => attending::pause(&id, &reason, context).await,
        Command::Resume { id } => attending::resume(&id, context).await,
        Command::Cut { id: Some(id), reason, .. } => cut(&id, &reason, context).await,
        Command::Cut { id: None, person, vendor, device, everyone: _, reason } => {
            let which = match (person, vendor, device) {
                (Some(person), _, _) => Cutting::Person(person),
                (_, Some(vendor), _) => Cutting::Vendor(vendor),
                (_, _, Some(device)) => Cutting::Device(device),
                (None, None, None) => Cutting::Everyone,
            };
            cut_all(&which, &reason, context).await
        }
    }
}

async fn list(filter: &SessionFilter, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let rows = context.store().await?.sessions(filter).await?;
    if context.json {
        return output::print_json(&rows.iter().map(listing).collect::<Vec<_>>());
    }
    let rows: Vec<Shown> =
        rows.into_iter().map(|row| Shown { opened: context.show(row.opening.opened), row }).collect();
    output::list(
        context,
        &rows,
        &[
            ("セッション", |shown| shown.row.opening.id.to_string()),
            ("開始", |shown| shown.opened.clone()),
            ("時間", |shown| duration(&shown.row)),
            ("保守要員", |shown| shown.row.opening.person.to_string()),
            ("機器", |shown| format!("{} ({})", shown.row.opening.device, shown.row.opening.account)),
            ("作業", |shown| shown.row.opening.work.to_string()),
            ("接続元", |shown| shown.row.opening.source.to_string()),
            ("終了理由", |shown| {
                shown.row.closing.as_ref().map_or(going(&shown.row).into(), |end| end.code.clone())
            }),
        ],
    )
}

#[derive(serde::Serialize)]
struct Shown {
    opened: String,
    row: SessionRow,
}

/// A session as programs read it: flat, with the end beside the beginning.
fn listing(row: &SessionRow) -> Value {
    let mut value = json!(row.opening);
    if let Value::Object(fields) = &mut value {
        let closing = row.closing.as_ref();
        fields.insert("closed".into(), json!(closing.map(|end| end.at)));
        // The code, and after a cut the words of whoever asked for it.
        let reason = closing.map(|end| match &row.cut {
            Some(cut) if end.code == "cut" => format!("cut: {}", cut.reason),
            _ => end.code.clone(),
        });
        fields.insert("reason".into(), json!(reason));
        fields.insert("reason_text".into(), json!(closing.map(|end| &end.reason)));
        fields.insert("counts".into(), json!(closing.map(|end| end.counts)));
        fields.insert("cut".into(), json!(row.cut));
        fields.insert("pause".into(), json!(row.pause));
        fields.insert("purged".into(), json!(row.purged));
    }
    value
}

/// How a session stands that has not ended.
fn going(row: &SessionRow) -> &'static str {
    if row.pause.is_some() { "一時停止中" } else { "接続中" }
}

fn duration(row: &SessionRow) -> String {
    let end = row.closing.as_ref().map_or_else(chrono::Utc::now, |end| end.at);
    let seconds = (end - row.opening.opened).num_seconds().max(0);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

async fn show(id: &str, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let store = context.store().await?;
    let row = store.session(id).await?;
    let session = row.opening.id;
    let (recording, looked) = looked_at(&row, context);
    let channels = store.channels(session).await?;
    let transfers: Vec<Transfer> = store.transfers(session).await?;
    let events = store.events_of_session(session).await?;
    let mut value = listing(&row);
    if let Value::Object(fields) = &mut value {
        fields.insert("channels".into(), json!(channels));
        fields.insert("transfers".into(), json!(transfers));
        fields.insert("recording".into(), json!(recording));
        fields.insert("sealed".into(), json!(matches!(looked, Looked::Sealed { .. })));
        fields.insert("whole".into(), json!(looked.is_whole()));
        fields.insert("events".into(), json!(events.iter().map(|event| event.seq).collect::<Vec<_>>()));
    }
    output::one(context, &value, || describe(&row, &looked, &transfers, context))
}

fn describe(row: &SessionRow, looked: &Looked, transfers: &[Transfer], context: &Context) -> String {
    let opening = &row.opening;
    let mut lines = vec![
        format!("セッション: {}", opening.id),
        format!("保守要員:   {} ({})  接続元 {}", opening.person, opening.vendor, opening.source),
        format!("機器:       {} ({})  作業 {}", opening.device, output::visible(&opening.account), opening.work),
        format!("開始:       {}  {}", context.show(opening.opened), duration(row)),
    ];
    match &row.closing {
        Some(end) => lines.push(format!("終了:       {}  {}（{}）", context.show(end.at), end.reason, end.code)),
        None => lines.push(format!("終了:       {}", going(row))),
    }
    for transfer in transfers {
        let arrow = match transfer.direction {
            Direction::ToDevice => "→機器",
            Direction::FromDevice => "←機器",
        };
        let path = output::visible(&transfer.path);
        let whole = if transfer.complete { "" } else { "（未完了）" };
        lines.push(format!("転送 {arrow}: {path}  {} バイト  SHA-256 {}{whole}", transfer.size, transfer.sha256));
    }
    let torn = "（途中で途切れています）";
    let replay = format!("内容は sekimori session replay {} --text", opening.id);
    if let Some(purged) = row.purged {
        lines.push(format!("操作記録:   廃棄済み（{}）", context.show(purged)));
        return lines.join("\n");
    }
    lines.push(match looked {
        Looked::Working { whole } if *whole || row.closing.is_none() => "操作記録:   未封印".into(),
        Looked::Working { .. } => format!("操作記録:   未封印{torn}"),
        Looked::Sealed { whole: true } => format!("操作記録:   封印済み。{replay}"),
        Looked::Sealed { whole: false } => format!("操作記録:   封印済み{torn}。{replay}"),
        Looked::Unreadable(fault) => format!("操作記録:   読めません: {fault}"),
    });
    lines.join("\n")
}

/// What a recording tells without anybody's key; `whole` says that its session was closed in order.
enum Looked {
    /// It is not sealed yet.
    Working {
        whole: bool,
    },
    Sealed {
        whole: bool,
    },
    Unreadable(RecordingError),
}

impl Looked {
    fn is_whole(&self) -> bool {
        match self {
            Self::Working { whole } | Self::Sealed { whole } => *whole,
            Self::Unreadable(_) => false,
        }
    }
}

fn looked_at(row: &SessionRow, context: &Context) -> (PathBuf, Looked) {
    let folder = folder(row, context);
    let sealed = sealed_path(&folder);
    if !sealed.exists() {
        let looked = is_whole(&folder).map_or_else(Looked::Unreadable, |whole| Looked::Working { whole });
        return (folder, looked);
    }
    let whole = |index: SealedIndex| index.members.iter().any(|member| member.name == "manifest.json");
    let looked =
        SealedIndex::read(&sealed).map_or_else(Looked::Unreadable, |index| Looked::Sealed { whole: whole(index) });
    (sealed, looked)
}

/// Where the session's recording is while it is not sealed.
pub(super) fn folder(row: &SessionRow, context: &Context) -> PathBuf {
    working_folder(&context.config.recordings_dir(), row.opening.id, row.opening.opened)
}

async fn cut(id: &str, reason: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::CutOff).await?;
    attending::check("--reason", reason)?;
    let store = context.store().await?;
    let row = store.session(id).await?;
    if row.closing.is_some() {
        return Err(CliError::Conflict(format!("session {} has ended already", row.opening.id)));
    }
    let session = row.opening.id;
    let event = context.event(Kind::SessionCut, &actor, json!({ "reason": reason }));
    store.ask_cut(&Cutting::Session(session), reason, event).await?;
    match ended(store, session).await? {
        Some(row) => output::one(context, &listing(&row), || format!("session {session} is cut")),
        None => Err(CliError::Failed(format!(
            "the cut of {session} is recorded, but no gateway has carried it out yet: is `sekimori serve` running?"
        ))),
    }
}

async fn cut_all(which: &Cutting, reason: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::CutOff).await?;
    attending::check("--reason", reason)?;
    let store = context.store().await?;
    let event = context.event(Kind::SessionCut, &actor, json!({ "reason": reason }));
    let asked = store.ask_cut(which, reason, event).await?;
    for session in &asked {
        if ended(store, *session).await?.is_none() {
            return Err(CliError::Failed(format!(
                "the cut of {session} is recorded, but no gateway has carried it out yet"
            )));
        }
    }
    output::one(context, &asked, || format!("{} sessions are cut", asked.len()))
}

/// Waits until a gateway has carried the cut out.
async fn ended(store: &Store, session: uuid::Uuid) -> Result<Option<SessionRow>, CliError> {
    for _look in 0..100 {
        let row = store.session(&session.to_string()).await?;
        if row.closing.is_some() {
            return Ok(Some(row));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(None)
}

/// The event of looking at a recording, written before anything is shown. Refuses where the recording was removed.
async fn note_viewing(row: &SessionRow, kind: Kind, how: &str, context: &Context, act: Act) -> Result<(), CliError> {
    let (_, actor) = context.authority(act).await?;
    if let Some(purged) = row.purged {
        let (id, at) = (row.opening.id, context.show(purged));
        return Err(CliError::Conflict(format!(
            "the recording of session {id} was removed on {at}, after its time: see `sekimori retention purges`. Its \
             events are there: `sekimori session show {id}`"
        )));
    }
    let event = Event {
        person: Some(row.opening.person.clone()),
        vendor: Some(row.opening.vendor.clone()),
        device: Some(row.opening.device.clone()),
        work: Some(row.opening.work.clone()),
        session: Some(row.opening.id),
        ..context.event(kind, &actor, json!({ "how": how }))
    };
    context.store().await?.record(event).await?;
    Ok(())
}
