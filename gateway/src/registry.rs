//! Acts on what the hospital registers (vendors, people, devices), for the command line and the console alike: who may
//! is the policy's to say, what was typed is judged here, and each change is told by one event with what was there
//! before and after, as the transaction saw it.

pub mod devices;
mod flaw;
pub mod keys;
pub mod people;
pub mod typed;
pub mod vendors;

pub use flaw::{Flaw, Problem};

use crate::store::StoreError;
use sekimori_audit::log::sha256;
use sekimori_policy::authority::Refusal;
use sekimori_policy::facts::Status;
use serde::Serialize;

/// Why an act was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryFault {
    /// The database.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The policy: not by this person.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was typed cannot be, field by field.
    #[error("{}", told(.0))]
    Flaws(Vec<Flaw>),
    /// It is not what its form was made from any more.
    #[error("{id} was changed by someone else meanwhile: look at it again and repeat")]
    Changed {
        /// Its name.
        id: String,
    },
}

impl From<StoreError> for RegistryFault {
    fn from(fault: StoreError) -> Self {
        Self::Store(Box::new(fault))
    }
}

/// All of them, a line each.
fn told(flaws: &[Flaw]) -> String {
    flaws.iter().map(|flaw| format!("{}: {}", flaw.field, flaw.problem)).collect::<Vec<_>>().join("\n")
}

/// Fails where anything is wrong.
fn sound(flaws: Vec<Flaw>) -> Result<(), RegistryFault> {
    if flaws.is_empty() { Ok(()) } else { Err(RegistryFault::Flaws(flaws)) }
}

/// What a record was when somebody looked at it: forms carry it, so that nobody overwrites what they did not see.
#[must_use]
pub fn revision(record: &impl Serialize) -> String {
    sha256(&serde_json::to_vec(record).unwrap_or_default()).hex()
}

/// Fails where the record is another one than `seen`; without `seen`, whatever is there is changed.
fn unchanged(id: &impl ToString, record: &impl Serialize, seen: Option<&str>) -> Result<(), RegistryFault> {
    match seen {
        Some(seen) if seen != revision(record) => Err(RegistryFault::Changed { id: id.to_string() }),
        _ => Ok(()),
    }
}

/// Switching something off and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Off for a time.
    Suspend,
    /// On again.
    Resume,
    /// Off for good.
    Retire,
}

impl Switch {
    /// The word, as events and forms have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retire => "retire",
        }
    }

    /// What a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Suspend, Self::Resume, Self::Retire].into_iter().find(|switch| switch.code() == code)
    }

    /// What something is afterwards.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Suspend => Status::Suspended,
            Self::Resume => Status::Active,
            Self::Retire => Status::Retired,
        }
    }

    /// Fails where it makes no sense: what was retired stays so.
    fn check(self, id: &impl ToString, now: Status) -> Result<(), RegistryFault> {
        match now {
            Status::Retired => sound(vec![Flaw::new("to", Problem::Retired(id.to_string()))]),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_retired_stays_so() {
        for switch in [Switch::Suspend, Switch::Resume, Switch::Retire] {
            assert_eq!(Switch::from_code(switch.code()), Some(switch));
            assert!(switch.check(&"x", Status::Suspended).is_ok());
            assert!(matches!(switch.check(&"x", Status::Retired), Err(RegistryFault::Flaws(_))));
        }
    }
}
