//! Sealed recordings from outside: who can open one, what a change looks like, and that a moment is found without
//! reading the rest.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, end, shell, started};
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Made};
use sekimori_audit::recording::{Output, Press, Sealed, SealedIndex, head_in, seal, sealed_path};
use sekimori_audit::replay::{self, Happening, Source, export, export_sealed};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A session of a terminal, a command and a kept file, ended and sealed; its folder is gone.
async fn sealed(root: &Path, made: &Made) -> Sealed {
    let recording = started(root).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    terminal.from_device(Output::Stdout, &bytes("secret of the device\r\n")).unwrap();
    let exec = recording.stream(2, "scp -t /tmp/fw.bin".to_owned()).await.unwrap();
    for (device, person) in [("\0", "C0644 5 fw.bin\n"), ("\0", "hello\0")] {
        exec.from_device(Output::Stdout, &bytes(device)).unwrap();
        exec.from_person(&bytes(person)).unwrap();
    }
    exec.from_device(Output::Stdout, &bytes([0])).unwrap();
    recording.finish(end()).await.unwrap();
    let sealed = seal(recording.folder(), recording.head(), &made.recipients, &mut Press::new().unwrap()).unwrap();
    std::fs::remove_dir_all(recording.folder()).unwrap();
    sealed
}

fn source(path: &Path, made: &Made) -> Source {
    Source::sealed(path, made.office.clone()).unwrap()
}

#[tokio::test]
async fn a_sealed_recording_opens_with_the_right_keys_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let sealed = sealed(root.path(), &made).await;
    for identities in [&made.office, &made.recovery] {
        let index = replay::open(Source::sealed(&sealed.path, identities.clone()).unwrap()).unwrap();
        assert_eq!(index.channels.len(), 2);
        assert_eq!(index.transfers.len(), 1);
        let exported = export(&index.source, std::io::sink()).unwrap();
        assert!(exported.verified && exported.members > 5, "{exported:?}");
        let mut text = String::new();
        replay::transcript(&index, |line| {
            text.push_str(&line.text);
            Ok(())
        })
        .unwrap();
        assert!(text.contains("secret of the device"), "{text}");
    }
    let foreign = Source::sealed(&sealed.path, keys::make().office).unwrap();
    assert!(matches!(replay::open(foreign), Err(RecordingError::Locked { .. })));

    let stored = std::fs::read(&sealed.path).unwrap();
    for word in ["secret of the device", "fw.bin", "eng1", "ct-01"] {
        assert!(!stored.windows(word.len()).any(|window| window == word.as_bytes()), "{word} is there in clear");
    }
}

#[tokio::test]
async fn what_was_told_to_the_log_is_every_file_of_the_tar() {
    let root = tempfile::tempdir().unwrap();
    let sealed = sealed(root.path(), &keys::make()).await;
    let mut tar = tar::Archive::new(std::fs::File::open(&sealed.path).unwrap());
    let names: Vec<_> = tar
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().split_once('/').unwrap().1.to_owned())
        .collect();
    assert_eq!(names, sealed.stored.iter().map(|stored| stored.name.clone()).collect::<Vec<_>>());
    assert!(names.contains(&"files/00002-0001.000001.zst.age".to_owned()), "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("index.json"));
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let sealed = sealed(root.path(), &made).await;
    let original = std::fs::read(&sealed.path).unwrap();
    assert!(export_sealed(&sealed.path, std::io::sink()).unwrap().verified);
    let index = SealedIndex::read(&sealed.path).unwrap();
    for piece in index.members.iter().flat_map(|member| &member.pieces) {
        let mut changed = original.clone();
        changed[usize::try_from(piece.at + piece.size / 2).unwrap()] ^= 1;
        std::fs::write(&sealed.path, &changed).unwrap();
        let found = export_sealed(&sealed.path, std::io::sink()).unwrap_err();
        assert!(matches!(found, RecordingError::Altered { .. }), "{found}");
        let opened = replay::open(source(&sealed.path, &made)).and_then(|index| export(&index.source, std::io::sink()));
        assert!(matches!(opened, Err(RecordingError::Altered { .. })), "{opened:?}");
    }
    std::fs::write(&sealed.path, &original[..original.len() / 2]).unwrap();
    assert!(export_sealed(&sealed.path, std::io::sink()).is_err(), "half of it");
}

#[tokio::test]
async fn one_that_was_sealed_is_not_sealed_again_and_a_try_that_a_crash_ended_is() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = started(root.path()).await;
    recording.finish(end()).await.unwrap();
    let folder = recording.folder();
    std::fs::write(folder.with_extension("tar.partial"), "half").unwrap();
    let head = head_in(folder).unwrap();
    let first = seal(folder, &head, &made.recipients, &mut Press::new().unwrap()).unwrap();
    assert!(!folder.with_extension("tar.partial").exists());
    assert_eq!(seal(folder, &head, &made.recipients, &mut Press::new().unwrap()).unwrap(), first);
}

/// Five minutes, sixty lines a minute, then sealed.
fn long_recording(root: &Path, made: &Made) -> PathBuf {
    let mut cast = String::from("{\"version\":3,\"term\":{\"cols\":40,\"rows\":8}}\n");
    for second in 0..300 {
        writeln!(cast, "[1.000000, \"o\", \"\\u001b[32mline {second}\\u001b[0m\\r\\n\"]").unwrap();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = runtime.block_on(async {
        let recording = started(root).await;
        recording.terminal(1, shell()).await.unwrap();
        recording.folder().to_owned()
    });
    std::fs::write(folder.join("00001.cast"), cast).unwrap();
    seal(&folder, &head_in(&folder).unwrap(), &made.recipients, &mut Press::new().unwrap()).unwrap();
    sealed_path(&folder)
}

#[test]
fn a_moment_is_reached_from_the_screen_before_it() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let path = long_recording(root.path(), &made);
    let index = SealedIndex::read(&path).unwrap();
    let cast = index.members.iter().find(|member| member.name == "00001.cast").unwrap();
    let starts: Vec<_> = cast.pieces.iter().map(|piece| piece.micros.unwrap() / 1_000_000).collect();
    assert_eq!(starts, [0, 60, 120, 180, 240]);

    let cast = replay::open(source(&path, &made)).unwrap().cast_of(1).unwrap();
    assert_eq!(cast.screen_before(Duration::from_secs(59)), None);
    assert_eq!(cast.screen_before(Duration::from_secs(200)), Some(Duration::from_secs(180)));
    let mut reader = cast.open_before(Duration::from_secs(200)).unwrap();
    let screen = reader.take_screen().unwrap();
    assert!(screen.contains("line 179") && screen.contains("line 174") && !screen.contains("line 170"), "{screen:?}");
    let event = reader.next_event().unwrap().unwrap();
    assert_eq!(event.at, Duration::from_secs(181));
    assert!(matches!(event.what, Happening::Output(text) if text.contains("line 180")));
    // Joined from the beginning, the pieces are the recording, without the screens.
    let mut whole = cast.open().unwrap();
    let mut count = 0;
    while whole.next_event().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 300);
}
