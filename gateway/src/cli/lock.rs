//! Verbs about incident locks (非常時遮断): everyone, a vendor, a person or a device, kept out at once.

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::store::{LockRecord, Store};
use chrono::Utc;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Lock, LockScope};
use sekimori_policy::id::{DeviceId, PersonId, VendorId, WorkId};
use serde_json::json;
use uuid::Uuid;

/// Verbs about incident locks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lock out; sessions that it covers end at once
    #[command(group(clap::ArgGroup::new("scope").required(true)))]
    Set {
        /// Everyone
        #[arg(long, group = "scope")]
        everyone: bool,
        /// One vendor's people
        #[arg(long, group = "scope")]
        vendor: Option<VendorId>,
        /// One person
        #[arg(long, group = "scope")]
        person: Option<PersonId>,
        /// One device, whoever comes
        #[arg(long, group = "scope")]
        device: Option<DeviceId>,
        /// Why: for the record, and for whoever is kept out
        #[arg(long)]
        reason: String,
        /// From when; at once if no time is named
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Until when; until it is lifted if no time is named
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// The one piece of work that may go on: the recorded investigation
        #[arg(long, value_name = "WORK")]
        except: Option<WorkId>,
    },
    /// Lift a lock
    Lift {
        /// Its ID
        id: Uuid,
    },
    /// List all locks, lifted ones too
    List,
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Set { everyone: _, vendor, person, device, reason, from, until, except } => {
            let scope = match (vendor, person, device) {
                (Some(vendor), _, _) => LockScope::Vendor(vendor),
                (_, Some(person), _) => LockScope::Person(person),
                (_, _, Some(device)) => LockScope::Device(device),
                (None, None, None) => LockScope::Everyone,
            };
            let from = from.map_or_else(|| Ok(Utc::now()), |text| context.time(&text))?;
            let until = until.map(|text| context.time(&text)).transpose()?;
            set(Lock { scope, from, until, reason, except }, context).await
        }
        Command::Lift { id } => {
            let (_, actor) = context.authority(Act::LiftLock).await?;
            let event = context.event(Kind::LockLift, &actor, json!({ "lock": id }));
            context.store().await?.lift_lock(id, event).await?;
            output::one(context, &json!({ "id": id }), || format!("lock {id} is lifted"))
        }
        Command::List => list(context).await,
    }
}

async fn set(lock: Lock, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::SetLock).await?;
    if lock.reason.trim().is_empty() {
        return Err(CliError::Usage("say why with --reason: the record needs it".into()));
    }
    if lock.until.is_some_and(|until| until <= lock.from) {
        return Err(CliError::Usage("the lock would end before it begins: check --from and --until".into()));
    }
    let store = context.store().await?;
    require_named(&lock, store).await?;
    let (vendor, person, device) = match &lock.scope {
        LockScope::Everyone => (None, None, None),
        LockScope::Vendor(vendor) => (Some(vendor.clone()), None, None),
        LockScope::Person(person) => (None, Some(person.clone()), None),
        LockScope::Device(device) => (None, None, Some(device.clone())),
    };
    let detail = json!({ "lock": lock });
    let event = Event { vendor, person, device, ..context.event(Kind::LockSet, &actor, detail) };
    let id = store.set_lock(&lock, event).await?;
    output::one(context, &json!({ "id": id, "lock": lock }), || {
        format!("locked: {}. Lift it with: sekimori lock lift {id}", scope(&lock.scope))
    })
}

/// A lock with a typing error in it would keep nobody out, and everybody would believe that it did.
async fn require_named(lock: &Lock, store: &Store) -> Result<(), CliError> {
    let (known, what) = match &lock.scope {
        LockScope::Everyone => (true, String::new()),
        LockScope::Vendor(id) => (store.vendor(id).await?.is_some(), format!("vendor {id}")),
        LockScope::Person(id) => (store.person(id).await?.is_some(), format!("person {id}")),
        LockScope::Device(id) => (store.device(id).await?.is_some(), format!("device {id}")),
    };
    if !known {
        return Err(CliError::NotFound(format!("no {what} is registered: nothing was locked")));
    }
    match &lock.except {
        Some(work) if store.work(work).await?.is_none() => {
            Err(CliError::NotFound(format!("no work {work} to except: nothing was locked; see `sekimori work list`")))
        }
        _ => Ok(()),
    }
}

fn scope(scope: &LockScope) -> String {
    match scope {
        LockScope::Everyone => "全員".into(),
        LockScope::Vendor(vendor) => format!("事業者 {vendor}"),
        LockScope::Person(person) => format!("保守要員 {person}"),
        LockScope::Device(device) => format!("機器 {device}"),
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let locks: Vec<LockRecord> = context.store().await?.locks().await?;
    if context.json {
        return output::print_json(&locks);
    }
    let shown: Vec<[String; 5]> = locks
        .iter()
        .map(|record| {
            let until = record.lifted.or(record.lock.until).map_or("解除まで".into(), |at| context.show(at));
            [
                record.id.to_string(),
                scope(&record.lock.scope),
                context.show(record.lock.from),
                until,
                record.lock.reason.clone(),
            ]
        })
        .collect();
    output::list(
        context,
        &shown,
        &[
            ("ID", |[id, ..]| id.clone()),
            ("対象", |[_, scope, ..]| scope.clone()),
            ("開始", |[_, _, from, ..]| from.clone()),
            ("終了", |[_, _, _, until, _]| until.clone()),
            ("理由", |[.., reason]| reason.clone()),
        ],
    )
}
