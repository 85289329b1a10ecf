//! The section `[log]`: the transparency log, and who watches over it.

use sekimori_audit::log::{Role, VerifierKey};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The transparency log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Where anybody may read it, by HTTPS; none: it is not served. Counts from the next start.
    pub listen: Option<SocketAddr>,
    /// The certificate chain (PEM) for that; without one, it is as with the console.
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// Seconds that events may wait to be sealed; then no session starts, and the open ones end.
    pub stall_seconds: u64,
    /// Machines that cosign the log.
    pub witnesses: Vec<Witness>,
    /// Seconds between two questions to each witness.
    pub witness_seconds: u64,
    /// Minutes without its cosignature after which a witness counts as silent.
    pub witness_alarm_minutes: u64,
    /// Minutes without any witness's cosignature after which no session starts; 0: sessions start all the same.
    pub witness_required_minutes: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            listen: None,
            certificate: None,
            key: None,
            stall_seconds: 15,
            witnesses: Vec::new(),
            witness_seconds: 60,
            witness_alarm_minutes: 10,
            witness_required_minutes: 0,
        }
    }
}

/// A machine that cosigns the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its verifier key, `name+hex+base64`, as it prints it when it starts.
    pub key: String,
    /// Where it answers; none for one that is asked by `sekimori log carry` alone.
    pub url: Option<String>,
    /// The PEM file of the authority that its certificate must chain to, where the address is `https`.
    pub ca: Option<PathBuf>,
}

impl Witness {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.split('+').next().unwrap_or_default()
    }
}

impl Log {
    /// What a value may be.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("log.certificate and log.key go together: give both, or neither".into());
        }
        for (key, value) in [
            ("stall_seconds", self.stall_seconds),
            ("witness_seconds", self.witness_seconds),
            ("witness_alarm_minutes", self.witness_alarm_minutes),
        ] {
            if value == 0 {
                return Err(format!("log.{key} is 0: it must be at least 1"));
            }
        }
        for witness in &self.witnesses {
            let name = witness.name();
            let key = VerifierKey::parse(&witness.key).map_err(|fault| format!("log.witnesses, {name}: {fault}"))?;
            if key.role() != Role::Witness {
                return Err(format!(
                    "log.witnesses, {name}: that is the key of a log; take the one that a witness prints"
                ));
            }
            let url = witness.url.as_deref().unwrap_or("http://");
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(format!("log.witnesses, {name}: url must begin with https:// or http://"));
            }
            if url.starts_with("https://") && witness.ca.is_none() {
                return Err(format!("log.witnesses, {name}: https needs ca, the authority behind its certificate"));
            }
        }
        if self.witness_required_minutes > 0 && self.witnesses.is_empty() {
            return Err("log.witness_required_minutes is set, and log.witnesses names none".into());
        }
        Ok(())
    }
}
