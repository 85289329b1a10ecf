//! A network of the test's own: two namespaces and a wire between them, with delay, loss, and a cable that can be cut.
//!
//! The test's thread moves into the one namespace, and everything that it starts lives there; what is started with
//! [`Wire::far`] lives at the other end. Packets cross through `tests/wire/wire.py`, since not every kernel has `netem`.
//! It needs root, and touches no network that was there before.

use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

/// The wire, and the namespaces at its ends.
#[derive(Debug)]
pub struct Wire {
    said: Transcript,
    stdin: ChildStdin,
    _wire: Running,
    far: Running,
    _near: Running,
}

impl Wire {
    /// The address at this end.
    pub const NEAR: &'static str = "10.203.0.1";
    /// The address at the other end.
    pub const FAR: &'static str = "10.203.0.2";

    /// Lays a wire that delays each packet by so many milliseconds and loses so many percent of them, and moves this
    /// thread to its near end. Whatever it starts from now on lives there.
    ///
    /// # Errors
    /// No namespace can be made: that takes root.
    pub fn lay(delay_ms: u32, loss_percent: f64) -> Result<Self> {
        let (near, far) = (namespace()?, namespace()?);
        let of_near = File::open(format!("/proc/{}/ns/net", near.id()))?;
        move_into_link_name_space(of_near.as_fd(), Some(LinkNameSpaceType::Network)).context("setns")?;
        run(Command::new("ip").args(["link", "set", "lo", "up"]), Input::Nothing, crate::PATIENCE)?.success()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/wire.py");
        let (here, there) = (format!("{}/30", Self::NEAR), format!("{}/30", Self::FAR));
        let mut wire = Command::new("python3");
        wire.arg(script).args([&far.id().to_string(), "near0", &here, "far0", &there]);
        wire.args([delay_ms.to_string(), loss_percent.to_string()]);
        let mut child = wire.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let stdin = child.stdin.take().context("no standard input")?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let running = Running::new(child);
        said.wait_for("up", crate::PATIENCE).context("the wire does not come up")?;
        Ok(Self { said, stdin, _wire: running, far, _near: near })
    }

    /// The same command at the far end.
    #[must_use]
    pub fn far(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there.args(["--net", "--target", &self.far.id().to_string(), "--"]);
        there.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there
    }

    /// From now on nothing crosses, and nobody is told.
    ///
    /// # Errors
    /// The wire is gone.
    pub fn is_cut(&mut self) -> Result<()> {
        self.change("cut")
    }

    /// It carries again.
    ///
    /// # Errors
    /// The wire is gone.
    pub fn is_mended(&mut self) -> Result<()> {
        self.change("mend")
    }

    fn change(&mut self, word: &str) -> Result<()> {
        let mark = self.said.mark();
        self.stdin.write_all(format!("{word}\n").as_bytes())?;
        self.said.wait_after(mark, word, crate::PATIENCE)?;
        Ok(())
    }
}

/// A process in a network namespace of its own, which lives as long as it.
fn namespace() -> Result<Running> {
    ensure!(rustix::process::geteuid().is_root(), "a network of one's own needs root");
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "sh", "-c", "echo made; exec sleep 3600"]);
    let mut child = unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
    let running = Running::new(child);
    said.wait_for("made", crate::PATIENCE).context("unshare --net")?;
    Ok(running)
}
