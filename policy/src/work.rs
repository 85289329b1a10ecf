//! A piece of work (作業), from its draft to its review (DOMAIN §4).
//!
//! What was decided is stored; what follows from that and the time is derived: "open" (有効) is approval, window and
//! now, and no clock needs to store it. [`Work::apply`] gives the work after a transition, and changes nothing else.

mod apply;
mod request;
mod round;
mod state;
mod transition;

pub use request::Request;
pub use round::{Report, Review, Round};
pub use state::State;
pub use transition::{By, Transition};

use crate::authority::may_act_for;
use crate::error::PolicyError;
use crate::facts::{Period, Person};
use crate::id::{PersonId, VendorId, WorkId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One piece of work. Stored as a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    id: WorkId,
    vendor: VendorId,
    version: u32,
    requested_by: PersonId,
    authors: BTreeSet<PersonId>,
    request: Request,
    stage: Stage,
    rounds: Vec<Round>,
    history: Vec<Entry>,
}

/// What was decided about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// Not yet put forward.
    Draft,
    /// Waits for a decision.
    Requested,
    /// Refused.
    Rejected {
        /// Who refused.
        by: PersonId,
        /// When.
        at: DateTime<Utc>,
        /// Why.
        reason: String,
    },
    /// Approved, beforehand or after the fact.
    Approved {
        /// Who approved.
        by: PersonId,
        /// When.
        at: DateTime<Utc>,
        /// The emergency access that this approval came after, if it did.
        after: Option<EmergencyAccess>,
        /// An occurrence whose end was moved.
        extension: Option<Period>,
        /// Whether on the condition that somebody of the hospital attends.
        #[serde(default)]
        attendance: bool,
    },
    /// Open before its approval (緊急接続).
    Emergency {
        /// The access.
        access: EmergencyAccess,
        /// An occurrence whose end was moved.
        extension: Option<Period>,
    },
    /// Taken back.
    Withdrawn {
        /// Who took it back.
        by: PersonId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Ended at once by the hospital.
    CutOff {
        /// Who cut it off.
        by: PersonId,
        /// When.
        at: DateTime<Utc>,
        /// Why.
        reason: String,
        /// Emergency access that nobody has approved or rejected yet.
        awaiting: Option<EmergencyAccess>,
    },
}

/// Access before approval, to be approved by a deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyAccess {
    /// Who opened it.
    pub opened_by: PersonId,
    /// When.
    pub opened_at: DateTime<Utc>,
    /// Why it could not wait.
    pub reason: String,
    /// From here on it permits nothing unless it was approved.
    pub deadline: DateTime<Utc>,
}

/// One line of a work's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who; `None` for the gateway itself.
    pub by: Option<PersonId>,
    /// The transition's code: [`Transition::code`], or `draft`.
    pub act: String,
    /// The request's version from then on.
    pub version: u32,
    /// The reason or comment given with it.
    pub note: Option<String>,
}

impl Work {
    /// A draft, by one of the vendor's people or by hospital staff on their behalf.
    ///
    /// # Errors
    /// When the request lacks something, or the person may not apply for this vendor.
    pub fn draft(
        id: WorkId,
        vendor: VendorId,
        request: Request,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<Self, PolicyError> {
        let author = may_act_for(by, &vendor)?.person().clone();
        request.check(&id)?;
        let entry = Entry { at: now, by: Some(author.clone()), act: "draft".to_owned(), version: 1, note: None };
        Ok(Self {
            id,
            vendor,
            version: 1,
            authors: BTreeSet::from([author.clone()]),
            requested_by: author,
            request,
            stage: Stage::Draft,
            rounds: Vec::new(),
            history: vec![entry],
        })
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &WorkId {
        &self.id
    }

    /// Whose people work.
    #[must_use]
    pub fn vendor(&self) -> &VendorId {
        &self.vendor
    }

    /// The request's version: 1, and one more with each edit. An approval is for one version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How many entries its history has: grows with every transition, so that a store can see a change overtaken.
    #[must_use]
    pub fn revision(&self) -> usize {
        self.history.len()
    }

    /// Who applied first.
    #[must_use]
    pub fn requested_by(&self) -> &PersonId {
        &self.requested_by
    }

    /// All who applied for it or changed the request. None of them may approve.
    #[must_use]
    pub fn authors(&self) -> &BTreeSet<PersonId> {
        &self.authors
    }

    /// What is applied for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What was decided.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The occurrences in which somebody operated, ascending.
    #[must_use]
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// What happened to it, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// Emergency access that this work was opened with, approved since or not.
    #[must_use]
    pub fn emergency(&self) -> Option<&EmergencyAccess> {
        match &self.stage {
            Stage::Emergency { access, .. } => Some(access),
            Stage::Approved { after, .. } => after.as_ref(),
            Stage::CutOff { awaiting, .. } => awaiting.as_ref(),
            Stage::Draft | Stage::Requested | Stage::Rejected { .. } | Stage::Withdrawn { .. } => None,
        }
    }

    /// Whether it was ever opened before its approval. The stage forgets it when the work is rejected or cut off; the
    /// history does not.
    #[must_use]
    pub fn was_opened_in_emergency(&self) -> bool {
        self.history.iter().any(|entry| entry.act == transition::OPEN_EMERGENCY)
    }

    /// Emergency access that still waits for approval (事後承認待ち). Shown wherever the work is.
    #[must_use]
    pub fn awaiting_retrospective_approval(&self) -> Option<&EmergencyAccess> {
        match &self.stage {
            Stage::Emergency { access, .. } => Some(access),
            Stage::CutOff { awaiting, .. } => awaiting.as_ref(),
            _ => None,
        }
    }

    /// Whether somebody of the hospital has to attend (立会い): the request asked for it, or it was approved on that
    /// condition.
    #[must_use]
    pub fn is_to_be_attended(&self) -> bool {
        self.request.attendance || matches!(self.stage, Stage::Approved { attendance: true, .. })
    }

    /// The occurrence of the window that contains `now`, with its end where an extension moved it.
    #[must_use]
    pub fn occurrence_containing(&self, now: DateTime<Utc>) -> Option<Period> {
        let extension = self.extension().filter(|period| period.contains(now));
        extension.or_else(|| self.request.window.occurrence_containing(now))
    }

    /// The occurrences of the window that lie in `span` or reach into it, in ascending order, with the end that an
    /// extension moved.
    pub fn occurrences_within(&self, span: Period) -> impl Iterator<Item = Period> {
        let extension = self.extension();
        let moved = move |period: &Period| extension.filter(|moved| moved.from == period.from).unwrap_or(*period);
        let all = self.request.window.occurrences().iter().map(moved);
        all.filter(move |period| period.from < span.until && span.from < period.until)
    }

    /// When the window, with any extension, closes for the last time.
    #[must_use]
    pub fn last_end(&self) -> DateTime<Utc> {
        let end = self.request.window.last_end();
        self.extension().map_or(end, |period| period.until.max(end))
    }

    /// The round of the occurrence that begins at `from`.
    #[must_use]
    pub fn round_from(&self, from: DateTime<Utc>) -> Option<&Round> {
        self.rounds.iter().find(|round| round.occurrence().from == from)
    }

    /// The first round that ended and is not reviewed yet.
    #[must_use]
    pub fn pending_round(&self, now: DateTime<Utc>) -> Option<&Round> {
        self.rounds.iter().find(|round| round.ended_at(now).is_some() && round.review().is_none())
    }

    /// When the report of the first round that lacks one is due.
    #[must_use]
    pub fn report_due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let round = self.rounds.iter().find(|round| round.report().is_none() && round.ended_at(now).is_some())?;
        Some(round.ended_at(now)? + self.request.report_within())
    }

    /// When the review of the first round that lacks one is due.
    #[must_use]
    pub fn review_due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(self.pending_round(now)?.ended_at(now)? + self.request.review_within())
    }

    /// Whether work was done that should have been reviewed by `now`.
    #[must_use]
    pub fn unreviewed_past_deadline(&self, now: DateTime<Utc>) -> bool {
        self.review_due(now).is_some_and(|due| due <= now)
    }

    fn extension(&self) -> Option<Period> {
        match &self.stage {
            Stage::Approved { extension, .. } | Stage::Emergency { extension, .. } => *extension,
            _ => None,
        }
    }
}
