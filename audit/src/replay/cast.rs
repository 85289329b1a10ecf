//! Reads asciicast v3 as a stream, our own codes included (`recording::cast` lists them).

use super::lines::LineReader;
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// The header of a terminal's recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastHeader {
    /// Columns at the opening.
    pub cols: u16,
    /// Rows at the opening.
    pub rows: u16,
    /// The terminal's type, if the client named one.
    pub term: Option<String>,
    /// The command; `None` for a shell.
    pub command: Option<String>,
    /// When it opened: to the microsecond in recordings of ours, to the second in others.
    pub opened: DateTime<Utc>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastEvent {
    /// Time since the opening.
    pub at: Duration,
    /// What happened.
    pub what: Happening,
}

/// What happened in a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Text was shown.
    Output(String),
    /// The exact bytes of the next output, whose text is not exact.
    Exact(Vec<u8>),
    /// Shown bytes that begin a character; the next output holds it whole. At the end of a file they stand alone.
    Pending(Vec<u8>),
    /// The next output is the gateway's own.
    Notice(String),
    /// So many bytes were typed.
    Typed(u64),
    /// The window has this size now, in columns and rows.
    Resize(u16, u16),
    /// The command returned this status.
    Exit(u32),
    /// The command was ended by this signal.
    Signal(String),
    /// The channel closed, with the gateway's reason.
    Closed(String),
    /// A code that this reader does not know; kept, as the format asks.
    Other(String, String),
}

/// A terminal's recording, read event by event.
pub struct CastReader {
    lines: LineReader,
    header: CastHeader,
    micros: u64,
}

#[derive(Deserialize)]
struct HeaderLine {
    version: u32,
    term: TermLine,
    timestamp: Option<i64>,
    command: Option<String>,
}

#[derive(Deserialize)]
struct TermLine {
    cols: u16,
    rows: u16,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl CastReader {
    /// Opens a `.cast` and reads its header.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if it is no asciicast v3.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let mut lines = LineReader::open(path)?;
        let parsed = match lines.next_line()? {
            Some(line) => serde_json::from_slice::<HeaderLine>(line).map_err(|error| error.to_string()),
            None => Err("it has no header".to_owned()),
        };
        let line = parsed.map_err(|reason| lines.damaged("asciicast v3", &reason))?;
        if line.version != 3 {
            return Err(lines.damaged("asciicast v3", &format!("it is version {}", line.version)));
        }
        let opened = line.timestamp.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default();
        let header = CastHeader {
            cols: line.term.cols,
            rows: line.term.rows,
            term: line.term.kind,
            command: line.command,
            opened: precise_opening(path).unwrap_or(opened),
        };
        Ok(Self { lines, header, micros: 0 })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &CastHeader {
        &self.header
    }

    /// The next event; `None` where the file ends, for now or for good.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] with the line's number.
    pub fn next_event(&mut self) -> Result<Option<CastEvent>, RecordingError> {
        loop {
            let parsed = match self.lines.next_line()? {
                None => return Ok(None),
                Some(line) if line.is_empty() || line.starts_with(b"#") => continue,
                Some(line) => parse(line),
            };
            let (interval, code, data) = parsed.map_err(|reason| self.lines.damaged("asciicast v3", &reason))?;
            self.micros = self.micros.saturating_add(interval);
            let what = happening(code, data).map_err(|reason| self.lines.damaged("asciicast v3", &reason))?;
            return Ok(Some(CastEvent { at: Duration::from_micros(self.micros), what }));
        }
    }

    /// Whether the file ends inside a line: the gateway was killed, or is writing.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.lines.is_torn()
    }
}

fn parse(line: &[u8]) -> Result<(u64, String, String), String> {
    let (interval, code, data) =
        serde_json::from_slice::<(f64, String, String)>(line).map_err(|error| error.to_string())?;
    let micros = (interval * 1e6).round();
    if !(0.0..=1e15).contains(&micros) {
        return Err(format!("an interval of {interval} seconds"));
    }
    // In range, and whole.
    Ok((micros as u64, code, data))
}

fn happening(code: String, data: String) -> Result<Happening, String> {
    let wrong = |what: &str| format!("{data:?} is no {what}");
    Ok(match code.as_str() {
        "o" => Happening::Output(data),
        "b" => Happening::Exact(unhex(&data).ok_or_else(|| wrong("hexadecimal"))?),
        "p" => Happening::Pending(unhex(&data).ok_or_else(|| wrong("hexadecimal"))?),
        "g" => Happening::Notice(data),
        "k" => Happening::Typed(data.parse().map_err(|_| wrong("number"))?),
        "r" => {
            let size = data.split_once('x').and_then(|(cols, rows)| Some((cols.parse().ok()?, rows.parse().ok()?)));
            let (cols, rows) = size.ok_or_else(|| wrong("size"))?;
            Happening::Resize(cols, rows)
        }
        "x" => Happening::Exit(data.parse().map_err(|_| wrong("exit status"))?),
        "s" => Happening::Signal(data),
        "c" => Happening::Closed(data),
        _ => Happening::Other(code, data),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The opening time in the comment under the header of recordings of ours.
fn precise_opening(path: &Path) -> Option<DateTime<Utc>> {
    let mut lines = LineReader::open(path).ok()?;
    lines.next_line().ok()??;
    let comment = std::str::from_utf8(lines.next_line().ok()??).ok()?;
    comment.strip_prefix("# sekimori 1: ")?.rsplit(' ').next()?.parse().ok()
}
