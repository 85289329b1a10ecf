//! The leaf: what an entry of the log says of an event, without a name in it.
//!
//! An entry is one JSON object in the canonical form of RFC 8785 (keys sorted, no spaces), always with all seven keys:
//!
//! | key | meaning |
//! |---|---|
//! | `v` | version of this form: 1 |
//! | `k` | kind of the event, a code of [`crate::event::Kind`] |
//! | `s` | the session it belongs to, a UUID; `""` for events of no session |
//! | `n` | its number within the session, from 1 without gaps; events of no session are numbered likewise |
//! | `t` | when it happened: Unix time in microseconds, by the gateway's clock |
//! | `len` | bytes of the body as it is stored |
//! | `h` | SHA-256 of the body as it is stored, in hexadecimal |
//!
//! What the body is depends on the kind. For an event: its 16 random bytes of salt, then its exact JSON text; without
//! the salt nobody can find a name by trying. For [`SEGMENT`]: the sealed bytes of the segment in the recording. For
//! [`KEY_ROTATED`]: the text of the new verifier key, without salt, so that whoever holds the keys can check it alone.

use super::error::LogError;
use super::hash::{Hash, sha256};
use uuid::Uuid;

/// The only version of the form.
pub const VERSION: u64 = 1;
/// Once an hour while the gateway serves, so that silence shows.
pub const BEAT: &str = "gateway.beat";
/// The gateway began to serve.
pub const START: &str = "gateway.start";
/// The gateway stopped in good order.
pub const STOP: &str = "gateway.stop";
/// A session opened: always its first leaf.
pub const OPEN: &str = "session.open";
/// A session closed.
pub const CLOSE: &str = "session.close";
/// A segment of a recording was sealed; its body lies in the recording.
pub const SEGMENT: &str = "recording.segment";
/// The recording of a session was sealed as a whole.
pub const SEALED: &str = "recording.sealed";
/// A hold was laid on a recording: what is held is not removed.
pub const HELD: &str = "recording.held";
/// A hold was lifted.
pub const RELEASED: &str = "recording.released";
/// The bytes of a session's recording were removed.
pub const PURGED: &str = "recording.purged";
/// The log's next key was introduced.
pub const KEY_ROTATED: &str = "log.key-rotated";

/// Numbers up to here are the same in every reader of JSON.
const LARGEST: u64 = (1 << 53) - 1;

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The kind's code. Readers keep codes that they do not know.
    pub kind: String,
    /// The session, if it belongs to one.
    pub session: Option<Uuid>,
    /// Number within the session.
    pub number: u64,
    /// Unix time in microseconds.
    pub time: u64,
    /// Bytes of the body.
    pub length: u64,
    /// SHA-256 of the body.
    pub hash: Hash,
}

impl Leaf {
    /// The leaf of an event whose stored body is `salt` and then `body`.
    #[must_use]
    pub fn of_event(kind: &str, session: Option<Uuid>, number: u64, time: u64, salt: &[u8], body: &str) -> Self {
        Self::of_bytes(kind, session, number, time, &[salt, body.as_bytes()].concat())
    }

    /// The leaf over stored bytes as they are.
    #[must_use]
    pub fn of_bytes(kind: &str, session: Option<Uuid>, number: u64, time: u64, stored: &[u8]) -> Self {
        let (length, hash) = (stored.len() as u64, sha256(stored));
        Self { kind: kind.to_owned(), session, number, time, length, hash }
    }

    /// The bytes of the entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let session = self.session.map(|session| session.to_string()).unwrap_or_default();
        let Self { kind, number, time, length, hash, .. } = self;
        format!(
            r#"{{"h":"{}","k":"{kind}","len":{length},"n":{number},"s":"{session}","t":{time},"v":{VERSION}}}"#,
            hash.hex()
        )
        .into_bytes()
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`LogError::Malformed`] for every other spelling than [`Leaf::encode`]'s.
    pub fn parse(entry: &[u8]) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("leaf", reason);
        let text = std::str::from_utf8(entry).map_err(|_| malformed("it is not UTF-8"))?;
        let mut rest = text;
        let mut field = |opening: &str, closing: &str| {
            let (value, behind) = rest.strip_prefix(opening)?.split_once(closing)?;
            rest = behind;
            Some(value)
        };
        let parts = (|| {
            Some((
                field(r#"{"h":""#, r#"","#)?,
                field(r#""k":""#, r#"","#)?,
                field(r#""len":"#, ",")?,
                field(r#""n":"#, ",")?,
                field(r#""s":""#, r#"","#)?,
                field(r#""t":"#, ",")?,
                field(r#""v":"#, "}")?,
            ))
        })();
        let (hash, kind, length, number, session, time, version) =
            parts.ok_or_else(|| malformed("it has not the seven keys in their order"))?;
        let plain = |each: u8| each.is_ascii_lowercase() || each.is_ascii_digit() || matches!(each, b'.' | b'-');
        if !rest.is_empty() || kind.is_empty() || !kind.bytes().all(plain) {
            return Err(malformed("its kind is no code, or something stands behind it"));
        }
        let counted = |text| super::checkpoint::decimal(text).filter(|number| *number <= LARGEST);
        let number_of = |text| counted(text).ok_or_else(|| malformed("a number in it is none"));
        if number_of(version)? != VERSION {
            return Err(malformed("it is of a version that this program does not know"));
        }
        Ok(Self {
            kind: kind.to_owned(),
            session: parse_session(session).ok_or_else(|| malformed("its session is no UUID"))?,
            number: number_of(number)?,
            time: number_of(time)?,
            length: number_of(length)?,
            hash: Hash::from_hex(hash).ok_or_else(|| malformed("its hash is none"))?,
        })
    }
}

/// Nothing, or a UUID in its one lowercase spelling.
fn parse_session(text: &str) -> Option<Option<Uuid>> {
    if text.is_empty() {
        return Some(None);
    }
    let session = Uuid::try_parse(text).ok()?;
    (*session.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *text).then_some(Some(session))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]

    use super::Leaf;

    #[test]
    fn one_leaf_has_one_spelling() {
        let session = Some("0197b2c4-9f00-7000-8000-000000000001".parse().expect("a UUID"));
        let leaf = Leaf::of_event("session.open", session, 1, 1_764_000_000_000_000, &[7; 16], "{}");
        let text = String::from_utf8(leaf.encode()).expect("text");
        assert_eq!(
            text,
            concat!(
                r#"{"h":"b41fc38fe99d3097c65af3b58644d503f2a3f5d5dc7fb9b53d9ca83cc9ff5cfb","k":"session.open","len":18,"n":1,"#,
                r#""s":"0197b2c4-9f00-7000-8000-000000000001","t":1764000000000000,"v":1}"#
            )
        );
        assert_eq!(Leaf::parse(text.as_bytes()).ok(), Some(leaf));
        for (from, to) in [
            ("\"n\":1", "\"n\":01"),
            ("\"n\":1", "\"n\": 1"),
            ("\"n\":1", "\"n\":-1"),
            ("\"t\":1764", "\"t\":9999991764"),
            ("\"v\":1", "\"v\":2"),
            ("session.open", "Session.open"),
            ("session.open", ""),
            ("session.open", "a\\u0062"),
            ("0197b2c4-", "0197B2C4-"),
            ("0197b2c4-", "0197b2c4"),
            ("}", "} "),
            ("}", ",\"x\":1}"),
        ] {
            let other = text.replace(from, to);
            assert!(other != text && Leaf::parse(other.as_bytes()).is_err(), "{other}");
        }
    }
}
