//! Reads asciicast v3 as a stream, our own codes included (`recording::cast` lists them).

use super::lines::LineReader;
use super::source::Source;
use crate::error::RecordingError;
use crate::hex;
use crate::recording::sealed::screen::Snapshot;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};
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

/// A terminal's recording: where it is, and how long.
#[derive(Debug, Clone)]
pub struct Cast {
    source: Place,
    length: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Member(Source, String),
}

impl Cast {
    /// A `.cast` by itself.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { source: Place::File(path.to_owned()), length: None }
    }

    /// A member of a recording; `length` if it is known.
    pub(super) fn member(source: &Source, name: String, length: Option<Duration>) -> Self {
        Self { source: Place::Member(source.clone(), name), length }
    }

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// As [`CastReader::open`].
    pub fn open(&self) -> Result<CastReader, RecordingError> {
        match &self.source {
            Place::File(path) => CastReader::open(path),
            Place::Member(source, name) => CastReader::of(source, name),
        }
    }

    /// Reads it from the last moment at or before `to` for which the screen is known: its beginning, at least. Of a
    /// sealed recording one piece is opened.
    ///
    /// # Errors
    /// As [`CastReader::open`].
    pub fn open_before(&self, to: Duration) -> Result<CastReader, RecordingError> {
        if let Place::Member(source, name) = &self.source
            && let Some((snapshot, bytes)) = source.open_before(name, to)?
        {
            return Ok(CastReader::after(snapshot, source.label(name), bytes));
        }
        self.open()
    }

    /// The last such moment, its beginning aside.
    #[must_use]
    pub fn screen_before(&self, to: Duration) -> Option<Duration> {
        match &self.source {
            Place::File(_) => None,
            Place::Member(source, name) => source.screen_before(name, to),
        }
    }

    /// How long it is. One that is not known to have ended is read to its end.
    ///
    /// # Errors
    /// As [`CastReader::next_event`].
    pub fn length(&self) -> Result<Duration, RecordingError> {
        if let Some(length) = self.length {
            return Ok(length);
        }
        let mut reader = self.open()?;
        let mut length = Duration::ZERO;
        while let Some(event) = reader.next_event()? {
            length = event.at;
        }
        Ok(length)
    }
}

/// A terminal's recording, read event by event.
pub struct CastReader {
    lines: LineReader,
    header: CastHeader,
    micros: u64,
    screen: Option<String>,
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
        Self::read(LineReader::open(path)?)
    }

    /// The same for a member of a recording.
    pub(super) fn of(source: &Source, name: &str) -> Result<Self, RecordingError> {
        Self::read(LineReader::of(source, name)?)
    }

    fn read(mut lines: LineReader) -> Result<Self, RecordingError> {
        let parsed = match lines.next_line()? {
            Some(line) => serde_json::from_slice::<HeaderLine>(line).map_err(|error| error.to_string()),
            None => Err("it has no header".to_owned()),
        };
        let line = parsed.map_err(|reason| lines.damaged("asciicast v3", &reason))?;
        if line.version != 3 {
            return Err(lines.damaged("asciicast v3", &format!("it is version {}", line.version)));
        }
        let opened = line.timestamp.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default();
        let precise = lines.next_line()?.map(precise_opening);
        if precise == Some(None) {
            lines.once_more();
        }
        let header = CastHeader {
            cols: line.term.cols,
            rows: line.term.rows,
            term: line.term.kind,
            command: line.command,
            opened: precise.flatten().unwrap_or(opened),
        };
        Ok(Self { lines, header, micros: 0, screen: None })
    }

    /// Goes on after a screen.
    pub(super) fn after(snapshot: Snapshot, path: PathBuf, bytes: Box<dyn Read + Send>) -> Self {
        let Snapshot { micros, cols, rows, screen } = snapshot;
        let header = CastHeader { cols, rows, term: None, command: None, opened: DateTime::default() };
        Self { lines: LineReader::new(path, bytes), header, micros, screen: Some(screen) }
    }

    /// What draws the screen at the moment from which this reads; `None` at the beginning, and when it was taken.
    pub fn take_screen(&mut self) -> Option<String> {
        self.screen.take()
    }

    /// The moment up to which this has read.
    #[must_use]
    pub fn position(&self) -> Duration {
        Duration::from_micros(self.micros)
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
                Some(line) => parse_line(line),
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

/// A line behind the header: the microseconds since the one before, the code, the data.
pub(crate) fn parse_line(line: &[u8]) -> Result<(u64, String, String), String> {
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
        "b" => Happening::Exact(hex::decode(&data).ok_or_else(|| wrong("hexadecimal"))?),
        "p" => Happening::Pending(hex::decode(&data).ok_or_else(|| wrong("hexadecimal"))?),
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

/// The opening time in the comment under the header of recordings of ours.
pub(crate) fn precise_opening(line: &[u8]) -> Option<DateTime<Utc>> {
    std::str::from_utf8(line).ok()?.strip_prefix("# sekimori 1: ")?.rsplit(' ').next()?.parse().ok()
}
