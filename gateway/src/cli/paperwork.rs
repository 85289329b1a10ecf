//! What the program says of itself: completions, manual pages, and the CA's line for equipment.

use super::context::Context;
use super::error::CliError;
use super::output;
use sekimori_certs::ssh_ca::UserCa;
use serde_json::json;
use std::path::Path;

/// Verbs about the certificate authority.
#[derive(Debug, clap::Subcommand)]
pub enum Ca {
    /// Print the line for `TrustedUserCAKeys` on equipment that shall accept the gateway's certificates
    Show,
}

/// Prints the CA's public key.
pub fn ca(command: &Ca, context: &Context) -> Result<(), CliError> {
    let Ca::Show = command;
    let ca = UserCa::load(&context.config.user_ca())?;
    let line = ca.trusted_user_ca_keys();
    output::one(context, &json!({ "public_key": line, "fingerprint": ca.fingerprint() }), || line.clone())
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
