//! How a device is spoken to. It is kept in the device's document, beside what deciding needs; no decision depends on
//! it.

use sekimori_audit::ledger::Risk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What has to be known of a device before a word is said to it. Fields that a document lacks have their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// What it speaks.
    #[serde(skip_serializing_if = "Protocol::is_ssh")]
    pub protocol: Protocol,
    /// Outdated algorithms that the hospital allows towards this device, and towards no other.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub legacy: BTreeSet<Legacy>,
    /// What it asks with, where it speaks telnet.
    #[serde(skip_serializing_if = "Prompts::are_usual")]
    pub prompts: Prompts,
}

/// A protocol with a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// SSH, version 2.
    #[default]
    Ssh,
    /// Telnet (RFC 854): whoever stands between reads everything, and nothing proves who answers.
    Telnet,
}

impl Protocol {
    /// Its usual port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Ssh => 22,
            Self::Telnet => 23,
        }
    }

    fn is_ssh(&self) -> bool {
        *self == Self::Ssh
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssh => "ssh",
            Self::Telnet => "telnet",
        })
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ssh" => Ok(Self::Ssh),
            "telnet" => Ok(Self::Telnet),
            _ => Err(format!("{text} is no protocol of a terminal here: ssh or telnet")),
        }
    }
}

/// The ends of the lines with which a device asks; where a list is empty, the usual ones of [`crate::telnet`] count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompts {
    /// For the account.
    pub account: Vec<String>,
    /// For its password.
    pub password: Vec<String>,
}

impl Prompts {
    fn are_usual(&self) -> bool {
        self.account.is_empty() && self.password.is_empty()
    }
}

impl Dialect {
    /// What the ledger lists as risks.
    #[must_use]
    pub fn risks(&self) -> BTreeSet<Risk> {
        match self.protocol {
            Protocol::Ssh => self.legacy.iter().map(|class| class.risk()).collect(),
            Protocol::Telnet => BTreeSet::from([Risk::Telnet]),
        }
    }
}

/// A class of algorithms that are no longer safe, in the words that product manuals and scanners use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Legacy {
    /// SHA-1: `ssh-rsa` signatures, `hmac-sha1`, key exchanges with SHA-1 in groups of 2048 bits and more.
    Sha1,
    /// Ciphers in CBC mode, triple DES among them.
    Cbc,
    /// `ssh-dss` keys: DSA with 1024 bits.
    Dss,
    /// `diffie-hellman-group1-sha1`: 1024 bits, the same for everybody.
    Group1,
}

impl Legacy {
    /// Every class, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Cbc, Self::Dss, Self::Group1];

    /// The word, as typed, stored and shown.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Cbc => "cbc",
            Self::Dss => "dss",
            Self::Group1 => "group1",
        }
    }

    fn risk(self) -> Risk {
        match self {
            Self::Sha1 => Risk::Sha1,
            Self::Cbc => Risk::Cbc,
            Self::Dss => Risk::Dss,
            Self::Group1 => Risk::Group1,
        }
    }
}

impl fmt::Display for Legacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Legacy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|class| class.code() == text);
        known.ok_or_else(|| format!("{text} is no class of outdated algorithms: sha1, cbc, dss or group1"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn documents_of_before_and_after_are_read() {
        assert_eq!(serde_json::from_str::<Dialect>("{}").unwrap(), Dialect::default());
        assert_eq!(serde_json::to_string(&Dialect::default()).unwrap(), "{}");
        let old = Dialect { legacy: BTreeSet::from([Legacy::Cbc, Legacy::Sha1]), ..Dialect::default() };
        let text = serde_json::to_string(&old).unwrap();
        assert_eq!(text, r#"{"legacy":["sha1","cbc"]}"#);
        assert_eq!(serde_json::from_str::<Dialect>(&text).unwrap(), old);
        let prompts = Prompts { account: vec!["利用者名：".into()], ..Prompts::default() };
        let telnet = Dialect { protocol: Protocol::Telnet, prompts, ..Dialect::default() };
        let text = serde_json::to_string(&telnet).unwrap();
        assert_eq!(serde_json::from_str::<Dialect>(&text).unwrap(), telnet);
        assert_eq!(telnet.risks(), BTreeSet::from([Risk::Telnet]));
        // A class that this version does not know is not guessed at.
        assert!(serde_json::from_str::<Dialect>(r#"{"legacy":["rot13"]}"#).is_err());
    }

    #[test]
    fn every_class_has_one_word() {
        for class in Legacy::ALL {
            assert_eq!(class.code().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.code());
        }
        assert!("md5".parse::<Legacy>().unwrap_err().contains("group1"));
    }
}
