//! Compares all that the database holds with the log: an event that was altered, removed or put in differs from its entry.

use super::leaves::Leaves;
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use sekimori_audit::log::Reader;
use serde::Serialize;
use std::path::Path;

/// Events compared at a time.
const BATCH: u32 = 1000;
/// Entries of the log in one of its files (C2SP tlog-tiles).
const BUNDLE: u64 = 256;
/// Differences that are named; the rest are counted.
const MOST_NAMED: usize = 20;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Entries of the log, each compared with its event.
    pub events: u64,
    /// Events that are not in the log yet.
    pub waiting: u64,
    /// Numbers of events that differ from their entries, or are missing: the first of them.
    pub differing: Vec<u64>,
    /// How many differ in all.
    pub differ: u64,
}

impl Compared {
    /// Whether the database holds what the log sealed, and nothing else.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.differ == 0
    }
}

/// Compares every entry of the log in `folder` with the event that it should be of.
///
/// # Errors
/// When the log or the database cannot be read.
pub async fn compare(store: &Store, folder: &Path) -> anyhow::Result<Compared> {
    let reader = Reader::open(folder).with_context(|| format!("cannot read the log in {}", folder.display()))?;
    let checkpoint = reader.checkpoint().clone();
    let mut leaves = Leaves::of(&checkpoint.origin);
    let mut compared = Compared::default();
    // The bundle of entries that is compared now.
    let (mut bundle, mut entries) = (u64::MAX, Vec::new());
    let mut limit = BATCH;
    while compared.events < checkpoint.size {
        let next = compared.events + 1;
        let events = match store.events_to_seal(i64::try_from(compared.events)?, limit).await {
            Ok(events) => events,
            // One of them is missing: they are asked for singly until it is known which.
            Err(StoreError::Damaged { .. }) if limit > 1 => {
                limit = 1;
                continue;
            }
            Err(StoreError::Damaged { .. }) => Vec::new(),
            Err(fault) => return Err(fault.into()),
        };
        if events.is_empty() {
            compared.differs(next);
            leaves.forget();
            compared.events = next;
            continue;
        }
        for (event, number) in events.iter().zip(next..=checkpoint.size) {
            // One that cannot be made into a leaf was altered as well.
            let leaf = leaves.of_event(store, event).await.ok().map(|leaf| leaf.encode());
            if bundle != (number - 1) / BUNDLE {
                bundle = (number - 1) / BUNDLE;
                entries = reader.entries(bundle)?;
            }
            let entry = usize::try_from((number - 1) % BUNDLE).ok().and_then(|at| entries.get(at));
            if leaf.is_none() || entry != leaf.as_ref() {
                compared.differs(number);
            }
            compared.events = number;
        }
        limit = (limit * 2).min(BATCH);
    }
    compared.waiting = u64::try_from(store.last_seq().await?)?.saturating_sub(checkpoint.size);
    Ok(compared)
}

impl Compared {
    fn differs(&mut self, number: u64) {
        self.differ += 1;
        if self.differing.len() < MOST_NAMED {
            self.differing.push(number);
        }
    }
}
