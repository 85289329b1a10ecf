//! One occurrence of a window in which somebody operated: it ends, is reported and is reviewed on its own, so that
//! recurring work is looked at each time and not only after the last.

use crate::facts::Period;
use crate::id::PersonId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One occurrence in which somebody operated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    occurrence: Period,
    begun_at: DateTime<Utc>,
    operators: BTreeSet<PersonId>,
    progress: Progress,
}

/// How far it has come. A report without an end, or a review without a report, cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
enum Progress {
    Working,
    Ended { at: DateTime<Utc>, sent_back: Option<Review> },
    Reported { ended_at: DateTime<Utc>, report: Report },
    Reviewed { ended_at: DateTime<Utc>, report: Report, review: Review },
}

/// A report of what was done (作業報告).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Who reported.
    pub by: PersonId,
    /// When.
    pub at: DateTime<Utc>,
    /// What was done.
    pub text: String,
    /// Which personal data was accessed (個人情報アクセスの有無); `None` if none was.
    pub personal_data: Option<String>,
    /// Names of files handed in with it.
    pub files: Vec<String>,
}

/// A comparison of the report with the plan (照合・確認), or the word that sent the report back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Who reviewed.
    pub by: PersonId,
    /// When.
    pub at: DateTime<Utc>,
    /// What was found.
    pub comment: String,
}

impl Round {
    /// The occurrence, with its end where an extension moved it.
    #[must_use]
    pub fn occurrence(&self) -> Period {
        self.occurrence
    }

    /// When the first session began.
    #[must_use]
    pub fn begun_at(&self) -> DateTime<Utc> {
        self.begun_at
    }

    /// All who operated.
    #[must_use]
    pub fn operators(&self) -> &BTreeSet<PersonId> {
        &self.operators
    }

    /// When it ended: as declared, or at the occurrence's end if that has passed.
    #[must_use]
    pub fn ended_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.progress {
            Progress::Working => (self.occurrence.until <= now).then_some(self.occurrence.until),
            Progress::Ended { at, .. } => Some(*at),
            Progress::Reported { ended_at, .. } | Progress::Reviewed { ended_at, .. } => Some(*ended_at),
        }
    }

    /// The report, if it stands (one that was sent back does not).
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match &self.progress {
            Progress::Working | Progress::Ended { .. } => None,
            Progress::Reported { report, .. } | Progress::Reviewed { report, .. } => Some(report),
        }
    }

    /// The review that finished it.
    #[must_use]
    pub fn review(&self) -> Option<&Review> {
        match &self.progress {
            Progress::Reviewed { review, .. } => Some(review),
            _ => None,
        }
    }

    /// The word with which the last report was sent back, until a new report stands.
    #[must_use]
    pub fn sent_back(&self) -> Option<&Review> {
        match &self.progress {
            Progress::Ended { sent_back, .. } => sent_back.as_ref(),
            _ => None,
        }
    }

    /// Whether its report was handed in, be it that it was sent back: nobody works in it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.report().is_some() || self.sent_back().is_some()
    }

    pub(super) fn begin(occurrence: Period, operator: PersonId, now: DateTime<Utc>) -> Self {
        let operators = BTreeSet::from([operator]);
        Self { occurrence, begun_at: now, operators, progress: Progress::Working }
    }

    /// Somebody connects again. A report that stands forbids it: what came after would be in no report.
    pub(super) fn resume(&mut self, operator: PersonId) -> bool {
        if self.is_closed() {
            return false;
        }
        self.operators.insert(operator);
        self.progress = Progress::Working;
        true
    }

    pub(super) fn extend(&mut self, until: DateTime<Utc>) {
        self.occurrence.until = until;
    }

    pub(super) fn is_working(&self) -> bool {
        matches!(self.progress, Progress::Working)
    }

    /// Ends it now, or where its occurrence ended. `false` if it had ended before.
    pub(super) fn end(&mut self, now: DateTime<Utc>) -> bool {
        let working = self.is_working();
        if working {
            self.progress = Progress::Ended { at: now.min(self.occurrence.until), sent_back: None };
        }
        working
    }

    /// Takes a report. `false` if it has not ended, or a report stands.
    pub(super) fn take_report(&mut self, report: Report) -> bool {
        let Progress::Ended { at, .. } = self.progress else { return false };
        self.progress = Progress::Reported { ended_at: at, report };
        true
    }

    /// Takes the review that finishes it. `false` if no report waits.
    pub(super) fn take_review(&mut self, review: Review) -> bool {
        let Progress::Reported { ended_at, report } = &self.progress else { return false };
        self.progress = Progress::Reviewed { ended_at: *ended_at, report: report.clone(), review };
        true
    }

    /// Sends the report back. `false` if no report waits.
    pub(super) fn send_back(&mut self, word: Review) -> bool {
        let Progress::Reported { ended_at, .. } = self.progress else { return false };
        self.progress = Progress::Ended { at: ended_at, sent_back: Some(word) };
        true
    }
}
