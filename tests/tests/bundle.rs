//! The evidence of a session for an outsider: Python and `cryptography` verify it in an empty folder, and no member can be
//! changed, left out, exchanged or added without being found.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Bundle, Database, Hospital, Input, PATIENCE, SealedLog, Session, at, on_both_databases, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

on_both_databases!(an_outsider_verifies_a_session_and_finds_what_was_done_to_it);

const SAID: &str = "shown-to-the-engineer";

/// A session that has ended, and is sealed with all that tells of it.
fn stage(database: Database) -> Result<(Hospital, SealedLog, Session)> {
    let hospital = Hospital::open(database)?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, &format!("echo {SAID}"), Input::Nothing)?.success()?;
    let session = when_sealed(&hospital, &sealed)?;
    Ok((hospital, sealed, session))
}

/// The newest session, once the log holds all that tells of it.
fn when_sealed(hospital: &Hospital, sealed: &SealedLog) -> Result<Session> {
    let session = hospital.closed_session()?;
    let started = Instant::now();
    while hospital.events("recording.sealed")?.is_empty() {
        ensure!(started.elapsed() < PATIENCE, "the recording is not sealed");
        std::thread::sleep(Duration::from_millis(50));
    }
    sealed.await_newest(hospital)?;
    Ok(session)
}

fn an_outsider_verifies_a_session_and_finds_what_was_done_to_it(database: Database) -> Result<()> {
    let (hospital, sealed, session) = stage(database)?;
    let bundle = Bundle::of(&hospital, &session, &[])?;
    let exported = hospital.events("recording.exported")?;
    let told = exported.last().context("no event")?;
    ensure!(at(told, "/actor/person") == hospital.auditor.as_str(), "{told}");
    ensure!(at(told, "/session") == session.id.as_str() && at(told, "/detail/how") == "bundle", "{told}");

    let keys = sealed.keys.display().to_string();
    let said = bundle.verified(&["--keys", &keys])?.success()?.text();
    ensure!(said.contains(&format!("INTACT: session {}", session.id)) && !said.contains("WARNING"), "{said}");
    ensure!(said.contains(&format!("session.open         {}", hospital.engineer.id)), "{said}");
    // Without keys from elsewhere it says so, with the keys to compare.
    let said = bundle.verified(&[])?.success()?.text();
    let key = fs::read_to_string(&sealed.keys)?.lines().last().context("no key")?.to_owned();
    ensure!(said.contains("WARNING: the keys came with the archive") && said.contains(&key), "{said}");
    let other = bundle.folder.with_file_name("other.keys");
    fs::write(&other, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")?;
    bundle.is_altered(&["--keys", &other.display().to_string()], "no key of this log signed it")?;

    aics_tlog_agrees(&bundle)?;
    every_byte_counts(&bundle)?;
    what_is_missing_exchanged_or_added_is_found(&bundle)?;
    nothing_secret_is_in_it(&hospital, &bundle)
}

#[test]
fn opened_members_are_verified_without_a_key() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    terminal.ask(&format!("echo {SAID}\r"), SAID)?;
    terminal.type_in("exit\r")?;
    terminal.end_within(PATIENCE)?;
    let session = when_sealed(&hospital, &sealed)?;
    let bundle =
        Bundle::of(&hospital, &session, &["--opened", "--passphrase-file", &hospital.gateway.passphrase_file()])?;
    let clear = fs::read_to_string(bundle.folder.join("opened/00001.cast"))?;
    ensure!(clear.contains(SAID), "it is not opened: {clear}");
    // Nothing that is sealed vouches for the text that was made of it.
    let text = bundle.folder.join("recording/00001.txt.000001.zst.age");
    ensure!(text.exists() && !bundle.folder.join("opened/00001.txt").exists(), "{:?}", bundle.members()?);
    let said = bundle.verified(&[])?.success()?.text();
    let opened = bundle.members()?.iter().filter(|path| path.starts_with(bundle.folder.join("opened"))).count();
    ensure!(said.contains(&format!(", {} opened", opened - 1)), "{said}");
    for path in bundle.members()?.iter().filter(|path| path.starts_with(bundle.folder.join("opened"))) {
        bundle.is_altered_by_a_byte_of(path)?;
    }
    let manifest = bundle.folder.join("opened/manifest.json");
    let aside = bundle.folder.with_file_name("manifest");
    fs::rename(&manifest, &aside)?;
    bundle.is_altered(&[], "opened/manifest.json is not the one that the session ended with")?;
    fs::rename(&aside, &manifest)?;
    nothing_secret_is_in_it(&hospital, &bundle)
}

#[test]
fn a_key_that_was_succeeded_is_told_of() -> Result<()> {
    let (hospital, sealed, session) = stage(Database::Sqlite)?;
    let before = Bundle::of(&hospital, &session, &[])?;
    hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
    // Both keys sign where the next one is introduced; what follows, it signs alone.
    let add = ["person", "add", "later", "--name", "Later", "--role", "approver"];
    hospital.gateway.act(&hospital.administrator, &add)?;
    sealed.await_newest(&hospital)?;
    let after = Bundle::of(&hospital, &session, &[])?;
    let keys = sealed.keys.display().to_string();
    after.is_altered(&["--keys", &keys], "no key of this log signed it")?;
    sealed.copy_keys()?;
    let said = after.verified(&["--keys", &keys])?.success()?.text();
    ensure!(said.contains("signed by key 2 of 2") && !said.contains("WARNING"), "{said}");
    // Whoever stole the first key can sign with it for ever.
    let said = before.verified(&["--keys", &keys])?.success()?.text();
    ensure!(said.contains("signed by key 1 of 2") && said.contains("WARNING: that key was succeeded"), "{said}");
    Ok(())
}

#[test]
fn what_a_crash_left_is_evidence_as_well() -> Result<()> {
    let mut hospital = Hospital::open(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    hospital.gateway.kill()?;
    terminal.end_within(PATIENCE)?;
    let _serving = hospital.gateway.serve_again()?;
    let session = when_sealed(&hospital, &sealed)?;
    let bundle = Bundle::of(&hospital, &session, &[])?;
    bundle.verified(&[])?.success()?;
    let left = |path: &&PathBuf| path.ends_with("key.age") || path.extension().is_some_and(|found| found == "journal");
    let members = bundle.members()?;
    let left = members.iter().filter(left).collect::<Vec<_>>();
    ensure!(left.len() > 1, "nothing of a journal is in it: {members:?}");
    left.into_iter().try_for_each(|path| bundle.is_altered_by_a_byte_of(path))?;

    // Nothing that is sealed names what its members were.
    let out = hospital.workstation.folder().join("none.tar");
    let passphrase = hospital.gateway.passphrase_file();
    let opened = ["--bundle", &out.display().to_string(), "--opened", "--passphrase-file", &passphrase];
    let export = [&["session", "export", &session.id][..], &opened].concat();
    let said = hospital.gateway.refused(&hospital.auditor, &export)?;
    ensure!(said.contains("torn off") && !out.exists(), "{said}");
    Ok(())
}

#[test]
fn what_does_not_agree_with_the_log_is_not_handed_over() -> Result<()> {
    let (hospital, sealed, session) = stage(Database::Sqlite)?;
    let out = hospital.workstation.folder().join("none.tar");
    let refused = |told: &str| -> Result<()> {
        let export = ["session", "export", &session.id, "--bundle", &out.display().to_string()];
        let said = hospital.gateway.refused(&hospital.auditor, &export)?;
        ensure!(said.contains(told) && !out.exists(), "{told:?}: {said}");
        Ok(())
    };
    let recording = hospital.sealed(&session.id)?;
    let original = fs::read(&recording)?;
    let mut bytes = original.clone();
    *bytes.get_mut(600).context("no such byte")? ^= 1;
    fs::write(&recording, bytes)?;
    refused("session.json.000001.zst.age in the recording")?;
    fs::write(&recording, original)?;

    let database = sealed.log.with_file_name("sekimori.db");
    let script = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); \
                  base.execute(\"UPDATE event SET body = replace(body, ?, 'other') WHERE kind = 'session.open'\", \
                  (sys.argv[2],)); base.commit()";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&database).arg(&hospital.engineer.id);
    run(&mut python, Input::Nothing, PATIENCE)?.success()?;
    refused("differs from entry")
}

#[test]
fn who_may_not_or_too_early_gets_none() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let _terminal = hospital.shell(hospital.carried(&certificate))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let out = hospital.workstation.folder().join("none.tar").display().to_string();
    let export = ["session", "export", &session.id, "--bundle", &out];
    let refused = hospital.gateway.refused(&hospital.engineer.id, &export)?;
    ensure!(hospital.events("recording.exported")?.is_empty(), "who may not is on record as if they did: {refused}");
    let early = hospital.gateway.command(&[&["--as", &hospital.auditor][..], &export].concat(), Input::Nothing)?;
    ensure!(early.code == Some(5) && early.stderr.contains("is not sealed"), "{early:?}");
    ensure!(!Path::new(&out).exists(), "something was written");
    Ok(())
}

/// Not ours either: `aics-tlog`, where there is a Python for it, follows each proof from the leaf to the root.
fn aics_tlog_agrees(bundle: &Bundle) -> Result<()> {
    let verifiers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/verifiers");
    if verifiers.join("no-aics-tlog").exists() {
        return Ok(());
    }
    let checkpoint = fs::read_to_string(bundle.folder.join("checkpoint"))?;
    let [_, size, root, ..] = checkpoint.lines().collect::<Vec<_>>()[..] else { anyhow::bail!("{checkpoint}") };
    for (index, _) in bundle.events()? {
        let proof = fs::read_to_string(bundle.folder.join(format!("events/{index}.proof")))?;
        let path = proof.lines().skip(2).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let file = bundle.folder.with_file_name("path");
        fs::write(&file, path)?;
        let mut command = Command::new(verifiers.join("aics-tlog/bin/aics-tlog"));
        command.args(["verify-inclusion", "--index", &index.to_string(), "--size", size, "--root", root]);
        command.arg("--leaf").arg(bundle.folder.join(format!("events/{index}.leaf"))).arg("--proof").arg(file);
        run(&mut command, Input::Nothing, PATIENCE)?.success().with_context(|| index.to_string())?;
    }
    Ok(())
}

/// A byte of each member, one after the other: a piece, a body, its salt, a leaf, a proof, the checkpoint, the keys.
fn every_byte_counts(bundle: &Bundle) -> Result<()> {
    let members = bundle.members()?;
    for kind in [".age", "index.json", ".json", ".salt", ".leaf", ".proof", "checkpoint", "keys"] {
        ensure!(members.iter().any(|path| path.to_string_lossy().ends_with(kind)), "no {kind} in {members:?}");
    }
    // These tell people what to do, and prove nothing.
    let evidence = members.iter().filter(|path| !path.ends_with("README.txt") && !path.ends_with("verify.py"));
    evidence.into_iter().try_for_each(|path| bundle.is_altered_by_a_byte_of(path))
}

fn what_is_missing_exchanged_or_added_is_found(bundle: &Bundle) -> Result<()> {
    let events = bundle.events()?;
    let [(first, _), (second, _), ..] = events.as_slice() else { anyhow::bail!("too few events: {events:?}") };
    let (sealed, _) = events.iter().find(|(_, leaf)| leaf.contains("recording.sealed")).context("no end")?;
    bundle.is_altered_without(|event| event == *first, "an event of the session is missing before it")?;
    bundle.is_altered_without(|event| event == *second, "an event of the session is missing before it")?;
    bundle.is_altered_without(|event| event >= *sealed, "the session's end is missing")?;

    let aside = bundle.folder.with_file_name("aside");
    let piece = bundle.folder.join("recording/00001.stdout.000001.zst.age");
    fs::rename(&piece, &aside)?;
    bundle.is_altered(&[], "files of the recording are missing")?;
    fs::rename(&aside, &piece)?;

    let proof = |event: &u64| bundle.folder.join(format!("events/{event}.proof"));
    let (one, other) = (fs::read(proof(first))?, fs::read(proof(second))?);
    fs::write(proof(first), &other)?;
    fs::write(proof(second), &one)?;
    bundle.is_altered(&[], "is of another entry")?;
    fs::write(proof(first), one)?;
    fs::write(proof(second), other)?;

    for name in ["added", "recording/added", "events/added", "opened/added"] {
        let added = bundle.folder.join(name);
        fs::create_dir_all(added.parent().context("no folder")?)?;
        fs::write(&added, "added")?;
        bundle.is_altered(&[], "")?;
        fs::remove_file(added)?;
    }
    bundle.verified(&[])?.success().context("put right again")?;
    Ok(())
}

fn nothing_secret_is_in_it(hospital: &Hospital, bundle: &Bundle) -> Result<()> {
    let opened = bundle.folder.join("opened").is_dir();
    let passphrase = hospital.gateway.demo.recordings_passphrase.as_str();
    for path in bundle.members()? {
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        for secret in ["AGE-SECRET-KEY", "PRIVATE KEY", passphrase, &hospital.engineer.password] {
            ensure!(!text.contains(secret), "{} holds a secret", path.display());
        }
        ensure!(opened || !text.contains(SAID), "{} tells what was shown", path.display());
    }
    let mut identities = Command::new("grep");
    identities.args(["-r", "-l", "BEGIN AGE ENCRYPTED FILE"]).arg(&bundle.folder);
    ensure!(run(&mut identities, Input::Nothing, PATIENCE)?.code == Some(1), "an identity is in it");
    Ok(())
}
