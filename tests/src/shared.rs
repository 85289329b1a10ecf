//! One connection that carries many channels: OpenSSH's `ControlMaster`.

use crate::hospital::Hospital;
use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A connection that is up and has no channel of its own.
#[derive(Debug)]
pub struct Shared {
    /// What `ssh -v` says of it.
    pub log: Transcript,
    config: PathBuf,
    control: PathBuf,
    _master: Running,
}

impl Hospital {
    /// `ssh -M -N` as this user name, signed in; `options` may name forwards.
    ///
    /// # Errors
    /// The gateway refuses.
    pub fn shared(&self, certificate: &Path, user: &str, options: &[&str]) -> Result<Shared> {
        let config = self.workstation.config(user, self.carried(certificate))?;
        let control = config.with_file_name("control");
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&config).args(["-M", "-N", "-v", "-S"]).arg(&control).args(options).arg("gate");
        let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let master = Running::new(child);
        log.wait_for("Entering interactive session", crate::PATIENCE)?;
        Ok(Shared { log, config, control, _master: master })
    }
}

impl Shared {
    /// `ssh` over this connection; what is run follows.
    #[must_use]
    pub fn command(&self, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&self.config).arg("-S").arg(&self.control).args(options).arg("gate");
        ssh
    }

    /// Asks the connection for a forward (`-L`) that it does not have yet.
    ///
    /// # Errors
    /// It is refused.
    pub fn forward(&self, forward: &str) -> Result<()> {
        let mut ssh = self.command(&["-O", "forward", "-L", forward]);
        run(&mut ssh, Input::Nothing, crate::PATIENCE)?.success().context("ssh -O forward")?;
        Ok(())
    }
}
