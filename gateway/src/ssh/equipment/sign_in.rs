//! The injected credential: what is signed or said towards the device, chosen before anything of it is.

use super::error::{DialError, allowing};
use super::pinned::{Negotiated, Pinned};
use crate::gate::Gate;
use crate::store::{Credential, Legacy};
use chrono::Utc;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::PrivateKeyWithHashAlg;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, Certificate, HashAlg, PrivateKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One way to sign in, ready to be tried.
pub enum Attempt {
    /// The password, by whichever method asks for one.
    Password(Zeroizing<String>),
    /// A stored key, with the hash that an RSA key signs with.
    Key(PrivateKeyWithHashAlg),
    /// A certificate of the gateway's authority.
    Certificate(Arc<PrivateKey>, Box<Certificate>),
}

/// What is left to try for a credential.
pub struct Attempts {
    /// The ways, in this order.
    pub ways: Vec<Attempt>,
    /// A way that is not among them, since the hospital does not allow its class towards the device.
    pub withheld: Option<Legacy>,
}

/// A certificate towards equipment is used at once; some minutes allow for clocks that differ.
const CERTIFICATE_MINUTES: u32 = 5;

/// The ways to try, in this order. Nothing of the credential has been sent.
///
/// # Errors
/// [`DialError::Outdated`] if only an algorithm is left that the hospital does not allow towards this device.
pub async fn attempts(
    gate: &Gate,
    connection: &Handle<Pinned>,
    (device, account): (&str, &str),
    credential: Credential,
    key_id: &str,
    (negotiated, allowed): (&Negotiated, &BTreeSet<Legacy>),
) -> Result<Attempts, DialError> {
    let protocol = |fault: russh::Error| DialError::Protocol { device: device.to_owned(), cause: fault.to_string() };
    let unusable = |fault| protocol(russh::keys::Error::from(fault).into());
    let key = match credential {
        Credential::Password(password) => return Ok(Attempts::one(Attempt::Password(password))),
        Credential::Certificate => {
            let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(unusable)?;
            let minutes = CERTIFICATE_MINUTES;
            let certificate =
                gate.user_ca.issue_for_equipment(key.public_key(), account, key_id, Utc::now(), minutes)?;
            return Ok(Attempts::one(Attempt::Certificate(Arc::new(key), Box::new(certificate))));
        }
        Credential::PrivateKey(pem) => Arc::new(PrivateKey::from_openssh(pem.as_bytes()).map_err(unusable)?),
    };
    let outdated = |class: Legacy, offered: &str| {
        let classes = allowed.iter().copied().chain([class]).collect();
        DialError::outdated(device, offered.to_owned(), &classes)
    };
    let hashes = match key.algorithm() {
        Algorithm::Dsa if !allowed.contains(&Legacy::Dss) => {
            return Err(outdated(Legacy::Dss, "the stored key is ssh-dss"));
        }
        Algorithm::Rsa { .. } => {
            let mut hashes = match connection.best_supported_rsa_hash().await.map_err(protocol)? {
                Some(Some(hash)) => vec![Some(hash)],
                Some(None) if !allowed.contains(&Legacy::Sha1) => {
                    return Err(outdated(Legacy::Sha1, "RSA keys sign in with ssh-rsa only"));
                }
                Some(None) => Vec::new(),
                // It does not say. One whose own key signs with SHA-1 knows no better.
                None if negotiated.host_key == "ssh-rsa" => Vec::new(),
                None => vec![Some(HashAlg::Sha256)],
            };
            // Some say more than they take.
            if allowed.contains(&Legacy::Sha1) {
                hashes.push(None);
            }
            hashes
        }
        _ => vec![None],
    };
    let withheld = key.algorithm().is_rsa() && !allowed.contains(&Legacy::Sha1);
    let ways = hashes.into_iter().map(|hash| Attempt::Key(PrivateKeyWithHashAlg::new(key.clone(), hash))).collect();
    Ok(Attempts { ways, withheld: withheld.then_some(Legacy::Sha1) })
}

impl Attempts {
    fn one(way: Attempt) -> Self {
        Self { ways: vec![way], withheld: None }
    }

    /// What the hospital may allow beside, for the event of a refusal; empty if everything was tried.
    pub fn hint(withheld: Option<Legacy>, device: &str, allowed: &BTreeSet<Legacy>) -> String {
        withheld.map_or_else(String::new, |class| {
            let command = allowing(device, &allowed.iter().copied().chain([class]).collect());
            format!(" (unless it takes it in an outdated way: `{command}`)")
        })
    }
}

impl Attempt {
    /// The algorithm that it signs with; `None`: nothing is signed.
    pub fn algorithm(&self) -> Option<String> {
        match self {
            Self::Password(_) => None,
            Self::Key(key) => Some(key.algorithm().as_str().to_owned()),
            Self::Certificate(key, _) => Some(key.algorithm().as_str().to_owned()),
        }
    }

    /// Tries it. `false`: the device refused.
    ///
    /// # Errors
    /// The connection's own.
    pub async fn make(self, connection: &mut Handle<Pinned>, account: &str) -> Result<bool, russh::Error> {
        let result = match self {
            Self::Password(password) => return with_password(connection, account, &password).await,
            Self::Key(key) => connection.authenticate_publickey(account, key).await?,
            Self::Certificate(key, certificate) => {
                connection.authenticate_openssh_cert(account, key, *certificate).await?
            }
        };
        Ok(matches!(result, AuthResult::Success))
    }
}

/// Password sign-in, or the keyboard-interactive form of it that many devices want: every prompt gets the password.
async fn with_password(connection: &mut Handle<Pinned>, account: &str, password: &str) -> Result<bool, russh::Error> {
    let AuthResult::Failure { remaining_methods, .. } = connection.authenticate_password(account, password).await?
    else {
        return Ok(true);
    };
    if !remaining_methods.contains(&russh::MethodKind::KeyboardInteractive) {
        return Ok(false);
    }
    let mut answer = connection.authenticate_keyboard_interactive_start(account, None).await?;
    for _round in 0..4 {
        answer = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts.iter().map(|_| password.to_owned()).collect();
                connection.authenticate_keyboard_interactive_respond(answers).await?
            }
        };
    }
    Ok(false)
}
