//! The whole stage: a gateway, a real sshd as equipment, a vendor with one engineer, and windows between them.
//!
//! Everything is brought about through the command line, as an administrator would.

use crate::codes::Codes;
use crate::gateway::{Gateway, Surroundings};
use crate::peers::{Echo, pattern_file};
use crate::postgres::Postgres;
use crate::process::{Input, Output};
use crate::sshd::{Sshd, keygen};
use crate::terminal::Terminal;
use crate::workstation::{Proof, Workstation};
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The vendor under test.
pub const VENDOR: &str = "ishida-medical";
/// Its engineer.
pub const ENGINEER: &str = "mori1";
/// The equipment: a real sshd.
pub const DEVICE: &str = "xray-01";

/// Where the gateway keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// The embedded one.
    Sqlite,
    /// A server of the test's own.
    Postgres,
}

/// When a piece of work may be done: half-open, `[from, until)`.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The first instant inside.
    pub from: DateTime<Utc>,
    /// The first instant outside.
    pub until: DateTime<Utc>,
}

impl Window {
    /// From a minute ago for two hours.
    #[must_use]
    pub fn now() -> Self {
        Self::ending_in(TimeDelta::hours(2))
    }

    /// From a minute ago until `left` from now, to the second.
    #[must_use]
    pub fn ending_in(left: TimeDelta) -> Self {
        let now = Utc::now();
        Self { from: now - TimeDelta::minutes(1), until: now + left }
    }

    /// Tomorrow at this time, for an hour.
    #[must_use]
    pub fn tomorrow() -> Self {
        let from = Utc::now() + TimeDelta::days(1);
        Self { from, until: from + TimeDelta::hours(1) }
    }

    /// A time of UTC as the command line takes it.
    #[must_use]
    pub fn local(at: DateTime<Utc>) -> String {
        at.format("%Y-%m-%dT%H:%M:%S").to_string()
    }
}

/// A vendor's engineer with all factors enrolled.
#[derive(Debug)]
pub struct Engineer {
    /// What is typed.
    pub id: String,
    /// The password.
    pub password: String,
    /// The authenticator.
    pub codes: Codes,
    /// The private key; the public one lies beside it.
    pub key: PathBuf,
}

/// All of it. Fields end in this order: the gateway before what it stands on.
#[derive(Debug)]
pub struct Hospital {
    /// The gateway.
    pub gateway: Gateway,
    /// The equipment [`DEVICE`].
    pub sshd: Sshd,
    /// A service that [`DEVICE`]'s permit may forward to.
    pub echo: Echo,
    /// The engineer's workstation.
    pub workstation: Workstation,
    /// The engineer [`ENGINEER`].
    pub engineer: Engineer,
    /// Who administers.
    pub administrator: String,
    /// Who approves.
    pub approver: String,
    /// Who audits.
    pub auditor: String,
    /// Its database, where it is a server of its own.
    pub database: Option<Postgres>,
}

impl Hospital {
    /// A hospital in which [`ENGINEER`] is enrolled and [`DEVICE`] pinned, but no window is open.
    ///
    /// # Errors
    /// Any step fails; the error says which.
    pub fn closed(database: Database) -> Result<Self> {
        Self::closed_in(Surroundings::default(), database)
    }

    /// The same, with a gateway in other surroundings.
    ///
    /// # Errors
    /// As there.
    pub fn closed_in(surroundings: Surroundings<'_>, database: Database) -> Result<Self> {
        let server = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start()?),
        };
        let gateway = Gateway::start_in(surroundings, server.as_ref().map(|server| server.url.as_str()))?;
        let sshd = Sshd::start(Some(&gateway.demo.ssh.ca_key))?;
        let workstation = Workstation::new(&gateway.demo.ssh)?;
        let who = |role: &str| gateway.person(role).map(|person| person.id.clone());
        let (administrator, approver, auditor) = (who("administrator")?, who("approver")?, who("auditor")?);
        let echo = Echo::start()?;
        let by = Administrator { gateway: &gateway, id: &administrator };
        by.adds_vendor(VENDOR)?;
        let engineer = by.adds_engineer(ENGINEER, VENDOR, workstation.folder())?;
        by.adds_device(DEVICE, &sshd, echo.address.port())?;
        Ok(Self { gateway, sshd, echo, workstation, engineer, administrator, approver, auditor, database: server })
    }

    /// As [`Hospital::closed`], with a window open now.
    ///
    /// # Errors
    /// As there.
    pub fn open(database: Database) -> Result<Self> {
        let hospital = Self::closed(database)?;
        hospital.grant(Window::now())?;
        Ok(hospital)
    }

    /// Requests [`DEVICE`] for [`ENGINEER`] and approves it, by different people; returns the work's id.
    ///
    /// # Errors
    /// A step is refused.
    pub fn grant(&self, window: Window) -> Result<String> {
        self.grant_to(&self.engineer, DEVICE, window)
    }

    /// The same for any engineer and device.
    ///
    /// # Errors
    /// A step is refused.
    pub fn grant_to(&self, engineer: &Engineer, device: &str, window: Window) -> Result<String> {
        let work = self.request(engineer, device, window)?;
        self.gateway.act(&self.approver, &["work", "approve", &work])?;
        Ok(work)
    }

    /// Gives the vendor's word on the terminal and requests a window; returns the work's id.
    ///
    /// # Errors
    /// A step is refused.
    pub fn request(&self, engineer: &Engineer, device: &str, window: Window) -> Result<String> {
        self.attest(engineer)?;
        let (start, end) = (Window::local(window.from), Window::local(window.until));
        let args = [
            &["work", "request", "--vendor", VENDOR, "--person", &engineer.id, "--device", device][..],
            &["--purpose", "quarterly maintenance", "--plan", "read the logs, replace a file"],
            &["--start", &start, "--end", &end, "--zone", "UTC"],
        ]
        .concat();
        text(&self.gateway.act(&engineer.id, &args)?, "id")
    }

    /// The engineer's word that the terminal is patched and clean, for a day.
    ///
    /// # Errors
    /// It is refused.
    pub fn attest(&self, engineer: &Engineer) -> Result<()> {
        let until = (Utc::now() + TimeDelta::days(1)).to_rfc3339();
        let args =
            ["person", "attest", &engineer.id, "--patched", "--scanned", "--until", &until, "--note", "scan of today"];
        self.gateway.act(&engineer.id, &args)?;
        Ok(())
    }

    /// A second engineer of the same vendor.
    ///
    /// # Errors
    /// A step is refused.
    pub fn add_engineer(&self, id: &str) -> Result<Engineer> {
        Administrator { gateway: &self.gateway, id: &self.administrator }.adds_engineer(
            id,
            VENDOR,
            self.workstation.folder(),
        )
    }

    /// Lets another machine stand where [`DEVICE`] stood: nothing is pinned any more.
    ///
    /// # Errors
    /// A step is refused.
    pub fn replace_device(&self, address: &str) -> Result<()> {
        let act = |args: &[&str]| self.gateway.act(&self.administrator, args);
        act(&["device", "change", DEVICE, "--address", address])?;
        for fingerprint in self.sshd.fingerprints()? {
            act(&["device", "unpin", DEVICE, &fingerprint])?;
        }
        Ok(())
    }

    /// Pins these host keys of [`DEVICE`], if it presents them.
    ///
    /// # Errors
    /// It does not.
    pub fn pin(&self, fingerprints: &[String]) -> Result<()> {
        for fingerprint in fingerprints {
            self.gateway.act(&self.administrator, &["device", "pin", DEVICE, "--fingerprint", fingerprint])?;
        }
        Ok(())
    }

    /// Stores a private key as the credential of an account of [`DEVICE`].
    ///
    /// # Errors
    /// It is refused.
    pub fn inject_key(&self, account: &str, key: &Path) -> Result<()> {
        let key = key.display().to_string();
        self.gateway.act(&self.administrator, &["device", "credential", DEVICE, account, "--key", &key])?;
        Ok(())
    }

    /// Another device, which is the same sshd under another name, with the same channels and port.
    ///
    /// # Errors
    /// A step is refused.
    pub fn add_device(&self, id: &str) -> Result<()> {
        let by = Administrator { gateway: &self.gateway, id: &self.administrator };
        by.adds_device(id, &self.sshd, self.echo.address.port())
    }

    /// The user name that reaches [`DEVICE`].
    #[must_use]
    pub fn user(&self) -> String {
        format!("{}+{DEVICE}", self.engineer.id)
    }

    /// Signs in once; what follows connects with the certificate.
    ///
    /// # Errors
    /// The gateway refuses.
    pub fn sign_in(&self) -> Result<PathBuf> {
        self.workstation.sign_in(&self.engineer)
    }

    /// The proof that a certificate of [`Hospital::sign_in`] makes.
    #[must_use]
    pub fn carried<'a>(&'a self, certificate: &'a Path) -> Proof<'a> {
        Proof::Certificate(&self.engineer.key, certificate)
    }

    /// One remote command on [`DEVICE`] with a carried sign-in.
    ///
    /// # Errors
    /// `ssh` hangs. Its exit code is the caller's to judge.
    pub fn exec(&self, certificate: &Path, remote: &str, input: Input) -> Result<Output> {
        self.workstation.exec(&self.user(), self.carried(certificate), remote, input, crate::PATIENCE)
    }

    /// A shell on [`DEVICE`] that has answered.
    ///
    /// # Errors
    /// It does not.
    pub fn shell(&self, proof: Proof<'_>) -> Result<Terminal> {
        let mut ssh = self.workstation.prepared("ssh", &self.user(), proof)?;
        let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), 80, 24)?;
        terminal.ask("echo RE''ADY\r", "READY")?;
        Ok(terminal)
    }

    /// A file of the workstation with `mebibytes` MiB of bytes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn bulk_file(&self, name: &str, mebibytes: u64) -> Result<PathBuf> {
        let file = self.workstation.folder().join(name);
        pattern_file(&file, mebibytes)?;
        Ok(file)
    }
}

/// The value at a JSON pointer (`/actor/person`) in what a command printed; `null` where there is none.
#[must_use]
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    static NOTHING: Value = Value::Null;
    value.pointer(pointer).unwrap_or(&NOTHING)
}

/// The text of a field in what a command printed.
///
/// # Errors
/// There is no such text.
pub(crate) fn text(value: &Value, field: &str) -> Result<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {field:?} in {value}"))
}

struct Administrator<'a> {
    gateway: &'a Gateway,
    id: &'a str,
}

impl Administrator<'_> {
    fn adds_vendor(&self, id: &str) -> Result<()> {
        let contract = ["--contract-from", "2025-04-01", "--contract-until", "2099-03-31"];
        let args = [
            &["vendor", "add", id, "--name", "Ishida Medical"][..],
            &contract,
            &["--source", "127.0.0.1/32", "--source", "::1/128"],
        ];
        self.gateway.act(self.id, &args.concat())?;
        Ok(())
    }

    fn adds_engineer(&self, id: &str, vendor: &str, folder: &Path) -> Result<Engineer> {
        let act = |args: &[&str]| self.gateway.act(self.id, args);
        act(&["person", "add", id, "--name", "Mori Ichiro", "--vendor", vendor, "--language", "en"])?;
        let password = format!("correct horse {} battery", std::process::id());
        self.gateway.act_with(self.id, &["person", "password", id, "--stdin"], Input::from(password.as_str()))?;
        let secret = text(&act(&["person", "totp", id])?, "secret")?;
        let key = folder.join(format!("{id}_key"));
        keygen("ed25519", &key)?;
        act(&["person", "key", "add", id, &key.with_extension("pub").display().to_string()])?;
        Ok(Engineer { id: id.to_owned(), password, codes: Codes::new(&secret), key })
    }

    /// Adds the sshd as a device: its key is scanned, compared with what `ssh-keygen` says, and pinned.
    fn adds_device(&self, id: &str, sshd: &Sshd, port: u16) -> Result<()> {
        let act = |args: &[&str]| self.gateway.act(self.id, args);
        let (address, port) = (sshd.address.to_string(), port.to_string());
        let args = [
            &["device", "add", id, "--name", "X-ray room 1", "--address", &address, "--account", &sshd.account][..],
            &["--channel", "shell", "--channel", "exec", "--channel", "sftp", "--channel", "scp", "--forward", &port],
        ];
        act(&args.concat())?;
        let scanned = act(&["device", "scan-keys", id])?.to_string();
        let fingerprints = sshd.fingerprints()?;
        for fingerprint in &fingerprints {
            ensure!(scanned.contains(fingerprint.as_str()), "scan-keys does not show {fingerprint}: {scanned}");
            act(&["device", "pin", id, "--fingerprint", fingerprint])?;
        }
        let key = sshd.service_key.display().to_string();
        act(&["device", "credential", id, &sshd.account, "--key", &key])?;
        Ok(())
    }
}
