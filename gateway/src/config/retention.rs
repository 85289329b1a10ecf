//! The section `[retention]`: how long recordings are kept (保存期間), by class. Nothing is removed by itself: what is due
//! may be proposed, and somebody else decides.

use sekimori_policy::retention::{Class, Terms};
use serde::Deserialize;

/// Days from the session's end; a class that is not named is kept for good. The longest of those that fit counts.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Each recording.
    pub ordinary_days: Option<u32>,
    /// Where files went through.
    pub transfer_days: Option<u32>,
    /// Where personal data was accessed, or expected to be.
    pub personal_data_days: Option<u32>,
    /// Where access came before approval.
    pub emergency_days: Option<u32>,
    /// What the hospital cut off.
    pub cut_off_days: Option<u32>,
}

impl Retention {
    /// The same, as the policy asks for it.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            ordinary: self.ordinary_days,
            transfer: self.transfer_days,
            personal_data: self.personal_data_days,
            emergency: self.emergency_days,
            cut_off: self.cut_off_days,
        }
    }

    /// What a value may be.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        let terms = self.terms();
        match Class::ALL.into_iter().find(|class| terms.of(*class) == Some(0)) {
            Some(class) => Err(format!(
                "retention: the days of {class:?} are 0: they must be at least 1; leave them out to keep it for good"
            )),
            None => Ok(()),
        }
    }
}
