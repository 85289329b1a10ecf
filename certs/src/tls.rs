//! TLS for the console: a certificate that the hospital gives, or one of an authority of the gateway's own.
//!
//! The authority vouches only for the names under which the console is reached. Its key lies beside the SSH authorities'
//! keys; what it issues lives in memory, for as long as a start or a few weeks, with a key of its own each time.
//! Browsers trust it once its certificate ([`WebCa::certificate`]) was installed in them.

use crate::{CertsError, file};
use ::aws_lc_rs::digest;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long an issued certificate is good for.
const GOOD_FOR: TimeDelta = TimeDelta::days(90);

/// How long before its end it is replaced.
pub const REPLACED_BEFORE: TimeDelta = TimeDelta::days(30);

/// Clocks that go slow take a new certificate all the same.
const DRIFT: TimeDelta = TimeDelta::days(1);

/// How long the authority's own certificate is good for: twenty years.
const AUTHORITY_GOOD_FOR: TimeDelta = TimeDelta::days(7300);

/// The authority that vouches for the console's names.
pub struct WebCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl WebCa {
    /// Makes the authority: its ECDSA P-256 key at `path` (0600), and its certificate beside it as `.pem`.
    ///
    /// # Errors
    /// A file exists already or cannot be written.
    pub fn create(path: &Path, now: DateTime<Utc>) -> Result<Self, CertsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| CertsError::Crypto("make a key"))?;
        let parameters = authority(&key, now);
        let certificate = parameters.self_signed(&key).map_err(|_| CertsError::Crypto("sign a certificate"))?.pem();
        file::create(path, key.serialize_pem().as_bytes())?;
        let beside = beside(path);
        std::fs::write(&beside, &certificate).map_err(|source| CertsError::File {
            act: "create",
            path: beside,
            source,
        })?;
        Ok(Self { issuer: Issuer::new(parameters, key), certificate })
    }

    /// Reads the authority.
    ///
    /// # Errors
    /// A file is missing or no such key, or others can read the key.
    pub fn load(path: &Path, now: DateTime<Utc>) -> Result<Self, CertsError> {
        let text = file::read_private(path)?;
        let key = KeyPair::from_pem(&text).map_err(|_| CertsError::Tls {
            path: path.to_owned(),
            fault: "it holds no private key: restore it from the backup".into(),
        })?;
        let beside = beside(path);
        let certificate = std::fs::read_to_string(&beside).map_err(|source| CertsError::File {
            act: "read",
            path: beside,
            source,
        })?;
        let parameters = authority(&key, now);
        Ok(Self { issuer: Issuer::new(parameters, key), certificate })
    }

    /// The authority's certificate (PEM), for the browsers that are to trust it.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A configuration with a new certificate for these names and addresses, and when it has to be replaced.
    ///
    /// # Errors
    /// A name is none, or the crypto library fails.
    pub fn issue(
        &self,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<(Arc<ServerConfig>, DateTime<Utc>), CertsError> {
        let unusable = |_| CertsError::Request("a name in console.names is neither a host name nor an address");
        let mut parameters = CertificateParams::new(names.to_vec()).map_err(unusable)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, names.first().map_or("sekimori", String::as_str));
        parameters.distinguished_name = subject;
        let until = now + GOOD_FOR;
        good_for(&mut parameters, now - DRIFT, until);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| CertsError::Crypto("make a key"))?;
        let signed = parameters.signed_by(&key, &self.issuer).map_err(|_| CertsError::Crypto("sign a certificate"))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let configuration = configuration(vec![signed.der().clone()], private)
            .map_err(|_| CertsError::Crypto("use a certificate that it made itself"))?;
        Ok((configuration, until - REPLACED_BEFORE))
    }
}

/// A configuration with the certificate chain and key (both PEM) that the hospital gives.
///
/// # Errors
/// A file cannot be read, holds no such thing, or the key is not the certificate's; others can read the key.
pub fn given(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CertsError> {
    let fault = |path: &Path, fault: &str| CertsError::Tls { path: path.to_owned(), fault: fault.into() };
    let text = std::fs::read(certificate).map_err(|source| CertsError::File {
        act: "read",
        path: certificate.to_owned(),
        source,
    })?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| fault(certificate, "it holds no certificate: give the chain as PEM, the server's own first"))?;
    let text = file::read_private(key)?;
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| fault(key, "it holds no private key: give it as PEM, without a passphrase"))?;
    configuration(chain, private)
        .map_err(|why| fault(certificate, &format!("it cannot be used with {}: {why}", key.display())))
}

fn configuration(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut configuration = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(configuration))
}

fn authority(key: &KeyPair, now: DateTime<Utc>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    // Each authority has a name of its own, which does not change when the hospital's does.
    let own = digest::digest(&digest::SHA256, key.public_key_pem().as_bytes());
    let own: String = own.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    subject.push(DnType::CommonName, format!("Sekimori console {own}"));
    parameters.distinguished_name = subject;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    good_for(&mut parameters, now - DRIFT, now + AUTHORITY_GOOD_FOR);
    parameters
}

/// The authority's certificate beside its key: `web_ca` and `web_ca.pem`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pem");
    PathBuf::from(name)
}

/// From midnight (UTC) to midnight.
fn good_for(parameters: &mut CertificateParams, from: DateTime<Utc>, until: DateTime<Utc>) {
    // A month has at most 31 days, so that both fit.
    let day = |at: DateTime<Utc>| (at.year(), at.month().try_into().unwrap_or(1), at.day().try_into().unwrap_or(1));
    let ((year, month, from), (last_year, last_month, until)) = (day(from), day(until));
    parameters.not_before = rcgen::date_time_ymd(year, month, from);
    parameters.not_after = rcgen::date_time_ymd(last_year, last_month, until);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn names() -> Vec<String> {
        vec!["gate.example".to_owned(), "127.0.0.1".to_owned()]
    }

    #[test]
    fn the_authority_is_read_back_and_issues_for_weeks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web_ca");
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let made = WebCa::create(&path, now).unwrap();
        let read = WebCa::load(&path, now).unwrap();
        assert_eq!(made.certificate(), read.certificate());
        let (_, replaced) = read.issue(&names(), now).unwrap();
        assert_eq!(replaced, now + TimeDelta::days(60));
        assert!(matches!(WebCa::create(&path, now), Err(CertsError::Exists { .. })));
        assert!(matches!(read.issue(&["病院".to_owned()], now), Err(CertsError::Request(_))));
    }

    #[test]
    fn what_is_given_has_to_fit_and_its_key_to_be_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("web_ca.pem"), folder.path().join("web_ca"));
        WebCa::create(&key, Utc::now()).unwrap();
        given(&certificate, &key).unwrap();
        WebCa::create(&folder.path().join("other"), Utc::now()).unwrap();
        let fault = given(&certificate, &folder.path().join("other")).unwrap_err().to_string();
        assert!(fault.contains("other"), "{fault}");
        let fault = given(&key, &key).unwrap_err().to_string();
        assert!(fault.contains("holds no certificate"), "{fault}");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(given(&certificate, &key), Err(CertsError::Exposed { .. })));
    }
}
