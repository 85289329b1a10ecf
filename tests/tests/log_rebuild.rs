//! The log's folder is lost or damaged: the database's events make it anew, byte for byte, if they agree with what is known
//! of it. A database that is not what was sealed makes nothing, and is told where it parts.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, at, on_both_databases, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

on_both_databases!(
    a_log_that_was_damaged_or_lost_is_made_anew_from_the_events,
    a_database_that_is_not_what_was_sealed_makes_no_log
);

fn a_log_that_was_damaged_or_lost_is_made_anew_from_the_events(database: Database) -> Result<()> {
    let mut stage = Stage::new(database)?;
    let serving = stage.refused(&[], "while a gateway serves")?;
    ensure!(serving.contains("another gateway serves"), "{serving}");
    stage.rest()?;
    let auditor = stage.hospital.auditor.clone();
    let refused = stage.hospital.gateway.refused(&auditor, &["log", "rebuild"])?;
    ensure!(!refused.is_empty(), "an auditor changes nothing");

    // Tiles are gone: what is left vouches for the rest.
    fs::remove_dir_all(stage.log("tile"))?;
    stage.is_not_served()?;
    let kept = stage.is_rebuilt(&[])?.context("the old folder is gone")?;
    ensure!(kept.join("checkpoint").is_file() && !kept.join("tile").exists(), "it is not the old one: {kept:?}");

    // A hash in a tile is another.
    let tile = stage.log(&format!("tile/0/000.p/{}", stage.sealed.size()?));
    let mut bytes = fs::read(&tile)?;
    *bytes.get_mut(40).context("a short tile")? ^= 1;
    fs::write(&tile, &bytes)?;
    stage.is_not_served()?;
    let kept = stage.is_rebuilt(&[])?.context("the old folder is gone")?;
    ensure!(fs::read(kept.join(tile.strip_prefix(&stage.sealed.log)?))? == bytes, "it is not the old one: {kept:?}");

    // The checkpoint is gone: that of a change of keys is left, and is older than what the gateway's start stood on.
    fs::remove_file(stage.log("checkpoint"))?;
    stage.is_not_served()?;
    let refused = stage.refused(&[], "nothing vouches for the newest events")?;
    ensure!(refused.contains("kept elsewhere with --anchor"), "{refused}");
    // One of long ago vouches for no more than it covers.
    let older = stage.older.clone();
    let refused = stage.refused(&[&older], "it covers less than the start")?;
    ensure!(refused.contains(&format!("the newest covers {}:", size_of(&older)?)), "{refused}");
    ensure!(!stage.log("checkpoint").exists(), "it was written all the same");
    let anchor = stage.anchor.clone();
    stage.is_rebuilt(&[&anchor])?;

    // All of it is gone; and an anchor of another log vouches for nothing.
    fs::rename(&stage.sealed.log, stage.sealed.log.with_file_name("elsewhere"))?;
    let other = stage.sealed.keys.with_file_name("other");
    let text = fs::read_to_string(&anchor)?;
    let (name, rest) = text.split_once('\n').context("no checkpoint")?;
    fs::write(&other, format!("{name}x\n{rest}"))?;
    ensure!(stage.refused(&[&other], "another log")?.contains("not of this one"));
    fs::write(&other, text.replacen('\n', "\n1", 1))?;
    ensure!(stage.refused(&[&other], "not signed")?.contains("signed by none of this log's keys"));
    ensure!(stage.is_rebuilt(&[&anchor])?.is_none(), "there was nothing to keep");

    // Where nothing newer is to be had, whoever rebuilds it says so, and the log does.
    fs::rename(&stage.sealed.log, stage.sealed.log.with_file_name("elsewhere-2"))?;
    let trusting = ["log", "rebuild", "--trust-database"];
    let none = stage.hospital.gateway.refused(&stage.hospital.administrator, &trusting)?;
    ensure!(none.contains("kept elsewhere with --anchor"), "without any checkpoint: {none}");
    let path = older.display().to_string();
    let args = [&trusting[..], &["--anchor", &path]].concat();
    let made = stage.hospital.gateway.act(&stage.hospital.administrator, &args)?;
    ensure!(at(&made, "/unproved_from") == size_of(&older)?, "{made}");

    // Each time was told of, and life goes on.
    let told = stage.hospital.events("log.rebuilt")?;
    let unproved = told.iter().map(|event| at(event, "/detail/unproved_from").is_u64()).collect::<Vec<_>>();
    ensure!(unproved == [false, false, false, false, true], "{told:?}");
    let again = stage.hospital.gateway.serve_again()?;
    stage.hospital.gateway.act(&stage.hospital.administrator, &ADD)?;
    stage.sealed.await_newest(&stage.hospital)?;
    stage.sealed.is_intact(&stage.hospital, &[&anchor])?;
    drop(again);
    Ok(())
}

fn a_database_that_is_not_what_was_sealed_makes_no_log(database: Database) -> Result<()> {
    let mut stage = Stage::new(database)?;
    stage.rest()?;
    fs::remove_dir_all(stage.log("tile/0"))?;
    let before = files(&stage.sealed.log)?;
    let number = 7;

    // Altered: the event is named, by what is left of the log.
    stage.sql(&format!("UPDATE event SET body = body || ' ' WHERE seq = {number}"))?;
    let refused = stage.refused(&[], "an altered database")?;
    ensure!(refused.contains("is not what the log sealed"), "{refused}");
    ensure!(refused.contains(&format!("that of event {number};")), "{refused}");
    // Where nothing else is left, the checkpoint that was kept says so.
    let aside = stage.sealed.log.with_file_name("aside");
    fs::rename(&stage.sealed.log, &aside)?;
    let anchor = stage.anchor.clone();
    let refused = stage.refused(&[&anchor], "an altered database")?;
    ensure!(refused.contains("are not those of") && refused.contains(&anchor.display().to_string()), "{refused}");
    ensure!(!stage.sealed.log.exists(), "it was written all the same");
    fs::rename(&aside, &stage.sealed.log)?;
    stage.sql(&format!("UPDATE event SET body = rtrim(body) WHERE seq = {number}"))?;

    // Rolled back: the counter as well.
    let back = stage.sealed.size()? - 3;
    stage.sql(&format!(
        "CREATE TABLE later AS SELECT * FROM event WHERE seq > {back}; DELETE FROM event WHERE seq > {back}; \
         UPDATE event_counter SET last = {back}"
    ))?;
    let refused = stage.refused(&[], "a database of before")?;
    ensure!(refused.contains(&format!("rolled back: it holds {back} events")), "{refused}");
    ensure!(files(&stage.sealed.log)? == before, "the folder is another");
    let beside = fs::read_dir(&stage.hospital.gateway.demo.data_dir)?.flatten().map(|entry| entry.file_name());
    let beside = beside.filter(|name| name.to_string_lossy().starts_with("log.re")).collect::<Vec<_>>();
    ensure!(beside.is_empty(), "something was left behind: {beside:?}");

    stage.sql(
        "INSERT INTO event SELECT * FROM later; UPDATE event_counter SET last = last + (SELECT count(*) FROM later); \
         DROP TABLE later",
    )?;
    stage.is_rebuilt(&[])?;
    Ok(())
}

/// One more event.
const ADD: [&str; 7] = ["person", "add", "later", "--name", "Later", "--role", "approver"];

/// A hospital with a log under two keys, and a checkpoint that was kept.
struct Stage {
    hospital: Hospital,
    sealed: SealedLog,
    /// Checkpoints that were kept: one before the last start, and the newest.
    older: PathBuf,
    anchor: PathBuf,
}

impl Stage {
    fn new(database: Database) -> Result<Self> {
        let hospital = Hospital::open(database)?;
        let sealed = SealedLog::of(&hospital)?;
        hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
        sealed.await_newest(&hospital)?;
        let older = sealed.keep("older")?;
        let certificate = hospital.sign_in()?;
        hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
        let session = hospital.closed_session()?;
        hospital.sealed(&session.id)?;
        sealed.copy_keys()?;
        Ok(Self { hospital, sealed, older, anchor: PathBuf::new() })
    }

    /// The gateway starts once more, and so names the checkpoint that it stands on; then it is gone.
    fn rest(&mut self) -> Result<()> {
        self.hospital.gateway.kill()?;
        let again = self.hospital.gateway.serve_again()?;
        self.sealed.await_newest(&self.hospital)?;
        self.anchor = self.sealed.keep("anchor")?;
        drop(again);
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.sealed.log.join(name)
    }

    fn is_not_served(&self) -> Result<()> {
        let served = self.hospital.gateway.command(&["serve"], Input::Nothing)?;
        ensure!(served.code == Some(1) && served.stderr.contains("log rebuild"), "{served:?}");
        Ok(())
    }

    /// What it says, or why it does not.
    fn rebuilt(&self, anchors: &[&Path]) -> Result<Result<Value, String>> {
        let anchors = anchors.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let mut args = vec!["--json", "--as", &self.hospital.administrator, "log", "rebuild"];
        anchors.iter().for_each(|anchor| args.extend(["--anchor", anchor]));
        let said = self.hospital.gateway.command(&args, Input::Nothing)?;
        match said.code {
            Some(0) => Ok(Ok(serde_json::from_str(&said.text())?)),
            Some(1) => Ok(Err(said.stderr)),
            _ => anyhow::bail!("{said:?}"),
        }
    }

    /// Why it is not made anew, which `what` forbids.
    fn refused(&self, anchors: &[&Path], what: &str) -> Result<String> {
        match self.rebuilt(anchors)? {
            Err(said) => Ok(said),
            Ok(made) => anyhow::bail!("{what}, and it was made: {made}"),
        }
    }

    /// It is made anew, and is what it was: every verifier passes it, with the checkpoint of before, and so does a comparison
    /// of all events. Returns where the old folder is.
    fn is_rebuilt(&self, anchors: &[&Path]) -> Result<Option<PathBuf>> {
        let rotations = |folder: &Path| files(&folder.join("rotation"));
        let before = rotations(&self.sealed.log)?;
        let rebuilt = self.rebuilt(anchors)?.map_err(anyhow::Error::msg)?;
        self.sealed.is_intact(&self.hospital, &[&self.anchor])?;
        let compared = self.hospital.gateway.act(&self.hospital.auditor, &["log", "compare"])?;
        ensure!(at(&compared, "/differ") == 0 && at(&compared, "/waiting") == 0, "{compared}");
        // The same keys make the same bytes.
        ensure!(
            before.is_empty() || rotations(&self.sealed.log)? == before,
            "the seal of the change of keys is another"
        );
        let told = self.hospital.events("log.rebuilt")?;
        let told = told.last().context("nothing tells of it")?;
        ensure!(at(told, "/seq") == at(&rebuilt, "/checkpoint/size"), "it is not the last entry: {told} {rebuilt}");
        ensure!(at(told, "/detail/agrees_with/0/from").is_string(), "{told}");
        Ok(at(&rebuilt, "/kept").as_str().map(PathBuf::from))
    }

    /// As the database's administrator can.
    fn sql(&self, statements: &str) -> Result<()> {
        let mut command = match &self.hospital.database {
            Some(server) => {
                let mut psql = Command::new("psql");
                psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &server.url, "-c", statements]);
                psql
            }
            None => {
                let script =
                    "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); base.executescript(sys.argv[2])";
                let mut python = Command::new("python3");
                python.args(["-c", script]).arg(self.sealed.log.with_file_name("sekimori.db")).arg(statements);
                python
            }
        };
        run(&mut command, Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    }
}

/// The entries that a checkpoint covers: its second line (C2SP tlog-checkpoint).
fn size_of(checkpoint: &Path) -> Result<u64> {
    Ok(fs::read_to_string(checkpoint)?.lines().nth(1).context("no checkpoint")?.parse()?)
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push((path.clone(), fs::read(path)?)) }
        }
    }
    found.sort();
    Ok(found)
}
