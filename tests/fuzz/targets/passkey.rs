//! Keys of passkeys: CBOR that a browser sends.
#![no_main]

#[path = "../../../gateway/src/people/passkey/cose.rs"]
mod cose;

use cose::{ALGORITHMS, Key};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What may stand behind a key is read the same way.
    let _ = cose::value(bytes);
    let Some((key, rest)) = Key::read_first(bytes) else { return };
    let whole = &bytes[..bytes.len() - rest.len()];
    assert_eq!(Key::read(whole).as_ref(), Some(&key), "kept, it is another key");
    assert!(rest.is_empty() || Key::read(bytes).is_none(), "more than a key is a key");
    assert!(ALGORITHMS.contains(&key.algorithm()));
    assert!(!key.verifies(b"signed", rest), "somebody forged a signature");
});
