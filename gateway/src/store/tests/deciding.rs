//! What the decision is made from.

use super::bed::{Bed, always, device, event, factors, noon, person, source, vendor, work};
use crate::store::StoreError;
use crate::store::db::args;
use chrono::TimeDelta;
use sekimori_audit::event::Kind;
use sekimori_policy::facts::{Attestation, Demands, Lock, LockScope, Method, Person, Status, Vendor};
use std::collections::BTreeSet;

pub async fn facts_hold_everything_that_is_known(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, ct) = ("eng1".parse().unwrap(), "ct-01".parse().unwrap());
    let attestation = Attestation {
        person: "eng1".parse().unwrap(),
        made_at: noon(),
        expires_at: noon() + TimeDelta::days(7),
        patched: true,
        scanned: true,
        note: "画面の写し".to_owned(),
    };
    store.add_attestation(&attestation, &[], event(Kind::Attest)).await.unwrap();
    let lock = |reason: &str| Lock {
        scope: LockScope::Everyone,
        from: noon(),
        until: None,
        reason: reason.to_owned(),
        except: Some("w-1".parse().unwrap()),
    };
    let lifted = store.set_lock(&lock("lifted"), event(Kind::LockSet)).await.unwrap();
    store.lift_lock(lifted, event(Kind::LockLift)).await.unwrap();
    store.set_lock(&lock("in force"), event(Kind::LockSet)).await.unwrap();
    let demands =
        Demands { methods: BTreeSet::from([Method::SshKey]), factors_max_age_minutes: Some(60), ..Demands::default() };
    let facts = store
        .facts(&eng1, Some(&ct), Some("service"), source("203.0.113.7"), factors(), demands.clone())
        .await
        .unwrap();
    assert_eq!(facts.person, Some(person("eng1", Some("acme"))));
    assert_eq!(facts.vendor, Some(vendor("acme")));
    assert_eq!(facts.device, Some(device("ct-01").device));
    assert_eq!(facts.account.as_deref(), Some("service"));
    assert_eq!(facts.source, source("203.0.113.7"));
    assert_eq!(facts.factors, factors());
    assert_eq!(facts.works, vec![work("w-1")]);
    assert_eq!(facts.attestations, vec![attestation]);
    assert_eq!(facts.locks, vec![lock("in force")]);
    assert_eq!(facts.demands, demands);
}

pub async fn facts_about_strangers_are_empty(bed: Bed) {
    let store = bed.furnished().await;
    let (nobody, nothing) = ("nobody".parse().unwrap(), "nothing".parse().unwrap());
    let facts =
        store.facts(&nobody, Some(&nothing), None, source("203.0.113.7"), factors(), Demands::default()).await.unwrap();
    assert_eq!((facts.person, facts.vendor, facts.device), (None, None, None));
    assert_eq!((facts.works.len(), facts.attestations.len(), facts.locks.len()), (0, 0, 0));
    let chief = "chief".parse().unwrap();
    let facts = store.facts(&chief, None, None, source("203.0.113.7"), factors(), Demands::default()).await.unwrap();
    assert_eq!((facts.vendor, facts.works.len(), facts.device), (None, 0, None));
}

pub async fn a_record_that_cannot_be_read_denies(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, ct) = ("eng1".parse().unwrap(), "ct-01".parse().unwrap());
    for sql in [
        "UPDATE person SET document = '{}' WHERE id = 'eng1'",
        "UPDATE vendor SET document = 'not json' WHERE id = 'acme'",
        "UPDATE device SET document = '[]' WHERE id = 'ct-01'",
        "UPDATE work SET document = '{\"id\":\"w-1\",\"unheard\":1}' WHERE id = 'w-1'",
    ] {
        let mut tx = store.inner.db.write().await.unwrap();
        assert_eq!(tx.run(sql, args![]).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let facts = store.facts(&eng1, Some(&ct), None, source("203.0.113.7"), factors(), Demands::default()).await;
        assert!(matches!(facts, Err(StoreError::Damaged { .. })), "{sql}: {facts:?}");
    }
}

pub async fn invariant_09_a_source_that_nobody_allows_is_known_as_such(bed: Bed) {
    let store = bed.furnished().await;
    let allowed = |address: &'static str| {
        let store = store.clone();
        async move { store.source_is_allowed_by_anybody(source(address)).await.unwrap() }
    };
    // The vendor's list; `chief` has none at all, which allows nothing.
    assert!(allowed("203.0.113.7").await);
    assert!(allowed("::ffff:203.0.113.7").await, "an IPv4-mapped address is its IPv4");
    assert!(!allowed("198.51.100.7").await);

    // The person's list narrows the vendor's; both must contain the address.
    let eng1 = "eng1".parse().unwrap();
    let narrow = |person: &mut sekimori_policy::facts::Person| {
        person.sources = vec!["203.0.113.64/26".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
    };
    store.update_person(&eng1, event(Kind::PersonChange), always(narrow)).await.unwrap();
    assert!(!allowed("203.0.113.7").await);
    assert!(allowed("203.0.113.65").await);
    assert!(!allowed("198.51.100.7").await);

    // Hospital staff by their own list; a change made by another process counts at once.
    let other = bed.open().await.unwrap();
    let chief = "chief".parse().unwrap();
    let inside = |person: &mut sekimori_policy::facts::Person| person.sources = vec!["192.168.0.0/16".parse().unwrap()];
    other.update_person(&chief, event(Kind::PersonChange), always(inside)).await.unwrap();
    assert!(allowed("192.168.1.1").await);
    store
        .update_person(
            &chief,
            event(Kind::PersonChange),
            always(|person: &mut Person| person.status = Status::Suspended),
        )
        .await
        .unwrap();
    assert!(!allowed("192.168.1.1").await);
    let acme = "acme".parse().unwrap();
    store
        .update_vendor(&acme, event(Kind::VendorChange), always(|vendor: &mut Vendor| vendor.status = Status::Retired))
        .await
        .unwrap();
    assert!(!allowed("203.0.113.65").await);
}
