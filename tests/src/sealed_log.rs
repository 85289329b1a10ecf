//! The transparency log of a gateway under test: where it lies, how far it is, and what verifiers make of it.

use crate::hospital::{Hospital, at};
use crate::process::{Input, Output, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The log of a hospital, and a copy of its verifier keys that was kept elsewhere.
#[derive(Debug, Clone)]
pub struct SealedLog {
    /// The folder.
    pub log: PathBuf,
    /// The file of keys, outside of the gateway's folders.
    pub keys: PathBuf,
}

impl SealedLog {
    /// Asks `log where`, and copies the keys.
    ///
    /// # Errors
    /// The command fails, or a place is missing.
    pub fn of(hospital: &Hospital) -> Result<Self> {
        let places = hospital.gateway.act(&hospital.auditor, &["log", "where"])?;
        let path =
            |key: &str| at(&places, key).as_str().map(PathBuf::from).with_context(|| format!("no {key}: {places}"));
        ensure!(path("/recordings")? == hospital.recordings(), "{places}");
        let sealed = Self { log: path("/log")?, keys: hospital.workstation.folder().join("log.keys") };
        sealed.copy_keys()?;
        Ok(sealed)
    }

    /// Copies the file of verifier keys as it is now, as an auditor does when it is handed over.
    ///
    /// # Errors
    /// There is none.
    pub fn copy_keys(&self) -> Result<()> {
        let keys = self.log.with_file_name("log.keys");
        fs::copy(&keys, &self.keys).with_context(|| keys.display().to_string())?;
        Ok(())
    }

    /// Keeps the checkpoint as it is now outside of the gateway, under a name.
    ///
    /// # Errors
    /// There is none.
    pub fn keep(&self, name: &str) -> Result<PathBuf> {
        let kept = self.keys.with_file_name(name);
        fs::copy(self.log.join("checkpoint"), &kept)?;
        Ok(kept)
    }

    /// Runs `sekimori verify --json`: its exit code and report.
    ///
    /// # Errors
    /// It prints no report.
    pub fn verified(&self, hospital: &Hospital, anchors: &[&Path]) -> Result<(Option<i32>, Value)> {
        let (log, keys) = (self.log.display().to_string(), self.keys.display().to_string());
        let mut args = vec!["--json", "verify", "--log", &log, "--keys", &keys];
        let anchors = anchors.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        anchors.iter().for_each(|anchor| args.extend(["--anchor", anchor]));
        let output = hospital.gateway.command(&args, Input::Nothing)?;
        let report = serde_json::from_slice(&output.stdout).with_context(|| format!("no report: {output:?}"))?;
        Ok((output.code, report))
    }

    /// All verifiers find it intact, and every anchor agrees.
    ///
    /// # Errors
    /// One does not.
    pub fn is_intact(&self, hospital: &Hospital, anchors: &[&Path]) -> Result<Value> {
        let (code, report) = self.verified(hospital, anchors)?;
        ensure!(code == Some(0) && at(&report, "/verdict") == "intact", "{code:?} {report:#}");
        for other in self.others()? {
            ensure!(other.code == Some(0) && other.text().contains("INTACT"), "{other:?}");
        }
        Ok(report)
    }

    /// The verifiers that are not ours, as tests/setup.sh installed them.
    ///
    /// # Errors
    /// They are not there.
    pub fn others(&self) -> Result<Vec<Output>> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut python = Command::new(workspace.join("target/clients/venv/bin/python"));
        python.arg(workspace.join("tests/verifiers/verify_log.py"));
        let go = Command::new(workspace.join("target/verifiers/verify_log"));
        let judged = [python, go].into_iter().map(|mut command| {
            let command = command.args([&self.log, &self.keys]);
            run(command, Input::Nothing, crate::PATIENCE).context("run sh tests/setup.sh test")
        });
        judged.collect()
    }

    /// The size that the checkpoint names.
    ///
    /// # Errors
    /// There is no checkpoint.
    pub fn size(&self) -> Result<u64> {
        let text = fs::read_to_string(self.log.join("checkpoint"))?;
        Ok(text.lines().nth(1).context("no size")?.parse()?)
    }

    /// Waits until so many events are sealed; returns how long that took.
    ///
    /// # Errors
    /// They are not in time.
    pub fn await_size(&self, wanted: u64) -> Result<Duration> {
        let started = Instant::now();
        while self.size()? < wanted {
            ensure!(
                started.elapsed() < crate::PATIENCE,
                "event {wanted} is not sealed: the log ends at {}",
                self.size()?
            );
            // There is nothing to wait on: the file is replaced by another process.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(started.elapsed())
    }

    /// Waits until the newest event is sealed; returns how long that took.
    ///
    /// # Errors
    /// It is not in time.
    pub fn await_newest(&self, hospital: &Hospital) -> Result<Duration> {
        self.await_size(newest(hospital)?)
    }
}

/// The number of the newest event.
fn newest(hospital: &Hospital) -> Result<u64> {
    let listed = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    let last = listed.as_array().and_then(|events| events.last()).context("no event")?;
    at(last, "/seq").as_u64().context("no number")
}
