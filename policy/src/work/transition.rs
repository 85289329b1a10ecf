//! What can happen to a piece of work. What comes of it is in `apply`.

use super::Request;
use crate::facts::Person;
use chrono::{DateTime, Utc};

/// The code of [`Transition::OpenEmergency`].
pub(super) const OPEN_EMERGENCY: &str = "open-emergency";

/// Who does it.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A person, as kept now.
    Person(&'a Person),
    /// The gateway itself, which may only note the end of work.
    Gateway,
}

/// What happens to a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// A draft is put forward.
    Submit,
    /// The request is changed. Voids an approval.
    Edit(Box<Request>),
    /// The request, or what is left of its window, is taken back.
    Withdraw,
    /// Somebody other than the requester approves.
    Approve {
        /// Whether on the condition that somebody of the hospital attends (立会い); a request may ask for it as well.
        attendance: bool,
    },
    /// The request is refused.
    Reject {
        /// Why.
        reason: String,
    },
    /// The end of the open occurrence is moved.
    Extend {
        /// The new end.
        until: DateTime<Utc>,
    },
    /// Access is opened before approval.
    OpenEmergency {
        /// Why it cannot wait.
        reason: String,
        /// From when on it permits nothing unless approved.
        deadline: DateTime<Utc>,
    },
    /// Emergency access is approved after the fact.
    ApproveRetrospectively,
    /// Emergency access is not approved: it ends at once.
    RejectRetrospectively {
        /// Why.
        reason: String,
    },
    /// A session opens; repeated for each session.
    Begin,
    /// The work of this occurrence is done, or its time is.
    End,
    /// The hospital ends it at once.
    CutOff {
        /// Why.
        reason: String,
    },
    /// What was done is reported. Ends the occurrence's work if that has not ended.
    Report {
        /// What was done.
        text: String,
        /// Which personal data was accessed; `None` if none was.
        personal_data: Option<String>,
        /// Names of files handed in with it.
        files: Vec<String>,
    },
    /// The report is compared with the plan and confirmed.
    Confirm {
        /// What was found.
        comment: String,
    },
    /// The report does not do: another is owed.
    SendBack {
        /// What is missing.
        comment: String,
    },
}

impl Transition {
    /// The stable code, for events and history.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.names().0
    }

    pub(super) fn verb(&self) -> &'static str {
        self.names().1
    }

    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Submit => ("submit", "be submitted"),
            Self::Edit(_) => ("edit", "be edited"),
            Self::Withdraw => ("withdraw", "be withdrawn"),
            Self::Approve { .. } => ("approve", "be approved"),
            Self::Reject { .. } => ("reject", "be rejected"),
            Self::Extend { .. } => ("extend", "be extended"),
            Self::OpenEmergency { .. } => (OPEN_EMERGENCY, "be opened in an emergency"),
            Self::ApproveRetrospectively => ("approve-retrospectively", "be approved after the fact"),
            Self::RejectRetrospectively { .. } => ("reject-retrospectively", "be rejected after the fact"),
            Self::Begin => ("begin", "begin"),
            Self::End => ("end", "end"),
            Self::CutOff { .. } => ("cut-off", "be cut off"),
            Self::Report { .. } => ("report", "be reported"),
            Self::Confirm { .. } => ("confirm", "be confirmed"),
            Self::SendBack { .. } => ("send-back", "be sent back"),
        }
    }

    /// The words given with it, which must not be empty.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Reject { reason }
            | Self::OpenEmergency { reason, .. }
            | Self::RejectRetrospectively { reason }
            | Self::CutOff { reason } => Some(reason),
            Self::Report { text, .. } => Some(text),
            Self::Confirm { comment } | Self::SendBack { comment } => Some(comment),
            _ => None,
        }
    }
}
