//! The gateway is killed at random moments under load, again and again: each time it serves on with nothing done by hand,
//! no byte that a person was shown is missing from a recording, and in the end every checkpoint that was ever seen is how
//! the log begins. `SEKIMORI_KILLS` says how often (`make kills KILLS=1000`); a few times unless told otherwise.

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use rustix::process::Signal;
use sekimori_tests::{
    Database, Hospital, Input, PATIENCE, SealedLog, Session, Surroundings, Window, at, free_port, on_both_databases,
    run,
};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Kills after which recordings are compared with what was shown, so that a long run says early what it found.
const ROUND: usize = 25;

on_both_databases!(a_gateway_killed_at_any_moment_goes_on_with_its_log);

fn a_gateway_killed_at_any_moment_goes_on_with_its_log(database: Database) -> Result<()> {
    let kills = std::env::var("SEKIMORI_KILLS").map_or(Ok(5), |text| text.parse::<usize>())?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, database)?;
    hospital.grant(Window::ending_in(TimeDelta::hours(11)))?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    hospital.gateway.kill()?;
    let (done, shown) = (AtomicBool::new(false), Shown::default());
    let mut recorded = Recorded::of(&hospital)?;
    let mut anchors = Vec::new();
    let mut serving = hospital.gateway.serve_again()?;
    thread::scope(|scope| -> Result<()> {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    shown.visit(&hospital, &certificate);
                }
            });
        }
        let killed = (1..=kills).try_for_each(|number| {
            let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
            thread::sleep(Duration::from_millis(200) + Duration::from_micros(u64::from(nanos) % 2_000_000));
            serving.signal(Signal::KILL)?;
            serving.end_within(PATIENCE)?;
            anchors.push(sealed.keep(&format!("anchor{number}"))?);
            serving = hospital.gateway.serve_again().with_context(|| format!("after kill {number}"))?;
            if number % ROUND == 0 {
                recorded.take_in(&hospital).with_context(|| format!("after kill {number}"))?;
                let compared = recorded.compare(&shown).with_context(|| format!("after kill {number}"))?;
                println!(
                    "{database:?}: {number} kills, {compared} visits as they were shown, {} entries",
                    sealed.size()?
                );
            }
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        killed
    })?;
    hospital.all_closed()?;
    recorded.take_in(&hospital)?;
    let compared = recorded.compare(&shown)?;
    ensure!(compared > 0, "nobody was shown anything: there was no load");
    ensure!(shown.is_empty(), "what these were shown is in no recording: {:?}", shown.tags());
    sealed.await_newest(&hospital)?;
    // Only so many fit on one command line.
    for some in anchors.chunks(100) {
        sealed.is_intact(&hospital, &some.iter().map(AsRef::as_ref).collect::<Vec<&Path>>())?;
    }
    let agrees = hospital.gateway.act(&hospital.auditor, &["log", "compare"])?;
    ensure!(at(&agrees, "/differ") == 0, "{agrees}");
    println!(
        "{database:?}: {kills} kills, {compared} visits as they were shown, {} of them cut off, {} entries",
        recorded.cut,
        sealed.size()?
    );
    Ok(())
}

/// What each visit was shown, under its tag, until it is compared.
#[derive(Default)]
struct Shown {
    visits: Mutex<HashMap<String, Vec<u8>>>,
    number: AtomicU64,
}

impl Shown {
    /// A command that says its tag over and over, for half a second. Mostly it is cut off half way: that is the point.
    fn visit(&self, hospital: &Hospital, certificate: &Path) {
        let tag = format!("visit-{}-", self.number.fetch_add(1, Ordering::Relaxed));
        let remote = format!("for i in $(seq 1 50); do seq -f {tag}$i-%g 1 20; sleep 0.01; done");
        if let Ok(said) = hospital.exec(certificate, &remote, Input::Nothing)
            && !said.stdout.is_empty()
        {
            self.visits.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, said.stdout);
        }
    }

    fn take(&self, tag: &str) -> Option<Vec<u8>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).remove(tag)
    }

    fn is_empty(&self) -> bool {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn tags(&self) -> Vec<String> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// What lies in the recordings, opened with the key from the safe.
struct Recorded {
    identity: PathBuf,
    known: HashSet<String>,
    /// By tag, what was recorded of visits that were not compared yet.
    visits: HashMap<String, Vec<u8>>,
    compared: usize,
    /// Visits of which more is on record than the person was shown, or that did not come to their end.
    cut: usize,
}

impl Recorded {
    fn of(hospital: &Hospital) -> Result<Self> {
        let key = hospital.gateway.demo.recovery_sheet.lines().map(str::trim);
        let key = key.filter(|line| line.starts_with("AGE-SECRET-KEY-")).collect::<String>();
        ensure!(!key.is_empty(), "the recovery sheet holds no key");
        let identity = hospital.workstation.folder().join("recovery.key");
        fs::write(&identity, key)?;
        Ok(Self { identity, known: HashSet::new(), visits: HashMap::new(), compared: 0, cut: 0 })
    }

    /// Opens every recording that was sealed since.
    fn take_in(&mut self, hospital: &Hospital) -> Result<()> {
        let identity = self.identity.display().to_string();
        for session in hospital.sessions()?.into_iter().filter(|session| session.closed.is_some()) {
            if self.known.contains(&session.id) {
                continue;
            }
            if !has_recording(hospital, &session)? {
                // Killed after it was told of and before its recording began: nothing was shown, or it is missed in the end.
                self.known.insert(session.id);
                continue;
            }
            let archive = hospital.workstation.folder().join(format!("{}.opened.tar", session.id));
            let out = archive.display().to_string();
            let export = ["session", "export", &session.id, "--opened", "--out", &out, "--identity", &identity];
            hospital.gateway.act(&hospital.auditor, &export).with_context(|| format!("{session:?}"))?;
            let mut tar = Command::new("tar");
            tar.args(["--wildcards", "--to-stdout", "-xf"]).arg(&archive).arg("*.stdout");
            // A session that was killed before its command began has none.
            let stdout = run(&mut tar, Input::Nothing, PATIENCE)?.stdout;
            fs::remove_file(&archive)?;
            if let Some(tag) = tag_of(&stdout) {
                self.visits.insert(tag, stdout);
            }
            self.known.insert(session.id);
        }
        Ok(())
    }

    /// Every visit that was shown something and lies in a recording: the one is how the other begins.
    fn compare(&mut self, shown: &Shown) -> Result<usize> {
        for tag in self.visits.keys().cloned().collect::<Vec<_>>() {
            let Some(seen) = shown.take(&tag) else { continue };
            let recorded = self.visits.remove(&tag).unwrap_or_default();
            ensure!(
                recorded.starts_with(&seen),
                "{tag}: {} bytes were shown, and {} are on record that are not those:\n{}",
                seen.len(),
                recorded.len(),
                String::from_utf8_lossy(&recorded)
            );
            self.compared += 1;
            self.cut += usize::from(!String::from_utf8_lossy(&seen).contains("-50-20\n"));
        }
        Ok(self.compared)
    }
}

/// Waits until it is sealed; whether it is, or the kill left nothing of it. A folder that was made and holds nothing yet is
/// taken away when the next process comes to it.
fn has_recording(hospital: &Hospital, session: &Session) -> Result<bool> {
    let (end, tar) = (Instant::now() + PATIENCE, format!("{}.tar", session.id));
    loop {
        let lies = hospital.recording_folders()?;
        let names = lies.iter().filter_map(|path| path.file_name()?.to_str()).collect::<Vec<_>>();
        if names.contains(&tar.as_str()) {
            return Ok(true);
        }
        if session.reason.as_deref() == Some("crash") && !names.iter().any(|name| name.starts_with(&session.id)) {
            return Ok(false);
        }
        ensure!(Instant::now() < end, "{session:?} is not sealed: {names:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// `visit-7-` of `visit-7-1-1`.
fn tag_of(stdout: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stdout.get(..stdout.len().min(64))?);
    let (number, _) = text.strip_prefix("visit-")?.split_once('-')?;
    Some(format!("visit-{number}-"))
}
