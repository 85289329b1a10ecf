//! Answers of authenticators, those that count and those that do not; and the examples of the specification (WebAuthn
//! Level 3, §16: none.ES256, packed.RS256 and packed.EdDSA).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

const CHALLENGE: [u8; 32] = [7; 32];
const ORIGIN: &str = "https://gate.example:8443";
const VERIFIED: u8 = USER_PRESENT | USER_VERIFIED;

/// The hash of `example.org`, no flag but presence and backup, a counter of 0.
const W3C_DATA: &str = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000";
const W3C_ES256: [&str; 3] = [
    "a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b0345\
     8abf879717c12cc68ed73290af2e2664796b9220",
    r#"{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}"#,
    "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78\
     c6e486013f937295ea13653e331e87",
];
const W3C_RS256: [&str; 2] = [
    r#"{"type":"webauthn.get","challenge":"KV9Z9fqP5ixayp4nYmx4yNo3aubYzS3SmuutYB4bxMU","origin":"https://example.org","crossOrigin":false}"#,
    "01063d52d7c39b4d432fc7063c5d93e582bdcb16889cd71f888d67d880ea730a428498d3bc8e1ee11f2b1ecbe6c292b118c55ffaaddefa8cad\
     0a54dd137c51f1eec673f1bb6c4d1789d6826a222b22d0f585fc901fdc933212e579d199b89d672aa44891333e6a1355536025e82b25590256\
     c3538229b55737083b2f6b9377e49e2472f11952f79fdd0da180b5ffd901b4049a8f081bb40711bef76c62aed943571f2d0575304cb549d68d\
     8892f95086a30f93716aee818f8dc06e96c0d5e0ed4cfa9fd8773d90464b68cf140f7986666ff9c9e3302acd0535d60d769f465e2ab57ef8aa\
     bc89fccfef7ba32a64154a8b3d26be2298f470b8cc5377dbe3dfd4b0b45f8f01e63bde6cfc76b62771f9b70aa27cf40152cad93aa5acd784fd\
     4b90f676e2ea828d0bf2400aebbaae4153e5838f537f88b6228346782a93a899be66ec77de45b3efcf311da6321c92e6b0cd11bfe653bf3e98\
     cee8e341f02d67dbb6f9c98d9e8178090cfb5b70fbc6d541599ac794ae2f1d4de1286ec8de8c2daf7b1d15c8438e90d924df5c19045220a4c8\
     438c1b979bbe016cf3d0eeec23c3999d4882cc645b776de930756612cdc6dd398160ff02a6",
];
const W3C_EDDSA: [&str; 3] = [
    "a401010327200621582044e06ddd331c36a8dc667bab52bcae63486c916aa5e339e6acebaa84934bf832",
    r#"{"type":"webauthn.get","challenge":"iVlX4BxjOmmDSKLYoxpUt9sn6MHEOyCA15riGQJnv9I","origin":"https://example.org","crossOrigin":false}"#,
    "f5c59c7e46c34f6f8cc197101ddf9934fa2595f68eb1913a637e8419eb9ba4cfdfc48f85393bc0d40b011f0d6fecb097d6607525713223a0dc\
     0d453993dae00b",
];

fn here() -> Here {
    Here { party: RelyingParty { id: "gate.example".to_owned() }, origin: ORIGIN.to_owned() }
}

fn client(kind: &str, origin: &str) -> Vec<u8> {
    let challenge = base64::encode(&CHALLENGE).replace('+', "-").replace('/', "_").replace('=', "");
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#).into_bytes()
}

fn data(site: &str, flags: u8, counter: u32, rest: &[u8]) -> Vec<u8> {
    [sha256(site.as_bytes()).as_bytes(), &[flags][..], &counter.to_be_bytes(), rest].concat()
}

struct Authenticator(EcdsaKeyPair);

impl Authenticator {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn cose(&self) -> Vec<u8> {
        let point = self.0.public_key().as_ref();
        let head = bytes("a5010203262001215820", 10).unwrap();
        [&head, &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
    }

    fn key(&self, counter: u32) -> PublicKey {
        PublicKey { cose: self.cose(), counter }
    }

    fn answers(&self, client: &[u8], data: &[u8]) -> Assertion {
        let signed = [data, sha256(client).as_bytes()].concat();
        let signature = self.0.sign(&SystemRandom::new(), &signed).unwrap();
        Assertion::parse("ab01", &hex::encode(client), &hex::encode(data), &hex::encode(signature.as_ref())).unwrap()
    }
}

#[test]
fn only_what_was_asked_here_and_verified_its_user_is_taken() {
    let (authenticator, ours) = (Authenticator::new(), client("webauthn.get", ORIGIN));
    let good = data("gate.example", VERIFIED, 5, &[]);
    let check = |client: &[u8], data: &[u8], counter| {
        authenticator.answers(client, data).check(&here(), &authenticator.key(counter))
    };
    assert_eq!(check(&ours, &good, 4), Ok(5));
    assert_eq!(authenticator.answers(&ours, &good).challenge().unwrap(), kept(&CHALLENGE));
    for counter in [5, 6] {
        assert_eq!(check(&ours, &good, counter), Err(PasskeyFault::Counter), "{counter}");
    }
    let uncounted = data("gate.example", VERIFIED, 0, &[]);
    assert_eq!(check(&ours, &uncounted, 0), Ok(0));
    assert_eq!(check(&ours, &uncounted, 1), Err(PasskeyFault::Counter));
    for origin in [
        "https://evil.example",
        "http://gate.example:8443",
        "https://gate.example:8444",
        "https://gate.example",
        "https://gate.example.evil.example",
        "https://sub.gate.example:8443",
    ] {
        assert_eq!(check(&client("webauthn.get", origin), &good, 4), Err(PasskeyFault::Origin), "{origin}");
    }
    for (flags, fault) in [
        (USER_PRESENT, PasskeyFault::UserVerification),
        (USER_VERIFIED, PasskeyFault::UserVerification),
        (VERIFIED | BACKED_UP, PasskeyFault::Malformed),
    ] {
        assert_eq!(check(&ours, &data("gate.example", flags, 5, &[]), 4), Err(fault));
    }
    assert_eq!(check(&ours, &data("evil.example", VERIFIED, 5, &[]), 4), Err(PasskeyFault::RelyingParty));
    let other = Authenticator::new().key(4);
    assert_eq!(authenticator.answers(&ours, &good).check(&here(), &other), Err(PasskeyFault::Signature));
    assert_eq!(check(&ours, &good[..36], 4), Err(PasskeyFault::Malformed));
    let foreign = Here { origin: "https://evil.example".to_owned(), ..here() };
    let taken_in = authenticator.answers(&client("webauthn.get", "https://evil.example"), &good);
    assert_eq!(taken_in.check(&foreign, &authenticator.key(4)), Err(PasskeyFault::Origin), "another host's page");
}

#[test]
fn a_new_passkey_is_read_and_what_is_none_is_not() {
    let authenticator = Authenticator::new();
    let (cose, ours) = (authenticator.cose(), client("webauthn.create", ORIGIN));
    let flags = VERIFIED | CREDENTIAL_INCLUDED;
    let with = |flags, cose: &[u8]| {
        let rest = [&[0; 16][..], &[0, 2, 0xab, 0x01], cose].concat();
        data("gate.example", flags, 9, &rest)
    };
    let read =
        |client: &[u8], data: &[u8]| Registration::parse(&hex::encode(client), &hex::encode(data))?.check(&here());
    let taken = read(&ours, &with(flags, &cose)).unwrap();
    assert_eq!(taken, Registered { id: "ab01".to_owned(), key: authenticator.key(9), algorithm: -7 });
    // An extension's output behind the key, which the flag has to announce.
    let extended = [&cose[..], &[0xa0]].concat();
    assert_eq!(read(&ours, &with(flags | EXTENSIONS_INCLUDED, &extended)).unwrap().key.cose, cose);
    assert_eq!(read(&ours, &with(flags, &extended)).unwrap_err(), PasskeyFault::Malformed);
    assert_eq!(read(&ours, &with(flags & !CREDENTIAL_INCLUDED, &cose)).unwrap_err(), PasskeyFault::Malformed);
    assert_eq!(read(&ours, &with(flags & !USER_VERIFIED, &cose)).unwrap_err(), PasskeyFault::UserVerification);
    assert_eq!(read(&client("webauthn.get", ORIGIN), &with(flags, &cose)).unwrap_err(), PasskeyFault::Malformed);
    // Cut off anywhere, it is none.
    let whole = with(flags, &cose);
    for length in 0..whole.len() {
        read(&ours, &whole[..length]).unwrap_err();
    }
}

#[test]
fn keys_that_do_not_count_are_refused() {
    let good = Authenticator::new().cose();
    assert!(Key::read(&good).is_some());
    let changed = |at: usize, byte: u8| {
        let mut cose = good.clone();
        cose[at] = byte;
        cose
    };
    for (cose, why) in [
        (changed(4, 0x27), "a point of P-256 said to be Ed25519"),
        (changed(4, 0x38), "an algorithm of another length"),
        (changed(6, 2), "another curve"),
        (changed(2, 1), "another family"),
        (changed(20, good[20] ^ 1), "no point of the curve"),
        (bytes("a40101032720062158200000", 12).unwrap(), "cut off"),
        (bytes("a30101032720", 6).unwrap(), "no key in it"),
        ([&good[..], &[0]].concat(), "more behind it"),
        (bytes("bb7fffffffffffffff", 9).unwrap(), "a map of 2^63 entries"),
        (bytes("5b7fffffffffffffff", 9).unwrap(), "2^63 bytes"),
        (vec![0x81; 4000], "lists in lists"),
        (bytes("a403390100010320430100012158200000", 17).unwrap(), "RSA without a modulus"),
    ] {
        assert!(Key::read(&cose).is_none(), "{why}");
    }
    // The same label twice.
    let twice = [&bytes("a6010201020326", 7).unwrap()[..], &good[5..]].concat();
    assert!(Key::read(&twice).is_none());
}

#[test]
fn the_specifications_examples_verify() {
    let data = bytes(W3C_DATA, 100).unwrap();
    let check = |cose: &[u8], client: &str, data: &[u8], signature: &str| {
        let key = Key::read(cose).unwrap();
        let signature = bytes(signature, 1000).unwrap();
        let signed = [data, sha256(client.as_bytes()).as_bytes()].concat();
        let altered = [data, sha256(b"other").as_bytes()].concat();
        assert!(key.verifies(&signed, &signature), "{}", key.algorithm());
        assert!(!key.verifies(&altered, &signature), "{}", key.algorithm());
        key.algorithm()
    };
    let [cose, client, signature] = W3C_ES256;
    assert_eq!(check(&bytes(cose, 100).unwrap(), client, &data, signature), -7);
    let [cose, client, signature] = W3C_EDDSA;
    let unflagged = [&data[..32], &[1], &data[33..]].concat();
    assert_eq!(check(&bytes(cose, 100).unwrap(), client, &unflagged, signature), -8);
    let [client, signature] = W3C_RS256;
    assert_eq!(check(&w3c_rsa(), client, &data, signature), -257);

    // None of these verified its user: whole, they are refused for that.
    let here = Here { party: RelyingParty { id: "example.org".to_owned() }, origin: "https://example.org".to_owned() };
    let [cose, client, signature] = W3C_ES256;
    let answer = Assertion::parse("f9", &hex::encode(client.as_bytes()), W3C_DATA, signature).unwrap();
    let key = PublicKey { cose: bytes(cose, 100).unwrap(), counter: 0 };
    assert_eq!(answer.check(&here, &key), Err(PasskeyFault::UserVerification));
}

/// The specification's RSA key: the product of 2^1279 - 1 and 2^2203 - 1, which is 2^3482 - 2^2203 - 2^1279 + 1.
fn w3c_rsa() -> Vec<u8> {
    let mut modulus = vec![0_u8; 436];
    let bit = |at: usize| (435 - at / 8, 1_u8 << (at % 8));
    for at in 2204..3482 {
        let (byte, mask) = bit(at);
        modulus[byte] |= mask;
    }
    // And 2^2203 less 2^1279: every bit from the lower up to the higher.
    for at in 1279..2203 {
        let (byte, mask) = bit(at);
        modulus[byte] |= mask;
    }
    modulus[435] |= 1;
    let head = bytes("a4010303390100205901b4", 11).unwrap();
    [&head, &modulus[..], &bytes("2143010001", 5).unwrap()].concat()
}

#[test]
fn passkeys_are_for_names() {
    let of = |names: &[&str]| RelyingParty::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(of(&["192.0.2.1", "::1", "Gate.example", "other.example"]).unwrap().id, "gate.example");
    assert!(of(&["192.0.2.1"]).is_none());
    assert!(here().party.has("https://gate.example") && !here().party.has("https://gate.example:x"));
    for wrong in ["", "abc", "zz", "00fF", "0102030405"] {
        assert!(bytes(wrong, 4).is_err(), "{wrong}");
    }
    assert_eq!(bytes("00ff", 4).unwrap(), [0, 255]);
}
