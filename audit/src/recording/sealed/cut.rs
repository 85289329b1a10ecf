//! Cuts a member into pieces that are sealed one by one, while it is written or at its end.

use super::screen::{Screen, Snapshot};
use crate::replay::parse_line;
use std::io::{self, BufRead};

/// Plain bytes after which text is cut, at the end of a line.
pub(super) const TEXT: usize = 256 << 10;
/// Plain bytes of any other piece.
pub(super) const BYTES: usize = 1 << 20;
/// Pieces of a recording after which its next ones are twice as large, and so on four times: an index that lists them all
/// must stay one that can be read.
const MANY: u64 = 1 << 18;
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

    /// The bytes of a piece that waits for nothing more, in a recording that has so many pieces already.
    pub(super) fn full(self, pieces: u64) -> usize {
        let first = if self == Self::Bytes { BYTES } else { TEXT };
        first << (pieces / MANY).min(4)
    }
}

/// How much of what is there a piece is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// As much as fills one; the rest waits.
    Full,
    /// What is there, if anything is; half a line waits.
    Some,
    /// All of it, since no more comes.
    All,
}

/// A piece before it is sealed.
pub(super) struct Cut {
    /// What stands before the member's own bytes: the line with the screen, or nothing.
    pub(super) before: String,
    /// The member's bytes in earlier pieces.
    pub(super) start: u64,
    /// A terminal's time in earlier pieces; `None` where no screen can stand before it.
    pub(super) micros: Option<u64>,
    /// More was read than is given: half a line, whose rest is on its way.
    pub(super) half: bool,
    /// A terminal's time up to its end.
    reached: u64,
}

/// How far one member is cut.
#[derive(Clone)]
pub(super) struct Cutter {
    kind: Kind,
    /// The bytes of all pieces so far, and how many those are.
    pub(super) given: u64,
    pieces: u64,
    /// Microseconds of the recording in them.
    micros: u64,
    screen: Screen,
}

impl Cutter {
    /// Nothing yet of the member of this name.
    pub(super) fn of(name: &str) -> Self {
        Self { kind: Kind::of(name), given: 0, pieces: 0, micros: 0, screen: Screen::default() }
    }

    /// So much of it in pieces that another process sealed: what the screen shows there is not known.
    pub(super) fn after(name: &str, pieces: u64, given: u64) -> Self {
        Self { given, pieces, screen: Screen::unknown(), ..Self::of(name) }
    }

    /// How the member is cut.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// A terminal's screen at the end of its pieces, where it is known.
    pub(super) fn screen(&self) -> Option<Snapshot> {
        (self.kind == Kind::Cast && self.pieces > 0).then(|| self.screen.snapshot(self.micros)).flatten()
    }

    /// The next piece of what `source` gives from [`Cutter::given`] on, its bytes in `piece`, which is full with `most`;
    /// `None` if there is none to take. An empty member has one piece without bytes. Nothing counts as given before
    /// [`Cutter::took`].
    pub(super) fn next_piece(
        &self,
        source: &mut dyn BufRead,
        piece: &mut Vec<u8>,
        take: Take,
        most: usize,
    ) -> io::Result<Option<Cut>> {
        piece.clear();
        let mut reached = self.micros;
        let mut full = false;
        while !full && add_next(source, piece, self.kind, most)? {
            if self.kind == Kind::Cast {
                // The header and comments take no time.
                reached = reached.saturating_add(parse_line(last_line(piece)).map_or(0, |(micros, ..)| micros));
            }
            full = piece.len() >= most || reached - self.micros >= SPAN_MICROS;
        }
        let half = take != Take::All && self.kind != Kind::Bytes && !piece.is_empty() && !piece.ends_with(b"\n");
        if half {
            piece.truncate(piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        }
        let none = match take {
            Take::Full => !full || piece.is_empty(),
            Take::Some => piece.is_empty(),
            Take::All => piece.is_empty() && self.pieces > 0,
        };
        if none {
            return Ok(None);
        }
        let before = match self.kind {
            Kind::Cast if self.pieces > 0 => self.screen.line(self.micros),
            Kind::Cast => Some(String::new()),
            Kind::Lines | Kind::Bytes => None,
        };
        let micros = before.as_ref().map(|_| self.micros);
        Ok(Some(Cut { before: before.unwrap_or_default(), start: self.given, micros, half, reached }))
    }

    /// The piece is sealed. `more` says that others may come, which begin with the screen as this one leaves it.
    pub(super) fn took(&mut self, cut: &Cut, piece: &[u8], more: bool) {
        self.given += piece.len() as u64;
        self.pieces += 1;
        self.micros = cut.reached;
        if more && self.kind == Kind::Cast {
            self.screen.show(piece);
        }
    }
}

/// Adds the next line or bytes; `false` at the end of what is there.
fn add_next(source: &mut dyn BufRead, piece: &mut Vec<u8>, kind: Kind, most: usize) -> io::Result<bool> {
    if kind != Kind::Bytes {
        return Ok(source.read_until(b'\n', piece)? > 0);
    }
    let there = source.fill_buf()?;
    let count = there.len().min(most.saturating_sub(piece.len()));
    piece.extend_from_slice(there.get(..count).unwrap_or_default());
    source.consume(count);
    Ok(count > 0)
}

fn last_line(piece: &[u8]) -> &[u8] {
    let before = piece.strip_suffix(b"\n").unwrap_or(piece).iter().rposition(|byte| *byte == b'\n');
    piece.get(before.map_or(0, |end| end + 1)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const CAST: &str = "00001.cast";
    const LINES: &str = "00001.exec.jsonl";
    const OTHER: &str = "00001.stdout";

    /// All pieces that can be taken: screen, size, start, time.
    fn cut(cutter: &mut Cutter, text: &[u8], take: Take) -> Vec<(String, usize, u64, Option<u64>)> {
        let mut source = &text[usize::try_from(cutter.given).unwrap()..];
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        while let Some(cut) = cutter.next_piece(&mut source, &mut piece, take, cutter.kind.full(0)).unwrap() {
            cutter.took(&cut, &piece, true);
            all.push((cut.before, piece.len(), cut.start, cut.micros));
            if cut.half {
                break;
            }
        }
        all
    }

    fn whole(name: &str, text: &[u8]) -> Vec<(String, usize, u64, Option<u64>)> {
        let mut cutter = Cutter::of(name);
        let pieces = cut(&mut cutter, text, Take::All);
        assert_eq!(cutter.given, text.len() as u64);
        pieces
    }

    #[test]
    fn an_empty_member_has_one_empty_piece() {
        assert_eq!(whole(OTHER, b""), [(String::new(), 0, 0, None)]);
        assert_eq!(whole(LINES, b""), [(String::new(), 0, 0, None)]);
        assert_eq!(cut(&mut Cutter::of(OTHER), b"", Take::Some), []);
    }

    #[test]
    fn bytes_are_cut_by_size_and_lines_between_lines() {
        let sizes: Vec<_> = whole(OTHER, &vec![7; BYTES + 5]).iter().map(|piece| piece.1).collect();
        assert_eq!(sizes, [BYTES, 5]);
        let line = [vec![b'x'; 99], vec![b'\n']].concat();
        let text: Vec<u8> = line.iter().copied().cycle().take(TEXT * 2).collect();
        let pieces = whole(LINES, &text);
        assert!(pieces.iter().all(|piece| piece.2 % 100 == 0 && piece.1 < TEXT + 100), "{pieces:?}");
    }

    #[test]
    fn the_more_pieces_there_are_the_larger_they_get() {
        let sizes = |kind: Kind| [0, MANY - 1, MANY, 3 * MANY, 4 * MANY, u64::MAX].map(|pieces| kind.full(pieces));
        assert_eq!(sizes(Kind::Bytes), [BYTES, BYTES, 2 * BYTES, 8 * BYTES, 16 * BYTES, 16 * BYTES]);
        assert_eq!(sizes(Kind::Cast), [TEXT, TEXT, 2 * TEXT, 8 * TEXT, 16 * TEXT, 16 * TEXT]);
        let cutter = Cutter::of(OTHER);
        let mut piece = Vec::new();
        let bytes = vec![7; 5 * BYTES];
        cutter.next_piece(&mut bytes.as_slice(), &mut piece, Take::Full, cutter.kind.full(2 * MANY)).unwrap().unwrap();
        assert_eq!(piece.len(), 4 * BYTES);
    }

    #[test]
    fn a_screen_that_takes_too_much_is_left_out_until_it_takes_less() {
        let mut text = String::from("{\"version\":3,\"term\":{\"cols\":400,\"rows\":150}}\n");
        let mut draw = |what: &str| text.push_str(&format!("[61.0, \"o\", {}]\n", serde_json::json!(what)));
        draw("first");
        draw("second");
        // Each cell in a colour of its own.
        let cell =
            |at: u32| format!("\u{1b}[38;2;{};{};7;48;2;9;{};{}mX", at % 256, at / 256 % 256, at % 251, at % 241);
        draw(&(0..60_000).map(cell).collect::<String>());
        draw("more of it");
        draw("\u{1b}[0m\u{1b}[2J\u{1b}[Hlast");
        draw("end");
        let pieces = whole(CAST, text.as_bytes());
        let micros: Vec<_> = pieces.iter().map(|piece| piece.3.map(|micros| micros / 61_000_000)).collect();
        assert_eq!(micros, [Some(0), Some(1), Some(2), None, None, Some(5)]);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.0.len() < 2_000_000 && piece.3.is_some() == (piece.2 == 0 || !piece.0.is_empty()))
        );
        assert!(pieces[5].0.contains("last") && !pieces[5].0.contains('X'), "{}", pieces[5].0);
    }

    #[test]
    fn what_is_not_full_waits_and_so_does_half_a_line() {
        let mut cutter = Cutter::of(OTHER);
        let bytes = vec![7; BYTES + 5];
        assert_eq!(cut(&mut cutter, &bytes, Take::Full).len(), 1);
        assert_eq!(cut(&mut cutter, &bytes, Take::Full), []);
        assert_eq!(cut(&mut cutter, &bytes, Take::Some), [(String::new(), 5, BYTES as u64, None)]);
        let mut cutter = Cutter::of(LINES);
        let (mut source, mut piece) = (&b"{}\n{}\n{\"half"[..], Vec::new());
        let found = cutter.next_piece(&mut source, &mut piece, Take::Some, TEXT).unwrap().unwrap();
        assert!(found.half && source.is_empty() && piece == b"{}\n{}\n", "what was read is not what is given");
        assert_eq!(cut(&mut cutter, b"{}\n{}\n{\"half", Take::Some), [(String::new(), 6, 0, None)]);
        assert_eq!(cut(&mut cutter, b"{}\n{}\n{\"half", Take::Some), []);
        assert_eq!(cut(&mut cutter, b"{}\n{}\n{\"half\":1}\n", Take::Some), [(String::new(), 11, 6, None)]);
    }

    #[test]
    fn a_terminal_is_cut_each_minute_and_the_screen_stands_first() {
        let mut text = String::from("{\"version\":3,\"term\":{\"cols\":20,\"rows\":5}}\n");
        for number in 0..5 {
            text.push_str(&format!("[25.000000, \"o\", \"line {number}\\r\\n\"]\n"));
        }
        // The same while it is written as when it is there.
        let mut cutter = Cutter::of(CAST);
        let mut pieces = cut(&mut cutter, text.as_bytes(), Take::Full);
        assert_eq!(pieces.len(), 1);
        pieces.extend(cut(&mut cutter, text.as_bytes(), Take::All));
        assert_eq!(pieces, whole(CAST, text.as_bytes()));
        let micros: Vec<_> = pieces.iter().map(|piece| piece.3).collect();
        assert_eq!(micros, [Some(0), Some(75_000_000)]);
        let (before, ..) = &pieces[1];
        assert!(before.starts_with("# sekimori-screen {") && before.ends_with("}\n"), "{before}");
        assert!(before.contains("line 2") && !before.contains("line 3"), "{before}");
    }
}
