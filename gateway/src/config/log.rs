//! The section `[log]`: the transparency log.

use serde::Deserialize;

/// The transparency log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Seconds that events may wait to be sealed; then no session starts, and the open ones end.
    pub stall_seconds: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { stall_seconds: 15 }
    }
}

impl Log {
    /// What a value may be.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.stall_seconds == 0 {
            return Err("log.stall_seconds is 0: it must be at least 1".into());
        }
        Ok(())
    }
}
