//! What is said in both languages, where it is found.

use crate::facts::Language;

/// The same words in both languages; they are shown in English where nobody says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    ja: &'static str,
    en: &'static str,
}

impl Words {
    /// These words.
    #[must_use]
    pub const fn new(ja: &'static str, en: &'static str) -> Self {
        Self { ja, en }
    }

    /// Those of a language.
    #[must_use]
    pub fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::Ja => self.ja,
            Language::En => self.en,
        }
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.en)
    }
}
