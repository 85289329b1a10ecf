//! The algorithms that are spoken: towards people as wide as the configuration says, towards equipment with none that
//! is broken.

use crate::config::Algorithms;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve};
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;

/// AES-GCM first: hardware has it. ChaCha20 would be half as fast, and OpenSSH would choose it.
pub const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];

/// Post-quantum, and with it the two extensions that are negotiated under the same heading (RFC 8308, strict KEX).
const MODERN: &[kex::Name] =
    &[kex::MLKEM768X25519_SHA256, kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];

/// PuTTY, Dropbear, libssh2 and OpenSSH before 9.9 know no post-quantum exchange that russh knows.
const COMPATIBLE: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// Clients in FIPS mode, and Java libraries that are no longer kept.
const WIDE: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const ENCRYPT_THEN_MAC: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];

/// Dropbear and libssh2 1.10 know no encrypt-then-MAC. With HMAC-SHA2 the order is no known weakness.
const ANY_SHA2: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];

/// What is offered to people.
pub fn towards_people(algorithms: Algorithms) -> Preferred {
    let (kex, mac) = match algorithms {
        Algorithms::Modern => (MODERN, ENCRYPT_THEN_MAC),
        Algorithms::Compatible => (COMPATIBLE, ANY_SHA2),
        Algorithms::Wide => (WIDE, ANY_SHA2),
    };
    Preferred {
        kex: Cow::Borrowed(kex),
        key: Cow::Borrowed(&[Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(mac),
        compression: Cow::Borrowed(&[compression::NONE, compression::ZLIB_LEGACY]),
        ..Preferred::default()
    }
}

/// The host keys that are shown to people: the ECDSA one only to clients that know no other.
pub fn host_keys(algorithms: Algorithms, all: &[PrivateKey]) -> Vec<PrivateKey> {
    let shown = |key: &&PrivateKey| algorithms == Algorithms::Wide || key.algorithm() == Algorithm::Ed25519;
    all.iter().filter(shown).cloned().collect()
}
