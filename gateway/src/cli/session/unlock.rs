//! What opens sealed recordings at the command line: an identity file and its passphrase.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::init::OFFICE;
use crate::cli::output;
use sekimori_audit::keys::Identities;
use sekimori_policy::id::PersonId;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How a sealed recording is opened.
#[derive(Debug, clap::Args)]
pub struct Unlock {
    /// The identity file that opens sealed recordings, or the recovery key in a file; without it, the person's own among
    /// the gateway's keys, else the audit office's first
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Read the identity's passphrase from this file instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Unlock {
    /// Reads the identity, and asks for the passphrase if it lies under one.
    pub fn identities(&self, person: &PersonId, context: &Context) -> Result<Identities, CliError> {
        let path = self.identity.clone().unwrap_or_else(|| own_or_first(person, context));
        Identities::read(&path, || passphrase(&path, self.passphrase_file.as_deref()))
    }
}

fn own_or_first(person: &PersonId, context: &Context) -> PathBuf {
    let folder = context.config.recording_keys_dir();
    let own = folder.join(format!("{person}.age"));
    if own.exists() { own } else { folder.join(OFFICE) }
}

/// The passphrase of an identity file: from a file, or typed unseen.
pub fn passphrase(identity: &Path, file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    let Some(file) = file else {
        return output::read_secret(&format!("Passphrase of {}", identity.display()), false);
    };
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", file.display())))?;
    let passphrase = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if passphrase.is_empty() {
        return Err(CliError::Usage(format!("{} is empty: its one line is the passphrase", file.display())));
    }
    Ok(passphrase)
}
