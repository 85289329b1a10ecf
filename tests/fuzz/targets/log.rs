//! What the log's readers are handed: checkpoints, proofs, requests to a witness and its answers, keys, entries, paths, and
//! text typed from paper. What is taken has one spelling, and nothing that was not signed passes.
#![no_main]

use sekimori_audit::log::witness::{Watched, decide, read_answer};
use sekimori_audit::log::{AddCheckpoint, Anchor, Checkpoint, EntryProof, Leaf, LogKeys, Note, Role, SigningKey};
use sekimori_audit::log::{Resource, VerifierKey, note, paper, sha256};
use std::sync::LazyLock;

const LOG: &str = "sekimori.example/log";

/// Keys that everybody knows, so that seeds signed with them stay valid.
static SIGNER: LazyLock<SigningKey> = LazyLock::new(|| key(LOG, Role::Log, 7));
static WITNESS: LazyLock<SigningKey> = LazyLock::new(|| key("witness.example", Role::Witness, 8));

fn key(name: &str, role: Role, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, role, &[seed; 32]).expect("a key")
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(read) = Note::parse(input) {
        assert_eq!(note::join(read.text(), &[read.lines()]).as_bytes(), input, "a note has two spellings");
    }
    if let Ok((checkpoint, read)) = Checkpoint::parse(input) {
        assert!(read.text().starts_with(&checkpoint.text()));
        if checkpoint.origin == LOG && read.verify([SIGNER.verifier()]).is_ok() {
            // The seeds are all that was ever signed with this key: anything else that passes was forged.
            assert!(checkpoint.size == 3 && checkpoint.root == sha256(b"three"), "forged: {checkpoint:?}");
        }
    }
    if let Ok(anchor) = Anchor::parse("fuzz", input) {
        let again = Anchor::parse("again", paper(&anchor.checkpoint).as_bytes());
        // What no paper can carry (a name with spaces) is no fault of the paper's.
        assert!(again.is_err() || again.is_ok_and(|again| again.checkpoint == anchor.checkpoint));
    }
    if let Ok(proof) = EntryProof::parse(input) {
        assert_eq!(EntryProof::parse(proof.text().as_bytes()).as_ref().ok(), Some(&proof));
        let _ = proof.verify(b"entry", &[SIGNER.verifier().clone()]);
    }
    if let Ok(leaf) = Leaf::parse(input) {
        assert_eq!(leaf.encode(), input, "a leaf has two spellings");
    }
    let latest = Checkpoint { origin: LOG.to_owned(), size: 2, root: sha256(b"two") };
    let watched = |name: &str| {
        (name == LOG).then(|| Watched { keys: vec![SIGNER.verifier().clone()], latest: Some(latest.clone()) })
    };
    let answer = decide(input, watched, &WITNESS, 1_800_000_000);
    // No proof leads from these two roots anywhere: they are no roots of any tree.
    assert!(answer.status != 200 && answer.keep.is_none(), "cosigned: {answer:?}");
    let _ = AddCheckpoint::parse(input);
    for status in [200, 409] {
        let _ = read_answer(status, input, &latest.signed(&[&SIGNER]), &[WITNESS.verifier().clone()]);
    }
    let _ = LogKeys::parse(input);
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = (VerifierKey::parse(text), Resource::parse(text));
    }
});
