//! The list of a backup's files: a line of JSON for each, so that it is written and read a line at a time.

use super::files::Copied;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Bytes of the longest list that is read: some millions of files.
pub const LONGEST: u64 = 1 << 30;

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path, as the gateway has it.
    pub name: String,
    /// The file in the folder, or the object in the bucket, that holds it.
    pub object: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
    /// Which version it is of the object, where the place keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How long it is locked at least, where the place has locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Entry {
    /// Whether the file is what is listed.
    #[must_use]
    pub fn is(&self, copied: &Copied) -> bool {
        self.size == copied.size && self.sha256 == copied.sha256
    }

    /// Whether it names a path below a folder, and nothing else.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let below = |path: &str| {
            !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        };
        below(&self.name) && below(&self.object)
    }
}

/// The list as it is stored.
///
/// # Errors
/// When it cannot be encoded.
pub fn encode(entries: &BTreeMap<String, Entry>) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries.values() {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Reads a stored list.
///
/// # Errors
/// The line that is none.
pub fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let mut entries = BTreeMap::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())) {
        let entry: Entry = serde_json::from_slice(line).map_err(|fault| format!("line {number}: {fault}"))?;
        if !entry.is_safe() {
            return Err(format!("line {number} names a path that is none"));
        }
        entries.insert(entry.name.clone(), entry);
    }
    Ok(entries)
}
