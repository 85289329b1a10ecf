//! A full disk: below the reserve nothing starts, a session whose record cannot be written ends, and when there is room
//! again all is well by itself. A disk that stands still: whatever waits for it, a cut takes effect. The disks are small
//! file systems over the folder of recordings; mounting them needs root.

use anyhow::{Context, Result, anyhow, ensure};
use sekimori_tests::{
    Database, Hospital, Input, PATIENCE, Running, Surroundings, Window, await_disconnection, free_port, run,
};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const MEBIBYTE: usize = 1 << 20;

const A_SECOND: Duration = Duration::from_secs(1);

/// The disk, and what the gateway keeps free of it (its default).
const SIZE: usize = 280 * MEBIBYTE;
const RESERVE: usize = 256 * MEBIBYTE;

#[test]
fn a_full_disk_ends_the_session_lets_none_begin_and_is_got_over() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let disk = Disk::over(&hospital.recordings())?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;

    // Below the reserve nobody comes in; who is in goes on.
    let filler = disk.fill(SIZE - RESERVE / 2)?;
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(
        refused.code == Some(77) && refused.stdout.is_empty(),
        "it began on a disk that is nearly full: {refused:?}"
    );
    ensure!(refused.stderr.contains("recording cannot start"), "it is not told why: {refused:?}");
    terminal.ask("echo STILL''-HERE\r", "STILL-HERE")?;

    // Full to the last byte: what can no longer be recorded is no longer shown.
    let rest = disk.fill_up()?;
    terminal.type_in("yes NOT''-ON-RECORD\r")?;
    terminal.end_within(PATIENCE).context("the session outlives its recording")?;
    let screen = terminal.screen.text();
    ensure!(screen.contains("recording can no longer be written"), "the person is not told why: {screen}");

    fs::remove_file(filler)?;
    fs::remove_file(rest)?;
    // The other one on record is the one that could not begin.
    let session = hospital.all_closed()?.pop().context("no session is on record")?;
    ensure!(session.reason.as_deref() == Some("recording-failed"), "{session:?}");
    let shown = screen.matches("NOT-ON-RECORD").count();
    let cast = fs::read_to_string(hospital.member(&session, ".cast")?)?;
    let recorded = cast.matches("NOT-ON-RECORD").count();
    ensure!(shown <= recorded, "{shown} lines were shown, {recorded} are on record");
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with room on the disk")?;
    Ok(())
}

#[test]
fn invariant_02_a_disk_that_stands_still_holds_up_no_cut() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let disk = Standing::over(&hospital.recordings())?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    ssh.args(["-T", "gate", "cat >/dev/null"]).stdin(File::open("/dev/zero")?);
    let client = Running::new(ssh.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let session = hospital.await_session(|session| session.closed.is_none())?;
    let frozen = disk.freeze()?;
    let (device, person) = (hospital.sshd.address.port(), hospital.gateway.demo.ssh.port);
    hospital.gateway.await_disk().context("what cannot be recorded goes on")?;

    let cut = ["session", "cut", &session.id, "--reason", "seen on the camera"];
    std::thread::scope(|scope| {
        // It tells when the end is on record, which takes the disk.
        let told = scope.spawn(|| hospital.gateway.act(&hospital.approver, &cut));
        await_disconnection(device, 2 * A_SECOND).context("towards the device")?;
        await_disconnection(person, A_SECOND).context("towards the person")?;
        drop(frozen);
        told.join().map_err(|_| anyhow!("the command panicked"))?
    })?;
    drop(client);
    ensure!(hospital.closed_session()?.reason.is_some_and(|reason| reason.contains("seen on the camera")));
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with the disk moving again")?;
    Ok(())
}

/// What the disk holds at the moment at which something is shown, and nothing that only the kernel has, is what a power
/// cut would leave.
#[test]
fn what_was_shown_outlives_a_power_cut_where_that_is_asked_for() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let config = &hospital.gateway.demo.config;
    fs::write(config, fs::read_to_string(config)? + "\n[recording]\ndurability = \"power\"\n")?;
    hospital.gateway.kill()?;
    let disk = Standing::over(&hospital.recordings())?;
    let _gateway = hospital.gateway.serve_again()?;
    let certificate = hospital.sign_in()?;
    let mut terminal = hospital.shell(hospital.carried(&certificate))?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    for round in 0..5 {
        let shown = format!("shown-{round}-here");
        terminal.ask(&format!("echo shown-''{round}-here\r"), &shown)?;
        let left = disk.after_a_power_cut()?;
        let folder = left.place.join(hospital.working_folder(&session.id)?.strip_prefix(hospital.recordings())?);
        let cast = hospital.opened_by_hand(&folder, "00001.cast")?;
        ensure!(String::from_utf8_lossy(&cast).contains(&shown), "{shown} was shown, and is not on the disk");
    }
    Ok(())
}

/// A file system in a file, which can be made to stand still: writes to it then wait.
struct Standing {
    place: PathBuf,
    image: PathBuf,
}

impl Standing {
    fn over(place: &Path) -> Result<Self> {
        fs::create_dir_all(place)?;
        let image = place.with_extension("image");
        File::create(&image)?.set_len(1 << 30)?;
        // With a journal, as real ones have: without, freezing waits for nothing.
        let mut make = Command::new("mkfs.ext4");
        run(make.args(["-q", "-m", "0"]).arg(&image), Input::Nothing, PATIENCE)?.success()?;
        Self::mounted(image, place)
    }

    fn mounted(image: PathBuf, place: &Path) -> Result<Self> {
        fs::create_dir_all(place)?;
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(place);
        run(&mut mount, Input::Nothing, PATIENCE)?.success().context("mounting needs root and a loop device")?;
        Ok(Self { place: place.to_owned(), image })
    }

    /// Stands still until what is returned is dropped; even if the test is killed, not longer than a minute.
    fn freeze(&self) -> Result<Frozen<'_>> {
        let mut release = Command::new("sh");
        release.args(["-c", "sleep 60; fsfreeze --unfreeze \"$1\"", "sh"]).arg(&self.place);
        let release = release.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let frozen = Frozen { disk: self, _release: Running::new(release) };
        let mut freeze = Command::new("fsfreeze");
        run(freeze.arg("--freeze").arg(&self.place), Input::Nothing, PATIENCE)?.success()?;
        Ok(frozen)
    }
}

impl Standing {
    /// What is on it now, mounted elsewhere.
    fn after_a_power_cut(&self) -> Result<Self> {
        let (image, place) = (self.image.with_extension("copy"), self.place.with_extension("after"));
        let mut copy = Command::new("cp");
        run(copy.arg("--sparse=always").arg(&self.image).arg(&image), Input::Nothing, PATIENCE)?.success()?;
        Self::mounted(image, &place)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // The gateway may still have files open there.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.place), Input::Nothing, PATIENCE);
        let _ = fs::remove_file(&self.image);
    }
}

/// A file system that stands still.
struct Frozen<'a> {
    disk: &'a Standing,
    _release: Running,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.disk.place), Input::Nothing, PATIENCE);
    }
}

/// A small file system of its own, in memory.
struct Disk {
    place: PathBuf,
}

impl Disk {
    fn over(place: &Path) -> Result<Self> {
        fs::create_dir_all(place)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "sekimori-test"]).arg(place);
        run(&mut mount, Input::Nothing, PATIENCE)?.success().context("mounting needs root")?;
        Ok(Self { place: place.to_owned() })
    }

    fn fill(&self, bytes: usize) -> Result<PathBuf> {
        let path = self.place.join("filler");
        let mut file = File::create(&path)?;
        for _ in 0..bytes / MEBIBYTE {
            file.write_all(&vec![0; MEBIBYTE])?;
        }
        Ok(path)
    }

    fn fill_up(&self) -> Result<PathBuf> {
        let path = self.place.join("rest");
        let mut file = File::create(&path)?;
        let mut chunk = MEBIBYTE;
        while chunk > 0 {
            if file.write_all(&vec![0; chunk]).is_err() {
                chunk /= 2;
            }
        }
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The gateway may still have files open there.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.place), Input::Nothing, PATIENCE);
    }
}
