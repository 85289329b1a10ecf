//! Sealed recordings from outside: who can open one, what a change looks like, and that a moment is found without
//! reading the rest.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, end, head, member, shell, started};
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Made};
use sekimori_audit::recording::{
    Limits, Output, Press, Recording, Recordings, SealedIndex, Sealing, Stored, head_in, sealed_path, take_away,
};
use sekimori_audit::replay::{self, Happening, Source, export, export_sealed};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tar::{EntryType, Header};

/// A recording that was sealed, and what the log was told of it.
#[derive(Debug, PartialEq)]
struct Sealed {
    path: PathBuf,
    stored: Vec<Stored>,
}

fn seal(sealing: Result<Sealing, RecordingError>, made: &Made) -> Sealed {
    let mut sealing = sealing.unwrap();
    let mut press = Press::new().unwrap();
    while sealing.finish(&made.recipients, &mut press).unwrap() {}
    Sealed { path: sealed_path(sealing.folder()), stored: sealing.untold().to_vec() }
}

/// What another process left, of which the log was told nothing.
fn left(folder: &Path, told: &[Stored]) -> Result<Sealing, RecordingError> {
    Sealing::left(folder, &head_in(folder).unwrap(), told)
}

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
    let sealed = seal(Sealing::begin(&recording), made);
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
    for (member, piece) in
        index.members.iter().flat_map(|member| member.pieces.iter().map(move |piece| (member, piece)))
    {
        let mut changed = original.clone();
        changed[usize::try_from(piece.place.at + piece.place.size / 2).unwrap()] ^= 1;
        std::fs::write(&sealed.path, &changed).unwrap();
        let found = export_sealed(&sealed.path, std::io::sink()).unwrap_err();
        assert!(matches!(found, RecordingError::Altered { .. }), "{found}");
        if member.name.ends_with(".txt") {
            // Made from the recording, and no part of what is exported of it.
            continue;
        }
        let opened = replay::open(source(&sealed.path, &made)).and_then(|index| export(&index.source, std::io::sink()));
        assert!(matches!(opened, Err(RecordingError::Altered { .. })), "{opened:?}");
    }
    std::fs::write(&sealed.path, &original[..original.len() / 2]).unwrap();
    assert!(export_sealed(&sealed.path, std::io::sink()).is_err(), "half of it");
}

/// A file of a tar, whose header says that it has so many bytes.
fn forged(name: &str, kind: EntryType, said: u64, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(said);
    header.set_cksum();
    let mut file = [header.as_bytes().as_slice(), bytes].concat();
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

#[tokio::test]
async fn a_foreign_tar_that_says_more_than_it_holds_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let sealed = sealed(root.path(), &made).await;
    let index = SealedIndex::read(&sealed.path).unwrap();
    let original = std::fs::read(&sealed.path).unwrap();
    let is_refused = |tar: &[u8]| {
        std::fs::write(&sealed.path, tar).unwrap();
        let told = SealedIndex::read(&sealed.path).unwrap_err();
        assert!(matches!(told, RecordingError::Damaged { .. }), "{told}");
        assert!(replay::check_sealed(&sealed.path, |_, _, _| {}).is_err());
        assert!(Source::sealed(&sealed.path, made.office.clone()).is_err());
    };
    // What a header says of the index: past the end of all numbers, of all memory, of the file.
    for said in [u64::MAX, u64::MAX - 1023, 1 << 63, 1 << 40, 513] {
        is_refused(&forged("session/index.json", EntryType::Regular, said, b"{}"));
    }
    // What the index says of a piece.
    for (at, size) in [(u64::MAX - 5, 10), (512, u64::MAX - 512), (512, u64::MAX - 600), (1 << 30, 1)] {
        let mut index = index.clone();
        (index.members[0].pieces[0].place.at, index.members[0].pieces[0].place.size) = (at, size);
        let json = serde_json::to_vec(&index).unwrap();
        is_refused(
            &[original.clone(), forged("session/index.json", EntryType::Regular, json.len() as u64, &json)].concat(),
        );
    }
    // What stands before a file of another tar and may be as long as that: it is a file like any other, read in pieces.
    let long = forged("././@LongLink", EntryType::GNULongName, 5000, &[b'x'; 5000]);
    std::fs::write(&sealed.path, [long, original].concat()).unwrap();
    let mut names = Vec::new();
    let found = replay::check_sealed(&sealed.path, |name, size, _| names.push((name.to_owned(), size)));
    assert!(matches!(found, Err(RecordingError::Altered { .. })), "{found:?}");
    assert_eq!((names[0].0.as_str(), names[0].1), ("@LongLink", 5000));
}

#[tokio::test]
async fn one_that_was_sealed_is_not_sealed_again_and_a_try_that_a_crash_ended_is() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = started(root.path()).await;
    recording.finish(end()).await.unwrap();
    let folder = recording.folder();
    std::fs::write(folder.with_extension("tar.partial"), "half").unwrap();
    let first = seal(left(folder, &[]), &made);
    assert!(!folder.with_extension("tar.partial").exists());
    // The log is told of what it was not told of.
    let again = seal(left(folder, &first.stored[..2]), &made);
    assert_eq!(again.stored, first.stored[2..]);
}

/// A recording whose journal opens with these keys.
async fn sealed_to(made: &Made, root: &Path) -> Recording {
    let recordings =
        Recordings::open(root.to_owned(), Limits { reserve_bytes: 0, ..Limits::default() }, made.recipients.clone());
    recordings.unwrap().start(head()).await.unwrap()
}

/// What a crash leaves is sealed without a key, as it is, and reads as far as it was written.
#[tokio::test]
async fn what_a_crash_left_is_sealed_as_it_is_and_opens_with_the_same_keys() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = sealed_to(&made, root.path()).await;
    let terminal = recording.terminal(1, shell()).await.unwrap();
    terminal.from_device(Output::Stdout, &bytes("secret of the device\r\n")).unwrap();
    let exec = recording.stream(2, "cat big".to_owned()).await.unwrap();
    // More than two pieces, the last frame torn.
    let big: Vec<u8> = (0..2_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for chunk in big.chunks(30_000) {
        exec.from_device(Output::Stdout, &bytes(chunk)).unwrap();
    }
    let scp = recording.stream(3, "scp -t /tmp/fw.bin".to_owned()).await.unwrap();
    for (device, person) in [("\0", "C0644 5 fw.bin\n"), ("\0", "hel")] {
        scp.from_device(Output::Stdout, &bytes(device)).unwrap();
        scp.from_person(&bytes(person)).unwrap();
    }
    let folder = recording.folder().to_owned();
    let journal = std::fs::OpenOptions::new().write(true).open(folder.join("00002.stdout.journal")).unwrap();
    journal.set_len(journal.metadata().unwrap().len() - 7).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let stored = std::fs::read(entry.unwrap().path());
        let word = b"secret of the device";
        assert!(stored.is_err() || !stored.unwrap().windows(word.len()).any(|window| window == word));
    }

    let sealed = seal(left(&folder, &[]), &made);
    assert!(export_sealed(&sealed.path, std::io::sink()).unwrap().verified);
    let index = SealedIndex::read(&sealed.path).unwrap();
    assert_eq!(index.version, 2);
    let stdout = index.members.iter().find(|member| member.name == "00002.stdout").unwrap();
    assert!(stdout.pieces.len() > 2 && stdout.size == 2_490_000, "{stdout:?}");
    for identities in [&made.office, &made.recovery] {
        let source = Source::sealed(&sealed.path, identities.clone()).unwrap();
        let opened = replay::open(&source).unwrap();
        assert!(opened.manifest.is_none() && opened.channels.len() == 3, "{opened:?}");
        assert!(member(&source, "00002.stdout") == big[..2_490_000], "the bytes differ");
        assert_eq!(member(&source, "files/00003-0001"), b"hel");
        assert!(String::from_utf8(member(&source, "00001.cast")).unwrap().contains("secret of the device"));
    }
    let foreign = Source::sealed(&sealed.path, keys::make().office).unwrap();
    assert!(matches!(replay::open(foreign), Err(RecordingError::Locked { .. })));
}

/// What is sealed while a session goes on is what would be sealed at its end, and a crash in between loses nothing.
#[tokio::test]
async fn what_fills_a_piece_is_sealed_while_the_session_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = sealed_to(&made, root.path()).await;
    let exec = recording.stream(1, "cat big".to_owned()).await.unwrap();
    let terminal = recording.terminal(2, shell()).await.unwrap();
    let big: Vec<u8> = (0..5_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut press = Press::new().unwrap();
    let mut sealing = Sealing::begin(&recording).unwrap();
    let mut rounds = Vec::new();
    for (number, chunk) in big.chunks(700_000).enumerate() {
        exec.from_device(Output::Stdout, &bytes(chunk)).unwrap();
        terminal.from_device(Output::Stdout, &bytes(format!("{number} {}\r\n", "x".repeat(200_000)))).unwrap();
        for _ in 0..2 {
            sealing.go_on(&made.recipients, &mut press).unwrap();
        }
        rounds.push(sealing.untold().len());
    }
    assert!(rounds.first() == Some(&0) && rounds.windows(2).all(|pair| pair[0] <= pair[1]), "{rounds:?}");
    let told = sealing.untold().to_vec();
    assert!(told.iter().any(|stored| stored.name == "00001.stdout.000004.zst.age"), "{told:?}");
    assert!(told.iter().any(|stored| stored.name == "00002.cast.000003.zst.age"), "{told:?}");

    // The process goes down here: a copy of the folder is all that is left, with a piece that nobody was told of.
    let elsewhere = root.path().join("elsewhere").join(recording.session().to_string());
    copy(recording.folder(), &elsewhere);
    std::fs::copy(recording.folder().with_extension("tar.partial"), elsewhere.with_extension("tar.partial")).unwrap();
    // The log was told of some twice: whoever told it did not know that it had come through.
    let twice = [&told[..2], &told[..told.len() - 1]].concat();
    let crashed = seal(left(&elsewhere, &twice), &made);
    assert!(export_sealed(&crashed.path, std::io::sink()).unwrap().verified);
    let names: Vec<_> = crashed.stored.iter().map(|stored| stored.name.as_str()).collect();
    assert!(names.contains(&"key.age") && names.contains(&"00001.stdout.000005.journal"), "{names:?}");
    let opened = source(&crashed.path, &made);
    assert!(member(&opened, "00001.stdout") == big, "the bytes differ");
    let torn = member(&opened, "00002.cast");

    // The session goes on, and ends.
    sealing.told(told.len());
    recording.finish(end()).await.unwrap();
    while sealing.finish(&made.recipients, &mut press).unwrap() {}
    let path = sealed_path(recording.folder());
    assert!(export_sealed(&path, std::io::sink()).unwrap().verified);
    let index = SealedIndex::read(&path).unwrap();
    assert_eq!((index.version, &index.key), (1, &None));
    let all: Vec<_> = told.iter().chain(sealing.untold()).cloned().collect();
    let mut stored = sealing.stored().unwrap();
    stored.sort_by_key(|stored| stored.place.at);
    assert_eq!(all, stored, "the log was told of each file once, in the order of the tar");
    let opened = source(&path, &made);
    assert!(export(&opened, std::io::sink()).unwrap().verified);
    assert!(member(&opened, "00001.stdout") == big, "the bytes differ");
    assert!(member(&opened, "00002.cast").starts_with(&torn) && torn.len() > 1_400_000);
}

/// What is more than a round's share is gone on with at once, and does not wait for another minute.
#[tokio::test]
async fn a_long_burst_is_sealed_in_rounds_without_a_pause() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = sealed_to(&made, root.path()).await;
    let exec = recording.stream(1, "cat big".to_owned()).await.unwrap();
    for _ in 0..40 {
        exec.from_device(Output::Stdout, &bytes(vec![7; 1 << 20])).unwrap();
    }
    let mut press = Press::new().unwrap();
    let mut sealing = Sealing::begin(&recording).unwrap();
    assert!(!sealing.go_on(&made.recipients, &mut press).unwrap(), "who has just begun is not held up");
    let mut rounds = 1;
    while sealing.go_on(&made.recipients, &mut press).unwrap() {
        rounds += 1;
    }
    assert_eq!(rounds, 3);
    assert_eq!(sealing.untold().iter().filter(|stored| stored.name.starts_with("00001.stdout")).count(), 40);
}

/// Whoever takes it up is killed as well, and the next one, and the log was told of some of what each did.
#[tokio::test]
async fn one_crash_after_the_other_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let recording = sealed_to(&made, root.path()).await;
    let big: Vec<u8> = (0..5_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for channel in 1..=8 {
        let exec = recording.stream(channel, "cat big".to_owned()).await.unwrap();
        exec.from_device(Output::Stdout, &bytes(&big)).unwrap();
    }
    let folder = recording.folder().to_owned();
    let (mut told, mut press, mut crashes) = (Vec::new(), Press::new().unwrap(), 0);
    // What is compared has to be compared in one life: each is a round longer than the one before.
    let last = 'lives: loop {
        let mut sealing = left(&folder, &told).unwrap();
        for _ in 0..=crashes {
            let more = sealing.finish(&made.recipients, &mut press).unwrap();
            told.extend_from_slice(sealing.untold());
            sealing.told(usize::MAX);
            if !more {
                break 'lives sealing;
            }
        }
        // And a round of which the log is not told.
        let _ = sealing.finish(&made.recipients, &mut press).unwrap();
        crashes += 1;
    };
    assert!(crashes >= 2, "{crashes}");
    let path = sealed_path(&folder);
    assert!(export_sealed(&path, std::io::sink()).unwrap().verified);
    let mut stored = last.stored().unwrap();
    stored.sort_by_key(|stored| stored.place.at);
    told.sort_by_key(|stored| stored.place.at);
    assert_eq!(told, stored);
    let opened = source(&path, &made);
    for channel in 1..=8 {
        assert!(member(&opened, &format!("{channel:05}.stdout")) == big, "the bytes of channel {channel} differ");
    }
}

/// Whatever a crash leaves of a folder that was about to be used, or to go, is gone at the next start; what was recorded
/// is not.
#[tokio::test]
async fn a_folder_is_made_and_taken_away_whole_whenever_a_crash_comes() {
    let root = tempfile::tempdir().unwrap();
    let made = keys::make();
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    let recordings = Recordings::open(root.path().to_owned(), limits, made.recipients.clone()).unwrap();
    let begun = async || recordings.start(head()).await.unwrap().folder().to_owned();
    // Before it was used: no head, or one without its name yet.
    let (bare, torn) = (begun().await, begun().await);
    std::fs::remove_file(bare.join("session.json")).unwrap();
    std::fs::rename(torn.join("session.json"), torn.join("session.json.partial")).unwrap();
    // While it went, all of it being sealed: its head last.
    let going = begun().await;
    seal(left(&going, &[]), &made);
    std::fs::write(going.join("00001.cast.journal"), "").unwrap();
    let gone = begun().await;
    seal(left(&gone, &[]), &made);
    std::fs::remove_file(gone.join("session.json")).unwrap();
    std::fs::create_dir(gone.join("files")).unwrap();
    // Recorded in, and not sealed; the other one lost its head, which no crash does.
    let (kept, odd) = (begun().await, begun().await);
    std::fs::write(odd.join("00001.cast.journal"), "SKMJRNL1").unwrap();
    std::fs::remove_file(odd.join("session.json")).unwrap();

    let mut expected = vec![going.clone(), kept.clone(), odd.clone()];
    expected.sort();
    for _ in 0..2 {
        assert_eq!(recordings.unsealed().unwrap(), expected);
    }
    assert!(odd.join("key.age").exists(), "what opens it is gone");
    assert!(![bare, torn, gone].iter().any(|folder| folder.exists()));
    assert!(take_away(&kept).is_err() && kept.join("key.age").exists(), "it is not sealed");
    take_away(&going).unwrap();
    assert!(!going.exists() && sealed_path(&going).exists());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
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
        recording.folder().to_owned()
    });
    // In clear, as they were once: what is found so is sealed as well.
    std::fs::write(folder.join("00001.cast"), cast).unwrap();
    seal(left(&folder, &[]), made).path
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
