//! A full disk: below the reserve nothing starts, a session whose record cannot be written ends, and when there is room
//! again all is well by itself. The disk is a small tmpfs over the folder of recordings; mounting it needs root.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, run};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const MEBIBYTE: usize = 1 << 20;

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

/// A small file system of its own.
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
