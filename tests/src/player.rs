//! The stock asciinema player, as a reader of our recordings.

use crate::process::{Input, run};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// What the player played.
#[derive(Debug, Deserialize)]
pub struct Played {
    /// Length in seconds.
    pub duration: f64,
    /// The first size.
    pub size: Size,
    /// The sizes it changed to, in order.
    pub sizes: Vec<Size>,
    /// Everything written to the screen.
    pub output: String,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// Plays an asciicast with the stock player's driver and parser, under node.
///
/// # Errors
/// The player cannot read it, or is not installed.
pub fn play(cast: &Path) -> Result<Played> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let player = here.join("../target/player");
    ensure!(player.join("node_modules").is_dir(), "the asciinema player is missing: sh tests/setup.sh test");
    let mut node = Command::new("node");
    node.arg(here.join("player/play.mjs")).arg(player).arg(cast);
    let output = run(&mut node, Input::Nothing, crate::PATIENCE)?
        .success()
        .with_context(|| format!("the stock player does not play {}", cast.display()))?;
    serde_json::from_slice(&output.stdout).context("the player's answer")
}
