//! The device ledger (機器台帳): what people declared, what the gateway observed, and where the two disagree.
//!
//! Pure: rows and session facts in; rows, mismatches and files out. Where they are stored and shown is left to others.
//!
//! Declared and observed stand side by side and never overwrite each other. Silence is never 無: equipment counts as
//! not remotely maintained only on a vendor's dated answer, and a session that was seen overrules it.

mod choice;
mod columns;
mod encoding;
mod export;
mod fault;
mod import;
mod mismatch;
mod observe;
mod risk;
mod row;
#[cfg(test)]
mod tests;

pub use choice::{DeviceType, DisclosureEdition, IdKind, Presence, RouteKind, ScopeClass, ViaGateway, WrittenDate};
pub use columns::{Column, Origin, columns, example_columns};
pub use encoding::{Encoding, Unencodable};
pub use export::export;
pub use fault::{Fault, Problem};
pub use import::import;
pub use mismatch::Mismatch;
pub use observe::{Observed, SessionFact, enforced_sources, observe};
pub use risk::Risk;
pub use row::{Declared, Derived, Entry, Evidence, Ledger, Row};
