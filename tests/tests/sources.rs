//! Where somebody comes from: the socket's address, or a configured proxy's word, and nothing else.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{Database, ENGINEER, Hospital, Input, PATIENCE, Proof, at, connect_from, run};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Loopback addresses that stand for other machines.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const COLLEAGUE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

#[test]
fn invariant_09_an_unknown_source_gets_no_banner_and_no_say() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let gate = hospital.gateway.ssh_address()?;

    let mut known = connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), gate)?;
    let mut banner = [0; 4];
    known.read_exact(&mut banner)?;
    ensure!(&banner == b"SSH-", "{banner:?}");

    // What a stranger claims in a PROXY header is his word, not the socket's.
    let claims = ["", "PROXY TCP4 127.0.0.1 127.0.0.1 40000 2222\r\n"];
    for claim in claims {
        // More often than any throttle lets pass.
        for _ in 0..30 {
            let mut stranger = connect_from(STRANGER, gate)?;
            // It may be closed before anything could be said: that is the point.
            let _ = stranger.write_all(format!("{claim}SSH-2.0-stranger\r\n").as_bytes());
            let mut got = Vec::new();
            let _ = stranger.read_to_end(&mut got);
            ensure!(got.is_empty(), "a stranger was answered: {:?}", String::from_utf8_lossy(&got));
        }
    }
    // The strangers have locked nobody out.
    signs_in(&hospital)?;
    ensure!(!hospital.events("source.refused")?.is_empty(), "the strangers are on record nowhere");
    Ok(())
}

#[test]
fn invariant_09_a_configured_proxys_word_counts_and_nobody_elses() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let config = &hospital.gateway.demo.config;
    let proxied =
        fs::read_to_string(config)?.replace("[ssh]\n", &format!("[ssh]\ntrusted_proxies = [\"{PROXY}/32\"]\n"));
    fs::write(config, proxied)?;
    hospital.gateway.signal(Signal::HUP)?;
    hospital.gateway.log.wait_for("read again", PATIENCE)?;
    let gate = hospital.gateway.ssh_address()?;

    let header = |source: &str| format!("PROXY TCP4 {source} 127.0.0.1 40000 2222\r\n");
    let answer = |header: &str| answer_to(PROXY, gate, header);
    ensure!(answer(&header("127.0.0.1"))?.starts_with(b"SSH-2.0-"), "whom the proxy names is allowed, and not let in");
    ensure!(answer(&header("198.51.100.7"))?.is_empty(), "whom the proxy names is a stranger, and was answered");
    ensure!(answer("SSH-2.0-client\r\n\r\n")?.is_empty(), "a proxy that names nobody was answered");
    ensure!(answer("PROXY TCP4 127.0.0.1 nonsense\r\n")?.is_empty(), "a malformed header was believed");
    ensure!(answer_to(STRANGER, gate, &header("127.0.0.1"))?.is_empty(), "a stranger's header was believed");
    let refused = hospital.events("source.refused")?;
    let sources: Vec<_> = refused.iter().filter_map(|event| at(event, "/source").as_str()).collect();
    ensure!(sources.contains(&"198.51.100.7") && !sources.contains(&"127.0.0.3"), "{sources:?}");
    Ok(())
}

#[test]
fn invariant_09_failures_from_elsewhere_lock_nobody_out() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let act = |args: &[&str]| hospital.gateway.act(&hospital.administrator, args);
    let contract = ["--contract-from", "2025-04-01", "--contract-until", "2099-03-31"];
    let network = format!("{COLLEAGUE}/32");
    act(&[&["vendor", "add", "another", "--name", "Another", "--source", &network][..], &contract].concat())?;
    act(&["person", "add", "kato", "--name", "Kato", "--vendor", "another"])?;

    // A network that is allowed, to somebody else. More often than failures are free of waiting.
    let source = format!("BindAddress={COLLEAGUE}");
    for _ in 0..6 {
        let guess = Proof::PasswordAndCode("a guess of somebody else", "000000");
        let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), guess)?;
        let output = run(ssh.args(["-o", &source, "-T", "gate", "true"]), Input::Nothing, PATIENCE)?;
        ensure!(output.code == Some(255), "{output:?}");
    }
    signs_in(&hospital).context("locked out by others")?;
    let failed = hospital.events("sign-in.failed")?;
    ensure!(failed.len() >= 6, "failures are on record nowhere: {failed:?}");
    ensure!(failed.iter().all(|event| at(event, "/person") != ENGINEER), "counted against the person: {failed:?}");
    Ok(())
}

/// What the gateway says to a peer from `source` that begins with `words`, as far as a banner goes.
fn answer_to(source: IpAddr, gate: SocketAddr, words: &str) -> Result<Vec<u8>> {
    let mut peer = connect_from(source, gate)?;
    let _ = peer.write_all(words.as_bytes());
    let mut got = vec![0; 8];
    let count = peer.read(&mut got).unwrap_or(0);
    got.truncate(count);
    Ok(got)
}

fn signs_in(hospital: &Hospital) -> Result<()> {
    let code = hospital.engineer.codes.fresh()?;
    let proof = Proof::PasswordAndCode(&hospital.engineer.password, &code);
    hospital.workstation.exec(&hospital.user(), proof, "true", Input::Nothing, PATIENCE)?.success()?;
    Ok(())
}
