//! The door: how many may be inside at once, and the strangers who were turned away.
//!
//! When all places are taken, those who have not signed in yet make room: the network that holds the most such places
//! loses its oldest, as long as the newcomer's network holds fewer. So connections that never sign in, from however many
//! networks, do not keep out somebody who comes from another.
//!
//! Both are counted by network, since whoever has one IPv6 address has the 2^64 beside it. Strangers cannot flood the
//! event log: the first attempt of a network is told at once, all further ones by a count each minute, and of more
//! networks than [`STRANGERS`] only that they were many.

use crate::config::Ssh;
use crate::gate::Gate;
use chrono::Utc;
use ipnet::{IpNet, Ipv6Net};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::facts::Source;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Networks of strangers that are told apart in one interval.
const STRANGERS: usize = 100;

/// How often further attempts are told.
const INTERVAL: Duration = Duration::from_secs(60);

/// What all listeners share.
#[derive(Default)]
pub struct Door {
    inside: Mutex<HashMap<IpNet, Inside>>,
    /// Places given so far.
    entered: AtomicU64,
    /// Attempts not told yet, by network; `None`: of all networks beyond [`STRANGERS`].
    strangers: Mutex<HashMap<Option<IpNet>, u64>>,
}

/// The connections of one network.
#[derive(Default)]
struct Inside {
    /// All of them.
    places: usize,
    /// Those which have not signed in yet, the oldest first.
    waiting: VecDeque<Waiting>,
}

/// A place whose holder has yet to sign in.
struct Waiting {
    number: u64,
    lost: CancellationToken,
}

/// A place among the connections at once; given back on drop.
pub struct Place {
    door: Arc<Door>,
    network: IpNet,
    number: u64,
    /// Cancelled when the place was given to somebody else.
    lost: CancellationToken,
}

impl Place {
    /// The factors were proved: from now on the place is kept.
    pub fn keep(&self) {
        let mut inside = lock(&self.door.inside);
        if let Some(here) = inside.get_mut(&self.network) {
            here.waiting.retain(|waiting| waiting.number != self.number);
        }
    }

    /// Resolves when the place was given to somebody else: the connection has to go.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = lock(&self.door.inside);
        if self.lost.is_cancelled() {
            // It was given back when it was given to somebody else.
            return;
        }
        if let Some(here) = inside.get_mut(&self.network) {
            here.places -= 1;
            here.waiting.retain(|waiting| waiting.number != self.number);
            if here.places == 0 {
                inside.remove(&self.network);
            }
        }
    }
}

impl Door {
    /// A place for a connection; `None`: too many at once, of this network or in all.
    pub fn enter(self: &Arc<Self>, limits: &Ssh, source: Source) -> Option<Place> {
        let network = network(source.address());
        let mut inside = lock(&self.inside);
        let all: usize = inside.values().map(|here| here.places).sum();
        let (places, waiting) = inside.get(&network).map(|here| (here.places, here.waiting.len())).unwrap_or_default();
        let room = places < limits.max_connections_per_source
            && (all < limits.max_connections || make_room(&mut inside, waiting));
        if !room {
            tracing::warn!(%source, "a connection was refused: too many at once");
            return None;
        }
        let lost = CancellationToken::new();
        let here = inside.entry(network).or_default();
        here.places += 1;
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        here.waiting.push_back(Waiting { number, lost: lost.clone() });
        Some(Place { door: self.clone(), network, number, lost })
    }

    /// Counts a stranger; the first of a network is told at once.
    pub async fn turn_away(&self, gate: &Gate, source: Source) {
        if self.is_first(network(source.address())) {
            tell(gate, Some(source.address()), 1).await;
        }
    }

    fn is_first(&self, network: IpNet) -> bool {
        let mut strangers = lock(&self.strangers);
        if let Some(untold) = strangers.get_mut(&Some(network)) {
            *untold += 1;
            return false;
        }
        let told_apart = strangers.len() < STRANGERS;
        if told_apart {
            strangers.insert(Some(network), 0);
        } else {
            *strangers.entry(None).or_default() += 1;
        }
        told_apart
    }

    /// Tells the counts each minute, and the last ones when the gateway stops.
    pub async fn tell_of_strangers(self: Arc<Self>, gate: Arc<Gate>) {
        let mut stopping = false;
        while !stopping {
            stopping = tokio::time::timeout(INTERVAL, gate.stop_asked()).await.is_ok();
            let counted = std::mem::take(&mut *lock(&self.strangers));
            for (network, untold) in counted {
                if untold > 0 {
                    tell(&gate, network.map(|network| network.addr()), untold).await;
                }
            }
        }
    }
}

/// Takes the oldest place of the network that has the most connections waiting to sign in, if that leaves it with no
/// fewer than the newcomer's network will have.
fn make_room(inside: &mut HashMap<IpNet, Inside>, waiting: usize) -> bool {
    let Some(most) = inside.values_mut().max_by_key(|here| here.waiting.len()) else { return false };
    if most.waiting.len() < waiting + 2 {
        return false;
    }
    let Some(oldest) = most.waiting.pop_front() else { return false };
    // Under the lock: its holder sees that it is lost, and does not give it back a second time.
    oldest.lost.cancel();
    most.places -= 1;
    true
}

async fn tell(gate: &Gate, source: Option<IpAddr>, attempts: u64) {
    let detail = json!({ "attempts": attempts });
    let event = Event { source, detail, ..Event::new(Utc::now(), Kind::SourceRefused, Actor::gateway()) };
    if let Err(fault) = gate.store.record(event).await {
        tracing::error!(%fault, "cannot record a refused source");
    }
}

/// An IPv4 address alone; an IPv6 address with its /64 (RFC 4291 section 2.5.1).
fn network(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            Ipv6Net::new(address, 64).map_or_else(|_| IpNet::from(IpAddr::V6(address)), |net| IpNet::V6(net.trunc()))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn v6(network: u16, host: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host])
    }

    #[test]
    fn a_flood_from_one_ipv6_network_is_one_stranger() {
        let door = Door::default();
        let told = (0..1000).filter(|host| door.is_first(network(v6(0, *host)))).count();
        assert_eq!((told, lock(&door.strangers).get(&Some(network(v6(0, 0)))).copied()), (1, Some(999)));
    }

    #[test]
    fn a_flood_from_everywhere_is_counted_and_told_of_by_number() {
        let door = Door::default();
        let told = (0..1000).filter(|net| door.is_first(network(v6(*net, 1)))).count();
        assert_eq!((told, lock(&door.strangers).get(&None).copied()), (STRANGERS, Some(900)));
    }

    #[test]
    fn who_waits_makes_room_for_other_networks_and_who_signed_in_does_not() {
        let door = Arc::new(Door::default());
        let limits = Ssh { max_connections: 4, max_connections_per_source: 4, ..Ssh::default() };
        let enter = |address| door.enter(&limits, Source::from(address));
        let flood: Vec<_> = (0..4).map(|host| enter(v6(1, host)).unwrap()).collect();
        flood.first().unwrap().keep();
        assert!(enter(v6(1, 9)).is_none());
        let other = enter(v6(2, 1)).unwrap();
        let lost: Vec<_> = flood.iter().map(|place| place.lost.is_cancelled()).collect();
        assert_eq!(lost, [false, true, false, false]);
        // Two wait of each: nobody is put out for one more of them.
        let _second = enter(v6(3, 1)).unwrap();
        assert!(enter(v6(2, 2)).is_none());
        drop(flood);
        drop(other);
        assert_eq!(lock(&door.inside).values().map(|here| here.places).sum::<usize>(), 1);
    }

    #[test]
    fn places_are_limited_by_network_and_given_back() {
        let door = Arc::new(Door::default());
        let limits = Ssh { max_connections: 3, max_connections_per_source: 2, ..Ssh::default() };
        let enter = |address| door.enter(&limits, Source::from(address));
        let (first, second) = (enter(v6(1, 1)).unwrap(), enter(v6(1, 2)).unwrap());
        assert!(enter(v6(1, 3)).is_none());
        // Who has signed in makes room for nobody.
        first.keep();
        second.keep();
        let _other = enter(v6(2, 1)).unwrap();
        assert!(enter(v6(3, 1)).is_none());
        drop((first, second));
        assert!(enter(v6(1, 3)).is_some() && enter(v6(3, 1)).is_some());
    }
}
