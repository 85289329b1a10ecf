//! The gateway's host certificate authority: it vouches for the name under which a device is reached by ProxyJump.
//!
//! The gateway answers that inner SSH itself, with its own host key. A client that trusts this authority
//! (`@cert-authority` in `known_hosts`, sshd(8)) sees the device's name certified and asks nobody anything; the device's
//! own key stays a matter between the hospital and the gateway.

use crate::{CertsError, file};
use chrono::{DateTime, TimeDelta, Utc};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::{Certificate, HashAlg, PrivateKey, PublicKey};
use std::path::Path;

/// A certificate is made for one connection; this much to either side bears with clocks that are wrong by a time zone.
const DRIFT: TimeDelta = TimeDelta::days(1);

/// The authority's key.
#[derive(Debug)]
pub struct HostCa {
    key: PrivateKey,
}

impl HostCa {
    /// Makes the authority's Ed25519 key at `path` (0600), with its public half beside it as `.pub`.
    ///
    /// # Errors
    /// The file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, CertsError> {
        Ok(Self { key: file::create_authority(path, "sekimori host certificate authority")? })
    }

    /// Reads the authority's key.
    ///
    /// # Errors
    /// The file is missing, readable by others, protected by a passphrase, or no Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, CertsError> {
        Ok(Self { key: file::read_authority(path)? })
    }

    /// Issues a certificate of type host (PROTOCOL.certkeys) that binds `host_key` to exactly one `name`, for a day to
    /// either side of `now`.
    ///
    /// # Errors
    /// The name is empty: OpenSSH takes a certificate without principals for one of any host.
    pub fn issue(&self, host_key: &PublicKey, name: &str, now: DateTime<Utc>) -> Result<Certificate, CertsError> {
        if name.is_empty() {
            return Err(CertsError::Request("a host certificate needs the name that it is for"));
        }
        let make = |source| CertsError::Make { what: "host certificate", source };
        let seconds = |at: DateTime<Utc>| u64::try_from(at.timestamp()).unwrap_or(0);
        let (from, until) = (seconds(now - DRIFT), seconds(now + DRIFT));
        let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), host_key, from, until).map_err(make)?;
        builder
            .cert_type(CertType::Host)
            .and_then(|builder| builder.key_id(name))
            .and_then(|builder| builder.valid_principal(name))
            .map_err(make)?;
        builder.sign(&self.key).map_err(make)
    }

    /// The line for a client's `known_hosts` that trusts this authority for the hosts which `patterns` names (separated
    /// by commas, sshd(8)), without a line end.
    #[must_use]
    pub fn known_hosts_line(&self, patterns: &str) -> String {
        format!("@cert-authority {patterns} {}", self.key.public_key().to_string())
    }

    /// The SHA-256 fingerprint of the authority's key, as `ssh-keygen` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_certificate_is_for_one_name_and_a_host() {
        let folder = tempfile::tempdir().unwrap();
        let ca = HostCa::create(&folder.path().join("ca")).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let host_key = ca.key.public_key();
        let certificate = ca.issue(host_key, "ct-01", now).unwrap();
        assert_eq!(
            (certificate.cert_type(), certificate.valid_principals()),
            (CertType::Host, &["ct-01".to_owned()][..])
        );
        assert_eq!((certificate.valid_after(), certificate.valid_before()), (1_799_913_600, 1_800_086_400));
        assert!(matches!(ca.issue(host_key, "", now), Err(CertsError::Request(_))));
    }

    #[test]
    fn the_authority_is_read_back_and_trusted_by_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let made = HostCa::create(&folder.path().join("ca")).unwrap();
        let read = HostCa::load(&folder.path().join("ca")).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert!(read.known_hosts_line("ct-01,ct-02").starts_with("@cert-authority ct-01,ct-02 ssh-ed25519 AAAA"));
    }
}
