//! What makes the way to a device unsafe although the hospital allows it: shown in the ledger until it is gone.

use sekimori_policy::facts::Language;
use serde::Serialize;

/// One weakness of how a device is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Signatures, message authentication or key exchange with SHA-1.
    Sha1,
    /// Ciphers in CBC mode.
    Cbc,
    /// DSA host keys or sign-in keys of 1024 bits.
    Dss,
    /// A key exchange of 1024 bits.
    Group1,
    /// Telnet: no encryption, and no proof of who answers.
    Telnet,
}

impl Risk {
    /// As written in the ledger, on screens and in sentences.
    #[must_use]
    pub fn name(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::Ja, Self::Sha1) => "旧式暗号（SHA-1）",
            (Language::Ja, Self::Cbc) => "旧式暗号（CBC）",
            (Language::Ja, Self::Dss) => "旧式暗号（DSA鍵）",
            (Language::Ja, Self::Group1) => "旧式暗号（1024ビット鍵交換）",
            (Language::Ja, Self::Telnet) => "telnet（暗号化なし・接続先の確認不可）",
            (Language::En, Self::Sha1) => "outdated: SHA-1",
            (Language::En, Self::Cbc) => "outdated: CBC",
            (Language::En, Self::Dss) => "outdated: DSA keys",
            (Language::En, Self::Group1) => "outdated: 1024-bit key exchange",
            (Language::En, Self::Telnet) => "telnet: no encryption, no proof of who answers",
        }
    }
}
