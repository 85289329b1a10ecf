//! The mixed load: many engineers at once, each doing what engineers do, while the hospital cuts some of them off.
//!
//! It runs in rounds. Within a round every lane makes one visit after another ([`visits`]); at its end all leave, and at
//! that quiet point the gateway's footprint is measured, every session's end is compared with what was done to it, and
//! every recording is verified by `sekimori session export` and then thrown away, so that the disk does not fill up.

mod figures;
mod lane;
mod visits;
mod ward;

pub use figures::Figures;

use crate::footprint::Footprint;
use crate::hospital::{Database, Hospital};
use crate::peers::{sha256, sha256_of_output};
use crate::process::Input;
use anyhow::{Result, bail, ensure};
use figures::Round;
use lane::Lane;
use std::thread;
use std::time::{Duration, Instant};
use ward::Ward;

/// How much, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Sessions open at once.
    pub sessions: usize,
    /// Rounds; the first is the warm-up that the others are measured by.
    pub rounds: u32,
    /// How long a round goes on before everybody leaves.
    pub round: Duration,
}

/// A round of a long run: short enough that a growth shows as a line of points.
const ROUND: Duration = Duration::from_secs(150);

/// Memory that the gateway may hold more of after the last round than after the warm-up, in KiB: the database's page
/// caches (2 MB for each of 17 connections) fill as the log grows. It is far less than what a thousand sessions take.
const GROWTH_KIB: u64 = 32 << 10;

/// How long bulk data may take: 4 GiB each way, on a machine with other things to do.
const BULK_LIMIT: Duration = Duration::from_secs(900);

/// Failures after which there is no use in going on.
const ENOUGH: usize = 20;

impl Load {
    /// So many sessions for about so long.
    #[must_use]
    pub fn lasting(sessions: usize, duration: Duration) -> Self {
        let rounds = (duration.as_secs() / ROUND.as_secs()).clamp(3, 1000);
        let rounds = u32::try_from(rounds).unwrap_or(3);
        Self { sessions, rounds, round: duration / rounds }
    }

    /// Beside the load: so many MiB go to the device and come back at the same time on one channel, in bounded memory,
    /// while keys are exchanged again after each GiB.
    ///
    /// # Errors
    /// Other bytes came back, or they were kept in memory.
    pub fn there_and_back(mebibytes: u64) -> Result<()> {
        let hospital = Hospital::open(Database::Sqlite)?;
        let certificate = hospital.sign_in()?;
        let file = hospital.bulk_file("bulk", mebibytes)?;
        let sum = sha256(&file)?;
        let before = hospital.gateway.resident_kib()?;
        hospital.gateway.forget_peak()?;
        let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
        let begin = Instant::now();
        let input = Input::File(std::fs::File::open(&file)?);
        let echoed = sha256_of_output(ssh.args(["-T", "gate", "cat"]), input, BULK_LIMIT)?;
        ensure!(echoed == sum, "other bytes came back than were sent");
        let held = hospital.gateway.peak_kib()?.saturating_sub(before) >> 10;
        println!(
            "{mebibytes} MiB each way at once: {:.0} s, {held} MiB of memory at most",
            begin.elapsed().as_secs_f64()
        );
        ensure!(held < 64, "{held} MiB were held");
        Ok(())
    }

    /// Runs it to its end, telling each round as it goes.
    ///
    /// # Errors
    /// A client saw an error that was not caused on purpose, something grew, a recording is not whole, or a session did
    /// not end as it should have. The figures so far were printed.
    pub fn run(&self) -> Result<Figures> {
        let begin = Instant::now();
        let ward = Ward::open(self.sessions)?;
        let lanes = Lane::share_out(self.sessions);
        let mut figures = Figures::new(self.sessions, &lanes);
        let mut rest: Option<Footprint> = None;
        for number in 1..=self.rounds {
            let until = Instant::now() + self.round;
            thread::scope(|scope| {
                for lane in &lanes {
                    let ward = &ward;
                    scope.spawn(move || lane.keep_visiting(ward, until));
                }
            });
            let closed = ward.reconcile()?;
            let footprint = match &rest {
                None => ward.hospital.gateway.at_rest()?,
                Some(rest) => ward.hospital.gateway.back_at(rest)?,
            };
            let first = *rest.get_or_insert(footprint);
            figures.add(Round { number, closed, footprint, tally: ward.take_tally() });
            println!("{}", figures.last_round());
            let failures = ward.failures();
            if number == self.rounds || failures.len() >= ENOUGH {
                figures.took = begin.elapsed();
                println!("{figures}");
                if !failures.is_empty() {
                    bail!(
                        "clients saw {} errors that nobody caused:\n{}",
                        failures.len(),
                        failures.iter().take(ENOUGH).cloned().collect::<Vec<_>>().join("\n")
                    );
                }
                footprint.is_no_more_than(&first, GROWTH_KIB)?;
                return Ok(figures);
            }
        }
        ensure!(self.rounds > 0, "no round was asked for");
        Ok(figures)
    }
}
