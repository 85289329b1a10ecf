//! Bulk data: a command's output and input, files by SFTP, a forwarded port.

use crate::ways::{LIMIT, Stage, Way};
use crate::{median, seconds};
use anyhow::{Context, Result, ensure};
use sekimori_tests::{DEVICE, Input, Running, free_port, run};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// MiB.
    pub mebibytes: u32,
    /// How often; the median counts.
    pub runs: u32,
}

/// What one direction of one way did.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// MiB a second, connecting not counted.
    pub mebibytes: f64,
    /// Processor seconds of the gateway a GiB while it moves.
    pub cpu: f64,
    /// The same for sealing what was recorded, mostly afterwards; the next run waits for it.
    pub sealing: f64,
}

impl Stage {
    /// A command's output: `cat` of a file on the device.
    pub fn exec_down(&self, way: Way, file: &Path, load: Load) -> Result<Rate> {
        let remote = format!("cat {}", file.display());
        self.rate(way, load, || {
            let mut ssh = self.command("ssh", way, &["-T"]);
            to_the_end(ssh.arg(&remote).stdin(Stdio::null()).stdout(Stdio::null()))
        })
    }

    /// A command's input.
    pub fn exec_up(&self, way: Way, file: &Path, load: Load) -> Result<Rate> {
        self.rate(way, load, || {
            let mut ssh = self.command("ssh", way, &["-T"]);
            to_the_end(ssh.arg("cat >/dev/null").stdin(File::open(file)?).stdout(Stdio::null()))
        })
    }

    /// A file from the device.
    pub fn sftp_get(&self, way: Way, file: &Path, load: Load) -> Result<Rate> {
        self.sftp(way, load, &format!("get {} {}", file.display(), copy_of(file).display()))
    }

    /// A file to the device.
    pub fn sftp_put(&self, way: Way, file: &Path, load: Load) -> Result<Rate> {
        self.sftp(way, load, &format!("put {} {}", file.display(), copy_of(file).display()))
    }

    fn sftp(&self, way: Way, load: Load, batch: &str) -> Result<Rate> {
        self.rate(way, load, || {
            run(&mut self.command("sftp", way, &["-q", "-b", "-"]), Input::from(batch), LIMIT)?.success()?;
            Ok(())
        })
    }

    /// What a service on the device says, through `-L`.
    pub fn forward_down(&self, way: Way, load: Load) -> Result<Rate> {
        self.forwarded(way, load, |mut stream| {
            stream.write_all(b"d")?;
            stream.write_all(&load.mebibytes.to_be_bytes())?;
            let mut buffer = vec![0; 256 << 10];
            let mut left = u64::from(load.mebibytes) << 20;
            while left > 0 {
                let count = u64::try_from(stream.read(&mut buffer)?)?;
                ensure!(count > 0, "{left} bytes are missing");
                left -= count;
            }
            Ok(())
        })
    }

    /// What a service on the device is told, through `-L`.
    pub fn forward_up(&self, way: Way, load: Load) -> Result<Rate> {
        self.forwarded(way, load, |mut stream| {
            stream.write_all(b"u")?;
            let buffer = vec![0x5a; 256 << 10];
            for _ in 0..u64::from(load.mebibytes) * 4 {
                stream.write_all(&buffer)?;
            }
            stream.shutdown(Shutdown::Write)?;
            // It says so when it has everything.
            stream.read_exact(&mut [0])?;
            Ok(())
        })
    }

    fn forwarded(&self, way: Way, load: Load, talk: impl Fn(TcpStream) -> Result<()>) -> Result<Rate> {
        let local = free_port()?;
        let host = if way == Way::Sekimori { DEVICE } else { "127.0.0.1" };
        let forward = format!("127.0.0.1:{local}:{host}:{}", self.service);
        let mut ssh = self.command("ssh", way, &["-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward]);
        let ssh = Running::new(ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        drop(connected(local)?);
        let mut rates = Vec::new();
        let before = self.hospital.gateway.processor_seconds()?;
        for _ in 0..load.runs {
            let stream = connected(local)?;
            rates.push(f64::from(load.mebibytes) / seconds(|| talk(stream))?);
        }
        let cpu = (self.hospital.gateway.processor_seconds()? - before) / load.gibibytes();
        drop(ssh);
        Ok(Rate { mebibytes: median(rates)?, cpu, sealing: self.sealed()? / load.gibibytes() })
    }

    fn rate(&self, way: Way, load: Load, carry: impl Fn() -> Result<()>) -> Result<Rate> {
        let connecting = self.connecting(way)?;
        self.sealed()?;
        let (mut cpu, mut sealing, mut rates) = (0.0, 0.0, Vec::new());
        for _ in 0..load.runs {
            let before = self.hospital.gateway.processor_seconds()?;
            rates.push(f64::from(load.mebibytes) / (seconds(&carry)? - connecting));
            cpu += self.hospital.gateway.processor_seconds()? - before;
            sealing += self.sealed()?;
        }
        let gibibytes = load.gibibytes();
        Ok(Rate { mebibytes: median(rates)?, cpu: cpu / gibibytes, sealing: sealing / gibibytes })
    }

    /// Waits until all that was recorded is sealed; returns the processor seconds that the gateway takes for it.
    fn sealed(&self) -> Result<f64> {
        let (before, end) = (self.hospital.gateway.processor_seconds()?, Instant::now() + LIMIT);
        while self.hospital.recording_folders()?.iter().any(|path| path.is_dir()) {
            ensure!(Instant::now() < end, "recordings are not sealed");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(self.hospital.gateway.processor_seconds()? - before)
    }
}

impl Load {
    fn gibibytes(self) -> f64 {
        f64::from(self.mebibytes) * f64::from(self.runs) / 1024.0
    }
}

/// Copies are kept in memory: disks are not what is measured.
fn copy_of(file: &Path) -> PathBuf {
    file.with_extension("copy")
}

fn to_the_end(command: &mut Command) -> Result<()> {
    let mut running = Running::new(command.stderr(Stdio::inherit()).spawn()?);
    let status = running.end_within(LIMIT)?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Connects as soon as `ssh` listens.
fn connected(port: u16) -> Result<TcpStream> {
    let end = Instant::now() + LIMIT;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return Ok(stream),
            Err(fault) if Instant::now() > end => return Err(fault).context("ssh does not listen"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Starts a service on the device: after a `d` and a number it sends so many MiB, after a `u` it takes what comes.
pub fn start_service() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that leaves early is the run's own failure.
            thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut asked = [0];
    stream.read_exact(&mut asked)?;
    let mut buffer = vec![0x5a; 256 << 10];
    if asked == *b"d" {
        let mut mebibytes = [0; 4];
        stream.read_exact(&mut mebibytes)?;
        for _ in 0..u64::from(u32::from_be_bytes(mebibytes)) * 4 {
            stream.write_all(&buffer)?;
        }
        return Ok(());
    }
    while stream.read(&mut buffer)? > 0 {}
    stream.write_all(b".")
}
