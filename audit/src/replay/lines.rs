//! Whole lines of a member that may still grow, or that was torn by a crash.

use super::source::Source;
use crate::error::RecordingError;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A chunk of terminal output is at most a few hundred KiB, six times that in JSON.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Reads a member line by line; a last line without its end waits for the rest.
pub struct LineReader {
    path: PathBuf,
    file: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    number: u64,
    whole: bool,
    again: bool,
}

impl LineReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let file = std::fs::File::open(path).map_err(RecordingError::storage("open", path))?;
        Ok(Self::new(path.to_owned(), Box::new(file)))
    }

    /// Opens a member of a recording.
    pub(super) fn of(source: &Source, name: &str) -> Result<Self, RecordingError> {
        Ok(Self::new(source.label(name), source.open(name)?))
    }

    /// Reads lines from anywhere; `path` is for messages.
    pub(super) fn new(path: PathBuf, from: Box<dyn Read + Send>) -> Self {
        Self { path, file: BufReader::new(from), line: Vec::new(), number: 0, whole: true, again: false }
    }

    /// The next whole line without its end; `None` where the file ends, for now or for good.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] for a line that does not end.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RecordingError> {
        if std::mem::take(&mut self.again) {
            return Ok(Some(&self.line));
        }
        if self.whole {
            self.line.clear();
        }
        self.whole = false;
        loop {
            let buffered = self.file.fill_buf().map_err(RecordingError::reading(&self.path))?;
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

    /// The line that was read last comes once more.
    pub(super) fn once_more(&mut self) {
        self.again = self.whole;
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
