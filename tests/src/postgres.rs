//! A PostgreSQL server of the test's own: made with `initdb` in a temporary folder, on a free port of loopback.

use crate::peers::free_port;
use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running server with one empty database.
#[derive(Debug)]
pub struct Postgres {
    /// What `--database` takes.
    pub url: String,
    /// The same server through its socket in the file system.
    pub socket_url: String,
    server: Running,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// Makes and starts it. As root it runs as the user `postgres`, since it refuses to run as root.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-postgres-").tempdir()?;
        let own_user = rustix::process::geteuid().is_root();
        if own_user {
            let mut chown = Command::new("chown");
            chown.arg("postgres:").arg(folder.path());
            run(&mut chown, Input::Nothing, crate::PATIENCE)?.success().context("there is no user postgres")?;
        }
        let mut initdb = command(&programs()?.join("initdb"), own_user);
        // Reached from this machine only, for the length of a test: no password.
        initdb.args(["--auth=trust", "--username=sekimori", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.arg("-D").arg(folder.path().join("data"));
        run(&mut initdb, Input::Nothing, crate::PATIENCE)?.success().context("initdb")?;
        let port = free_port()?;
        let server = serve(folder.path(), port)?;
        let url = format!("postgres://sekimori@127.0.0.1:{port}/postgres");
        let socket_url = format!("postgres://sekimori@localhost:{port}/postgres?host={}", folder.path().display());
        Ok(Self { url, socket_url, server, port, folder })
    }

    /// It answers nobody any more, and hangs up on nobody: as a machine whose disk stands still.
    ///
    /// # Errors
    /// It is gone.
    pub fn stand_still(&self) -> Result<()> {
        self.server.signal(Signal::STOP)?;
        // The processes that serve connections are its children, each in a group of its own.
        self.each_backend(Signal::STOP)
    }

    /// It goes on where it stood.
    ///
    /// # Errors
    /// It is gone.
    pub fn go_on(&self) -> Result<()> {
        self.each_backend(Signal::CONT)?;
        self.server.signal(Signal::CONT)
    }

    /// Ends it at once: connections break off, and nobody listens.
    ///
    /// # Errors
    /// It does not end.
    pub fn crash(&mut self) -> Result<()> {
        self.server.signal(Signal::QUIT)?;
        self.server.end_within(crate::PATIENCE)?;
        Ok(())
    }

    /// Starts it again after a crash, at the same place.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.server = serve(self.folder.path(), self.port)?;
        Ok(())
    }

    fn each_backend(&self, signal: Signal) -> Result<()> {
        let mut pgrep = Command::new("pgrep");
        let children =
            run(pgrep.args(["-P", &self.server.id().to_string()]), Input::Nothing, crate::PATIENCE)?.success()?;
        for child in children.text().split_whitespace() {
            let child = Pid::from_raw(child.parse()?).context("no process")?;
            // One that ended meanwhile stands still as well.
            let _ = kill_process(child, signal);
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What stands still would not hear that it shall end.
        let _ = self.go_on();
    }
}

/// Starts a server on what lies in the folder; returns when it takes connections.
fn serve(folder: &Path, port: u16) -> Result<Running> {
    let mut postgres = command(&programs()?.join("postgres"), rustix::process::geteuid().is_root());
    postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    postgres.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off"]);
    let mut child =
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("postgres")?;
    let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
    let server = Running::new(child);
    log.wait_for("ready to accept connections", crate::PATIENCE).context("PostgreSQL does not start")?;
    Ok(server)
}

/// Debian keeps the server's programs out of the search path, in a folder for each version.
fn programs() -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| folders.flatten().map(|folder| folder.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = versions.into_iter().rev().chain(std::env::split_paths(&path)).find(|bin| bin.join("initdb").is_file());
    match found {
        Some(bin) => Ok(bin),
        None => bail!("PostgreSQL is not installed (no initdb): sh tests/setup.sh test"),
    }
}

fn command(program: &Path, own_user: bool) -> Command {
    if !own_user {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    // The test's own folder may be closed to that user.
    command.current_dir("/");
    command
}
