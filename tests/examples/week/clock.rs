//! The clock that the gateway lives by, and every command that is typed at it: Debian's libfaketime reads where it stands
//! from a file. Timers move with it, so that an hour's jump brings the hourly beat.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_tests::{Database, Hospital, Surroundings, faketime};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub struct Clock {
    folder: TempDir,
    library: PathBuf,
    began: Cell<DateTime<Utc>>,
    offset: Cell<i64>,
}

impl Clock {
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-week-").tempdir()?;
        let (began, offset) = (Cell::new(Utc::now()), Cell::new(0));
        Ok(Self { folder, library: faketime()?, began, offset })
    }

    /// A hospital whose gateway lives by this clock. The week begins when it serves.
    pub fn hospital(&self) -> Result<Hospital> {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        let environment =
            [("LD_PRELOAD", library.as_str()), ("FAKETIME_TIMESTAMP_FILE", &file), ("FAKETIME_NO_CACHE", "1")];
        let folder = Some(self.folder.path());
        let surroundings = Surroundings { environment: &environment, folder, ..Surroundings::default() };
        let hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
        self.began.set(Utc::now());
        Ok(hospital)
    }

    /// Sets it to so long after the week's beginning; never back.
    pub fn set(&self, since: TimeDelta) -> Result<()> {
        let offset = (self.began.get() + since - Utc::now()).num_seconds();
        self.offset.set(offset.max(self.offset.get()));
        // Never half written.
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("+{}\n", self.offset.get()))?;
        Ok(fs::rename(fresh, self.file())?)
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

    /// Among the gateway's own files, since it reads no others.
    fn file(&self) -> PathBuf {
        self.folder.path().join("hospital/faketime")
    }
}
