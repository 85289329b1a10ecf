//! What a disk that fails, and a writer who is in the middle of a line, do to a recording that is being sealed: nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::super::advance::WAIT;
use super::*;
use crate::keys::{Made, make};
use crate::recording::journal::{Journal, path_of};
use crate::recording::{Durability, Limits, Output, Recordings, SessionEnd, Terminal};
use crate::replay::{self, Source as Recorded, export};
use bytes::Bytes;
use chrono::Utc;
use std::fs::{File, OpenOptions};
use std::io::Read;

/// A recording that goes on, its sealing, and what was sealed of it.
struct Stage {
    _root: tempfile::TempDir,
    made: Made,
    recording: Recording,
    press: Press,
    sealing: Sealing,
    told: Vec<Stored>,
}

async fn stage() -> Stage {
    let (root, made) = (tempfile::tempdir().unwrap(), make());
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    let recordings = Recordings::open(root.path().to_owned(), limits, made.recipients.clone()).unwrap();
    let head = SessionHead {
        session: uuid::Uuid::now_v7(),
        opened: Utc::now(),
        person: "eng1".parse().unwrap(),
        vendor: None,
        device: "ct-01".parse().unwrap(),
        account: "service".to_owned(),
        work: "w-1".parse().unwrap(),
        source: "192.0.2.7".parse().unwrap(),
        gateway: "gate".to_owned(),
    };
    let recording = recordings.start(head).await.unwrap();
    let sealing = Sealing::begin(&recording).unwrap();
    Stage { _root: root, made, recording, press: Press::new().unwrap(), sealing, told: Vec::new() }
}

impl Stage {
    fn round(&mut self) -> Result<bool, RecordingError> {
        let more = self.sealing.go_on(&self.made.recipients, &mut self.press);
        self.told.extend_from_slice(self.sealing.untold());
        self.sealing.told(usize::MAX);
        more
    }

    /// A journal that no channel writes.
    fn journal(&self, name: &str) -> Journal {
        let (folder, key, lengths) = (self.recording.folder(), self.recording.key(), self.recording.lengths());
        Journal::create(folder, name, key, lengths, Durability::Process).unwrap()
    }

    /// Ends it: the manifest agrees, and each file was told of once, in the order of the tar.
    async fn ends_well(mut self) -> Recorded {
        self.recording.finish(SessionEnd { at: Utc::now(), reason: "the person left".to_owned() }).await.unwrap();
        while self.sealing.finish(&self.made.recipients, &mut self.press).unwrap() {}
        self.told.extend_from_slice(self.sealing.untold());
        let mut stored = self.sealing.stored().unwrap();
        stored.sort_by_key(|stored| stored.place.at);
        assert_eq!(self.told, stored);
        let source = Recorded::sealed(&sealed_path(self.recording.folder()), self.made.office.clone()).unwrap();
        assert!(export(&source, std::io::sink()).unwrap().verified);
        source
    }
}

fn text_of(source: &Recorded, name: &str) -> String {
    let mut text = String::new();
    source.open(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn bytes(count: usize) -> [Bytes; 1] {
    [(0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>().into()]
}

/// Into the one everything is written and nothing can be synced; the other is full.
#[tokio::test]
async fn what_a_failed_disk_leaves_in_doubt_is_sealed_anew() {
    for disk in ["/dev/null", "/dev/full"] {
        let mut stage = stage().await;
        let terminal = Terminal { cols: 80, rows: 24, term: "xterm".to_owned(), command: None };
        let terminal = stage.recording.terminal(1, terminal).await.unwrap();
        let exec = stage.recording.stream(2, "cat".to_owned()).await.unwrap();
        let show = |from: usize| {
            let lines: String = (from..from + 30_000).map(|line| format!("line {line}\r\n")).collect();
            terminal.from_device(Output::Stdout, &[lines.into()]).unwrap();
            exec.from_device(Output::Stdout, &bytes(3 << 20)).unwrap();
        };
        show(0);
        stage.round().unwrap();
        stage.round().unwrap();
        let before = stage.told.len();
        assert!(before > 4, "{:?}", stage.told);
        show(30_000);
        let file = stage.sealing.container.stand_on(OpenOptions::new().read(true).write(true).open(disk).unwrap());
        for _ in 0..3 {
            assert!(matches!(stage.round(), Err(RecordingError::Storage { .. })), "{disk}");
        }
        assert_eq!(stage.told.len(), before, "what may not be on the disk is told of");
        stage.sealing.container.stand_on(file);
        show(60_000);
        stage.round().unwrap();
        assert!(stage.told.len() > before);
        // Once more, while its end is sealed.
        let file = stage.sealing.container.stand_on(OpenOptions::new().read(true).write(true).open(disk).unwrap());
        assert!(stage.sealing.finish(&stage.made.recipients, &mut stage.press).is_err(), "{disk}");
        assert!(stage.sealing.untold().is_empty() && !sealed_path(stage.recording.folder()).exists());
        stage.sealing.container.stand_on(file);
        let source = stage.ends_well().await;
        let text = text_of(&source, "00001.txt");
        let lines = text.lines().filter_map(|line| line.split_once("  line ")?.1.parse::<usize>().ok());
        assert!(lines.eq(0..90_000), "{disk}: not every line is in the text once");
    }
}

/// A piece that was made before a fault came is told of when it is on the disk, and not before.
#[tokio::test]
async fn what_was_sealed_before_a_fault_is_on_the_disk_before_it_is_told_of() {
    let mut stage = stage().await;
    let exec = stage.recording.stream(1, "cat".to_owned()).await.unwrap();
    exec.from_device(Output::Stdout, &bytes(3 << 20)).unwrap();
    let _ = stage.round();
    let foreign = path_of(stage.recording.folder(), "zzz.jsonl");
    std::fs::write(&foreign, vec![7; 1 << 20]).unwrap();
    assert!(matches!(stage.round(), Err(RecordingError::Damaged { .. })));
    std::fs::remove_file(&foreign).unwrap();
    // Nothing is due: nothing may be told of that was not synced.
    let file = stage.sealing.container.stand_on(File::open("/dev/null").unwrap());
    stage.round().unwrap();
    stage.sealing.container.stand_on(file);
    assert_eq!(stage.told.iter().filter(|told| told.name.starts_with("00001.stdout")).count(), 3, "{:?}", stage.told);
}

/// A line of more than a frame, whose rest comes while it is sealed, or long after.
#[tokio::test]
async fn half_a_line_waits_for_its_rest_and_is_not_lost() {
    let mut stage = stage().await;
    let (folder, name) = (stage.recording.folder().to_owned(), "00001.exec.jsonl");
    let mut journal = stage.journal(name);
    let long = format!("{{\"long\":\"{}\"}}\n", "x".repeat(1_500_000));
    let lines = ["{\"at\":1}\n".repeat(40_000), long, "{\"at\":2}\n".repeat(40_000)].concat();
    let (first, rest) = lines.as_bytes().split_at(300_000);
    journal.write(0, first).unwrap();
    journal.write(300_000, rest).unwrap();
    let path = path_of(&folder, name);
    let whole = std::fs::read(&path).unwrap();
    // Up to the end of the first frame of two that hold the long line.
    let cut = 8 + 28 + 300_000 + 28 + (1 << 20);
    std::fs::write(&path, &whole[..cut]).unwrap();
    stage.round().unwrap();
    let sealed = stage.told.iter().map(|told| told.end).max().unwrap();
    assert!(sealed <= 360_000, "{sealed} bytes: half of the long line is sealed");
    stage.round().unwrap();
    std::fs::write(&path, &whole).unwrap();
    stage.round().unwrap();
    stage.round().unwrap();
    let Stage { made, recording, mut sealing, mut press, .. } = stage;
    while sealing.finish(&made.recipients, &mut press).unwrap() {}
    let source = Recorded::sealed(&sealed_path(recording.folder()), made.office.clone()).unwrap();
    assert!(text_of(&source, name) == lines, "the lines differ");
}

/// Of small writes a journal is more than twice as long as its member: what looks like a piece is none, and still does
/// not wait longer than a minute.
#[tokio::test]
async fn what_trickles_in_is_sealed_after_a_minute() {
    let mut stage = stage().await;
    let name = "00001.exec.jsonl";
    let mut journal = stage.journal(name);
    for number in 0..10_000 {
        journal.write(number * 9, b"{\"at\":1}\n").unwrap();
    }
    for _ in 0..3 {
        stage.round().unwrap();
        assert_eq!(stage.told, []);
    }
    let waits = stage.sealing.members[name].waits.unwrap();
    stage.sealing.member(name).waits = waits.checked_sub(WAIT);
    stage.round().unwrap();
    assert_eq!(stage.told.iter().map(|told| told.end).collect::<Vec<_>>(), [90_000]);
    assert_eq!(stage.sealing.members[name].waits, None);
}

/// The disk gives something else back than was written, and nobody noticed.
#[tokio::test]
async fn a_tar_that_does_not_read_as_it_was_sealed_gets_no_name() {
    let mut stage = stage().await;
    let exec = stage.recording.stream(1, "cat".to_owned()).await.unwrap();
    exec.from_device(Output::Stdout, &bytes(2 << 20)).unwrap();
    let _ = (stage.round().unwrap(), stage.round().unwrap());
    let partial = partial(stage.recording.folder());
    let sealed = std::fs::read(&partial).unwrap();
    let at = usize::try_from(stage.told[0].place.at + 1000).unwrap();
    let put = |byte: u8| {
        let file = OpenOptions::new().write(true).open(&partial).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte], at as u64).unwrap();
    };
    put(sealed[at] ^ 1);
    for _ in 0..2 {
        let found = stage.sealing.finish(&stage.made.recipients, &mut stage.press).unwrap_err();
        assert!(matches!(&found, RecordingError::Damaged { reason, .. } if reason.contains("00001.stdout")), "{found}");
        assert!(!sealed_path(stage.recording.folder()).exists());
        assert!(!stage.sealing.untold().iter().any(|stored| stored.name == INDEX), "its end is told of");
    }
    put(sealed[at]);
    while stage.sealing.finish(&stage.made.recipients, &mut stage.press).unwrap() {}
    assert!(replay::export_sealed(&sealed_path(stage.recording.folder()), std::io::sink()).unwrap().verified);
}

/// A copy may be written anywhere as long as its file is on the way. Then it is sealed, whatever else goes on.
#[tokio::test]
async fn a_kept_copy_is_sealed_when_its_file_has_gone_through() {
    let mut stage = stage().await;
    let scp = stage.recording.stream(1, "scp -t /tmp".to_owned()).await.unwrap();
    let from_device = || scp.from_device(Output::Stdout, &[Bytes::from_static(&[0])]).unwrap();
    let from_person = |text: &str| scp.from_person(&[text.to_owned().into()]).unwrap();
    let size = 20 << 20;
    from_device();
    from_person(&format!("C0644 {size} fw.bin\n"));
    from_device();
    scp.from_person(&bytes(size)).unwrap();
    let copies = |stage: &Stage| stage.told.iter().filter(|told| told.name.starts_with("files/")).count();
    while stage.round().unwrap() {}
    assert_eq!(copies(&stage), 0, "it may still be written: {:?}", stage.told);
    from_person("\0");
    from_device();
    // The next one begins.
    from_person("C0644 5 other\n");
    from_device();
    from_person("he");
    while stage.round().unwrap() {}
    assert_eq!(copies(&stage), 20);
    assert_eq!(stage.told.last().unwrap().end, size as u64);
    stage.round().unwrap();
    assert_eq!(copies(&stage), 20, "it is sealed again");
    from_person("llo\0");
    from_device();
    let source = stage.ends_well().await;
    assert_eq!(text_of(&source, "files/00001-0002"), "hello");
    let mut copy = Vec::new();
    source.open("files/00001-0001").unwrap().read_to_end(&mut copy).unwrap();
    assert!(copy == bytes(size)[0], "the copy differs");
}

/// Who records goes on while it is sealed, and nobody waits for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_it_is_sealed_is_sealed_whole() {
    let mut stage = stage().await;
    let terminal = Terminal { cols: 80, rows: 24, term: "xterm".to_owned(), command: None };
    let terminal = stage.recording.terminal(1, terminal).await.unwrap();
    let exec = stage.recording.stream(2, "cat".to_owned()).await.unwrap();
    let scp = stage.recording.stream(3, "scp -t /tmp".to_owned()).await.unwrap();
    scp.from_device(Output::Stdout, &[Bytes::from_static(&[0])]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..4000_usize {
                let line = format!("{number} {}\r\n", "\u{1}é".repeat(number % 700));
                terminal.from_device(Output::Stdout, &[line.into()]).unwrap();
                exec.from_device([Output::Stdout, Output::Stderr][number % 2], &bytes(number * 3)).unwrap();
                exec.from_person(&bytes(number % 17)).unwrap();
                if number % 8 == 0 {
                    for from_person in [format!("C0644 {number} {number}\n"), format!("{}\0", "x".repeat(number))] {
                        scp.from_person(&[from_person.into()]).unwrap();
                        scp.from_device(Output::Stdout, &[Bytes::from_static(&[0])]).unwrap();
                    }
                }
            }
        });
        while !writer.is_finished() {
            stage.round().unwrap();
        }
    });
    let copies = stage.told.iter().filter(|told| told.name.starts_with("files/")).count();
    assert!(copies > 5 && stage.told.len() > copies + 5, "{:?}", stage.told);
    let source = stage.ends_well().await;
    let text = text_of(&source, "00001.txt");
    assert_eq!(text.lines().filter(|line| line.contains("é")).count(), 4000 - 6);
}
