//! What users of other gateways suffered from, and the test that watches over each.
//!
//! | | elsewhere | here, watched by |
//! |---|---|---|
//! | 1 | an upload to a slow device grows memory | `flow::a_device_that_takes_nothing…`, `bulk::a_slow_person_gets_everything…` |
//! | 2 | bulk data both ways at once locks up | `exec::bulk_both_ways`, `bulk::full_duplex_bulk…`, `jump::bytes_flow_both_ways…` |
//! | 3 | one unanswered forward freezes the connection | `an_unanswered_forward_holds_up_nobody` |
//! | 4 | one unread channel stops the others | `an_unread_channel_holds_up_nobody` |
//! | 5 | who stops reading cannot be cut off | `cutting::a_cut_takes_effect…`, `cutting::invariant_02_a_line_that_went_dead…` |
//! | 6 | success is told before the device said so | `a_device_that_refuses_is_believed`, `endings_come_as_they_were`, `exec::exit_codes_and_streams` |
//! | 7 | what cannot be recorded goes on unrecorded | `recording::invariant_03_…`, `disk::…`, `database::…` |
//! | 8 | the vendor is asked to trust the device's key | `equipment::a_device_with_another_host_key…`, `jump::a_certificate_vouches…` |
//! | 9 | SFTP passes unseen, and with it `scp` | `files::…`, `jump::files_travel…` |
//! | 10 | no new keys for hours, or sessions lost over them | `bulk::full_duplex_bulk…`, `openssh::keys_are_exchanged_again…`; 4 GiB each way in `make soak` |
//! | 11 | early input and early greetings are lost | `input_that_comes_before_the_device_arrives`, `forward::…both_directions…`, `openssh::rsync…`, `…ansible…` |
//! | 12 | old equipment is out of reach | not yet |
//! | 13 | a code counts twice | `sign_in::invariant_06_…`, `clock::a_code_stays_spent…` |
//! | 14 | passwords and screens in the debug log | `no_terminal_byte_and_no_secret_is_in_the_log` |
//! | 15 | one slow database or disk stalls everybody | `database::a_database_that_stands_still…` |
//! | 16 | what expires leaves sessions open | `cutting::invariant_02_…`, `cutting::invariant_08_…`, `revocation::…`, `clock::…` |
//! | 17 | recordings belong to no request, views to nobody | `revocation::a_session_ends_with_its_own_work…`, `recording::invariant_10_…` |
//! | 18 | windows are compared in the server's time | `decisions::invariant_11_…`, and `windows.rs`, `rrules.rs` of `sekimori-policy` |
//! | 19 | recordings nobody else can open | `terminal::a_terminal_session…` (the stock player), `forward::…` (Wireshark), `foreign_*.rs` of `sekimori-audit` |

use anyhow::{Context, Result, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket};
use sekimori_tests::{
    DEVICE, Database, Echo, Hospital, Input, Link, PATIENCE, Running, Sshd, Surroundings, Terminal, Transcript, Window,
    at, connected, free_port, run, sha256,
};
use serde_json::json;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What a neighbour may have to wait, on two busy cores: other tests run beside this one.
const ANSWER: Duration = Duration::from_secs(1);

#[test]
fn an_unanswered_forward_holds_up_nobody() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    hospital.gateway.reconfigure("[ssh]", "dial_timeout_seconds = 4")?;
    let unanswered = Unanswered::new()?;
    let (dead, alive) = (unanswered.address.port().to_string(), hospital.echo.address.port().to_string());
    let channels = ["--channel", "shell", "--channel", "exec", "--forward", &dead, "--forward", &alive];
    hospital.gateway.act(&hospital.administrator, &[&["device", "change", DEVICE], &channels[..]].concat())?;
    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    let (to_dead, to_alive) = (free_port()?, free_port()?);
    let forwards =
        [(to_dead, &dead), (to_alive, &alive)].map(|(local, port)| format!("127.0.0.1:{local}:localhost:{port}"));
    let [first, second] = &forwards;
    let shared = hospital.shared(&certificate, &hospital.user(), &["-L", first, "-L", second])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;

    let begin = Instant::now();
    let mut waiting = connected(to_dead)?;
    for number in 0..5 {
        quick(|| terminal.ask(&format!("echo A''{number}-\r"), &format!("A{number}-")).map(drop))?;
        let mut greeting = vec![0; Echo::GREETING.len()];
        quick(|| Ok(connected(to_alive)?.read_exact(&mut greeting)?)).context("a forward that is answered")?;
        ensure!(greeting == Echo::GREETING.as_bytes());
    }
    ensure!(begin.elapsed() < Duration::from_secs(4), "it took so long that nothing was waiting any more");
    // It is told as well, in the end.
    ensure!(waiting.read(&mut [0; 1]).unwrap_or(0) == 0, "a port that never answered said something");
    shared.log.wait_for("The device does not answer", PATIENCE)?;
    ensure!(begin.elapsed() >= Duration::from_secs(4));
    Ok(())
}

#[test]
fn an_unread_channel_holds_up_nobody() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;
    let mut terminal = Terminal::start(&shared.command(&["-tt"]), 80, 24)?;
    terminal.ask("echo RE''ADY\r", "READY")?;
    // Nobody reads this pipe: the channel's window runs out, and stays so.
    let mut unread = shared.command(&["-T"]);
    unread.arg("cat /dev/zero").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut unread = Running::new(unread.spawn()?);
    let session = hospital.await_session(|session| session.closed.is_none())?;
    hospital.stops_growing(&session)?;
    let before = hospital.gateway.resident_kib()?;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        slowest =
            slowest.max(quick(|| terminal.ask(&format!("echo A''{number}-\r"), &format!("A{number}-")).map(drop))?);
    }
    run(shared.command(&["-T"]).arg("true"), Input::Nothing, PATIENCE)?.success().context("one more channel")?;
    println!("the slowest of 20 answers beside an unread channel took {slowest:?}");
    ensure!(!unread.has_ended()?, "the unread channel ended");
    let grown = hospital.gateway.resident_kib()?.saturating_sub(before);
    ensure!(grown < 8 << 10, "the gateway holds {grown} KiB more");
    Ok(())
}

/// Two equipment servers of OpenSSH: one that has no SFTP, and one that forbids terminals and commands.
#[test]
fn a_device_that_refuses_is_believed() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let without = Sshd::start_with(Some(&hospital.gateway.demo.ssh.ca_key), "Match all\n MaxSessions 0\n")?;
    let act = |args: &[&str]| hospital.gateway.act(&hospital.administrator, args);
    act(&["device", "change", DEVICE, "--address", &without.address.to_string()])?;
    for fingerprint in without.fingerprints()? {
        act(&["device", "pin", DEVICE, "--fingerprint", &fingerprint])?;
    }
    act(&["device", "credential", DEVICE, &without.account, "--certificate"])?;
    let certificate = hospital.sign_in()?;
    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(output.code != Some(0) && output.stdout.is_empty(), "it is told to have worked: {output:?}");
    ensure!(output.stderr.contains(DEVICE), "the person is not told who refused: {output:?}");
    Ok(())
}

/// Exit status, signal, data and end of file, message by message, as asyncssh sees them.
#[test]
fn endings_come_as_they_were() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let mut python = hospital.asyncssh("endings.py", &[])?;
    let said = run(&mut python, Input::Nothing, PATIENCE)?.success()?.text();
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let ends = |field: &str| at(&said, field).as_array().cloned().unwrap_or_default();
    for (field, status) in [("/status", "status 7"), ("/killed", "signal TERM")] {
        // The status before the end of file: some clients hang up at the latter.
        ensure!(ends(field) == [json!("data"), json!(status), json!("eof"), json!("close")], "{field}: {said}");
    }
    // A stream that ended long before its command is told as ended, before the status.
    ensure!(ends("/early_eof") == [json!("eof"), json!("status 4"), json!("close")], "{said}");
    ensure!(
        at(&said, "/after_eof") == "in-after-eof",
        "the end of input did not arrive, or took the rest along: {said}"
    );
    ensure!(at(&said, "/whole") == &json!([3_000_000, "close", true]), "{said}");
    Ok(())
}

#[test]
fn input_that_comes_before_the_device_arrives() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let link = Link::to(hospital.sshd.address)?;
    let change = ["device", "change", DEVICE, "--address", &link.address.to_string()];
    hospital.gateway.act(&hospital.administrator, &change)?;
    let certificate = hospital.sign_in()?;
    link.goes_dead();
    let sent = hospital.bulk_file("sent", 6)?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-v", "-T", "gate", "sha256sum"]).stdin(std::fs::File::open(&sent)?);
    let mut child = ssh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
    let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
    let mut ssh = Running::new(child);
    // The command is asked for, and input follows at once; the device has not said a word yet.
    log.wait_for("Sending command", PATIENCE)?;
    hospital.await_session(|session| session.closed.is_none())?;
    std::thread::sleep(Duration::from_secs(1));
    link.comes_back();
    ensure!(ssh.end_within(PATIENCE)?.success(), "{}", log.text());
    let sum = said.wait_end(PATIENCE)?;
    ensure!(sum.starts_with(&sha256(&sent)?), "what was sent early did not arrive: {sum}");
    Ok(())
}

#[test]
fn no_terminal_byte_and_no_secret_is_in_the_log() -> Result<()> {
    let everything = [("SEKIMORI_LOG", "trace"), ("RUST_LOG", "trace")];
    let surroundings = Surroundings { environment: &everything, ..Surroundings::default() };
    let hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let secret = "a-service-password-7b1f";
    let args = ["device", "credential", DEVICE, &hospital.sshd.account, "--password-stdin"];
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    terminal.ask("typed=seen; echo SHOWN''-5d20-$typed\r", "SHOWN-5d20-seen")?;
    terminal.ask("stty -echo; echo HID''DEN; read unseen\r", "HIDDEN")?;
    terminal.ask("unseen-93ac-typed\r", "")?;
    let piped = hospital.exec(&certificate, "cat; echo told-41fe >&2", Input::from("piped-c877"))?.success()?;
    ensure!(piped.text() == "piped-c877");
    let jumped = hospital.exec(&certificate, "head -c 100000 /dev/zero | tr '\\0' q", Input::Nothing)?.success()?;
    ensure!(jumped.stdout.len() == 100_000);
    // The device refuses this one; it is not shown for that.
    hospital.gateway.act_with(&hospital.administrator, &args, Input::from(secret))?;
    hospital.exec(&certificate, "true", Input::Nothing)?;

    let log = hospital.gateway.log.text();
    ensure!(log.contains("TRACE") || log.contains("DEBUG"), "nothing was logged at that level: the test tells nothing");
    let words = ["SHOWN-5d20", "SHOWN''-5d20", "unseen-93ac", "piped-c877", "told-41fe", "qqqqqqqq", secret];
    for word in words.iter().chain([&hospital.engineer.password.as_str()]) {
        for written in spellings(word) {
            let place = log.find(&written).map(|place| log.get(place.saturating_sub(300)..place + 200));
            ensure!(place.is_none(), "{word:?} is in the log: {place:?}");
        }
    }
    Ok(())
}

/// A text as logs write it: as it is, as a list of bytes, in hex.
fn spellings(text: &str) -> [String; 4] {
    let bytes = text.as_bytes();
    let joined = |each: fn(&u8) -> String, between| bytes.iter().map(each).collect::<Vec<_>>().join(between);
    [
        text.to_owned(),
        joined(u8::to_string, ", "),
        joined(|byte| format!("{byte:02x}"), ""),
        joined(|byte| format!("{byte:02x}"), " "),
    ]
}

/// How long something took, which is never long.
fn quick(ask: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    ask()?;
    let took = begin.elapsed();
    ensure!(took < ANSWER, "an answer took {took:?}");
    Ok(took)
}

/// A port that neither answers nor refuses: its queue of connections is full, so that the kernel drops what knocks.
struct Unanswered {
    address: SocketAddr,
    _sockets: Vec<OwnedFd>,
}

impl Unanswered {
    fn new() -> Result<Self> {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
        listen(&listener, 0)?;
        let address = SocketAddr::try_from(getsockname(&listener)?)?;
        // One waits in the queue; it is never taken out.
        let waits = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        connect(&waits, &address)?;
        Ok(Self { address, _sockets: vec![listener, waits] })
    }
}
