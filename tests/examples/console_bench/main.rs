//! What the console's pages cost with years of sessions behind them, and what approvers cost who poll and watch at once:
//! `cargo run --release -p sekimori-tests --example console_bench`.
//!
//! 10,000 devices and 100,000 sessions are copied into the database; each page is then asked for by curl, the first time
//! and five times more, without connecting. Then 200 browsers ask for the inbox every five seconds, 100 of them watching a
//! session that types, beside a bulk transfer by `ssh`. Everything runs on this machine: the browsers' own cost is in it.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Browser, DEVICE, Database, Hospital, Input, Terminal, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const DEVICES: &str = "10000";
const SESSIONS: &str = "100000";
/// Browsers at once.
const BROWSERS: &str = "200";
/// How long they poll, in seconds.
const POLLING: u64 = 30;
const LIMIT: Duration = Duration::from_secs(300);
/// Bytes of the transfer that is timed.
const BULK: u32 = 512 << 20;

fn main() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    // All of them come from one address, as no approvers do.
    hospital.gateway.reconfigure("[ssh]", "max_connections_per_source = 1000\nmax_connections = 2000\n")?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.closed_session()?;
    let filled = run(
        Command::new("python3")
            .arg(script("fill.py"))
            .arg(hospital.gateway.demo.data_dir.join("sekimori.db"))
            .args([DEVICES, SESSIONS]),
        Input::Nothing,
        LIMIT,
    )?;
    println!("devices and sessions: {}", filled.success()?.text().trim());
    pages(&hospital)?;
    approvers(&hospital, &certificate)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/console_bench").join(name)
}

fn pages(hospital: &Hospital) -> Result<()> {
    println!("{:42}{:>10}{:>10}{:>10}", "page", "first ms", "then ms", "KB");
    let vendor = Browser::new(&hospital.gateway.demo.console)?;
    let engineer = &hospital.engineer;
    vendor.sign_in(&engineer.id, &engineer.password, &engineer.codes)?;
    for path in ["/my-devices", "/works", "/request", "/calendar", "/attestation", "/account"] {
        page(&vendor, "vendor", path)?;
    }
    let device = format!("/devices/{DEVICE}");
    for (role, paths) in [
        ("approver", vec!["/inbox", "/reviews", "/works", "/calendar", "/live", "/sessions", "/locks", "/system"]),
        ("auditor", vec!["/devices", "/devices/unit-05000", device.as_str(), "/people", "/vendors", "/mails"]),
        ("administrator", vec!["/people/approver", "/devices/unit-05000/change", "/sign-ins"]),
    ] {
        let browser = Browser::new(&hospital.gateway.demo.console)?;
        browser.sign_in_as(hospital.gateway.person(role)?)?;
        for path in paths {
            page(&browser, role, path)?;
        }
    }
    Ok(())
}

fn page(browser: &Browser, role: &str, path: &str) -> Result<()> {
    let first = browser.get(path)?;
    ensure!(first.status == 200, "{path} answered {}", first.status);
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(browser.get(path)?.took);
    }
    took.sort();
    let then = took.get(2).context("it was asked for five times")?;
    let milliseconds = |took: &Duration| took.as_secs_f64() * 1000.0;
    let kilobytes = f64::from(u32::try_from(first.body.len())?) / 1000.0;
    let what = format!("{role} {path}");
    println!("{what:42}{:>10.1}{:>10.1}{kilobytes:>10.1}", milliseconds(&first.took), milliseconds(then));
    Ok(())
}

fn approvers(hospital: &Hospital, certificate: &Path) -> Result<()> {
    let mut terminal = hospital.shell(hospital.carried(certificate))?;
    terminal.ask("while echo tick; do sleep 0.2; done\r", "tick")?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let browser = Browser::new(&hospital.gateway.demo.console)?;
    browser.sign_in_as(hospital.gateway.person("approver")?)?;
    let alone = transfer(hospital, certificate)?;
    let (host, port) = address(&hospital.gateway.demo.console.url)?;
    let polling = Command::new("python3")
        .arg(script("approvers.py"))
        .args([host, port])
        .arg(&hospital.gateway.demo.console.ca_file)
        .arg(browser.jar())
        .args([BROWSERS, &POLLING.to_string(), &session.id.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    // They come within five seconds.
    thread::sleep(Duration::from_secs(8));
    let (before, begun) = (hospital.gateway.processor_seconds()?, Instant::now());
    thread::sleep(Duration::from_secs(8));
    let cores = (hospital.gateway.processor_seconds()? - before) / begun.elapsed().as_secs_f64();
    let beside = transfer(hospital, certificate)?;
    let polled = polling.wait_with_output()?;
    ensure!(polled.status.success(), "the approvers met a fault");
    let polled = String::from_utf8(polled.stdout)?;
    let [answers, median, slowest] = polled.split_whitespace().collect::<Vec<_>>()[..] else {
        anyhow::bail!("the approvers said {polled:?}")
    };
    println!("{BROWSERS} approvers who poll, half of them watching: {cores:.2} cores of the gateway's");
    println!("  {answers} answers to /inbox, median {median} ms, slowest {slowest} ms");
    println!("  exec down, MiB/s: {alone:.0} alone, {beside:.0} beside them, ratio {:.2}", beside / alone);
    terminal.type_in("\u{3}exit\r")?;
    drop::<Terminal>(terminal);
    Ok(())
}

fn address(url: &str) -> Result<(&str, &str)> {
    url.strip_prefix("https://").and_then(|rest| rest.rsplit_once(':')).context("the console's URL has no port")
}

/// MiB a second of bytes from the device, the median of three.
fn transfer(hospital: &Hospital, certificate: &Path) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let output = hospital.exec(certificate, &format!("head -c {BULK} /dev/zero"), Input::Nothing)?.success()?;
        ensure!(output.stdout.len() == BULK as usize, "bytes were lost");
        rates.push(f64::from(BULK >> 20) / begun.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    rates.get(1).copied().context("three were timed")
}
