//! What a running gateway holds, as the kernel counts it: memory, open files, threads.

use crate::gateway::Gateway;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

/// Descriptors that come and go by themselves: a pool of seventeen database connections, two files each.
const FILES: u64 = 40;

/// Threads that come and go by themselves: one for each of those connections, and those which wait for disks, ten seconds
/// past their last work.
const THREADS: u64 = 22;

/// How long what comes and goes by itself may take to go.
const SETTLING: Duration = Duration::from_secs(40);

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, files, threads } = self;
        write!(
            f,
            "{:.1} MiB, {files} files, {threads} threads",
            f64::from(u32::try_from(*resident_kib).unwrap_or(u32::MAX)) / 1024.0
        )
    }
}

impl Footprint {
    /// Whether nothing grew since `before` but what comes and goes by itself, and `memory_kib` of memory.
    ///
    /// # Errors
    /// It did; the error tells what.
    pub fn is_no_more_than(&self, before: &Self, memory_kib: u64) -> Result<()> {
        ensure!(self.files <= before.files + FILES, "files are left open: {before}, then {self}");
        ensure!(self.threads <= before.threads + THREADS, "threads are left: {before}, then {self}");
        ensure!(self.resident_kib <= before.resident_kib + memory_kib, "memory grows: {before}, then {self}");
        Ok(())
    }
}

impl Gateway {
    /// Processor seconds that it has used so far, in user and system mode (proc(5)).
    ///
    /// # Errors
    /// The process is gone.
    pub fn processor_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
        // The fields after the name begin with the third: utime is the 14th, stime the 15th, in hundredths of a second.
        let ticks = |field: usize| -> Result<f64> { Ok(fields.get(field - 3).context("too few fields")?.parse()?) };
        Ok((ticks(14)? + ticks(15)?) / 100.0)
    }

    /// What it holds now.
    ///
    /// # Errors
    /// The process is gone.
    pub fn footprint(&self) -> Result<Footprint> {
        let process = PathBuf::from(format!("/proc/{}", self.id()));
        let files = std::fs::read_dir(process.join("fd"))?.count();
        let threads = std::fs::read_dir(process.join("task"))?.count();
        let (files, threads) = (u64::try_from(files)?, u64::try_from(threads)?);
        Ok(Footprint { resident_kib: self.resident_kib()?, files, threads })
    }

    /// The most memory that it has held since [`Gateway::forget_peak`], in KiB (`VmHWM` of proc(5)).
    ///
    /// # Errors
    /// The process is gone.
    pub fn peak_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }

    /// Begins to watch for a new peak.
    ///
    /// # Errors
    /// The process is gone.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?)
    }

    /// What it holds once threads that have nothing to do are gone: at a quiet point, when no session is open.
    ///
    /// # Errors
    /// The process is gone, or does not come to rest.
    pub fn at_rest(&self) -> Result<Footprint> {
        let begin = Instant::now();
        // A thread that waits for disks ends ten seconds after its last work.
        let quiet = Duration::from_secs(11);
        let mut known = self.footprint()?;
        let mut since = Instant::now();
        while since.elapsed() < quiet {
            ensure!(begin.elapsed() < SETTLING, "it does not come to rest: {known}");
            thread::sleep(Duration::from_millis(250));
            let now = self.footprint()?;
            if now.threads != known.threads {
                since = Instant::now();
            }
            known = now;
        }
        Ok(known)
    }

    /// What it holds as soon as it is down to what it held at rest `before`.
    ///
    /// # Errors
    /// It does not get there: files or threads are left.
    pub fn back_at(&self, before: &Footprint) -> Result<Footprint> {
        let begin = Instant::now();
        loop {
            let now = self.footprint()?;
            match now.is_no_more_than(before, u64::MAX >> 1) {
                Ok(()) => return Ok(now),
                Err(more) => ensure!(begin.elapsed() < SETTLING, more),
            }
            thread::sleep(Duration::from_millis(250));
        }
    }
}
