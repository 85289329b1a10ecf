//! The master key as text that a person can copy from paper: four lines of sixteen characters in groups of four.
//!
//! Each line is 8 bytes of the key and 2 bytes of checksum (SHA-256 over a label, the line's number and the 8 bytes) in
//! Crockford's base 32, whose alphabet leaves out I, L, O and U. The number in the checksum finds swapped lines.

use crate::CertsError;
use aws_lc_rs::digest::{Context, SHA256};
use zeroize::{Zeroize, Zeroizing};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LINES: usize = 4;
const KEY_BYTES: usize = 8;
const CHARACTERS: usize = 16;

/// The four lines of a key.
pub(super) fn lines(key: &[u8; 32]) -> Zeroizing<Vec<String>> {
    Zeroizing::new(key.chunks(KEY_BYTES).zip(1..).map(|(bytes, number)| line(number, bytes)).collect())
}

/// The key of four lines; empty ones are passed over.
pub(super) fn key(text: &str) -> Result<Zeroizing<[u8; 32]>, CertsError> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() != LINES {
        return Err(CertsError::RecoveryLength { found: lines.len() });
    }
    let mut key = Zeroizing::new([0; LINES * KEY_BYTES]);
    for ((text, bytes), number) in lines.iter().zip(key.chunks_mut(KEY_BYTES)).zip(1..) {
        let read = parse(number, text).ok_or(CertsError::RecoveryLine { line: usize::from(number) })?;
        bytes.copy_from_slice(read.as_slice());
    }
    Ok(key)
}

fn line(number: u8, bytes: &[u8]) -> String {
    let mut bits =
        bytes.iter().chain(&checksum(number, bytes)).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut text = String::with_capacity(CHARACTERS + 3);
    for position in (0..CHARACTERS).rev() {
        let value = (bits >> (5 * position)) & 31;
        let letter = usize::try_from(value).ok().and_then(|value| ALPHABET.get(value)).copied().unwrap_or(b'?');
        text.push(char::from(letter));
        if position % 4 == 0 && position != 0 {
            text.push('-');
        }
    }
    bits.zeroize();
    text
}

fn parse(number: u8, text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bits = Zeroizing::new(0_u128);
    let mut count = 0_usize;
    for letter in text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-') {
        let letter = match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = ALPHABET.iter().position(|known| char::from(*known) == letter)?;
        // Seventeen letters or more would shift the first ones out unseen.
        count = count.checked_add(1).filter(|count| *count <= CHARACTERS)?;
        *bits = *bits << 5 | u128::try_from(value).ok()?;
    }
    if count != CHARACTERS {
        return None;
    }
    let bytes = Zeroizing::new(u64::try_from(*bits >> 16).ok()?.to_be_bytes());
    let sum = u16::try_from(*bits & 0xffff).ok()?.to_be_bytes();
    (checksum(number, bytes.as_slice()) == sum).then_some(bytes)
}

fn checksum(number: u8, bytes: &[u8]) -> [u8; 2] {
    let mut hash = Context::new(&SHA256);
    hash.update(b"sekimori recovery line ");
    hash.update(&[number]);
    hash.update(bytes);
    let digest = hash.finish();
    let mut start = digest.as_ref().iter().copied();
    [start.next().unwrap_or(0), start.next().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8; 32]) -> String {
        lines(bytes).join("\n")
    }

    #[test]
    fn what_a_person_types_is_understood() {
        // Line 1 of this key holds zeros and ones, which are typed as O, I and L.
        let original = [0; 32];
        let typed = text(&original).to_lowercase().replace('-', " ").replace('0', "o").replacen('1', "l", 1);
        assert_eq!(*key(&format!("\n{typed}\n\n")).unwrap(), original);
    }

    #[test]
    fn wrong_lines_are_named() {
        let original = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
        let written = lines(&original);
        let [one, two, three, four] = written.as_slice() else { panic!("four lines") };
        let at = |text: String| match key(&text) {
            Err(CertsError::RecoveryLine { line }) => line,
            other => panic!("{:?}", other.map(|_| ())),
        };
        assert_eq!(at([one, three, two, four].map(String::as_str).join("\n")), 2);
        assert_eq!(at(format!("{one}\n{two}\n{three}\n{four}0")), 4);
        assert_eq!(at(format!("{one}\n{two}\n{three}0\n{four}")), 3);
        assert_eq!(at(format!("{}\n{two}\n{three}\n{four}", one.replacen(char::is_alphanumeric, "U", 1))), 1);
        assert!(matches!(key(&format!("{one}\n{two}\n{three}")), Err(CertsError::RecoveryLength { found: 3 })));
        assert!(matches!(key(""), Err(CertsError::RecoveryLength { found: 0 })));
    }

    proptest! {
        #[test]
        fn any_key_comes_back(original: [u8; 32]) {
            prop_assert_eq!(*key(&text(&original)).unwrap(), original);
        }

        #[test]
        fn any_text_is_an_error_or_a_key(noise in ".*") {
            let _ = key(&noise);
        }
    }
}
