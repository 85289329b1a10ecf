//! OpenSSH's `sshd` as equipment: on a free loopback port, with keys of its own, its one account the current user.

use crate::peers::{current_user, free_port};
use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const HOST_KEY_KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// A running sshd.
#[derive(Debug)]
pub struct Sshd {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its account.
    pub account: String,
    /// A private key that may sign in: the credential that the gateway injects.
    pub service_key: PathBuf,
    /// What it logs.
    pub log: Transcript,
    kinds: Vec<String>,
    folder: TempDir,
    _server: Running,
}

impl Sshd {
    /// Starts one; `user_ca` is an OpenSSH public key whose certificates it takes.
    ///
    /// # Errors
    /// OpenSSH's server is not installed or does not start.
    pub fn start(user_ca: Option<&str>) -> Result<Self> {
        Self::start_with(user_ca, "")
    }

    /// The same, with lines of `sshd_config` that go before all others. `{}` in them is its folder.
    ///
    /// # Errors
    /// As there; a line that it does not know.
    pub fn start_with(user_ca: Option<&str>, lines: &str) -> Result<Self> {
        Self::launch(&HOST_KEY_KINDS, user_ca, lines)
    }

    /// Starts one with host keys of these kinds (as `ssh-keygen -t` calls them), and with lines as above.
    ///
    /// # Errors
    /// As above.
    pub fn configured(kinds: &[&str], lines: &str) -> Result<Self> {
        Self::launch(kinds, None, lines)
    }

    fn launch(kinds: &[&str], user_ca: Option<&str>, lines: &str) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("sekimori-sshd-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for kind in kinds {
            keygen(kind, &at(&format!("host_{kind}")))?;
        }
        let service_key = at("service_key");
        keygen("ed25519", &service_key)?;
        fs::copy(at("service_key.pub"), at("authorized_keys"))?;
        let port = free_port()?;
        let lines = lines.replace("{}", &folder.path().display().to_string());
        fs::write(at("sshd_config"), format!("{lines}\n{}", configuration(folder.path(), port, kinds)))?;
        if let Some(ca) = user_ca {
            fs::write(at("user_ca.pub"), format!("{ca}\n"))?;
            let trusted = format!("TrustedUserCAKeys {}\n", at("user_ca.pub").display());
            let before = fs::read_to_string(at("sshd_config"))?;
            fs::write(at("sshd_config"), before + &trusted)?;
        }
        // As root it separates its privileges, and wants the folder that systemd makes elsewhere.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd")?;
        }
        let mut child = Command::new(&program)
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("sshd")?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        let server = Running::new(child);
        log.wait_for("Server listening on", crate::PATIENCE).context("sshd does not start")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Ok(Self { address, account: current_user()?, service_key, log, kinds, folder, _server: server })
    }

    /// The fingerprints (`SHA256:…`) of its host keys, by `ssh-keygen`.
    ///
    /// # Errors
    /// `ssh-keygen` fails.
    pub fn fingerprints(&self) -> Result<Vec<String>> {
        self.kinds.iter().map(|kind| fingerprint(&self.host_key(kind))).collect()
    }

    /// The public host key of a kind (`ed25519`, `ecdsa`, `rsa`), as a file.
    #[must_use]
    pub fn host_key(&self, kind: &str) -> PathBuf {
        self.folder.path().join(format!("host_{kind}.pub"))
    }

    /// A folder that the account may write to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn program() -> Result<PathBuf> {
    // It restarts itself for each connection and therefore wants to be called by its whole path.
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
    let found = places.iter().map(PathBuf::from).find(|place| place.is_file());
    found.context("OpenSSH's server is not installed (no sshd): sh tests/setup.sh test")
}

fn configuration(folder: &Path, port: u16, kinds: &[&str]) -> String {
    let keys: String = kinds.iter().map(|kind| format!("HostKey {}/host_{kind}\n", folder.display())).collect();
    format!(
        "ListenAddress 127.0.0.1:{port}\n{keys}AuthorizedKeysFile {}/authorized_keys\n\
         PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAllowTcpForwarding yes\nPrintMotd no\nPrintLastLog no\n\
         AcceptEnv LANG LC_*\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n\
         # Not what the account's own shell does on this machine at each start.\n\
         SetEnv HOME={} SHLVL=1\n",
        folder.display(),
        folder.display()
    )
}

/// Makes a key pair without a passphrase.
///
/// # Errors
/// `ssh-keygen` fails.
pub fn keygen(kind: &str, file: &Path) -> Result<()> {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", kind, "-N", "", "-C", "test", "-f"]).arg(file);
    run(&mut keygen, Input::Nothing, crate::PATIENCE)?.success().context("ssh-keygen")?;
    Ok(())
}

fn fingerprint(public_key: &Path) -> Result<String> {
    let mut keygen = Command::new("ssh-keygen");
    let output = run(keygen.arg("-lf").arg(public_key), Input::Nothing, crate::PATIENCE)?.success()?.text();
    let found = output.split_whitespace().nth(1).map(str::to_owned);
    let found = found.context("ssh-keygen printed nothing")?;
    ensure!(found.starts_with("SHA256:"), "no fingerprint: {found}");
    Ok(found)
}
