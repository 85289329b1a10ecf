//! Recordings as they lie on the disk, of unknown origin: the index of a sealed one, and the journal of one that is not
//! sealed yet. The first byte says which. Nothing that was not encrypted under the key passes, and what is cut off, torn or
//! put elsewhere is told of.
#![no_main]

use sekimori_audit::keys;
use sekimori_audit::recording::{SealedIndex, SessionKey};
use sekimori_audit::replay::{Source, check_sealed, open};
use std::io::Read;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
});

/// What the seeds say, under a key that everybody knows: anything else that opens was forged.
const SAID: &[u8] = b"two frames\n";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, input)) = input.split_first() else { return };
    if first & 1 == 0 {
        let path = FOLDER.path().join("session.tar");
        std::fs::write(&path, input).expect("a file");
        if let Ok(index) = SealedIndex::read(&path) {
            for (name, place) in index.places() {
                assert!(!name.is_empty() && place.sha256.len() < input.len());
            }
        }
        let _ = check_sealed(&path, |_, _, _| {});
        let _ = Source::sealed(&path, keys::make().office).and_then(open);
        return;
    }
    let folder = FOLDER.path().join("working");
    std::fs::create_dir_all(folder.join("files")).expect("a folder");
    for member in ["00001.cast", "files/00001-0001"] {
        std::fs::write(folder.join(format!("{member}.journal")), input).expect("a file");
        let source = Source::working(&folder, SessionKey::from([7; 32]));
        let mut read = Vec::new();
        let Ok(mut opened) = source.open(member) else { continue };
        let whole = opened.by_ref().take(1 << 20).read_to_end(&mut read).is_ok();
        if member == "00001.cast" {
            assert!(SAID.starts_with(&read), "forged: {read:?}");
        } else {
            // The seeds' frames are of another member, and a copy's gaps read as zeros.
            assert!(read.iter().all(|byte| *byte == 0), "forged: {read:?}, {whole}");
        }
    }
});
