//! What opens one terminal, once: a page of ours that a form led to carries a ticket, so that no address alone, and no
//! page of somebody else's, opens one. And how many terminals one person may have at once.

use crate::people::PeopleError;
use crate::people::token::{hash, random};
use sekimori_policy::id::{DeviceId, PersonId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a ticket waits for its page.
const TIME: Duration = Duration::from_secs(60);
/// Tickets of one sign-in that wait at once.
const WAITING: usize = 8;
/// Terminals of one person at once.
const TERMINALS: usize = 8;

/// Where a terminal leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The device.
    pub device: DeviceId,
    /// The account on it.
    pub account: String,
}

struct Ticket {
    sign_in: Uuid,
    to: Target,
    issued: Instant,
}

/// The tickets that wait, by the hashes of what the pages hold.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<String, Ticket>>);

impl Tickets {
    /// A new one for this sign-in; of too many that wait, the oldest no longer counts.
    ///
    /// # Errors
    /// Without randomness.
    pub fn issue(&self, sign_in: Uuid, to: Target) -> Result<Zeroizing<String>, PeopleError> {
        let ticket = random()?;
        let mut waiting = lock(&self.0);
        waiting.retain(|_, one| one.issued.elapsed() < TIME);
        let own = |one: &(&String, &Ticket)| one.1.sign_in == sign_in;
        if waiting.iter().filter(own).count() >= WAITING
            && let Some((oldest, _)) = waiting.iter().filter(own).min_by_key(|(_, one)| one.issued)
        {
            let oldest = oldest.clone();
            waiting.remove(&oldest);
        }
        waiting.insert(key(&ticket), Ticket { sign_in, to, issued: Instant::now() });
        Ok(ticket)
    }

    /// Whether it was issued for this sign-in and target a moment ago. It is spent, whatever comes of it.
    pub fn spend(&self, ticket: &str, sign_in: Uuid, to: &Target) -> bool {
        let found = lock(&self.0).remove(&key(ticket));
        found.is_some_and(|one| one.sign_in == sign_in && one.to == *to && one.issued.elapsed() < TIME)
    }
}

fn key(ticket: &str) -> String {
    hash("terminal", ticket)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who has how many terminals.
#[derive(Default)]
pub struct Seats(Mutex<HashMap<PersonId, usize>>);

/// One terminal's place; given back on drop.
pub struct Seat {
    seats: Arc<Seats>,
    person: PersonId,
}

impl Seats {
    /// A place for one more; `None`: there are as many as there may be.
    pub fn take(self: &Arc<Self>, person: &PersonId) -> Option<Seat> {
        let mut taken = lock(&self.0);
        let count = taken.entry(person.clone()).or_default();
        if *count >= TERMINALS {
            return None;
        }
        *count += 1;
        Some(Seat { seats: self.clone(), person: person.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.0);
        if let Some(count) = taken.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn target(device: &str) -> Target {
        Target { device: device.parse().unwrap(), account: "service".into() }
    }

    #[test]
    fn a_ticket_opens_its_own_terminal_once() {
        let tickets = Tickets::default();
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let issue = || tickets.issue(own, target("ct-01")).unwrap();
        let ticket = issue();
        assert!(tickets.spend(&ticket, own, &target("ct-01")));
        assert!(!tickets.spend(&ticket, own, &target("ct-01")));
        // Spent by whoever tries it elsewhere.
        for (sign_in, to) in [(other, target("ct-01")), (own, target("ct-02"))] {
            let ticket = issue();
            assert!(!tickets.spend(&ticket, sign_in, &to));
            assert!(!tickets.spend(&ticket, own, &target("ct-01")));
        }
    }

    #[test]
    fn an_old_ticket_counts_no_more_and_only_so_many_wait() {
        let tickets = Tickets::default();
        let own = Uuid::from_u128(1);
        let first = tickets.issue(own, target("ct-01")).unwrap();
        for one in lock(&tickets.0).values_mut() {
            one.issued = one.issued.checked_sub(TIME).unwrap();
        }
        assert!(!tickets.spend(&first, own, &target("ct-01")));
        let waiting: Vec<_> = (0..=WAITING).map(|_| tickets.issue(own, target("ct-01")).unwrap()).collect();
        assert_eq!(lock(&tickets.0).len(), WAITING);
        let good: Vec<_> = waiting.iter().map(|ticket| tickets.spend(ticket, own, &target("ct-01"))).collect();
        assert_eq!(good.iter().filter(|good| **good).count(), WAITING);
        assert!(!good.first().unwrap());
    }

    #[test]
    fn a_person_has_so_many_terminals_and_no_more_until_one_ends() {
        let seats = Arc::new(Seats::default());
        let (one, other): (PersonId, PersonId) = ("eng1".parse().unwrap(), "eng2".parse().unwrap());
        let mut taken: Vec<_> = (0..TERMINALS).map(|_| seats.take(&one).unwrap()).collect();
        assert!(seats.take(&one).is_none() && seats.take(&other).is_some());
        taken.pop();
        assert!(seats.take(&one).is_some());
        taken.clear();
        assert!(lock(&seats.0).is_empty());
    }
}
