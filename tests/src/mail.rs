//! A mail server that is not ours: PyPI's aiosmtpd, with TLS and a sign-in, whose mail Python's own `email` reads.

use crate::gateway::Gateway;
use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Who the gateway is to the server.
const USER: &str = "gate";
/// The password of that.
pub const MAIL_PASSWORD: &str = "lantern 47 harbour";
/// Whom the gateway's mail comes from.
pub const MAIL_FROM: &str = "gate@hospital.example";

/// How the way to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailWay {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS.
    Starttls,
    /// Not at all.
    Clear,
}

impl MailWay {
    /// The word, as the configuration has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Starttls => "starttls",
            Self::Clear => "none",
        }
    }
}

/// A mail as it came, and as Python reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Mail {
    /// Whom the envelope names as the sender.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// Whether it came by TLS.
    pub protected: bool,
    /// Whether the gateway had signed in.
    pub authenticated: bool,
    /// What Python finds wrong with its form.
    pub defects: Vec<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The types of its parts.
    pub parts: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// What it calls itself.
    pub id: String,
    /// Its text.
    pub body: String,
    /// The bytes.
    pub raw: String,
}

/// A mail server that runs; mail that it took stays with this value.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    way: MailWay,
    folder: PathBuf,
    server: Option<Running>,
}

impl MailServer {
    /// A server on this port, which does not run yet. Its files, and the gateway's, lie in the gateway's folder: nothing
    /// else is open to that.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn beside(gateway: &Gateway, way: MailWay, port: u16) -> Result<Self> {
        let folder = gateway.demo.config.parent().context("no folder")?.to_owned();
        let made = Self { port, way, folder, server: None };
        if !made.certificate().exists() {
            made.make_certificate()?;
        }
        fs::write(made.password_file(), format!("{MAIL_PASSWORD}\n"))?;
        fs::set_permissions(made.password_file(), fs::Permissions::from_mode(0o600))?;
        Ok(made)
    }

    /// Makes it a certificate of its own, in place of any earlier one.
    ///
    /// # Errors
    /// `openssl` fails.
    pub fn make_certificate(&self) -> Result<()> {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
        openssl.args(["-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(self.folder.join("mail.key"));
        run(openssl.arg("-out").arg(self.certificate()), Input::Nothing, crate::PATIENCE)?.success().map(drop)
    }

    /// Starts it, with more options of `tests/mail/serve.py`.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(&mut self, options: &[&str]) -> Result<()> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("mail/bin/python");
        ensure!(python.is_file(), "the mail server is not installed: sh tests/setup.sh test");
        let mut serve = Command::new(python);
        serve.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("mail/serve.py")).arg(self.port.to_string());
        serve.arg(self.kept()).arg(self.way.word());
        if self.way != MailWay::Clear {
            serve.arg("--certificate").arg(self.certificate()).arg("--key").arg(self.folder.join("mail.key"));
            serve.args(["--user", USER, "--password", MAIL_PASSWORD]);
        }
        serve.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = serve.spawn()?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let server = Running::new(child);
        said.wait_for("ready", crate::PATIENCE).context("the mail server does not start")?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Has it stand still: connections are taken by the kernel, and nobody speaks.
    ///
    /// # Errors
    /// It does not run.
    pub fn stand_still(&self) -> Result<()> {
        self.server.as_ref().context("it does not run")?.signal(Signal::STOP)
    }

    /// Has it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn go_on(&self) -> Result<()> {
        self.server.as_ref().context("it does not run")?.signal(Signal::CONT)
    }

    /// The certificate that it has.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("mail.pem")
    }

    /// The file of the gateway's password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.folder.join("mail.password")
    }

    fn kept(&self) -> PathBuf {
        self.folder.join("mail.jsonl")
    }

    /// The section `[mail]` that leads to it.
    #[must_use]
    pub fn section(&self) -> String {
        let (port, way) = (self.port, self.way.word());
        let mut section = format!("[mail]\nserver = \"127.0.0.1:{port}\"\ntls = \"{way}\"\nfrom = \"{MAIL_FROM}\"\n");
        if self.way != MailWay::Clear {
            let (password, ca) = (self.password_file(), self.certificate());
            section.push_str(&format!(
                "user = \"{USER}\"\npassword_file = \"{}\"\nca = \"{}\"\n",
                password.display(),
                ca.display()
            ));
        }
        section
    }

    /// What it took until now.
    ///
    /// # Errors
    /// It wrote something else.
    pub fn mails(&self) -> Result<Vec<Mail>> {
        let text = match fs::read_to_string(self.kept()) {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Waits for this many mails to an address.
    ///
    /// # Errors
    /// They do not come; the error shows what did.
    pub fn await_mails(&self, to: &str, count: usize) -> Result<Vec<Mail>> {
        let end = Instant::now() + crate::PATIENCE;
        loop {
            let all = self.mails()?;
            let theirs: Vec<Mail> = all.iter().filter(|mail| mail.to == [to]).cloned().collect();
            if theirs.len() >= count {
                return Ok(theirs);
            }
            if Instant::now() > end {
                bail!("{} of {count} mails to {to} came: {all:#?}", theirs.len());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
