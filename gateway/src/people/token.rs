//! Random texts that somebody holds, and of which only a hash is kept.

use super::PeopleError;
use sekimori_audit::hex;
use sekimori_audit::log::sha256;
use zeroize::Zeroizing;

/// 256 random bits in hexadecimal: for links and cookies.
///
/// # Errors
/// [`PeopleError::System`] without randomness.
pub fn random() -> Result<Zeroizing<String>, PeopleError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| PeopleError::System("give randomness"))?;
    Ok(Zeroizing::new(hex::encode(&*bytes)))
}

/// The SHA-256 of a token for a purpose, in hexadecimal: what is stored, and what forms carry, give the token away to
/// nobody.
#[must_use]
pub fn hash(purpose: &str, token: &str) -> String {
    sha256(format!("sekimori console {purpose}\0{token}").as_bytes()).hex()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_what_forms_carry_differ() {
        assert_ne!(hash("sign-in", "x"), hash("form", "x"));
        let (one, other) = (random().unwrap(), random().unwrap());
        assert!(one.len() == 64 && *one != *other);
    }
}
