//! The section `[backup]`: the S3-compatible store that backups go to. The same lines, alone in a file, are what a machine
//! restores from that has no configuration yet.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The most days of a lock: ten years. A slip of the finger cannot be taken back, not even by the owner of the store.
const MOST_LOCK_DAYS: u32 = 3_660;

/// The store of backups.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Where it answers: `https://HOST[:PORT]`.
    pub endpoint: Option<String>,
    /// The region that its signatures name.
    pub region: Option<String>,
    /// The PEM file of the authorities that its certificate must chain to.
    pub ca: Option<PathBuf>,
    /// The file with `access_key` and `secret_key`, which only its owner can read.
    pub credentials: Option<PathBuf>,
    /// Days for which every file of a backup is locked against everybody; 0: none is locked.
    pub lock_days: u32,
}

impl Backup {
    /// Reads these lines from a file of their own. Relative paths are relative to its folder.
    ///
    /// # Errors
    /// The fault's place and remedy.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |fault: String| format!("the store's file {}: {fault}", path.display());
        let text = std::fs::read_to_string(path).map_err(|fault| named(fault.to_string()))?;
        let read: Self = toml::from_str(&text).map_err(|fault| named(fault.to_string()))?;
        read.check().map_err(named)?;
        Ok(read.resolved(path.parent().unwrap_or(Path::new(""))))
    }

    /// With its paths as seen from a folder.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        for path in [&mut self.ca, &mut self.credentials] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    /// What a value may be.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.lock_days > MOST_LOCK_DAYS {
            return Err(format!("backup.lock_days is over {MOST_LOCK_DAYS}: no lock can be taken back"));
        }
        let Some(endpoint) = self.endpoint.as_deref() else { return Ok(()) };
        let (secure, authority) = match (endpoint.strip_prefix("https://"), endpoint.strip_prefix("http://")) {
            (Some(authority), _) => (true, authority),
            (_, Some(authority)) => (false, authority),
            _ => return Err("backup.endpoint must begin with https://".into()),
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(
                "backup.endpoint is https://HOST[:PORT], and nothing behind it; the bucket is named with the command"
                    .into(),
            );
        }
        if !secure && !is_loopback(authority) {
            return Err("backup.endpoint must begin with https://, unless it is of this machine itself".into());
        }
        if secure && self.ca.is_none() {
            return Err("backup.ca is missing: https needs the authorities behind the store's certificate, such as \
                        /etc/ssl/certs/ca-certificates.crt for a public one"
                .into());
        }
        match &self.credentials {
            Some(_) => Ok(()),
            None => Err("backup.credentials is missing: the file with access_key and secret_key".into()),
        }
    }
}

/// Whether bytes to that address stay on this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_goes_to_this_machine_alone() {
        let of = |endpoint: &str| {
            let (ca, credentials) = (Some(PathBuf::from("ca.pem")), Some(PathBuf::from("store.keys")));
            Backup { endpoint: Some(endpoint.to_owned()), ca, credentials, ..Backup::default() }.check()
        };
        for fine in ["https://s3.example", "https://s3.example:9000", "http://127.0.0.1:9000", "http://[::1]:9000"] {
            assert_eq!(of(fine), Ok(()), "{fine}");
        }
        for refused in ["http://s3.example", "http://127.0.0.1.example", "s3.example", "https://", "https://a/bucket"] {
            assert!(of(refused).is_err_and(|why| why.contains("backup.endpoint")), "{refused}");
        }
    }

    #[test]
    fn no_lock_is_for_ever() {
        let slip = Backup { lock_days: 36_500, ..Backup::default() };
        assert!(slip.check().is_err_and(|why| why.contains("lock_days")));
    }
}
