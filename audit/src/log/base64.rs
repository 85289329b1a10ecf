//! Base64 as RFC 4648 section 4 has it, strict: one spelling for each string of bytes, so that a note has one form.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding, on one line.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * at)) as usize & 63);
            text.push(if at <= chunk.len() { digit.map_or('=', |digit| char::from(*digit)) } else { '=' });
        }
    }
    text
}

/// The bytes; `None` for anything that [`encode`] would not have written.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let padding = chunk.iter().rev().take_while(|digit| **digit == b'=').count();
        let bits = chunk.iter().take(4 - padding).try_fold(0_u32, |bits, digit| Some(bits << 6 | value(*digit)?))?;
        let bits = bits << (6 * padding);
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(3_usize.checked_sub(padding)?));
    }
    // Padding in the middle and stray low bits do not survive the way back.
    (encode(&bytes) == text).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        for other in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm9-", "あ"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
