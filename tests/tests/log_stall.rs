//! A log that cannot be written: sessions end with the reason, none starts, the doctor and `log status` say why, and
//! all is well again by itself when the disk is. The disks are small ones of the test's own; mounting them needs root.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, Surroundings, Window, at, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long events may wait in these tests, in seconds.
const LIMIT: u64 = 2;

#[test]
fn a_lost_folder_stops_everybody_until_it_is_back() -> Result<()> {
    let hospital = stage(Surroundings::default())?;
    let sealed = SealedLog::of(&hospital)?;
    let away = sealed.log.with_file_name("away");
    stalls_and_goes_on(
        &hospital,
        &sealed,
        "holds no checkpoint",
        || Ok(fs::rename(&sealed.log, &away)?),
        || {
            // Nothing was begun in its place.
            ensure!(!sealed.log.exists(), "a new log was begun");
            Ok(fs::rename(&away, &sealed.log)?)
        },
    )
}

#[test]
fn a_full_disk_and_one_that_is_read_only_are_got_over() -> Result<()> {
    let hospital = stage(Surroundings::default())?;
    let sealed = SealedLog::of(&hospital)?;
    sealed.await_newest(&hospital)?;
    let disk = Disk::under(&sealed.log)?;
    let filler = sealed.log.join("filler");
    let fill = || {
        let (megabyte, kilobyte) = (vec![0; 1 << 20], vec![0; 1 << 10]);
        let mut file = fs::File::create(&filler)?;
        for chunk in [megabyte, kilobyte] {
            while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
        }
        Ok(())
    };
    stalls_and_goes_on(&hospital, &sealed, "No space left", fill, || Ok(fs::remove_file(&filler)?))?;
    let read_only = || disk.remount("ro");
    stalls_and_goes_on(&hospital, &sealed, "Read-only", read_only, || disk.remount("rw"))
}

#[test]
fn a_disk_that_cannot_sync_or_never_answers_is_got_over() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sekimori-sync-").tempdir()?;
    let library = folder.path().join("sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("disk/sync.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
    run(&mut compiler, Input::Nothing, PATIENCE)?.success()?;
    let fault = folder.path().join("fault");
    let environment = [("LD_PRELOAD", library.display().to_string()), ("SYNC_FAULT", fault.display().to_string())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let hospital = stage(Surroundings { environment: &environment, ..Surroundings::default() })?;
    let sealed = SealedLog::of(&hospital)?;
    for (how, told) in [("fail", "Input/output error"), ("hang", "does not answer")] {
        let file = fault.with_extension(how);
        let begin = || Ok(fs::write(&file, "")?);
        stalls_and_goes_on(&hospital, &sealed, told, begin, || Ok(fs::remove_file(&file)?)).context(how)?;
    }
    Ok(())
}

/// A hospital in which events may wait for two seconds.
fn stage(surroundings: Surroundings<'_>) -> Result<Hospital> {
    let hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let gateway = &hospital.gateway;
    let text = fs::read_to_string(&gateway.demo.config)?;
    fs::write(&gateway.demo.config, format!("{text}\n[log]\nstall_seconds = {LIMIT}\n"))?;
    let mark = gateway.log.mark();
    gateway.signal(Signal::HUP)?;
    gateway.log.wait_after(mark, "was read again", PATIENCE)?;
    Ok(hospital)
}

/// One stall from its beginning to its end; `told` is what the doctor says of its cause.
fn stalls_and_goes_on(
    hospital: &Hospital,
    sealed: &SealedLog,
    told: &str,
    begin: impl FnOnce() -> Result<()>,
    mend: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    sealed.await_newest(hospital)?;
    let before = kinds(hospital)?;
    ensure!(at(&status(hospital)?.1, "/state") == "level", "{:?}", status(hospital)?);
    begin()?;
    // Something has to be sealed; with a lost folder this is noticed before.
    let note = ["vendor", "change", sekimori_tests::VENDOR, "--name", "Ishida Medical"];
    hospital.gateway.act(&hospital.administrator, &note)?;
    terminal.end_within(PATIENCE).context("the session outlives the log")?;
    let screen = terminal.screen.text();
    ensure!(screen.contains("log can no longer be written"), "the person is not told why: {screen}");
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(refused.code == Some(77) && refused.stdout.is_empty(), "it began without a log: {refused:?}");
    ensure!(refused.stderr.contains("log cannot be written"), "it is not told why: {refused:?}");
    let session = hospital.all_closed()?.into_iter().next().context("no session is on record")?;
    ensure!(session.reason.as_deref() == Some("log-unsealed"), "{session:?}");
    let (code, stands) = status(hospital)?;
    ensure!(code == Some(1) && at(&stands, "/state") == "stalled", "{code:?} {stands}");
    let doctor = hospital.gateway.command(&["doctor"], Input::Nothing)?.text();
    let line = doctor.lines().find(|line| line.starts_with("FAIL  log: ")).with_context(|| doctor.clone())?;
    ensure!(line.contains(told), "{line}");

    mend()?;
    let started = Instant::now();
    while at(&status(hospital)?.1, "/state") != "level" {
        ensure!(started.elapsed() < PATIENCE, "it does not go on: {:?}", status(hospital)?);
        std::thread::sleep(Duration::from_millis(100));
    }
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with a log again")?;
    sealed.await_newest(hospital)?;
    let told = kinds(hospital)?.split_off(before.len());
    let of_log = told.iter().filter(|kind| kind.starts_with("log.")).collect::<Vec<_>>();
    ensure!(of_log == ["log.stalled", "log.resumed"], "{told:?}");
    sealed.is_intact(hospital, &[])?;
    Ok(())
}

fn status(hospital: &Hospital) -> Result<(Option<i32>, Value)> {
    let output = hospital.gateway.command(&["--json", "log", "status"], Input::Nothing)?;
    let stands = serde_json::from_slice(&output.stdout).with_context(|| format!("no status: {output:?}"))?;
    Ok((output.code, stands))
}

fn kinds(hospital: &Hospital) -> Result<Vec<String>> {
    let listed = hospital.gateway.act(&hospital.auditor, &["log", "list", "--limit", "100000"])?;
    let events = listed.as_array().context("no events")?;
    events.iter().map(|event| at(event, "/kind").as_str().map(str::to_owned).context("no kind")).collect()
}

/// A small file system that takes the place of a folder, with what was in it.
struct Disk {
    place: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn under(place: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-disk-").tempdir()?;
        let command = |command: &mut Command| run(command, Input::Nothing, PATIENCE)?.success().context("needs root");
        command(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4M", "sekimori-test"]).arg(folder.path()))?;
        command(Command::new("cp").arg("-a").arg(place.join(".")).arg(folder.path()))?;
        command(Command::new("mount").arg("--bind").args([folder.path(), place]))?;
        Ok(Self { place: place.to_owned(), _folder: folder })
    }

    fn remount(&self, how: &str) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,bind,{how}")]).arg(&self.place);
        run(&mut mount, Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for place in [&self.place, &self._folder.path().to_owned()] {
            let _ = run(Command::new("umount").arg("--lazy").arg(place), Input::Nothing, PATIENCE);
        }
    }
}
