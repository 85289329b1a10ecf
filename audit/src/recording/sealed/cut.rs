//! Cuts a member into pieces that are sealed one by one.

use super::screen::Screen;
use crate::error::RecordingError;
use crate::replay::parse_line;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Plain bytes after which text is cut, at the end of a line.
const TEXT: usize = 256 << 10;
/// Plain bytes of any other piece.
const BYTES: usize = 1 << 20;
/// A terminal's piece spans at most this time.
const SPAN_MICROS: u64 = 60_000_000;

/// How a member is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// asciicast: between lines, by size and time; the screen at each beginning.
    Cast,
    /// Between lines, by size.
    Lines,
    /// Anywhere.
    Bytes,
}

impl Kind {
    /// How the member of this name is cut.
    pub(super) fn of(name: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, "cast")) => Self::Cast,
            Some((_, "jsonl")) => Self::Lines,
            _ => Self::Bytes,
        }
    }
}

/// A piece before it is sealed.
pub(super) struct Cut<'a> {
    /// What stands before the member's own bytes: the line with the screen, or nothing.
    pub(super) before: String,
    /// The member's bytes.
    pub(super) bytes: &'a [u8],
    /// The member's bytes in earlier pieces.
    pub(super) start: u64,
    /// A terminal's time in earlier pieces.
    pub(super) micros: Option<u64>,
}

/// The pieces of one member, one after the other.
pub(super) struct Pieces {
    kind: Kind,
    path: PathBuf,
    source: BufReader<Box<dyn Read>>,
    /// The piece under way; lives on as the one that was given out last.
    piece: Vec<u8>,
    given: u64,
    pieces: u64,
    /// Microseconds of the recording up to the end of what was given out.
    micros: u64,
    screen: Screen,
}

impl Pieces {
    /// Cuts what `source` gives; `path` is for messages.
    pub(super) fn of(kind: Kind, source: Box<dyn Read>, path: &Path, piece: Vec<u8>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            source: BufReader::with_capacity(64 << 10, source),
            piece,
            given: 0,
            pieces: 0,
            micros: 0,
            screen: Screen::default(),
        }
    }

    /// Gives the room for a piece back.
    pub(super) fn into_room(self) -> Vec<u8> {
        self.piece
    }

    /// All bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.given
    }

    /// The next piece; `None` after the last. An empty member has one piece without bytes.
    pub(super) fn next_piece(&mut self) -> Result<Option<Cut<'_>>, RecordingError> {
        let (start, began) = (self.given, self.micros);
        let mut before = String::new();
        if self.kind == Kind::Cast && self.pieces > 0 {
            // The screen as the piece before left it. Short recordings have one piece, and never come here.
            self.screen.show(&self.piece);
        }
        self.piece.clear();
        self.fill().map_err(RecordingError::storage("read", &self.path))?;
        if self.piece.is_empty() && self.pieces > 0 {
            return Ok(None);
        }
        if self.kind == Kind::Cast && self.pieces > 0 {
            before = self.screen.line(began);
        }
        self.given += self.piece.len() as u64;
        self.pieces += 1;
        let micros = (self.kind == Kind::Cast).then_some(began);
        Ok(Some(Cut { before, bytes: &self.piece, start, micros }))
    }

    fn fill(&mut self) -> std::io::Result<()> {
        if self.kind == Kind::Bytes {
            let limit = BYTES as u64;
            return (&mut self.source).take(limit).read_to_end(&mut self.piece).map(|_| ());
        }
        let began = self.micros;
        while self.piece.len() < TEXT {
            let line_at = self.piece.len();
            if self.source.read_until(b'\n', &mut self.piece)? == 0 {
                break;
            }
            if self.kind == Kind::Cast {
                let line = self.piece.get(line_at..).unwrap_or_default();
                // The header and comments take no time.
                self.micros = self.micros.saturating_add(parse_line(line).map_or(0, |(micros, ..)| micros));
                if self.micros - began >= SPAN_MICROS {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn cut(kind: Kind, text: &[u8]) -> Vec<(String, usize, u64, Option<u64>)> {
        let mut pieces = Pieces::of(kind, Box::new(std::io::Cursor::new(text.to_vec())), Path::new("x"), Vec::new());
        let mut all = Vec::new();
        while let Some(cut) = pieces.next_piece().unwrap() {
            all.push((cut.before.clone(), cut.bytes.len(), cut.start, cut.micros));
        }
        assert_eq!(pieces.size(), text.len() as u64);
        all
    }

    #[test]
    fn an_empty_member_has_one_empty_piece() {
        assert_eq!(cut(Kind::Bytes, b""), [(String::new(), 0, 0, None)]);
        assert_eq!(cut(Kind::Lines, b""), [(String::new(), 0, 0, None)]);
    }

    #[test]
    fn bytes_are_cut_by_size_and_lines_between_lines() {
        let sizes: Vec<_> = cut(Kind::Bytes, &vec![7; BYTES + 5]).iter().map(|piece| piece.1).collect();
        assert_eq!(sizes, [BYTES, 5]);
        let line = [vec![b'x'; 99], vec![b'\n']].concat();
        let text: Vec<u8> = line.iter().copied().cycle().take(TEXT * 2).collect();
        let pieces = cut(Kind::Lines, &text);
        assert!(pieces.iter().all(|piece| piece.2 % 100 == 0 && piece.1 < TEXT + 100), "{pieces:?}");
    }

    #[test]
    fn a_terminal_is_cut_each_minute_and_the_screen_stands_first() {
        let mut text = String::from("{\"version\":3,\"term\":{\"cols\":20,\"rows\":5}}\n");
        for number in 0..5 {
            text.push_str(&format!("[25.000000, \"o\", \"line {number}\\r\\n\"]\n"));
        }
        let pieces = cut(Kind::Cast, text.as_bytes());
        let micros: Vec<_> = pieces.iter().map(|piece| piece.3).collect();
        assert_eq!(micros, [Some(0), Some(75_000_000)]);
        let (before, ..) = &pieces[1];
        assert!(before.starts_with("# sekimori-screen {") && before.ends_with("}\n"), "{before}");
        assert!(before.contains("line 2") && !before.contains("line 3"), "{before}");
    }
}
