//! Kinds of authentication factors (認証要素: 記憶・生体計測・物理媒体) and the rule that two different ones are needed.
//!
//! The guideline counts kinds, not methods: a key and a one-time code are both something one has.

use crate::facts::{Language, Method};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a proof rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// Something one knows (記憶).
    Knowledge,
    /// Something one has (物理媒体).
    Possession,
    /// Something one is (生体計測).
    Inherence,
}

impl Method {
    /// The kinds that this method proves.
    #[must_use]
    pub fn kinds(self) -> &'static [FactorKind] {
        match self {
            Self::Password => &[FactorKind::Knowledge],
            Self::Totp | Self::RecoveryCode | Self::SshKey => &[FactorKind::Possession],
            Self::Passkey => &[FactorKind::Possession, FactorKind::Inherence],
        }
    }

    /// The method's name on screens.
    #[must_use]
    pub fn label(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Password, Language::Ja) => "パスワード",
            (Self::Totp, Language::Ja) => "ワンタイムコード",
            (Self::RecoveryCode, Language::Ja) => "回復コード",
            (Self::SshKey, Language::Ja) => "SSH鍵",
            (Self::Passkey, Language::Ja) => "パスキー",
            (Self::Password, Language::En) => "password",
            (Self::Totp, Language::En) => "one-time code",
            (Self::RecoveryCode, Language::En) => "recovery code",
            (Self::SshKey, Language::En) => "SSH key",
            (Self::Passkey, Language::En) => "passkey",
        }
    }
}

/// The kinds that these methods prove together.
#[must_use]
pub fn kinds(methods: &BTreeSet<Method>) -> BTreeSet<FactorKind> {
    methods.iter().flat_map(|method| method.kinds()).copied().collect()
}

/// Whether these methods are of two different kinds. Sign-in asks this to know when it may stop asking.
#[must_use]
pub fn are_two_kinds(methods: &BTreeSet<Method>) -> bool {
    kinds(methods).len() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_count_and_not_methods() {
        use Method::{Passkey, Password, RecoveryCode, SshKey, Totp};
        for (methods, enough) in [
            (vec![], false),
            (vec![Password], false),
            (vec![SshKey], false),
            (vec![Totp], false),
            (vec![SshKey, Totp], false),
            (vec![SshKey, Password], true),
            (vec![Password, Totp], true),
            (vec![RecoveryCode, Totp], false),
            (vec![RecoveryCode, SshKey], false),
            (vec![Password, RecoveryCode], true),
            (vec![SshKey, Password, Totp], true),
            (vec![Passkey], true),
        ] {
            assert_eq!(are_two_kinds(&methods.iter().copied().collect()), enough, "{methods:?}");
        }
    }
}
