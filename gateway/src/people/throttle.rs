//! The throttle on failures, per person and per source (NIST SP 800-63B §5.2.2).
//!
//! A pure state machine: time and counts are arguments. It comes after the source check (see [`super`]), so a stranger
//! never reaches it. Names that nobody has are throttled like names that somebody has, so that they look alike.
//!
//! An attempt counts as failed from the moment it is let through; [`Throttle::proved`] takes that back. Fifty guesses at
//! the same moment therefore cannot all pass before the first has failed.

use sekimori_policy::facts::Source;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures of a person that cost no waiting.
const FREE: u32 = 3;
/// The longest wait between two attempts of a person.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Failures in a row after which the hospital must make sure who it is (SP 800-63B: no more than 100).
pub const LOCKED_AT: u32 = 100;
/// Failures from one source at once: a vendor's people come through one address.
const SOURCE_BURST: u32 = 30;
/// How soon a source may fail once more after that.
const SOURCE_LEAK: Duration = Duration::from_secs(2);
/// Names and sources remembered, each.
const REMEMBERED: usize = 8192;

/// Whether an attempt may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an attempt that is not admitted must not be looked at"]
pub enum Admission {
    /// Look at it.
    Now,
    /// Not before this has passed: wait, or refuse as if it were wrong.
    Later(Duration),
    /// This person's factors are locked until the hospital forgives the failures: refuse as if it were wrong.
    Locked,
}

/// The failures that count against persons and sources.
#[derive(Debug, Default)]
pub struct Throttle {
    persons: Remembered<String>,
    sources: Remembered<IpAddr>,
}

impl Throttle {
    /// Asks to look at an attempt of the person of this name (whether there is one or not), who failed `failures`
    /// times in a row so far as the store knows (0 for a stranger). If the answer is [`Admission::Now`], it counts.
    pub fn attempt(&mut self, source: Source, name: &str, failures: u32, now: Instant) -> Admission {
        let network = network(source);
        let name = name.chars().take(64).collect::<String>();
        let known = self.persons.of(&name).unwrap_or(Strikes { count: 0, last: now });
        let count = known.count.max(failures);
        if count >= LOCKED_AT {
            return Admission::Locked;
        }
        let person_wait = if known.count == 0 { Duration::ZERO } else { left(known.last, wait_after(count), now) };
        let at_source = self.sources.of(&network).unwrap_or(Strikes { count: 0, last: now }).leaked(now);
        let source_wait =
            if at_source.count < SOURCE_BURST { Duration::ZERO } else { left(at_source.last, SOURCE_LEAK, now) };
        let wait = person_wait.max(source_wait);
        if !wait.is_zero() {
            return Admission::Later(wait);
        }
        self.persons.put(name, Strikes { count: count + 1, last: now });
        let last = if at_source.count == 0 { now } else { at_source.last };
        self.sources.put(network, Strikes { count: at_source.count + 1, last });
        Admission::Now
    }

    /// The person has proved all factors, in `attempts` attempts let through: their failures are forgotten. Of the
    /// source's only these attempts are, so that one good account does not cover guessing at others.
    pub fn proved(&mut self, source: Source, name: &str, attempts: u32) {
        let name = name.chars().take(64).collect::<String>();
        self.persons.forget(&name);
        let network = network(source);
        if let Some(at_source) = self.sources.of(&network) {
            self.sources.put(network, Strikes { count: at_source.count.saturating_sub(attempts), ..at_source });
        }
    }
}

/// An IPv6 network of 64 bits is one source: whoever has one of its addresses has all.
fn network(source: Source) -> IpAddr {
    match source.address() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// 0 for the first three, then 1, 2, 4, … 60 seconds.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1 << beyond.min(16)).min(LONGEST_WAIT),
    }
}

fn left(since: Instant, wait: Duration, now: Instant) -> Duration {
    wait.saturating_sub(now.saturating_duration_since(since))
}

/// Attempts that count as failed, and when the last was made (of a source: since when they leak away).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Strikes {
    count: u32,
    last: Instant,
}

impl Strikes {
    /// What is left when one strike leaks away every [`SOURCE_LEAK`].
    fn leaked(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.last);
        let steps = u32::try_from(passed.as_nanos() / SOURCE_LEAK.as_nanos()).unwrap_or(u32::MAX);
        Self {
            count: self.count.saturating_sub(steps),
            last: self.last + SOURCE_LEAK.saturating_mul(steps.min(self.count)),
        }
    }
}

/// A map that never holds more than [`REMEMBERED`]: the least guilty and oldest goes first, so that inventing names or
/// addresses does not wash away what counts against a real one.
#[derive(Debug)]
struct Remembered<K> {
    entries: HashMap<K, Strikes>,
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Remembered<K> {
    fn of(&self, key: &K) -> Option<Strikes> {
        self.entries.get(key).copied()
    }

    fn put(&mut self, key: K, strikes: Strikes) {
        if self.entries.len() >= REMEMBERED && !self.entries.contains_key(&key) {
            let least = self.entries.iter().min_by_key(|(_, strikes)| **strikes).map(|(key, _)| key.clone());
            if let Some(least) = least {
                self.entries.remove(&least);
            }
        }
        self.entries.insert(key, strikes);
    }

    fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn from(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Attempts as soon as each is let through; returns the waits, in seconds.
    fn waits(throttle: &mut Throttle, name: &str, attempts: usize) -> Vec<u64> {
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for number in 0..attempts {
            // Another source each time, so that only the person counts.
            let source = from(&format!("10.0.{number}.1"));
            let mut waited = Duration::ZERO;
            while let Admission::Later(wait) = throttle.attempt(source, name, 0, now) {
                now += wait;
                waited += wait;
            }
            waits.push(waited.as_secs());
        }
        waits
    }

    #[test]
    fn a_person_waits_longer_with_each_failure() {
        assert_eq!(waits(&mut Throttle::default(), "eng1", 12), [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn names_that_nobody_has_wait_alike() {
        let mut throttle = Throttle::default();
        assert_eq!(waits(&mut throttle, "eng1", 9), waits(&mut throttle, "nobody", 9));
    }

    #[test]
    fn success_forgives() {
        let mut throttle = Throttle::default();
        assert_eq!(waits(&mut throttle, "eng1", 6).last(), Some(&4));
        throttle.proved(from("10.0.0.1"), "eng1", 1);
        assert_eq!(waits(&mut throttle, "eng1", 3), [0, 0, 0]);
    }

    #[test]
    fn a_hundred_failures_in_a_row_lock_until_forgiven_in_the_store() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        assert_eq!(throttle.attempt(from("10.0.0.1"), "eng1", LOCKED_AT - 1, now), Admission::Now);
        let fresh = &mut Throttle::default();
        assert_eq!(fresh.attempt(from("10.0.0.1"), "eng1", LOCKED_AT, now), Admission::Locked);
        assert_eq!(fresh.attempt(from("10.0.0.1"), "eng1", 0, now + seconds(1)), Admission::Now);
    }

    #[test]
    fn guesses_at_the_same_moment_do_not_all_pass() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let passed = (0..50)
            .filter(|number| throttle.attempt(from(&format!("10.0.{number}.1")), "eng1", 0, now) == Admission::Now)
            .count();
        assert_eq!(passed, 3);
    }

    #[test]
    fn a_source_that_guesses_at_many_names_is_slowed_and_others_are_not() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let guess = |throttle: &mut Throttle, number: u32, address: &str, at: Instant| {
            throttle.attempt(from(address), &format!("guess{number}"), 0, at)
        };
        for number in 0..SOURCE_BURST {
            assert_eq!(guess(&mut throttle, number, "2001:db8::1", now), Admission::Now);
        }
        assert_eq!(guess(&mut throttle, 100, "2001:db8::1", now), Admission::Later(SOURCE_LEAK));
        // The same /64 network.
        assert_eq!(guess(&mut throttle, 101, "2001:db8::2", now), Admission::Later(SOURCE_LEAK));
        assert_eq!(guess(&mut throttle, 102, "2001:db8:0:1::1", now), Admission::Now);
        assert_eq!(guess(&mut throttle, 103, "2001:db8::1", now + SOURCE_LEAK), Admission::Now);
        assert_eq!(guess(&mut throttle, 104, "2001:db8::1", now + SOURCE_LEAK), Admission::Later(SOURCE_LEAK));
        // An hour later the slate is clean.
        for number in 200..200 + SOURCE_BURST {
            assert_eq!(guess(&mut throttle, number, "2001:db8::1", now + seconds(3600)), Admission::Now);
        }
    }

    #[test]
    fn one_good_account_does_not_cover_guessing_at_others() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let source = from("10.0.0.1");
        for number in 0..SOURCE_BURST - 1 {
            assert_eq!(throttle.attempt(source, &format!("guess{number}"), 0, now), Admission::Now);
        }
        assert_eq!(throttle.attempt(source, "eng1", 0, now), Admission::Now);
        throttle.proved(source, "eng1", 1);
        assert_eq!(throttle.attempt(source, "other", 0, now), Admission::Now);
        assert_eq!(throttle.attempt(source, "another", 0, now), Admission::Later(SOURCE_LEAK));
    }

    #[test]
    fn memory_is_bounded_and_invented_names_do_not_wash_a_real_one_away() {
        let mut throttle = Throttle::default();
        waits(&mut throttle, "eng1", 5);
        let now = Instant::now() + seconds(600);
        for number in 0..REMEMBERED as u32 + 10 {
            let source = Source::from(IpAddr::from(number.to_be_bytes()));
            assert_eq!(throttle.attempt(source, &format!("invented{number}"), 0, now), Admission::Now);
        }
        assert_eq!(throttle.persons.entries.len(), REMEMBERED);
        assert_eq!(throttle.sources.entries.len(), REMEMBERED);
        assert_eq!(throttle.persons.of(&"eng1".to_owned()).unwrap().count, 5);
    }
}
