//! Verbs about devices (機器). Host keys and credentials are in `keys`.

mod keys;
mod speech;

use super::context::Context;
use super::error::CliError;
use super::ledger::typed as fields;
use super::output;
use super::vendor::{network, networks, status};
use crate::registry::{Switch, devices, typed};
use crate::store::{DeviceRecord, Dialect, Protocol};
use ipnet::IpNet;
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::ledger::Declared;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Account, Channel, Device, Language, Person, Status};
use sekimori_policy::id::DeviceId;
use serde_json::{Map, Value, json};
use speech::Speech;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Verbs about devices.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a device
    Add {
        /// Its ID, as engineers will type it
        id: DeviceId,
        /// Its name
        #[arg(long)]
        name: String,
        /// Where it listens; without a port, at the usual one of its protocol
        #[arg(long, value_name = "HOST[:PORT]", value_parser = address)]
        address: (String, Option<u16>),
        #[command(flatten)]
        details: Details,
    },
    /// List all devices
    List,
    /// Show one device with its host keys and the kinds of its credentials
    Show {
        /// Its ID
        id: DeviceId,
    },
    /// Change what is given; the rest stays
    Change {
        /// Its ID
        id: DeviceId,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// Where it listens; without a port, at the usual one of its protocol
        #[arg(long, value_name = "HOST[:PORT]", value_parser = address)]
        address: Option<(String, Option<u16>)>,
        #[command(flatten)]
        details: Details,
    },
    /// Switch a device off for a time: sessions on it end
    Suspend {
        /// Its ID
        id: DeviceId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch a suspended device on again
    Resume {
        /// Its ID
        id: DeviceId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take a device out of use for good: nobody switches it on again
    Retire {
        /// Its ID
        id: DeviceId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show the host keys that the device presents now; nothing is accepted
    ScanKeys {
        /// Its ID
        id: DeviceId,
    },
    /// Pin a host key that somebody has compared with the device's own
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Pin {
        /// Its ID
        id: DeviceId,
        /// The fingerprint read at the device; it is scanned again and must match
        #[arg(long, group = "which", value_name = "SHA256:…")]
        fingerprint: Option<String>,
        /// A file with the device's host keys (known_hosts or .pub)
        #[arg(long, group = "which", value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Remove a pinned host key
    Unpin {
        /// Its ID
        id: DeviceId,
        /// `SHA256:…`
        fingerprint: String,
    },
    /// Store the credential of an account; it is sealed, and never shown again
    #[command(group(clap::ArgGroup::new("kind").required(true)))]
    Credential {
        /// Its ID
        id: DeviceId,
        /// The account on the device
        account: String,
        /// A password, typed twice
        #[arg(long, group = "kind")]
        password: bool,
        /// A password, one line of standard input
        #[arg(long, group = "kind")]
        password_stdin: bool,
        /// An OpenSSH private key without a passphrase
        #[arg(long, group = "kind", value_name = "FILE")]
        key: Option<PathBuf>,
        /// Short-lived certificates of the gateway's authority (see `sekimori ca show`)
        #[arg(long, group = "kind")]
        certificate: bool,
    },
    /// Remove the credential of an account
    CredentialRemove {
        /// Its ID
        id: DeviceId,
        /// The account on the device
        account: String,
    },
}

/// What may be said of a device.
#[derive(Debug, clap::Args)]
pub struct Details {
    /// An account on the device, `NAME` or `NAME:shared`; the first is the default; repeat for more
    #[arg(long = "account", value_name = "NAME[:shared]", value_parser = account)]
    accounts: Vec<Account>,
    /// What may be opened: shell, exec, sftp, scp; repeat for more
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<Channel>,
    /// A TCP port that may be forwarded; repeat for more
    #[arg(long = "forward", value_name = "PORT")]
    forwards: Vec<u16>,
    /// A network from which the device may be maintained; repeat for more
    #[arg(long = "source", value_name = "CIDR", value_parser = network)]
    sources: Vec<IpNet>,
    #[command(flatten)]
    speech: Speech,
    /// A field of its ledger row; repeat for more
    #[arg(long = "ledger", value_name = "FIELD=VALUE")]
    ledger: Vec<String>,
}

fn address(text: &str) -> Result<(String, Option<u16>), String> {
    typed::address(text).map_err(|problem| problem.to_string())
}

fn account(text: &str) -> Result<Account, String> {
    typed::account(text).map_err(|problem| problem.to_string())
}

impl Details {
    fn apply(&self, record: &mut DeviceRecord) {
        let device = &mut record.device;
        if !self.accounts.is_empty() {
            device.accounts.clone_from(&self.accounts);
        }
        if !self.channels.is_empty() || !self.forwards.is_empty() {
            let forwards = self.forwards.iter().map(|port| Channel::Forward(*port));
            device.channels = self.channels.iter().copied().chain(forwards).collect();
        }
        if !self.sources.is_empty() {
            device.sources.clone_from(&self.sources);
        }
        self.speech.apply(record);
    }

    /// The ledger row with the fields that were given, judged as `ledger set` judges them.
    fn ledger(&self, before: &Value, device: &DeviceId) -> Result<Value, CliError> {
        let declared: Declared = serde_json::from_value(before.clone())
            .map_err(|fault| CliError::Failed(format!("the ledger row of {device} is not usable: {fault}")))?;
        Ok(if self.ledger.is_empty() { json!(declared) } else { json!(fields::set(&declared, &self.ledger)?) })
    }
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Add { id, name, address, details } => add(id, name, address, &details, context).await,
        Command::List => list(context).await,
        Command::Show { id } => {
            context.authority(Act::ReadLedger).await?;
            show(&known(&id, context).await?, context).await
        }
        Command::Change { id, name, address, details } => {
            let row = details.ledger(&known(&id, context).await?.ledger, &id)?;
            let edit = |record: &mut DeviceRecord| {
                details.apply(record);
                if !details.ledger.is_empty() {
                    record.ledger.clone_from(&row);
                }
                if let Some(name) = &name {
                    record.name.clone_from(name);
                }
                if let Some((host, port)) = &address {
                    let usual = record.dialect.protocol.port();
                    (record.host, record.port) = (host.clone(), port.unwrap_or(usual));
                }
            };
            let (by, event) = done_by(context).await?;
            show(&devices::change(context.store().await?, &by, &id, None, event, edit).await?, context).await
        }
        Command::Suspend { id, reason } => switch(&id, Switch::Suspend, &reason, context).await,
        Command::Resume { id, reason } => switch(&id, Switch::Resume, &reason, context).await,
        Command::Retire { id, reason } => switch(&id, Switch::Retire, &reason, context).await,
        Command::ScanKeys { id } => keys::scan_keys(&id, context).await,
        Command::Pin { id, fingerprint, key } => keys::pin(&id, fingerprint.as_deref(), key.as_deref(), context).await,
        Command::Unpin { id, fingerprint } => keys::unpin(&id, &fingerprint, context).await,
        Command::Credential { id, account, password: _, password_stdin, key, certificate } => {
            let kind = match (key, certificate) {
                (Some(file), _) => keys::Given::Key(file),
                (None, true) => keys::Given::Certificate,
                (None, false) => keys::Given::Password { stdin: password_stdin },
            };
            keys::credential(&id, &account, kind, context).await
        }
        Command::CredentialRemove { id, account } => keys::remove_credential(&id, &account, context).await,
    }
}

/// A device that is registered.
async fn known(id: &DeviceId, context: &Context) -> Result<DeviceRecord, CliError> {
    let record = context.store().await?.device(id).await?;
    record.ok_or_else(|| CliError::NotFound(format!("no device {id} is registered: see `sekimori device list`")))
}

async fn add(
    id: DeviceId,
    name: String,
    (host, port): (String, Option<u16>),
    details: &Details,
    context: &Context,
) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    let device =
        Device { id, status: Status::Active, sources: Vec::new(), accounts: Vec::new(), channels: BTreeSet::new() };
    let mut record =
        DeviceRecord { device, name, host, port: 0, dialect: Dialect::default(), ledger: Value::Object(Map::new()) };
    details.apply(&mut record);
    record.port = port.unwrap_or(record.dialect.protocol.port());
    record.ledger = details.ledger(&record.ledger, &record.device.id)?;
    devices::add(context.store().await?, &by, &record, event).await?;
    show(&record, context).await
}

async fn switch(id: &DeviceId, to: Switch, reason: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    show(&devices::switch(context.store().await?, &by, id, (to, reason), event).await?, context).await
}

/// Who does it, and the event that the act completes.
async fn done_by(context: &Context) -> Result<(Person, Event), CliError> {
    let (by, actor) = context.person().await?;
    Ok((by, context.event(Kind::DeviceChange, &actor, Value::Null)))
}

async fn list(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLedger).await?;
    let records = context.store().await?.devices().await?;
    output::list(
        context,
        &records,
        &[
            ("機器", |record| record.device.id.to_string()),
            ("名称", |record| record.name.clone()),
            ("アドレス", |record| format!("{}:{}", record.host, record.port)),
            ("状態", |record| status(record.device.status).into()),
            ("アカウント", |record| accounts(&record.device)),
            ("許可", |record| channels(&record.device)),
        ],
    )
}

fn accounts(device: &Device) -> String {
    let names = device
        .accounts
        .iter()
        .map(|account| if account.shared { format!("{}（共用）", account.name) } else { account.name.clone() });
    names.collect::<Vec<_>>().join(", ")
}

fn channels(device: &Device) -> String {
    device.channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

async fn show(record: &DeviceRecord, context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    let keys = store.host_keys(&record.device.id).await?;
    let credentials = store.credentials(&record.device.id).await?;
    let value = json!({
        "id": record.device.id, "device": record.device, "name": record.name,
        "address": format!("{}:{}", record.host, record.port),
        "dialect": record.dialect, "host_keys": keys, "credentials": credentials, "ledger": record.ledger,
    });
    output::one(context, &value, || {
        let mut lines = vec![
            format!("機器:       {}  {}", record.device.id, output::visible(&record.name)),
            format!("アドレス:   {}:{}", output::visible(&record.host), record.port),
            format!("通信方式:   {}", record.dialect.protocol),
            format!("状態:       {}", status(record.device.status)),
            format!("アカウント: {}", output::visible(&accounts(&record.device))),
            format!("許可:       {}", channels(&record.device)),
            format!("接続元:     {}", networks(&record.device.sources)),
        ];
        for risk in record.dialect.risks() {
            lines.push(format!("危険:       {}を許可しています", risk.name(Language::Ja)));
        }
        for key in &keys {
            lines.push(format!("ホスト鍵:   {}", key.fingerprint));
        }
        if record.dialect.protocol == Protocol::Telnet {
            lines.push("ホスト鍵:   telnet にはありません。接続先を確かめる手段はアドレスだけです".into());
        } else if keys.is_empty() {
            lines.push(format!("ホスト鍵:   なし（sekimori device scan-keys {} で確認）", record.device.id));
        }
        for credential in &credentials {
            lines.push(format!("認証情報:   {} ({})", output::visible(&credential.account), credential.kind));
        }
        lines.join("\n")
    })
}
