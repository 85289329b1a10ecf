//! A terminal of the test's own: a pseudo-terminal with a program in it, typed into, read and resized.

use crate::process::Running;
use crate::transcript::Transcript;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Write;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A program in a terminal. Dropping it hangs up.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    /// What is on the terminal: everything written to it.
    pub screen: Transcript,
    /// The program.
    pub program: Running,
}

impl Terminal {
    /// Starts `command` with a terminal of `cols` × `rows` as its controlling terminal.
    ///
    /// # Errors
    /// No pseudo-terminal, or the program cannot be started.
    pub fn start(command: &Command, cols: u16, rows: u16) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, size(cols, rows))?;
        // NOCTTY: the terminal is the program's, not this test's.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(open(ptsname(&master, Vec::new())?, flags, Mode::empty())?);
        let child = in_own_session(command)
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let master = File::from(master);
        let screen = Transcript::of(master.try_clone()?);
        Ok(Self { master, screen, program: Running::new(child) })
    }

    /// Types `text`; a line ends with `\r`.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// Types `text` and waits until `wanted` shows after it.
    ///
    /// # Errors
    /// It does not show in time.
    pub fn ask(&mut self, text: &str, wanted: &str) -> Result<String> {
        let mark = self.screen.mark();
        self.type_in(text)?;
        self.screen.wait_after(mark, wanted, crate::PATIENCE)
    }

    /// Changes the size; the program is told by the kernel.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resize(&self, cols: u16, rows: u16) -> Result<()> {
        Ok(tcsetwinsize(&self.master, size(cols, rows))?)
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub fn end_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = self.program.end_within(limit).with_context(|| format!("on the screen: {}", self.screen.text()))?;
        // What it wrote last may still be on its way to the reader.
        self.screen.wait_end(limit)?;
        Ok(end)
    }
}

fn size(cols: u16, rows: u16) -> Winsize {
    Winsize { ws_col: cols, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The same command under `setsid`, which makes the terminal on standard input its controlling one.
fn in_own_session(command: &Command) -> Command {
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg("--").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => session.env(name, value),
            None => session.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        session.current_dir(folder);
    }
    session
}
