//! What can be wrong with what this crate is given, named by whose fault it is.
//!
//! Denials are no errors: they are [`crate::reason::Reason`]. Identifiers have [`crate::id::InvalidId`].

use crate::authority::Refusal;
use crate::facts::Language;
use crate::id::WorkId;
use crate::words::Words;
use crate::work::State;
use chrono::NaiveDateTime;

/// The crate's error. Messages say what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A channel's name was not understood.
    #[error("{text:?} is not a channel: use shell, exec, sftp, scp or forward:PORT with a port from 1 to 65535")]
    InvalidChannel {
        /// The text, shortened.
        text: String,
    },
    /// A window's end does not follow its start.
    #[error("the window from {start} to {end} is empty: give an end after the start")]
    EmptyWindow {
        /// Local start.
        start: NaiveDateTime,
        /// Local end.
        end: NaiveDateTime,
    },
    /// A window lies in years that nobody means.
    #[error("the window from {start} to {end} cannot be meant: use years from 2000 to 2999")]
    FarWindow {
        /// Local start.
        start: NaiveDateTime,
        /// Local end.
        end: NaiveDateTime,
    },
    /// A window or an occurrence is longer than allowed.
    #[error("the window lasts {hours} hours, {most} are the most: {remedy}")]
    LongWindow {
        /// Its length, in whole hours.
        hours: i64,
        /// The longest allowed, in hours.
        most: i64,
        /// What to do instead.
        remedy: Words,
    },
    /// Every occurrence of a recurring window is excluded or falls into a gap of the local time.
    #[error("the window never opens: every occurrence is excluded or falls into an hour that the clocks skip")]
    NeverOpens,
    /// A recurrence rule uses something that is not accepted.
    #[error("the recurrence rule's {part} is not accepted: {fault}")]
    InvalidRule {
        /// The part as written, shortened.
        part: String,
        /// What is wrong, and what to write.
        fault: Words,
    },
    /// A request lacks something or asks for what cannot be.
    #[error("the request for work {work} is incomplete: {fault}")]
    IncompleteRequest {
        /// The work.
        work: WorkId,
        /// What is missing, and what to give.
        fault: Words,
    },
    /// A transition does not fit the state.
    #[error("work {work} cannot {act} while it is {}: {remedy}", state.label(Language::En))]
    WrongState {
        /// The work.
        work: WorkId,
        /// The transition, as a verb.
        act: &'static str,
        /// The state it is in now.
        state: State,
        /// What to do instead.
        remedy: Words,
    },
    /// A transition's own data is out of bounds.
    #[error("work {work} cannot {act}: {fault}")]
    InvalidTransition {
        /// The work.
        work: WorkId,
        /// The transition, as a verb.
        act: &'static str,
        /// What is wrong, and what to give.
        fault: Words,
    },
    /// The person may not do this.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl PolicyError {
    /// The same in a language: what happened, and what to do.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        if language == Language::En {
            return self.to_string();
        }
        match self {
            Self::InvalidChannel { text } => {
                format!(
                    "「{text}」は接続方法ではありません。shell・exec・sftp・scp・forward:ポート番号（1～65535）を使ってください。"
                )
            }
            Self::EmptyWindow { start, end } => {
                format!("{}から{}までの時間帯は空です。開始より後の終了を指定してください。", local(start), local(end))
            }
            Self::FarWindow { start, end } => {
                format!("{}から{}までは指定できません。2000年から2999年の間にしてください。", local(start), local(end))
            }
            Self::LongWindow { hours, most, remedy } => {
                format!("時間帯が{hours}時間あります。{most}時間までです。{}。", remedy.in_language(language))
            }
            Self::NeverOpens => {
                "この時間帯は一度も開きません。どの回も除外されているか、存在しない時刻です。".to_owned()
            }
            Self::InvalidRule { part, fault } => {
                format!("繰り返しの「{part}」を受け付けられません。{}。", fault.in_language(language))
            }
            Self::IncompleteRequest { fault, .. } => format!("申請が不足しています。{}。", fault.in_language(language)),
            Self::WrongState { work, state, remedy, .. } => {
                format!(
                    "作業{work}は「{}」のため、この操作はできません。{}。",
                    state.label(language),
                    remedy.in_language(language)
                )
            }
            Self::InvalidTransition { work, fault, .. } => {
                format!("作業{work}にこの操作はできません。{}。", fault.in_language(language))
            }
            Self::Refused(refusal) => refusal.sentence(language),
        }
    }
}

fn local(at: &NaiveDateTime) -> impl std::fmt::Display {
    at.format("%Y-%m-%d %H:%M")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_in_the_language_of_who_reads_it() {
        let at = NaiveDateTime::default();
        let words = Words::new("目的を書いてください", "give its purpose");
        let faults = [
            PolicyError::InvalidChannel { text: "x".into() },
            PolicyError::EmptyWindow { start: at, end: at },
            PolicyError::FarWindow { start: at, end: at },
            PolicyError::LongWindow { hours: 25, most: 24, remedy: words },
            PolicyError::NeverOpens,
            PolicyError::InvalidRule { part: "COUNT=0".into(), fault: words },
        ];
        let japanese =
            |text: &str| text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'));
        for fault in faults {
            assert!(japanese(&fault.sentence(Language::Ja)), "{fault}");
            assert!(!japanese(&fault.sentence(Language::En)), "{fault}");
        }
        let long = PolicyError::LongWindow { hours: 25, most: 24, remedy: words };
        assert_eq!(long.sentence(Language::Ja), "時間帯が25時間あります。24時間までです。目的を書いてください。");
        assert_eq!(long.to_string(), "the window lasts 25 hours, 24 are the most: give its purpose");
    }
}
