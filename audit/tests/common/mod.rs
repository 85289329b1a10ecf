//! What the tests of recordings share: a session, and a checker of asciicast v3 that follows the specification.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use bytes::Bytes;
use chrono::Utc;
use sekimori_audit::recording::{Limits, Recording, Recordings, SessionEnd, SessionHead, Terminal};
use sekimori_audit::replay::Source;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A session of the demo hospital.
pub fn head() -> SessionHead {
    SessionHead {
        session: Uuid::now_v7(),
        opened: Utc::now(),
        person: "eng1".parse().unwrap(),
        vendor: Some("acme".parse().unwrap()),
        device: "ct-01".parse().unwrap(),
        account: "service".to_owned(),
        work: "w-1".parse().unwrap(),
        source: "192.0.2.7".parse().unwrap(),
        gateway: "gate".to_owned(),
    }
}

/// A recording that runs in `root`.
pub async fn started(root: &Path) -> Recording {
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    recordings(root, limits).start(head()).await.unwrap()
}

/// Recordings in `root`, sealed to keys that nobody keeps.
pub fn recordings(root: &Path, limits: Limits) -> Recordings {
    Recordings::open(root.to_owned(), limits, sekimori_audit::keys::make().recipients).unwrap()
}

/// A member's bytes.
pub fn member(source: impl Into<Source>, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.into().open(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// A recording's members in clear, in a folder of their own.
pub fn in_clear(source: impl Into<Source>) -> tempfile::TempDir {
    let (source, folder) = (source.into(), tempfile::tempdir().unwrap());
    let mut archive = Vec::new();
    let _ = sekimori_audit::replay::export(&source, &mut archive).unwrap();
    tar::Archive::new(archive.as_slice()).unpack(folder.path()).unwrap();
    folder
}

/// The folder in such a folder.
pub fn inside(folder: &tempfile::TempDir) -> PathBuf {
    std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path()
}

/// The usual end.
pub fn end() -> SessionEnd {
    SessionEnd { at: Utc::now(), reason: "the person left".to_owned() }
}

/// A shell of the usual size.
pub fn shell() -> Terminal {
    Terminal { cols: 80, rows: 24, term: "xterm-256color".to_owned(), command: None }
}

/// Bytes.
pub fn bytes(data: impl AsRef<[u8]>) -> [Bytes; 1] {
    [Bytes::copy_from_slice(data.as_ref())]
}

/// Checks a file against the text of asciicast v3 and returns its output; panics where they differ.
pub fn check_v3(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "a line without its end");
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    check_header(header.as_object().unwrap());
    let mut output = String::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let Value::Array(event) = serde_json::from_str(line).unwrap() else { panic!("no array: {line}") };
        assert_eq!(event.len(), 3, "{line}");
        assert!(event[0].as_f64().unwrap() >= 0.0, "{line}");
        let (code, data) = (event[1].as_str().unwrap(), event[2].as_str().unwrap());
        assert_eq!(code.chars().count(), 1, "{line}");
        match code {
            "o" => output.push_str(data),
            "r" => {
                let (cols, rows) = data.split_once('x').unwrap();
                assert!(cols.parse::<u16>().unwrap() > 0 && rows.parse::<u16>().unwrap() > 0, "{line}");
            }
            "x" => assert!(data.parse::<u32>().is_ok(), "{line}"),
            _ => {}
        }
    }
    output
}

fn check_header(header: &serde_json::Map<String, Value>) {
    assert_eq!(header["version"], 3);
    let term = header["term"].as_object().unwrap();
    assert!(term["cols"].as_u64().unwrap() > 0 && term["rows"].as_u64().unwrap() > 0);
    let known = ["version", "term", "timestamp", "idle_time_limit", "command", "title", "env", "tags"];
    assert!(header.keys().all(|key| known.contains(&key.as_str())), "{header:?}");
    let known = ["cols", "rows", "type", "version", "theme"];
    assert!(term.keys().all(|key| known.contains(&key.as_str())), "{header:?}");
    assert!(header.get("timestamp").is_none_or(Value::is_i64), "whole seconds");
}
