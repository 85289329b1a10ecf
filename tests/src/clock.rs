//! A gateway's wall clock that is set: by Debian's libfaketime, for the gateway alone.

use crate::faketime::faketime;
use crate::gateway::Surroundings;
use crate::hospital::{Database, Hospital};
use anyhow::Result;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Where the gateway's clock stands, compared with everybody else's.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Clock {
    /// A clock that goes right.
    ///
    /// # Errors
    /// libfaketime is not installed.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-clock-").tempdir()?;
        Ok(Self { folder, library: faketime()? })
    }

    /// Among the gateway's own files, since it reads no others.
    fn file(&self) -> PathBuf {
        self.folder.path().join("hospital/faketime")
    }

    /// Sets it, as libfaketime writes it: `+30m` is half an hour fast.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub fn set(&self, offset: &str) -> Result<()> {
        // Never half written.
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("{offset}\n"))?;
        Ok(fs::rename(fresh, self.file())?)
    }

    /// A hospital whose gateway lives by this clock. Its timers run on: the wall clock alone is set.
    ///
    /// # Errors
    /// As [`Hospital::closed_in`].
    pub fn hospital(&self) -> Result<Hospital> {
        self.hospital_with(&[("FAKETIME_DONT_FAKE_MONOTONIC", "1")])
    }

    /// A hospital whose gateway's timers live by this clock as well: set on by an hour, it does what was to come within it.
    ///
    /// # Errors
    /// As [`Hospital::closed_in`].
    pub fn hospital_with_its_timers(&self) -> Result<Hospital> {
        self.hospital_with(&[])
    }

    fn hospital_with(&self, more: &[(&str, &str)]) -> Result<Hospital> {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        let own = [("LD_PRELOAD", library.as_str()), ("FAKETIME_TIMESTAMP_FILE", &file), ("FAKETIME_NO_CACHE", "1")];
        let environment = [&own[..], more].concat();
        let folder = Some(self.folder.path());
        let surroundings = Surroundings { environment: &environment, folder, ..Surroundings::default() };
        Hospital::closed_in(surroundings, Database::Sqlite)
    }
}
