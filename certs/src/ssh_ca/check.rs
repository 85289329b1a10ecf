//! Whether a certificate stands for a sign-in: each condition its own small function, and all must hold.

use super::{LONGEST_SIGN_IN, SIGN_IN, SOURCE_ADDRESS};
use crate::CertificateError;
use chrono::{DateTime, Utc};
use ipnet::{IpNet, Ipv4Net};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Algorithm, Certificate, HashAlg, PublicKey};
use std::net::IpAddr;

/// A certificate that stood up to every check; only [`super::UserCa::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedCertificate {
    /// Its number, under which the sign-in is found and revoked.
    pub serial: u64,
    /// What it was called when it was issued.
    pub key_id: String,
    /// The SHA-256 fingerprint of the person's key in it.
    pub fingerprint: String,
    /// The first instant when it no longer holds.
    pub until: DateTime<Utc>,
}

pub(super) fn check(
    authority: &PublicKey,
    certificate: &Certificate,
    user: &str,
    source: IpAddr,
    now: DateTime<Utc>,
) -> Result<CheckedCertificate, CertificateError> {
    for_a_known_key(certificate)?;
    signed_by(authority, certificate)?;
    for_user(certificate, user)?;
    let until = in_time(certificate, now)?;
    only_known_options(certificate)?;
    carries_a_sign_in(certificate)?;
    from_its_address(certificate, source)?;
    Ok(CheckedCertificate {
        serial: certificate.serial(),
        key_id: certificate.key_id().to_owned(),
        fingerprint: certificate.public_key().fingerprint(HashAlg::Sha256).to_string(),
        until,
    })
}

/// A type that the library does not know is a name of the client's choice, and some it cannot write out again to look at
/// the signature: it panics (found by `make fuzz`).
fn for_a_known_key(certificate: &Certificate) -> Result<(), CertificateError> {
    match certificate.algorithm() {
        Algorithm::Other(_) => Err(CertificateError::UnknownKey),
        _ => Ok(()),
    }
}

/// The whole keys are compared; the signature is then verified with the key that stands in the certificate.
fn signed_by(authority: &PublicKey, certificate: &Certificate) -> Result<(), CertificateError> {
    let signer = certificate.signature_key();
    let fingerprint = signer.fingerprint(HashAlg::Sha256);
    if signer != authority.key_data() {
        return Err(CertificateError::ForeignAuthority { fingerprint: fingerprint.to_string() });
    }
    // The library verifies signature and dates together. Dates are ours to judge, with reasons: it gets one that fits.
    if certificate.valid_after() >= certificate.valid_before() {
        return Err(CertificateError::Lifetime);
    }
    certificate.validate_at(certificate.valid_after(), [&fingerprint]).map_err(|_| CertificateError::Signature)
}

fn for_user(certificate: &Certificate, user: &str) -> Result<(), CertificateError> {
    if certificate.cert_type() != CertType::User {
        return Err(CertificateError::NotForUsers);
    }
    // An empty list means everybody to OpenSSH; here it names nobody.
    if certificate.valid_principals().iter().any(|principal| principal == user) {
        Ok(())
    } else {
        Err(CertificateError::Principal { user: user.to_owned() })
    }
}

/// Half-open: `valid_after <= now < valid_before` (PROTOCOL.certkeys).
fn in_time(certificate: &Certificate, now: DateTime<Utc>) -> Result<DateTime<Utc>, CertificateError> {
    let instant = |seconds| i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let from = instant(certificate.valid_after()).ok_or(CertificateError::Lifetime)?;
    let until = instant(certificate.valid_before()).ok_or(CertificateError::Lifetime)?;
    if now < from {
        Err(CertificateError::NotYetValid { from })
    } else if now >= until {
        Err(CertificateError::Expired { until })
    } else if until - from > LONGEST_SIGN_IN {
        Err(CertificateError::Lifetime)
    } else {
        Ok(until)
    }
}

fn only_known_options(certificate: &Certificate) -> Result<(), CertificateError> {
    match certificate.critical_options().keys().find(|name| ![SIGN_IN, SOURCE_ADDRESS].contains(&name.as_str())) {
        Some(name) => Err(CertificateError::CriticalOption { name: name.clone() }),
        None => Ok(()),
    }
}

fn carries_a_sign_in(certificate: &Certificate) -> Result<(), CertificateError> {
    match certificate.critical_options().get(SIGN_IN).map(String::as_str) {
        Some("") => Ok(()),
        // A value is for a later version to understand.
        Some(_) | None => Err(CertificateError::NotASignIn),
    }
}

fn from_its_address(certificate: &Certificate, source: IpAddr) -> Result<(), CertificateError> {
    let list = certificate.critical_options().get(SOURCE_ADDRESS).ok_or(CertificateError::NoSourceAddress)?;
    // All of the list is read before any of it counts: a list that is half nonsense says nothing.
    let networks: Vec<IpNet> =
        list.split(',').map(network).collect::<Option<_>>().ok_or(CertificateError::SourceAddressList)?;
    let address = source.to_canonical();
    if networks.iter().any(|network| network.contains(&address)) {
        Ok(())
    } else {
        Err(CertificateError::SourceAddress { address })
    }
}

/// One address or CIDR of the list. An IPv4-mapped IPv6 network is the IPv4 network that it maps.
fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len().saturating_sub(96)).ok().map(IpNet::V4),
            None => Some(network),
        },
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Request, UserCa};
    use super::*;
    use chrono::TimeDelta;
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;

    const FROM: u64 = 1_800_000_000;

    fn at(seconds: u64) -> DateTime<Utc> {
        DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap()
    }

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
    }

    /// An authority and the key of `eng1`.
    fn peers() -> (UserCa, PrivateKey) {
        (UserCa { key: key() }, key())
    }

    /// A certificate that passes, to be spoiled in one place by `change`, and signed by `signer`.
    fn certificate(signer: &PrivateKey, person: &PrivateKey, change: impl FnOnce(&mut Parts)) -> Certificate {
        let mut parts = Parts {
            kind: CertType::User,
            principals: vec!["eng1"],
            period: (FROM, FROM + 3600),
            options: vec![(SIGN_IN, ""), (SOURCE_ADDRESS, "192.0.2.7/32")],
        };
        change(&mut parts);
        let (from, until) = parts.period;
        let mut builder = Builder::new([1; 16], person.public_key(), from, until).unwrap();
        builder.cert_type(parts.kind).unwrap().serial(9).unwrap().key_id("eng1/9").unwrap();
        if parts.principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        for principal in parts.principals {
            builder.valid_principal(principal).unwrap();
        }
        for (name, value) in parts.options {
            builder.critical_option(name, value).unwrap();
        }
        builder.sign(signer).unwrap()
    }

    struct Parts {
        kind: CertType,
        principals: Vec<&'static str>,
        period: (u64, u64),
        options: Vec<(&'static str, &'static str)>,
    }

    /// Checks a spoiled certificate of the right authority, as `eng1` from 192.0.2.7 at its first second.
    fn spoiled(change: impl FnOnce(&mut Parts)) -> Result<CheckedCertificate, CertificateError> {
        let (ca, person) = peers();
        let certificate = certificate(&ca.key, &person, change);
        ca.check(&certificate, "eng1", "192.0.2.7".parse().unwrap(), at(FROM))
    }

    #[test]
    fn what_was_issued_passes_for_its_person_from_its_address() {
        let (ca, person) = peers();
        let request = Request {
            public_key: person.public_key().clone(),
            key_id: "eng1/9".into(),
            principals: vec!["eng1".into()],
            source_address: "192.0.2.7".parse().unwrap(),
            valid_after: at(FROM),
            valid_before: at(FROM + 60),
            serial: 9,
        };
        let issued = ca.issue(&request).unwrap();
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        let checked = ca.check(&issued, "eng1", mapped, at(FROM)).unwrap();
        assert_eq!((checked.serial, checked.key_id.as_str(), checked.until), (9, "eng1/9", at(FROM + 60)));
        assert_eq!(checked.fingerprint, crate::host_key::fingerprint(person.public_key()));
    }

    #[test]
    fn another_authority_is_refused() {
        let (ca, person) = peers();
        let foreign = certificate(&key(), &person, |_| ());
        let refused = ca.check(&foreign, "eng1", "192.0.2.7".parse().unwrap(), at(FROM)).unwrap_err();
        assert!(matches!(refused, CertificateError::ForeignAuthority { .. }), "{refused}");
    }

    #[test]
    fn a_signature_over_something_else_is_refused() {
        let (ca, person) = peers();
        let bytes = certificate(&ca.key, &person, |_| ()).to_bytes().unwrap();
        let place = bytes.windows(4).position(|window| window == b"eng1").unwrap();
        let forged: Vec<u8> =
            bytes.iter().enumerate().map(|(index, byte)| if index == place + 3 { b'2' } else { *byte }).collect();
        let forged = Certificate::from_bytes(&forged).unwrap();
        let source = "192.0.2.7".parse().unwrap();
        assert_eq!(ca.check(&forged, "eng1", source, at(FROM)), Err(CertificateError::Signature));
    }

    #[test]
    fn a_key_of_a_made_up_type_is_refused_before_anything_is_done_with_it() {
        let (ca, person) = peers();
        let bytes = certificate(&ca.key, &person, |_| ()).to_bytes().unwrap();
        let (known, made_up) = (b"ssh-ed25519-cert-v01@openssh.com", b"-cert-v01@openssh.com");
        let rest = bytes.strip_prefix(&[0, 0, 0, 32]).and_then(|bytes| bytes.strip_prefix(known)).unwrap();
        let forged = Certificate::from_bytes(&[&[0, 0, 0, 21][..], made_up, rest].concat()).unwrap();
        let refused = ca.check(&forged, "eng1", "192.0.2.7".parse().unwrap(), at(FROM)).unwrap_err();
        assert_eq!(refused, CertificateError::UnknownKey);
    }

    #[test]
    fn a_host_certificate_is_refused() {
        assert_eq!(spoiled(|parts| parts.kind = CertType::Host), Err(CertificateError::NotForUsers));
    }

    #[test]
    fn another_person_or_nobody_is_refused() {
        let refused = Err(CertificateError::Principal { user: "eng1".into() });
        assert_eq!(spoiled(|parts| parts.principals = vec!["eng2", "ENG1", "eng1 ", "eng10"]), refused);
        assert_eq!(spoiled(|parts| parts.principals = vec![]), refused);
        assert!(spoiled(|parts| parts.principals = vec!["eng2", "eng1"]).is_ok());
    }

    #[test]
    fn it_holds_in_a_half_open_time() {
        let (ca, person) = peers();
        let certificate = certificate(&ca.key, &person, |_| ());
        let check = |now| ca.check(&certificate, "eng1", "192.0.2.7".parse().unwrap(), now);
        assert_eq!(check(at(FROM) - TimeDelta::milliseconds(1)), Err(CertificateError::NotYetValid { from: at(FROM) }));
        assert!(check(at(FROM)).is_ok());
        assert!(check(at(FROM + 3600) - TimeDelta::milliseconds(1)).is_ok());
        assert_eq!(check(at(FROM + 3600)), Err(CertificateError::Expired { until: at(FROM + 3600) }));
    }

    #[test]
    fn a_certificate_without_an_end_is_refused() {
        assert_eq!(spoiled(|parts| parts.period = (0, u64::MAX)), Err(CertificateError::Lifetime));
        assert_eq!(spoiled(|parts| parts.period = (FROM, FROM + 12 * 3600 + 1)), Err(CertificateError::Lifetime));
        assert!(spoiled(|parts| parts.period = (FROM, FROM + 12 * 3600)).is_ok());
    }

    #[test]
    fn unknown_critical_options_are_refused() {
        let refused = spoiled(|parts| parts.options.push(("force-command", "/bin/true")));
        assert_eq!(refused, Err(CertificateError::CriticalOption { name: "force-command".into() }));
    }

    #[test]
    fn a_certificate_towards_equipment_is_no_sign_in() {
        let (ca, person) = peers();
        let towards = ca.issue_for_equipment(person.public_key(), "eng1", "eng1/session", at(FROM), 5).unwrap();
        let refused = ca.check(&towards, "eng1", "192.0.2.7".parse().unwrap(), at(FROM)).unwrap_err();
        assert_eq!(refused, CertificateError::NotASignIn);
        assert_eq!(spoiled(|parts| parts.options = vec![(SIGN_IN, "")]), Err(CertificateError::NoSourceAddress));
    }

    #[test]
    fn only_listed_addresses_pass() {
        let list = |list: &'static str| spoiled(|parts| parts.options = vec![(SIGN_IN, ""), (SOURCE_ADDRESS, list)]);
        for good in
            ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32,192.0.2.7/32", "::ffff:192.0.2.7", "::ffff:192.0.2.0/120"]
        {
            assert!(list(good).is_ok(), "{good}");
        }
        for other in ["192.0.2.8/32", "2001:db8::/32", "::/0", "::ffff:192.0.3.0/120"] {
            assert!(matches!(list(other), Err(CertificateError::SourceAddress { .. })), "{other}");
        }
        for nonsense in ["", "192.0.2.7/33", "192.0.2.7,", "*", "!10.0.0.0/8,192.0.2.7", "192.0.2.7 , 192.0.2.8"] {
            assert_eq!(list(nonsense), Err(CertificateError::SourceAddressList), "{nonsense}");
        }
    }
}
