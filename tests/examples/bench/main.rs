//! `make bench`: what passing through the gateway costs, recording on, beside OpenSSH's own ProxyJump in the same run.
//!
//! Everything runs on this machine's loopback, on the same processors, with AES-256-GCM on every hop; each figure is a
//! median. What it does not say: how a real network behaves, or the clients' side of the cost.
//!
//!     bench [quick] [exec] [forward] [sftp] [keystroke] [sign-in] [memory] [power]
//!
//! All sections, or those named; `quick` with a quarter of the bytes.

mod bulk;
mod many;
mod ways;

use anyhow::{Context, Result};
use bulk::{Load, Rate};
use many::Others;
use std::path::PathBuf;
use std::time::Instant;
use ways::{Stage, Way};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "quick");
    let wanted = |section: &str| {
        let mut named = words.iter().filter(|word| *word != "quick").peekable();
        named.peek().is_none() || named.any(|word| word == section)
    };
    let load = if quick { Load { mebibytes: 256, runs: 3 } } else { Load { mebibytes: 1024, runs: 3 } };
    let half = Load { mebibytes: load.mebibytes / 2, ..load };
    let mut stage = Stage::start()?;
    let memory = tempfile::Builder::new().prefix("sekimori-bench-").tempdir_in("/dev/shm")?;
    let file = |name: &str, mebibytes: u32| -> Result<PathBuf> {
        let path = memory.path().join(name);
        sekimori_tests::pattern_file(&path, mebibytes.into())?;
        Ok(path)
    };
    let heads = ["direct", "ProxyJump", "Sekimori", "ratio", "CPU/GiB", "sealing"];
    let [direct, jump, gateway, ratio, cpu, sealing] = heads;
    println!("{:34}{direct:>9}{jump:>11}{gateway:>10}{ratio:>9}{cpu:>9}{sealing:>9}", "");
    if wanted("exec") {
        let (random, zeros) = (file("random", load.mebibytes)?, memory.path().join("zeros"));
        std::fs::File::create(&zeros)?.set_len(u64::from(load.mebibytes) << 20)?;
        for (what, file) in [("random", random), ("zeros", zeros)] {
            rates(&format!("exec down, {what}, MiB/s"), |way| stage.exec_down(way, &file, load))?;
            rates(&format!("exec up, {what}, MiB/s"), |way| stage.exec_up(way, &file, load))?;
        }
    }
    if wanted("forward") {
        rates("-L down, MiB/s", |way| stage.forward_down(way, load))?;
        rates("-L up, MiB/s", |way| stage.forward_up(way, load))?;
    }
    if wanted("sftp") {
        let file = file("half", half.mebibytes)?;
        rates("sftp get, MiB/s", |way| stage.sftp_get(way, &file, half))?;
        rates("sftp put, MiB/s", |way| stage.sftp_put(way, &file, half))?;
    }
    if wanted("keystroke") {
        let beside =
            [("idle", Others::None), ("2 sessions flood", Others::Floods(2)), ("200 at work", Others::Work(200))];
        for (what, others) in beside {
            keystrokes(what, each_way(|way| stage.keystrokes(way, others))?);
        }
    }
    if wanted("sign-in") {
        row("sign-ins a second, 8 at once", each_way(|way| stage.sign_ins(way))?, 1, "");
    }
    if wanted("memory") {
        for sessions in if quick { [20, 50] } else { [100, 500] } {
            let (open, closed) = stage.idle_memory(sessions)?;
            println!("memory of {sessions} idle sessions: {open:.0} KiB each, {closed:.0} KiB each after they closed");
        }
    }
    if wanted("power") {
        // Last: the gateway is another one from here on. What the others cost is known from above.
        let _gateway = stage.through_power_cuts()?;
        for (what, others) in [("power, idle", Others::None), ("power, 200 at work", Others::Work(200))] {
            let (median, tail) = stage.keystrokes(Way::Sekimori, others)?;
            println!("keystroke, {what}, ms, p50 / p99: {median:.2} / {tail:.2}");
        }
    }
    Ok(())
}

fn keystrokes(what: &str, each: [(f64, f64); 3]) {
    row(&format!("keystroke, {what}, ms, p50"), each.map(|(median, _)| median), 2, "");
    row(&format!("keystroke, {what}, ms, p99"), each.map(|(_, tail)| tail), 2, "");
}

fn each_way<T>(measure: impl Fn(Way) -> Result<T>) -> Result<[T; 3]> {
    let [direct, jump, gateway] = Way::ALL;
    Ok([measure(direct)?, measure(jump)?, measure(gateway)?])
}

fn rates(what: &str, measure: impl Fn(Way) -> Result<Rate>) -> Result<()> {
    let each = each_way(measure)?;
    let [.., gateway] = each;
    row(what, each.map(|rate| rate.mebibytes), 0, &format!("{:>8.2}s{:>8.2}s", gateway.cpu, gateway.sealing));
    Ok(())
}

/// One line of the table; the ratio is the gateway's figure to ProxyJump's.
fn row(what: &str, [direct, jump, gateway]: [f64; 3], digits: usize, more: &str) {
    let ratio = gateway / jump;
    println!("{what:34}{direct:>9.digits$}{jump:>11.digits$}{gateway:>10.digits$}{ratio:>9.2}{more}");
}

/// How long something takes.
fn seconds(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    run()?;
    Ok(begin.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    percentile(&mut values, 50)
}

/// The value that so many percent of all do not exceed.
fn percentile(values: &mut [f64], percent: usize) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().context("nothing was measured")
}
