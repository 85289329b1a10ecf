//! Recovery codes: what a person keeps on paper for the day on which the authenticator is lost. Each is possession, like
//! the authenticator that it stands in for, and counts once.
//!
//! 80 random bits in four groups of four letters and digits, none of which is easily taken for another.

use super::PeopleError;
use crate::store::RecoveryCode;
use zeroize::Zeroizing;

/// How many are handed out.
pub const COUNT: usize = 10;
/// Characters of a code, without the dashes.
const LENGTH: usize = 16;
/// Crockford's digits: neither I, L, O nor U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new sheet of codes, as they are shown once.
///
/// # Errors
/// [`PeopleError::System`] without randomness.
pub fn new_codes() -> Result<Vec<Zeroizing<String>>, PeopleError> {
    (0..COUNT).map(|_| new_code()).collect()
}

fn new_code() -> Result<Zeroizing<String>, PeopleError> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| PeopleError::System("give randomness"))?;
    let mut code = Zeroizing::new(String::with_capacity(LENGTH + 3));
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at.is_multiple_of(4) {
            code.push('-');
        }
        code.extend(DIGITS.get(usize::from(byte & 31)).map(|digit| char::from(*digit)));
    }
    Ok(code)
}

/// What is kept of a code, and compared: however it was typed, in small letters, without dashes, with an O for a 0.
/// `None`: this cannot be one.
#[must_use]
pub fn read(typed: &str) -> Option<RecoveryCode> {
    let mut code = Zeroizing::new(String::with_capacity(LENGTH));
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let digit = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            digit => digit,
        };
        if code.len() == LENGTH || !u8::try_from(digit).is_ok_and(|digit| DIGITS.contains(&digit)) {
            return None;
        }
        code.push(digit);
    }
    (code.len() == LENGTH).then(|| kept(&code))
}

fn kept(code: &str) -> RecoveryCode {
    *sekimori_audit::log::sha256(format!("sekimori recovery code\0{code}").as_bytes()).as_bytes()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_code_is_read_however_it_was_typed() {
        let kept = read("00AB-1CDE-FGHJ-KMN0").unwrap();
        for typed in ["00ab1cdefghjkmn0", " OOAB 1CDE FGHJ KMNo ", "ooab-Icde-fghj-kmno", "00ABlCDEFGHJKMN0"] {
            assert_eq!(read(typed), Some(kept), "{typed}");
        }
        for none in
            ["", "123456", "00AB-1CDE-FGHJ-KMN", "00AB-1CDE-FGHJ-KMN00", "00AB-1CDE-FGHJ-KMNU", "００AB1CDEFGHJKMN0"]
        {
            assert_eq!(read(none), None, "{none}");
        }
        assert_ne!(read("00AB-1CDE-FGHJ-KMN1"), Some(kept));
    }

    #[test]
    fn a_sheet_holds_distinct_codes_that_are_read_back() {
        let codes = new_codes().unwrap();
        let read: BTreeSet<_> = codes.iter().map(|code| read(code).unwrap()).collect();
        assert_eq!(read.len(), COUNT);
        assert!(codes.iter().all(|code| code.len() == LENGTH + 3), "{codes:?}");
    }
}
