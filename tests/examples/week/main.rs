//! `make week`: a week at the gate in a quarter of an hour, for the table of who sees what (`audit/tests/mutations.rs`).
//!
//!     week FOLDER
//!
//! A gateway lives through seven days of its own clock, which libfaketime moves from one hourly beat to the next: people sign
//! in and are refused, work is asked for, approved, done and reviewed, files go through, the log's key changes twice, a
//! witness cosigns what is carried to it each noon. What every verifier and every byte of every recording says is asked in
//! the end, and the log, its keys and two checkpoints that were kept on the way are left in the folder.

mod clock;

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use clock::Clock;
use rustix::process::Signal;
use sekimori_tests::{DEVICE, Hospital, Input, PATIENCE, Proof, SealedLog, VENDOR, Window, at, run, sekimori};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Files of a visit in the day.
const FILES: usize = 150;
/// What one visit may take.
const VISIT: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("where to? week FOLDER")?);
    ensure!(!folder.exists(), "{} is there already", folder.display());
    let begin = Instant::now();
    let mut week = Week::begin()?;
    for hour in 0..=7 * 24 {
        week.hour(hour).with_context(|| format!("in hour {hour}"))?;
        if hour % 24 == 0 {
            println!(
                "day {}: {} entries after {:.0} s",
                hour / 24 + 1,
                week.sealed.size()?,
                begin.elapsed().as_secs_f64()
            );
        }
    }
    week.end(&folder)?;
    println!("{} entries in {:.0} s", week.sealed.size()?, begin.elapsed().as_secs_f64());
    Ok(())
}

struct Week {
    hospital: Hospital,
    clock: Clock,
    sealed: SealedLog,
    witness: Witness,
    /// Work that is approved and not reported yet.
    work: Option<String>,
    before: PathBuf,
    anchor: PathBuf,
}

impl Week {
    fn begin() -> Result<Self> {
        let clock = Clock::new()?;
        let hospital = clock.hospital()?;
        let sealed = SealedLog::of(&hospital)?;
        let witness = Witness::new(&clock, &sealed)?;
        let config = &hospital.gateway.demo.config;
        let log = format!("\n[log]\nwitnesses = [{{ key = \"{}\" }}]\n", witness.key);
        fs::write(config, fs::read_to_string(config)? + &log)?;
        let mark = hospital.gateway.log.mark();
        hospital.gateway.signal(Signal::HUP)?;
        hospital.gateway.log.wait_after(mark, "was read again", PATIENCE)?;
        let kept = |name: &str| sealed.keys.with_file_name(name);
        let (before, anchor) = (kept("before"), kept("anchor"));
        Ok(Self { hospital, clock, sealed, witness, work: None, before, anchor })
    }

    fn hour(&mut self, hour: u64) -> Result<()> {
        if hour > 0 {
            self.level(0)?;
            let events = self.events()?;
            // Past the beat, which is an event.
            self.clock.set(TimeDelta::hours(i64::try_from(hour)?) + TimeDelta::seconds(30))?;
            self.level(events + 1).context("no beat")?;
        }
        let (day, of_day) = (hour / 24, hour % 24);
        if of_day == 0 {
            self.next_work()?;
        }
        if (8..20).contains(&of_day) {
            self.clock.advance(TimeDelta::minutes(i64::try_from(3 + hour * 7 % 40)?))?;
            self.files()?;
        }
        self.exec(DEVICE, Some(0))?;
        if hour % 5 == 2 {
            // To a device that nobody permitted, and with a password that is none.
            self.exec("ct-01", None)?;
            let wrong = Proof::KeyAndPassword(&self.hospital.engineer.key, "wrong horse battery");
            ensure!(self.visit(DEVICE, wrong)? != Some(0), "let in with a wrong password");
        }
        if of_day == 12 {
            if day == 2 || day == 4 {
                self.act(&self.hospital.administrator, &["log", "rotate-key"])?;
                self.sealed.copy_keys()?;
            }
            self.level(0)?;
            self.cosigned()?;
        }
        self.level(0)?;
        match (day, of_day) {
            (5, 6) => _ = fs::copy(self.sealed.log.join("checkpoint"), &self.before)?,
            // What the witness cosigned is a checkpoint that was kept elsewhere.
            (5, 12) => _ = fs::copy(self.sealed.log.join("cosigned"), &self.anchor)?,
            _ => {}
        }
        Ok(())
    }

    /// Yesterday's work is reported and reviewed; today's is asked for and approved, by different people.
    fn next_work(&mut self) -> Result<()> {
        let (engineer, approver) = (&self.hospital.engineer.id, &self.hospital.approver);
        if let Some(work) = self.work.take() {
            self.act(approver, &["work", "report", &work, "--text", "done", "--by", engineer])?;
            self.act(approver, &["work", "review", &work, "--comment", "as planned"])?;
        }
        let now = self.clock.now();
        let until = (now + TimeDelta::hours(26)).to_rfc3339();
        self.act(engineer, &["person", "attest", engineer, "--patched", "--scanned", "--until", &until])?;
        let (start, end) = (Window::local(now - TimeDelta::minutes(1)), Window::local(now + TimeDelta::hours(25)));
        let args = [
            &["work", "request", "--vendor", VENDOR, "--person", engineer, "--device", DEVICE][..],
            &["--purpose", "daily maintenance", "--plan", "read the logs, replace files"],
            &["--start", &start, "--end", &end, "--zone", "UTC"],
        ];
        let requested = self.act(engineer, &args.concat())?;
        let work = at(&requested, "/id").as_str().context("no work")?.to_owned();
        self.act(approver, &["work", "approve", &work])?;
        self.work = Some(work);
        Ok(())
    }

    fn exec(&self, device: &str, expected: Option<i32>) -> Result<()> {
        let engineer = &self.hospital.engineer;
        let code = self.visit(device, Proof::KeyAndPassword(&engineer.key, &engineer.password))?;
        ensure!(expected.is_none_or(|expected| code == Some(expected)), "a visit to {device} ended with {code:?}");
        ensure!(expected.is_some() || code != Some(0), "let in to {device}");
        Ok(())
    }

    fn visit(&self, device: &str, proof: Proof<'_>) -> Result<Option<i32>> {
        let user = format!("{}+{device}", self.hospital.engineer.id);
        Ok(self.hospital.workstation.exec(&user, proof, "date; uname -a", Input::Nothing, VISIT)?.code)
    }

    /// Files go to the device, each an event.
    fn files(&self) -> Result<()> {
        let Hospital { engineer, workstation, .. } = &self.hospital;
        let proof = Proof::KeyAndPassword(&engineer.key, &engineer.password);
        let mut sftp = workstation.prepared("sftp", &self.hospital.user(), proof)?;
        let (file, target) = (workstation.folder().join("known_hosts"), workstation.folder().join("received"));
        let put = format!("put {} {}\n", file.display(), target.display()).repeat(FILES);
        let said = run(sftp.args(["-q", "gate"]), Input::from(put.as_str()), VISIT)?.success()?;
        ensure!(fs::read(&target)? == fs::read(&file)?, "nothing came: {said:?}");
        Ok(fs::remove_file(target)?)
    }

    /// The stick goes to the witness and back.
    fn cosigned(&self) -> Result<()> {
        let stick = tempfile::tempdir()?;
        let carry = || self.act(&self.hospital.administrator, &["log", "carry", &stick.path().display().to_string()]);
        carry()?;
        self.witness.answers(&self.clock, stick.path())?;
        let told = carry()?;
        ensure!(at(&told, "/0/cosigned").is_u64(), "the witness cosigned nothing: {told}");
        Ok(())
    }

    fn act(&self, person: &str, args: &[&str]) -> Result<Value> {
        let mut command = self.hospital.gateway.prepared(&[&["--json", "--as", person], args].concat());
        let said = run(self.clock.on(&mut command), Input::Nothing, PATIENCE)?.success().context(args.join(" "))?;
        let text = said.text();
        if text.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    fn status(&self) -> Result<Value> {
        self.act(&self.hospital.auditor, &["log", "status"])
    }

    fn events(&self) -> Result<u64> {
        at(&self.status()?, "/events").as_u64().context("no number of events")
    }

    /// Waits until there are so many events, all are sealed, and every session is closed and sealed: nothing is under way that a
    /// jump of the clock would make late.
    fn level(&self, events: u64) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status()?;
            let level = at(&status, "/events").as_u64() >= Some(events) && at(&status, "/behind") == 0;
            if level && self.hospital.recording_folders()?.iter().all(|path| path.is_file()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "it does not come to rest: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The gateway stops; everything is judged, and what the table takes is left in the folder.
    fn end(&mut self, folder: &Path) -> Result<()> {
        self.hospital.gateway.signal(Signal::TERM)?;
        self.hospital.gateway.log.wait_end(PATIENCE).context("the gateway does not end")?;
        self.sealed.copy_keys()?;
        let recordings = self.hospital.recordings();
        let mut verify = sekimori()?;
        verify.args(["--json", "verify", "--log"]).arg(&self.sealed.log).arg("--keys").arg(&self.sealed.keys);
        verify.arg("--anchor").arg(&self.anchor).arg("--recordings").arg(&recordings);
        let begin = Instant::now();
        let said = run(self.clock.on(&mut verify), Input::Nothing, Duration::from_secs(600))?;
        ensure!(said.code == Some(0), "not intact: {}{}", said.text(), said.stderr);
        let report: Value = serde_json::from_str(&said.text())?;
        println!(
            "with every byte of {} recordings: {} in {:.1} s; log {} KiB, recordings {} KiB",
            at(&report, "/recordings/recordings"),
            at(&report, "/verdict"),
            begin.elapsed().as_secs_f64(),
            kib(&self.sealed.log)?,
            kib(&recordings)?
        );
        let compared = self.act(&self.hospital.auditor, &["log", "compare"])?;
        ensure!(at(&compared, "/differ") == 0, "{compared}");
        fs::create_dir_all(folder)?;
        let data = &self.hospital.gateway.demo.data_dir;
        let mut cp = Command::new("cp");
        cp.arg("-a").args([&self.sealed.log, &data.join("keys"), &self.before, &self.anchor]).arg(folder);
        run(&mut cp, Input::Nothing, PATIENCE)?.success()?;
        // The witness first: some verifiers take the last key for the one in force.
        fs::write(
            folder.join("log.keys"),
            format!("{}\n{}", self.witness.key, fs::read_to_string(&self.sealed.keys)?),
        )?;
        Ok(())
    }
}

/// What a folder takes on the disk.
fn kib(folder: &Path) -> Result<String> {
    let said = run(Command::new("du").arg("-sk").arg(folder), Input::Nothing, PATIENCE)?.success()?.text();
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// A witness on a closed network: it answers what is carried to it.
struct Witness {
    folder: tempfile::TempDir,
    keys: PathBuf,
    key: String,
}

impl Witness {
    fn new(clock: &Clock, sealed: &SealedLog) -> Result<Self> {
        let (folder, keys) = (tempfile::tempdir()?, sealed.keys.clone());
        let witness = Self { folder, keys, key: String::new() };
        let empty = tempfile::tempdir()?;
        let said = run(clock.on(&mut witness.command(empty.path())?), Input::Nothing, PATIENCE)?;
        let key = said.text().lines().find_map(|line| line.strip_prefix("witness key: ").map(str::to_owned));
        Ok(Self { key: key.with_context(|| format!("no key: {said:?}"))?, ..witness })
    }

    fn command(&self, stick: &Path) -> Result<Command> {
        let mut command = sekimori()?;
        command.args(["witness", "--name", "witness.example", "--state"]).arg(self.folder.path().join("state"));
        command.arg("--keys").arg(&self.keys).arg("--carry").arg(stick);
        Ok(command)
    }

    fn answers(&self, clock: &Clock, stick: &Path) -> Result<()> {
        run(clock.on(&mut self.command(stick)?), Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    }
}
