//! What an engineer does in one visit, and what must come of it.

use super::figures::Tally;
use super::lane::{Kind, Lane};
use super::ward::{Ward, device};
use crate::hospital::{DEVICE, Window, at};
use crate::peers::{Echo, connected, free_port, sha256, sha256_of_output};
use crate::process::{Input, Running, run};
use crate::terminal::Terminal;
use crate::workstation::Proof;
use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing that a client does under this load takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Who is cut off is gone by then, on two busy cores.
const CUT_OFF: Duration = Duration::from_secs(10);

impl Lane {
    /// Makes one visit of this lane's kind.
    pub fn visit(&self, ward: &Ward, until: Instant) -> Result<Tally> {
        match self.kind {
            Kind::Typing => self.types(ward, until),
            Kind::Commands => self.runs_commands(ward),
            Kind::Files => self.moves_files(ward),
            Kind::Forward => self.forwards(ward),
            Kind::Jump => self.jumps(ward),
            Kind::Cut => self.is_cut_off(ward),
            Kind::Window => self.outlasts_the_window(ward),
            Kind::Revoked => self.is_revoked(ward),
        }
    }

    /// Types for a minute or so; each key has to show. Leaves with an exit code.
    fn types(&self, ward: &Ward, until: Instant) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut terminal = shell(&ward.config)?;
        // The device's terminal echoes by itself; nothing else is printed from here on.
        terminal.ask("PS1=; echo TY''PE; cat >/dev/null\r", "TYPE\r\n")?;
        for _ in 0..40 + self.chance(80) {
            if Instant::now() > until {
                break;
            }
            let mark = terminal.screen.mark();
            let begin = Instant::now();
            terminal.type_in("x")?;
            terminal.screen.wait_after(mark, "x", LIMIT).context("a key does not show")?;
            tally.keystrokes.push(begin.elapsed().as_secs_f64() * 1000.0);
            self.pause(1_200);
        }
        let code = i32::try_from(self.chance(100))?;
        // A line's end, then the end of input: that ends `cat`, and the shell reads on.
        terminal.type_in(&format!("\r\u{4}exit {code}\r"))?;
        let status = terminal.end_within(LIMIT)?;
        ensure!(status.code() == Some(code), "exit {code} came as {status}");
        Ok(tally)
    }

    fn runs_commands(&self, ward: &Ward) -> Result<Tally> {
        let (file, sum, bytes) = ward.file(self)?;
        let up = run(ssh(&ward.config, &["-T"]).arg("sha256sum"), Input::File(File::open(file)?), LIMIT)?.success()?;
        ensure!(up.text().starts_with(sum), "{bytes} bytes went up, other than were sent: {}", up.text());
        self.pause(500);
        let down = format!("cat {}", file.display());
        let down = sha256_of_output(ssh(&ward.config, &["-T"]).arg(down), Input::Nothing, LIMIT)?;
        ensure!(down == *sum, "{bytes} bytes came down, other than were sent");
        self.pause(500);
        let both = sha256_of_output(ssh(&ward.config, &["-T"]).arg("cat"), Input::File(File::open(file)?), LIMIT)?;
        ensure!(both == *sum, "{bytes} bytes came back, other than were sent");
        let code = i32::try_from(self.chance(100))?;
        let output = run(ssh(&ward.config, &["-T"]).arg(format!("exit {code}")), Input::Nothing, LIMIT)?;
        ensure!(output.code == Some(code), "exit {code}: {output:?}");
        self.pause(4_000);
        Ok(Tally { up: bytes * 2, down: bytes * 2, ..Tally::default() })
    }

    fn moves_files(&self, ward: &Ward) -> Result<Tally> {
        let (file, sum, bytes) = ward.file(self)?;
        let there = ward.hospital.sshd.folder().join(format!("there-{}", self.number));
        let back = ward.hospital.workstation.folder().join(format!("back-{}", self.number));
        let batch = format!("put {} {}\nget {} {}\n", file.display(), there.display(), there.display(), back.display());
        let mut sftp = Command::new("sftp");
        sftp.arg("-F").arg(&ward.config).args(["-q", "-b", "-", "gate"]);
        run(&mut sftp, Input::from(batch.as_str()), LIMIT)?.success()?;
        ensure!(sha256(&there)? == *sum, "{bytes} bytes arrived, other than were put");
        ensure!(sha256(&back)? == *sum, "{bytes} bytes arrived, other than were to be got");
        std::fs::remove_file(&there)?;
        std::fs::remove_file(&back)?;
        self.pause(4_000);
        Ok(Tally { up: *bytes, down: *bytes, transfers: 2, ..Tally::default() })
    }

    /// A port that greets first, then a mebibyte there and back while the greeting's reader is slow.
    fn forwards(&self, ward: &Ward) -> Result<Tally> {
        const BYTES: usize = 1 << 20;
        let local = free_port()?;
        let forward = format!("127.0.0.1:{local}:{DEVICE}:{}", ward.hospital.echo.address.port());
        let mut ssh = ssh(&ward.by_person, &["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward]);
        let _ssh = Running::new(ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let mut rounds = 0;
        let mut stream = connected(local)?;
        let mut greeting = vec![0; Echo::GREETING.len()];
        stream.read_exact(&mut greeting).context("the greeting is lost")?;
        ensure!(greeting == Echo::GREETING.as_bytes());
        for _ in 0..1 + self.chance(4) {
            let mut writing = stream.try_clone()?;
            let writer = thread::spawn(move || writing.write_all(&[0x5a; BYTES]));
            let mut echoed = vec![0; BYTES];
            stream.read_exact(&mut echoed).context("the echo is lost")?;
            ensure!(writer.join().is_ok_and(|wrote| wrote.is_ok()), "writing failed");
            ensure!(echoed == [0x5a; BYTES], "other bytes came back than were sent");
            rounds += 1;
            self.pause(3_000);
        }
        let bytes = rounds * BYTES as u64;
        Ok(Tally { up: bytes, down: bytes, ..Tally::default() })
    }

    fn jumps(&self, ward: &Ward) -> Result<Tally> {
        let (file, sum, bytes) = ward.file(self)?;
        let target = format!("{}@{DEVICE}", ward.hospital.sshd.account);
        let jumping = |command: &str| {
            let mut ssh = Command::new("ssh");
            ssh.arg("-F").arg(&ward.by_person).args(["-J", "gate", "-T", &target, command]);
            ssh
        };
        let output = run(&mut jumping("cat; exit 3"), Input::from("through two of them"), LIMIT)?;
        ensure!(output.code == Some(3) && output.stdout == b"through two of them", "{output:?}");
        self.pause(1_000);
        let both = sha256_of_output(&mut jumping("cat"), Input::File(File::open(file)?), LIMIT)?;
        ensure!(both == *sum, "{bytes} bytes came back, other than were sent");
        self.pause(4_000);
        Ok(Tally { up: *bytes, down: *bytes, ..Tally::default() })
    }

    fn is_cut_off(&self, ward: &Ward) -> Result<Tally> {
        let mut terminal = shell(ward.config_of(self)?)?;
        self.pause(5_000);
        let session = ward.live_session(&device(self.kind, self.number))?;
        terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
        let begin = Instant::now();
        let cut = ["session", "cut", &session, "--reason", "seen on the camera"];
        ward.hospital.gateway.act(&ward.hospital.approver, &cut)?;
        terminal.end_within(CUT_OFF).context("the session outlives the cut")?;
        let ending = begin.elapsed().as_secs_f64() * 1000.0;
        let screen = terminal.screen.text();
        ensure!(screen.contains("seen on the camera"), "the person is not told why: {screen}");
        self.pause(5_000);
        Ok(Tally { endings: vec![ending], ..Tally::default() })
    }

    fn outlasts_the_window(&self, ward: &Ward) -> Result<Tally> {
        let window = Window::ending_in(TimeDelta::seconds(15));
        ward.hospital.grant_to(&ward.hospital.engineer, &device(self.kind, self.number), window)?;
        let mut terminal = shell(ward.config_of(self)?)?;
        let left = (window.until - Utc::now()).to_std().unwrap_or_default();
        terminal.end_within(left + CUT_OFF).context("the session outlives its window")?;
        let late = Utc::now() - window.until;
        // Windows are given to the second.
        ensure!(late > TimeDelta::seconds(-1), "cut {late} before the window's end");
        let ending = f64::from(i32::try_from(late.num_milliseconds().max(0))?);
        self.pause(5_000);
        Ok(Tally { endings: vec![ending], ..Tally::default() })
    }

    /// A sign-in of its own each time; the certificate is revoked, or the person suspended for a moment.
    fn is_revoked(&self, ward: &Ward) -> Result<Tally> {
        let (hospital, engineer) = (&ward.hospital, &ward.revoked);
        let by_key = Proof::KeyAndPassword(&engineer.key, &engineer.password);
        let key = std::fs::read(engineer.key.with_extension("pub"))?;
        let signed = hospital.workstation.exec(&engineer.id, by_key, "sign-in", Input::Bytes(key), LIMIT)?.success()?;
        let certificate = hospital.workstation.folder().join("revoked-cert.pub");
        std::fs::write(&certificate, &signed.stdout)?;
        let user = format!("{}+{}", engineer.id, device(self.kind, self.number));
        let proof = Proof::Certificate(&engineer.key, &certificate);
        let mut terminal = shell(&hospital.workstation.config(&user, proof)?)?;
        self.pause(5_000);
        let administrator = |args: &[&str]| hospital.gateway.act(&hospital.administrator, args);
        let begin;
        if self.chance(2) == 0 {
            let listed = hospital.gateway.act(&hospital.auditor, &["sign-in", "list"])?;
            let mine = listed.as_array().into_iter().flatten().filter(|one| at(one, "/person") == engineer.id.as_str());
            let ids: Vec<_> = mine.filter_map(|one| at(one, "/id").as_str()).collect();
            begin = Instant::now();
            for id in &ids {
                administrator(&["sign-in", "revoke", id])?;
            }
            ensure!(!ids.is_empty(), "the sign-in is listed nowhere: {listed}");
            terminal.end_within(CUT_OFF).context("the session outlives its sign-in")?;
        } else {
            begin = Instant::now();
            administrator(&["person", "suspend", &engineer.id])?;
            terminal.end_within(CUT_OFF).context("the session outlives the person's suspension")?;
            administrator(&["person", "resume", &engineer.id])?;
        }
        let ending = begin.elapsed().as_secs_f64() * 1000.0;
        self.pause(5_000);
        Ok(Tally { endings: vec![ending], ..Tally::default() })
    }
}

impl Ward {
    fn config_of(&self, lane: &Lane) -> Result<&PathBuf> {
        self.ending.get(&(lane.kind, lane.number)).context("this lane has no device")
    }
}

/// `ssh -F config OPTIONS gate`; what is run there follows.
fn ssh(config: &Path, options: &[&str]) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(options).arg("gate");
    ssh
}

/// A shell that has answered.
fn shell(config: &Path) -> Result<Terminal> {
    let mut terminal = Terminal::start(&ssh(config, &["-tt"]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    Ok(terminal)
}
