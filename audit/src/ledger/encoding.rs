//! The two encodings in which office software reads and writes CSV, and the apostrophe that keeps cells from acting.

use super::fault::Problem;
use encoding_rs::SHIFT_JIS;

/// How a file's text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8: written with a byte order mark, without which spreadsheets take it for CP932; read with or without.
    Utf8,
    /// CP932, Microsoft's Shift_JIS (windows-31j).
    Cp932,
}

/// What to do with a character that the encoding cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unencodable {
    /// Name it as a fault, and write nothing.
    Refuse,
    /// Write 〓, the printer's mark for a missing type.
    Replace,
}

/// The byte order mark of UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

impl Encoding {
    /// The encoding that a file's bytes show: UTF-8 if they are valid UTF-8, else CP932. (CP932 text of more than a few
    /// characters is never valid UTF-8.)
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Self {
        if std::str::from_utf8(bytes).is_ok() || bytes.starts_with(BOM) { Self::Utf8 } else { Self::Cp932 }
    }

    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Cp932 => "CP932 (Shift_JIS)",
        }
    }

    /// The text of a cell. Line breaks and tabs may stand in it, other control characters not.
    pub(super) fn decode(self, cell: &[u8]) -> Result<String, Problem> {
        let text = match self {
            Self::Utf8 => std::str::from_utf8(cell).ok().map(str::to_owned),
            Self::Cp932 => SHIFT_JIS.decode_without_bom_handling_and_without_replacement(cell).map(Into::into),
        };
        let text = text.ok_or(Problem::NotText(self.name()))?;
        if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
            return Err(Problem::ControlCharacter);
        }
        Ok(text)
    }

    /// The bytes of a cell.
    pub(super) fn encode(self, text: &str, unencodable: Unencodable) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Cp932 => cp932(text, unencodable),
        }
    }
}

fn cp932(text: &str, unencodable: Unencodable) -> Result<Vec<u8>, Problem> {
    let text: String = text.chars().map(microsofts).collect();
    let (bytes, _, lacking) = SHIFT_JIS.encode(&text);
    if !lacking {
        return Ok(bytes.into_owned());
    }
    let lacks = |letter: char| SHIFT_JIS.encode(letter.encode_utf8(&mut [0; 4])).2;
    match (unencodable, text.chars().find(|letter| lacks(*letter))) {
        (Unencodable::Refuse, Some(character)) => {
            Err(Problem::Unencodable { character, encoding: Encoding::Cp932.name() })
        }
        (_, _) => {
            let replaced: String = text.chars().map(|letter| if lacks(letter) { '〓' } else { letter }).collect();
            Ok(SHIFT_JIS.encode(&replaced).0.into_owned())
        }
    }
}

/// The same sign under the number that Microsoft's table has for it. JIS and Microsoft map a few signs of Shift_JIS to
/// different numbers of Unicode, the wave dash above all: text from other systems would be refused for signs that
/// CP932 does have. The yen sign and the overline would even turn into `\` and `~`.
fn microsofts(letter: char) -> char {
    match letter {
        '\u{301c}' => '\u{ff5e}', // wave dash, fullwidth tilde
        '\u{2016}' => '\u{2225}', // double vertical line, parallel to
        '\u{2212}' => '\u{ff0d}', // minus
        '\u{2014}' => '\u{2015}', // em dash, horizontal bar
        '\u{00a5}' => '\u{ffe5}', // yen
        '\u{203e}' => '\u{ffe3}', // overline
        '\u{00a2}' => '\u{ffe0}', // cent
        '\u{00a3}' => '\u{ffe1}', // pound
        '\u{00ac}' => '\u{ffe2}', // not
        '\u{00a6}' => '\u{ffe4}', // broken bar
        other => other,
    }
}

/// A cell as it is written: with an apostrophe before anything that a spreadsheet would run as a formula.
pub(super) fn guard(text: &str) -> String {
    if acts(text) { format!("'{text}") } else { text.to_owned() }
}

/// A cell as it was before [`guard`].
pub(super) fn unguard(text: &str) -> &str {
    text.strip_prefix('\'').filter(|_| acts(text)).unwrap_or(text)
}

/// Whether a cell begins, behind any apostrophes, with a sign that begins a formula. Japanese spreadsheets take the wide
/// signs too; alone, as in － for "none", those are no formula.
fn acts(text: &str) -> bool {
    let mut letters = text.trim_start_matches('\'').chars();
    match letters.next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => true,
        Some('＝' | '＋' | '－' | '＠' | '\u{2212}') => letters.next().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn signs_that_jis_and_microsoft_number_differently_are_written() {
        let text = "〜‖−—¥‾¢£¬¦～";
        let bytes = Encoding::Cp932.encode(text, Unencodable::Refuse).unwrap();
        assert_eq!(Encoding::Cp932.decode(&bytes).unwrap(), "～∥－―￥￣￠￡￢￤～");
    }

    #[test]
    fn what_cp932_lacks_is_named_or_replaced() {
        let lacking = Encoding::Cp932.encode("𠮷野家🏥", Unencodable::Refuse);
        assert_eq!(lacking, Err(Problem::Unencodable { character: '𠮷', encoding: "CP932 (Shift_JIS)" }));
        let replaced = Encoding::Cp932.encode("𠮷野家🏥", Unencodable::Replace).unwrap();
        assert_eq!(Encoding::Cp932.decode(&replaced).unwrap(), "〓野家〓");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(Encoding::Utf8.decode(b"\x82\xa0"), Err(Problem::NotText("UTF-8")));
        assert_eq!(Encoding::Cp932.decode(b"\x81"), Err(Problem::NotText("CP932 (Shift_JIS)")));
        assert_eq!(Encoding::Cp932.decode(b"\x1b[31m"), Err(Problem::ControlCharacter));
        assert_eq!(Encoding::Utf8.decode("\u{9b}31m".as_bytes()), Err(Problem::ControlCharacter));
    }

    #[test]
    fn formulas_are_kept_from_acting_and_a_lone_wide_dash_is_none() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+81-3", "'+81-3"),
            ("-", "'-"),
            ("@x", "'@x"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("－", "－"),
            ("'90", "'90"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(guard(text), written);
        }
    }

    proptest! {
        #[test]
        fn the_apostrophe_comes_off_again(text in "['=+@ａ＝－-]{0,5}.*") {
            let guarded = guard(&text);
            prop_assert_eq!(unguard(&guarded), text);
        }

        #[test]
        fn whatever_cp932_text_is_read_is_written_again(bytes: Vec<u8>) {
            if let Ok(text) = Encoding::Cp932.decode(&bytes) {
                let replaced = Encoding::Cp932.encode(&text, Unencodable::Replace).unwrap();
                prop_assert_eq!(Encoding::Cp932.decode(&replaced).unwrap().chars().count(), text.chars().count());
            }
        }
    }
}
