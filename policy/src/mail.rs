//! Mail addresses, taken strictly: one address, in ASCII, with nothing in it that could be read as a second one, as a line
//! of its own or as a name. What a mail server would also take (quotes, comments, addresses in brackets) nobody here has.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most characters of an address (RFC 5321, 4.5.3.1.3, without its brackets), and of the part before the `@`.
const LONGEST: usize = 254;
const LONGEST_LOCAL: usize = 64;

/// Why a text is no mail address. The message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a mail address: write one, in ASCII, such as sato@hospital.example")]
pub struct InvalidMail {
    text: String,
}

/// Where somebody gets mail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

impl MailAddress {
    /// The text as typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// RFC 5322, 3.2.3: dot-atom.
fn is_local(text: &str) -> bool {
    let atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
    };
    text.len() <= LONGEST_LOCAL && text.split('.').all(atom)
}

/// RFC 1123, 2.1.
fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}

impl TryFrom<String> for MailAddress {
    type Error = InvalidMail;

    fn try_from(text: String) -> Result<Self, InvalidMail> {
        let sound = text.len() <= LONGEST
            && text.split_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
        if sound { Ok(Self(text)) } else { Err(InvalidMail { text: text.chars().take(80).collect() }) }
    }
}

impl FromStr for MailAddress {
    type Err = InvalidMail;

    fn from_str(text: &str) -> Result<Self, InvalidMail> {
        Self::try_from(text.to_owned())
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn one_address_and_nothing_around_it() {
        for text in
            ["sato@hospital.example", "a.b+c-d@x-y.example", "O'Brien@h.example", "root@localhost", "a@1.example"]
        {
            assert_eq!(text.parse::<MailAddress>().unwrap().as_str(), text);
        }
        assert_eq!("a@b.example".parse::<MailAddress>().unwrap().domain(), "b.example");
        let long = format!("{}@h.example", "a".repeat(65));
        for text in [
            "",
            "sato",
            "@h.example",
            "a@",
            "a@@h.example",
            "a@b@h.example",
            " a@h.example",
            "a@h.example\r\nBcc: x@y.z",
            "a@h.example\n",
            "a b@h.example",
            "<a@h.example>",
            "Sato <a@h.example>",
            "a@h.example,b@h.example",
            "\"a b\"@h.example",
            "a@[192.0.2.1]",
            ".a@h.example",
            "a.@h.example",
            "a..b@h.example",
            "a@-h.example",
            "a@h..example",
            "a@h.example.",
            "佐藤@h.example",
            "a@病院.example",
            "a\u{202e}@h.example",
            "a\0@h.example",
            long.as_str(),
        ] {
            assert!(text.parse::<MailAddress>().is_err(), "{text:?}");
        }
    }
}
