//! Passkeys and their challenges.

use super::bed::{Bed, event, noon, sign_in};
use crate::people::passkey::PublicKey;
use crate::store::{Challenge, Passkey, Store, StoreError, stands_on};
use chrono::TimeDelta;
use sekimori_audit::event::{Event, Kind};
use std::sync::Arc;
use tokio::sync::Barrier;
use uuid::Uuid;

pub fn passkey(id: &str, counter: u32) -> Passkey {
    Passkey {
        id: id.to_owned(),
        person: "eng1".parse().unwrap(),
        handle: Uuid::now_v7(),
        name: "laptop".to_owned(),
        key: PublicKey { cose: vec![1, 2, 3], counter },
        added: noon(),
        used: None,
    }
}

async fn open(store: &Store, id: &str, purpose: &str, source: &str) -> bool {
    let source = source.parse::<std::net::IpAddr>().unwrap().into();
    let challenge = Challenge { id, purpose, source, expires: noon() + TimeDelta::minutes(5) };
    store.open_challenge(&challenge, noon()).await.unwrap()
}

async fn spend(store: &Store, id: &str, purpose: &str, source: &str, minutes: i64) -> bool {
    let source = source.parse::<std::net::IpAddr>().unwrap().into();
    store.spend_challenge(id, purpose, source, noon() + TimeDelta::minutes(minutes)).await.unwrap()
}

pub async fn a_challenge_is_spent_once_for_its_purpose_from_its_source_and_in_time(bed: Bed) {
    let store = bed.furnished().await;
    for (id, purpose, source, minutes, counts) in [
        ("c1", "sign-in", "203.0.113.9", 4, true),
        ("c2", "again x", "203.0.113.9", 4, false),
        ("c3", "sign-in", "203.0.113.10", 4, false),
        ("c4", "sign-in", "203.0.113.9", 5, false),
    ] {
        assert!(open(&store, id, "sign-in", "203.0.113.9").await);
        assert_eq!(spend(&store, id, purpose, source, minutes).await, counts, "{id}");
        assert!(!spend(&store, id, "sign-in", "203.0.113.9", 1).await, "{id} is spent, whatever came of it");
    }
    assert!(!spend(&store, "c9", "sign-in", "203.0.113.9", 1).await, "none was open");

    // One source does not keep the others out, and what is over makes room.
    let mut opened = 0;
    while open(&store, &format!("many-{opened}"), "sign-in", "203.0.113.9").await {
        opened += 1;
    }
    assert_eq!(opened, 64);
    assert!(open(&store, "other", "sign-in", "203.0.113.10").await);
    let source = "203.0.113.9".parse::<std::net::IpAddr>().unwrap().into();
    let later = noon() + TimeDelta::minutes(6);
    let challenge = Challenge { id: "later", purpose: "sign-in", source, expires: later + TimeDelta::minutes(5) };
    assert!(store.open_challenge(&challenge, later).await.unwrap());
}

pub async fn of_many_answers_with_the_same_count_one_counts(bed: Bed) {
    let store = bed.furnished().await;
    store.add_passkey(&passkey("ab", 4), event(Kind::PasskeyAdd)).await.unwrap();
    let again = store.add_passkey(&passkey("ab", 4), event(Kind::PasskeyAdd)).await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    let barrier = Arc::new(Barrier::new(20));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (store, barrier) = (store.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                store.count_passkey("ab", 5, noon()).await.unwrap()
            })
        })
        .collect();
    let mut counted = 0;
    for task in tasks {
        counted += usize::from(task.await.unwrap());
    }
    assert_eq!(counted, 1);
    assert!(
        !store.count_passkey("ab", 4, noon()).await.unwrap() && !store.count_passkey("ab", 0, noon()).await.unwrap()
    );
    // Those that never count stay at 0.
    store.add_passkey(&passkey("cd", 0), event(Kind::PasskeyAdd)).await.unwrap();
    assert!(store.count_passkey("cd", 0, noon()).await.unwrap() && store.count_passkey("cd", 0, noon()).await.unwrap());
    assert_eq!(store.passkey("ab").await.unwrap().unwrap().key.counter, 5);
}

pub async fn a_passkey_takes_its_sign_ins_along_and_goes_with_a_reset(bed: Bed) {
    let store = bed.furnished().await;
    let eng1 = "eng1".parse().unwrap();
    let (mine, other) = (passkey("ab", 0), passkey("cd", 0));
    for one in [&mine, &other] {
        store.add_passkey(one, event(Kind::PasskeyAdd)).await.unwrap();
    }
    assert_eq!(store.passkeys(&eng1).await.unwrap(), [mine.clone(), other.clone()]);
    let (mut by_mine, mut by_other) = (sign_in("eng1"), sign_in("eng1"));
    by_mine.key_fingerprint = Some(stands_on(&mine.id));
    by_other.key_fingerprint = Some(stands_on(&other.id));
    for one in [&by_mine, &by_other] {
        store.open_sign_in(one, event(Kind::SignIn)).await.unwrap();
    }
    let removed = |person: &str| {
        let person = person.parse().unwrap();
        let store = store.clone();
        async move { store.remove_passkey(&person, "ab", event(Kind::PasskeyRemove)).await }
    };
    assert!(matches!(removed("root1").await, Err(StoreError::Unknown { .. })), "somebody else's");
    removed("eng1").await.unwrap();
    let revoked = |id| {
        let store = store.clone();
        async move { store.sign_in(id).await.unwrap().unwrap().revoked.is_some() }
    };
    assert!(revoked(by_mine.id).await && !revoked(by_other.id).await);
    let reset = Event { at: noon(), ..event(Kind::PersonChange) };
    store.reset_factors(&eng1, reset).await.unwrap();
    assert!(store.passkeys(&eng1).await.unwrap().is_empty() && revoked(by_other.id).await);
}
