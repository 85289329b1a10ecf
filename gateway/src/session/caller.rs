//! Who comes to a session, and how.

use sekimori_policy::facts::{Factors, Language, Person, Source};
use uuid::Uuid;

/// A person who has proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub person: Person,
    /// What was proved.
    pub factors: Factors,
    /// The sign-in that this stands on.
    pub sign_in: Uuid,
    /// Where from.
    pub source: Source,
    /// Whether a certificate carried the sign-in here.
    pub carried: bool,
}

impl Caller {
    /// The language to speak with this person.
    #[must_use]
    pub fn language(&self) -> Language {
        self.person.language
    }
}

/// How somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By SSH, with a client of their own.
    Ssh,
    /// By the console's terminal.
    Browser,
}

impl Way {
    /// As events name it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Browser => "browser",
        }
    }
}
