//! Line editing as a shell offers it: echo, cursor keys, history, UTF-8 and wide characters.
//!
//! Pure: bytes go in, what to show comes out, and a line when it is finished.

use super::terminal::width;
use std::mem;

/// The longest line, in characters.
pub const LONGEST: usize = 1024;
/// Lines that the arrow keys bring back.
const HISTORY: usize = 100;
const BELL: char = '\u{7}';

/// What a byte led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// The line goes on.
    Pending,
    /// The line is finished.
    Line(String),
    /// The line is finished, but was longer than [`LONGEST`] and is lost.
    TooLong,
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// Ctrl-D on an empty line.
    End,
}

/// Whether typed characters are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// They are.
    Shown,
    /// They are not: a password, or no terminal.
    Hidden,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// ESC came.
    Begun,
    /// ESC [ or ESC O came, and these parameter bytes.
    Sequence(Vec<u8>),
}

/// A position on the screen, counted from where the prompt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    row: usize,
    column: usize,
}

/// One line at a time, and the history of those before.
pub struct LineEditor {
    prompt: String,
    echo: Echo,
    columns: usize,
    text: Vec<char>,
    cursor: usize,
    too_long: bool,
    partial: Vec<u8>,
    escape: Escape,
    after_return: bool,
    history: Vec<String>,
    /// The entry of `history` that is being shown; its length when the draft is.
    recalled: usize,
    draft: Vec<char>,
}

impl LineEditor {
    /// An editor without a history.
    pub fn new() -> Self {
        Self {
            prompt: String::new(),
            echo: Echo::Shown,
            columns: 80,
            text: Vec::new(),
            cursor: 0,
            too_long: false,
            partial: Vec::new(),
            escape: Escape::None,
            after_return: false,
            history: Vec::new(),
            recalled: 0,
            draft: Vec::new(),
        }
    }

    /// Begins a line and returns what to show for it.
    pub fn begin(&mut self, prompt: &str, echo: Echo) -> String {
        prompt.clone_into(&mut self.prompt);
        self.echo = echo;
        self.text.clear();
        self.cursor = 0;
        self.too_long = false;
        self.partial.clear();
        self.escape = Escape::None;
        self.recalled = self.history.len();
        self.draft.clear();
        self.prompt.clone()
    }

    /// Whether nothing is typed yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The terminal's width in cells, which decides where lines wrap.
    pub fn set_columns(&mut self, columns: usize) {
        self.columns = columns.max(2);
    }

    /// Takes one byte; what to show is appended to `screen`.
    pub fn feed(&mut self, byte: u8, screen: &mut String) -> Edited {
        // A terminal may send CR LF for one key.
        let doubled = mem::take(&mut self.after_return) && byte == b'\n';
        if doubled {
            return Edited::Pending;
        }
        match mem::take(&mut self.escape) {
            Escape::None => self.key(byte, screen),
            Escape::Begun => {
                if matches!(byte, b'[' | b'O') {
                    self.escape = Escape::Sequence(Vec::new());
                }
                Edited::Pending
            }
            Escape::Sequence(mut parameters) => {
                if (0x40..0x7f).contains(&byte) {
                    self.sequence(&parameters, byte, screen);
                } else if (0x20..0x40).contains(&byte) && parameters.len() < 16 {
                    parameters.push(byte);
                    self.escape = Escape::Sequence(parameters);
                }
                Edited::Pending
            }
        }
    }

    fn key(&mut self, byte: u8, screen: &mut String) -> Edited {
        match byte {
            b'\r' | b'\n' => {
                self.after_return = byte == b'\r';
                return self.finish(screen);
            }
            0x03 => {
                screen.push_str("^C\n");
                return Edited::Interrupted;
            }
            0x04 if self.text.is_empty() => return Edited::End,
            0x01 => self.move_to(0, screen),
            0x02 => self.move_to(self.cursor.saturating_sub(1), screen),
            0x04 => self.erase(self.cursor..self.cursor + 1, screen),
            0x05 => self.move_to(self.text.len(), screen),
            0x06 => self.move_to(self.cursor + 1, screen),
            0x08 | 0x7f => self.erase(self.cursor.saturating_sub(1)..self.cursor, screen),
            0x0b => self.erase(self.cursor..self.text.len(), screen),
            0x0c => self.clear_screen(screen),
            0x0e => self.recall(self.recalled + 1, screen),
            0x10 => self.recall(self.recalled.wrapping_sub(1), screen),
            0x15 => self.erase(0..self.cursor, screen),
            0x17 => self.erase(self.word_start()..self.cursor, screen),
            0x1b => self.escape = Escape::Begun,
            0x00..=0x1f => screen.push(BELL),
            _ => self.character(byte, screen),
        }
        Edited::Pending
    }

    fn sequence(&mut self, parameters: &[u8], last: u8, screen: &mut String) {
        match (last, parameters) {
            (b'A', _) => self.recall(self.recalled.wrapping_sub(1), screen),
            (b'B', _) => self.recall(self.recalled + 1, screen),
            (b'C', _) => self.move_to(self.cursor + 1, screen),
            (b'D', _) => self.move_to(self.cursor.saturating_sub(1), screen),
            (b'H', _) | (b'~', b"1" | b"7") => self.move_to(0, screen),
            (b'F', _) | (b'~', b"4" | b"8") => self.move_to(self.text.len(), screen),
            (b'~', b"3") => self.erase(self.cursor..self.cursor + 1, screen),
            _ => {}
        }
    }

    /// One byte of a character in UTF-8, which may need up to three more.
    fn character(&mut self, byte: u8, screen: &mut String) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                if let Some(character) = text.chars().next() {
                    self.partial.clear();
                    self.insert(character, screen);
                }
            }
            Err(error) if error.error_len().is_some() => {
                // No UTF-8. The byte may still begin the next character.
                let again = self.partial.len() > 1;
                self.partial.clear();
                screen.push(BELL);
                if again {
                    self.character(byte, screen);
                }
            }
            Err(_) => {}
        }
    }

    fn insert(&mut self, character: char, screen: &mut String) {
        if self.text.len() >= LONGEST {
            self.too_long = true;
            screen.push(BELL);
            return;
        }
        let before = self.cell(self.cursor);
        self.text.insert(self.cursor, character);
        self.cursor += 1;
        if self.cursor < self.text.len() {
            self.redraw(before, screen);
        } else if self.echo == Echo::Shown {
            screen.push(character);
            self.settle_wrap(screen);
        }
    }

    fn erase(&mut self, range: std::ops::Range<usize>, screen: &mut String) {
        if range.is_empty() || range.end > self.text.len() {
            screen.push(BELL);
            return;
        }
        let before = self.cell(self.cursor);
        self.cursor = range.start;
        self.text.drain(range);
        self.redraw(before, screen);
    }

    fn move_to(&mut self, cursor: usize, screen: &mut String) {
        let before = self.cell(self.cursor);
        self.cursor = cursor.min(self.text.len());
        self.redraw(before, screen);
    }

    fn word_start(&self) -> usize {
        let typed = self.text.iter().take(self.cursor).rev();
        let word = typed.clone().skip_while(|c| c.is_whitespace()).skip_while(|c| !c.is_whitespace()).count();
        word.min(self.cursor)
    }

    /// Shows another line of the history; one past its end is the line that was being typed.
    fn recall(&mut self, index: usize, screen: &mut String) {
        if self.echo == Echo::Hidden || index > self.history.len() {
            screen.push(BELL);
            return;
        }
        let before = self.cell(self.cursor);
        if self.recalled == self.history.len() {
            self.draft = mem::take(&mut self.text);
        }
        self.text = match self.history.get(index) {
            Some(line) => line.chars().collect(),
            None => mem::take(&mut self.draft),
        };
        self.recalled = index;
        self.cursor = self.text.len();
        self.redraw(before, screen);
    }

    fn clear_screen(&self, screen: &mut String) {
        if self.echo == Echo::Shown {
            screen.push_str("\x1b[H\x1b[2J");
            self.redraw(Cell { row: 0, column: 0 }, screen);
        }
    }

    fn finish(&mut self, screen: &mut String) -> Edited {
        if self.echo == Echo::Shown {
            self.move_to(self.text.len(), screen);
        }
        screen.push('\n');
        if self.too_long {
            return Edited::TooLong;
        }
        let line: String = self.text.iter().collect();
        if self.echo == Echo::Shown && !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() >= HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        Edited::Line(line)
    }

    /// Draws prompt and line again, coming from `before`, and leaves the cursor where it belongs.
    fn redraw(&self, before: Cell, screen: &mut String) {
        if self.echo == Echo::Hidden {
            return;
        }
        if before.row > 0 {
            screen.push_str(&format!("\x1b[{}A", before.row));
        }
        screen.push_str("\r\x1b[J");
        screen.push_str(&self.prompt);
        screen.extend(&self.text);
        self.settle_wrap(screen);
        let (end, at) = (self.cell(self.text.len()), self.cell(self.cursor));
        if end == at {
            return;
        }
        if end.row > at.row {
            screen.push_str(&format!("\x1b[{}A", end.row - at.row));
        }
        screen.push('\r');
        if at.column > 0 {
            screen.push_str(&format!("\x1b[{}C", at.column));
        }
    }

    /// A terminal that has filled a row keeps its cursor on it until the next character: make it go on now.
    fn settle_wrap(&self, screen: &mut String) {
        let end = self.cell(self.text.len());
        if end.column == 0 && end.row > 0 {
            screen.push_str(" \r");
        }
    }

    /// Where the character `index` of the line stands; a wide one that does not fit in a row goes to the next.
    fn cell(&self, index: usize) -> Cell {
        let mut cell = Cell { row: 0, column: 0 };
        for character in self.prompt.chars().chain(self.text.iter().copied().take(index)) {
            let width = width(character);
            if cell.column + width > self.columns {
                cell = Cell { row: cell.row + 1, column: 0 };
            }
            cell.column += width;
            if cell.column == self.columns {
                cell = Cell { row: cell.row + 1, column: 0 };
            }
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(editor: &mut LineEditor, keys: &str) -> (Edited, String) {
        let mut screen = String::new();
        for byte in keys.bytes() {
            let edited = editor.feed(byte, &mut screen);
            if edited != Edited::Pending {
                return (edited, screen);
            }
        }
        (Edited::Pending, screen)
    }

    fn line(keys: &str) -> Edited {
        let mut editor = LineEditor::new();
        editor.begin("> ", Echo::Shown);
        type_in(&mut editor, keys).0
    }

    #[test]
    fn keys_edit_the_line() {
        for (keys, expected) in [
            ("status\r", "status"),
            ("検査\n", "検査"),
            ("statsu\x7f\x7fus\r", "status"),
            ("検査室\x7f\r", "検査"),
            ("tatus\x01s\r", "status"),
            ("tatus\x1b[Hs\x1b[F!\r", "status!"),
            ("sttus\x1b[D\x1b[D\x1b[Da\r", "status"),
            ("log errors\x17x\r", "log x"),
            ("garbage\x15log\r", "log"),
            ("logxyz\x02\x02\x02\x0b\r", "log"),
            ("xlog\x01\x1b[3~\r", "log"),
            ("log\x1b[99;9~\r", "log"),
        ] {
            assert_eq!(line(keys), Edited::Line(expected.to_owned()), "{keys:?}");
        }
    }

    #[test]
    fn control_keys_end_the_line() {
        assert_eq!(line("half\x03"), Edited::Interrupted);
        assert_eq!(line("\x04"), Edited::End);
        assert_eq!(line("half\x04"), Edited::Pending);
    }

    #[test]
    fn history_comes_back_and_so_does_the_draft() {
        let mut editor = LineEditor::new();
        for text in ["status\r", "log\r", "log\r"] {
            editor.begin("> ", Echo::Shown);
            type_in(&mut editor, text);
        }
        editor.begin("> ", Echo::Shown);
        assert_eq!(type_in(&mut editor, "\x1b[A\x1bOA\r").0, Edited::Line("status".into()));
        editor.begin("> ", Echo::Shown);
        assert_eq!(type_in(&mut editor, "draft\x1b[A\x1b[B\r").0, Edited::Line("draft".into()));
    }

    #[test]
    fn a_hidden_line_shows_nothing_and_is_not_remembered() {
        let mut editor = LineEditor::new();
        editor.begin("パスワード: ", Echo::Hidden);
        let (edited, screen) = type_in(&mut editor, "secretx\x7f\r");
        assert_eq!((edited, screen.as_str()), (Edited::Line("secret".into()), "\n"));
        editor.begin("> ", Echo::Shown);
        assert_eq!(type_in(&mut editor, "\x1b[A\r").0, Edited::Line(String::new()));
    }

    #[test]
    fn a_carriage_return_with_a_line_feed_is_one_key() {
        let mut editor = LineEditor::new();
        editor.begin("> ", Echo::Shown);
        assert_eq!(type_in(&mut editor, "a\r").0, Edited::Line("a".into()));
        editor.begin("> ", Echo::Shown);
        assert_eq!(type_in(&mut editor, "\nb\r").0, Edited::Line("b".into()));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_left_out() {
        let mut editor = LineEditor::new();
        editor.begin("> ", Echo::Shown);
        let mut screen = String::new();
        for byte in [b'a', 0xff, 0xe6, b'b', 0xe6, 0xa4] {
            editor.feed(byte, &mut screen);
        }
        assert_eq!(editor.feed(0x9c, &mut screen), Edited::Pending);
        assert_eq!(editor.feed(b'\r', &mut screen), Edited::Line("ab検".into()));
    }

    #[test]
    fn a_line_beyond_the_longest_is_refused() {
        assert_eq!(line(&format!("{}\r", "あ".repeat(LONGEST))), Edited::Line("あ".repeat(LONGEST)));
        assert_eq!(line(&format!("{}\r", "あ".repeat(LONGEST + 1))), Edited::TooLong);
    }

    #[test]
    fn wide_characters_take_two_cells_and_wrap_whole() {
        let mut editor = LineEditor::new();
        editor.set_columns(5);
        editor.begin("> ", Echo::Shown);
        type_in(&mut editor, "検査");
        assert_eq!(editor.cell(1), Cell { row: 0, column: 4 });
        assert_eq!(editor.cell(2), Cell { row: 1, column: 2 });
        // Home, from the second row: up one, redraw, and back to just behind the prompt.
        assert_eq!(type_in(&mut editor, "\x01").1, "\x1b[1A\r\x1b[J> 検査\x1b[1A\r\x1b[2C");
    }
}
