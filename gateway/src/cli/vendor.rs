//! Verbs about vendors (事業者): contract, networks, responsible person.

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::registry::{Problem, Switch, typed, vendors};
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Period, Person, Status, Vendor};
use sekimori_policy::id::VendorId;
use serde_json::Value;

/// Verbs about vendors.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a vendor under contract
    Add {
        /// Its ID
        id: VendorId,
        /// Its name, as the hospital writes it
        #[arg(long)]
        name: String,
        #[command(flatten)]
        details: Details,
    },
    /// List all vendors
    List,
    /// Show one vendor
    Show {
        /// Its ID
        id: VendorId,
    },
    /// Change what is given; the rest stays
    Change {
        /// Its ID
        id: VendorId,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Switch a vendor off for a time: its people's sessions end
    Suspend {
        /// Its ID
        id: VendorId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch a suspended vendor on again
    Resume {
        /// Its ID
        id: VendorId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch a vendor off for good: nobody switches it on again
    Retire {
        /// Its ID
        id: VendorId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// What may be said of a vendor.
#[derive(Debug, clap::Args)]
pub struct Details {
    /// The first day of the contract
    #[arg(long, value_name = "DATE")]
    contract_from: Option<String>,
    /// The last day of the contract
    #[arg(long, value_name = "DATE")]
    contract_until: Option<String>,
    /// A network its people come from; repeat for more
    #[arg(long = "source", value_name = "CIDR", value_parser = network)]
    sources: Vec<IpNet>,
    /// The responsible person (責任者)
    #[arg(long)]
    responsible: Option<String>,
    /// The PSIRT contact
    #[arg(long)]
    psirt: Option<String>,
}

/// A network, or one address.
///
/// # Errors
/// A text that says what a network looks like.
pub fn network(text: &str) -> Result<IpNet, String> {
    typed::network(text).map_err(|problem| problem.to_string())
}

impl Details {
    fn apply(&self, vendor: &mut Vendor, contract: Option<Period>) {
        if let Some(contract) = contract {
            vendor.contract = Some(contract);
        }
        if !self.sources.is_empty() {
            vendor.sources.clone_from(&self.sources);
        }
        if let Some(responsible) = &self.responsible {
            vendor.responsible.clone_from(responsible);
        }
        if let Some(psirt) = &self.psirt {
            vendor.psirt.clone_from(psirt);
        }
    }

    /// From the first moment of the first day to the last moment of the last, in the hospital's zone.
    /// A side that is not given stays as it is in `before`.
    fn contract(&self, before: Option<Period>, context: &Context) -> Result<Option<Period>, CliError> {
        if self.contract_from.is_none() && self.contract_until.is_none() {
            return Ok(None);
        }
        let missing = || CliError::Usage("a contract needs both --contract-from and --contract-until".into());
        let usage = |problem: Problem| CliError::Usage(problem.to_string());
        let zone = context.zone();
        let before = before.map(|term| typed::first_and_last(term, zone));
        let first = self.contract_from.as_deref().map(typed::date).transpose().map_err(usage)?;
        let last = self.contract_until.as_deref().map(typed::date).transpose().map_err(usage)?;
        let first = first.or(before.map(|days| days.0)).ok_or_else(missing)?;
        let last = last.or(before.map(|days| days.1)).ok_or_else(missing)?;
        typed::days(first, last, zone).map(Some).map_err(usage)
    }
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Add { id, name, details } => add(id, name, &details, context).await,
        Command::List => {
            context.authority(Act::ReadLedger).await?;
            let vendors = context.store().await?.vendors().await?;
            output::list(
                context,
                &vendors,
                &[
                    ("事業者", |vendor| vendor.id.to_string()),
                    ("名称", |vendor| vendor.name.clone()),
                    ("状態", |vendor| status(vendor.status).into()),
                    ("契約終了", |vendor| vendor.contract.map_or("未設定".into(), |term| day(term.until))),
                    ("接続元", |vendor| networks(&vendor.sources)),
                ],
            )
        }
        Command::Show { id } => {
            context.authority(Act::ReadLedger).await?;
            let vendor = context.store().await?.vendor(&id).await?;
            let vendor = vendor.ok_or_else(|| CliError::NotFound(format!("no vendor {id} is registered")))?;
            show(&vendor, context)
        }
        Command::Change { id, name, details } => {
            let before = context.store().await?.vendor(&id).await?.and_then(|vendor| vendor.contract);
            let contract = details.contract(before, context)?;
            let edit = |vendor: &mut Vendor| {
                details.apply(vendor, contract);
                if let Some(name) = &name {
                    vendor.name.clone_from(name);
                }
            };
            let (by, event) = done_by(context).await?;
            show(&vendors::change(context.store().await?, &by, &id, None, event, edit).await?, context)
        }
        Command::Suspend { id, reason } => switch(&id, Switch::Suspend, &reason, context).await,
        Command::Resume { id, reason } => switch(&id, Switch::Resume, &reason, context).await,
        Command::Retire { id, reason } => switch(&id, Switch::Retire, &reason, context).await,
    }
}

async fn add(id: VendorId, name: String, details: &Details, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    let contract = details.contract(None, context)?;
    let mut vendor = Vendor {
        id,
        name,
        status: Status::Active,
        contract: None,
        sources: Vec::new(),
        responsible: String::new(),
        psirt: String::new(),
    };
    details.apply(&mut vendor, contract);
    vendors::add(context.store().await?, &by, &vendor, event).await?;
    show(&vendor, context)
}

async fn switch(id: &VendorId, to: Switch, reason: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    show(&vendors::switch(context.store().await?, &by, id, (to, reason), event).await?, context)
}

/// Who does it, and the event that the act completes.
async fn done_by(context: &Context) -> Result<(Person, Event), CliError> {
    let (by, actor) = context.person().await?;
    Ok((by, context.event(Kind::VendorChange, &actor, Value::Null)))
}

fn show(vendor: &Vendor, context: &Context) -> Result<(), CliError> {
    output::one(context, vendor, || {
        let contract = vendor
            .contract
            .map_or("未設定".into(), |term| format!("{} – {}", context.show(term.from), context.show(term.until)));
        [
            format!("事業者:   {}  {}", vendor.id, output::visible(&vendor.name)),
            format!("状態:     {}", status(vendor.status)),
            format!("契約:     {contract}"),
            format!("接続元:   {}", networks(&vendor.sources)),
            format!("責任者:   {}", output::visible(&vendor.responsible)),
            format!("PSIRT:    {}", output::visible(&vendor.psirt)),
        ]
        .join("\n")
    })
}

/// A status, as screens name it.
#[must_use]
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "有効",
        Status::Suspended => "停止",
        Status::Retired => "廃止",
    }
}

/// Networks, as screens name them.
#[must_use]
pub fn networks(networks: &[IpNet]) -> String {
    if networks.is_empty() {
        return "未設定".into();
    }
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}
