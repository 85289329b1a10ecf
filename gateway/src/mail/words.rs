//! What others wrote, as it may stand in a mail: on one line, with nothing in it that acts on a screen, and nothing that a
//! mail program would make a link of. The only links in our mail are our own.

use crate::registry::typed::acts;

/// A text of somebody else's, at most so many characters of it.
#[must_use]
pub fn shown(text: &str, most: usize) -> String {
    let line: String = text.split(['\r', '\n', '\t']).map(str::trim).filter(|part| !part.is_empty()).fold(
        String::new(),
        |mut line, part| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
            line
        },
    );
    let mut seen: Vec<char> =
        line.chars().take(most + 1).map(|c| if c.is_control() || acts(c) { '\u{fffd}' } else { c }).collect();
    if seen.len() > most {
        seen.truncate(most);
        seen.push('…');
    }
    unlinked(&seen)
}

/// Dots between names and colons behind schemes in brackets, as people write addresses that nobody shall follow.
fn unlinked(text: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(' ');
        let after = text.get(at + 1).copied().unwrap_or(' ');
        let names = match c {
            '.' => before.is_alphanumeric() && after.is_alphabetic(),
            // Browsers take these for dots.
            '．' | '。' | '｡' => before.is_ascii_alphanumeric() && after.is_ascii_alphabetic(),
            ':' => before.is_ascii_alphabetic() && (after == '/' || after.is_alphanumeric()),
            _ => false,
        };
        match (names, c) {
            (true, ':') => out.push_str("[:]"),
            (true, _) => out.push_str("[.]"),
            (false, c) => out.push(*c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_acts_in_a_mail() {
        for (text, seen) in [
            ("定期点検 v5.0.1", "定期点検 v5.0.1"),
            ("at 22:00, 192.0.2.7:22", "at 22:00, 192.0.2.7:22"),
            ("a\r\nBcc: x@evil.example\r\n\r\nhello", "a Bcc: x@evil[.]example hello"),
            ("\u{1b}]0;owned\u{7}x\u{202e}y\u{200b}z\u{9b}", "\u{fffd}]0;owned\u{fffd}x\u{fffd}y\u{fffd}z\u{fffd}"),
            ("see https://evil.example/works/1", "see https[:]//evil[.]example/works/1"),
            ("www.evil.example", "www[.]evil[.]example"),
            ("http://192.0.2.9/x mailto:x@y", "http[:]//192.0.2.9/x mailto[:]x@y"),
            ("病院.jp evil。example", "病院[.]jp evil[.]example"),
            ("終わりです。CTを再起動", "終わりです。CTを再起動"),
        ] {
            assert_eq!(shown(text, 200), seen, "{text:?}");
        }
        assert_eq!(shown("あいうえお", 3), "あいう…");
    }
}
