//! Output of a recording, made safe for the terminal of whoever watches it.
//!
//! A hostile session could print what makes a terminal answer (as if the viewer had typed it), write the clipboard,
//! print, or change how keys are sent. Only what draws is let through; everything unknown is dropped.

use super::escape::{Parser, Token};

/// Final characters of control sequences that draw or move: cursor, erase, insert, delete, scroll, colours, tabs,
/// margins, saved cursor.
const DRAWING: &str = "@ABCDEFGHIJKLMPSTXZ`abdefgmrsu";
/// DEC modes that change only what is drawn: columns, reverse video, origin, wrap, blink, cursor, alternate screen,
/// synchronised output.
const DRAWING_MODES: [&str; 10] = ["5", "6", "7", "12", "25", "47", "1047", "1048", "1049", "2026"];

/// Filters a recording's output. Keep one for a whole terminal: sequences may be split over events.
#[derive(Default)]
pub struct SafeOutput {
    parser: Parser,
}

impl SafeOutput {
    /// What of `text` may be written to the viewer's terminal.
    #[must_use]
    pub fn filter(&mut self, text: &str) -> String {
        let mut safe = String::with_capacity(text.len());
        self.parser.feed(text, |token| match token {
            Token::Character(character) => safe.push(character),
            // ENQ would be answered, XON and XOFF stop the terminal; those kept move the cursor, ring, or switch
            // character sets.
            Token::Control(control @ ('\u{07}'..='\u{0f}' | '\u{84}' | '\u{85}' | '\u{8d}')) => safe.push(control),
            Token::Escape(whole) if draws(whole) => {
                safe.push('\u{1b}');
                safe.push_str(whole);
            }
            Token::Sequence(whole) => safe.extend(drawing_sequence(whole)),
            Token::Control(_) | Token::Escape(_) | Token::String => {}
        });
        safe
    }
}

/// Saved cursor, index, next line, reverse index, tab stop, full reset, alignment test, character sets.
fn draws(escape: &str) -> bool {
    let set = |rest: &str| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match escape {
        "7" | "8" | "D" | "E" | "M" | "H" | "c" | "#8" => true,
        _ => escape.strip_prefix(['(', ')', '*', '+']).is_some_and(set),
    }
}

fn drawing_sequence(whole: &str) -> Option<String> {
    let (last, body) =
        whole.char_indices().next_back().map(|(at, last)| (last, whole.get(..at).unwrap_or_default()))?;
    let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
    let kept = match (last, body.strip_prefix('?')) {
        ('h' | 'l', Some(modes)) => {
            let drawing = modes.split(';').filter(|mode| DRAWING_MODES.contains(mode)).collect::<Vec<_>>().join(";");
            return (!drawing.is_empty()).then(|| format!("\u{1b}[?{drawing}{last}"));
        }
        ('J' | 'K', Some(rest)) => plain(rest),
        ('h' | 'l', None) => body == "4",
        ('q', None) => body.strip_suffix(' ').is_some_and(plain),
        ('p', None) => body == "!",
        (last, None) => DRAWING.contains(last) && plain(body),
        _ => false,
    };
    kept.then(|| format!("\u{1b}[{whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> String {
        SafeOutput::default().filter(text)
    }

    #[test]
    fn what_draws_passes_unchanged() {
        for text in [
            "plain 漢字 text\r\n\t\u{8}",
            "\u{1b}[1;38:5:196mred\u{1b}[0m",
            "\u{1b}[2J\u{1b}[H\u{1b}[10;20f\u{1b}[3A\u{1b}[K\u{1b}[2;20r",
            "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?25h\u{1b}[?1049l",
            "\u{1b}7\u{1b}8\u{1b}M\u{1b}(0\u{1b}(B\u{1b}c\u{1b}[4h\u{1b}[!p\u{1b}[2 q",
        ] {
            assert_eq!(whole(text), text);
        }
    }

    #[test]
    fn nothing_can_make_the_viewers_terminal_answer_or_act() {
        for hostile in [
            "\u{1b}[6n",
            "\u{1b}[5n",
            "\u{1b}[?6n",
            "\u{1b}[c",
            "\u{1b}[0c",
            "\u{1b}[>c",
            "\u{1b}[=c",
            "\u{1b}Z",
            "\u{5}",
            "\u{1b}[21t",
            "\u{1b}[8;50;200t",
            "\u{1b}[>q",
            "\u{1b}[?25$p",
            "\u{1b}[1;1;1;1;1;1*y",
            "\u{1b}[x",
            "\u{1b}[5i",
            "\u{1b}[?1000h",
            "\u{1b}[?1004h",
            "\u{1b}[?2004h",
            "\u{1b}[?1h",
            "\u{1b}=",
            "\u{1b}[>4;2m",
            "\u{1b}[>1u",
            "\u{1b}[?u",
            "\u{1b}[2h",
            "\u{1b}]52;c;ZXZpbA==\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}]10;?\u{7}",
            "\u{1b}]8;;http://evil/\u{7}",
            "\u{1b}P$qm\u{1b}\\",
            "\u{1b}P+q544e\u{9c}",
            "\u{1b}_app\u{1b}\\",
            "\u{1b}^pm\u{1b}\\",
            "\u{1b}Xsos\u{1b}\\",
            "\u{9b}6n",
            "\u{9d}52;c;ZXZpbA==\u{7}",
            "\u{90}$qm\u{9c}",
            "\u{13}\u{11}\u{0}\u{7f}",
        ] {
            assert_eq!(whole(&format!("a{hostile}b")), "ab", "{hostile:?}");
        }
    }

    #[test]
    fn a_sequence_that_is_split_is_still_found() {
        let mut output = SafeOutput::default();
        let pieces = ["a\u{1b}", "[", "6", "nb\u{1b}]52;c", ";ZXZp", "\u{1b}", "\\c\u{1b}[?10", "00;25hd"];
        let safe = pieces.iter().map(|piece| output.filter(piece)).collect::<String>();
        assert_eq!(safe, "abc\u{1b}[?25hd");
    }

    #[test]
    fn an_unfinished_string_does_not_hide_the_rest() {
        let text = format!("\u{1b}P{}", "x".repeat(100_000));
        assert!(whole(&text).len() > 30_000);
        assert_eq!(whole("\u{1b}]0;t\u{1b}[31mred"), "\u{1b}[31mred");
    }
}
