//! One-time codes (RFC 6238): SHA-1, 30 seconds, 6 digits, as every authenticator app speaks them; one step either
//! side is taken for clocks that differ.
//!
//! A code that matches is not yet proof: the step is to be spent in the store, where that succeeds once.

use super::PeopleError;
use chrono::{DateTime, Utc};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sekimori_policy::id::PersonId;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

/// Bytes of a seed: the length of the hash (RFC 4226 §4, R6).
pub const SEED_BYTES: usize = 20;
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Black on white whatever the terminal's own colours are, from the part of the palette that themes leave alone.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// What a person needs to set up an authenticator. Shown once, never stored.
pub struct Enrolment {
    /// The `otpauth://` URI that the QR code holds.
    pub uri: Zeroizing<String>,
    /// The seed in base32, for typing it in.
    pub secret: Zeroizing<String>,
}

/// A new random seed.
///
/// # Errors
/// [`PeopleError::System`] without randomness.
pub fn new_seed() -> Result<Zeroizing<Vec<u8>>, PeopleError> {
    let mut seed = Zeroizing::new(vec![0; SEED_BYTES]);
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| PeopleError::System("give randomness"))?;
    Ok(seed)
}

/// The step of which this is the code, if it is that of `at` or one step either side. Spend it with
/// `Store::spend_totp_step` before believing it. Codes are compared in constant time.
///
/// Blanks are passed over: apps show `123 456`.
#[must_use]
pub fn matching_step(seed: &[u8], code: &str, at: DateTime<Utc>) -> Option<i64> {
    let seconds = u64::try_from(at.timestamp()).ok()?;
    let code: Zeroizing<String> = Zeroizing::new(code.chars().filter(|c| !c.is_whitespace()).collect());
    let totp = speaking(Builder::new(), seed).ok()?;
    totp.check(&code, seconds).and_then(|step| i64::try_from(step).ok())
}

/// What a person needs to set up an authenticator with this seed; `issuer` is the name that it shows beside the code.
///
/// # Errors
/// [`PeopleError::Totp`] if the seed is too short.
pub fn enrolment(seed: &[u8], person: &PersonId, issuer: &str) -> Result<Enrolment, PeopleError> {
    // The format forbids the colon in an issuer: it ends it.
    let issuer = issuer.replace(':', " ");
    let totp = speaking(Builder::new().with_account_name(person.as_str()).with_issuer(Some(issuer)), seed)?;
    let uri = totp.to_url().map_err(|fault| PeopleError::Totp(fault.to_string()))?;
    Ok(Enrolment { uri: Zeroizing::new(uri), secret: Zeroizing::new(totp.secret().to_base32()) })
}

/// The URI as a QR code of half blocks, with its quiet zone, black on white, to be printed line by line.
///
/// # Errors
/// [`PeopleError::Totp`] if it is too long for a QR code.
pub fn qr_in_terminal(uri: &str) -> Result<Zeroizing<String>, PeopleError> {
    let code = QrCode::new(uri).map_err(|fault| PeopleError::Totp(fault.to_string()))?;
    let blocks = Zeroizing::new(code.render::<Dense1x2>().quiet_zone(true).build());
    let lines: Vec<String> = blocks.lines().map(|line| format!("{BLACK_ON_WHITE}{line}{RESET}\n")).collect();
    Ok(Zeroizing::new(lines.concat()))
}

fn speaking(builder: Builder, seed: &[u8]) -> Result<Totp, PeopleError> {
    let builder = builder.with_secret(seed.to_vec()).with_digits(6).with_step_duration(STEP_SECONDS).with_skew(1);
    builder.build().map_err(|fault| PeopleError::Totp(fault.to_string()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use std::process::Command;

    /// The SHA-1 seed of RFC 6238, Appendix B.
    const SEED: &[u8] = b"12345678901234567890";
    /// Time and the last six digits of the eight of Appendix B.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, code) in VECTORS {
            assert_eq!(matching_step(SEED, code, at(seconds)), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn one_step_either_side_is_taken_and_no_more() {
        let (seconds, code) = (1_234_567_890, "005924");
        let step = seconds / 30;
        for (away, expected) in [(-2, None), (-1, Some(step)), (0, Some(step)), (1, Some(step)), (2, None)] {
            assert_eq!(matching_step(SEED, code, at((step + away) * 30)), expected, "{away} steps away");
        }
    }

    #[test]
    fn what_is_no_code_matches_nothing() {
        for code in ["", "5924", "05924", "+05924", "0059240", "００５９２４", "005925", "005924\0"] {
            assert_eq!(matching_step(SEED, code, at(1_234_567_890)), None, "{code:?}");
        }
        assert!(matching_step(SEED, "005 924", at(1_234_567_890)).is_some());
        assert_eq!(matching_step(SEED, "005924", at(-1)), None);
        assert_eq!(matching_step(b"short", "005924", at(1_234_567_890)), None);
    }

    #[test]
    fn an_authenticator_set_up_with_the_enrolment_speaks_the_same_codes() {
        let seed = new_seed().unwrap();
        let enrolment = enrolment(&seed, &"eng1".parse().unwrap(), "関守病院: Sekimori").unwrap();
        assert!(enrolment.uri.starts_with("otpauth://totp/"), "{}", *enrolment.uri);
        assert!(enrolment.uri.contains(&format!("secret={}", *enrolment.secret)));
        let now = Utc::now();
        let output = Command::new("oathtool")
            .args(["--totp=sha1", "--base32", "--digits=6", "--now", &format!("@{}", now.timestamp())])
            .arg(&*enrolment.secret)
            .output()
            .expect("oathtool speaks for the authenticator app: install the Debian package oathtool");
        let code = String::from_utf8(output.stdout).unwrap();
        assert_eq!(matching_step(&seed, code.trim(), now), Some(now.timestamp() / 30), "oathtool said {code:?}");
    }

    #[test]
    fn the_qr_code_shows_every_module_and_its_quiet_zone() {
        let uri = "otpauth://totp/Sekimori:eng1?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sekimori";
        let shown = qr_in_terminal(uri).unwrap();
        let half = |c: char| match c {
            ' ' => (false, false),
            '▀' => (true, false),
            '▄' => (false, true),
            _ => (true, true),
        };
        let rows: Vec<Vec<bool>> = shown
            .lines()
            .map(|line| line.strip_prefix(BLACK_ON_WHITE).unwrap().strip_suffix(RESET).unwrap())
            .flat_map(|line| {
                let (upper, lower): (Vec<bool>, Vec<bool>) = line.chars().map(half).unzip();
                [upper, lower]
            })
            .collect();
        let code = QrCode::new(uri).unwrap();
        let width = code.width();
        let dark = |x: usize, y: usize| rows.get(y).and_then(|row| row.get(x)).copied().unwrap();
        for y in 0..width + 8 {
            for x in 0..width + 8 {
                let inside = (4..width + 4).contains(&x) && (4..width + 4).contains(&y);
                let expected = inside && code.to_colors().get((y - 4) * width + x - 4) == Some(&qrcode::Color::Dark);
                assert_eq!(dark(x, y), expected, "module {x},{y}");
            }
        }
    }
}
