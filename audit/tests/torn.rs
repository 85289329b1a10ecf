//! What a power cut leaves of a recording: files that are longer than what reached the disk, with zeros or something
//! older in them. They are sealed without a key, and everything before the tear reads.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, head, member, shell};
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Made};
use sekimori_audit::recording::{Limits, Output, Press, Recording, Recordings, Sealing, head_in, sealed_path};
use sekimori_audit::replay::{self, Source, export, export_sealed};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

async fn begun(made: &Made, root: &Path) -> Recording {
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    Recordings::open(root.to_owned(), limits, made.recipients.clone()).unwrap().start(head()).await.unwrap()
}

/// A terminal, a command and a file that is being uploaded, as the power goes.
async fn cut_off(made: &Made, root: &Path) -> PathBuf {
    let recording = begun(made, root).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    let exec = recording.stream(2, "cat big".to_owned()).await.unwrap();
    for number in 0..40 {
        terminal.from_device(Output::Stdout, &bytes(format!("line {number} {}\r\n", "x".repeat(30_000)))).unwrap();
        exec.from_device(Output::Stdout, &bytes(vec![number; 30_000])).unwrap();
    }
    let _ = recording.terminal(4, shell()).await.unwrap();
    let scp = recording.stream(3, "scp -t /tmp/fw.bin".to_owned()).await.unwrap();
    scp.from_device(Output::Stdout, &bytes("\0")).unwrap();
    scp.from_person(&bytes("C0644 9 fw.bin\n")).unwrap();
    scp.from_device(Output::Stdout, &bytes("\0")).unwrap();
    for part in ["one ", "two "] {
        scp.from_person(&bytes(part)).unwrap();
    }
    recording.folder().to_owned()
}

fn journal(folder: &Path, member: &str) -> PathBuf {
    folder.join(format!("{member}.journal"))
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Zeros in place of the last bytes.
fn empty_the_last(path: &Path, count: usize) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0; count], length - count as u64).unwrap();
}

fn seal(folder: &Path, made: &Made) -> PathBuf {
    let mut sealing = Sealing::left(folder, &head_in(folder).unwrap(), &[]).unwrap();
    sealing.finish(&made.recipients, &mut Press::new().unwrap()).unwrap();
    sealed_path(folder)
}

#[tokio::test]
async fn what_a_power_cut_left_is_sealed_and_reads_up_to_where_it_is_torn() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let folder = cut_off(&made, root.path()).await;
    // Zeros, garbage whose first bytes are no head, a last frame without its bytes, and a journal of nothing but zeros.
    append(&journal(&folder, "00001.cast"), &vec![0; 3 << 20]);
    append(&journal(&folder, "00003.exec.jsonl"), &vec![0xa5; 3 << 20]);
    empty_the_last(&journal(&folder, "00002.stdout"), 20_000);
    empty_the_last(&journal(&folder, "files/00003-0001"), 10);
    for begun in ["00003.stdin", "00004.cast"].map(|member| journal(&folder, member)) {
        let length = std::fs::metadata(&begun).unwrap().len();
        std::fs::write(&begun, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }

    let path = seal(&folder, &made);
    assert!(export_sealed(&path, std::io::sink()).unwrap().verified);
    let source = Source::sealed(&path, made.office.clone()).unwrap();
    let opened = replay::open(&source).unwrap();
    assert_eq!(opened.channels.len(), 3, "of the fourth nothing was on the disk");
    let cast = String::from_utf8(member(&source, "00001.cast")).unwrap();
    assert!(cast.contains("line 39 ") && cast.ends_with('\n'));
    let stdout: Vec<u8> = (0..39).flat_map(|number| vec![number; 30_000]).collect();
    assert!(member(&source, "00002.stdout") == stdout, "all but the last frame");
    assert_eq!(member(&source, "files/00003-0001"), b"one ");
    assert_eq!(member(&source, "00003.stdin"), b"");
    let mut archive = Vec::new();
    assert!(!export(&source, &mut archive).unwrap().verified);
    let sizes: Vec<_> = tar::Archive::new(&archive[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().unwrap().ends_with("00002.stdout"))
        .map(|entry| entry.size())
        .collect();
    assert_eq!(sizes, [39 * 30_000]);
}

#[tokio::test]
async fn a_frame_that_others_follow_was_altered_wherever_the_pieces_begin() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let folder = cut_off(&made, root.path()).await;
    // Some byte of each frame in turn: 28 more than its own bytes.
    let path = journal(&folder, "00002.stdout");
    let original = std::fs::read(&path).unwrap();
    for frame in [0, 20, 34, 35, 38] {
        let mut altered = original.clone();
        *altered.get_mut(8 + frame * 30_028 + 5000).unwrap() ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let _ = std::fs::remove_file(sealed_path(&folder));
        let source = Source::sealed(&seal(&folder, &made), made.office.clone()).unwrap();
        let mut read = Vec::new();
        let fault = std::io::Read::read_to_end(&mut source.open("00002.stdout").unwrap(), &mut read).unwrap_err();
        let fault = RecordingError::clone(fault.get_ref().unwrap().downcast_ref().unwrap()).to_string();
        assert!(fault.contains("was altered") || fault.contains("ends too early"), "frame {frame}: {fault}");
        assert!(fault.contains("00002.stdout"), "it is named: {fault}");
    }
}

/// The script for an outsider: what opens is written, and then it says what did not.
#[tokio::test]
async fn the_script_writes_what_opens_and_says_what_was_torn_or_altered() {
    let root = tempfile::tempdir().unwrap();
    let recording = begun(&keys::make(), root.path()).await;
    let exec = recording.stream(1, "cat".to_owned()).await.unwrap();
    for part in ["one ", "two ", "three"] {
        exec.from_device(Output::Stdout, &bytes(part)).unwrap();
    }
    let (key, out, path) = (root.path().join("key"), root.path().join("out"), root.path().join("00001.stdout.journal"));
    std::fs::write(&key, recording.key().bytes()).unwrap();
    let whole = std::fs::read(journal(recording.folder(), "00001.stdout")).unwrap();
    let read = |stored: &[u8]| {
        std::fs::write(&path, stored).unwrap();
        let _ = std::fs::remove_file(&out);
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut python = Command::new(workspace.join("target/clients/venv/bin/python"));
        python.arg(workspace.join("tests/verifiers/open_journal.py")).arg(&key).arg("00001.stdout");
        let told = python.arg(&out).arg(&path).output().expect("python is missing: sh tests/setup.sh");
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        (told.status.code(), String::from_utf8(std::fs::read(&out).unwrap()).unwrap(), said)
    };
    assert_eq!(read(&whole), (Some(0), "one two three".to_owned(), String::new()));
    assert_eq!(read(&[&whole[..], &[0; 900]].concat()), (Some(0), "one two three".to_owned(), String::new()));
    let last = whole.len() - 33;
    let torn = [whole.get(..last + 12).unwrap(), &[0; 21]].concat();
    for stored in [torn, [&whole[..], &[0xa5; 900]].concat()] {
        let (code, text, said) = read(&stored);
        let expected = if stored.len() == whole.len() { "one two " } else { "one two three" };
        assert!(code == Some(0) && text == expected && said.contains("torn"), "{code:?} {text} {said}");
    }
    let mut altered = whole.clone();
    *altered.get_mut(last - 1).unwrap() ^= 1;
    let (code, text, said) = read(&altered);
    assert!(
        code == Some(1) && text == "one \0\0\0\0three" && said.contains("the frame at 40 was altered"),
        "{text} {said}"
    );
}
