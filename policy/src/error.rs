//! What can be wrong with what this crate is given, named by whose fault it is.
//!
//! Denials are no errors: they are [`crate::reason::Reason`]. Identifiers have [`crate::id::InvalidId`].

use crate::authority::Refusal;
use crate::id::WorkId;
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
        remedy: &'static str,
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
        fault: String,
    },
    /// A request lacks something or asks for what cannot be.
    #[error("the request for work {work} is incomplete: {fault}")]
    IncompleteRequest {
        /// The work.
        work: WorkId,
        /// What is missing, and what to give.
        fault: &'static str,
    },
    /// A transition does not fit the state.
    #[error("work {work} cannot {act} while it is {}: {remedy}", state.label(crate::facts::Language::En))]
    WrongState {
        /// The work.
        work: WorkId,
        /// The transition, as a verb.
        act: &'static str,
        /// The state it is in now.
        state: State,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A transition's own data is out of bounds.
    #[error("work {work} cannot {act}: {fault}")]
    InvalidTransition {
        /// The work.
        work: WorkId,
        /// The transition, as a verb.
        act: &'static str,
        /// What is wrong, and what to give.
        fault: &'static str,
    },
    /// The person may not do this.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
