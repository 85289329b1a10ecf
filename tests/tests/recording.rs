//! Nothing without a record: it starts before the device is dialled, and the session ends when it cannot go on.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Terminal, at, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const MEBIBYTE: u64 = 1024 * 1024;

#[test]
fn invariant_03_without_a_recording_nothing_starts() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    // A file where the folder was: nothing can be written below it, by root neither.
    let (place, aside) = (hospital.recordings(), hospital.recordings().with_extension("aside"));
    if place.exists() {
        fs::rename(&place, &aside)?;
    }
    fs::write(&place, "")?;
    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(output.code != Some(0) && output.stdout.is_empty(), "it went through without a recording: {output:?}");
    ensure!(!hospital.sshd.log.text().contains("Accepted publickey"), "the device was reached without a recording");

    fs::remove_file(&place)?;
    if aside.exists() {
        fs::rename(&aside, &place)?;
    } else {
        fs::create_dir(&place)?;
    }
    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?.success().context("put right again")?;
    ensure!(output.text() == "reached\n");
    Ok(())
}

#[test]
fn invariant_03_a_recording_that_fails_ends_the_session() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let limit = 16 * MEBIBYTE;
    hospital.gateway.limit_file_size(limit)?;
    let output = hospital.exec(&certificate, "cat /dev/zero", Input::Nothing)?;
    ensure!(output.code != Some(0), "the session outlived its recording");
    ensure!(output.stderr.to_lowercase().contains("record"), "the person is not told why: {:?}", output.stderr);
    let got = u64::try_from(output.stdout.len())?;
    ensure!(got > 0 && got <= limit, "{got} bytes came through, more than could be recorded");
    let session = hospital.closed_session()?;
    let recorded = fs::metadata(hospital.member(&session, ".stdout")?)?.len();
    ensure!(got <= recorded, "{got} bytes came through, {recorded} are on record");
    ensure!(session.reason.as_deref().is_some_and(|reason| reason.contains("record")), "{session:?}");
    // The gateway itself goes on.
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("after the failure")?;
    Ok(())
}

#[test]
fn what_was_shown_is_on_record_after_kill_9() -> Result<()> {
    let mut hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), 80, 24)?;
    terminal.type_in("n=0; while :; do n=$((n+1)); echo line-$n-; done\r")?;
    terminal.screen.wait_for("line-2000-", PATIENCE)?;
    hospital.gateway.kill()?;
    let screen = terminal.screen.wait_end(PATIENCE)?;
    // The last line that was shown whole.
    let last = screen.split("line-").filter_map(|part| part.split_once('-')).filter_map(|(n, _)| n.parse::<u32>().ok());
    let last = last.max().context("nothing was shown")?;

    let folders = hospital.recording_folders()?;
    let [folder] = folders.as_slice() else { anyhow::bail!("not one recording: {folders:?}") };
    let mut grep = Command::new("grep");
    grep.args(["-rqF", &format!("line-{last}-")]).arg(folder);
    ensure!(run(&mut grep, Input::Nothing, PATIENCE)?.code == Some(1), "line {last} lies there in clear");
    // What a dead gateway left opens with the auditor's key, with our tools and without.
    let by_hand = hospital.opened_by_hand(folder, "00001.cast")?;
    ensure!(String::from_utf8_lossy(&by_hand).contains(&format!("line-{last}-")), "opened by hand");
    let id = folder.file_name().and_then(|name| name.to_str()).context("no session id")?;
    ensure!(hospital.replayed(id)?.contains(&format!("line-{last}-")), "before it is sealed");
    // The next start closes and seals it, as far as it goes.
    let _gateway = hospital.gateway.serve_again()?;
    hospital.sealed(id)?;
    ensure!(hospital.replayed(id)?.contains(&format!("line-{last}-")), "once it is sealed");
    let session = hospital.closed_session()?;
    ensure!(session.reason.as_deref() == Some("crash"), "{session:?}");
    Ok(())
}

/// Who may connect is one thing, whom the kernel says that it is another.
#[test]
fn the_key_of_a_live_recording_is_for_the_gateways_own_user() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let _terminal = hospital.shell(hospital.carried(&certificate))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let socket = hospital.gateway.demo.data_dir.join("watch.sock");
    let everybody = fs::Permissions::from_mode(0o777);
    for path in socket.ancestors().take_while(|path| *path != std::env::temp_dir()) {
        fs::set_permissions(path, everybody.clone())?;
    }
    let asked = |user: &str, session: &str| {
        let ask = "import contextlib, socket, sys\n\
                   asking = socket.socket(socket.AF_UNIX)\n\
                   asking.connect(sys.argv[1])\n\
                   with contextlib.suppress(BrokenPipeError, ConnectionResetError): asking.sendall(sys.argv[2].encode() + b' auditor\\n')\n\
                   with contextlib.suppress(ConnectionResetError): print(len(asking.makefile('rb').read())); sys.exit()\n\
                   print(0)";
        let mut python = Command::new("setpriv");
        python
            .args([&format!("--reuid={user}"), "--clear-groups", "/usr/bin/python3", "-c", ask])
            .arg(&socket)
            .arg(session);
        run(&mut python, Input::Nothing, PATIENCE)?.success().map(|said| said.text())
    };
    ensure!(asked("nobody", &session.id)? == "0\n", "anybody gets the key");
    let own = rustix::process::geteuid().as_raw().to_string();
    ensure!(asked(&own, &session.id)? == "32\n", "the gateway's own user gets none");
    ensure!(asked(&own, "00000000-0000-7000-8000-000000000000")? == "0\n", "a session that is not live has a key");
    Ok(())
}

#[test]
fn invariant_10_viewing_and_exporting_are_on_record() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "echo exported", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;

    let archive = hospital.workstation.folder().join("session.tar");
    let auditor = &hospital.auditor;
    hospital.sealed(&session.id)?;
    hospital.replayed(&session.id)?;
    hospital.open_recording(&session.id, &archive.display().to_string())?;
    for kind in ["recording.viewed", "recording.exported"] {
        let events = hospital.events(kind)?;
        let [event] = events.as_slice() else { anyhow::bail!("not one {kind}: {events:?}") };
        ensure!(at(event, "/actor/person") == auditor.as_str(), "{event}");
        ensure!(at(event, "/session") == session.id.as_str(), "{event}");
    }

    // The event of the end ties the recording down: it names the manifest, which names everything else.
    let mut sum = Command::new("sha256sum");
    let sum = run(sum.arg(hospital.recording(&session)?.join("manifest.json")), Input::Nothing, PATIENCE)?.success()?;
    let closed = hospital.events("session.close")?;
    let named = at(closed.first().context("no end on record")?, "/detail/manifest_sha256").as_str().unwrap_or_default();
    ensure!(named.len() == 64 && sum.text().starts_with(named), "{named} is not {}", sum.text());

    // What was exported is whole, by other people's tools.
    let unpacked = hospital.workstation.folder().join("unpacked");
    fs::create_dir(&unpacked)?;
    let mut tar = Command::new("tar");
    run(tar.arg("-xf").arg(&archive).arg("-C").arg(&unpacked), Input::Nothing, PATIENCE)?.success()?;
    let mut diff = Command::new("diff");
    let exported = if unpacked.join(&session.id).is_dir() { unpacked.join(&session.id) } else { unpacked };
    diff.arg("-r").arg(hospital.recording(&session)?).arg(exported);
    run(&mut diff, Input::Nothing, PATIENCE)?.success().context("the export is not the recording")?;

    // The vendor's engineer reads no recordings.
    hospital.gateway.refused(&hospital.engineer.id, &["session", "replay", &session.id, "--text"])?;
    Ok(())
}
