//! What the lanes share: the hospital, the devices' names, the files, what was counted and what went wrong.

use super::figures::Tally;
use super::lane::{Kind, Lane};
use crate::hospital::{Database, Engineer, Hospital, Window, at};
use crate::peers::sha256;
use crate::sessions::Session;
use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Sizes of the files that are sent, in MiB.
const SIZES: [u64; 3] = [1, 3, 8];

/// The hospital under load.
pub struct Ward {
    /// It.
    pub hospital: Hospital,
    /// `ssh -F` of this reaches [`DEVICE`] as `gate`, with a carried sign-in.
    pub config: PathBuf,
    /// The same for the person alone: for forwards and jumps.
    pub by_person: PathBuf,
    /// Files to send, each with its SHA-256 and its bytes.
    pub files: Vec<(PathBuf, String, u64)>,
    /// Configurations that reach the devices at which sessions end before their time, by kind and number.
    pub ending: BTreeMap<(Kind, usize), PathBuf>,
    /// The milliseconds over which people come, at the beginning of a round.
    pub coming_ms: u64,
    /// Whose sign-ins are revoked.
    pub revoked: Engineer,
    tally: Mutex<Tally>,
    failures: Mutex<Vec<String>>,
    verified: Mutex<HashSet<String>>,
}

/// The name of the device at which sessions of a kind end before their time.
pub fn device(kind: Kind, number: usize) -> String {
    let kind = match kind {
        Kind::Cut => "cut",
        Kind::Window => "window",
        _ => "revoked",
    };
    format!("{kind}-{number}")
}

impl Ward {
    /// Opens it for so many sessions at once.
    pub fn open(sessions: usize) -> Result<Self> {
        let hospital = Hospital::closed(Database::Sqlite)?;
        // Thousands of keys and gigabytes from one address, for hours.
        let gateway = &hospital.gateway;
        gateway.reconfigure("[ssh]", "max_connections_per_source = 2000")?;
        hospital.grant(Window::ending_in(TimeDelta::hours(11)))?;
        let shown = gateway.act(&hospital.administrator, &["ca", "known-hosts"])?;
        hospital.workstation.knows(at(&shown, "/line").as_str().context("no line for known_hosts")?)?;
        let certificate = hospital.sign_in()?;
        let carried = || hospital.carried(&certificate);
        let config = hospital.workstation.config(&hospital.user(), carried())?;
        let by_person = hospital.workstation.config(&hospital.engineer.id, carried())?;
        let revoked = hospital.add_engineer("mori-revoked")?;
        hospital.attest(&revoked)?;
        let mut ending = BTreeMap::new();
        for kind in [Kind::Cut, Kind::Window, Kind::Revoked] {
            for number in 0..Lane::how_many(kind, sessions) {
                let name = device(kind, number);
                hospital.add_device(&name)?;
                let user = format!("{}+{name}", hospital.engineer.id);
                ending.insert((kind, number), hospital.workstation.config(&user, carried())?);
                match kind {
                    Kind::Cut => {
                        hospital.grant_to(&hospital.engineer, &name, Window::ending_in(TimeDelta::hours(11)))?
                    }
                    Kind::Revoked => hospital.grant_to(&revoked, &name, Window::ending_in(TimeDelta::hours(11)))?,
                    _ => String::new(),
                };
            }
        }
        let mut files = Vec::new();
        for size in SIZES {
            let file = hospital.bulk_file(&format!("bulk-{size}"), size)?;
            let sum = sha256(&file)?;
            files.push((file, sum, size << 20));
        }
        let coming_ms = 250 * u64::try_from(sessions)?;
        let (tally, failures, verified) = Default::default();
        Ok(Self { hospital, config, by_person, files, ending, coming_ms, revoked, tally, failures, verified })
    }

    /// One of the files.
    pub fn file(&self, lane: &Lane) -> Result<&(PathBuf, String, u64)> {
        let number = usize::try_from(lane.chance(SIZES.len() as u64))?;
        self.files.get(number).context("there is no such file")
    }

    /// Adds what was done.
    pub fn count(&self, tally: Tally) {
        lock(&self.tally).add(tally);
    }

    /// What was done since it was asked last.
    pub fn take_tally(&self) -> Tally {
        std::mem::take(&mut lock(&self.tally))
    }

    /// Notes an error that a client saw and that nobody caused.
    pub fn fail(&self, failure: String) {
        lock(&self.failures).push(failure);
    }

    /// All of them.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Whether there are so many that going on tells nothing more.
    pub fn has_seen_enough(&self) -> bool {
        lock(&self.failures).len() >= super::ENOUGH
    }

    /// The live session at a device, as soon as it is on record.
    pub fn live_session(&self, device: &str) -> Result<String> {
        let begin = Instant::now();
        loop {
            let args = ["session", "list", "--live", "--device", device];
            let listed = self.hospital.gateway.act(&self.hospital.auditor, &args)?;
            if let Some(id) = at(&listed, "/0/id").as_str() {
                return Ok(id.to_owned());
            }
            ensure!(begin.elapsed() < crate::PATIENCE, "no session at {device} is on record");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// At a quiet point: every session is closed for the reason that its device stands for, and its recording is whole;
    /// returns how many were closed since the last.
    pub fn reconcile(&self) -> Result<usize> {
        let mut fresh = self.hospital.all_closed()?;
        let mut verified = lock(&self.verified);
        fresh.retain(|session| verified.insert(session.id.clone()));
        for session in &fresh {
            let reason = session.reason.as_deref().unwrap_or_default();
            let expected: &[&str] = match session.device.split_once('-').map(|(kind, _)| kind) {
                Some("cut") => &["cut"],
                Some("window") => &["window-end"],
                Some("revoked") => &["sign-in-revoked", "denied"],
                _ => &["person-left"],
            };
            // Behind "cut" stand the words of whoever cut it.
            let code = reason.split(':').next().unwrap_or_default();
            if !expected.contains(&code) {
                self.fail(format!("session {} at {} ended because of {reason:?}", session.id, session.device));
            }
        }
        let (first, second) = fresh.split_at(fresh.len() / 2);
        thread::scope(|scope| {
            for half in [first, second] {
                scope.spawn(move || {
                    for session in half {
                        if let Err(fault) = self.verify(session) {
                            self.fail(format!("the recording of session {}: {fault:#}", session.id));
                        }
                    }
                });
            }
        });
        Ok(fresh.len())
    }

    fn verify(&self, session: &Session) -> Result<()> {
        let sealed = self.hospital.sealed(&session.id)?;
        let archive = self.hospital.workstation.folder().join(format!("{}.tar", session.id));
        let out = archive.display().to_string();
        // Opened, each member is compared with the manifest; a recording without one fails.
        self.hospital.open_recording(&session.id, &out)?;
        fs::remove_file(&archive)?;
        Ok(fs::remove_file(&sealed)?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
