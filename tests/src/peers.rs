//! Small peers and files: services to forward to, folk to be, bytes to send.

use crate::process::{Input, Running, run};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A TCP service on loopback that greets first, then returns what it gets.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Echo {
    /// What it says before it hears anything.
    pub const GREETING: &'static str = "220 echo ready\r\n";

    /// Starts it; it goes on until the test's process ends.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Ok(Self { address })
    }
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(Echo::GREETING.as_bytes())?;
    let mut buffer = [0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

/// A device that takes the connection and never says a word.
#[derive(Debug)]
pub struct Silent {
    /// Where it listens.
    pub address: SocketAddr,
    // Connections wait in the listener's queue, unanswered.
    _listener: TcpListener,
}

impl Silent {
    /// Starts it.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { address: listener.local_addr()?, _listener: listener })
    }
}

/// Below the ports that Linux gives to connections and listeners that ask for none of their own.
const PORTS: Range<u32> = 10_000..32_000;
/// Ports that a test looks at before it comes to those of the next process.
const OF_A_TEST: u32 = 64;

/// A loopback port that was free a moment ago. No connection of another test takes it meanwhile, and those that look for
/// one at the same time look elsewhere.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    for _ in 0..count {
        let number = std::process::id().wrapping_mul(OF_A_TEST).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % count)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

/// The system user the tests run as: the one account of the sshd.
///
/// # Errors
/// `id` fails.
pub fn current_user() -> Result<String> {
    let output = run(Command::new("id").arg("-un"), Input::Nothing, Duration::from_secs(10))?.success()?;
    Ok(output.text().trim().to_owned())
}

/// The SHA-256 of a file in hex, by `sha256sum`.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(file: &Path) -> Result<String> {
    let output = run(Command::new("sha256sum").arg("--").arg(file), Input::Nothing, crate::PATIENCE)?.success()?;
    // A backslash stands before the sum when the name holds strange characters.
    let sum = output.text().split_whitespace().next().map(|sum| sum.trim_start_matches('\\').to_owned());
    sum.context("sha256sum printed nothing")
}

/// Runs `command` to its end and returns the SHA-256 of its output, by `sha256sum`, however much that is.
///
/// # Errors
/// It fails, or takes longer than `limit`.
pub fn sha256_of_output(command: &mut Command, input: Input, limit: Duration) -> Result<String> {
    match input {
        Input::Nothing => command.stdin(Stdio::null()),
        Input::File(file) => command.stdin(file),
        Input::Bytes(_) => bail!("{command:?} wants a file, or nothing"),
    };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no standard output")?;
    let said = child.stderr.take().map(Transcript::of).context("no standard error")?;
    let mut running = Running::new(child);
    let sum = run(&mut Command::new("sha256sum"), Input::File(File::from(OwnedFd::from(stdout))), limit);
    let sum = sum.with_context(|| format!("{command:?} had said: {}", said.text()))?.success()?;
    let status = running.end_within(limit)?;
    ensure!(status.success(), "{command:?}: {status}: {}", said.wait_end(limit)?);
    sum.text().split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

/// Writes `mebibytes` MiB that do not repeat and do not compress (a xorshift generator).
///
/// # Errors
/// The file cannot be written.
pub fn pattern_file(file: &Path, mebibytes: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mebibytes * 1024 * 1024 / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    Ok(out.flush()?)
}

/// Connects to `to` from a source address of loopback (`127.0.0.2` is another machine, as far as a peer can tell).
///
/// # Errors
/// The connection is refused.
pub fn connect_from(source: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    connect(&socket, &to).with_context(|| format!("{source} cannot connect to {to}"))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(crate::PATIENCE))?;
    Ok(stream)
}

/// Connects to a port of loopback as soon as somebody listens: an `ssh` that forwards does after it has signed in, and
/// tells nobody.
///
/// # Errors
/// Nobody does in time.
pub fn connected(port: u16) -> Result<TcpStream> {
    let end = Instant::now() + crate::PATIENCE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(crate::PATIENCE))?;
                return Ok(stream);
            }
            Err(fault) if Instant::now() > end => return Err(fault).context("nobody listens"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// How many connections to this port of loopback are established now, as the kernel counts them.
///
/// # Errors
/// `/proc/thread-self/net/tcp` cannot be read.
pub fn connections_to(port: u16) -> Result<usize> {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
    let remote = format!(":{port:04X}");
    let established = |line: &&str| {
        // sl, local address, remote address, state (01: established)
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|address| address.ends_with(&remote)) && fields.next() == Some("01")
    };
    Ok(table.lines().skip(1).filter(established).count())
}

/// Waits until what is sent to the port piles up on this side, and no more of it is taken.
///
/// # Errors
/// It keeps flowing, or nothing is sent.
pub fn await_standstill(port: u16) -> Result<()> {
    let end = Instant::now() + crate::PATIENCE;
    let mut before = 0;
    while Instant::now() < end {
        let now = queued_towards(port)?;
        if now > 0 && now == before {
            return Ok(());
        }
        before = now;
        thread::sleep(Duration::from_millis(500));
    }
    bail!("what is sent to port {port} does not come to a standstill: {before} bytes are queued")
}

/// Bytes that wait to be sent to this port of loopback, or to be acknowledged.
fn queued_towards(port: u16) -> Result<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
    let remote = format!(":{port:04X}");
    let queued = |line: &str| {
        // sl, local address, remote address, state, tx_queue:rx_queue
        let mut fields = line.split_whitespace().skip(2);
        let towards = fields.next()?.ends_with(&remote);
        let (sending, _) = fields.nth(1)?.split_once(':')?;
        towards.then(|| u64::from_str_radix(sending, 16).unwrap_or_default())
    };
    Ok(table.lines().skip(1).filter_map(queued).sum())
}

/// Waits until nobody is connected to the port, and returns how long that took. The kernel tells nobody: it is asked.
///
/// # Errors
/// Somebody is still connected after `limit`.
pub fn await_disconnection(port: u16, limit: Duration) -> Result<Duration> {
    let begin = Instant::now();
    while connections_to(port)? > 0 {
        if begin.elapsed() > limit {
            bail!("port {port} is still connected after {limit:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(begin.elapsed())
}
