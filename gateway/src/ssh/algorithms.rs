//! The algorithms that are spoken: towards people as wide as the configuration says, towards equipment with none that
//! is broken, unless the hospital allows a class of outdated ones for that device.

use crate::config::Algorithms;
use crate::store::Legacy;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;
use std::collections::BTreeSet;

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

/// Towards equipment: every exchange that is not known to be weak, the quick ones first.
const EQUIPMENT: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G14_SHA256,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
];

/// Negotiated under the same heading (RFC 8308, strict KEX).
const EQUIPMENT_EXTENSIONS: &[kex::Name] =
    &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

/// Outdated exchanges, the least weak first.
const LEGACY_KEX: &[(kex::Name, Legacy)] =
    &[(kex::DH_GEX_SHA1, Legacy::Sha1), (kex::DH_G14_SHA1, Legacy::Sha1), (kex::DH_G1_SHA1, Legacy::Group1)];

/// Outdated ciphers, likewise.
const LEGACY_CIPHERS: &[(cipher::Name, Legacy)] = &[
    (cipher::AES_256_CBC, Legacy::Cbc),
    (cipher::AES_192_CBC, Legacy::Cbc),
    (cipher::AES_128_CBC, Legacy::Cbc),
    (cipher::TRIPLE_DES_CBC, Legacy::Cbc),
];

/// Outdated message authentication, likewise.
const LEGACY_MACS: &[(mac::Name, Legacy)] = &[(mac::HMAC_SHA1_ETM, Legacy::Sha1), (mac::HMAC_SHA1, Legacy::Sha1)];

/// The class that an algorithm belongs to; `None` if it is not outdated, or not known.
pub fn legacy_class(name: &str) -> Option<Legacy> {
    fn of<N: AsRef<str>>(table: &[(N, Legacy)], name: &str) -> Option<Legacy> {
        table.iter().find(|(known, _)| known.as_ref() == name).map(|(_, class)| *class)
    }
    match name {
        "ssh-rsa" => Some(Legacy::Sha1),
        "ssh-dss" => Some(Legacy::Dss),
        _ => of(LEGACY_KEX, name).or_else(|| of(LEGACY_CIPHERS, name)).or_else(|| of(LEGACY_MACS, name)),
    }
}

/// Whether a cipher authenticates by itself, so that the message authentication beside it is not used.
pub fn authenticates_itself(cipher: &str) -> bool {
    cipher.ends_with("gcm@openssh.com") || cipher == cipher::CHACHA20_POLY1305.as_ref()
}

/// What is offered to a device whose host keys are of these kinds (RSA of any hash stands for all of RSA), with the
/// classes that the hospital allows towards it.
pub fn towards_equipment(host_keys: &[Algorithm], legacy: &BTreeSet<Legacy>) -> Preferred {
    fn with<N: Copy>(modern: &[N], table: &[(N, Legacy)], legacy: &BTreeSet<Legacy>) -> Vec<N> {
        let allowed = table.iter().filter(|(_, class)| legacy.contains(class)).map(|(name, _)| *name);
        modern.iter().copied().chain(allowed).collect()
    }
    let mut keys = Vec::new();
    for kind in host_keys {
        match kind {
            Algorithm::Rsa { .. } => {
                let hashes = [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None];
                keys.extend(hashes.map(|hash| Algorithm::Rsa { hash }));
            }
            other => keys.push(other.clone()),
        }
    }
    keys.retain(|key| legacy_class(key.as_str()).is_none_or(|class| legacy.contains(&class)));
    let mut kex = with(EQUIPMENT, LEGACY_KEX, legacy);
    kex.extend_from_slice(EQUIPMENT_EXTENSIONS);
    let modern_ciphers = [CIPHERS, &[cipher::CHACHA20_POLY1305]].concat();
    Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(keys),
        cipher: Cow::Owned(with(&modern_ciphers, LEGACY_CIPHERS, legacy)),
        mac: Cow::Owned(with(ANY_SHA2, LEGACY_MACS, legacy)),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(legacy: &[Legacy]) -> Vec<String> {
        let kinds = [Algorithm::Ed25519, Algorithm::Rsa { hash: None }, Algorithm::Dsa];
        let preferred = towards_equipment(&kinds, &legacy.iter().copied().collect());
        let kex = preferred.kex.iter().map(|name| name.as_ref().to_owned());
        let keys = preferred.key.iter().map(ToString::to_string);
        let ciphers = preferred.cipher.iter().map(|name| name.as_ref().to_owned());
        kex.chain(keys).chain(ciphers).chain(preferred.mac.iter().map(|name| name.as_ref().to_owned())).collect()
    }

    #[test]
    fn nothing_outdated_is_offered_unless_its_class_is_allowed() {
        let modern = offered(&[]);
        assert!(modern.iter().all(|name| legacy_class(name).is_none()), "{modern:?}");
        for class in Legacy::ALL {
            let all = offered(&[class]);
            let added: Vec<_> = all.iter().filter(|name| !modern.contains(name)).collect();
            assert!(!added.is_empty(), "{class} adds nothing");
            assert!(added.iter().all(|name| legacy_class(name) == Some(class)), "{class} adds {added:?}");
            let weak = all.iter().skip_while(|name| *name != "ssh-rsa").take(1);
            assert_eq!(weak.count(), usize::from(class == Legacy::Sha1));
        }
    }

    #[test]
    fn people_are_never_offered_what_is_outdated() {
        for algorithms in [Algorithms::Modern, Algorithms::Compatible, Algorithms::Wide] {
            let preferred = towards_people(algorithms);
            let kex = preferred.kex.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            let ciphers = preferred.cipher.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            let macs = preferred.mac.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            let keys = preferred.key.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
            let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
            for name in [kex, ciphers, macs, keys].concat() {
                assert_eq!(legacy_class(name), None, "{name} is offered under {algorithms:?}");
            }
        }
    }
}
