//! Who is told of what becomes of a piece of work (通知): of a step, those who have to do something about it or whose
//! request it is; of what is overdue, also those above them.

use crate::authority::{Act, may_consent, may_review};
use crate::facts::{HospitalRole, Person, Status};
use crate::work::{Stage, Work};
use chrono::{DateTime, Utc};

/// What somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A request waits for a decision, or was changed and waits again.
    Requested,
    /// Access was opened before its approval, which has to follow.
    Emergency,
    /// A request was decided on, cut off or extended, or a report was sent back.
    Decided,
    /// The approval after the fact was not given in time.
    ApprovalOverdue,
    /// Work that was done was not reviewed in time.
    ReviewOverdue,
}

impl Notice {
    /// Every notice.
    pub const ALL: [Self; 5] =
        [Self::Requested, Self::Emergency, Self::Decided, Self::ApprovalOverdue, Self::ReviewOverdue];

    /// The word, as stored and as events have it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Emergency => "emergency",
            Self::Decided => "decided",
            Self::ApprovalOverdue => "approval-overdue",
            Self::ReviewOverdue => "review-overdue",
        }
    }

    /// What a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.code() == code)
    }

    /// What the last step of a piece of work is to somebody; most are nobody's news.
    #[must_use]
    pub fn of_last_step(work: &Work) -> Option<Self> {
        match work.history().last()?.act.as_str() {
            "submit" | "edit" if *work.stage() == Stage::Requested => Some(Self::Requested),
            "open-emergency" => Some(Self::Emergency),
            "approve"
            | "reject"
            | "extend"
            | "approve-retrospectively"
            | "reject-retrospectively"
            | "cut-off"
            | "send-back" => Some(Self::Decided),
            _ => None,
        }
    }

    /// What is overdue, and since when.
    #[must_use]
    pub fn overdue(work: &Work, now: DateTime<Utc>) -> Vec<(Self, DateTime<Utc>)> {
        let approval = work.awaiting_retrospective_approval().map(|access| (Self::ApprovalOverdue, access.deadline));
        let review = work.review_due(now).map(|due| (Self::ReviewOverdue, due));
        approval.into_iter().chain(review).filter(|(_, due)| *due <= now).collect()
    }

    /// Whether this person is told it of this work, after its last step.
    #[must_use]
    pub fn concerns(self, person: &Person, work: &Work) -> bool {
        let decides = || may_consent(person, Act::ApproveWork, work).is_ok();
        // Whoever is responsible hears of what is late, even where it is somebody else's to decide.
        let answers = || person.status == Status::Active && person.roles.contains(&HospitalRole::SafetyManager);
        match self {
            Self::Requested | Self::Emergency => decides(),
            Self::Decided => {
                let by = work.history().last().and_then(|entry| entry.by.as_ref());
                is_theirs(person, work) && by != Some(&person.id)
            }
            Self::ApprovalOverdue => decides() || answers(),
            Self::ReviewOverdue => {
                let vendors = person.vendor.as_ref() == Some(work.vendor()) && is_theirs(person, work);
                may_review(person, work).is_ok() || answers() || vendors
            }
        }
    }
}

/// Whether a person asked for this work, or is to do it.
fn is_theirs(person: &Person, work: &Work) -> bool {
    let named = work.authors().contains(&person.id) || work.request().persons.contains(&person.id);
    named && person.status == Status::Active
}
