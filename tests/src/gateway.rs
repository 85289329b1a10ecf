//! The built binary, running: `sekimori demo` in a folder of its own, and the command line against it.

use crate::process::{Input, Output, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the demo prints when it is ready.
#[derive(Debug, Deserialize)]
pub struct Demo {
    /// The way in.
    pub ssh: SshDoor,
    /// The way in for browsers.
    pub console: ConsoleDoor,
    /// Keys, database, recordings.
    pub data_dir: PathBuf,
    /// What `--config` takes.
    pub config: PathBuf,
    /// What opens sealed recordings.
    pub recordings_passphrase: String,
    /// What would be in the safe.
    pub recovery_sheet: String,
    /// Who is there.
    pub people: Vec<DemoPerson>,
    /// The simulated equipment.
    pub devices: Vec<DemoDevice>,
}

/// The gateway's SSH listener and keys.
#[derive(Debug, Deserialize)]
pub struct SshDoor {
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its host key as an OpenSSH public key.
    pub host_key: String,
    /// The key of its certificate authority, likewise.
    pub ca_key: String,
}

/// The gateway's console.
#[derive(Debug, Deserialize)]
pub struct ConsoleDoor {
    /// `https://…`, without a path.
    pub url: String,
    /// The certificate that vouches for it.
    pub ca_file: PathBuf,
}

/// A person of the demo.
#[derive(Debug, Deserialize)]
pub struct DemoPerson {
    /// What is typed.
    pub id: String,
    /// `vendor`, `approver`, `auditor` or `administrator`.
    pub role: String,
    /// The vendor, for its people.
    pub vendor: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The seed of the one-time codes, base32.
    pub totp_secret: Option<String>,
    /// A private key.
    pub key_file: Option<PathBuf>,
}

/// A simulated device.
#[derive(Debug, Deserialize)]
pub struct DemoDevice {
    /// What is typed.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// How long its window stays open, if one is.
    pub open_until: Option<String>,
    /// Ports that `-L` may reach.
    #[serde(default)]
    pub ports: Vec<u16>,
}

/// A running gateway with the demo's hospital in it.
#[derive(Debug)]
pub struct Gateway {
    /// What it printed when it was ready.
    pub demo: Demo,
    /// What it logs.
    pub log: Transcript,
    binary: PathBuf,
    server: Running,
    folder: TempDir,
}

/// The name of that file.
const PASSPHRASE: &str = "passphrase";

/// What a gateway starts in, where it is not the usual.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where it listens for SSH.
    pub address: &'a str,
    /// Where it listens for browsers.
    pub console: &'a str,
    /// Variables of its environment.
    pub environment: &'a [(&'a str, &'a str)],
    /// The folder in which its own, `hospital`, is made: nothing outside of that is open to it. `None`: a fresh one.
    pub folder: Option<&'a Path>,
}

impl Default for Surroundings<'_> {
    fn default() -> Self {
        Self { address: "127.0.0.1:0", console: "127.0.0.1:0", environment: &[], folder: None }
    }
}

impl Gateway {
    /// Starts a demo on a free port of loopback. `database` is a URL; `None` takes the embedded database.
    ///
    /// # Errors
    /// The binary is not built, or does not become ready.
    pub fn start(database: Option<&str>) -> Result<Self> {
        Self::start_in(Surroundings::default(), database)
    }

    /// The same in other surroundings.
    ///
    /// # Errors
    /// As there.
    pub fn start_in(surroundings: Surroundings<'_>, database: Option<&str>) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::Builder::new().prefix("sekimori-demo-").tempdir()?;
        // A write past a file size limit shall fail in the gateway, as on a full disk, not kill it: one test sets a limit.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&binary);
        // As gateway/packaging/sekimori.service has it.
        command.env("MALLOC_ARENA_MAX", "2").envs(surroundings.environment.iter().copied());
        let within = surroundings.folder.unwrap_or(folder.path());
        command
            .args(["demo", "--json", "--ssh", surroundings.address, "--console", surroundings.console, "--dir"])
            .arg(within.join("hospital"));
        if let Some(url) = database {
            command.args(["--database", url]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let server = Running::new(child);
        let line = said
            .wait_for("\n", crate::PATIENCE)
            .with_context(|| format!("sekimori demo does not become ready; it logged:\n{}", log.text()))?;
        let demo: Demo = serde_json::from_str(line.trim()).with_context(|| format!("not what was agreed: {line}"))?;
        std::fs::write(folder.path().join(PASSPHRASE), format!("{}\n", demo.recordings_passphrase))?;
        Ok(Self { demo, log, binary, server, folder })
    }

    /// The file of the passphrase that opens sealed recordings.
    #[must_use]
    pub fn passphrase_file(&self) -> String {
        self.folder.path().join(PASSPHRASE).display().to_string()
    }

    /// Where it listens for SSH.
    ///
    /// # Errors
    /// The demo printed no address.
    pub fn ssh_address(&self) -> Result<SocketAddr> {
        Ok(SocketAddr::new(self.demo.ssh.host.parse()?, self.demo.ssh.port))
    }

    /// The first person of the demo with a role.
    ///
    /// # Errors
    /// There is none.
    pub fn person(&self, role: &str) -> Result<&DemoPerson> {
        self.demo.people.iter().find(|person| person.role == role).with_context(|| format!("the demo has no {role}"))
    }

    /// Types a command: `sekimori --config … ARGS`.
    ///
    /// # Errors
    /// It cannot be started or hangs. Its exit code is the caller's to judge.
    pub fn command(&self, args: &[&str], input: Input) -> Result<Output> {
        run(&mut self.prepared(args), input, crate::PATIENCE)
    }

    /// The same command, not yet run: for a terminal.
    #[must_use]
    pub fn prepared(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(&self.demo.config).args(args);
        command
    }

    /// Does an act as `person`, and returns what `--json` printed (`null` for nothing).
    ///
    /// # Errors
    /// The command fails or prints no JSON.
    pub fn act(&self, person: &str, args: &[&str]) -> Result<Value> {
        self.act_with(person, args, Input::Nothing)
    }

    /// As [`Gateway::act`], with something on standard input.
    ///
    /// # Errors
    /// As there.
    pub fn act_with(&self, person: &str, args: &[&str], input: Input) -> Result<Value> {
        let named = [&["--json", "--as", person], args].concat();
        let shown = format!("sekimori --as {person} {}", args.join(" "));
        let output = self.command(&named, input)?.success().with_context(|| shown.clone())?;
        if output.text().trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} printed no JSON: {}", output.text()))
    }

    /// Tries an act that must be refused, and returns what was said.
    ///
    /// # Errors
    /// It was not refused, or not with a message.
    pub fn refused(&self, person: &str, args: &[&str]) -> Result<String> {
        let output = self.command(&[&["--as", person], args].concat(), Input::Nothing)?;
        let shown = format!("sekimori --as {person} {}", args.join(" "));
        match output.code {
            Some(0) => bail!("{shown} was not refused: {}", output.text()),
            Some(_) => ensure!(!output.stderr.trim().is_empty(), "{shown} was refused without a word"),
            None => bail!("{shown} crashed: {}", output.stderr),
        }
        ensure!(!output.stderr.contains("panicked"), "{shown} panicked: {}", output.stderr);
        Ok(output.stderr)
    }

    /// Ends the gateway at once (SIGKILL), as a power cut would.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.server.signal(Signal::KILL)?;
        self.server.end_within(crate::PATIENCE)?;
        Ok(())
    }

    /// Serves what a dead gateway left, without the demo's equipment; returns when it takes connections.
    ///
    /// # Errors
    /// It does not start; the error tells what it logged.
    pub fn serve_again(&self) -> Result<Running> {
        let mut command = self.prepared(&["serve"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let server = Running::new(child);
        log.wait_for("listening for SSH", crate::PATIENCE)?;
        Ok(server)
    }

    /// Puts lines behind the head of a section of its configuration (`[ssh]`), and has it read again.
    ///
    /// # Errors
    /// There is no such section, or the gateway does not take it.
    pub fn reconfigure(&self, section: &str, lines: &str) -> Result<()> {
        let before = std::fs::read_to_string(&self.demo.config)?;
        let after = before.replacen(&format!("{section}\n"), &format!("{section}\n{lines}\n"), 1);
        ensure!(before != after, "the demo's configuration has no {section}: {before}");
        std::fs::write(&self.demo.config, after)?;
        self.reload()
    }

    /// Writes a section behind all others of its configuration, in place of an earlier one of that name.
    ///
    /// # Errors
    /// The disk is full.
    pub fn set_last_section(&self, section: &str) -> Result<()> {
        let head = section.lines().next().context("a section begins with its name")?;
        let before = std::fs::read_to_string(&self.demo.config)?;
        let kept = before.split_once(&format!("\n{head}\n")).map_or(before.trim_end(), |(kept, _)| kept);
        Ok(std::fs::write(&self.demo.config, format!("{kept}\n\n{section}"))?)
    }

    /// Has it read its configuration again.
    ///
    /// # Errors
    /// It does not take it.
    pub fn reload(&self) -> Result<()> {
        let mark = self.log.mark();
        self.signal(Signal::HUP)?;
        self.log.wait_after(mark, "was read again", crate::PATIENCE).map(drop)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Sends the running gateway a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// Forbids it files longer than `bytes`: from there on its writes fail, as on a full disk.
    ///
    /// # Errors
    /// `prlimit` fails.
    pub fn limit_file_size(&self, bytes: u64) -> Result<()> {
        let mut prlimit = Command::new("prlimit");
        prlimit.args([format!("--pid={}", self.server.id()), format!("--fsize={bytes}:{bytes}")]);
        run(&mut prlimit, Input::Nothing, crate::PATIENCE)?.success().context("prlimit")?;
        Ok(())
    }

    /// Waits until one of its threads waits for a disk, and stays there.
    ///
    /// # Errors
    /// None does in time.
    pub fn await_disk(&self) -> Result<()> {
        let end = Instant::now() + crate::PATIENCE;
        let mut before = BTreeSet::new();
        while Instant::now() < end {
            let waiting = self.threads_in_a_disk()?;
            if waiting.intersection(&before).next().is_some() {
                return Ok(());
            }
            before = waiting;
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("no thread of the gateway waits for a disk")
    }

    /// Its threads in the state that the kernel calls `D`.
    fn threads_in_a_disk(&self) -> Result<BTreeSet<String>> {
        let mut waiting = BTreeSet::new();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.server.id()))? {
            let thread = thread?;
            // It may have ended meanwhile. The state follows the name, which stands in parentheses.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            if stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('D')) {
                waiting.insert(thread.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(waiting)
    }

    /// Its memory in KiB (resident set).
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }
}

/// The built binary, for what needs no running gateway.
///
/// # Errors
/// It is not built.
pub fn sekimori() -> Result<Command> {
    Ok(Command::new(binary()?))
}

/// The binary lies two folders above the test's own (`target/debug/deps/…`), or beside an example's.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("this test's program lies in no target folder")?;
    let binary = folder.join("sekimori");
    ensure!(binary.is_file(), "{} is not built: cargo build -p sekimori", binary.display());
    Ok(binary)
}
