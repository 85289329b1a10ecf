//! How long a recording is kept (保存期間), and what stands against removing it (廃棄).
//!
//! A recording belongs to every class that fits it, and is kept as long as the longest of them asks. A class without a
//! term is kept for good, and what is not settled yet is not counted: nothing is due because something is missing.

use crate::facts::Language;
use crate::work::{Stage, Work};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a recording is of, for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Each of them.
    Ordinary,
    /// Files went through.
    Transfer,
    /// The report says that personal data was accessed (個人情報アクセスあり), or the request that it would be.
    PersonalData,
    /// Access before approval (緊急接続).
    Emergency,
    /// The hospital cut the session or the work off.
    CutOff,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Ordinary, Self::Transfer, Self::PersonalData, Self::Emergency, Self::CutOff];

    /// The class's name on screens.
    #[must_use]
    pub fn label(self, language: Language) -> &'static str {
        let (ja, en) = match self {
            Self::Ordinary => ("通常", "ordinary"),
            Self::Transfer => ("ファイル転送あり", "files transferred"),
            Self::PersonalData => ("個人情報アクセスあり", "personal data"),
            Self::Emergency => ("緊急接続", "emergency access"),
            Self::CutOff => ("遮断", "cut off"),
        };
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }
}

/// Days that each class is kept, from the session's end; `None`: for good. The longest of those that fit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// Of [`Class::Ordinary`].
    pub ordinary_days: Option<u32>,
    /// Of [`Class::Transfer`].
    pub transfer_days: Option<u32>,
    /// Of [`Class::PersonalData`].
    pub personal_data_days: Option<u32>,
    /// Of [`Class::Emergency`].
    pub emergency_days: Option<u32>,
    /// Of [`Class::CutOff`].
    pub cut_off_days: Option<u32>,
}

impl Terms {
    /// The term of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Option<u32> {
        match class {
            Class::Ordinary => self.ordinary_days,
            Class::Transfer => self.transfer_days,
            Class::PersonalData => self.personal_data_days,
            Class::Emergency => self.emergency_days,
            Class::CutOff => self.cut_off_days,
        }
    }
}

/// What is known of a session when its recording is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// When the session opened.
    pub opened: DateTime<Utc>,
    /// When it ended; `None` while it lives.
    pub ended: Option<DateTime<Utc>>,
    /// Whether the recording is sealed as a whole.
    pub sealed: bool,
    /// When its bytes were removed, if they were.
    pub purged: Option<DateTime<Utc>>,
    /// Files that went through.
    pub transfers: u32,
    /// Whether the hospital cut it.
    pub cut: bool,
    /// The matters for which it is held (保全).
    pub holds: &'a BTreeSet<String>,
    /// The work that it belongs to.
    pub work: &'a Work,
}

/// Where a recording stands. The first that applies, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Keeping {
    /// Its bytes were removed (廃棄済).
    Purged {
        /// When.
        at: DateTime<Utc>,
    },
    /// Its session lives.
    Live,
    /// It is not sealed as a whole yet.
    Unsealed,
    /// Its work waits for approval after the fact, or for its review (照合・確認): what it is of is not known before.
    Unsettled,
    /// It is held (保全), however old it is.
    Held {
        /// For what.
        matters: BTreeSet<String>,
    },
    /// It is of a class that is kept for good.
    ForGood {
        /// The class.
        class: Class,
    },
    /// Its time is not over.
    Kept {
        /// The class that asks for the longest time.
        class: Class,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// Its time is over: it may be removed, if two people say so.
    Due {
        /// The class that asked for the longest time.
        class: Class,
        /// Since when.
        since: DateTime<Utc>,
    },
}

impl Keeping {
    /// The state's name on screens.
    #[must_use]
    pub fn label(&self, language: Language) -> &'static str {
        let (ja, en) = match self {
            Self::Purged { .. } => ("廃棄済", "purged"),
            Self::Live => ("接続中", "live"),
            Self::Unsealed => ("未封印", "not sealed yet"),
            Self::Unsettled => ("照合・確認待ち", "waits for its review"),
            Self::Held { .. } => ("保全中", "held"),
            Self::ForGood { .. } => ("永久保存", "kept for good"),
            Self::Kept { .. } => ("保存期間内", "kept"),
            Self::Due { .. } => ("保存期間満了", "due"),
        };
        match language {
            Language::Ja => ja,
            Language::En => en,
        }
    }
}

/// Where a recording stands at `now`.
#[must_use]
pub fn keeping(recorded: &Recorded<'_>, terms: &Terms, now: DateTime<Utc>) -> Keeping {
    if let Some(at) = recorded.purged {
        return Keeping::Purged { at };
    }
    let Some(ended) = recorded.ended else { return Keeping::Live };
    if !recorded.sealed {
        return Keeping::Unsealed;
    }
    let Some(classes) = classes(recorded) else { return Keeping::Unsettled };
    if !recorded.holds.is_empty() {
        return Keeping::Held { matters: recorded.holds.clone() };
    }
    let (mut class, mut days) = (Class::Ordinary, 0);
    for each in classes {
        match terms.of(each) {
            None => return Keeping::ForGood { class: each },
            Some(term) if term >= days => (class, days) = (each, term),
            Some(_) => {}
        }
    }
    // A time beyond the calendar never comes.
    match ended.checked_add_signed(TimeDelta::days(days.into())) {
        None => Keeping::ForGood { class },
        Some(until) if until <= now => Keeping::Due { class, since: until },
        Some(until) => Keeping::Kept { class, until },
    }
}

/// The classes that fit a recording; `None` while its work is not settled.
fn classes(recorded: &Recorded<'_>) -> Option<BTreeSet<Class>> {
    let work = recorded.work;
    if work.awaiting_retrospective_approval().is_some() {
        return None;
    }
    let round = work.rounds().iter().find(|round| round.occurrence().contains(recorded.opened))?;
    let (report, _) = (round.report()?, round.review()?);
    let personal_data = report.personal_data.is_some() || work.request().personal_data_expected;
    let cut_off = recorded.cut || matches!(work.stage(), Stage::CutOff { .. });
    let fitting = [
        (Class::Ordinary, true),
        (Class::Transfer, recorded.transfers > 0),
        (Class::PersonalData, personal_data),
        (Class::Emergency, work.was_opened_in_emergency()),
        (Class::CutOff, cut_off),
    ];
    Some(fitting.into_iter().filter_map(|(class, fits)| fits.then_some(class)).collect())
}
