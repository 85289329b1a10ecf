//! The state that people see (DOMAIN §4), derived from what was decided, what was done, and the time.

use super::{Round, Stage, Work};
use crate::facts::Language;
use chrono::{DateTime, Utc};

/// The state of a piece of work at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// 下書き
    Draft,
    /// 申請
    Requested,
    /// 却下
    Rejected,
    /// 承認: its window opens later.
    Approved,
    /// 有効: approved, and the window is open.
    Open,
    /// 作業中
    Working,
    /// 終了: a report is owed.
    Ended,
    /// 報告: a review is owed.
    Reported,
    /// 照合・確認済
    Reviewed,
    /// 取消
    Withdrawn,
    /// 失効: the window passed without work.
    Expired,
    /// 遮断
    CutOff,
    /// 事後承認待ち
    AwaitingRetrospectiveApproval,
}

impl State {
    /// The state's name on screens.
    #[must_use]
    pub fn label(self, language: Language) -> &'static str {
        let (ja, en) = match self {
            Self::Draft => ("下書き", "draft"),
            Self::Requested => ("申請", "requested"),
            Self::Rejected => ("却下", "rejected"),
            Self::Approved => ("承認", "approved"),
            Self::Open => ("有効", "open"),
            Self::Working => ("作業中", "working"),
            Self::Ended => ("終了", "ended"),
            Self::Reported => ("報告", "reported"),
            Self::Reviewed => ("照合・確認済", "reviewed"),
            Self::Withdrawn => ("取消", "withdrawn"),
            Self::Expired => ("失効", "expired"),
            Self::CutOff => ("遮断", "cut off"),
            Self::AwaitingRetrospectiveApproval => ("事後承認待ち", "awaiting retrospective approval"),
        };
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
            Self::Open => "open",
            Self::Working => "working",
            Self::Ended => "ended",
            Self::Reported => "reported",
            Self::Reviewed => "reviewed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::CutOff => "cut-off",
            Self::AwaitingRetrospectiveApproval => "awaiting-retrospective-approval",
        }
    }
}

impl Work {
    /// The state at `now`.
    #[must_use]
    pub fn state_at(&self, now: DateTime<Utc>) -> State {
        if self.awaiting_retrospective_approval().is_some() {
            return State::AwaitingRetrospectiveApproval;
        }
        match &self.stage {
            Stage::Draft | Stage::Requested if self.last_end() <= now && self.rounds.is_empty() => State::Expired,
            Stage::Draft => State::Draft,
            Stage::Requested => State::Requested,
            Stage::Rejected { .. } => State::Rejected,
            Stage::Withdrawn { .. } => State::Withdrawn,
            Stage::CutOff { .. } => State::CutOff,
            Stage::Approved { .. } | Stage::Emergency { .. } => self.approved_state(now),
        }
    }

    fn approved_state(&self, now: DateTime<Utc>) -> State {
        if let Some(occurrence) = self.occurrence_containing(now) {
            return self.round_from(occurrence.from).map_or(State::Open, |round| round.state(now));
        }
        if let Some(round) = self.pending_round(now) {
            return round.state(now);
        }
        if self.request.window.next_after(now).is_some() {
            State::Approved
        } else if self.rounds.is_empty() {
            State::Expired
        } else {
            State::Reviewed
        }
    }
}

impl Round {
    /// The state of this round at `now`: working, ended, reported or reviewed.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> State {
        if self.review().is_some() {
            State::Reviewed
        } else if self.report().is_some() {
            State::Reported
        } else if self.ended_at(now).is_some() {
            State::Ended
        } else {
            State::Working
        }
    }
}
