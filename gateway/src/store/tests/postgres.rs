//! A PostgreSQL of the tests' own: made, started, and gone when it is dropped, also after a failure.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

const INSTALL: &str = "install the Debian package postgresql (its programs are looked for in PATH and in \
                       /usr/lib/postgresql/*/bin)";
const READY: &str = "database system is ready to accept connections";

/// A running server. It ends with the thread that started it, whatever ends that.
pub struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    process: Child,
}

impl PostgresServer {
    /// Makes a cluster in a folder of its own and starts it on a Unix socket there. PostgreSQL refuses to run as root:
    /// it then runs as `postgres`, or else as `nobody`.
    ///
    /// # Errors
    /// What is missing or went wrong, as text.
    pub fn start() -> Result<Self, String> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("sekimori-pg-").tempdir().map_err(text)?;
        let user = unprivileged()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(text)?;
        }
        let data = folder.path().join("data");
        let mut initdb = as_user(user, &programs.join("initdb"));
        initdb.args(["--username=sekimori", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        succeed(initdb.arg(&data).current_dir("/"))?;
        let process = as_user(user, &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "max_connections=400", "-c", "lc_messages=C", "-c", "fsync=off"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut server = Self { programs, folder, process };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Makes an empty database of this name; returns its URL.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub fn database(&self, name: &str) -> Result<String, String> {
        let socket = self.folder.path();
        let mut createdb = Command::new(self.programs.join("createdb"));
        succeed(createdb.arg("-h").arg(socket).args(["-U", "sekimori", name]).current_dir("/"))?;
        Ok(format!("postgres://sekimori@localhost/{name}?host={}", socket.display()))
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let mut log = BufReader::new(self.process.stderr.take().ok_or("postgres has no stderr")?);
        let mut said = String::new();
        while !said.contains(READY) {
            if log.read_line(&mut said).map_err(text)? == 0 {
                return Err(format!("postgres ended before it was ready:\n{said}"));
            }
        }
        // Nobody reading would stop the server at a full pipe.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // QUIT is the immediate shutdown, which takes the server's children along; KILL would leave them.
        let _ = Command::new("kill").arg("-QUIT").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    let complete = |folder: &PathBuf| ["initdb", "postgres", "createdb"].iter().all(|name| folder.join(name).is_file());
    let found = debian.into_iter().rev().chain(std::env::split_paths(&path)).find(complete);
    found.ok_or_else(|| format!("PostgreSQL is not installed: {INSTALL}"))
}

/// Whom to run as, if this is root.
fn unprivileged() -> Result<Option<(u32, u32)>, String> {
    if number("id", &["-u"])? != 0 {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let (Ok(uid), Ok(gid)) = (number("id", &["-u", name]), number("id", &["-g", name])) {
            return Ok(Some((uid, gid)));
        }
    }
    Err("PostgreSQL does not run as root, and there is neither a user postgres nor nobody".to_owned())
}

fn number(program: &str, args: &[&str]) -> Result<u32, String> {
    let output = succeed(Command::new(program).args(args))?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(text)
}

/// A command that runs as this user and is told to quit when this thread ends.
fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((uid, gid)) = user {
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
    }
    command.arg("--pdeathsig=QUIT").arg(program);
    command
}

fn succeed(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|fault| format!("cannot run {command:?}: {fault}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
}

fn text(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}
