//! What is left when the gateway is killed, and when the disk is full. Each test runs a child process of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, end, head, shell, started};
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Identities};
use sekimori_audit::recording::{Limits, Output, Recordings};
use sekimori_audit::replay::{self, CastReader, Happening, Source, export};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file of the key that opens what the child recorded.
const OFFICE: &str = "office.age";

/// Names the folder in the child's environment.
const FOLDER: &str = "SEKIMORI_TEST_CHILD_FOLDER";

fn child_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// This test program again, with one test only.
fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Shows ever more, and says on standard output what was shown, as the relay would forward it.
#[tokio::main(flavor = "current_thread")]
async fn show_until_killed(root: &Path) {
    let made = keys::make();
    made.office.write(&root.join(OFFICE), "passphrase", 1).unwrap();
    let recordings =
        Recordings::open(root.join("recordings"), Limits { reserve_bytes: 0, ..Limits::default() }, made.recipients);
    let recording = recordings.unwrap().start(head()).await.unwrap();
    let terminal = recording.terminal(1, shell()).await.unwrap();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\nfolder {}", recording.folder().display()).unwrap();
    let text = "出力 of the device ".as_bytes();
    for at in 0.. {
        // One byte more or less each time, so that characters are cut.
        let piece = text.iter().cycle().skip(at * 7).take(5 + at % 4).copied().collect::<Vec<_>>();
        terminal.from_device(Output::Stdout, &bytes(&piece)).unwrap();
        writeln!(stdout, "shown {}", piece.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).unwrap();
    }
}

#[test]
fn what_was_shown_is_on_record_after_a_kill() {
    if let Some(root) = child_folder() {
        return show_until_killed(&root);
    }
    for round in 1..=10_usize {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new(this_program())
            .args(["what_was_shown_is_on_record_after_a_kill", "--exact", "--nocapture"])
            .env(FOLDER, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).unwrap();
        let mut shown = String::new();
        for _ in 0..round * 37 {
            shown.extend(lines.next().unwrap().strip_prefix("shown "));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever still stood in the pipe was shown as well. A line is one write(2), so none is torn.
        shown.extend(lines.filter_map(|line| line.strip_prefix("shown ").map(str::to_owned)));

        let source =
            Source::of(&folder, || Identities::read(&root.path().join(OFFICE), || Ok("passphrase".to_owned().into())));
        let source = source.unwrap_or_else(|fault: RecordingError| panic!("{fault}"));
        let index = replay::open(&source).unwrap();
        let recorded = recorded_bytes(index.cast_of(1).unwrap().open().unwrap());
        let recorded = recorded.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(recorded.starts_with(&shown), "round {round}: shown bytes are missing");
        assert!(index.manifest.is_none() && index.channels.len() == 1);
        assert!(!export(&source, std::io::sink()).unwrap().verified);
    }
}

/// The exact bytes that a reader finds: outputs, and what waits at the end for the rest of a character.
fn recorded_bytes(mut reader: CastReader) -> Vec<u8> {
    let (mut bytes, mut pending, mut exact) = (Vec::new(), Vec::new(), None);
    while let Some(event) = reader.next_event().unwrap() {
        match event.what {
            Happening::Exact(these) => exact = Some(these),
            Happening::Output(text) => {
                bytes.extend(exact.take().unwrap_or_else(|| text.into_bytes()));
                pending.clear();
            }
            Happening::Pending(these) => pending = these,
            _ => {}
        }
    }
    bytes.extend(pending);
    bytes
}

/// Runs inside a mount namespace of its own, where `root` becomes a file system of 1 MiB.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn fill_the_disk(root: &Path) {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(root).status().unwrap();
    assert!(mounted.success(), "cannot mount a tmpfs: run the tests where user namespaces are allowed, or as root");
    let filler = root.join("filler");
    std::fs::write(&filler, vec![0; 512 * 1024]).unwrap();
    let recording = started(&root.join("recordings")).await;
    let failed = recording.failed();
    let terminal = recording.terminal(1, shell()).await.unwrap();
    let exec = recording.stream(2, "cat".to_owned()).await.unwrap();
    let chunk = bytes(vec![b'x'; 32 * 1024]);
    let error = loop {
        if let Err(error) = exec.from_device(Output::Stdout, &chunk) {
            break error;
        }
    };
    let message = error.to_string();
    assert!(matches!(error, RecordingError::Storage { .. }), "{message}");
    assert!(message.contains("00002.stdout") && message.contains("No space left"), "{message}");
    failed.cancelled().await;
    let other = terminal.from_device(Output::Stdout, &bytes("more"));
    assert!(matches!(other, Err(RecordingError::Failed(_))), "every tap refuses: {other:?}");
    assert!(matches!(recording.sftp(3).await, Err(RecordingError::Failed(_))));
    // Room again brings nothing back: bytes may already be encrypted under the place that others would take.
    std::fs::remove_file(&filler).unwrap();
    assert!(matches!(exec.from_device(Output::Stdout, &chunk), Err(RecordingError::Failed(_))));
    // What did not fit is cut off again, so that there is room to say what became of it, and all that counts is whole.
    let summary = recording.finish(end()).await.unwrap();
    assert!(summary.manifest.failure.unwrap().contains("No space left"));
    assert!(export(&recording, std::io::sink()).unwrap().verified);
    assert!(!recording.folder().join("manifest.json.journal.partial").exists());
    for entry in std::fs::read_dir(recording.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            no_nonce_twice(&path);
        }
    }
}

/// The head of each frame is its nonce; the file ends where its last frame does.
fn no_nonce_twice(journal: &Path) {
    let stored = std::fs::read(journal).unwrap();
    let (mut rest, mut seen) = (stored.get(8..).unwrap_or_default(), HashSet::new());
    while let Some((head, behind)) = rest.split_at_checked(12) {
        assert!(seen.insert(head), "{}: a nonce is used twice", journal.display());
        let length = u32::from_be_bytes(head.get(8..).unwrap().try_into().unwrap());
        rest = behind.get(usize::try_from(length).unwrap() + 16..).unwrap();
    }
    assert!(rest.is_empty(), "{}", journal.display());
}

#[test]
fn a_full_disk_ends_the_recording_and_says_which_file() {
    if let Some(root) = child_folder() {
        return fill_the_disk(&root);
    }
    let root = tempfile::tempdir().unwrap();
    let child = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--"])
        .arg(this_program())
        .args(["a_full_disk_ends_the_recording_and_says_which_file", "--exact", "--nocapture"])
        .env(FOLDER, root.path())
        .output()
        .expect("unshare of util-linux must be installed");
    let told = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}
