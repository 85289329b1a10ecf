//! Host keys and credentials of equipment. A key is pinned because a person compared it, never because it was there.

use super::{done_by, known};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output;
use crate::registry::keys::{self as registry, must_have_host_keys};
use crate::ssh::equipment::{self, Presented};
use crate::store::{Credential, DeviceRecord};
use russh::keys::ssh_key::PublicKey;
use sekimori_certs::host_key::{fingerprint, parse_host_keys};
use sekimori_policy::authority::Act;
use sekimori_policy::id::DeviceId;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How a credential was given on the command line.
pub enum Given {
    /// A password, typed or on standard input.
    Password {
        /// Whether it comes on standard input.
        stdin: bool,
    },
    /// A private key's file.
    Key(PathBuf),
    /// Certificates of the gateway's authority.
    Certificate,
}

/// Shows what the device presents now, beside what is pinned.
pub async fn scan_keys(id: &DeviceId, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ManageDevices).await?;
    let record = known(id, context).await?;
    must_have_host_keys(&record)?;
    let pinned = context.store().await?.host_keys(id).await?;
    let keys = scan(&record, context).await?;
    let rows: Vec<Value> = keys
        .iter()
        .map(|presented| {
            let fingerprint = fingerprint(&presented.key);
            let known = pinned.iter().any(|pinned| pinned.fingerprint == fingerprint);
            let kind = presented.key.algorithm().to_string();
            json!({ "type": kind, "fingerprint": fingerprint, "pinned": known, "needs_legacy": presented.needs })
        })
        .collect();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let least = keys.iter().min_by_key(|presented| presented.needs.len());
    output::one(context, &rows, || {
        let mut lines = Vec::new();
        for row in &rows {
            let mark = if row.get("pinned") == Some(&Value::Bool(true)) { "登録済み" } else { "未登録" };
            lines.push(format!("{}  {}  {mark}", text(row, "fingerprint"), text(row, "type")));
        }
        lines.push(String::new());
        lines.push("機器の画面に表示される指紋と見比べ、一致したものだけを登録してください:".into());
        lines.push(format!("  sekimori device pin {id} --fingerprint SHA256:…"));
        if let Some(command) = least.and_then(|presented| presented.command(&record)) {
            lines.push(
                "この機器は古い暗号方式にしか対応していません。病院が危険を認め、更新まで許可する場合だけ:".into(),
            );
            lines.push(format!("  {command}"));
        }
        lines.join("\n")
    })
}

/// Pins one scanned key, or the keys of a file.
pub async fn pin(id: &DeviceId, wanted: Option<&str>, file: Option<&Path>, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ManageDevices).await?;
    let record = known(id, context).await?;
    must_have_host_keys(&record)?;
    let keys: Vec<PublicKey> = match (wanted, file) {
        (_, Some(file)) => parse_host_keys(&read(file)?)?,
        (Some(wanted), None) => {
            let keys = scan(&record, context).await?.into_iter().map(|presented| presented.key);
            keys.filter(|key| fingerprint(key) == wanted).collect()
        }
        (None, None) => Vec::new(),
    };
    if keys.is_empty() {
        return Err(CliError::Refused(format!(
            "{id} does not present the key {} now: nothing was pinned",
            wanted.unwrap_or_default()
        )));
    }
    let (by, event) = done_by(context).await?;
    registry::pin(context.store().await?, &by, &record, &keys, &event).await?;
    super::show(&record, context).await
}

/// Removes a pinned key.
pub async fn unpin(id: &DeviceId, fingerprint: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    let record = known(id, context).await?;
    registry::unpin(context.store().await?, &by, &record, fingerprint, event).await?;
    super::show(&record, context).await
}

/// Stores a credential, sealed.
pub async fn credential(id: &DeviceId, account: &str, given: Given, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ManageCredentials).await?;
    let (by, event) = done_by(context).await?;
    let record = known(id, context).await?;
    let credential = match given {
        Given::Password { stdin } => {
            Credential::Password(output::choose_secret(&format!("Password of {account} on {id}"), stdin)?)
        }
        Given::Key(file) => Credential::PrivateKey(Zeroizing::new(read(&file)?)),
        Given::Certificate => Credential::Certificate,
    };
    registry::store_credential(context.store().await?, &by, &record, (account, &credential), event).await?;
    super::show(&record, context).await
}

/// Removes a credential.
pub async fn remove_credential(id: &DeviceId, account: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    let record = known(id, context).await?;
    registry::remove_credential(context.store().await?, &by, &record, account, event).await?;
    super::show(&record, context).await
}

fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", file.display())))
}

async fn scan(record: &DeviceRecord, context: &Context) -> Result<Vec<Presented>, CliError> {
    let limit = Duration::from_secs(context.config.ssh.dial_timeout_seconds);
    equipment::scan(record, limit).await.map_err(|fault| CliError::Failed(fault.to_string()))
}
