//! Recordings from outside: written, read again, exported, followed; and what happens when something breaks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{bytes, check_v3, end, head, in_clear, inside, member, recordings, shell, started};
use sekimori_audit::error::RecordingError;
use sekimori_audit::recording::{Direction, ExitStatus, Forward, Limits, Output};
use sekimori_audit::replay::{self, CastReader, Happening, Seen, Source, export, transcript};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn a_session_of_four_channels_reads_back_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    terminal.from_person(&bytes("ls\r")).unwrap();
    terminal.from_device(Output::Stdout, &bytes("ls\r\n\x1b[31m漢字\x1b[0m\r\n")).unwrap();
    terminal.notice("10 minutes left\r\n").await.unwrap();
    terminal.resize(100, 30).unwrap();
    terminal.exit(ExitStatus::Signal("TERM".to_owned())).unwrap();
    terminal.close(None).await.unwrap();
    let exec = recording.stream(2, "uname -a".to_owned()).await.unwrap();
    exec.from_person(&bytes([0, 255])).unwrap();
    exec.from_device(Output::Stdout, &bytes("Linux\n")).unwrap();
    exec.from_device(Output::Stderr, &bytes([0xff, 0xfe])).unwrap();
    exec.exit(ExitStatus::Code(3)).unwrap();
    let forward = Forward {
        destination: "ct-01".to_owned(),
        destination_port: 3389,
        destination_address: None,
        originator: "127.0.0.1:50000".parse().unwrap(),
    };
    let forward = recording.forward(3, forward).await.unwrap();
    forward.from_device(Output::Stdout, &bytes("hello")).unwrap();
    forward.close(Some("the window ended")).await.unwrap();
    recording.sftp(4).await.unwrap().from_person(&bytes([0, 0, 0, 5, 1, 0, 0, 0, 3])).unwrap();

    let summary = recording.finish(end()).await.unwrap();

    let index = replay::open(&recording).unwrap();
    assert_eq!(index.manifest.as_ref(), Some(&summary.manifest));
    assert_eq!(index.channels.len(), 4);
    assert_eq!(index.channels[0].exit, Some(ExitStatus::Signal("TERM".to_owned())));
    assert_eq!(index.channels[1].exit, Some(ExitStatus::Code(3)));
    assert_eq!(index.channels[1].reason.as_deref(), Some("the session ended"));
    assert_eq!(index.channels[2].reason.as_deref(), Some("the window ended"));
    assert_eq!(index.channels[2].command.as_deref(), Some("ct-01:3389"));
    let stored = |name: &str| member(&recording, name);
    assert_eq!((stored("00002.stdin"), stored("00002.stderr")), (vec![0, 255], vec![0xff, 0xfe]));
    assert!(index.cast_of(1).is_some() && index.cast_of(2).is_none());
    let opened = in_clear(&recording);
    let shown = check_v3(&inside(&opened).join("00001.cast"));
    assert_eq!(shown, "ls\r\n\x1b[31m漢字\x1b[0m\r\n10 minutes left\r\n");
    assert!(!String::from_utf8(stored("00001.cast")).unwrap().contains("ls\\r\"]"), "typed input is not recorded");

    let mut lines = Vec::new();
    transcript(&index, |line| {
        lines.push((line.channel, line.text));
        Ok(())
    })
    .unwrap();
    let text = |channel| lines.iter().filter(|line| line.0 == channel).map(|line| line.1.as_str()).collect::<Vec<_>>();
    assert_eq!(text(1), ["ls", "漢字", "10 minutes left"]);
    assert_eq!(text(2)[0], "Linux");
    assert!(private(recording.folder()));
}

/// Folders 0700, files 0600, nothing else.
fn private(folder: &Path) -> bool {
    std::fs::metadata(folder).unwrap().permissions().mode() & 0o777 == 0o700
        && std::fs::read_dir(folder).unwrap().all(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            if entry.file_type().unwrap().is_dir() { private(&entry.path()) } else { mode == 0o600 }
        })
}

#[tokio::test]
async fn a_changed_missing_or_added_member_is_found_on_export() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    terminal.from_device(Output::Stdout, &bytes("evidence")).unwrap();
    assert!(!export(&recording, std::io::sink()).unwrap().verified, "a live one has no manifest yet");
    recording.finish(end()).await.unwrap();
    assert!(export(&recording, std::io::sink()).unwrap().verified);

    // As it lies there until it is sealed, and in clear as an export unpacks to.
    let opened = in_clear(&recording);
    let clear = inside(&opened);
    for (source, cast) in [
        (Source::from(&recording), recording.folder().join("00001.cast.journal")),
        (Source::from(&clear), clear.join("00001.cast")),
    ] {
        let original = std::fs::read(&cast).unwrap();
        let altered = |what: &str| {
            let error = export(&source, std::io::sink()).unwrap_err();
            assert!(
                matches!(error, RecordingError::Altered { .. } | RecordingError::Damaged { .. }),
                "{what}: {error}"
            );
        };
        for at in [3, 30, 100, original.len() - 1] {
            let mut changed = original.clone();
            changed[at] ^= 1;
            std::fs::write(&cast, &changed).unwrap();
            altered("a changed byte");
        }
        std::fs::write(&cast, &original[..original.len() - 1]).unwrap();
        altered("a shorter member");
        std::fs::remove_file(&cast).unwrap();
        altered("a missing member");
        std::fs::write(&cast, &original).unwrap();
        std::fs::copy(&cast, cast.to_str().unwrap().replace("00001", "00009")).unwrap();
        altered("an added member");
    }
}

#[tokio::test]
async fn nothing_is_recorded_after_the_end() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    recording.finish(end()).await.unwrap();
    let late = terminal.from_device(Output::Stdout, &bytes("late"));
    assert!(matches!(late, Err(RecordingError::Closed(_))), "{late:?}");
    assert!(matches!(recording.sftp(2).await, Err(RecordingError::Closed(_))));
    assert!(matches!(recording.finish(end()).await, Err(RecordingError::Closed(_))));
}

#[tokio::test]
async fn a_start_below_the_reserve_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let recordings = recordings(&root.path().join("r"), Limits { reserve_bytes: u64::MAX, ..Limits::default() });
    let refused = recordings.start(head()).await.err().unwrap();
    assert!(matches!(refused, RecordingError::ReserveReached { .. }), "{refused}");
    assert_eq!(std::fs::read_dir(root.path().join("r")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_same_session_is_not_recorded_twice() {
    let root = tempfile::tempdir().unwrap();
    let recordings = recordings(root.path(), Limits { reserve_bytes: 0, ..Limits::default() });
    let head = head();
    let first = recordings.start(head.clone()).await.unwrap();
    assert!(recordings.start(head).await.is_err());
    assert!(first.folder().join("session.json").exists(), "the first is untouched");
}

#[tokio::test]
async fn a_malformed_channel_ends_alone() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let sftp = recording.sftp(1).await.unwrap();
    let terminal = recording.terminal(2, shell()).await.unwrap();
    for _ in 0..2 {
        let error = sftp.from_person(&bytes([0xff; 16])).unwrap_err();
        assert!(error.is_malformed(), "{error}");
    }
    assert!(!recording.failed().is_cancelled());
    terminal.from_device(Output::Stdout, &bytes("goes on")).unwrap();
    sftp.close(None).await.unwrap();
    let summary = recording.finish(end()).await.unwrap();
    assert!(summary.manifest.failure.is_none());
    assert!(summary.manifest.channels[0].reason.as_ref().unwrap().contains("malformed sftp"));
}

#[tokio::test]
async fn characters_split_over_chunks_are_whole_and_lossy_ones_exact() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    for byte in "漢字😀é".bytes() {
        terminal.from_device(Output::Stdout, &bytes([byte])).unwrap();
    }
    terminal.from_device(Output::Stdout, &bytes(b"\x8a\xbf\x8e\x9a Shift_JIS")).unwrap();
    terminal.from_device(Output::Stdout, &bytes(b"\xe6\xbc")).unwrap();
    terminal.notice("notice").await.unwrap();
    recording.finish(end()).await.unwrap();

    let opened = in_clear(&recording);
    let path = inside(&opened).join("00001.cast");
    let shown = check_v3(&path);
    assert_eq!(shown, "漢字😀é\u{fffd}\u{fffd}\u{fffd}\u{fffd} Shift_JIS\u{fffd}notice");
    let mut reader = CastReader::open(&path).unwrap();
    let mut exact = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let Happening::Exact(bytes) = event.what {
            exact.push(bytes);
        }
    }
    assert_eq!(exact, [b"\x8a\xbf\x8e\x9a Shift_JIS".to_vec(), b"\xe6\xbc".to_vec()]);
}

#[tokio::test]
async fn intervals_do_not_drift() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let before = std::time::Instant::now();
    let terminal = recording.terminal(1, shell()).await.unwrap();
    let opened = before.elapsed();
    for _ in 0..2000 {
        terminal.from_device(Output::Stdout, &bytes("x")).unwrap();
    }
    let least = before.elapsed() - opened;
    terminal.close(None).await.unwrap();
    let most = before.elapsed();
    let mut reader = replay::open(&recording).unwrap().cast_of(1).unwrap().open().unwrap();
    let mut last = Duration::ZERO;
    while let Some(event) = reader.next_event().unwrap() {
        last = event.at;
    }
    let grain = Duration::from_micros(2);
    assert!(last + grain >= least && last <= most + grain, "{least:?} {last:?} {most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_is_followed_to_its_end() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    let source = Source::from(&recording);
    let (send, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let follower = tokio::task::spawn_blocking(move || {
        replay::follow(&source, |piece| send.send(piece).map_or(ControlFlow::Break(()), |()| ControlFlow::Continue(())))
    });
    for word in ["one", "two"] {
        terminal.from_device(Output::Stdout, &bytes(word)).unwrap();
        loop {
            match seen.recv().await.unwrap() {
                Seen::Event(1, event) if event.what == Happening::Output(word.to_owned()) => break,
                Seen::Ended(_) => unreachable_end(),
                _ => {}
            }
        }
    }
    let exec = recording.stream(2, "id".to_owned()).await.unwrap();
    exec.from_device(Output::Stdout, &bytes("uid=0")).unwrap();
    recording.finish(end()).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = seen.recv().await {
        all.push(piece);
    }
    follower.await.unwrap().unwrap();
    assert!(all.iter().any(|piece| matches!(piece, Seen::Bytes(2, _, bytes) if bytes == b"uid=0")), "{all:?}");
    assert!(matches!(all.last(), Some(Seen::Ended(manifest)) if manifest.reason == "the person left"));
}

fn unreachable_end() {
    assert_eq!("the session", "ended before its end");
}

#[tokio::test]
async fn scp_is_read_along_with_the_raw_bytes() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let exec = recording.stream(1, "scp -t /tmp/fw.bin".to_owned()).await.unwrap();
    exec.from_device(Output::Stdout, &bytes([0])).unwrap();
    exec.from_person(&bytes("C0644 5 fw.bin\n")).unwrap();
    exec.from_device(Output::Stdout, &bytes([0])).unwrap();
    exec.from_person(&bytes("hel")).unwrap();
    exec.from_person(&bytes("lo\0")).unwrap();
    assert!(exec.completed_transfers().is_empty(), "the device has not taken it yet");
    exec.from_device(Output::Stdout, &bytes([0])).unwrap();
    let transfers = exec.completed_transfers();
    assert_eq!(transfers.len(), 1);
    let transfer = &transfers[0];
    assert_eq!((transfer.path.as_str(), transfer.size, transfer.complete), ("/tmp/fw.bin", 5, true));
    assert_eq!(transfer.direction, Direction::ToDevice);
    assert_eq!(transfer.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(member(&recording, transfer.kept_copy.as_ref().unwrap()), b"hello");

    exec.from_person(&bytes("C0644 9 torn\n")).unwrap();
    exec.from_device(Output::Stdout, &bytes([0])).unwrap();
    exec.from_person(&bytes("half")).unwrap();
    let left = exec.close(Some("cut")).await.unwrap();
    assert_eq!((left.len(), left[0].complete, left[0].size), (1, false, 4));
    recording.finish(end()).await.unwrap();
    assert_eq!(replay::open(&recording).unwrap().transfers.len(), 2);
    assert!(export(&recording, std::io::sink()).unwrap().verified);
}

#[tokio::test]
async fn folders_that_no_path_could_name_end_the_channel() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let folder = |name: &str| [format!("D0755 0 {name}\n"), "\0".to_owned()];
    for (channel, name, most) in [(1, "n".repeat(4000), 3), (2, "n".to_owned(), 2048)] {
        let exec = recording.stream(channel, "scp -r -t /tmp".to_owned()).await.unwrap();
        exec.from_device(Output::Stdout, &bytes([0])).unwrap();
        let [record, answer] = folder(&name);
        for _ in 0..most {
            exec.from_person(&bytes(&record)).unwrap();
            exec.from_device(Output::Stdout, &bytes(&answer)).unwrap();
        }
        let refused = exec.from_person(&bytes(&record)).unwrap_err();
        assert!(refused.is_malformed() && refused.to_string().contains("folders too deep"), "{refused}");
    }
    recording.finish(end()).await.unwrap();
}
