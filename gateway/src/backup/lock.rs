//! Object lock in compliance mode: nobody shortens it, not even who owns the store.
//!
//! A file that never changes is put once, and each backup that needs it asks for its days again. So that this is not a
//! request a night for every file, a lock is a quarter longer than was asked for, and asked for anew when fewer than those
//! days are left.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The header of a lock's kind.
pub const MODE: &str = "x-amz-object-lock-mode";
/// The header of a lock's end.
pub const UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// How long the files of a backup are locked.
pub struct Lock {
    /// The least that a backup may rely on.
    pub least: DateTime<Utc>,
    /// What is asked for.
    pub until: DateTime<Utc>,
}

impl Lock {
    /// The kind that nobody can lift.
    pub const COMPLIANCE: &str = "COMPLIANCE";

    /// For a backup of a moment; none for no days.
    #[must_use]
    pub fn of_days(days: u32, at: DateTime<Utc>) -> Option<Self> {
        let days = (days > 0).then(|| i64::from(days))?;
        let least = at + TimeDelta::days(days);
        Some(Self { least, until: least + TimeDelta::days((days / 4).max(1)) })
    }

    /// With which an object is put.
    pub fn headers(&self) -> [(&'static str, String); 2] {
        [(MODE, Self::COMPLIANCE.to_owned()), (UNTIL, self.text())]
    }

    /// For an object that lies there already.
    #[must_use]
    pub fn retention(&self) -> String {
        let (mode, until) = (Self::COMPLIANCE, self.text());
        format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
    }

    fn text(&self) -> String {
        self.until.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}
