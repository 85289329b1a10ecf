//! What is known of a recording while it goes on, for those who watch: what each channel does, and from where on a
//! terminal has to be read for its screen.

use super::journal::Mark;
use super::sealed::screen::Snapshot;
use super::values::ChannelKind;
use super::{Recording, lock};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// One channel, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its number in the session.
    pub channel: u32,
    /// What it is.
    pub kind: ChannelKind,
    /// The command, or the forward's destination.
    pub command: Option<String>,
    /// Whether it goes on.
    pub open: bool,
    /// Bytes from the person to the device.
    pub bytes_to_device: u64,
    /// Bytes from the device to the person.
    pub bytes_from_device: u64,
    /// How many files went through.
    pub transfers: u64,
    /// The file that moves, or moved last; U+FFFD where its name is no UTF-8.
    pub file: Option<String>,
}

/// The screen of a terminal at the end of what is sealed of it, and where its journal goes on from there.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) snapshot: Snapshot,
    pub(crate) mark: Mark,
    /// The member's bytes that lie before.
    pub(crate) given: u64,
}

/// The landings of a recording, by the names of their members. What is sealed anew replaces what was known: it holds no
/// more than a screen for each terminal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Landings(Arc<Mutex<HashMap<String, Arc<Landing>>>>);

impl Landings {
    /// A member was sealed up to there.
    pub(crate) fn put(&self, member: &str, landing: Landing) {
        lock(&self.0).insert(member.to_owned(), Arc::new(landing));
    }

    /// The last one of a member.
    pub(crate) fn of(&self, member: &str) -> Option<Arc<Landing>> {
        lock(&self.0).get(member).cloned()
    }
}

impl Recording {
    /// What its channels do now, in their order. Waits for a write that is under way.
    #[must_use]
    pub fn activity(&self) -> Vec<Activity> {
        let channels: Vec<_> = lock(&self.shared.channels).values().cloned().collect();
        channels.iter().map(|channel| lock(channel).activity()).collect()
    }

    /// From where on its terminals can be read.
    pub(crate) fn landings(&self) -> &Landings {
        &self.shared.landings
    }
}
