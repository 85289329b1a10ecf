//! Keys that sign and verify notes: `name+hex+base64`, Ed25519 only.

use super::base64;
use super::error::LogError;
use super::hash::sha256;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use zeroize::Zeroizing;

/// What a key signs with, as the type byte of C2SP signed-note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// 01: the text of a note as it is. The log signs its checkpoints so.
    Log,
    /// 04: the text with a time before it (C2SP tlog-cosignature, `cosignature/v1`). Witnesses sign so.
    Witness,
}

impl Role {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 4,
        }
    }
}

/// The public half of a key, with the name it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    role: Role,
    public: [u8; 32],
}

/// What a signature that was verified says beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The log signed.
    Plain,
    /// A witness signed, at this Unix time in seconds.
    At(u64),
}

impl VerifierKey {
    fn new(name: &str, role: Role, public: &[u8]) -> Result<Self, LogError> {
        check_name(name)?;
        let public = public.try_into().map_err(|_| LogError::malformed("verifier key", "its key has not 32 bytes"))?;
        Ok(Self { name: name.to_owned(), role, public })
    }

    /// Reads `name+hex+base64`.
    ///
    /// # Errors
    /// [`LogError::Malformed`], also if the identifier is not that of the key.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("verifier key", reason);
        // A name has no plus, base64 can have one.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it has not the form name+hex+base64"));
        };
        let material = base64::decode(material).ok_or_else(|| malformed("its last part is not base64"))?;
        let (kind, public) = material.split_first().ok_or_else(|| malformed("it is empty"))?;
        let role = match kind {
            1 => Role::Log,
            4 => Role::Witness,
            other => return Err(malformed(&format!("type {other} is neither Ed25519 (1) nor cosignature/v1 (4)"))),
        };
        let key = Self::new(name, role, public)?;
        if key.id_hex() == id {
            Ok(key)
        } else {
            Err(malformed("its identifier is not that of the key: a typing error?"))
        }
    }

    /// The name, which for a log is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a log's or a witness's.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The first four bytes of SHA-256(name ‖ 0A ‖ type ‖ public key).
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let bytes = [self.name.as_bytes(), b"\n", &[self.role.byte()], &self.public].concat();
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(sha256(&bytes).as_bytes()) {
            *to = *from;
        }
        id
    }

    fn id_hex(&self) -> String {
        crate::hex::encode(&self.id())
    }

    /// Checks what stands behind the identifier in a signature line. `None` if it was not made by this key.
    #[must_use]
    pub fn verify(&self, text: &str, signature: &[u8]) -> Option<Signed> {
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        match self.role {
            Role::Log => key.verify(text.as_bytes(), signature).ok().map(|()| Signed::Plain),
            Role::Witness => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                // The specification's limit, so that no reader's signed integer overflows.
                let fits = i64::try_from(time).is_ok();
                (fits && key.verify(cosigned(time, text).as_bytes(), signature).is_ok()).then_some(Signed::At(time))
            }
        }
    }
}

/// What a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.role.byte()], self.public.as_slice()].concat();
        write!(formatter, "{}+{}+{}", self.name, self.id_hex(), base64::encode(&material))
    }
}

/// A key that signs. Its secret is in memory only; who makes one seals the seed away.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SigningKey {
    /// Makes a new key and its seed, from which [`SigningKey::from_seed`] makes it again.
    ///
    /// # Errors
    /// [`LogError::Crypto`] without randomness, [`LogError::Malformed`] for a name that no note can bear.
    pub fn generate(name: &str, role: Role) -> Result<(Self, Zeroizing<Vec<u8>>), LogError> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| LogError::Crypto("draw a new key"))?;
        Ok((Self::from_seed(name, role, &seed)?, seed))
    }

    /// The key that a seed of 32 bytes stands for.
    ///
    /// # Errors
    /// [`LogError::Malformed`] for a name that no note can bear, [`LogError::Crypto`] for a seed of another length.
    pub fn from_seed(name: &str, role: Role, seed: &[u8]) -> Result<Self, LogError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| LogError::Crypto("make a key from this seed"))?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { pair, verifier: VerifierKey::new(name, role, &public)? })
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The line with which a log's key signs a text, with its newline.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        self.line(self.pair.sign(text.as_bytes()).as_ref())
    }

    /// The line with which a witness's key signs a text at a Unix time in seconds, with its newline.
    #[must_use]
    pub fn cosign(&self, text: &str, time: u64) -> String {
        let signature = self.pair.sign(cosigned(time, text).as_bytes());
        self.line(&[&time.to_be_bytes(), signature.as_ref()].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        let blob = [&self.verifier.id(), signature].concat();
        format!("\u{2014} {} {}\n", self.verifier.name, base64::encode(&blob))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.verifier)
    }
}

/// A name as a note's signature line can bear it.
pub(super) fn check_name(name: &str) -> Result<(), LogError> {
    let bad = |each: char| each.is_whitespace() || each.is_control() || each == '+';
    if name.is_empty() || name.contains(bad) {
        return Err(LogError::malformed("key name", "it is empty, or has a space, a plus or a control character"));
    }
    Ok(())
}
