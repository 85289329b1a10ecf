//! Anchors: what somebody kept of the log outside of it. A signed checkpoint, or the text on the paper that management
//! signed, typed back.
//!
//! The paper's form is made for fingers: the root as hexadecimal in four rows, each with two digits that show a typing
//! error in that row. Case, spaces, line breaks between the rows, full-width characters, and the letters O, l and I for the
//! digits 0 and 1 do not matter.
//!
//! ```text
//! sekimori anchor 1
//! log  gate.example.jp/log
//! size 20852163 5d
//! a1b2 c3d4 e5f6 a7b8 90
//! …
//! ```

use super::checkpoint::{Checkpoint, decimal};
use super::error::LogError;
use super::hash::{Hash, sha256};
use super::note::Note;

/// Characters of a row of the root without its spaces: 16 digits, and two that check them.
const ROW: usize = 18;

const HEAD: &str = "sekimori anchor 1";

/// A state that the log once had, as somebody kept it.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// Where it came from, for the report: a file's name.
    pub label: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note with its signatures; `None` for what was typed, which is believed because of the paper.
    pub note: Option<Note>,
}

impl Anchor {
    /// Reads a checkpoint's note, or typed text.
    ///
    /// # Errors
    /// [`LogError::Malformed`], for typed text with the row that is wrong.
    pub fn parse(label: &str, bytes: &[u8]) -> Result<Self, LogError> {
        let label = label.to_owned();
        match Checkpoint::parse(bytes) {
            Ok((checkpoint, note)) => Ok(Self { label, checkpoint, note: Some(note) }),
            Err(fault) => match parse_typed(bytes)? {
                Some(checkpoint) => Ok(Self { label, checkpoint, note: None }),
                None => Err(fault),
            },
        }
    }
}

/// The text for the paper.
#[must_use]
pub fn paper(checkpoint: &Checkpoint) -> String {
    let Checkpoint { origin, size, root } = checkpoint;
    let size = format!("{size} {}", check(origin, 0, &size.to_string()));
    let hex = root.hex();
    let rows = (1_u8..).zip(hex.as_bytes().chunks(16)).map(|(number, row)| {
        let groups = row.chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>();
        format!("{} {}\n", groups.join(" "), check(origin, number, &groups.concat()))
    });
    format!("{HEAD}\nlog  {origin}\nsize {size}\n{}", rows.collect::<String>())
}

/// Two digits over a row: a mistyped one passes once in 256 times, and is then found against the log.
fn check(origin: &str, row: u8, content: &str) -> String {
    sha256(format!("{origin}\n{row}\n{content}").as_bytes()).hex().chars().take(2).collect()
}

/// `None` if it is not the paper's text at all.
fn parse_typed(bytes: &[u8]) -> Result<Option<Checkpoint>, LogError> {
    let malformed = |reason: String| LogError::malformed("typed anchor", reason);
    // A paper has seven lines; editors may put a mark before them.
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.len() < 4096) else { return Ok(None) };
    let text = text.trim_start_matches('\u{feff}').chars().map(half_width).collect::<String>();
    let mut lines = text.lines().map(words).filter(|line| !line.is_empty());
    if lines.next().is_none_or(|head| head.join(" ").to_lowercase() != HEAD) {
        return Ok(None);
    }
    let (origin, size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (["log", origin], [keyword, size, typed]) = (origin.as_slice(), size.as_slice()) else {
        return Err(malformed("after the heading stand `log NAME` and `size NUMBER CHECK`".to_owned()));
    };
    let (size, typed) = (digits(size), digits(typed));
    if !keyword.eq_ignore_ascii_case("size") || typed != check(origin, 0, &size) {
        return Err(malformed("the line `size`, or the name above it, has a typing error".to_owned()));
    }
    let size = decimal(&size).ok_or_else(|| malformed("the size is no number".to_owned()))?;
    let mut hex = String::new();
    let mut rest = digits(&lines.flatten().collect::<String>());
    for number in 1..=4 {
        let behind = rest.split_off(rest.len().min(ROW));
        let row = std::mem::replace(&mut rest, behind);
        let (content, typed) = row.split_at_checked(16).unwrap_or_default();
        if typed != check(origin, number, content) {
            return Err(malformed(format!("row {number} of the root has a typing error")));
        }
        hex.push_str(content);
    }
    if !rest.is_empty() {
        return Err(malformed("more than four rows follow the size".to_owned()));
    }
    let root = Hash::from_hex(&hex).ok_or_else(|| malformed("the root is not hexadecimal".to_owned()))?;
    Ok(Some(Checkpoint { origin: (*origin).to_owned(), size, root }))
}

/// What a Japanese keyboard may write in place of ASCII.
fn half_width(typed: char) -> char {
    match typed {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(typed) - 0xfee0).unwrap_or(typed),
        other => other,
    }
}

/// Digits of a number or of hexadecimal, with what eyes take for them.
fn digits(typed: &str) -> String {
    let digit = |typed: char| match typed.to_ascii_lowercase() {
        'o' => '0',
        'l' | 'i' => '1',
        other => other,
    };
    // Only ASCII is cut into rows.
    typed.chars().map(digit).map(|digit| if digit.is_ascii() { digit } else { '?' }).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]

    use super::super::hash::sha256;
    use super::{Anchor, Checkpoint, paper};

    #[test]
    fn paper_is_typed_back_and_a_typing_error_is_named() {
        let checkpoint = Checkpoint { origin: "gate.example.jp/log".to_owned(), size: 20_852_163, root: sha256(b"x") };
        let text = paper(&checkpoint);
        let typed = |text: &str| Anchor::parse("typed", text.as_bytes());
        assert_eq!(typed(&text).expect("as printed").checkpoint, checkpoint);
        let careless =
            format!("\u{feff}\r\n{}\r\n", text.replace("log  ", "log ").to_uppercase().replace('\n', " \r\n\r\n"));
        let careless = careless.replace("GATE.EXAMPLE.JP/LOG", "gate.example.jp/log").replace("LOG gate", "log gate");
        assert_eq!(typed(&careless).expect("typed carelessly").checkpoint, checkpoint);
        let (upper, rows) = text.split_at(text.find("size").expect("a size"));
        let eyes = format!("{upper}{}", rows.replace('0', "O").replace('1', "l"));
        assert_eq!(typed(&eyes).expect("letters for digits").checkpoint, checkpoint);
        let flowing = format!("{upper}{}", rows.replacen('\n', "\r", 1).replace('\n', " ").replace('\r', "\n"));
        assert_eq!(typed(&flowing).expect("rows in one line").checkpoint, checkpoint);
        let wide = |each: char| char::from_u32(u32::from(each) + 0xfee0).expect("a character");
        let wide = |each: char| if each.is_ascii_graphic() { wide(each) } else { each };
        assert_eq!(typed(&text.chars().map(wide).collect::<String>()).expect("full-width").checkpoint, checkpoint);
        for (number, row) in text.lines().enumerate().skip(3) {
            let at = row.chars().next().expect("a digit");
            let other = text.replace(row, &row.replacen(at, if at == '0' { "1" } else { "0" }, 1));
            let fault = typed(&other).expect_err("a typing error").to_string();
            assert!(fault.contains(&format!("row {}", number - 2)), "{fault}");
        }
        for (from, to) in [("20852163", "20852136"), ("gate.", "gat."), ("size", "sise"), ("sekimori", "sekimory")] {
            assert!(typed(&text.replace(from, to)).is_err(), "{from}");
        }
        assert!(typed(&format!("{text}00\n")).is_err());
    }
}
