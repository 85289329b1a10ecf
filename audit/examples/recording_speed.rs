//! What a sealed recording costs: the room that a busy terminal takes, finding a moment in ten hours, and comparing a
//! gibibyte with the log's hashes. Prints a table.
//!
//!     recording_speed FOLDER LIBFAKETIME
//!
//! `FOLDER` lies on the disk that is to be measured. The ten hours pass by libfaketime, 600 times as fast, in a process
//! of their own; what the terminal shows is what this machine's own tools print.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::unreachable, reason = "a measurement, for people")]

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use chrono::Utc;
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Identities};
use sekimori_audit::recording::{
    Limits, Output, Press, Recording, Recordings, Sealing, SessionEnd, SessionHead, Tap, Terminal, sealed_path,
};
use sekimori_audit::replay::{self, Source, check_sealed};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use uuid::Uuid;

const HOURS: u32 = 10;
const BYTES: usize = 50_000_000;
const SEEKS: u32 = 500;
/// How often the terminal shows something.
const STEP: Duration = Duration::from_secs(2);
/// What a person at work looks at.
const TOOLS: [&str; 10] = [
    "ps aux",
    "ls -l --color=always /usr/bin",
    "top -b -n 3",
    "df -h",
    "cat /etc/services",
    "dpkg -l",
    "ls -lR --color=always /etc",
    "cat /proc/meminfo",
    "find /usr/share -maxdepth 3",
    "cat /etc/ssh/sshd_config",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["record", folder] => record(Path::new(folder)),
        [folder, faketime] => measure(Path::new(folder), faketime),
        _ => {
            eprintln!("recording_speed FOLDER LIBFAKETIME");
            std::process::exit(2);
        }
    }
}

fn measure(folder: &Path, faketime: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("shown"), shown()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg("record").arg(folder).env("LD_PRELOAD", faketime).env("FAKETIME", "+0 x600");
    let said = child.stderr(Stdio::inherit()).output().expect("recording");
    assert!(said.status.success(), "{}", said.status);
    let tar = PathBuf::from(fs::read_to_string(folder.join("tar")).unwrap());
    let identities = Identities::read::<RecordingError>(&folder.join("office"), || unreachable!()).unwrap();

    let size = fs::metadata(&tar).unwrap().len();
    println!("a busy terminal hour of {} bytes takes  {} bytes", BYTES / HOURS as usize, size / u64::from(HOURS));
    seeks(&tar, &identities);
    bulk(folder);
}

/// Finding moments, each as if the recording were opened for it alone.
fn seeks(tar: &Path, identities: &Identities) {
    let (mut took, mut read) = (Vec::new(), Vec::new());
    for seek in 0..SEEKS {
        // Spread evenly, in no order.
        let to = Duration::from_secs(u64::from(seek * 7919 % SEEKS * HOURS * 3600 / SEEKS));
        let (begun, before) = (Instant::now(), bytes_read());
        let index = replay::open(Source::sealed(tar, identities.clone()).unwrap()).unwrap();
        let mut reader = index.cast_of(1).unwrap().open_before(to).unwrap();
        assert!(reader.position() <= to);
        while reader.next_event().unwrap().is_some_and(|event| event.at < to) {}
        took.push(begun.elapsed());
        read.push(bytes_read() - before);
    }
    took.sort_unstable();
    read.sort_unstable();
    let at = |percent: usize| (took.len() * percent).div_ceil(100) - 1;
    let (p50, p99) = (at(50), at(99));
    println!(
        "a moment in {HOURS} hours, p50 / p99           {:?} / {:?}",
        took.get(p50).unwrap(),
        took.get(p99).unwrap()
    );
    println!("read for it, p50 / most              {} / {} bytes", read.get(p50).unwrap(), read.last().unwrap());
}

/// A gibibyte of random bytes, compared piece by piece, beside SHA-256 of the same bytes in memory.
fn bulk(folder: &Path) {
    let made = keys::make();
    let mut block = vec![0_u8; 1 << 20];
    aws_lc_rs::rand::fill(&mut block).unwrap();
    let block = Bytes::from(block);
    let recording = block_on(recordings(folder, &made).start(head())).unwrap();
    let tap = block_on(recording.stream(1, "cat".to_owned())).unwrap();
    for _ in 0..1024 {
        tap.from_device(Output::Stdout, std::slice::from_ref(&block)).unwrap();
    }
    let tar = finished(&recording, &tap, &made);
    let begun = Instant::now();
    let checked = check_sealed(&tar, |_, _, _| ()).unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!(checked.verified);
    let size = fs::metadata(&tar).unwrap().len() as f64;
    let begun = Instant::now();
    for _ in 0..1024 {
        std::hint::black_box(digest(&SHA256, &block));
    }
    let alone = begun.elapsed().as_secs_f64();
    println!("comparing a sealed GiB, one core     {:.2} GB/s", size / took / 1e9);
    println!("SHA-256 alone, in memory             {:.2} GB/s", f64::from(1 << 30) / alone / 1e9);
}

/// Ten hours at a terminal, sealed as they go on.
fn record(folder: &Path) {
    let (made, shown) = (keys::make(), fs::read(folder.join("shown")).unwrap());
    let recording = block_on(recordings(folder, &made).start(head())).unwrap();
    let terminal = Terminal { cols: 120, rows: 40, term: "xterm-256color".to_owned(), command: None };
    let tap = block_on(recording.terminal(1, terminal)).unwrap();
    let (mut sealing, mut press) = (Sealing::begin(&recording).unwrap(), Press::new().unwrap());
    let steps = HOURS * 3600 / u32::try_from(STEP.as_secs()).unwrap();
    let mut screens = shown.chunks(BYTES / steps as usize).cycle();
    let begun = Instant::now();
    for step in 0..steps {
        tap.from_device(Output::Stdout, &[Bytes::copy_from_slice(screens.next().unwrap())]).unwrap();
        if step % 15 == 0 {
            let _more = sealing.go_on(&made.recipients, &mut press).unwrap();
        }
        thread::sleep((STEP * (step + 1)).saturating_sub(begun.elapsed()));
    }
    block_on(tap.close(None)).unwrap();
    block_on(recording.finish(end())).unwrap();
    while sealing.finish(&made.recipients, &mut press).unwrap() {}
    fs::write(folder.join("office"), made.office.to_text().as_bytes()).unwrap();
    fs::write(folder.join("tar"), sealed_path(recording.folder()).to_str().unwrap()).unwrap();
}

fn finished(recording: &Recording, tap: &Tap, made: &keys::Made) -> PathBuf {
    block_on(tap.close(None)).unwrap();
    block_on(recording.finish(end())).unwrap();
    let mut sealing = Sealing::begin(recording).unwrap();
    let mut press = Press::new().unwrap();
    while sealing.finish(&made.recipients, &mut press).unwrap() {}
    sealed_path(recording.folder())
}

/// What the tools print, as a terminal gets it, until it is as much as a busy hour shows.
fn shown() -> Vec<u8> {
    let mut shown = Vec::new();
    while shown.len() < BYTES / HOURS as usize {
        for tool in TOOLS {
            let output = Command::new("sh").args(["-c", tool]).output().unwrap();
            write!(shown, "\u{1b}]0;service@ct-01: ~\u{7}\u{1b}[01;32mservice@ct-01\u{1b}[00m:~$ {tool}\r\n").unwrap();
            // No screenful of a listing is longer than what a person scrolls through.
            for line in output.stdout.split(|byte| *byte == b'\n').take(400) {
                shown.extend_from_slice(line);
                shown.extend_from_slice(b"\r\n");
            }
        }
    }
    shown
}

fn recordings(folder: &Path, made: &keys::Made) -> Recordings {
    let limits = Limits { reserve_bytes: 0, ..Limits::default() };
    Recordings::open(folder.join("recordings"), limits, made.recipients.clone()).unwrap()
}

fn head() -> SessionHead {
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

fn end() -> SessionEnd {
    SessionEnd { at: Utc::now(), reason: "the person left".to_owned() }
}

/// What this process has read so far, from anywhere (proc(5)).
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Runtime::new().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}
