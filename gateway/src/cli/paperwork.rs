//! What the program says of itself: completions, manual pages, and the lines by which others trust its authorities.

use super::context::Context;
use super::error::CliError;
use super::output;
use chrono::Utc;
use sekimori_certs::host_ca::HostCa;
use sekimori_certs::ssh_ca::UserCa;
use sekimori_certs::tls::WebCa;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::Status;
use sekimori_policy::id::DeviceId;
use serde_json::json;
use std::path::Path;

/// Verbs about the certificate authorities.
#[derive(Debug, clap::Subcommand)]
pub enum Ca {
    /// Print the line for `TrustedUserCAKeys` on equipment that shall accept the gateway's certificates
    Show,
    /// Print the certificate (PEM) that browsers have to trust, where the console has one of the gateway's own authority
    Web,
    /// Print the line for an engineer's `known_hosts`, with which `ssh -J` knows the devices by their names
    KnownHosts {
        /// The devices; all active ones if none is named
        devices: Vec<DeviceId>,
    },
}

/// Prints an authority's public key in the form that its users need.
pub async fn ca(command: Ca, context: &Context) -> Result<(), CliError> {
    match command {
        Ca::Show => {
            let ca = UserCa::load(&context.config.user_ca())?;
            let line = ca.trusted_user_ca_keys();
            output::one(context, &json!({ "public_key": line, "fingerprint": ca.fingerprint() }), || line.clone())
        }
        Ca::Web => {
            let ca = WebCa::load(&context.config.web_ca(), Utc::now())?;
            let certificate = ca.certificate().trim_end();
            output::one(context, &json!({ "certificate": certificate }), || certificate.to_owned())
        }
        Ca::KnownHosts { devices } => {
            context.authority(Act::ReadLedger).await?;
            let names = names(&devices, context).await?;
            let ca = HostCa::load(&context.config.host_ca())?;
            let line = ca.known_hosts_line(&names.join(","));
            output::one(context, &json!({ "line": line, "fingerprint": ca.fingerprint() }), || line.clone())
        }
    }
}

/// The names that the line trusts the authority for: no others, since an engineer serves more than one hospital.
async fn names(asked: &[DeviceId], context: &Context) -> Result<Vec<String>, CliError> {
    let mut devices = context.store().await?.devices().await?;
    if let Some(unknown) = asked.iter().find(|id| !devices.iter().any(|record| record.device.id == **id)) {
        return Err(CliError::NotFound(format!("no device {unknown} is registered: see `sekimori device list`")));
    }
    devices.retain(|record| match asked {
        [] => record.device.status == Status::Active,
        _ => asked.contains(&record.device.id),
    });
    if devices.is_empty() {
        return Err(CliError::NotFound("no device is registered: see `sekimori device add`".into()));
    }
    Ok(devices.into_iter().map(|record| record.device.id.to_string()).collect())
}

/// Prints completions.
pub fn completions(shell: clap_complete::Shell, command: &mut clap::Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "sekimori", &mut script);
    output::print_text(&String::from_utf8_lossy(&script))
}

/// Writes `sekimori.1` and a page for each verb.
pub fn manual(folder: &Path, command: clap::Command) -> Result<(), CliError> {
    clap_mangen::generate_to(command, folder)
        .map_err(|fault| CliError::Failed(format!("cannot write manual pages to {}: {fault}", folder.display())))
}
