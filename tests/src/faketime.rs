//! Where libfaketime is, which sets the clock of a program that it is loaded into.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// Its library; Debian keeps it in a folder for each architecture.
///
/// # Errors
/// It is not installed.
pub fn faketime() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join("faketime"));
    let mut libraries = folders.map(|folder| folder.join("libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file()).context("libfaketime is not installed: sh tests/setup.sh test")
}
