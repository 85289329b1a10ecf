//! What can go wrong at the command line, and the exit code of each.

use crate::config::ConfigError;
use crate::people::PeopleError;
use crate::registry::{Problem, RegistryFault};
use crate::retention::RetentionFault;
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use crate::work::WorkFault;
use sekimori_audit::bundle::BundleError;
use sekimori_audit::log::LogError;
use sekimori_audit::recording::RecordingError;
use sekimori_certs::CertsError;
use sekimori_policy::authority::Refusal;
use sekimori_policy::error::PolicyError;
use sekimori_policy::id::InvalidId;
use serde_json::json;
use std::process::ExitCode;

/// A failed command. The message says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What was typed does not make sense.
    #[error("{0}")]
    Usage(String),
    /// The person may not do this, or the work's state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The decision that was asked for is a denial; its reasons were printed.
    #[error("denied")]
    Denied,
    /// The log that was verified is not sound; the report was printed.
    #[error("not intact")]
    Verdict {
        /// The exit code.
        code: u8,
    },
    /// What was named is not there.
    #[error("{0}")]
    NotFound(String),
    /// Somebody else changed it, or it exists already.
    #[error("{0}")]
    Conflict(String),
    /// The system, the database or the network failed.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) | Self::Denied => 3,
            Self::Verdict { code } => *code,
            Self::NotFound(_) => 4,
            Self::Conflict(_) => 5,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Usage(_) => "usage",
            Self::Refused(_) | Self::Denied => "refused",
            Self::Verdict { .. } => "verdict",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
        }
    }
}

/// Tells of the failure on standard error, and gives the exit code.
pub fn report(fault: &CliError, json: bool) -> ExitCode {
    if matches!(fault, CliError::Denied | CliError::Verdict { .. }) {
        // Everything was said already.
    } else if json {
        eprintln!("{}", json!({ "error": fault.name(), "message": fault.to_string() }));
    } else {
        eprintln!("error: {}", super::output::visible_lines(&fault.to_string()));
    }
    ExitCode::from(fault.code())
}

impl From<StoreError> for CliError {
    fn from(fault: StoreError) -> Self {
        let text = fault.to_string();
        match fault {
            StoreError::Unknown { .. } => Self::NotFound(text),
            StoreError::Exists { .. } | StoreError::Conflict { .. } | StoreError::AlreadyCreated { .. } => {
                Self::Conflict(text)
            }
            StoreError::LastAdministrator { .. } => Self::Refused(text),
            StoreError::Invalid { .. } | StoreError::Ambiguous { .. } => Self::Usage(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<BundleError> for CliError {
    fn from(fault: BundleError) -> Self {
        match fault {
            BundleError::Unsealed(_) => Self::Conflict(fault.to_string()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}

impl From<WorkFault> for CliError {
    fn from(fault: WorkFault) -> Self {
        match fault {
            WorkFault::Store(fault) => fault.into(),
            WorkFault::Policy(fault) => fault.into(),
            WorkFault::NotFound { .. } => Self::NotFound(fault.to_string()),
            WorkFault::NoId(_) | WorkFault::OfAnotherVendor { .. } | WorkFault::NotOffered(_) => {
                Self::Usage(fault.to_string())
            }
            WorkFault::Busy => Self::Conflict(fault.to_string()),
        }
    }
}

impl From<RetentionFault> for CliError {
    fn from(fault: RetentionFault) -> Self {
        let text = fault.to_string();
        match fault {
            RetentionFault::Store(fault) => fault.into(),
            RetentionFault::Refused(refusal) => refusal.into(),
            RetentionFault::Stays { .. } | RetentionFault::Nobody { .. } => Self::Conflict(text),
            RetentionFault::NothingDue => Self::NotFound(text),
            RetentionFault::TooMany => Self::Usage(text),
            RetentionFault::Storage(_) => Self::Failed(text),
        }
    }
}

impl From<RegistryFault> for CliError {
    fn from(fault: RegistryFault) -> Self {
        match fault {
            RegistryFault::Store(fault) => (*fault).into(),
            RegistryFault::Refused(refusal) => refusal.into(),
            RegistryFault::Changed { .. } => Self::Conflict(fault.to_string()),
            RegistryFault::Flaws(ref flaws) => {
                let text = fault.to_string();
                match flaws.first().map(|flaw| &flaw.problem) {
                    Some(Problem::Taken(_)) => Self::Conflict(text),
                    Some(Problem::Unknown(_)) => Self::NotFound(text),
                    Some(Problem::Refused(_) | Problem::LastAdministrator(_)) => Self::Refused(text),
                    _ => Self::Usage(text),
                }
            }
        }
    }
}

impl From<PolicyError> for CliError {
    fn from(fault: PolicyError) -> Self {
        Self::Refused(fault.to_string())
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

impl From<InvalidId> for CliError {
    fn from(fault: InvalidId) -> Self {
        Self::Usage(fault.to_string())
    }
}

macro_rules! failed {
    ($($fault:ty),*) => { $(
        impl From<$fault> for CliError {
            fn from(fault: $fault) -> Self {
                Self::Failed(fault.to_string())
            }
        }
    )* };
}

failed!(ConfigError, CertsError, LogError, RecordingError, PeopleError, SandboxError, std::io::Error);

impl From<anyhow::Error> for CliError {
    fn from(fault: anyhow::Error) -> Self {
        Self::Failed(format!("{fault:#}"))
    }
}
