//! What happened, and what exists: events, the log that seals them, recordings, replay, the device ledger.

pub mod bundle;
pub mod error;
pub mod event;
pub mod hex;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod recording;
pub mod replay;
pub mod verify;
