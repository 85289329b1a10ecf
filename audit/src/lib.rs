//! What happened, and what exists: events, recordings, replay, the device ledger.

pub mod error;
pub mod event;
pub mod ledger;
pub mod recording;
pub mod replay;
