//! The clock that the gateway lives by, and every command that is typed at it. Timers move with it, so that an hour's jump
//! brings the hourly beat.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_tests::{Hospital, faketime};
use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

pub struct Clock {
    clock: sekimori_tests::Clock,
    library: PathBuf,
    began: Cell<DateTime<Utc>>,
    offset: Cell<i64>,
}

impl Clock {
    pub fn new() -> Result<Self> {
        let (began, offset) = (Cell::new(Utc::now()), Cell::new(0));
        Ok(Self { clock: sekimori_tests::Clock::new()?, library: faketime()?, began, offset })
    }

    /// A hospital whose gateway lives by this clock. The week begins when it serves.
    pub fn hospital(&self) -> Result<Hospital> {
        let hospital = self.clock.hospital_with_its_timers()?;
        self.began.set(Utc::now());
        Ok(hospital)
    }

    /// Sets it to so long after the week's beginning; never back.
    pub fn set(&self, since: TimeDelta) -> Result<()> {
        let offset = (self.began.get() + since - Utc::now()).num_seconds();
        self.offset.set(offset.max(self.offset.get()));
        self.clock.set(&format!("+{}", self.offset.get()))
    }

    /// Lets time pass.
    pub fn advance(&self, by: TimeDelta) -> Result<()> {
        self.set(self.now() + by - self.began.get())
    }

    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.offset.get())
    }

    /// A command that lives by it as well.
    pub fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", format!("+{}", self.offset.get()));
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}
