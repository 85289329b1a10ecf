//! Host keys: the gateway's own, and those of equipment that the hospital pins.
//!
//! Whether a device's key is the right one is a person's decision, made in the hospital; here it is only read.

use crate::{CertsError, file};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey};
use std::path::Path;

const ED25519: (&str, &str) = ("ssh_host_ed25519_key", "ssh-ed25519");
const ECDSA: (&str, &str) = ("ssh_host_ecdsa_key", "ecdsa-sha2-nistp256");

/// The gateway's own host keys. There is no RSA key: signing with one leaks through timing, and a gateway is asked to
/// sign by strangers.
#[derive(Debug)]
pub struct HostKeys {
    ed25519: PrivateKey,
    ecdsa: PrivateKey,
}

impl HostKeys {
    /// Makes both keys in `folder`, as `ssh_host_ed25519_key` and `ssh_host_ecdsa_key` (0600) with their `.pub` files.
    ///
    /// # Errors
    /// A file exists already or cannot be written.
    pub fn create(folder: &Path) -> Result<Self, CertsError> {
        let ecdsa = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
        let keys = Self { ed25519: generate(Algorithm::Ed25519)?, ecdsa: generate(ecdsa)? };
        file::create_key(&folder.join(ED25519.0), &keys.ed25519)?;
        file::create_key(&folder.join(ECDSA.0), &keys.ecdsa)?;
        Ok(keys)
    }

    /// Reads both keys from `folder`.
    ///
    /// # Errors
    /// A file is missing, readable by others, protected by a passphrase, or of another type.
    pub fn load(folder: &Path) -> Result<Self, CertsError> {
        let read = |(name, wanted): (&str, &'static str)| {
            let path = folder.join(name);
            let key = file::read_key(&path)?;
            let found = key.algorithm().to_string();
            if found == wanted { Ok(key) } else { Err(CertsError::KeyType { path, found, wanted }) }
        };
        Ok(Self { ed25519: read(ED25519)?, ecdsa: read(ECDSA)? })
    }

    /// The private keys for the SSH server, the preferred one (Ed25519) first.
    #[must_use]
    pub fn private_keys(&self) -> Vec<PrivateKey> {
        vec![self.ed25519.clone(), self.ecdsa.clone()]
    }

    /// The public keys, in the same order.
    #[must_use]
    pub fn public_keys(&self) -> [&PublicKey; 2] {
        [self.ed25519.public_key(), self.ecdsa.public_key()]
    }

    /// The lines for a client's `known_hosts`, one a key, without line ends.
    #[must_use]
    pub fn known_hosts_lines(&self, host: &str, port: u16) -> Vec<String> {
        self.public_keys().into_iter().map(|key| known_hosts_line(host, port, key)).collect()
    }
}

fn generate(algorithm: Algorithm) -> Result<PrivateKey, CertsError> {
    let mut key = PrivateKey::random(&mut safe_rng(), algorithm)
        .map_err(|source| CertsError::Make { what: "host key", source })?;
    key.set_comment("sekimori host key");
    Ok(key)
}

/// The fingerprint as `ssh` shows it: `SHA256:` and unpadded base64.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A `known_hosts` line without its line end: `[host]:port type key`, or `host type key` for port 22 (sshd(8)).
#[must_use]
pub fn known_hosts_line(host: &str, port: u16, key: &PublicKey) -> String {
    let place = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    let without_comment = PublicKey::from(key.key_data().clone());
    format!("{place} {}", without_comment.to_string())
}

/// Reads host keys of equipment for pinning: `known_hosts` lines (hashed names too), the output of `ssh-keyscan`, or
/// the device's `.pub` files; empty lines and `#` comments are passed over. Names and comments are dropped, since the
/// device it is pinned to is the caller's to say.
///
/// Old types (`ssh-rsa`, `ssh-dss`) are read as well: what a device may speak is decided for each device.
///
/// # Errors
/// A line is no host key, is `@revoked`, a certificate or its authority; or there is no key at all.
pub fn parse_host_keys(text: &str) -> Result<Vec<PublicKey>, CertsError> {
    let lines = text.lines().enumerate().map(|(index, line)| (index.saturating_add(1), line.trim()));
    let keys: Vec<PublicKey> = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| parse_line(text).map_err(|problem| CertsError::HostKeyLine { line, problem }))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(CertsError::NoHostKey) } else { Ok(keys) }
}

fn parse_line(line: &str) -> Result<PublicKey, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, key) = match words.as_slice() {
        [marker, ..] if marker.starts_with('@') => return Err(format!("it is marked {marker}")),
        // A first word that is followed by something like a key is the key's type; else it is the host's name.
        [kind, key, ..] if key.starts_with("AAAA") => (kind, key),
        [_names, kind, key, ..] if key.starts_with("AAAA") => (kind, key),
        _ => return Err("it has no key type followed by a key in base64".to_owned()),
    };
    if kind.contains("-cert-v01@") {
        return Err("it is a certificate, and a plain key is pinned".to_owned());
    }
    let key = PublicKey::from_openssh(&format!("{kind} {key}")).map_err(|error| format!("{kind}: {error}"))?;
    match key.algorithm() {
        Algorithm::Other(name) => Err(format!("the key type {} is not supported", name.as_str())),
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_keys_are_read_back_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let made = HostKeys::create(folder.path()).unwrap();
        let read = HostKeys::load(folder.path()).unwrap();
        assert_eq!(made.public_keys().map(fingerprint), read.public_keys().map(fingerprint));
        let mode = fs::metadata(folder.path().join(ED25519.0)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(matches!(HostKeys::create(folder.path()), Err(CertsError::Exists { .. })));
        assert_eq!(
            read.public_keys().map(fingerprint),
            HostKeys::load(folder.path()).unwrap().public_keys().map(fingerprint)
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        HostKeys::create(folder.path()).unwrap();
        let path = folder.path().join(ECDSA.0);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = HostKeys::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn swapped_or_broken_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        HostKeys::create(folder.path()).unwrap();
        fs::copy(folder.path().join(ED25519.0), folder.path().join(ECDSA.0)).unwrap();
        assert!(matches!(HostKeys::load(folder.path()), Err(CertsError::KeyType { .. })));
        fs::write(folder.path().join(ED25519.0), "nothing").unwrap();
        assert!(matches!(HostKeys::load(folder.path()), Err(CertsError::PrivateKey { .. })));
        fs::remove_file(folder.path().join(ED25519.0)).unwrap();
        assert!(matches!(HostKeys::load(folder.path()), Err(CertsError::File { .. })));
    }

    #[test]
    fn known_hosts_lines_take_brackets_only_beside_port_22() {
        let folder = tempfile::tempdir().unwrap();
        let keys = HostKeys::create(folder.path()).unwrap();
        let lines = keys.known_hosts_lines("gate.example", 2222);
        assert!(lines[0].starts_with("[gate.example]:2222 ssh-ed25519 AAAA"), "{lines:?}");
        assert_eq!(lines[0].split(' ').count(), 3);
        assert!(keys.known_hosts_lines("gate.example", 22)[1].starts_with("gate.example ecdsa-sha2-nistp256 AAAA"));
    }

    #[test]
    fn a_line_that_is_no_host_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let keys = HostKeys::create(folder.path()).unwrap();
        let good = known_hosts_line("ct-01", 22, keys.public_keys()[0]);
        assert_eq!(parse_host_keys(&format!("# scanned\n\n{good} root@ct-01\n")).unwrap().len(), 1);
        let cut = &good[..good.len() - 8];
        for bad in [
            cut,
            "ct-01 ssh-ed25519",
            "ct-01",
            "ct-01 ssh-ed25519 !!!!",
            "ct-01 ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
        ] {
            let error = parse_host_keys(&format!("{good}\n{bad}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 is no host key"), "{bad}: {error}");
        }
        for marker in ["@revoked", "@cert-authority"] {
            assert!(parse_host_keys(&format!("{marker} {good}")).unwrap_err().to_string().contains(marker));
        }
        assert!(matches!(parse_host_keys("\n# nothing\n"), Err(CertsError::NoHostKey)));
    }
}
