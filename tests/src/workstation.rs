//! The vendor's workstation: OpenSSH's own client, with the gateway's key known and the person's factors at hand.
//!
//! Passwords and codes reach `ssh` as a person's would, at its prompts, through `SSH_ASKPASS`: a script that reads them
//! from files. They never stand in arguments or in the environment.

use crate::gateway::SshDoor;
use crate::hospital::Engineer;
use crate::process::{Input, Output, run};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// What a connection proves.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A password and the code given.
    PasswordAndCode(&'a str, &'a str),
    /// An SSH key and a password.
    KeyAndPassword(&'a Path, &'a str),
    /// An SSH key, and a code at the prompt: two of one kind.
    KeyAndCode(&'a Path, &'a str),
    /// A key with the certificate of a carried sign-in.
    Certificate(&'a Path, &'a Path),
}

/// A folder with an `ssh` configuration. The gateway is called `gate` in it.
#[derive(Debug)]
pub struct Workstation {
    folder: TempDir,
    answers: AtomicU32,
}

/// Each prompt is answered from a file by what it asks for; one that asks for anything else is not answered.
const ASKPASS: &str = r#"#!/bin/sh
printf '%s\n' "$1" >>"$SEKIMORI_ANSWERS/prompts"
case $1 in
*[Cc]ode* | *コード* | *番号*) exec cat "$SEKIMORI_ANSWERS/code" ;;
*[Pp]assword* | *パスワード*) exec cat "$SEKIMORI_ANSWERS/password" ;;
esac
exit 1
"#;

impl Workstation {
    /// A workstation that knows this gateway.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn new(door: &SshDoor) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-workstation-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("known_hosts"), format!("[{}]:{} {}\n", door.host, door.port, door.host_key.trim()))?;
        fs::write(at("askpass"), ASKPASS)?;
        fs::set_permissions(at("askpass"), fs::Permissions::from_mode(0o700))?;
        let configuration = format!(
            "Host gate\n HostName {}\n Port {}\nHost *\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n \
             StrictHostKeyChecking yes\n IdentityAgent none\n IdentitiesOnly yes\n NumberOfPasswordPrompts 1\n \
             ControlPath none\n ConnectTimeout 20\n",
            door.host,
            door.port,
            at("known_hosts").display()
        );
        fs::write(at("config"), configuration)?;
        Ok(Self { folder, answers: AtomicU32::new(0) })
    }

    /// A folder for the person's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `ssh`, `scp` or `sftp` (`tool`) as the user name `user`; the caller adds the host `gate` and what follows it.
    ///
    /// # Errors
    /// The answers cannot be written.
    pub fn prepared(&self, tool: &str, user: &str, proof: Proof<'_>) -> Result<Command> {
        let answers = self.answers()?;
        let mut command = self.configured(tool, &self.folder.path().join("config"), &answers);
        command.arg("-o").arg(format!("User={user}"));
        for option in self.options(&answers, proof)? {
            command.arg("-o").arg(option.replace(' ', "="));
        }
        Ok(command)
    }

    /// The same by ProxyJump: `person` proves who they are to the gateway, and the caller adds `account@device`.
    ///
    /// # Errors
    /// The answers cannot be written.
    pub fn jumping(&self, tool: &str, person: &str, proof: Proof<'_>) -> Result<Command> {
        let answers = self.answers()?;
        let mut command = self.configured(tool, &self.write_config(&answers, person, proof)?, &answers);
        command.args(["-J", "gate", "-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no"]);
        Ok(command)
    }

    /// An `ssh` configuration for programs that run `ssh` themselves: `gate` is the gateway, with user and keys.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn config(&self, user: &str, proof: Proof<'_>) -> Result<PathBuf> {
        self.write_config(&self.answers()?, user, proof)
    }

    fn write_config(&self, answers: &Path, user: &str, proof: Proof<'_>) -> Result<PathBuf> {
        let config = fs::read_to_string(self.folder.path().join("config"))?;
        let options = self.options(answers, proof)?.join("\n ");
        // The first value found counts: what belongs to this user stands before what holds for every host.
        let own = config.replacen("Host gate\n", &format!("Host gate\n User {user}\n {options}\n"), 1);
        let path = answers.join("config");
        fs::write(&path, own)?;
        Ok(path)
    }

    /// Trusts an authority for the hosts that its `known_hosts` line names.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn knows(&self, line: &str) -> Result<()> {
        let path = self.folder.path().join("known_hosts");
        let known = fs::read_to_string(&path)?;
        Ok(fs::write(path, format!("{known}{line}\n"))?)
    }

    /// A folder for the answers of one connection.
    fn answers(&self) -> Result<PathBuf> {
        let answers = self.folder.path().join(format!("answers-{}", self.answers.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&answers)?;
        Ok(answers)
    }

    fn configured(&self, tool: &str, config: &Path, answers: &Path) -> Command {
        let mut command = Command::new(tool);
        command.arg("-F").arg(config);
        command.env("SSH_ASKPASS", self.folder.path().join("askpass"));
        command.env("SSH_ASKPASS_REQUIRE", "force").env("SEKIMORI_ANSWERS", answers).env_remove("SSH_AUTH_SOCK");
        command
    }

    /// What a proof needs, as lines of an `ssh` configuration; answers to prompts are laid ready.
    fn options(&self, answers: &Path, proof: Proof<'_>) -> Result<Vec<String>> {
        let mut options = Vec::new();
        let (identity, certificate) = match proof {
            Proof::PasswordAndCode(password, code) => {
                answer(answers, "password", password)?;
                answer(answers, "code", code)?;
                options.push("PubkeyAuthentication no".to_owned());
                (self.folder.path().join("no-key"), None)
            }
            Proof::KeyAndPassword(key, password) => {
                answer(answers, "password", password)?;
                (key.to_owned(), None)
            }
            Proof::KeyAndCode(key, code) => {
                answer(answers, "code", code)?;
                (key.to_owned(), None)
            }
            Proof::Certificate(key, certificate) => {
                options.push("PreferredAuthentications publickey".to_owned());
                (key.to_owned(), Some(certificate))
            }
        };
        options.push(format!("IdentityFile {}", identity.display()));
        options.extend(certificate.map(|certificate| format!("CertificateFile {}", certificate.display())));
        Ok(options)
    }

    /// Runs one remote command to its end.
    ///
    /// # Errors
    /// `ssh` cannot be started or takes longer than `limit`. Its exit code is the caller's to judge.
    pub fn exec(&self, user: &str, proof: Proof<'_>, remote: &str, input: Input, limit: Duration) -> Result<Output> {
        let mut ssh = self.prepared("ssh", user, proof)?;
        run(ssh.args(["-T", "gate", remote]), input, limit)
    }

    /// Signs in once with password and code and keeps the certificate that carries it; returns its file.
    ///
    /// # Errors
    /// The gateway refuses.
    pub fn sign_in(&self, engineer: &Engineer) -> Result<PathBuf> {
        let code = engineer.codes.fresh()?;
        let proof = Proof::PasswordAndCode(&engineer.password, &code);
        let public_key = fs::read(engineer.key.with_extension("pub"))?;
        let output = self
            .exec(&engineer.id, proof, "sign-in", Input::Bytes(public_key), crate::PATIENCE)?
            .success()
            .context("sign-in")?;
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let certificate = self.folder.path().join(format!("signed-in-{number}-cert.pub"));
        fs::write(&certificate, &output.stdout)?;
        Ok(certificate)
    }

    /// Every prompt that was put so far, in the order of connections.
    #[must_use]
    pub fn prompts(&self) -> Vec<String> {
        (0..self.answers.load(Ordering::Relaxed))
            .filter_map(|number| fs::read_to_string(self.folder.path().join(format!("answers-{number}/prompts"))).ok())
            .flat_map(|prompts| prompts.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }
}

fn answer(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, format!("{text}\n"))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o600))?)
}
