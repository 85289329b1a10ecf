//! What the leaves tell one after the other: numbers without gaps, sessions that open and close, the hourly beat, the
//! clock, purges, changes of keys.

use super::fault::{Code, Fault};
use super::tiles::Held;
use super::{Limits, fault::time_text};
use crate::log::leaf::{BEAT, CLOSE, HELD, KEY_ROTATED, OPEN, PURGED, RELEASED, SEALED, SEGMENT, START, STOP};
use crate::log::{Hash, Leaf};
use std::collections::HashMap;
use uuid::Uuid;

/// The course of events so far.
#[derive(Default)]
pub(super) struct Course {
    sessions: HashMap<Uuid, Session>,
    /// The last number among the events of no session.
    unattached: u64,
    first: Option<u64>,
    last: Option<(u64, u64)>,
    latest: u64,
    beat: Option<Beat>,
    /// When a recording was first sealed: gateways of before sealed none.
    sealing: Option<u64>,
    pub(super) rotations: Vec<Rotation>,
}

#[derive(Default)]
struct Session {
    last: u64,
    opened: Option<(u64, u64)>,
    /// When it closed.
    closed: Option<u64>,
    segments: u64,
    sealed: bool,
    /// Holds in force.
    holds: u64,
    purged: Option<(u64, u64)>,
    /// The first leaf whose body is gone, its time, and how many there are.
    gone: Option<(u64, u64, u64)>,
    /// A segment whose body is there still.
    there: Option<(u64, u64)>,
}

struct Beat {
    entry: u64,
    time: u64,
    stopped: bool,
}

/// A leaf that introduces a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    pub(super) entry: u64,
    pub(super) time: u64,
    pub(super) hash: Hash,
}

/// What is known when all leaves were read.
pub(super) struct Summary {
    pub(super) sessions: u64,
    pub(super) still_open: u64,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

impl Course {
    /// Takes the next leaf.
    pub(super) fn take(&mut self, entry: u64, leaf: &Leaf, held: Held, limits: &Limits, faults: &mut Vec<Fault>) {
        let mut found = |code, detail: String| faults.push(Fault::at(code, entry, detail).of(leaf));
        self.first.get_or_insert(leaf.time);
        self.last = Some((entry, leaf.time));
        if leaf.time.saturating_add(micros(limits.clock)) < self.latest {
            found(Code::TimeBackwards, format!("an event before it was at {}", time_text(self.latest)));
        }
        self.latest = self.latest.max(leaf.time);
        match leaf.session {
            Some(session) => self.sessions.entry(session).or_default().take(entry, leaf, held, limits, &mut found),
            None => {
                follow(&mut self.unattached, leaf.number, "among the events of no session", &mut found);
                if held == Held::Gone {
                    found(Code::BodyMissing, "its stored bytes are gone".to_owned());
                }
            }
        }
        if matches!(leaf.kind.as_str(), BEAT | START | STOP) {
            let rested = self.beat.as_ref().is_some_and(|beat| beat.stopped) && leaf.kind == START;
            if let Some(silence) = self.silence(leaf.time, limits).filter(|_| !rested) {
                found(Code::BeatGap, silence);
            }
            self.beat = Some(Beat { entry, time: leaf.time, stopped: leaf.kind == STOP });
        }
        if leaf.kind == SEALED {
            self.sealing.get_or_insert(leaf.time);
        }
        if leaf.kind == KEY_ROTATED {
            self.rotations.push(Rotation { entry, time: leaf.time, hash: leaf.hash });
        }
    }

    /// Says what is left open at the end.
    pub(super) fn end(&self, limits: &Limits, faults: &mut Vec<Fault>) -> Summary {
        let now = self.latest;
        if let Some((entry, time)) = self.last
            && self.beat.as_ref().is_some_and(|beat| !beat.stopped)
            && let Some(silence) = self.silence(now, limits)
        {
            faults.push(Fault { time: Some(time), ..Fault::at(Code::BeatGap, entry, silence) });
        }
        let mut still_open = 0;
        let mut ends = Vec::new();
        for (id, session) in &self.sessions {
            let mut found = |code, (entry, time): (u64, u64), detail: &str| {
                ends.push(Fault { session: Some(*id), time: Some(time), ..Fault::at(code, entry, detail) });
            };
            if let (Some(opened), None) = (session.opened, session.closed) {
                if now.saturating_sub(opened.1) > micros(limits.session) {
                    found(Code::SessionUnclosed, opened, "the session opened here and was never closed");
                } else {
                    still_open += 1;
                }
            }
            if let (Some(opened), Some(closed), false) = (session.opened, session.closed, session.sealed) {
                // It takes moments; one that ended just now may still be under way, while there is a gateway.
                let long_ago = now.saturating_sub(closed) > micros(limits.beat);
                let serving = self.beat.as_ref().is_some_and(|beat| !beat.stopped);
                let would_be = self.sealing.is_some_and(|first| first < opened.1);
                if (session.segments > 0 && (long_ago || !serving)) || (would_be && long_ago) {
                    found(Code::SessionUnsealed, opened, "the session closed, and its recording was never sealed");
                }
            }
            match (session.gone, session.purged) {
                (Some((entry, time, count)), None) => {
                    let detail =
                        format!("stored bytes are gone here and in {} more, and no purge tells of it", count - 1);
                    found(Code::BodyMissing, (entry, time), &detail);
                }
                (_, Some(_)) => {
                    if let Some(there) = session.there {
                        found(Code::PurgeIncomplete, there, "stored bytes are there that a purge says were removed");
                    }
                }
                (None, None) => {}
            }
        }
        // Sessions lie in no order in memory; a report has one.
        ends.sort_by_key(|fault| (fault.entry, fault.code.code()));
        faults.append(&mut ends);
        Summary {
            sessions: self.sessions.len() as u64,
            still_open,
            first: self.first,
            last: self.last.map(|(_, time)| time),
        }
    }

    /// Words for a silence up to `time` that is too long.
    fn silence(&self, time: u64, limits: &Limits) -> Option<String> {
        let beat = self.beat.as_ref()?;
        let longest = micros(limits.beat);
        let detail =
            || format!("nothing was heard of the gateway since {} (entry {})", time_text(beat.time), beat.entry);
        (time.saturating_sub(beat.time) > longest).then(detail)
    }
}

impl Session {
    fn take(&mut self, entry: u64, leaf: &Leaf, held: Held, limits: &Limits, found: &mut impl FnMut(Code, String)) {
        let new = self.last == 0;
        follow(&mut self.last, leaf.number, "in its session", found);
        if new && leaf.kind != OPEN {
            found(Code::SessionUnopened, format!("the first leaf of the session is {}", leaf.kind));
        }
        match leaf.kind.as_str() {
            OPEN if self.opened.is_some() => found(Code::SessionRepeated, "the session opens again".to_owned()),
            OPEN => self.opened = Some((entry, leaf.time)),
            CLOSE if self.closed.is_some() => found(Code::SessionRepeated, "the session closes again".to_owned()),
            CLOSE => self.closed = Some(leaf.time),
            SEGMENT => self.segments += 1,
            SEALED => self.sealed = true,
            HELD => self.holds += 1,
            RELEASED => self.holds = self.holds.saturating_sub(1),
            PURGED => self.purge(entry, leaf, limits, found),
            _ => {}
        }
        match held {
            // A purge removes what lies in the recording, and nothing else.
            Held::Gone if leaf.kind != SEGMENT => found(Code::BodyMissing, "its stored bytes are gone".to_owned()),
            Held::Gone => self.gone.get_or_insert((entry, leaf.time, 0)).2 += 1,
            Held::There if leaf.kind == SEGMENT => {
                self.there.get_or_insert((entry, leaf.time));
            }
            Held::There | Held::Unasked => {}
        }
    }
}

impl Session {
    /// What is removed has ended, is sealed, is not held, and is as old as it had to become.
    fn purge(&mut self, entry: u64, leaf: &Leaf, limits: &Limits, found: &mut impl FnMut(Code, String)) {
        let Some(closed) = self.closed else {
            return found(Code::PurgeUnfounded, "a session is purged that had not ended".to_owned());
        };
        if self.purged.is_some() {
            found(Code::PurgeUnfounded, "the session is purged again".to_owned());
        }
        if self.segments > 0 && !self.sealed {
            found(Code::PurgeUnfounded, "a session is purged whose recording was never sealed as a whole".to_owned());
        }
        if self.holds > 0 {
            found(Code::PurgeHeld, format!("the recording is purged while {} holds are in force", self.holds));
        }
        if let Some(term) = limits.retention.map(micros)
            && leaf.time.saturating_sub(closed) < term
        {
            found(
                Code::PurgeEarly,
                format!("the recording is purged, and its session closed at {}", time_text(closed)),
            );
        }
        self.purged = Some((entry, leaf.time));
    }
}

/// Numbers follow each other; after a gap the count goes on from what is there.
fn follow(last: &mut u64, number: u64, place: &str, found: &mut impl FnMut(Code, String)) {
    if number != *last + 1 {
        found(Code::SessionGap, format!("number {number} follows {last} {place}"));
    }
    *last = number;
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
