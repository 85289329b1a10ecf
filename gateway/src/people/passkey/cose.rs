//! The public key of a passkey, as authenticators hand it over: a COSE key in CBOR (RFC 9052 §7, RFC 9053 §7, RFC 8230
//! §4), and what it verifies. Of all there are, three kinds count here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use ciborium::Value;

/// Algorithms that keys may have, as COSE numbers them, the preferred first: Ed25519, ECDSA with P-256, and RSA for what
/// knows nothing else.
pub const ALGORITHMS: [i64; 3] = [-8, -7, -257];
/// The deepest that values may lie in each other; a key has one level.
const DEPTH: usize = 4;
/// The moduli that count: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// The longest exponent: nobody uses more than 65537.
const EXPONENT_BYTES: std::ops::RangeInclusive<usize> = 1..=4;

/// A key that can be verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// ECDSA with P-256 and SHA-256: the point, uncompressed.
    Es256(Vec<u8>),
    /// Ed25519.
    EdDsa(Vec<u8>),
    /// RSA (PKCS #1 v1.5) with SHA-256: modulus and exponent.
    Rs256(Vec<u8>, Vec<u8>),
}

impl Key {
    /// The key that is the whole of these bytes; `None`: none that counts.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        Self::read_first(text).filter(|(_, rest)| rest.is_empty()).map(|(key, _)| key)
    }

    /// The key that these bytes begin with, and what follows it.
    #[must_use]
    pub fn read_first(text: &[u8]) -> Option<(Self, &[u8])> {
        let (value, rest) = value(text)?;
        let Value::Map(fields) = value else { return None };
        let field = |label: i64| {
            let mut found = fields.iter().filter(|(name, _)| *name == Value::from(label)).map(|(_, value)| value);
            // Named twice, it would be whichever a reader takes.
            found.next().filter(|_| found.next().is_none())
        };
        let number = |label| field(label)?.as_integer().and_then(|number| i64::try_from(number).ok());
        let bytes = |label, length: std::ops::RangeInclusive<usize>| {
            field(label)?.as_bytes().filter(|bytes| length.contains(&bytes.len())).cloned()
        };
        // Its family (1), its algorithm (3); below zero what the family has.
        let key = match (number(1)?, number(3)?) {
            (2, -7) if number(-1)? == 1 => {
                let point = [vec![4], bytes(-2, 32..=32)?, bytes(-3, 32..=32)?].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point).ok()?;
                Self::Es256(point)
            }
            (1, -8) if number(-1)? == 6 => {
                let point = bytes(-2, 32..=32)?;
                ParsedPublicKey::new(&ED25519, &point).ok()?;
                Self::EdDsa(point)
            }
            (3, -257) => {
                let (modulus, exponent) = (bytes(-1, MODULUS_BYTES)?, bytes(-2, EXPONENT_BYTES)?);
                if modulus.first() == Some(&0) || exponent.first() == Some(&0) {
                    return None;
                }
                Self::Rs256(modulus, exponent)
            }
            _ => return None,
        };
        Some((key, rest))
    }

    /// Its algorithm, as COSE numbers it.
    #[must_use]
    pub fn algorithm(&self) -> i64 {
        match self {
            Self::EdDsa(_) => -8,
            Self::Es256(_) => -7,
            Self::Rs256(..) => -257,
        }
    }

    /// Whether this signature of these bytes is the key's.
    #[must_use]
    pub fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let parsed = |algorithm, bytes: &[u8]| {
            ParsedPublicKey::new(algorithm, bytes).is_ok_and(|key| key.verify_sig(signed, signature).is_ok())
        };
        match self {
            Self::Es256(point) => parsed(&ECDSA_P256_SHA256_ASN1, point),
            Self::EdDsa(point) => parsed(&ED25519, point),
            Self::Rs256(n, e) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
        }
    }
}

/// The CBOR value that these bytes begin with, and what follows it.
pub fn value(text: &[u8]) -> Option<(Value, &[u8])> {
    let mut rest = text;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH).ok()?;
    Some((value, rest))
}
