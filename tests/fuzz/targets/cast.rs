//! Recordings of terminals as evidence of unknown origin: whatever is in a file, reading it ends, and shows nothing that
//! could act.
#![no_main]

use sekimori_audit::replay::{Cast, CastReader, Happening, SafeOutput, print_text};
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let path: PathBuf = FOLDER.path().join("00001.cast");
    std::fs::write(&path, input).expect("a file");
    if let Ok(mut reader) = CastReader::open(&path) {
        let mut safe = SafeOutput::default();
        let mut at = std::time::Duration::ZERO;
        while let Ok(Some(event)) = reader.next_event() {
            assert!(event.at >= at, "time runs backwards");
            at = event.at;
            if let Happening::Output(text) = event.what {
                let shown = safe.filter(&text);
                let acts =
                    ["\u{1b}]", "\u{1b}P", "\u{1b}_", "\u{1b}^", "\u{9b}", "\u{9d}", "\u{90}", "\u{1b}[6n", "\u{1b}[c"];
                assert!(!acts.iter().any(|act| shown.contains(act)), "{shown:?}");
            }
        }
    }
    print_text(&Cast::file(&path), &mut std::io::sink()).ok();
});
