//! Whole lines of a file that may still grow, or that was torn by a crash.

use crate::error::RecordingError;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A chunk of terminal output is at most a few hundred KiB, six times that in JSON.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Reads a file line by line; a last line without its end waits for the rest.
pub struct LineReader {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    whole: bool,
}

impl LineReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let file = File::open(path).map_err(RecordingError::storage("open", path))?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), line: Vec::new(), number: 0, whole: true })
    }

    /// The next whole line without its end; `None` where the file ends, for now or for good.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] for a line that does not end.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RecordingError> {
        if self.whole {
            self.line.clear();
        }
        self.whole = false;
        loop {
            let buffered = self.file.fill_buf().map_err(RecordingError::storage("read", &self.path))?;
            if buffered.is_empty() {
                return Ok(None);
            }
            let end = buffered.iter().position(|byte| *byte == b'\n');
            let (part, used) = match end {
                Some(end) => (buffered.get(..end).unwrap_or_default(), end + 1),
                None => (buffered, buffered.len()),
            };
            self.line.extend_from_slice(part);
            self.file.consume(used);
            if end.is_some() {
                self.whole = true;
                self.number += 1;
                return Ok(Some(&self.line));
            }
            if self.line.len() > MAX_LINE {
                return Err(self.damaged("lines", "a line that does not end"));
            }
        }
    }

    /// Whether the file ends inside a line.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        !self.whole && !self.line.is_empty()
    }

    /// The error for the line read last.
    pub(super) fn damaged(&self, format: &'static str, reason: &str) -> RecordingError {
        let reason = format!("line {}: {reason}", self.number);
        RecordingError::Damaged { path: self.path.clone(), format, reason }
    }
}
