//! Other people's SSH clients, unmodified, against a real sshd behind the gateway: one test a client and a use.
//!
//! Those that ask for a password prove a key and the password; the two-step sign-in is where clients differ.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Database, Hospital, Input, Output, PATIENCE, Terminal, at, free_port, run, sha256};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn plink_runs_commands() -> Result<()> {
    let visit = Visit::new()?;
    let mut plink = visit.putty("plink")?;
    plink.args([&format!("{}@127.0.0.1", visit.hospital.user()), "cat; echo told >&2; exit 3"]);
    let output = run(&mut plink, Input::from("given"), PATIENCE)?;
    ensure!(output.code == Some(3) && output.stdout == b"given" && output.stderr.contains("told"), "{output:?}");
    Ok(())
}

#[test]
fn plink_opens_a_terminal() -> Result<()> {
    let visit = Visit::new()?;
    let mut plink = visit.putty("plink")?;
    plink.args(["-t", &format!("{}@127.0.0.1", visit.hospital.user())]);
    let mut terminal = Terminal::start(&plink, 90, 33)?;
    terminal.ask("stty size\r", "33 90")?;
    terminal.type_in("exit 4\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(4));
    Ok(())
}

#[test]
fn psftp_moves_files() -> Result<()> {
    let visit = Visit::new()?;
    let batch = visit.back("batch");
    let (there, back) = (visit.there("by-sftp"), visit.back("by-sftp"));
    let commands =
        format!("put {} {}\nget {} {}\n", visit.sent.display(), there.display(), there.display(), back.display());
    fs::write(&batch, commands)?;
    let mut psftp = visit.putty("psftp")?;
    psftp.arg("-b").arg(&batch).arg(format!("{}@127.0.0.1", visit.hospital.user()));
    run(&mut psftp, Input::Nothing, PATIENCE)?.success()?;
    visit.came_back("by-sftp")
}

#[test]
fn pscp_moves_files_by_sftp() -> Result<()> {
    pscp("-sftp")
}

#[test]
fn pscp_moves_files_by_scp() -> Result<()> {
    pscp("-scp")
}

fn pscp(how: &str) -> Result<()> {
    let visit = Visit::new()?;
    let remote = format!("{}@127.0.0.1:{}", visit.hospital.user(), visit.there("by-pscp").display());
    let (sent, back) = (visit.sent.display().to_string(), visit.back("by-pscp").display().to_string());
    for (from, to) in [(&sent, &remote), (&remote, &back)] {
        run(visit.putty("pscp")?.args(["-q", how, from, to]), Input::Nothing, PATIENCE)?.success()?;
    }
    visit.came_back("by-pscp")
}

#[test]
fn dropbear_runs_commands() -> Result<()> {
    let visit = Visit::new()?;
    let key = visit.back("key.dropbear");
    let mut convert = Command::new("dropbearconvert");
    convert.args(["openssh", "dropbear"]).args([&visit.hospital.engineer.key, &key]);
    run(&mut convert, Input::Nothing, PATIENCE)?.success()?;
    // It asks for passwords at a terminal only. Unknown hosts it asks about there, too.
    let mut dbclient = Command::new("dbclient");
    dbclient.env("HOME", visit.back("")).args(["-y", "-p", &visit.port(), "-i"]).arg(&key);
    dbclient.args([&format!("{}@127.0.0.1", visit.hospital.user()), "echo out; exit 4"]);
    let mut terminal = Terminal::start(&dbclient, 80, 24)?;
    terminal.screen.wait_for("Password", PATIENCE)?;
    terminal.type_in(&format!("{}\r", visit.hospital.engineer.password))?;
    let status = terminal.end_within(PATIENCE)?;
    ensure!(status.code() == Some(4) && terminal.screen.text().contains("out\r\n"), "{}", terminal.screen.text());
    Ok(())
}

/// curl speaks SFTP and scp by libssh2.
#[test]
fn libssh2_moves_files_by_sftp() -> Result<()> {
    curl("sftp")
}

#[test]
fn libssh2_moves_files_by_scp() -> Result<()> {
    curl("scp")
}

fn curl(scheme: &str) -> Result<()> {
    let visit = Visit::new()?;
    let engineer = &visit.hospital.engineer;
    let url = format!("{scheme}://127.0.0.1:{}{}", visit.port(), visit.there("by-curl").display());
    let config = format!(
        "silent\nshow-error\nuser = \"{}:{}\"\nkey = \"{}\"\npubkey = \"{}\"\nhostpubsha256 = \"{}\"\nurl = \"{url}\"\n",
        visit.hospital.user(),
        engineer.password,
        engineer.key.display(),
        engineer.key.with_extension("pub").display(),
        visit.host_key_sha256()?,
    );
    let run_with = |more: String| -> Result<Output> {
        let file = visit.back("curlrc");
        fs::write(&file, format!("{config}{more}"))?;
        run(Command::new("curl").arg("-q").arg("-K").arg(file), Input::Nothing, PATIENCE)
    };
    run_with(format!("upload-file = \"{}\"\n", visit.sent.display()))?.success()?;
    run_with(format!("output = \"{}\"\n", visit.back("by-curl").display()))?.success()?;
    visit.came_back("by-curl")
}

#[test]
fn asyncssh_runs_many_commands_and_moves_files() -> Result<()> {
    let visit = Visit::new()?;
    let said = visit.python("visit_asyncssh.py", &[])?;
    ensure!(at(&said, "/command") == &json!(["given", "told\n", 6]), "{said}");
    // As many as an sshd would not let sign in at the same time.
    let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    ensure!(at(&said, "/many") == &json!(many), "{said}");
    ensure!(at(&said, "/terminal").as_str().is_some_and(|screen| screen.contains("33 90")), "{said}");
    visit.came_back("by-sftp")?;
    visit.came_back("by-scp")
}

#[test]
fn paramiko_signs_in_with_key_and_password() -> Result<()> {
    let visit = Visit::new()?;
    paramiko(&visit, "password")
}

#[test]
fn paramiko_signs_in_with_a_carried_sign_in() -> Result<()> {
    let visit = Visit::new()?;
    let certificate = visit.hospital.sign_in()?;
    let mut beside = visit.hospital.engineer.key.clone().into_os_string();
    beside.push("-cert.pub");
    fs::copy(certificate, beside)?;
    paramiko(&visit, "certificate")
}

fn paramiko(visit: &Visit, how: &str) -> Result<()> {
    let said = visit.python("visit_paramiko.py", &[how])?;
    ensure!(at(&said, "/command") == &json!(["out\n", "told\n", 5]), "{said}");
    ensure!(at(&said, "/terminal").as_str().is_some_and(|screen| screen.contains("33 90")), "{said}");
    visit.came_back("by-sftp")
}

#[test]
fn nodes_ssh2_runs_commands_and_moves_files() -> Result<()> {
    let visit = Visit::new()?;
    let mut node = Command::new("node");
    node.arg(scripts().join("visit_ssh2.mjs")).arg(visit.described()?).arg(installed()?);
    let said: Value = serde_json::from_slice(&run(&mut node, Input::Nothing, PATIENCE)?.success()?.stdout)?;
    ensure!(at(&said, "/command") == &json!(["given", "told\n", 7]), "{said}");
    ensure!(at(&said, "/terminal").as_str().is_some_and(|screen| screen.contains("33 90")), "{said}");
    visit.came_back("by-sftp")
}

/// By default no algorithm fails, and ssh-audit warns of just what older clients need: an exchange that is not
/// post-quantum (the one that is stands first), and MACs in the other order.
#[test]
fn ssh_audit_warns_of_what_older_clients_need_and_of_nothing_else() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let audited = audit(hospital.gateway.demo.ssh.port)?.text();
    let warned: Vec<_> = audited.lines().filter(|line| line.contains('[')).collect();
    let expected = [
        "(kex) curve25519-sha256 ",
        "(kex) curve25519-sha256@libssh.org ",
        "(mac) hmac-sha2-512 ",
        "(mac) hmac-sha2-256 ",
    ];
    ensure!(warned.len() == expected.len(), "{audited}");
    for (line, expected) in warned.iter().zip(expected) {
        ensure!(line.starts_with(expected) && line.contains("[warn]"), "{audited}");
    }
    Ok(())
}

#[test]
fn ssh_audit_finds_nothing_in_the_modern_choice() -> Result<()> {
    let mut hospital = Hospital::closed(Database::Sqlite)?;
    hospital.gateway.kill()?;
    let config = &hospital.gateway.demo.config;
    let text = fs::read_to_string(config)?;
    let port = free_port()?;
    let changed = format!("[ssh]\nalgorithms = \"modern\"\nlisten = [\"127.0.0.1:{port}\"]\n#");
    fs::write(config, text.replacen("[ssh]\n", &changed, 1))?;
    let _again = hospital.gateway.serve_again()?;
    let output = audit(port)?;
    ensure!(output.code == Some(0) && output.text().trim().is_empty(), "{}", output.text());
    Ok(())
}

fn audit(port: u16) -> Result<Output> {
    let mut audit = Command::new(installed()?.join("venv/bin/ssh-audit"));
    // Its trial of denial of service takes long, and is not about algorithms.
    audit.args(["-b", "-n", "-l", "warn", "--skip-rate-test", "-p", &port.to_string(), "127.0.0.1"]);
    run(&mut audit, Input::Nothing, PATIENCE)
}

/// A hospital with an open window, and what a client needs to know of it.
struct Visit {
    hospital: Hospital,
    sent: PathBuf,
    password_file: PathBuf,
}

impl Visit {
    fn new() -> Result<Self> {
        let hospital = Hospital::open(Database::Sqlite)?;
        let sent = hospital.bulk_file("sent", 3)?;
        let folder = hospital.workstation.folder();
        let password_file = folder.join("password");
        fs::write(&password_file, format!("{}\n", hospital.engineer.password))?;
        fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
        fs::create_dir(folder.join("back"))?;
        fs::create_dir(hospital.sshd.folder().join("there"))?;
        Ok(Self { hospital, sent, password_file })
    }

    fn port(&self) -> String {
        self.hospital.gateway.demo.ssh.port.to_string()
    }

    /// A path on the device.
    fn there(&self, name: &str) -> PathBuf {
        self.hospital.sshd.folder().join("there").join(name)
    }

    /// A path on the workstation.
    fn back(&self, name: &str) -> PathBuf {
        self.hospital.workstation.folder().join("back").join(name)
    }

    fn came_back(&self, name: &str) -> Result<()> {
        ensure!(sha256(&self.there(name))? == sha256(&self.sent)?, "{name} arrived otherwise than it was sent");
        ensure!(sha256(&self.back(name))? == sha256(&self.sent)?, "{name} came back otherwise than it was sent");
        Ok(())
    }

    /// The gateway's host key as curl wants it: base64 of the SHA-256.
    fn host_key_sha256(&self) -> Result<String> {
        let file = self.back("host_key.pub");
        fs::write(&file, &self.hospital.gateway.demo.ssh.host_key)?;
        let mut keygen = Command::new("ssh-keygen");
        let shown = run(keygen.arg("-lf").arg(&file), Input::Nothing, PATIENCE)?.success()?.text();
        let fingerprint = shown.split_whitespace().nth(1).and_then(|print| print.strip_prefix("SHA256:"));
        Ok(fingerprint.context("ssh-keygen shows no fingerprint")?.to_owned())
    }

    /// One of PuTTY's programs, with the key converted, the password in a file and the host key known.
    fn putty(&self, program: &str) -> Result<Command> {
        let key = self.back("key.ppk");
        if !key.exists() {
            let mut puttygen = Command::new("puttygen");
            puttygen.arg(&self.hospital.engineer.key).args(["-O", "private", "-o"]).arg(&key);
            run(&mut puttygen, Input::Nothing, PATIENCE)?.success()?;
        }
        let mut command = Command::new(program);
        command.env("HOME", self.back("")).args(["-batch", "-P", &self.port(), "-i"]).arg(key);
        command.arg("-pwfile").arg(&self.password_file);
        command.args(["-hostkey", &format!("SHA256:{}", self.host_key_sha256()?)]);
        Ok(command)
    }

    /// What the scripts read.
    fn described(&self) -> Result<PathBuf> {
        let hospital = &self.hospital;
        let base64 = self.host_key_sha256()?;
        let visit = json!({
            "host": hospital.gateway.demo.ssh.host,
            "port": hospital.gateway.demo.ssh.port,
            "user": hospital.user(),
            "device": DEVICE,
            "key": hospital.engineer.key,
            "password_file": self.password_file,
            "known_hosts": hospital.workstation.folder().join("known_hosts"),
            "host_key_sha256": hex(&base64)?,
            "sent": self.sent,
            "there": self.there(""),
            "back": self.back(""),
        });
        let file = self.back("visit.json");
        fs::write(&file, visit.to_string())?;
        Ok(file)
    }

    fn python(&self, script: &str, arguments: &[&str]) -> Result<Value> {
        let mut python = Command::new(installed()?.join("venv/bin/python"));
        python.arg(scripts().join(script)).arg(self.described()?).args(arguments);
        Ok(serde_json::from_slice(&run(&mut python, Input::Nothing, PATIENCE)?.success()?.stdout)?)
    }
}

/// Unpadded base64 as hex, by `basenc`.
fn hex(base64: &str) -> Result<String> {
    let mut basenc = Command::new("sh");
    basenc.args(["-c", "basenc -d --base64 | basenc --base16 -w 0 | tr A-F a-f"]);
    Ok(run(&mut basenc, Input::from(format!("{base64}=").as_str()), PATIENCE)?.success()?.text())
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where tests/setup.sh installed what comes from PyPI and npm.
fn installed() -> Result<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("clients");
    ensure!(installed.join("venv").is_dir(), "the clients are not installed: sh tests/setup.sh test");
    Ok(installed)
}
