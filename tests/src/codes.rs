//! One-time codes, made by `oathtool`: an implementation of RFC 6238 that is not ours.
//!
//! The trap: each step of 30 seconds is spent once, and only later ones count from then on. The gateway takes one step
//! to either side, so three codes can be had at once; after that this waits for the clock.

use crate::process::{Input, run};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const STEP: u64 = 30;
/// A step that is nearly over may be too old by the time its code arrives.
const MARGIN: u64 = 10;

/// One person's authenticator.
#[derive(Debug)]
pub struct Codes {
    secret: String,
    last: Mutex<u64>,
}

impl Codes {
    /// An authenticator with this secret (base32).
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), last: Mutex::new(0) }
    }

    /// A code that was not used before and is valid now.
    ///
    /// # Errors
    /// `oathtool` fails.
    pub fn fresh(&self) -> Result<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let current = now.as_secs() / STEP;
        let earliest = if now.as_secs() % STEP < STEP - MARGIN { current - 1 } else { current };
        let step = earliest.max(*last + 1);
        // Valid from one step before its own; a second more, so that no clock has to agree to the millisecond.
        let valid_from = Duration::from_secs((step - 1) * STEP + 1);
        if step > current + 1 {
            std::thread::sleep(valid_from.saturating_sub(now));
        }
        *last = step;
        self.at(step)
    }

    /// The code of an earlier time: `steps` steps of 30 seconds ago.
    ///
    /// # Errors
    /// `oathtool` fails.
    pub fn stale(&self, steps: u64) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        self.at(now.as_secs() / STEP - steps)
    }

    fn at(&self, step: u64) -> Result<String> {
        let mut oathtool = Command::new("oathtool");
        // The secret goes through standard input: arguments can be read by everybody on the machine.
        oathtool.args(["--totp", "--base32", &format!("--now=@{}", step * STEP), "-"]);
        let output = run(&mut oathtool, Input::from(self.secret.as_str()), Duration::from_secs(10))
            .context("oathtool makes the codes: sh tests/setup.sh test")?
            .success()?;
        let code = output.text().trim().to_owned();
        ensure!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "oathtool printed no code");
        Ok(code)
    }
}
