//! People prove who they are: passwords, one-time codes, and the throttle on failures.
//!
//! The order, for each attempt of a caller, is [`proving`]'s to keep; a step left out opens a hole:
//!
//! 1. The source. `Store::source_is_allowed_by_anybody` refuses strangers before a banner. Once a person is named, a
//!    source that the lists of that person and their vendor do not contain is answered like a wrong password, and never
//!    counted against the person: otherwise anybody could lock anybody out.
//! 2. [`Throttle::attempt`](throttle::Throttle::attempt), before each password or code is looked at.
//! 3. [`Passwords::verify`](password::Passwords::verify), also for an unknown person (with no hash), and
//!    [`totp::matching_step`] followed by `Store::spend_totp_step`: a step that was not spent proves nothing.
//! 4. After a failure `Store::sign_in_failed`, which counts it durably; after all factors `Store::open_sign_in` and
//!    [`Throttle::proved`](throttle::Throttle::proved).

mod common;
pub mod invitation;
mod memory;
pub mod passkey;
pub mod password;
pub mod proving;
pub mod recovery;
pub mod throttle;
pub mod token;
pub mod totp;

/// Why a factor could not be made or looked at. Whoever asked is to deny.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A password that the policy refuses.
    #[error("this password cannot be used: {0}")]
    Password(#[from] password::PasswordFault),
    /// A stored hash that is none.
    #[error("the stored password hash cannot be read: set the password again")]
    DamagedHash,
    /// A seed of the wrong length, or an issuer or name that no authenticator takes.
    #[error("the one-time code cannot be set up: {0}")]
    Totp(String),
    /// A text that no QR code holds.
    #[error("a QR code cannot be made: {0}")]
    Qr(String),
    /// The system has no randomness or memory to give.
    #[error("the system could not {0}: try again")]
    System(&'static str),
}
