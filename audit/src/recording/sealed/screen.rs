//! The screen at the beginning of a piece: a comment line of the asciicast, which other players pass over.
//!
//! `# sekimori-screen {"micros":…,"cols":…,"rows":…,"screen":"…"}`: the time of the recording, the size, and what draws the
//! screen as it was on an empty terminal of that size. It is made from the output alone, by the emulator of the
//! asciinema player.

use crate::replay::parse_line;
use avt::Terminal;
use serde::{Deserialize, Serialize};

/// How the line begins.
const PREFIX: &str = "# sekimori-screen ";

/// The largest line that says it, and what draws it: every piece would carry it, and a device can give each cell colours
/// of its own. Where it takes more there is none, and a reader begins at a piece before.
const MOST_LINE: usize = 1 << 20;

/// The screen at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Microseconds since the opening.
    pub(crate) micros: u64,
    /// Columns.
    pub(crate) cols: u16,
    /// Rows.
    pub(crate) rows: u16,
    /// What draws it.
    pub(crate) screen: String,
}

impl Snapshot {
    /// Reads the line.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_prefix(PREFIX.as_bytes())?).ok()
    }
}

/// An emulated terminal that is shown a recording piece by piece. Between pieces it is what would draw it, a few KiB: a
/// session that is idle must not hold the memory of every cell.
#[derive(Clone, Default)]
pub(super) struct Screen {
    drawn: String,
    size: (u16, u16),
    /// What was shown before is not known.
    unknown: bool,
}

impl Screen {
    /// The screen of a terminal whose beginning was not shown here.
    pub(super) fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Shows the lines of a piece.
    pub(super) fn show(&mut self, lines: &[u8]) {
        if self.unknown {
            return;
        }
        let mut terminal = Terminal::new(self.size.0.into(), self.size.1.into()).ok();
        if let Some(terminal) = &mut terminal {
            terminal.feed(self.drawn.as_str());
        }
        for line in lines.split(|byte| *byte == b'\n') {
            match event(line) {
                Some(Shown::Size(cols, rows)) => self.resize(cols, rows, &mut terminal),
                Some(Shown::Output(text)) => {
                    if let Some(terminal) = &mut terminal {
                        terminal.feed(text.as_str());
                    }
                }
                None => {}
            }
        }
        self.drawn = terminal.as_ref().map(Terminal::dump).unwrap_or_default();
    }

    /// The comment for the moment that was reached; `None` where there can be none.
    pub(super) fn line(&self, micros: u64) -> Option<String> {
        let json = serde_json::to_string(&self.snapshot(micros)?).ok()?;
        let line = format!("{PREFIX}{json}\n");
        (line.len() <= MOST_LINE).then_some(line)
    }

    /// The screen at the moment that was reached; `None` where it is not known, or takes too much.
    pub(super) fn snapshot(&self, micros: u64) -> Option<Snapshot> {
        let (cols, rows) = self.size;
        let known = !self.unknown && self.drawn.len() <= MOST_LINE;
        known.then(|| Snapshot { micros, cols, rows, screen: self.drawn.clone() })
    }

    fn resize(&mut self, cols: u16, rows: u16, terminal: &mut Option<Terminal>) {
        // A hostile client may say anything, and the emulator takes memory for each cell.
        let (cols, rows) = (cols.clamp(1, 1000), rows.clamp(1, 1000));
        self.size = (cols, rows);
        match terminal {
            Some(terminal) => terminal.resize(cols.into(), rows.into()),
            // The size is not zero.
            empty @ None => *empty = Terminal::new(cols.into(), rows.into()).ok(),
        }
    }
}

/// The part of a line that changes the screen.
enum Shown {
    Size(u16, u16),
    Output(String),
}

fn event(line: &[u8]) -> Option<Shown> {
    if line.first() == Some(&b'{') {
        let header: serde_json::Value = serde_json::from_slice(line).ok()?;
        let size = |name: &str| header.pointer(name)?.as_u64().map(|cells| u16::try_from(cells).unwrap_or(u16::MAX));
        return Some(Shown::Size(size("/term/cols")?, size("/term/rows")?));
    }
    let (_, code, data) = parse_line(line).ok()?;
    match code.as_str() {
        "o" => Some(Shown::Output(data)),
        "r" => {
            let (cols, rows) = data.split_once('x')?;
            Some(Shown::Size(cols.parse().ok()?, rows.parse().ok()?))
        }
        _ => None,
    }
}
