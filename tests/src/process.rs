//! Processes with an end: each is waited for with a limit, and killed past it.

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What a process reads on its standard input.
#[derive(Debug, Default)]
pub enum Input {
    /// Its end at once.
    #[default]
    Nothing,
    /// These bytes, then its end.
    Bytes(Vec<u8>),
    /// A file.
    File(std::fs::File),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// What came of a process.
#[derive(Debug)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error, as text.
    pub stderr: String,
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The output of a process that ended with 0.
    ///
    /// # Errors
    /// Any other end, with what the process said.
    pub fn success(self) -> Result<Self> {
        if self.code != Some(0) {
            bail!(
                "ended with code {:?}, signal {:?}\nstderr: {}\nstdout: {}",
                self.code,
                self.signal,
                self.stderr,
                self.text().chars().take(2000).collect::<String>()
            );
        }
        Ok(self)
    }
}

/// Runs `command` to its end.
///
/// # Errors
/// It cannot be started, or takes longer than `limit` (it is killed then).
pub fn run(command: &mut Command, input: Input, limit: Duration) -> Result<Output> {
    let name = format!("{command:?}");
    let bytes = match input {
        Input::Nothing => {
            command.stdin(Stdio::null());
            None
        }
        Input::File(file) => {
            command.stdin(file);
            None
        }
        Input::Bytes(bytes) => {
            command.stdin(Stdio::piped());
            Some(bytes)
        }
    };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(name.clone())?;
    if let (Some(bytes), Some(mut stdin)) = (bytes, child.stdin.take()) {
        // The process may end before it has read everything: that is its own affair.
        thread::spawn(move || stdin.write_all(&bytes));
    }
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = match end_within(&mut child, limit)? {
        Some(status) => status,
        None => {
            let threads = threads(child.id());
            child.kill()?;
            child.wait()?;
            let said = stderr.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
            bail!(
                "{name} took longer than {limit:?}; it had said: {}\nits threads: {threads}",
                String::from_utf8_lossy(&said)
            );
        }
    };
    Ok(Output {
        code: status.code(),
        signal: status.signal(),
        stdout: stdout.recv_timeout(Duration::from_secs(10)).context("its standard output stayed open")?,
        stderr: String::from_utf8_lossy(
            &stderr.recv_timeout(Duration::from_secs(10)).context("its standard error stayed open")?,
        )
        .into_owned(),
    })
}

/// What the threads of a process that hangs are doing: their stacks where a debugger is installed, else what the kernel
/// says they wait for.
fn threads(process: u32) -> String {
    let id = process.to_string();
    let stacks = Command::new("gdb").args(["-p", &id, "-batch", "-ex", "thread apply all bt"]).output();
    if let Ok(stacks) = stacks {
        return String::from_utf8_lossy(&stacks.stdout).into_owned();
    }
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default().trim().to_owned();
    tasks.map(|task| format!("\n  {} in {}", read(&task.path(), "comm"), read(&task.path(), "wchan"))).collect()
}

fn collect(source: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What was read before an error is still worth showing.
            let _ = source.read_to_end(&mut bytes);
        }
        sender.send(bytes)
    });
    receiver
}

/// The child's end, or `None` if it is still there after `limit`.
fn end_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let watched = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context("cannot watch a child process")?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).context("the limit is too long")?;
        match poll(&mut [PollFd::new(&watched, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(child.wait()?)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a child process"),
        }
    }
}

/// A process that stays until this value is dropped: asked to end, then made to.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Takes over a started child.
    #[must_use]
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    /// The child's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("cannot send {signal:?}"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It is still there after `limit`.
    pub fn end_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        end_within(&mut self.child, limit)?.with_context(|| format!("still running after {limit:?}"))
    }

    /// Whether it has ended by now.
    ///
    /// # Errors
    /// The operating system's.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A stopped process would not see the request to end.
        let gone = self.signal(Signal::CONT).is_err()
            || self.signal(Signal::TERM).is_err()
            || end_within(&mut self.child, Duration::from_secs(10)).is_ok_and(|end| end.is_some());
        if !gone {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
