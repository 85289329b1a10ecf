//! A PostgreSQL server of the test's own: made with `initdb` in a temporary folder, on a free port of loopback.

use crate::peers::free_port;
use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail};
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
    _server: Running,
    _folder: TempDir,
}

impl Postgres {
    /// Makes and starts it. As root it runs as the user `postgres`, since it refuses to run as root.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("sekimori-postgres-").tempdir()?;
        let own_user = rustix::process::geteuid().is_root();
        if own_user {
            let mut chown = Command::new("chown");
            chown.arg("postgres:").arg(folder.path());
            run(&mut chown, Input::Nothing, crate::PATIENCE)?.success().context("there is no user postgres")?;
        }
        let data = folder.path().join("data");
        let mut initdb = command(&programs.join("initdb"), own_user);
        // Reached from this machine only, for the length of a test: no password.
        initdb.args(["--auth=trust", "--username=sekimori", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(initdb.arg("-D").arg(&data), Input::Nothing, crate::PATIENCE)?.success().context("initdb")?;

        let port = free_port()?;
        let mut postgres = command(&programs.join("postgres"), own_user);
        postgres.arg("-D").arg(&data).arg("-k").arg(folder.path());
        postgres.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off"]);
        let mut child =
            postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("postgres")?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let server = Running::new(child);
        log.wait_for("ready to accept connections", crate::PATIENCE).context("PostgreSQL does not start")?;
        let url = format!("postgres://sekimori@127.0.0.1:{port}/postgres");
        let socket_url = format!("postgres://sekimori@localhost:{port}/postgres?host={}", folder.path().display());
        Ok(Self { url, socket_url, _server: server, _folder: folder })
    }
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
