//! What an event becomes in the log: its leaf, made of nothing but what the database holds.

use crate::store::{Store, StoreError, Unsealed};
use sekimori_audit::event::Event;
use sekimori_audit::log::leaf::{KEY_ROTATED, SEGMENT};
use sekimori_audit::log::{Hash, Leaf};
use std::collections::HashMap;
use uuid::Uuid;

/// Sessions whose numbers are kept in memory; others are counted in the database when they go on.
const MOST_NUMBERS: usize = 10_000;

/// The kind of the leaf over an event that introduces a key of another log: gateways may share a database.
const OTHER_KEY_ROTATED: &str = "log.other-key-rotated";

/// Makes the leaves of events, one after the other.
pub struct Leaves {
    origin: String,
    /// The last number of each session and, under `None`, of the events of no session.
    numbers: HashMap<Option<Uuid>, u64>,
}

impl Leaves {
    /// For the log of this name.
    pub fn of(origin: &str) -> Self {
        Self { origin: origin.to_owned(), numbers: HashMap::new() }
    }

    /// Counts anew: what was counted may not have come to be.
    pub fn forget(&mut self) {
        self.numbers.clear();
    }

    /// The leaf of an event; events are asked for in their order.
    pub async fn of_event(&mut self, store: &Store, event: &Unsealed) -> Result<Leaf, StoreError> {
        if self.numbers.len() > MOST_NUMBERS {
            self.forget();
        }
        let number = match self.numbers.get(&event.session) {
            Some(last) => last + 1,
            None => store.number_within(event.session, event.seq).await?,
        };
        self.numbers.insert(event.session, number);
        if event.kind == KEY_ROTATED {
            let own = introduced(event, &self.origin);
            return Ok(match own {
                // Whoever holds the keys can check it alone: no salt, and nothing but the key's text.
                Some(text) => Leaf::of_bytes(KEY_ROTATED, None, number, event.at, text.as_bytes()),
                None => Leaf::of_event(OTHER_KEY_ROTATED, None, number, event.at, &event.salt, &event.body),
            });
        }
        if event.kind == SEGMENT {
            return segment(event, number);
        }
        Ok(Leaf::of_event(&event.kind, event.session, number, event.at, &event.salt, &event.body))
    }
}

/// The leaf of a segment: its body is what lies sealed in the recording, as the event says.
fn segment(event: &Unsealed, number: u64) -> Result<Leaf, StoreError> {
    let damaged = |reason: &str| StoreError::damaged("event", event.seq, reason);
    let told: Event = serde_json::from_str(&event.body).map_err(|fault| damaged(&fault.to_string()))?;
    let length = told.detail.get("size").and_then(serde_json::Value::as_u64);
    let hash = told.detail.get("sha256").and_then(serde_json::Value::as_str).and_then(Hash::from_hex);
    match (length, hash) {
        (Some(length), Some(hash)) => {
            Ok(Leaf { kind: event.kind.clone(), session: event.session, number, time: event.at, length, hash })
        }
        _ => Err(damaged("it names no size and hash of a segment")),
    }
}

/// The verifier key that an event introduces to the log of this name.
pub fn introduced(event: &Unsealed, origin: &str) -> Option<String> {
    if event.kind != KEY_ROTATED {
        return None;
    }
    let body = serde_json::from_str::<serde_json::Value>(&event.body).ok()?;
    let text = body.pointer("/detail/key")?.as_str()?;
    (text.split('+').next() == Some(origin)).then(|| text.to_owned())
}
