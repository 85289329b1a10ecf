//! Requests: what is applied for, and changing it.

use super::{event, known, show, speaker};
use crate::cli::context::{Context, date};
use crate::cli::error::CliError;
use crate::work::{self, Draft};
use chrono::Utc;
use chrono_tz::Tz;
use sekimori_audit::event::Kind;
use sekimori_policy::facts::Channel;
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Transition, Work};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A request, as it is typed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its ID; made from the date if none is chosen
    id: Option<WorkId>,
    /// The vendor
    #[arg(long)]
    vendor: VendorId,
    /// A person who will do it; repeat for more
    #[arg(long = "person", value_name = "PERSON", required = true)]
    persons: Vec<PersonId>,
    /// A device; repeat for more
    #[arg(long = "device", value_name = "DEVICE", required = true)]
    devices: Vec<DeviceId>,
    /// What for (目的)
    #[arg(long)]
    purpose: String,
    /// What will be done, step by step (作業計画書)
    #[arg(long)]
    plan: String,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    terms: Terms,
    /// The person who requests; without it, the one this is done as
    #[arg(long, value_name = "PERSON")]
    by: Option<PersonId>,
}

/// When.
#[derive(Debug, clap::Args)]
pub struct WindowArgs {
    /// The start, in local time
    #[arg(long, value_name = "TIME")]
    start: String,
    /// The end, in local time
    #[arg(long, value_name = "TIME")]
    end: String,
    #[command(flatten)]
    recurrence: Recurrence,
}

/// When again.
#[derive(Debug, clap::Args)]
pub struct Recurrence {
    /// The time zone; the hospital's if none is named
    #[arg(long)]
    zone: Option<Tz>,
    /// When again, as RFC 5545 says it: FREQ=WEEKLY;BYDAY=TU;COUNT=10
    #[arg(long, value_name = "RRULE")]
    rrule: Option<String>,
    /// A date on which it does not recur; repeat for more
    #[arg(long = "exclude", value_name = "DATE", requires = "rrule")]
    excluded: Vec<String>,
}

/// On what terms.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// What shall be opened (shell, exec, sftp, scp, forward:PORT); all that the devices offer if none is named
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<Channel>,
    /// An account on the devices; any if none is named; repeat for more
    #[arg(long = "account", value_name = "NAME")]
    accounts: Vec<String>,
    /// Personal data will be seen
    #[arg(long)]
    personal_data: bool,
    /// Somebody of the hospital shall attend (立会い)
    #[arg(long)]
    attendance: bool,
}

/// Changes of a request, as they are typed: what is not given stays.
#[derive(Debug, clap::Args)]
pub struct Changes {
    /// The work's ID
    id: WorkId,
    /// The persons who will do it, all of them
    #[arg(long = "person", value_name = "PERSON")]
    persons: Vec<PersonId>,
    /// The devices, all of them
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<DeviceId>,
    /// What for (目的)
    #[arg(long)]
    purpose: Option<String>,
    /// What will be done (作業計画書)
    #[arg(long)]
    plan: Option<String>,
    /// The start, in local time
    #[arg(long, value_name = "TIME", requires = "end")]
    start: Option<String>,
    /// The end, in local time
    #[arg(long, value_name = "TIME", requires = "start")]
    end: Option<String>,
    #[command(flatten)]
    recurrence: Recurrence,
    #[command(flatten)]
    terms: Terms,
    /// The person who changes it; without it, the one this is done as
    #[arg(long, value_name = "PERSON")]
    by: Option<PersonId>,
}

/// Puts a request forward.
pub async fn request(args: Args, context: &Context) -> Result<(), CliError> {
    show(&put_forward(&args, context).await?, context)
}

/// Puts a request forward and opens it at once.
pub async fn emergency(args: Args, open: Transition, context: &Context) -> Result<(), CliError> {
    let (person, actor) = context.person().await?;
    // Whether this person may open it is known before anything is written.
    let requester = speaker(args.by.as_ref(), context).await?.0;
    let store = context.store().await?;
    let drafted = work::drafted(store, context.zone(), &draft(&args, context)?, &requester).await?;
    drafted.apply(Transition::Submit, By::Person(&requester), Utc::now())?.apply(
        open.clone(),
        By::Person(&person),
        Utc::now(),
    )?;
    let requested = put_forward(&args, context).await?;
    let event = context.event(Kind::Work, &actor, Value::Null);
    show(&work::apply(store, &requested, open, &person, event).await?, context)
}

async fn put_forward(args: &Args, context: &Context) -> Result<Work, CliError> {
    let (person, actor) = speaker(args.by.as_ref(), context).await?;
    let event = context.event(Kind::Work, &actor, Value::Null);
    let draft = draft(args, context)?;
    Ok(work::put_forward(context.store().await?, context.zone(), &draft, &person, &event).await?)
}

fn draft(args: &Args, context: &Context) -> Result<Draft, CliError> {
    Ok(Draft {
        id: args.id.clone(),
        vendor: args.vendor.clone(),
        persons: args.persons.clone(),
        devices: args.devices.clone(),
        purpose: args.purpose.clone(),
        plan: args.plan.clone(),
        window: window(&args.window.start, &args.window.end, &args.window.recurrence, context)?,
        channels: args.terms.channels.clone(),
        accounts: args.terms.accounts.clone(),
        personal_data: args.terms.personal_data,
        attendance: args.terms.attendance,
    })
}

fn window(start: &str, end: &str, recurrence: &Recurrence, context: &Context) -> Result<Window, CliError> {
    let zone = recurrence.zone.unwrap_or(context.zone());
    let (start, end) = (context.local(start, zone)?, context.local(end, zone)?);
    let window = match &recurrence.rrule {
        None => Window::once(start, end, zone),
        Some(rrule) => {
            let excluded = recurrence.excluded.iter().map(|text| date(text)).collect::<Result<Vec<_>, _>>()?;
            Window::recurring(start, end, zone, rrule, excluded)
        }
    };
    // A window that cannot be is a mistake at the keyboard, not a refusal.
    window.map_err(|fault| CliError::Usage(fault.to_string()))
}

fn accounts(asked: &[String]) -> Option<BTreeSet<String>> {
    (!asked.is_empty()).then(|| asked.iter().cloned().collect())
}

/// Changes a request. What is not given stays as it is; a window is given whole.
pub async fn edit(changes: Changes, context: &Context) -> Result<(), CliError> {
    let recurrence = &changes.recurrence;
    if changes.start.is_none() && (recurrence.zone.is_some() || recurrence.rrule.is_some()) {
        let whole = "--zone and --rrule are part of a window: give --start and --end with them";
        return Err(CliError::Usage(whole.into()));
    }
    let before = known(&changes.id, context).await?;
    let (person, actor) = speaker(changes.by.as_ref(), context).await?;
    let mut request = before.request().clone();
    if !changes.persons.is_empty() {
        work::check_named(context.store().await?, before.vendor(), &changes.persons).await?;
        request.persons = changes.persons.into_iter().collect();
    }
    let others = !changes.devices.is_empty();
    if others {
        request.devices = changes.devices.into_iter().collect();
    }
    if let Some(purpose) = changes.purpose {
        request.purpose = purpose;
    }
    if let Some(plan) = changes.plan {
        request.plan = plan;
    }
    if let (Some(start), Some(end)) = (&changes.start, &changes.end) {
        request.window = window(start, end, &changes.recurrence, context)?;
    }
    // Other devices may not offer what was asked for before.
    if others || !changes.terms.channels.is_empty() {
        let asked = match changes.terms.channels.as_slice() {
            [] => request.channels.iter().copied().collect(),
            asked => asked.to_vec(),
        };
        let devices: Vec<DeviceId> = request.devices.iter().cloned().collect();
        request.channels = work::channels(context.store().await?, &asked, &devices).await?;
    }
    if let Some(asked) = accounts(&changes.terms.accounts) {
        request.accounts = Some(asked);
    }
    request.personal_data_expected |= changes.terms.personal_data;
    request.attendance |= changes.terms.attendance;
    let edit = Transition::Edit(Box::new(request));
    let detail = json!({ "transition": edit.code(), "by": person.id, "before": before.request() });
    let after = before.apply(edit, By::Person(&person), Utc::now())?;
    context.store().await?.update_work(&before, &after, event(&after, &actor, detail, context)).await?;
    show(&after, context)
}
