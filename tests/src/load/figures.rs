//! What a mixed load came to, as a table.

use super::lane::{Kind, Lane};
use crate::footprint::Footprint;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the lanes did, counted as they did it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Visits that came to their end, by kind.
    pub visits: BTreeMap<Kind, u64>,
    /// Bytes that were compared after they had gone to a device.
    pub up: u64,
    /// Bytes that were compared after they had come from a device.
    pub down: u64,
    /// Files moved by SFTP.
    pub transfers: u64,
    /// Milliseconds from a keystroke to its echo.
    pub keystrokes: Vec<f64>,
    /// Milliseconds from a cut, a revocation or a window's end to the end of the client.
    pub endings: Vec<f64>,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, mut other: Self) {
        for (kind, count) in other.visits {
            *self.visits.entry(kind).or_default() += count;
        }
        self.up += other.up;
        self.down += other.down;
        self.transfers += other.transfers;
        self.keystrokes.append(&mut other.keystrokes);
        self.endings.append(&mut other.endings);
    }
}

/// One round, at its quiet point.
#[derive(Debug)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// Sessions that were closed in it, each verified.
    pub closed: usize,
    /// What the gateway held afterwards.
    pub footprint: Footprint,
    /// What was done in it.
    pub tally: Tally,
}

/// All of it.
#[derive(Debug)]
pub struct Figures {
    /// Sessions at once.
    pub at_once: usize,
    /// Sessions in all, each closed for the right reason and recorded completely.
    pub sessions: usize,
    /// How long all of it took.
    pub took: Duration,
    /// What was done.
    pub tally: Tally,
    lanes: BTreeMap<Kind, usize>,
    points: Vec<(u32, usize, Footprint, f64, f64)>,
}

impl Figures {
    pub(super) fn new(at_once: usize, lanes: &[Lane]) -> Self {
        let mut shares: BTreeMap<Kind, usize> = BTreeMap::new();
        for lane in lanes {
            *shares.entry(lane.kind).or_default() += 1;
        }
        let (took, tally) = (Duration::ZERO, Tally::default());
        Self { at_once, sessions: 0, took, tally, lanes: shares, points: Vec::new() }
    }

    pub(super) fn add(&mut self, round: Round) {
        let Round { number, closed, footprint, mut tally } = round;
        self.sessions += closed;
        let (median, tail) = (percentile(&mut tally.keystrokes, 50), percentile(&mut tally.keystrokes, 99));
        self.points.push((number, closed, footprint, median, tail));
        self.tally.add(tally);
    }

    pub(super) fn last_round(&self) -> String {
        self.points.last().map(point).unwrap_or_default()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_once, sessions, took, tally, lanes, points } = self;
        writeln!(f, "{at_once} sessions at once, {sessions} in all, in {} s", took.as_secs())?;
        for (kind, share) in lanes {
            let visits = tally.visits.get(kind).copied().unwrap_or_default();
            writeln!(f, "  {:42}{share:>5} at once{visits:>9} visits", kind.to_string())?;
        }
        let mebibytes = |bytes: u64| bytes >> 20;
        writeln!(
            f,
            "compared: {} MiB up, {} MiB down; {} files",
            mebibytes(tally.up),
            mebibytes(tally.down),
            tally.transfers
        )?;
        let of = |values: &Vec<f64>, percent| percentile(&mut values.clone(), percent);
        let keys = &tally.keystrokes;
        writeln!(f, "keystrokes: {}, p50 {:.2} ms, p99 {:.2} ms", keys.len(), of(keys, 50), of(keys, 99))?;
        let ends = &tally.endings;
        writeln!(f, "ended by the hospital: {}, p50 {:.0} ms, p99 {:.0} ms", ends.len(), of(ends, 50), of(ends, 99))?;
        for each in points {
            writeln!(f, "  {}", point(each))?;
        }
        Ok(())
    }
}

fn point((number, closed, footprint, median, tail): &(u32, usize, Footprint, f64, f64)) -> String {
    format!(
        "round {number:>3}: {closed:>5} sessions closed; at rest {footprint}; keystrokes p50 {median:.2} ms, p99 {tail:.2} ms"
    )
}

/// The value that so many percent of all do not exceed; 0 of nothing.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}
