//! Many at once: keystrokes while others flood, sign-ins a second, and what idle sessions keep in memory.

use crate::ways::{LIMIT, Stage, Way};
use crate::{percentile, seconds};
use anyhow::{Context, Result, ensure};
use sekimori_tests::{Input, Running, Terminal, Transcript, run};
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Keystrokes timed.
const KEYS: usize = 500;

/// Sign-ins timed, and how many are under way at once.
const SIGN_INS: u32 = 160;
const AT_ONCE: u32 = 8;

/// What other sessions do while keystrokes are timed.
#[derive(Debug, Clone, Copy)]
pub enum Others {
    /// There are none.
    None,
    /// So many flood their terminals.
    Floods(usize),
    /// So many show a line each second.
    Work(usize),
}

impl Others {
    fn sessions(self) -> (usize, &'static str) {
        match self {
            Self::None => (0, ""),
            Self::Floods(sessions) => (sessions, "cat /dev/zero"),
            Self::Work(sessions) => (sessions, "while date; do sleep 1; done"),
        }
    }
}

impl Stage {
    /// Milliseconds from a keystroke to its echo, p50 and p99, beside other sessions.
    pub fn keystrokes(&self, way: Way, others: Others) -> Result<(f64, f64)> {
        let (sessions, remote) = others.sessions();
        let mut beside = Vec::new();
        for _ in 0..sessions {
            let mut ssh = self.command("ssh", way, &["-T"]);
            let mut child =
                ssh.arg(remote).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let mut said = child.stdout.take().context("no standard output")?;
            beside.push(Running::new(child));
            // One after the other: none is refused for coming too fast.
            said.read_exact(&mut [0])?;
            thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        }
        let mut terminal = Terminal::start(&self.command("ssh", way, &["-tt"]), 80, 24)?;
        // The device's terminal echoes by itself; nothing else is printed from here on.
        terminal.ask("PS1=; echo RE''ADY; cat >/dev/null\r", "READY\r\n")?;
        if sessions > 0 {
            thread::sleep(Duration::from_secs(2));
        }
        let mut milliseconds = Vec::new();
        for _ in 0..KEYS {
            let mark = terminal.screen.mark();
            let begin = Instant::now();
            terminal.type_in("x")?;
            terminal.screen.wait_after(mark, "x", LIMIT)?;
            milliseconds.push(begin.elapsed().as_secs_f64() * 1000.0);
            // A person who types fast.
            thread::sleep(Duration::from_millis(5));
        }
        ensure!(beside.iter_mut().all(|ssh| ssh.has_ended().is_ok_and(|ended| !ended)), "a session beside ended early");
        Ok((percentile(&mut milliseconds, 50)?, percentile(&mut milliseconds, 99)?))
    }

    /// Connections a second, each signed in and having run `true`, eight at once.
    pub fn sign_ins(&self, way: Way) -> Result<f64> {
        let took = seconds(|| {
            thread::scope(|scope| {
                let one = || -> Result<()> {
                    for _ in 0..SIGN_INS / AT_ONCE {
                        let mut ssh = self.command("ssh", way, &["-o", "KexAlgorithms=curve25519-sha256"]);
                        run(ssh.arg("true"), Input::Nothing, LIMIT)?.success()?;
                    }
                    Ok(())
                };
                let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
                all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
            })
        })?;
        Ok(f64::from(SIGN_INS) / took)
    }

    /// KiB of the gateway's memory for each of so many idle sessions, while they are open and after they have closed.
    pub fn idle_memory(&self, sessions: u32) -> Result<(f64, f64)> {
        let before = f64::from(u32::try_from(self.hospital.gateway.resident_kib()?)?);
        let mut open = Vec::new();
        for _ in 0..sessions {
            let mut ssh = self.command("ssh", Way::Sekimori, &["-T"]);
            let mut child = ssh.arg("echo open; cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
            open.push((Running::new(child), said));
        }
        for (_, said) in &open {
            said.wait_for("open", LIMIT)?;
        }
        let grown = |now: u64| -> Result<f64> { Ok((f64::from(u32::try_from(now)?) - before) / f64::from(sessions)) };
        let while_open = grown(self.hospital.gateway.resident_kib()?)?;
        drop(open);
        self.hospital.closed_session()?;
        thread::sleep(Duration::from_secs(5));
        Ok((while_open, grown(self.hospital.gateway.resident_kib()?)?))
    }
}
