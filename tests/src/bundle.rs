//! The archive that an outsider is handed, unpacked on a machine that has Python and nothing of ours.

use crate::hospital::Hospital;
use crate::process::{Input, Output, run};
use crate::sessions::Session;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// An unpacked archive.
#[derive(Debug)]
pub struct Bundle {
    /// The session's folder in it.
    pub folder: PathBuf,
    _place: TempDir,
}

impl Bundle {
    /// Has it written by the auditor, and unpacks it with `tar`.
    ///
    /// # Errors
    /// It is not written, or `tar` does not like it.
    pub fn of(hospital: &Hospital, session: &Session, more: &[&str]) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("sekimori-outsider-").tempdir()?;
        let file = place.path().join("evidence.tar");
        let out = file.display().to_string();
        let export = ["session", "export", &session.id, "--bundle", &out];
        hospital.gateway.act(&hospital.auditor, &[&export, more].concat())?;
        let mut tar = Command::new("tar");
        run(tar.arg("-xf").arg(&file).arg("-C").arg(place.path()), Input::Nothing, crate::PATIENCE)?.success()?;
        fs::remove_file(file)?;
        Ok(Self { folder: place.path().join(&session.id), _place: place })
    }

    /// All files in it.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn members(&self) -> Result<Vec<PathBuf>> {
        let (mut folders, mut found) = (vec![self.folder.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        Ok(found)
    }

    /// What its own script says, run in its folder with no other environment.
    ///
    /// # Errors
    /// There is no Python: tests/setup.sh installs it.
    pub fn verified(&self, args: &[&str]) -> Result<Output> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let mut python = Command::new(workspace.join("target/clients/venv/bin/python"));
        python.env_clear().current_dir(&self.folder).args(["-B", "verify.py"]).args(args);
        run(&mut python, Input::Nothing, crate::PATIENCE).context("run sh tests/setup.sh test")
    }

    /// The script finds that it was altered, and says where.
    ///
    /// # Errors
    /// It does not.
    pub fn is_altered(&self, args: &[&str], told: &str) -> Result<()> {
        let said = self.verified(args)?;
        let text = said.text();
        ensure!(said.code == Some(1) && text.starts_with("ALTERED: ") && text.contains(told), "{told:?}: {said:?}");
        Ok(())
    }

    /// The events in it, in their order: the number of the entry, and its text.
    ///
    /// # Errors
    /// A name is no number.
    pub fn events(&self) -> Result<Vec<(u64, String)>> {
        let leaves = self.members()?.into_iter().filter(|path| path.extension().is_some_and(|found| found == "leaf"));
        let events = leaves.map(|path| Ok((number(&path).context("no number")?, fs::read_to_string(path)?)));
        let mut events = events.collect::<Result<Vec<_>>>()?;
        events.sort();
        Ok(events)
    }

    /// The script finds that the files of some events are missing; they are put back again.
    ///
    /// # Errors
    /// It does not.
    pub fn is_altered_without(&self, which: impl Fn(u64) -> bool, told: &str) -> Result<()> {
        let mut taken = Vec::new();
        for path in self.members()?.into_iter().filter(|path| number(path).is_some_and(&which)) {
            taken.push((fs::read(&path)?, path.clone()));
            fs::remove_file(path)?;
        }
        self.is_altered(&[], told)?;
        taken.iter().try_for_each(|(bytes, path)| Ok(fs::write(path, bytes)?))
    }

    /// The same when one byte in the middle of a member is another; it is put right again.
    ///
    /// # Errors
    /// It does not.
    pub fn is_altered_by_a_byte_of(&self, path: &Path) -> Result<()> {
        let original = fs::read(path)?;
        let mut bytes = original.clone();
        let middle = bytes.len() / 2;
        match bytes.get_mut(middle) {
            Some(byte) => *byte ^= 1,
            None => bytes.push(b'x'),
        }
        fs::write(path, bytes)?;
        self.is_altered(&[], "").with_context(|| path.display().to_string())?;
        Ok(fs::write(path, original)?)
    }
}

/// The entry that a file below `events` belongs to.
fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}
