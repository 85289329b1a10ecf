//! Where a backup is laid out while it is looked at. The database lies there in clear, so that it goes with the command,
//! and what a command that was killed left goes with the next.

use crate::cli::error::CliError;
use crate::config::Config;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = ".sekimori-restoring";

/// The folder; it goes with this.
pub struct Scratch {
    path: PathBuf,
    /// Locked as long as this lives: two do not share it.
    _lock: File,
}

impl Scratch {
    /// In a folder that was named; or where the machine's administrator writes, and not in one that all share: beside the
    /// data directory, to which files then move by name, or beside a configuration that is not there yet.
    pub fn beside(named: Option<&Path>, config: &Path) -> Result<Self, CliError> {
        let beside = match named {
            Some(folder) => folder.to_owned(),
            None if config.exists() => above(&Config::read(config)?.data_dir()),
            None => above(config),
        };
        let path = beside.join(NAME);
        let failed = |fault: std::io::Error| {
            CliError::Failed(format!(
                "cannot lay out the backup in {}: {fault}; name a folder with --scratch",
                path.display()
            ))
        };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(fault) if fault.kind() != ErrorKind::AlreadyExists => return Err(failed(fault)),
            _ => {}
        }
        let lock = File::open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::Conflict(format!(
                    "another restore is at work in {}: wait for it",
                    path.display()
                )));
            }
            Err(TryLockError::Error(fault)) => return Err(failed(fault)),
        }
        emptied(&path).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = emptied(&self.path).and_then(|()| std::fs::remove_dir(&self.path));
    }
}

fn emptied(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    Ok(())
}

fn above(path: &Path) -> PathBuf {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
