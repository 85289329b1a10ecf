//! Files through `scp`, `scp -O` and `sftp`: they arrive whole, and the record says what they were.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Running, Transcript, on_both_databases, run, sha256};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

on_both_databases!(scp_both_ways, historic_scp_both_ways, sftp_both_ways);

const MEBIBYTES: u64 = 5;

fn scp_both_ways(database: Database) -> Result<()> {
    scp(database, &[])
}

fn historic_scp_both_ways(database: Database) -> Result<()> {
    scp(database, &["-O"])
}

fn scp(database: Database, how: &[&str]) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let (sent, there, back) = places(&hospital)?;

    let copy = |from: &str, to: &str| -> Result<()> {
        let mut scp = hospital.workstation.prepared("scp", &hospital.user(), hospital.carried(&certificate))?;
        run(scp.args(how).args([from, to]), Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    };
    let remote = format!("gate:{}", there.display());
    copy(&sent.display().to_string(), &remote).context("to the device")?;
    ensure!(fs::read(&there)? == fs::read(&sent)?, "another file arrived at the device");
    on_record(&hospital, "to_device", &there, &sent)?;

    copy(&remote, &back.display().to_string()).context("from the device")?;
    ensure!(fs::read(&back)? == fs::read(&sent)?, "another file came back");
    on_record(&hospital, "from_device", &there, &sent)
}

fn sftp_both_ways(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let (sent, there, back) = places(&hospital)?;

    let put = format!("put {} {}\n", sent.display(), there.display());
    let get = format!("get {} {}\n", there.display(), back.display());
    for (batch, direction) in [(put, "to_device"), (get, "from_device")] {
        let mut sftp = hospital.workstation.prepared("sftp", &hospital.user(), hospital.carried(&certificate))?;
        run(sftp.args(["-b", "-", "gate"]), Input::from(batch.as_str()), PATIENCE)?.success()?;
        on_record(&hospital, direction, &there, &sent)?;
    }
    ensure!(fs::read(&there)? == fs::read(&sent)?, "another file arrived at the device");
    ensure!(fs::read(&back)? == fs::read(&sent)?, "another file came back");
    Ok(())
}

/// A client and a device that both know a later version must not agree on one that the recording cannot follow.
#[test]
fn a_later_version_of_sftp_is_neither_passed_on_nor_a_reason_to_fail() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    for offered in [3, 6] {
        let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
        ssh.args(["-s", "gate", "sftp"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = ssh.spawn()?;
        let answers = client.stdout.take().map(Transcript::of).context("no standard output")?;
        let mut requests = client.stdin.take().context("no standard input")?;
        let _client = Running::new(client);
        // INIT, then REALPATH of ".", so that the answer to the offer is known to be understood.
        requests.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, offered])?;
        requests.write_all(&[&[0, 0, 0, 10, 16, 0, 0, 0, 7][..], &[0, 0, 0, 1], b"."].concat())?;
        answers.wait_for("/", PATIENCE).context("the path is not told")?;
        ensure!(answers.bytes().get(4..9) == Some(&[2, 0, 0, 0, 3]), "no VERSION 3: {:?}", answers.bytes());
        drop(requests);
        let session = hospital.closed_session()?;
        let lines = fs::read_to_string(hospital.recording(&session)?.join("00001.sftp.jsonl"))?;
        ensure!(lines.contains("version 3") && lines.contains("realpath"), "offered {offered}: {lines}");
    }
    Ok(())
}

/// The file to send, where it goes on the device, and where it comes back to.
fn places(hospital: &Hospital) -> Result<(PathBuf, PathBuf, PathBuf)> {
    let sent = hospital.bulk_file("update.bin", MEBIBYTES)?;
    Ok((sent, hospital.sshd.folder().join("installed.bin"), hospital.workstation.folder().join("back.bin")))
}

/// The newest session tells of one transfer: this path, this size, these bytes, and a copy of them was kept.
fn on_record(hospital: &Hospital, direction: &str, path: &Path, same_as: &Path) -> Result<()> {
    let session = hospital.closed_session()?;
    let shown = hospital.show(&session)?;
    let transfers = shown.get("transfers").and_then(Value::as_array).context("no transfers are shown")?;
    let [transfer] = transfers.as_slice() else {
        anyhow::bail!("not one transfer: {transfers:?}");
    };
    let field = |name: &str| transfer.get(name).cloned().unwrap_or_default();
    ensure!(field("direction") == direction, "{transfer}");
    ensure!(path.ends_with(field("path").as_str().unwrap_or("nothing")), "{transfer}, not {}", path.display());
    ensure!(field("size") == MEBIBYTES * 1024 * 1024, "{transfer}");
    ensure!(field("sha256") == sha256(same_as)?.as_str(), "{transfer}");
    ensure!(field("complete") == true, "{transfer}");
    let kept = field("kept_copy").as_str().map(str::to_owned).context("no copy was kept")?;
    let kept = hospital.recording(&session)?.join(kept);
    ensure!(sha256(&kept)? == sha256(same_as)?, "the copy kept is of other bytes");
    Ok(())
}
