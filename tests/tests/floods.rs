//! Floods: of connections that never sign in, of handshakes that drag on, of channels, of requests. None of them keeps
//! anybody else out, slows a neighbour down for long, or leaves anything behind.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sekimori_tests::{
    Database, Footprint, Hospital, Input, PATIENCE, Proof, Running, Terminal, Transcript, VENDOR, at, connect_from,
};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 2_000;
const SOURCES: usize = 40;

/// Connections at once from one source, by default.
const PER_SOURCE: usize = 64;

/// Sign-in grace while the flood is on, in seconds: far longer than two busy cores need to take them all in. And what a
/// cut may take there.
const GRACE: u64 = 90;
const LATE: Duration = Duration::from_secs(20);

/// What a neighbour who types may have to wait at most.
const ANSWER: Duration = Duration::from_secs(3);

#[test]
fn two_thousand_connections_that_never_sign_in_keep_nobody_out() -> Result<()> {
    may_open_many_files()?;
    let hospital = Hospital::open(Database::Sqlite)?;
    // As many as the flood has, and the terminal that is there before it.
    let limits = format!("login_grace_seconds = {GRACE}\nmax_connections = {}", CONNECTIONS + 1);
    hospital.gateway.reconfigure("[ssh]", &limits)?;
    let act = ["vendor", "change", VENDOR, "--source", "127.0.0.0/8"];
    hospital.gateway.act(&hospital.administrator, &act)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let gate = hospital.gateway.ssh_address()?;
    let before = hospital.gateway.at_rest()?;

    // One source alone goes no further than its limit.
    let alone = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
    let mut alone: Vec<_> = (0..=PER_SOURCE).map(|_| connect_from(alone, gate)).collect::<Result<_>>()?;
    let greeted = alone.iter_mut().map(is_greeted).filter(|greeted| *greeted).count();
    ensure!(greeted == PER_SOURCE, "{greeted} of {} connections from one source were greeted", PER_SOURCE + 1);
    drop(alone);
    hospital.gateway.back_at(&before)?;

    // As many as the gateway takes in all, from networks of the vendor's own, each within its limit: all are let in.
    let begin = Instant::now();
    let mut idle = Vec::new();
    for number in 0..CONNECTIONS {
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number % SOURCES + 1)?);
        idle.push(connect_from(IpAddr::V4(source), gate)?);
    }
    for (number, stream) in idle.iter_mut().enumerate() {
        ensure!(is_greeted(stream), "number {number} of {CONNECTIONS} was not greeted in {:?}", begin.elapsed());
    }

    // An engineer from elsewhere signs in meanwhile, and one who is in works on.
    let engineer = &hospital.engineer;
    let proof = Proof::KeyAndPassword(&engineer.key, &engineer.password);
    let signed = hospital.workstation.exec(&hospital.user(), proof, "echo in", Input::Nothing, PATIENCE)?;
    ensure!(signed.success().context("kept out by those who never sign in")?.text() == "in\n");
    slowest_answer(&mut terminal, 10, ANSWER)?;
    ensure!(begin.elapsed() < Duration::from_secs(GRACE), "all took {:?}: the flood was over", begin.elapsed());

    for stream in &mut idle {
        let left = (Duration::from_secs(GRACE) + LATE).saturating_sub(begin.elapsed());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut rest = Vec::new();
        // A reset is an end as well; running out of time is none.
        if let Err(fault) = stream.read_to_end(&mut rest) {
            ensure!(fault.kind() == std::io::ErrorKind::ConnectionReset, "never cut: {fault}");
        }
    }
    drop(idle);
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;
    let after = hospital.gateway.back_at(&before)?;
    println!("before {before}; after {after}");
    Ok(())
}

/// Whether it is let in; otherwise it is closed without a word.
fn is_greeted(stream: &mut TcpStream) -> bool {
    stream.read_exact(&mut [0; 4]).is_ok()
}

#[test]
fn a_handshake_that_drags_on_is_cut() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    hospital.gateway.reconfigure("[ssh]", "login_grace_seconds = 3")?;
    let gate = hospital.gateway.ssh_address()?;
    let banner = b"SSH-2.0-slow\r\n";
    // A key exchange packet that says it is long, and never comes to its end.
    let begun = [0, 0, 0x40, 0, 4, 20];
    let garbage: Vec<u8> = (0..=255).collect();
    let openings: [(&str, Vec<u8>, bool); 5] = [
        ("silence", Vec::new(), false),
        ("half a banner, a byte at a time", b"SSH-2.0-".to_vec(), true),
        ("a banner and nothing more", banner.to_vec(), false),
        ("a packet that never ends", [&banner[..], &begun].concat(), true),
        ("garbage", [&banner[..], &garbage].concat(), false),
    ];
    let drag = |(what, opening, goes_on): &(&str, Vec<u8>, bool)| -> Result<()> {
        let mut stream = connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), gate)?;
        let begin = Instant::now();
        stream.write_all(opening)?;
        if *goes_on {
            // Until it is cut: then writing fails.
            while stream.write_all(b"x").is_ok() {
                ensure!(begin.elapsed() < PATIENCE, "{what}: it may go on for ever");
                thread::sleep(Duration::from_millis(50));
            }
        } else {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let took = begin.elapsed();
        ensure!(took < Duration::from_secs(10), "{what}: cut only after {took:?}");
        Ok(())
    };
    thread::scope(|scope| {
        let dragging: Vec<_> = openings.iter().map(|opening| scope.spawn(|| drag(opening))).collect();
        dragging.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    Ok(())
}

#[test]
fn a_flood_of_connections_that_come_and_go_leaves_nothing_behind() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let gate = hospital.gateway.ssh_address()?;
    let before = hospital.gateway.at_rest()?;
    let come_and_go = |seed: usize| -> Result<()> {
        for number in 0..1_000 {
            let mut stream = TcpStream::connect(gate)?;
            match (seed + number) % 3 {
                0 => {}
                1 => stream.write_all(b"SSH-2.0-hasty\r\n")?,
                // Greeted, or turned away because so many are there.
                _ => drop(stream.read(&mut [0; 4])),
            }
        }
        Ok(())
    };
    let slowest = thread::scope(|scope| -> Result<Duration> {
        let floods: Vec<_> = (0..3).map(|seed| scope.spawn(move || come_and_go(seed))).collect();
        let slowest = slowest_answer(&mut terminal, 30, ANSWER)?;
        floods.into_iter().try_for_each(|flood| flood.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)?;
        Ok(slowest)
    })?;
    println!("the slowest answer meanwhile took {slowest:?}");
    left_nothing(&hospital, &before)?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("after the flood")?;
    Ok(())
}

#[test]
fn a_flood_of_channels_goes_as_far_as_the_limit_and_no_further() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let before = hospital.gateway.at_rest()?;
    let mut flood = Flood::start(&hospital, "channels")?;
    let slowest = slowest_answer(&mut terminal, 20, ANSWER)?;
    println!("the slowest answer meanwhile took {slowest:?}");
    let said = flood.end()?;
    ensure!(at(&said, "/open") == 64 && at(&said, "/refused") == 336, "{said}");
    left_nothing(&hospital, &before)
}

#[test]
fn a_flood_of_requests_is_borne_in_bounded_memory() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let before = hospital.gateway.at_rest()?;
    hospital.gateway.forget_peak()?;
    let mut flood = Flood::start(&hospital, "requests")?;
    let slowest = slowest_answer(&mut terminal, 30, ANSWER)?;
    let said = flood.end()?;
    let peak = hospital.gateway.peak_kib()?;
    println!("the slowest answer meanwhile took {slowest:?}; {said}; peak {peak} KiB, before {before}");
    ensure!(peak < before.resident_kib + (64 << 10), "the gateway held {} KiB", peak - before.resident_kib);
    left_nothing(&hospital, &before)
}

/// A client of one of the two floods.
struct Flood {
    said: Transcript,
    process: Running,
    stdin: Option<std::process::ChildStdin>,
}

impl Flood {
    /// Starts it; returns when it is at it.
    fn start(hospital: &Hospital, kind: &str) -> Result<Self> {
        let mut python = hospital.asyncssh("flood.py", &[kind])?;
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let stdin = child.stdin.take();
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let process = Running::new(child);
        said.wait_for("flooding", PATIENCE)?;
        Ok(Self { said, process, stdin })
    }

    /// Ends it, and returns what it says of itself.
    fn end(&mut self) -> Result<Value> {
        self.stdin.take();
        self.process.end_within(PATIENCE)?;
        let said = self.said.wait_end(PATIENCE)?;
        Ok(serde_json::from_str(said.lines().last().unwrap_or_default())?)
    }
}

/// Asks a neighbour's terminal so many times, and returns what the slowest answer took.
fn slowest_answer(terminal: &mut Terminal, times: u32, limit: Duration) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 0..times {
        let begin = Instant::now();
        terminal.ask(&format!("echo A''{number}-\r"), &format!("A{number}-"))?;
        slowest = slowest.max(begin.elapsed());
        ensure!(slowest < limit, "a neighbour waited {slowest:?} for an answer");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(slowest)
}

fn left_nothing(hospital: &Hospital, before: &Footprint) -> Result<()> {
    let after = hospital.gateway.back_at(before)?;
    println!("before {before}; after {after}");
    Ok(())
}

/// Two thousand connections are as many files, here and twice as many in the gateway.
fn may_open_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    ensure!(maximum.is_none_or(|maximum| maximum >= 8_000), "this needs 8,000 open files: ulimit -Hn {maximum:?}");
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(8_000), maximum })?)
}
