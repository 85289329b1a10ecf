//! A folder that somebody carries between two machines: requests to a witness of a closed network, and its answers.
//!
//! Whoever wrote on it last was elsewhere, so that any name in it may be a link to a file of this machine, a pipe, or
//! endless. No link is followed, only files are read, and of those no more than fits; what is written is a new file that
//! then takes the name, whatever had it.

use anyhow::Context as _;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// Reads a file, at most `most` bytes of it; `None` where nothing has this name.
///
/// # Errors
/// It is no file, or a longer one, or cannot be read.
pub fn read(path: &Path, most: usize) -> anyhow::Result<Option<String>> {
    let unreadable = || format!("cannot read {}", path.display());
    // Not waiting: a pipe would have it wait for who never comes.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            anyhow::bail!("{} is a link, and what is carried leads nowhere: take it away", path.display())
        }
        Err(fault) => return Err(fault).with_context(unreadable),
    };
    anyhow::ensure!(file.metadata().with_context(unreadable)?.is_file(), "{} is no file", path.display());
    let mut text = String::new();
    file.take(most as u64 + 1).read_to_string(&mut text).with_context(unreadable)?;
    anyhow::ensure!(text.len() <= most, "{} has more than {most} bytes: it is not what it is named", path.display());
    Ok(Some(text))
}

/// Puts a file there: a crash leaves what was there or all of it.
///
/// # Errors
/// What the file system said.
pub fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_added_extension("new");
    let written = || {
        match fs::remove_file(&beside) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let mut file = File::create_new(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
