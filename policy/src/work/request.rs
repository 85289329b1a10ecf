//! What is applied for (作業申請): purpose, plan, who, what, when, and how.

use crate::error::PolicyError;
use crate::facts::Channel;
use crate::id::{DeviceId, PersonId, WorkId};
use crate::window::Window;
use crate::words::Words;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A request for work. Changing one that was approved voids the approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What for (目的).
    pub purpose: String,
    /// What will be done, step by step (作業計画書).
    pub plan: String,
    /// Which devices.
    pub devices: BTreeSet<DeviceId>,
    /// Which persons.
    pub persons: BTreeSet<PersonId>,
    /// Which accounts on them; `None` for any that a device has.
    pub accounts: Option<BTreeSet<String>>,
    /// What may be opened.
    pub channels: BTreeSet<Channel>,
    /// When.
    pub window: Window,
    /// Whether personal data is expected to be seen (個人情報アクセス).
    pub personal_data_expected: bool,
    /// Whether somebody of the hospital is to attend (立会い).
    pub attendance: bool,
    /// Days from the end within which a report is due.
    #[serde(default = "default_report_days")]
    pub report_days: u16,
    /// Days from the end within which the review is due. After that the vendor's next window stays shut.
    #[serde(default = "default_review_days")]
    pub review_days: u16,
}

/// The days for a report, unless a request says otherwise: promptly.
#[must_use]
pub fn default_report_days() -> u16 {
    3
}

/// The days for a review, unless a request says otherwise.
#[must_use]
pub fn default_review_days() -> u16 {
    7
}

impl Request {
    /// A request for these persons at these devices in this window, with nothing but a shell asked for. Fill the
    /// rest with struct update syntax.
    #[must_use]
    pub fn new(
        purpose: impl Into<String>,
        plan: impl Into<String>,
        persons: impl IntoIterator<Item = PersonId>,
        devices: impl IntoIterator<Item = DeviceId>,
        window: Window,
    ) -> Self {
        Self {
            purpose: purpose.into(),
            plan: plan.into(),
            devices: devices.into_iter().collect(),
            persons: persons.into_iter().collect(),
            accounts: None,
            channels: BTreeSet::from([Channel::Shell]),
            window,
            personal_data_expected: false,
            attendance: false,
            report_days: default_report_days(),
            review_days: default_review_days(),
        }
    }

    pub(super) fn check(&self, work: &WorkId) -> Result<(), PolicyError> {
        let days = 1..=90;
        let faults = [
            (self.purpose.trim().is_empty(), Words::new("目的を書いてください", "give its purpose")),
            (self.plan.trim().is_empty(), Words::new("作業計画を書いてください", "give its plan")),
            (self.devices.is_empty(), Words::new("機器を1台以上選んでください", "name at least one device")),
            (self.persons.is_empty(), Words::new("作業者を1人以上選んでください", "name at least one person")),
            (self.channels.is_empty(), Words::new("接続方法を1つ以上選んでください", "name at least one channel")),
            (
                self.accounts.as_ref().is_some_and(BTreeSet::is_empty),
                Words::new("アカウントを指定するか、空のままにしてください", "name an account, or leave accounts open"),
            ),
            (
                !days.contains(&self.report_days),
                Words::new("報告の期限は1日から90日の間にしてください", "let the report be due within 1 to 90 days"),
            ),
            (
                !days.contains(&self.review_days),
                Words::new("確認の期限は1日から90日の間にしてください", "let the review be due within 1 to 90 days"),
            ),
        ];
        match faults.into_iter().find(|(found, _)| *found) {
            Some((_, fault)) => Err(PolicyError::IncompleteRequest { work: work.clone(), fault }),
            None => Ok(()),
        }
    }

    pub(super) fn report_within(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.report_days))
    }

    pub(super) fn review_within(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.review_days))
    }
}
