//! Tells text from control sequences in terminal output (ECMA-48, section 5, and what xterm makes of it).
//!
//! The state survives chunk ends, since a sequence may be split anywhere.

/// A control string longer than this is given up and what follows is text: an unfinished one must not swallow the rest
/// of a recording.
const MAX_STRING: usize = 64 * 1024;
/// The same for the parameters of a sequence.
const MAX_SEQUENCE: usize = 256;

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A character to show.
    Character(char),
    /// A control character: C0, C1 that opens nothing, or DEL.
    Control(char),
    /// `ESC` with what follows, the introducers aside: `7`, `(B`.
    Escape(&'a str),
    /// A control sequence, from after `CSI` to its final character: `?25h`.
    Sequence(&'a str),
    /// A control string (OSC, DCS, APC, PM, SOS) that ended.
    String,
}

#[derive(Clone, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    Sequence,
    /// The second field says that an ESC came, which may begin the end.
    String {
        osc: bool,
        escaped: bool,
        length: usize,
    },
}

/// The parser's place in the output.
#[derive(Clone, Default)]
pub(super) struct Parser {
    state: State,
    collected: String,
}

impl Parser {
    /// Reads more output, handing each piece to `each`.
    pub(super) fn feed(&mut self, text: &str, mut each: impl FnMut(Token<'_>)) {
        for character in text.chars() {
            self.step(character, &mut each);
        }
    }

    fn step(&mut self, character: char, each: &mut impl FnMut(Token<'_>)) {
        match (&mut self.state, character) {
            (State::String { osc, escaped, length }, _) => {
                *length += 1;
                let closes = match character {
                    '\u{9c}' | '\u{18}' | '\u{1a}' => true,
                    '\u{07}' => *osc,
                    '\\' => *escaped,
                    _ => false,
                };
                if closes || *length > MAX_STRING {
                    self.state = State::Ground;
                    each(Token::String);
                } else if *escaped && character != '\u{1b}' {
                    // ESC ended the string after all, and began something else.
                    each(Token::String);
                    self.begin_escape();
                    self.step(character, each);
                } else {
                    *escaped = character == '\u{1b}';
                }
            }
            (_, '\u{18}' | '\u{1a}') => self.state = State::Ground,
            (_, '\u{1b}') => self.begin_escape(),
            (_, '\u{9b}') => self.begin_sequence(),
            (_, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => self.begin_string(character == '\u{9d}'),
            (_, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}') => each(Token::Control(character)),
            (State::Ground, _) => each(Token::Character(character)),
            (State::Escape, '[') if self.collected.is_empty() => self.begin_sequence(),
            (State::Escape, 'P' | 'X' | ']' | '^' | '_') if self.collected.is_empty() => {
                self.begin_string(character == ']');
            }
            (State::Escape, ' '..='/') => self.collect(character),
            (State::Escape, _) => self.finish(character, |whole| each(Token::Escape(whole))),
            (State::Sequence, ' '..='?') => self.collect(character),
            (State::Sequence, _) => self.finish(character, |whole| each(Token::Sequence(whole))),
        }
    }

    fn begin_escape(&mut self) {
        self.state = State::Escape;
        self.collected.clear();
    }

    fn begin_sequence(&mut self) {
        self.state = State::Sequence;
        self.collected.clear();
    }

    fn begin_string(&mut self, osc: bool) {
        self.state = State::String { osc, escaped: false, length: 0 };
    }

    fn collect(&mut self, character: char) {
        self.collected.push(character);
        if self.collected.len() > MAX_SEQUENCE {
            self.state = State::Ground;
        }
    }

    fn finish(&mut self, last: char, each: impl FnOnce(&str)) {
        self.collected.push(last);
        self.state = State::Ground;
        each(&self.collected);
    }
}
