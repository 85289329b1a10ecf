//! Certificates that a client presents: only what our authority signed stands for a sign-in, and only as it was signed.
#![no_main]

use chrono::{DateTime, Utc};
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{Certificate, LineEnding, PrivateKey};
use sekimori_certs::ssh_ca::UserCa;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

/// An authority whose key everybody knows, so that seeds signed with it stay valid.
static AUTHORITY: LazyLock<UserCa> = LazyLock::new(|| {
    let pair = Ed25519Keypair::from_seed(&[7; 32]);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), "fuzz").expect("a key");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(key.to_openssh(LineEnding::LF).expect("its text").as_bytes()).expect("a written file");
    UserCa::load(file.path()).expect("an authority")
});

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(certificate) = Certificate::from_bytes(input) else { return };
    let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).expect("a time");
    if let Ok(checked) = AUTHORITY.check(&certificate, "eng1", SOURCE, now) {
        assert!(certificate.valid_principals().iter().any(|principal| principal == "eng1"));
        assert!(checked.until > now);
        // The seeds are all that was ever signed with this key: anything else that passes was forged.
        assert!((1..=3).contains(&checked.serial), "forged: {checked:?}");
        assert!(AUTHORITY.check(&certificate, "eng2", SOURCE, now).is_err());
        assert!(AUTHORITY.check(&certificate, "eng1", IpAddr::V4(Ipv4Addr::LOCALHOST), now).is_err());
    }
});
