//! The gateway's SSH certificate authority: certificates that carry a sign-in, and certificates towards equipment.
//!
//! One key signs both kinds, and neither passes for the other. A carried sign-in holds a critical option of ours, which
//! every SSH server but this gateway must refuse (PROTOCOL.certkeys, "critical options"): a vendor cannot walk past the
//! gateway with it to a device that trusts the authority. A certificate towards equipment lacks that option, and
//! [`UserCa::check`] demands it.
//!
//! Whether a person may have a certificate, and whether it was revoked since, is decided by the caller.

mod check;

pub use check::CheckedCertificate;

use crate::{CertificateError, CertsError, file};
use chrono::{DateTime, TimeDelta, Utc};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::{Certificate, HashAlg, PrivateKey, PublicKey};
use std::net::IpAddr;
use std::path::Path;

/// A carried sign-in lasts at most twelve hours (NIST SP 800-63B asks for a new one after that).
pub const LONGEST_SIGN_IN: TimeDelta = TimeDelta::hours(12);
/// The critical option that marks a carried sign-in.
const SIGN_IN: &str = "sign-in@sekimori";
const SOURCE_ADDRESS: &str = "source-address";
/// What certificates allow; what a session may do beyond that is decided for each channel. Agent and X11 forwarding
/// do not exist here.
const EXTENSIONS: [&str; 2] = ["permit-port-forwarding", "permit-pty"];
/// Clocks of equipment drift: its certificates begin this much before now.
const DRIFT: TimeDelta = TimeDelta::minutes(5);

/// The authority's key.
#[derive(Debug)]
pub struct UserCa {
    key: PrivateKey,
}

/// What a certificate that carries a sign-in is to say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The person's public key.
    pub public_key: PublicKey,
    /// What logs call it: the person and the sign-in.
    pub key_id: String,
    /// The user names it is for: the person's id. At least one.
    pub principals: Vec<String>,
    /// The one address it may be used from.
    pub source_address: IpAddr,
    /// From when it holds.
    pub valid_after: DateTime<Utc>,
    /// The first instant when it no longer holds, at most [`LONGEST_SIGN_IN`] later.
    pub valid_before: DateTime<Utc>,
    /// The number under which it can be revoked; unique in this authority.
    pub serial: u64,
}

impl UserCa {
    /// Makes the authority's Ed25519 key at `path` (0600), with its public half beside it as `.pub`.
    ///
    /// # Errors
    /// The file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, CertsError> {
        Ok(Self { key: file::create_authority(path, "sekimori certificate authority")? })
    }

    /// Reads the authority's key.
    ///
    /// # Errors
    /// The file is missing, readable by others, protected by a passphrase, or no Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, CertsError> {
        Ok(Self { key: file::read_authority(path)? })
    }

    /// The authority's public key, as a line for the file that `TrustedUserCAKeys` names on equipment (sshd_config(5)),
    /// without a line end.
    #[must_use]
    pub fn trusted_user_ca_keys(&self) -> String {
        self.key.public_key().to_string()
    }

    /// The SHA-256 fingerprint of the authority's key, as `ssh-keygen` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Issues the certificate that carries a sign-in (PROTOCOL.certkeys): of type user, for the principals named, bound
    /// to exactly one source address, with `permit-pty` and `permit-port-forwarding`.
    ///
    /// # Errors
    /// The request names nobody or nothing, lasts no whole second, or lasts longer than [`LONGEST_SIGN_IN`].
    pub fn issue(&self, request: &Request) -> Result<Certificate, CertsError> {
        if request.valid_before - request.valid_after > LONGEST_SIGN_IN {
            return Err(CertsError::Request("a carried sign-in lasts at most 12 hours"));
        }
        let address = request.source_address.to_canonical();
        let host = format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
        let period = (request.valid_after, request.valid_before);
        let mut builder = self.builder(&request.public_key, &request.key_id, &request.principals, period)?;
        builder
            .serial(request.serial)
            .and_then(|builder| builder.critical_option(SIGN_IN, ""))
            .and_then(|builder| builder.critical_option(SOURCE_ADDRESS, host))
            .map_err(make)?;
        builder.sign(&self.key).map_err(make)
    }

    /// Issues a certificate with which the gateway itself signs in to equipment: for one account, for `minutes` from
    /// `now` (and 5 minutes back, since clocks of equipment drift). `key_id` stands in the equipment's own log.
    ///
    /// # Errors
    /// The account or the key id is empty, or `minutes` is not within 1 to 720.
    pub fn issue_for_equipment(
        &self,
        public_key: &PublicKey,
        account: &str,
        key_id: &str,
        now: DateTime<Utc>,
        minutes: u32,
    ) -> Result<Certificate, CertsError> {
        if !(1..=720).contains(&minutes) {
            return Err(CertsError::Request("a certificate towards equipment lasts 1 to 720 minutes"));
        }
        let period = (now - DRIFT, now + TimeDelta::minutes(i64::from(minutes)));
        let builder = self.builder(public_key, key_id, &[account.to_owned()], period)?;
        builder.sign(&self.key).map_err(make)
    }

    /// Checks a certificate that came with a login: signed by this authority, for users, for `user`, holding `now`, from
    /// `source`, and carrying a sign-in. russh itself checks dates and the signature over itself, and nothing else.
    ///
    /// The caller still has to see that the certificate was not revoked, and decide afresh.
    ///
    /// # Errors
    /// The first reason found to refuse it.
    pub fn check(
        &self,
        certificate: &Certificate,
        user: &str,
        source: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<CheckedCertificate, CertificateError> {
        check::check(self.key.public_key(), certificate, user, source, now)
    }

    fn builder(
        &self,
        public_key: &PublicKey,
        key_id: &str,
        principals: &[String],
        (from, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Builder, CertsError> {
        if key_id.is_empty() || principals.is_empty() || principals.iter().any(String::is_empty) {
            return Err(CertsError::Request("a certificate needs a key id and somebody it is for"));
        }
        // Whole seconds, both rounded down: a certificate never outlives what was asked for.
        let seconds = |at: DateTime<Utc>| u64::try_from(at.timestamp()).unwrap_or(0);
        if seconds(until) <= seconds(from) {
            return Err(CertsError::Request("the certificate would end before it begins"));
        }
        let mut builder =
            Builder::new_with_random_nonce(&mut safe_rng(), public_key, seconds(from), seconds(until)).map_err(make)?;
        builder.cert_type(CertType::User).and_then(|builder| builder.key_id(key_id)).map_err(make)?;
        for principal in principals {
            builder.valid_principal(principal).map_err(make)?;
        }
        for extension in EXTENSIONS {
            builder.extension(extension, "").map_err(make)?;
        }
        Ok(builder)
    }
}

fn make(source: russh::keys::ssh_key::Error) -> CertsError {
    CertsError::Make { what: "certificate", source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn request(ca: &UserCa) -> Request {
        let now = DateTime::from_timestamp(1_800_000_000, 999_000_000).unwrap();
        Request {
            public_key: ca.key.public_key().clone(),
            key_id: "eng1/1".into(),
            principals: vec!["eng1".into()],
            source_address: "::ffff:192.0.2.7".parse().unwrap(),
            valid_after: now,
            valid_before: now + TimeDelta::hours(12),
            serial: 7,
        }
    }

    #[test]
    fn a_certificate_says_what_was_asked_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let ca = UserCa::create(&folder.path().join("ca")).unwrap();
        let certificate = ca.issue(&request(&ca)).unwrap();
        assert_eq!(certificate.critical_options().get(SOURCE_ADDRESS).unwrap(), "192.0.2.7/32");
        assert_eq!(certificate.valid_after(), 1_800_000_000);
        assert_eq!(certificate.valid_before(), 1_800_043_200);
        assert_eq!(certificate.extensions().keys().collect::<Vec<_>>(), ["permit-port-forwarding", "permit-pty"]);
        let v6 = Request { source_address: "2001:db8::1".parse().unwrap(), ..request(&ca) };
        assert_eq!(ca.issue(&v6).unwrap().critical_options().get(SOURCE_ADDRESS).unwrap(), "2001:db8::1/128");
    }

    #[test]
    fn unbounded_and_empty_requests_are_not_issued() {
        let folder = tempfile::tempdir().unwrap();
        let ca = UserCa::create(&folder.path().join("ca")).unwrap();
        let good = request(&ca);
        for bad in [
            Request { principals: vec![], ..good.clone() },
            Request { principals: vec![String::new()], ..good.clone() },
            Request { key_id: String::new(), ..good.clone() },
            Request { valid_before: good.valid_after, ..good.clone() },
            Request { valid_before: good.valid_before + TimeDelta::milliseconds(1), ..good.clone() },
        ] {
            assert!(matches!(ca.issue(&bad), Err(CertsError::Request(_))), "{bad:?}");
        }
        let key = ca.key.public_key();
        assert!(ca.issue_for_equipment(key, "service", "eng1/s", good.valid_after, 0).is_err());
        assert!(ca.issue_for_equipment(key, "service", "eng1/s", good.valid_after, 721).is_err());
        assert!(ca.issue_for_equipment(key, "", "eng1/s", good.valid_after, 5).is_err());
    }

    #[test]
    fn the_authority_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let made = UserCa::create(&folder.path().join("ca")).unwrap();
        let read = UserCa::load(&folder.path().join("ca")).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert!(read.trusted_user_ca_keys().starts_with("ssh-ed25519 AAAA"));
    }
}
