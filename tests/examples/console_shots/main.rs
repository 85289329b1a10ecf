//! Takes a picture of every page of the console, in both languages, wide, narrow and dark:
//! `cargo run -p sekimori-tests --example console_shots -- FOLDER`.

use anyhow::{Context, Result};
use sekimori_tests::{Database, Hospital, busy, look_at_the_console};
use std::path::PathBuf;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("name the folder for the pictures")?);
    std::fs::create_dir_all(&folder)?;
    let hospital = Hospital::closed(Database::Sqlite)?;
    let _connected = busy(&hospital)?;
    let look = look_at_the_console(&hospital, Some(&folder.canonicalize()?))?;
    println!("{} pictures in {}; slowest {} ms", look.looked, folder.display(), look.slowest);
    for fault in look.faults {
        println!("{fault}");
    }
    Ok(())
}
