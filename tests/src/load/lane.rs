//! A lane: one engineer's place, in which one visit of a kind follows the other.

use super::ward::Ward;
use std::fmt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What is done in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Typing in a terminal, each echo awaited.
    Typing,
    /// Commands with bulk data up, down, and both ways at once.
    Commands,
    /// Files there and back by SFTP.
    Files,
    /// A forwarded port.
    Forward,
    /// Commands by ProxyJump.
    Jump,
    /// A terminal that the hospital cuts off.
    Cut,
    /// A terminal whose window ends.
    Window,
    /// A terminal whose sign-in or person is revoked.
    Revoked,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Typing => "typing in a terminal",
            Self::Commands => "commands with bulk data",
            Self::Files => "files by SFTP",
            Self::Forward => "forwarded ports",
            Self::Jump => "commands by ProxyJump",
            Self::Cut => "terminals that the hospital cuts off",
            Self::Window => "terminals whose window ends",
            Self::Revoked => "terminals whose sign-in is revoked",
        })
    }
}

/// Of a hundred sessions so many are of each kind; the rest type.
const SHARES: [(Kind, usize); 7] = [
    (Kind::Commands, 8),
    (Kind::Files, 8),
    (Kind::Forward, 8),
    (Kind::Jump, 6),
    (Kind::Cut, 2),
    (Kind::Window, 2),
    (Kind::Revoked, 1),
];

/// One of them.
#[derive(Debug)]
pub struct Lane {
    /// What is done in it.
    pub kind: Kind,
    /// Its number among those of its kind, from 0.
    pub number: usize,
    chance: Mutex<u64>,
}

impl Lane {
    /// Lanes for so many sessions, at least one of each kind.
    pub fn share_out(sessions: usize) -> Vec<Self> {
        let mut lanes = Vec::new();
        for (kind, percent) in SHARES {
            for number in 0..Self::count(kind, percent, sessions) {
                lanes.push(Self::new(kind, number));
            }
        }
        let typing = sessions.saturating_sub(lanes.len()).max(1);
        lanes.extend((0..typing).map(|number| Self::new(Kind::Typing, number)));
        lanes
    }

    /// How many lanes of a kind there are among so many sessions.
    pub fn how_many(kind: Kind, sessions: usize) -> usize {
        let share = SHARES.iter().find(|(of, _)| *of == kind);
        share.map_or(0, |(kind, percent)| Self::count(*kind, *percent, sessions))
    }

    fn count(kind: Kind, percent: usize, sessions: usize) -> usize {
        // Taking factors away concerns a person: one lane has one of its own.
        if kind == Kind::Revoked { 1 } else { (sessions * percent / 100).max(1) }
    }

    fn new(kind: Kind, number: usize) -> Self {
        let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((kind as u64 + 1) * 1000 + number as u64 + 1);
        Self { kind, number, chance: Mutex::new(seed) }
    }

    /// A number below `limit`, another each time, the same in each run.
    pub fn chance(&self, limit: u64) -> u64 {
        let mut state = self.chance.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % limit.max(1)
    }

    /// What a person does between two things: nothing, for up to so many milliseconds.
    pub fn pause(&self, milliseconds: u64) {
        thread::sleep(Duration::from_millis(self.chance(milliseconds)));
    }

    /// Makes visits until it is time to leave. What goes wrong is noted, and the next visit is made.
    pub fn keep_visiting(&self, ward: &Ward, until: Instant) {
        // People do not come all at once; each coming takes several writes that reach the disk.
        self.pause(ward.coming_ms);
        while Instant::now() < until && !ward.has_seen_enough() {
            match self.visit(ward, until) {
                Ok(mut tally) => {
                    *tally.visits.entry(self.kind).or_default() += 1;
                    ward.count(tally);
                }
                Err(fault) => ward.fail(format!("{} ({}): {fault:#}", self.kind, self.number)),
            }
            self.pause(1_000);
        }
    }
}
