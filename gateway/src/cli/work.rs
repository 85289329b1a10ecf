//! Verbs about pieces of work (作業): from the request to the review. What may follow on what, and who may do it, is
//! `sekimori_policy::work`'s to say; here it is read, applied and written down.

#[cfg(test)]
pub mod office;
mod request;
#[cfg(test)]
mod tests;

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::work;
use chrono::{TimeDelta, TimeZone, Utc};
use clap::builder::PossibleValuesParser;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Language, Person};
use sekimori_policy::id::{PersonId, VendorId, WorkId};
use sekimori_policy::work::{State, Transition, Work};
use serde_json::{Value, json};

/// Verbs about work.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Request work: devices, persons, purpose, plan and window
    Request(request::Args),
    /// List pieces of work
    List {
        /// Only in this state
        #[arg(long, value_parser = PossibleValuesParser::new(STATES.map(State::code)))]
        state: Option<String>,
        /// Only this vendor's
        #[arg(long)]
        vendor: Option<VendorId>,
    },
    /// Show one piece of work with its history
    Show {
        /// Its ID
        id: WorkId,
    },
    /// Change a request; an approval is void after that
    Edit(request::Changes),
    /// Approve a request
    Approve {
        /// Its ID
        id: WorkId,
        /// On the condition that somebody of the hospital attends (立会い): sessions wait until somebody watches
        #[arg(long)]
        attendance: bool,
    },
    /// Reject a request
    Reject {
        /// Its ID
        id: WorkId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Move the end of the window that is open now
    Extend {
        /// Its ID
        id: WorkId,
        /// The new end
        #[arg(long, value_name = "TIME")]
        end: String,
    },
    /// Take a request, or what is left of its window, back
    Withdraw {
        /// Its ID
        id: WorkId,
    },
    /// End a piece of work at once; its sessions are cut
    CutOff {
        /// Its ID
        id: WorkId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Open access before the approval (緊急接続); the approval has to follow
    Emergency {
        #[command(flatten)]
        request: request::Args,
        /// Why it cannot wait
        #[arg(long)]
        reason: String,
        /// Hours within which it has to be approved
        #[arg(long, default_value_t = 24)]
        hours: u16,
    },
    /// Approve emergency access after the fact (事後承認)
    ApproveAfter {
        /// Its ID
        id: WorkId,
    },
    /// Refuse the approval after the fact: access ends at once
    RejectAfter {
        /// Its ID
        id: WorkId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Report what was done (作業報告)
    Report {
        /// Its ID
        id: WorkId,
        /// What was done
        #[arg(long)]
        text: String,
        /// Which personal data was accessed, if any was
        #[arg(long, value_name = "WHICH")]
        personal_data: Option<String>,
        /// The name of a file handed in with it; repeat for more
        #[arg(long = "file", value_name = "NAME")]
        files: Vec<String>,
        /// The person who reports; without it, the one this is done as
        #[arg(long, value_name = "PERSON")]
        by: Option<PersonId>,
    },
    /// Compare the report with the plan and confirm it (照合・確認), or send it back
    Review {
        /// Its ID
        id: WorkId,
        /// What was found
        #[arg(long)]
        comment: String,
        /// Another report is owed
        #[arg(long)]
        send_back: bool,
    },
}

/// The states, in the order in which work goes through them.
const STATES: [State; 13] = [
    State::Draft,
    State::Requested,
    State::Rejected,
    State::Approved,
    State::Open,
    State::Working,
    State::Ended,
    State::Reported,
    State::Reviewed,
    State::Withdrawn,
    State::Expired,
    State::CutOff,
    State::AwaitingRetrospectiveApproval,
];

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Request(args) => request::request(args, context).await,
        Command::Emergency { request, reason, hours } => {
            let deadline = Utc::now() + TimeDelta::hours(i64::from(hours));
            request::emergency(request, Transition::OpenEmergency { reason, deadline }, context).await
        }
        Command::Edit(changes) => request::edit(changes, context).await,
        Command::List { state, vendor } => list(state.as_deref(), vendor.as_ref(), context).await,
        Command::Show { id } => {
            context.authority(Act::ReadLog).await?;
            show(&known(&id, context).await?, context)
        }
        Command::Approve { id, attendance } => apply(&id, Transition::Approve { attendance }, None, context).await,
        Command::Reject { id, reason } => apply(&id, Transition::Reject { reason }, None, context).await,
        Command::Extend { id, end } => {
            let zone = known(&id, context).await?.request().window.zone();
            let local = context.local(&end, zone)?;
            let until = zone.from_local_datetime(&local).latest();
            let until = until.ok_or_else(|| CliError::Usage(format!("{end} does not exist in {zone}")))?.to_utc();
            apply(&id, Transition::Extend { until }, None, context).await
        }
        Command::Withdraw { id } => apply(&id, Transition::Withdraw, None, context).await,
        Command::CutOff { id, reason } => apply(&id, Transition::CutOff { reason }, None, context).await,
        Command::ApproveAfter { id } => apply(&id, Transition::ApproveRetrospectively, None, context).await,
        Command::RejectAfter { id, reason } => {
            apply(&id, Transition::RejectRetrospectively { reason }, None, context).await
        }
        Command::Report { id, text, personal_data, files, by } => {
            apply(&id, Transition::Report { text, personal_data, files }, by.as_ref(), context).await
        }
        Command::Review { id, comment, send_back: false } => {
            apply(&id, Transition::Confirm { comment }, None, context).await
        }
        Command::Review { id, comment, send_back: true } => {
            apply(&id, Transition::SendBack { comment }, None, context).await
        }
    }
}

/// A piece of work that exists.
async fn known(id: &WorkId, context: &Context) -> Result<Work, CliError> {
    let work = context.store().await?.work(id).await?;
    work.ok_or_else(|| CliError::NotFound(format!("no work {id}: see `sekimori work list`")))
}

/// The person in whose name a transition happens, and who is at the keyboard. Speaking for somebody else is for staff
/// who may request work on a vendor's behalf.
async fn speaker(by: Option<&PersonId>, context: &Context) -> Result<(Person, Actor), CliError> {
    let (person, actor) = context.person().await?;
    match by {
        Some(by) if *by != person.id => {
            let _authority = sekimori_policy::authority::may(&person, Act::RequestWork)?;
            let named = context.store().await?.person(by).await?;
            let named = named.ok_or_else(|| CliError::NotFound(format!("no person {by} is registered: check --by")))?;
            Ok((named, actor))
        }
        _ => Ok((person, actor)),
    }
}

async fn apply(id: &WorkId, transition: Transition, by: Option<&PersonId>, context: &Context) -> Result<(), CliError> {
    let before = known(id, context).await?;
    let (person, actor) = speaker(by, context).await?;
    let event = context.event(Kind::Work, &actor, Value::Null);
    show(&work::apply(context.store().await?, &before, transition, &person, event).await?, context)
}

fn event(work: &Work, actor: &Actor, detail: Value, context: &Context) -> Event {
    Event {
        vendor: Some(work.vendor().clone()),
        work: Some(work.id().clone()),
        ..context.event(Kind::Work, actor, detail)
    }
}

async fn list(state: Option<&str>, vendor: Option<&VendorId>, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let now = Utc::now();
    let mut works = context.store().await?.works().await?;
    works.retain(|work| {
        state.is_none_or(|state| work.state_at(now).code() == state)
            && vendor.is_none_or(|vendor| work.vendor() == vendor)
    });
    if context.json {
        return output::print_json(&works.iter().map(listing).collect::<Vec<_>>());
    }
    let rows: Vec<[String; 6]> = works
        .iter()
        .map(|work| {
            let next = work.occurrence_containing(now).or_else(|| work.request().window.next_after(now));
            let window = next
                .map_or("なし".into(), |span| format!("{} – {}", context.show(span.from), context.show(span.until)));
            [
                work.id().to_string(),
                label(work, context),
                work.vendor().to_string(),
                names(&work.request().devices),
                window,
                work.request().purpose.clone(),
            ]
        })
        .collect();
    output::list(
        context,
        &rows,
        &[
            ("作業", |[id, ..]| id.clone()),
            ("状態", |[_, state, ..]| state.clone()),
            ("事業者", |[_, _, vendor, ..]| vendor.clone()),
            ("機器", |[_, _, _, devices, ..]| devices.clone()),
            ("作業時間帯", |[_, _, _, _, window, _]| window.clone()),
            ("目的", |[.., purpose]| purpose.clone()),
        ],
    )
}

fn names<T: ToString>(names: &std::collections::BTreeSet<T>) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The state, marked for as long as an approval has to follow.
fn label(work: &Work, context: &Context) -> String {
    let state = work.state_at(Utc::now()).label(context.config.hospital.language);
    match work.awaiting_retrospective_approval() {
        Some(_) => format!("{state}（事後承認待ち）"),
        None => state.into(),
    }
}

/// A piece of work as programs read it: the document, with what follows from it and the time.
fn listing(work: &Work) -> Value {
    let now = Utc::now();
    let mut value = json!(work);
    if let Value::Object(fields) = &mut value {
        fields.insert("id".into(), json!(work.id()));
        fields.insert("state".into(), json!(work.state_at(now).code()));
        fields.insert("open_now".into(), json!(work.occurrence_containing(now)));
        fields.insert("report_due".into(), json!(work.report_due(now)));
        fields.insert("review_due".into(), json!(work.review_due(now)));
    }
    value
}

fn show(work: &Work, context: &Context) -> Result<(), CliError> {
    output::one(context, &listing(work), || {
        let request = work.request();
        let channels = request.channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut lines = vec![
            format!("作業:     {}  {}", work.id(), label(work, context)),
            format!("事業者:   {}  申請者 {}", work.vendor(), work.requested_by()),
            format!("目的:     {}", output::visible(&request.purpose)),
            format!("作業計画: {}", output::visible(&request.plan)),
            format!("保守要員: {}", names(&request.persons)),
            format!("機器:     {}", names(&request.devices)),
            format!("許可:     {channels}"),
        ];
        for span in request.window.occurrences().iter().take(5) {
            lines.push(format!("時間帯:   {} – {}", context.show(span.from), context.show(span.until)));
        }
        for entry in work.history() {
            let by = entry.by.as_ref().map_or("関守".into(), ToString::to_string);
            let note = entry.note.as_deref().map(output::visible).unwrap_or_default();
            lines.push(format!("  {}  {}  {by}  {note}", context.show(entry.at), entry.act));
        }
        let state = work.state_at(Utc::now()).label(Language::En);
        lines.push(format!("({state})"));
        lines.join("\n")
    })
}
