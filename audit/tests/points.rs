//! A recording's whole way, from its folder being made to its being taken away, with a kill or a fault of the disk at
//! every single point of it: whatever was shown by then is sealed and reads, what the log was told of is in the tar, and
//! nothing is left behind. Each point is a child process of its own, under `tests/disk/points.c`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, end, head, member, shell};
use sekimori_audit::error::RecordingError;
use sekimori_audit::keys::{self, Made, Recipients};
use sekimori_audit::recording::{Limits, Output, Press, Recordings, Sealing, Stored, head_in, take_away};
use sekimori_audit::replay::{Source, export, export_sealed};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder in the child's environment, and how it is to end.
const ROOT: &str = "POINTS_ROOT";
const HOW: &str = "POINTS_HOW";
const AT: &str = "POINTS_AT";

/// Points that no way has as many of: where none is reached any more, it ends.
const ENOUGH: u32 = 2000;
/// How often something is tried again that failed.
const TRIES: u32 = 4;

fn big(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// What lies beside the folder in which points count.
struct Place {
    root: PathBuf,
    recipients: Recipients,
}

impl Place {
    fn of(root: PathBuf) -> Self {
        let recipients = Recipients::read(&root.with_extension("recipients")).unwrap();
        Self { root, recipients }
    }

    fn recordings(&self) -> Recordings {
        let limits = Limits { reserve_bytes: 0, ..Limits::default() };
        Recordings::open(self.root.join("recordings"), limits, self.recipients.clone()).unwrap()
    }

    /// Has points count from now on, or no longer.
    fn counts(&self, count: bool) {
        let on = self.root.with_extension("on");
        if count {
            fs::write(on, "").unwrap();
        } else {
            fs::remove_file(on).unwrap();
        }
    }

    /// Tells the log, whose lines a kill can tear as it does any other file: then it was not told.
    fn tell(&self, sealing: &mut Sealing) {
        let lines = sealing.untold().iter().map(|stored| serde_json::to_string(stored).unwrap() + "\n");
        let log = OpenOptions::new().create(true).append(true).open(self.root.join("told"));
        log.unwrap().write_all(lines.collect::<String>().as_bytes()).unwrap();
        sealing.told(usize::MAX);
    }

    fn told(&self) -> Vec<Stored> {
        let log = fs::read_to_string(self.root.join("told")).unwrap_or_default();
        let whole = log.rfind('\n').and_then(|end| log.get(..end)).unwrap_or_default();
        // The line that was torn is gone with its try, as of a database.
        fs::write(self.root.join("told"), if whole.is_empty() { String::new() } else { format!("{whole}\n") }).unwrap();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the next process does with what is left.
    fn take_up(&self) -> Result<(), RecordingError> {
        let (recordings, mut press) = (self.recordings(), Press::new().unwrap());
        for folder in recordings.unsealed()? {
            let mut sealing = Sealing::left(&folder, &head_in(&folder)?, &self.told())?;
            while sealing.finish(&self.recipients, &mut press)? {
                self.tell(&mut sealing);
            }
            self.tell(&mut sealing);
            take_away(&folder)?;
        }
        assert_eq!(recordings.unsealed()?, Vec::<PathBuf>::new());
        Ok(())
    }

    /// The one recording there is; nothing lies beside it.
    fn tar(&self) -> Option<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.join("recordings")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        assert!(files.len() <= 1 && files.iter().all(|file| file.extension().unwrap() == "tar"), "{files:?}");
        files.pop()
    }

    /// What the log was told is what there is, and all that was shown can be read.
    fn is_whole(&self, made: &Made, said: &str) {
        let shown = |what: &str| {
            said.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse::<usize>().ok()).next_back()
        };
        let Some(tar) = self.tar() else {
            assert!(shown("bytes").is_none(), "something was shown, and nothing is there");
            return;
        };
        assert!(export_sealed(&tar, std::io::sink()).unwrap().verified);
        let mut stored = Sealing::left(&tar.with_extension(""), &head(), &[]).unwrap().stored().unwrap();
        stored.sort_by_key(|stored| stored.place.at);
        let mut told = self.told();
        told.sort_by_key(|stored| stored.place.at);
        assert_eq!(told, stored, "the log was told of each file once");
        let source = Source::sealed(&tar, made.office.clone()).unwrap();
        let bytes = shown("bytes").unwrap_or(0);
        assert!(bytes == 0 || member(&source, "00001.stdout").starts_with(&big(bytes)), "of {bytes} not all is there");
        let lines = shown("lines").unwrap_or(0);
        if lines > 0 {
            let cast = String::from_utf8(member(&source, "00002.cast")).unwrap();
            let events = cast.lines().filter_map(|line| serde_json::from_str::<(f64, String, String)>(line).ok());
            let text: String = events.filter(|(_, code, _)| code == "o").map(|(.., data)| data).collect();
            let found = text.split("line ").filter_map(|line| line.split_once('-')?.0.parse::<usize>().ok());
            assert!(found.take(lines).eq(0..lines), "of {lines} lines not all are there");
        }
        let ended = said.lines().any(|line| line == "ended");
        assert!(export(&source, std::io::sink()).unwrap().verified || !ended, "its manifest is gone");
    }
}

/// A session from its beginning to its end. `always` has points count while it is recorded as well.
#[tokio::main(flavor = "current_thread")]
async fn session(place: &Place, always: bool) {
    let say = |what: &str, count: usize| writeln!(std::io::stdout().lock(), "\n{what} {count}").unwrap();
    let sealed = |count: bool| {
        if !always {
            place.counts(count);
        }
    };
    if always {
        place.counts(true);
    }
    let recording = place.recordings().start(head()).await.unwrap();
    let exec = recording.stream(1, "cat".to_owned()).await.unwrap();
    let terminal = recording.terminal(2, shell()).await.unwrap();
    let all = big(2_300_000);
    let (mut given, mut lines) = (0, 0);
    let mut show = |count: usize, more: usize| {
        exec.from_device(Output::Stdout, &bytes(all.get(given..given + count).unwrap())).unwrap();
        given += count;
        say("bytes", given);
        let text: String = (lines..lines + more).map(|line| format!("line {line}-\r\n")).collect();
        terminal.from_device(Output::Stdout, &bytes(text)).unwrap();
        lines += more;
        say("lines", lines);
    };
    show(1_200_000, 19_000);
    let mut press = Press::new().unwrap();
    sealed(true);
    let mut sealing = (0..TRIES).find_map(|_| Sealing::begin(&recording).ok()).unwrap();
    for _ in 0..3 {
        let _ = sealing.go_on(&place.recipients, &mut press);
        if always {
            place.tell(&mut sealing);
        }
    }
    sealed(false);
    show(1_100_000, 500);
    sealed(true);
    for _ in 0..3 {
        let _ = sealing.go_on(&place.recipients, &mut press);
    }
    sealed(false);
    place.tell(&mut sealing);
    recording.finish(end()).await.unwrap();
    writeln!(std::io::stdout().lock(), "\nended").unwrap();
    let (mut tries, mut more) = (0, true);
    while more {
        sealed(true);
        let finished = sealing.finish(&place.recipients, &mut press);
        sealed(false);
        place.tell(&mut sealing);
        (tries, more) = (tries + u32::from(finished.is_err()), finished.unwrap_or(true));
        assert!(tries < TRIES, "it does not go on");
    }
    sealed(true);
    assert!((0..TRIES).any(|_| take_away(recording.folder()).is_ok()), "{:?}", recording.folder());
    sealed(false);
    if always {
        place.counts(false);
    }
}

/// A child that runs this test with the point `at`: what it said, and whether the point was reached.
fn child(test: &str, library: &Path, root: &Path, (how, at): (&str, u32)) -> (String, bool) {
    let _ = fs::remove_file(root.with_extension("on"));
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .envs([("LD_PRELOAD", library.as_os_str()), (ROOT, root.as_os_str())])
        .envs([(HOW, how), (AT, &at.to_string())])
        .output()
        .unwrap();
    let (said, faults) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let reached = faults.lines().find(|line| line.starts_with("point "));
    eprintln!("{how} {}", reached.unwrap_or("nowhere"));
    let killed = how == "kill" && reached.is_some();
    assert!(ended.status.success() != killed, "{:?} {said} {faults}", ended.status);
    (said.into_owned(), reached.is_some())
}

/// The library, and the keys that what children record is sealed to.
fn stage() -> (tempfile::TempDir, PathBuf, Made) {
    let (folder, made) = (tempfile::tempdir().unwrap(), keys::make());
    let (library, source) = (folder.path().join("points.so"), "../tests/disk/points.c");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("a C compiler is needed").success());
    (folder, library, made)
}

fn fresh(folder: &Path, made: &Made, name: &str) -> Place {
    let root = folder.join(name);
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("recordings")).unwrap();
    let recipients = root.with_extension("recipients");
    if !recipients.exists() {
        made.recipients.write(&recipients).unwrap();
    }
    Place::of(root)
}

fn this_child() -> Option<(Place, String)> {
    Some((Place::of(std::env::var_os(ROOT)?.into()), std::env::var(HOW).unwrap()))
}

#[test]
fn a_kill_at_any_point_loses_nothing_and_leaves_nothing() {
    if let Some((place, _)) = this_child() {
        return session(&place, true);
    }
    let (folder, library, made) = stage();
    let mut points = 0;
    while points < ENOUGH {
        let place = fresh(folder.path(), &made, "session");
        let test = "a_kill_at_any_point_loses_nothing_and_leaves_nothing";
        let (said, reached) = child(test, &library, &place.root, ("kill", points + 1));
        place.take_up().unwrap();
        place.is_whole(&made, &said);
        if !reached {
            break;
        }
        points += 1;
    }
    assert!((60..ENOUGH).contains(&points), "{points} points");
}

#[test]
fn a_fault_of_the_disk_at_any_point_of_sealing_is_got_over() {
    if let Some((place, _)) = this_child() {
        return session(&place, false);
    }
    let (folder, library, made) = stage();
    let mut points = 0;
    while points < ENOUGH {
        let place = fresh(folder.path(), &made, "session");
        let test = "a_fault_of_the_disk_at_any_point_of_sealing_is_got_over";
        let (said, reached) = child(test, &library, &place.root, ("fail", points + 1));
        assert!(said.lines().any(|line| line == "ended"));
        place.is_whole(&made, &said);
        if !reached {
            break;
        }
        points += 1;
    }
    assert!((30..ENOUGH).contains(&points), "{points} points");
}

/// Whoever takes up what a kill left is killed as well, at every point.
#[test]
fn a_second_kill_at_any_point_loses_nothing_either() {
    let test = "a_second_kill_at_any_point_loses_nothing_either";
    if let Some((place, _)) = this_child() {
        // The first one that is killed finds nothing there yet.
        if place.root.join("recordings").read_dir().unwrap().next().is_none() {
            return session(&place, true);
        }
        place.counts(true);
        place.take_up().unwrap();
        return place.counts(false);
    }
    let (folder, library, made) = stage();
    // The first kill comes in the middle of what is told of while the session goes on, or near its end.
    for share in [2, 4] {
        let first = fresh(folder.path(), &made, "first");
        let mut at = 0;
        let said = loop {
            at += 5;
            let first = fresh(folder.path(), &made, "first");
            let (said, reached) = child(test, &library, &first.root, ("kill", at));
            assert!(reached, "the session is over");
            if first.told().len() >= share {
                break said;
            }
        };
        let mut points = 0;
        while points < ENOUGH {
            let place = fresh(folder.path(), &made, "second");
            copy(&first.root, &place.root);
            let (_, reached) = child(test, &library, &place.root, ("kill", points + 1));
            place.take_up().unwrap();
            place.is_whole(&made, &said);
            if !reached {
                break;
            }
            points += 1;
        }
        assert!((20..ENOUGH).contains(&points), "{points} points");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
