//! Passkeys: the relying party's half of WebAuthn (Level 3, §7.1 and §7.2) for what this console asks of it.
//!
//! User verification is required, so that a passkey is two kinds of factors. No attestation is asked for: which make of
//! authenticator somebody uses is not decided here, and so nothing but the browser's word vouches for a new key, as
//! with an SSH key that is uploaded. Nothing here looks anything up: whether a challenge is open, and whose a passkey
//! is, is for `proving` and the console to ask.

mod cose;
#[cfg(test)]
mod tests;

pub use cose::ALGORITHMS;
use cose::Key;
use sekimori_audit::hex;
use sekimori_audit::log::{base64, sha256};
use serde::Deserialize;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// How long a challenge may wait for its answer.
pub const CHALLENGE_TIME: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// The longest id of a credential (WebAuthn §4).
const ID_BYTES: usize = 1023;
/// The longest of the other parts; browsers send a few hundred bytes.
const PART_BYTES: usize = 8 << 10;

/// Flags of authenticator data (§6.1).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const CREDENTIAL_INCLUDED: u8 = 0x40;
const EXTENSIONS_INCLUDED: u8 = 0x80;

/// Why an answer of an authenticator is not taken. The words stand in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyFault {
    /// Something is missing, too long, or not in its form.
    #[error("malformed")]
    Malformed,
    /// It answers no challenge that is open, here and for this.
    #[error("challenge")]
    Challenge,
    /// Another page than ours asked for it.
    #[error("origin")]
    Origin,
    /// The authenticator answered another site.
    #[error("relying-party")]
    RelyingParty,
    /// Nobody touched it, or it did not make sure who that was.
    #[error("user-verification")]
    UserVerification,
    /// The key is none that counts here.
    #[error("key")]
    Key,
    /// The signature is not this key's.
    #[error("signature")]
    Signature,
    /// The counter did not go forward: there may be a copy of the key.
    #[error("counter")]
    Counter,
    /// No such passkey, or not of somebody who may use it here.
    #[error("unknown")]
    Unknown,
}

/// This console, as authenticators know it.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    /// Its host name.
    pub id: String,
}

impl RelyingParty {
    /// The first of the names that is none of an address: passkeys are for names.
    #[must_use]
    pub fn of(names: &[String]) -> Option<Self> {
        let named = names.iter().find(|name| name.parse::<IpAddr>().is_err());
        named.map(|name| Self { id: name.to_ascii_lowercase() })
    }

    /// Whether pages of this origin are of its host, over TLS.
    #[must_use]
    pub fn has(&self, origin: &str) -> bool {
        let Some(rest) = origin.strip_prefix("https://").and_then(|rest| rest.strip_prefix(self.id.as_str())) else {
            return false;
        };
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    }
}

/// Where an answer came in: who we are, and the address under which this browser has us. Another port of the same host
/// is another site.
#[derive(Debug, Clone)]
pub struct Here {
    /// The console, as authenticators know it.
    pub party: RelyingParty,
    /// `https://`, host and port.
    pub origin: String,
}

/// A passkey's key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The COSE key.
    pub cose: Vec<u8>,
    /// The signature counter that was seen last.
    pub counter: u32,
}

/// A new passkey.
#[derive(Debug, PartialEq, Eq)]
pub struct Registered {
    /// The credential's id, in hexadecimal.
    pub id: String,
    /// Its key.
    pub key: PublicKey,
    /// The key's algorithm, as COSE numbers it.
    pub algorithm: i64,
}

/// A new passkey, as a browser sends it.
#[derive(Debug)]
pub struct Registration {
    client: ClientData,
    authenticator: Vec<u8>,
}

/// An authenticator's answer to a challenge, as a browser sends it.
#[derive(Debug)]
pub struct Assertion {
    /// The credential's id, in hexadecimal.
    pub id: String,
    client: ClientData,
    client_text: Vec<u8>,
    authenticator: Vec<u8>,
    signature: Vec<u8>,
}

/// What the browser says that it asked for (§5.8.1).
#[derive(Debug, Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

impl ClientData {
    fn parse(text: &[u8], kind: &str) -> Result<Self, PasskeyFault> {
        let read: Self = serde_json::from_slice(text).map_err(|_| PasskeyFault::Malformed)?;
        if read.kind == kind { Ok(read) } else { Err(PasskeyFault::Malformed) }
    }

    /// The SHA-256 of the challenge, in hexadecimal: under which it is kept.
    fn challenge(&self) -> Result<String, PasskeyFault> {
        // base64url without padding, as it was sent there.
        let mut text = self.challenge.replace('-', "+").replace('_', "/");
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        let challenge = base64::decode(&text).filter(|bytes| bytes.len() == 32).ok_or(PasskeyFault::Challenge)?;
        Ok(kept(&challenge))
    }

    fn check(&self, here: &Here) -> Result<(), PasskeyFault> {
        let ours = self.origin == here.origin && here.party.has(&self.origin) && !self.cross_origin;
        if ours { Ok(()) } else { Err(PasskeyFault::Origin) }
    }
}

/// A new challenge in hexadecimal, and what is kept of it.
///
/// # Errors
/// Without randomness.
pub fn new_challenge() -> Result<(Zeroizing<String>, String), super::PeopleError> {
    let text = super::token::random()?;
    let bytes = bytes(&text, 32).map_err(|_| super::PeopleError::System("give randomness"))?;
    Ok((text, kept(&bytes)))
}

fn kept(challenge: &[u8]) -> String {
    sha256(challenge).hex()
}

impl Registration {
    /// Reads what was sent, in hexadecimal.
    ///
    /// # Errors
    /// [`PasskeyFault::Malformed`].
    pub fn parse(client: &str, authenticator: &str) -> Result<Self, PasskeyFault> {
        let client = ClientData::parse(&bytes(client, PART_BYTES)?, "webauthn.create")?;
        Ok(Self { client, authenticator: bytes(authenticator, PART_BYTES)? })
    }

    /// The challenge that it answers, as it is kept.
    ///
    /// # Errors
    /// [`PasskeyFault::Challenge`].
    pub fn challenge(&self) -> Result<String, PasskeyFault> {
        self.client.challenge()
    }

    /// The passkey, once the challenge was found to be ours.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, here: &Here) -> Result<Registered, PasskeyFault> {
        self.client.check(here)?;
        let data = Data::read(&self.authenticator, here)?;
        // Behind the counter: the authenticator's make (16 bytes), the id's length, the id, the key.
        let (head, rest) = data.rest.split_at_checked(18).ok_or(PasskeyFault::Malformed)?;
        let length = head.iter().skip(16).fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let (id, rest) = rest.split_at_checked(length).ok_or(PasskeyFault::Malformed)?;
        if data.flags & CREDENTIAL_INCLUDED == 0 || id.is_empty() || id.len() > ID_BYTES {
            return Err(PasskeyFault::Malformed);
        }
        let (key, after) = Key::read_first(rest).ok_or(PasskeyFault::Key)?;
        let cose = rest.get(..rest.len() - after.len()).ok_or(PasskeyFault::Key)?.to_vec();
        let after = match data.flags & EXTENSIONS_INCLUDED {
            0 => after,
            _ => cose::value(after).ok_or(PasskeyFault::Malformed)?.1,
        };
        if !after.is_empty() {
            return Err(PasskeyFault::Malformed);
        }
        let algorithm = key.algorithm();
        Ok(Registered { id: hex::encode(id), key: PublicKey { cose, counter: data.counter }, algorithm })
    }
}

impl Assertion {
    /// Reads what was sent, in hexadecimal.
    ///
    /// # Errors
    /// [`PasskeyFault::Malformed`].
    pub fn parse(id: &str, client: &str, authenticator: &str, signature: &str) -> Result<Self, PasskeyFault> {
        let client_text = bytes(client, PART_BYTES)?;
        Ok(Self {
            id: hex::encode(&bytes(id, ID_BYTES)?),
            client: ClientData::parse(&client_text, "webauthn.get")?,
            client_text,
            authenticator: bytes(authenticator, PART_BYTES)?,
            signature: bytes(signature, PART_BYTES)?,
        })
    }

    /// The challenge that it answers, as it is kept.
    ///
    /// # Errors
    /// [`PasskeyFault::Challenge`].
    pub fn challenge(&self) -> Result<String, PasskeyFault> {
        self.client.challenge()
    }

    /// The counter, if this key answered, once the challenge was found to be ours.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, here: &Here, key: &PublicKey) -> Result<u32, PasskeyFault> {
        self.client.check(here)?;
        let data = Data::read(&self.authenticator, here)?;
        let verifier = Key::read(&key.cose).ok_or(PasskeyFault::Key)?;
        let signed = [self.authenticator.as_slice(), sha256(&self.client_text).as_bytes()].concat();
        if !verifier.verifies(&signed, &self.signature) {
            return Err(PasskeyFault::Signature);
        }
        // Many passkeys do not count at all; one that does goes forward.
        if (data.counter > 0 || key.counter > 0) && data.counter <= key.counter {
            return Err(PasskeyFault::Counter);
        }
        Ok(data.counter)
    }
}

/// Authenticator data (§6.1) that is for us, with its user verified.
struct Data<'a> {
    flags: u8,
    counter: u32,
    rest: &'a [u8],
}

impl<'a> Data<'a> {
    fn read(data: &'a [u8], here: &Here) -> Result<Self, PasskeyFault> {
        let (site, rest) = data.split_at_checked(32).ok_or(PasskeyFault::Malformed)?;
        let (flags, rest) = rest.split_first().ok_or(PasskeyFault::Malformed)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(PasskeyFault::Malformed)?;
        if site != sha256(here.party.id.as_bytes()).as_bytes() {
            return Err(PasskeyFault::RelyingParty);
        }
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err(PasskeyFault::UserVerification);
        }
        if flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0 {
            return Err(PasskeyFault::Malformed);
        }
        Ok(Self { flags: *flags, counter: u32::from_be_bytes(*counter), rest })
    }
}

/// Hexadecimal digits as bytes: at least one, at most `most`.
fn bytes(text: &str, most: usize) -> Result<Vec<u8>, PasskeyFault> {
    if text.is_empty() || text.len() > most * 2 {
        return Err(PasskeyFault::Malformed);
    }
    hex::decode(text).ok_or(PasskeyFault::Malformed)
}
