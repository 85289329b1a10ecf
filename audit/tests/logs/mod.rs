//! What the tests of the log share: keys, an invented day at the gate, logs in folders, and ways to spoil them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use sekimori_audit::log::leaf::{BEAT, CLOSE, OPEN, SEALED, SEGMENT, START, STOP};
use sekimori_audit::log::{Checkpoint, Leaf, LogKeys, Role, SigningKey, VerifierKey, Writer};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The name of the tests' log.
pub const ORIGIN: &str = "gate.example.jp/log";
/// 2026-11-01 00:00 UTC.
const MIDNIGHT: u64 = 1_793_491_200_000_000;
const MINUTE: u64 = 60_000_000;

/// A key of the log.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, Role::Log, &[seed; 32]).unwrap()
}

/// A key of a witness.
pub fn witness_key(seed: u8) -> SigningKey {
    SigningKey::from_seed("witness.example.jp", Role::Witness, &[seed; 32]).unwrap()
}

/// Keys as an auditor holds them.
pub fn keys<'k>(of: impl IntoIterator<Item = &'k VerifierKey>) -> LogKeys {
    LogKeys::parse(keys_text(of).as_bytes()).unwrap()
}

/// The file of keys.
pub fn keys_text<'k>(of: impl IntoIterator<Item = &'k VerifierKey>) -> String {
    of.into_iter().map(|key| format!("{key}\n")).collect()
}

/// The `n`-th session.
pub fn session(n: u64) -> Uuid {
    Uuid::from_u128(0x0197_b2c4_9f00_7000_8000_0000_0000_0000 + u128::from(n))
}

/// Events that are told one after the other.
#[derive(Default)]
pub struct Story {
    /// What goes into the log.
    pub leaves: Vec<Leaf>,
    /// What each was made of, as stored.
    pub bodies: Vec<Vec<u8>>,
    numbers: HashMap<Option<Uuid>, u64>,
    minutes: u64,
}

impl Story {
    /// Lets time pass.
    pub fn wait(&mut self, minutes: u64) -> &mut Self {
        self.minutes += minutes;
        self
    }

    /// One event.
    pub fn tell(&mut self, kind: &str, session: Option<Uuid>) -> &mut Self {
        let salt = [u8::try_from(self.leaves.len() % 251).unwrap(); 16];
        let body = format!(r#"{{"kind":"{kind}","place":{}}}"#, self.leaves.len());
        let (number, time) = (self.next_number(session), self.time());
        self.bodies.push([&salt[..], body.as_bytes()].concat());
        self.leaves.push(Leaf::of_event(kind, session, number, time, &salt, &body));
        self
    }

    /// The number that the next leaf of a session bears; it counts as given.
    pub fn next_number(&mut self, session: Option<Uuid>) -> u64 {
        let number = self.numbers.entry(session).or_default();
        *number += 1;
        *number
    }

    /// The time that the next leaf bears.
    pub fn time(&self) -> u64 {
        MIDNIGHT + self.minutes * MINUTE + self.leaves.len() as u64
    }

    /// A whole session with so many segments.
    pub fn visit(&mut self, id: Uuid, segments: u64) -> &mut Self {
        self.tell(OPEN, Some(id)).tell("session.channel", Some(id));
        for _ in 0..segments {
            self.wait(1).tell(SEGMENT, Some(id));
        }
        self.tell(CLOSE, Some(id)).tell(SEALED, Some(id))
    }

    /// Hours at the gate: a beat each, and sessions with 6 leaves each in between.
    pub fn hours(&mut self, hours: u64, sessions_an_hour: u64) -> &mut Self {
        for _ in 0..hours {
            self.tell(BEAT, None);
            for _ in 0..sessions_an_hour {
                let id = session(self.leaves.len() as u64);
                self.visit(id, 2).wait(58 / sessions_an_hour.max(1) - 2);
            }
            let next = self.minutes.next_multiple_of(60);
            self.minutes = if next == self.minutes && sessions_an_hour == 0 { next + 60 } else { next };
        }
        self
    }
}

/// A week-like piece of life, from the gateway's start to its stop: `about` leaves.
pub fn life(about: u64) -> Story {
    let mut story = Story::default();
    story.tell("gateway.init", None).tell(START, None);
    while (story.leaves.len() as u64) < about.saturating_sub(25) {
        story.hours(1, 4);
    }
    story.tell(STOP, None);
    story
}

/// Writes leaves in batches; returns the checkpoints, one a batch.
pub fn write(root: &Path, leaves: &[Leaf], batch: usize, seed: u8) -> Vec<Checkpoint> {
    let mut writer = Writer::open(root, vec![key(seed)], None).unwrap();
    leaves.chunks(batch).map(|batch| writer.append(batch).unwrap()).collect()
}

/// Every file below a folder, by its path within, in order.
pub fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(root.join(&folder)).unwrap() {
            let file = file.unwrap();
            let path = folder.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.push((path.to_str().unwrap().to_owned(), std::fs::read(root.join(&path)).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A copy to spoil.
pub fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        let place = to.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
}

/// Spoils a file.
pub fn spoil(root: &Path, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let place = root.join(path);
    let mut bytes = std::fs::read(&place).unwrap_or_else(|fault| panic!("{path}: {fault}"));
    change(&mut bytes);
    std::fs::write(place, bytes).unwrap();
}
