//! Verbs about the keeping of recordings: terms (保存期間), holds (保全), purges (廃棄).

use super::context::Context;
use super::error::CliError;
use super::output;
use super::session::Which;
use crate::retention::{self, MOST};
use crate::room::Room;
use crate::store::{Hold, KeptRow, Purge};
use chrono::Utc;
use sekimori_audit::event::Kind;
use sekimori_audit::recording::{sealed_path, working_folder};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Language;
use sekimori_policy::retention::{Class, Keeping};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Verbs about the keeping of recordings.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say how long each class is kept, what is due, and how long there is room
    Show,
    /// List recordings with where they stand, those that ended first at the top
    List {
        #[command(flatten)]
        which: Which,
        /// Only those whose time is over
        #[arg(long)]
        due: bool,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Hold recordings (保全), however old they become: the sessions named, or all that the options select
    Hold {
        /// The matter, such as incident-2027-03; what is held for one is released together
        matter: String,
        /// The sessions' IDs
        sessions: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// Why: for the record
        #[arg(long)]
        reason: String,
    },
    /// Let go of what is held for a matter
    Release {
        /// The matter
        matter: String,
        /// Only this session
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Why: for the record
        #[arg(long)]
        reason: String,
    },
    /// List the holds in force
    Holds,
    /// Propose to remove recordings whose time is over (廃棄): those named, or all; somebody else decides
    Propose {
        /// The sessions' IDs
        sessions: Vec<String>,
        /// Why: for the record, and for who decides
        #[arg(long)]
        reason: String,
    },
    /// List purges, the newest first
    Purges {
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one purge with its sessions
    Purge {
        /// Its ID
        id: Uuid,
    },
    /// Approve a purge that somebody else proposed, and remove the bytes; events and their fingerprints stay
    Approve {
        /// Its ID
        id: Uuid,
        /// A word for the record
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Reject a purge; who proposed it may take it back
    Reject {
        /// Its ID
        id: Uuid,
        /// Why: for the record
        #[arg(long)]
        reason: String,
    },
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Show => show(context).await,
        Command::List { which, due, limit } => list(which, due, limit, context).await,
        Command::Hold { matter, sessions, which, reason } => hold(&matter, &sessions, which, &reason, context).await,
        Command::Release { matter, session, reason } => release(&matter, session.as_deref(), &reason, context).await,
        Command::Holds => holds(context).await,
        Command::Propose { sessions, reason } => propose(&sessions, &reason, context).await,
        Command::Purges { limit } => purges(limit, context).await,
        Command::Purge { id } => {
            context.authority(Act::ReadLog).await?;
            let purge = context.store().await?.purge(id).await?;
            output::one(context, &purge, || describe(&purge, context))
        }
        Command::Approve { id, note } => approve(id, &note, context).await,
        Command::Reject { id, reason } => reject(id, &reason, context).await,
    }
}

async fn show(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let (store, terms) = (context.store().await?, context.config.retention);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    retention::judged(store, &terms, Utc::now(), |_, standing| {
        *counts.entry(standing.label(Language::Ja)).or_default() += 1;
        true
    })
    .await?;
    let waiting = store.purges(1000).await?.iter().filter(|purge| purge.decided.is_none()).count();
    let room = Room::look(&context.config, store).await.map_err(|fault| CliError::Failed(fault.to_string()))?;
    let terms: BTreeMap<Class, Option<u32>> = Class::ALL.into_iter().map(|class| (class, terms.of(class))).collect();
    let value = json!({
        "days": terms, "recordings": counts, "purges_waiting": waiting, "room": room, "days_left": room.days_left(),
    });
    output::one(context, &value, || {
        let mut lines = vec!["保存期間（セッション終了から）:".to_owned()];
        for (class, days) in &terms {
            let days = days.map_or("永久".to_owned(), |days| format!("{days} 日"));
            lines.push(format!("  {}: {days}", class.label(Language::Ja)));
        }
        lines.push("操作記録:".to_owned());
        lines.extend(counts.iter().map(|(label, count)| format!("  {label}: {count} 件")));
        lines.push(format!("決定待ちの廃棄申請: {waiting} 件"));
        lines.push(format!("空き容量: {} MiB（予備 {} MiB）", room.free >> 20, room.reserve >> 20));
        lines.push(match (room.a_day, room.days_left()) {
            (Some(a_day), Some(days)) => format!("増加: 1日 {} MiB、あと約 {days} 日", a_day >> 20),
            _ => "増加: 1日分の記録がまだありません".to_owned(),
        });
        lines.join("\n")
    })
}

/// A recording as a listing shows it.
#[derive(Serialize)]
struct Listed {
    session: Uuid,
    opened: String,
    person: String,
    device: String,
    work: String,
    bytes: Option<u64>,
    #[serde(flatten)]
    standing: Keeping,
    #[serde(skip)]
    until: String,
}

impl Listed {
    fn new(kept: &KeptRow, standing: Keeping, context: &Context) -> Self {
        let opening = &kept.row.opening;
        let folder = working_folder(&context.config.recordings_dir(), opening.id, opening.opened);
        let until = match &standing {
            Keeping::Kept { class, until: at } | Keeping::Due { class, since: at } => {
                format!("{}（{}）", context.show(*at), class.label(Language::Ja))
            }
            Keeping::ForGood { class } => class.label(Language::Ja).to_owned(),
            Keeping::Held { matters } => matters.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            Keeping::Purged { .. } | Keeping::Live | Keeping::Unsealed | Keeping::Unsettled => String::new(),
        };
        Self {
            session: opening.id,
            opened: context.show(opening.opened),
            person: opening.person.to_string(),
            device: opening.device.to_string(),
            work: opening.work.to_string(),
            bytes: std::fs::metadata(sealed_path(&folder)).ok().map(|found| found.len()),
            standing,
            until,
        }
    }
}

async fn list(which: Which, due: bool, limit: u32, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let (store, terms) = (context.store().await?, context.config.retention);
    let filter = which.filter(limit, context)?;
    let mut rows = Vec::new();
    retention::judged(store, &terms, Utc::now(), |kept, standing| {
        if filter.fits(&kept.row) && (!due || matches!(standing, Keeping::Due { .. })) {
            rows.push(Listed::new(&kept, standing, context));
        }
        rows.len() < limit as usize
    })
    .await?;
    output::list(
        context,
        &rows,
        &[
            ("セッション", |row| row.session.to_string()),
            ("開始", |row| row.opened.clone()),
            ("保守要員", |row| row.person.clone()),
            ("機器", |row| row.device.clone()),
            ("作業", |row| row.work.clone()),
            ("MiB", |row| row.bytes.map_or("-".into(), |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0))),
            ("状態", |row| row.standing.label(Language::Ja).to_owned()),
            ("期限", |row| row.until.clone()),
        ],
    )
}

async fn named(sessions: &[String], context: &Context) -> Result<Vec<Uuid>, CliError> {
    let mut ids = Vec::new();
    for session in sessions {
        ids.push(context.store().await?.session(session).await?.opening.id);
    }
    Ok(ids)
}

fn require_words(reason: &str) -> Result<(), CliError> {
    match reason.trim().is_empty() {
        true => Err(CliError::Usage("say why with --reason: the record needs it".into())),
        false => Ok(()),
    }
}

fn require_matter(matter: &str) -> Result<(), CliError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=64).contains(&matter.chars().count()) && matter.chars().all(plain) {
        true => Ok(()),
        false => Err(CliError::Usage("a matter is named by 1 to 64 letters, digits, '-', '_' and '.'".into())),
    }
}

async fn hold(
    matter: &str,
    sessions: &[String],
    which: Which,
    reason: &str,
    context: &Context,
) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::HoldRecordings).await?;
    require_words(reason)?;
    require_matter(matter)?;
    let store = context.store().await?;
    let mut ids = named(sessions, context).await?;
    if which.narrows() {
        let filter = which.filter(u32::MAX, context)?;
        ids.extend(store.sessions(&filter).await?.into_iter().map(|row| row.opening.id));
    } else if ids.is_empty() {
        return Err(CliError::Usage("name sessions, or select them with --person, --device, --vendor, --since".into()));
    }
    let held = store.hold(&ids, matter, reason, context.event(Kind::RecordingHeld, &actor, Value::Null)).await?;
    output::one(context, &json!({ "matter": matter, "held": held }), || {
        format!("{matter}: {} 件を保全しました。解除: sekimori retention release {matter} --reason …", held.len())
    })
}

async fn release(matter: &str, session: Option<&str>, reason: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ReleaseRecordings).await?;
    require_words(reason)?;
    let store = context.store().await?;
    let session = match session {
        Some(session) => Some(store.session(session).await?.opening.id),
        None => None,
    };
    let event = context.event(Kind::RecordingReleased, &actor, Value::Null);
    let released = store.release(matter, session, reason, event).await?;
    if released.is_empty() {
        return Err(CliError::NotFound(format!("nothing is held for {matter}: see `sekimori retention holds`")));
    }
    output::one(context, &json!({ "matter": matter, "released": released }), || {
        format!("{matter}: {} 件の保全を解除しました", released.len())
    })
}

async fn holds(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let holds = context.store().await?.holds().await?;
    let shown: Vec<Shown<Hold>> =
        holds.into_iter().map(|hold| Shown { at: context.show(hold.held), row: hold }).collect();
    output::list(
        context,
        &shown,
        &[
            ("案件", |hold| hold.row.matter.clone()),
            ("セッション", |hold| hold.row.session.to_string()),
            ("開始", |hold| hold.at.clone()),
            ("実施者", |hold| hold.row.held_by.clone()),
            ("理由", |hold| hold.row.reason.clone()),
        ],
    )
}

/// A row, and a time of it as people read it.
#[derive(Serialize)]
struct Shown<T> {
    #[serde(flatten)]
    row: T,
    #[serde(skip)]
    at: String,
}

async fn propose(sessions: &[String], reason: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ProposePurge).await?;
    require_words(reason)?;
    let (store, terms) = (context.store().await?, context.config.retention);
    let sessions = named(sessions, context).await?;
    let event = context.event(Kind::PurgeProposed, &actor, Value::Null);
    let purge = retention::propose(store, &terms, &sessions, reason, event).await?;
    output::one(context, &purge, || {
        let more = if purge.sessions.len() == MOST { "（残りは次の申請で）" } else { "" };
        format!(
            "{} 件の廃棄を申請しました{more}。別の担当者の承認: sekimori --as PERSON retention approve {}",
            purge.sessions.len(),
            purge.id
        )
    })
}

async fn purges(limit: u32, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let purges = context.store().await?.purges(limit).await?;
    let shown: Vec<Shown<Purge>> =
        purges.into_iter().map(|purge| Shown { at: context.show(purge.proposed), row: purge }).collect();
    output::list(
        context,
        &shown,
        &[
            ("廃棄", |purge| purge.row.id.to_string()),
            ("申請", |purge| purge.at.clone()),
            ("申請者", |purge| purge.row.proposed_by.clone()),
            ("件数", |purge| purge.row.sessions.len().to_string()),
            ("状態", |purge| state(&purge.row).to_owned()),
            ("決定者", |purge| purge.row.decided_by.clone().unwrap_or_default()),
            ("理由", |purge| purge.row.reason.clone()),
        ],
    )
}

fn state(purge: &Purge) -> &'static str {
    match (purge.approved, purge.done) {
        (None, _) => "決定待ち",
        (Some(false), _) => "却下",
        (Some(true), None) => "承認（消去中）",
        (Some(true), Some(_)) => "廃棄済",
    }
}

fn describe(purge: &Purge, context: &Context) -> String {
    let mut lines = vec![
        format!("廃棄:   {}  {}", purge.id, state(purge)),
        format!("申請:   {}  {}  {}", context.show(purge.proposed), purge.proposed_by, output::visible(&purge.reason)),
    ];
    if let (Some(at), Some(by)) = (purge.decided, &purge.decided_by) {
        lines.push(format!("決定:   {}  {by}", context.show(at)));
    }
    lines.extend(purge.done.map(|at| format!("完了:   {}", context.show(at))));
    lines.extend(purge.sessions.iter().map(|(session, purged)| {
        let stays = purge.approved == Some(true) && !purged;
        format!("  {session}{}", if stays { "  保存（保全中、または期限前）" } else { "" })
    }));
    lines.join("\n")
}

async fn approve(id: Uuid, note: &str, context: &Context) -> Result<(), CliError> {
    let (person, actor) = context.person().await?;
    let (store, terms) = (context.store().await?, context.config.retention);
    let event = context.event(Kind::PurgeDecided, &actor, Value::Null);
    retention::decide(store, &terms, id, true, note, &person, event).await?;
    retention::sweep(store, &context.config.recordings_dir()).await?;
    let purge = store.purge(id).await?;
    output::one(context, &purge, || describe(&purge, context))
}

async fn reject(id: Uuid, reason: &str, context: &Context) -> Result<(), CliError> {
    let (person, actor) = context.person().await?;
    require_words(reason)?;
    let (store, terms) = (context.store().await?, context.config.retention);
    let event = context.event(Kind::PurgeDecided, &actor, Value::Null);
    let purge = retention::decide(store, &terms, id, false, reason, &person, event).await?;
    output::one(context, &purge, || describe(&purge, context))
}
