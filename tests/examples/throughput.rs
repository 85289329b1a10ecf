//! `make bench`: MiB/s of `ssh` straight to an sshd and through the gateway, side by side, with the record running.
//!
//! Bulk data of one command, down and up, on this machine's loopback; each figure is the best of three runs. What it
//! does not say: latency, many sessions at once, or what a real network does.

use anyhow::{Result, ensure};
use sekimori_tests::{Database, Hospital, Input, Output, run};
use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

const MEBIBYTES: u32 = 256;
const RUNS: u32 = 3;
/// Slower than 2 MiB/s is not worth waiting for.
const LIMIT: Duration = Duration::from_secs(128);

fn main() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let file = hospital.bulk_file("bulk", MEBIBYTES.into())?;
    let down = format!("cat {}", file.display());

    let through = |remote: &str, input: Input| {
        hospital.workstation.exec(&hospital.user(), hospital.carried(&certificate), remote, input, LIMIT)
    };
    let direct = |remote: &str, input: Input| -> Result<Output> {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]);
        ssh.args(["-p", &hospital.sshd.address.port().to_string(), "-l", &hospital.sshd.account, "-i"]);
        run(ssh.arg(&hospital.sshd.service_key).args(["127.0.0.1", remote]), input, LIMIT)
    };

    println!("{MEBIBYTES} MiB, best of {RUNS}      direct     through sekimori    ratio");
    let best_down = (
        best(|| Ok(direct(&down, Input::Nothing)?.success()?.stdout.len()))?,
        best(|| Ok(through(&down, Input::Nothing)?.success()?.stdout.len()))?,
    );
    show("down (device to person)", best_down);
    let up = "wc -c";
    let count = |output: Output| -> Result<usize> { Ok(output.success()?.text().trim().parse()?) };
    let best_up = (
        best(|| count(direct(up, Input::File(File::open(&file)?))?))?,
        best(|| count(through(up, Input::File(File::open(&file)?))?))?,
    );
    show("up (person to device)", best_up);
    Ok(())
}

/// MiB/s of the quickest run; every run must carry every byte.
fn best(carry: impl Fn() -> Result<usize>) -> Result<f64> {
    let mut best = 0.0_f64;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let bytes = carry()?;
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(u32::try_from(bytes)? == MEBIBYTES * 1024 * 1024, "{bytes} bytes arrived");
        best = best.max(f64::from(MEBIBYTES) / seconds);
    }
    Ok(best)
}

fn show(what: &str, (direct, through): (f64, f64)) {
    println!("{what:<24} {direct:>7.0} MiB/s     {through:>7.0} MiB/s     {:.2}", through / direct);
}
