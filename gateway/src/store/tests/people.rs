//! Persons, their factors and their sign-ins.

use super::bed::{Bed, always, event, noon, person, sign_in};
use crate::store::StoreError;
use chrono::TimeDelta;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{HospitalRole, Person, Status};
use std::sync::Arc;
use tokio::sync::Barrier;

const SEED: &[u8] = b"a-seed-of-twenty-byt";

pub async fn invariant_04_a_vendors_person_never_holds_a_hospital_role(bed: Bed) {
    let store = bed.furnished().await;
    let mut both = person("mole", Some("acme"));
    both.roles.insert(HospitalRole::Approver);
    let added = store.add_person(&both, event(Kind::PersonAdd)).await;
    assert!(matches!(added, Err(StoreError::Invalid { .. })), "{added:?}");
    let give = |role| {
        move |person: &mut sekimori_policy::facts::Person| {
            person.roles.insert(role);
        }
    };
    let promoted = store
        .update_person(&"eng1".parse().unwrap(), event(Kind::PersonChange), always(give(HospitalRole::Auditor)))
        .await;
    assert!(matches!(promoted, Err(StoreError::Invalid { .. })), "{promoted:?}");
    let chief = "chief".parse().unwrap();
    store.update_person(&chief, event(Kind::PersonChange), always(give(HospitalRole::Approver))).await.unwrap();
    let hired = store
        .update_person(
            &chief,
            event(Kind::PersonChange),
            always(|person: &mut Person| person.vendor = Some("acme".parse().unwrap())),
        )
        .await;
    assert!(matches!(hired, Err(StoreError::Invalid { .. })), "{hired:?}");
    let stranger = store.add_person(&person("eng9", Some("ghost")), event(Kind::PersonAdd)).await;
    assert!(matches!(stranger, Err(StoreError::Unknown { what: "vendor", .. })), "{stranger:?}");
}

pub async fn invariant_06_a_code_is_spent_exactly_once_from_fifty_connections(bed: Bed) {
    let store = bed.furnished().await;
    store.enrol_totp(&"eng1".parse().unwrap(), SEED, event(Kind::TotpEnrol)).await.unwrap();
    let start = Arc::new(Barrier::new(50));
    let mut spenders = Vec::new();
    for _ in 0..50 {
        // Each with connections of its own, as 50 processes would have.
        let (store, start) = (bed.open().await.unwrap(), Arc::clone(&start));
        spenders.push(tokio::spawn(async move {
            let eng1 = "eng1".parse().unwrap();
            start.wait().await;
            store.spend_totp_step(&eng1, 59_000_000).await.unwrap()
        }));
    }
    let mut spent = 0;
    for spender in spenders {
        spent += usize::from(spender.await.unwrap());
    }
    assert_eq!(spent, 1);
}

pub async fn spent_steps_never_come_back(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, chief) = ("eng1".parse().unwrap(), "chief".parse().unwrap());
    assert!(!store.spend_totp_step(&eng1, 100).await.unwrap(), "nothing is enrolled");
    store.enrol_totp(&eng1, SEED, event(Kind::TotpEnrol)).await.unwrap();
    for (step, expected) in [(100, true), (100, false), (99, false), (101, true), (100, false)] {
        assert_eq!(store.spend_totp_step(&eng1, step).await.unwrap(), expected, "step {step}");
    }
    assert!(!store.spend_totp_step(&chief, 500).await.unwrap());
    assert!(!store.spend_totp_step(&"nobody".parse().unwrap(), 500).await.unwrap());
    assert_eq!(store.totp_seed(&chief).await.unwrap(), None);
    assert_eq!(store.totp_seed(&"nobody".parse().unwrap()).await.unwrap(), None);
}

pub async fn factors_are_reset_together_with_what_they_carried(bed: Bed) {
    let store = bed.furnished().await;
    let eng1 = "eng1".parse().unwrap();
    store.set_password(&eng1, "$argon2id$x", event(Kind::PasswordSet)).await.unwrap();
    store.enrol_totp(&eng1, SEED, event(Kind::TotpEnrol)).await.unwrap();
    store.add_key(&eng1, "ssh-ed25519 AAAA", "SHA256:abc", event(Kind::KeyAdd)).await.unwrap();
    let mut carried = sign_in("eng1");
    (carried.certificate_serial, carried.expires) = (Some(7), Some(noon() + TimeDelta::hours(8)));
    store.open_sign_in(&carried, event(Kind::SignInCarried)).await.unwrap();
    assert_eq!(store.password_hash(&eng1).await.unwrap().as_deref(), Some("$argon2id$x"));

    store.reset_factors(&eng1, event(Kind::PersonChange)).await.unwrap();
    assert_eq!(store.password_hash(&eng1).await.unwrap(), None);
    assert_eq!(store.totp_seed(&eng1).await.unwrap(), None);
    assert_eq!(store.keys(&eng1).await.unwrap(), vec![]);
    assert_eq!(store.carried_sign_ins(noon()).await.unwrap(), vec![]);
    assert_eq!(store.sign_in(carried.id).await.unwrap().unwrap().revoked, Some(noon()));
}

pub async fn who_is_suspended_signs_in_anew_afterwards(bed: Bed) {
    let store = bed.furnished().await;
    let eng1 = "eng1".parse().unwrap();
    let mut carried = sign_in("eng1");
    (carried.certificate_serial, carried.expires) = (Some(7), Some(noon() + TimeDelta::hours(8)));
    store.open_sign_in(&carried, event(Kind::SignInCarried)).await.unwrap();
    for (status, standing) in [(Status::Active, 1), (Status::Suspended, 0), (Status::Active, 0)] {
        let switch = |person: &mut Person, _: &mut Event| {
            person.status = status;
            Ok::<(), StoreError>(())
        };
        store.update_person(&eng1, event(Kind::PersonChange), switch).await.unwrap();
        assert_eq!(store.carried_sign_ins(noon()).await.unwrap().len(), standing, "{status:?}");
    }
}

pub async fn a_key_belongs_to_one_person_and_takes_its_sign_ins_along(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, chief) = ("eng1".parse().unwrap(), "chief".parse().unwrap());
    store.add_key(&eng1, "ssh-ed25519 AAAA", "SHA256:abc", event(Kind::KeyAdd)).await.unwrap();
    for person in [&eng1, &chief] {
        let again = store.add_key(person, "ssh-ed25519 AAAA", "SHA256:abc", event(Kind::KeyAdd)).await;
        assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    }
    assert_eq!(store.keys(&eng1).await.unwrap()[0].public_key, "ssh-ed25519 AAAA");
    let mut carried = sign_in("eng1");
    carried.key_fingerprint = Some("SHA256:abc".to_owned());
    (carried.certificate_serial, carried.expires) = (Some(7), Some(noon() + TimeDelta::hours(8)));
    store.open_sign_in(&carried, event(Kind::SignInCarried)).await.unwrap();
    assert_eq!(store.carried_sign_ins(noon()).await.unwrap().len(), 1);
    store.remove_key(&eng1, "SHA256:abc", event(Kind::KeyRemove)).await.unwrap();
    assert_eq!(store.carried_sign_ins(noon()).await.unwrap(), vec![]);
}

pub async fn failures_in_a_row_are_counted_and_forgiven(bed: Bed) {
    let store = bed.furnished().await;
    let eng1 = "eng1".parse().unwrap();
    for count in 1..=3 {
        assert_eq!(store.sign_in_failed(&eng1, event(Kind::SignInFailed)).await.unwrap(), count);
    }
    let nobody = "nobody".parse().unwrap();
    assert_eq!(store.sign_in_failed(&nobody, event(Kind::SignInFailed)).await.unwrap(), 0);
    assert_eq!(store.failures(&nobody).await.unwrap(), 0);
    assert_eq!(store.last_seq().await.unwrap(), 6 + 4);
    assert_eq!(bed.open().await.unwrap().failures(&eng1).await.unwrap(), 3);
    store.open_sign_in(&sign_in("eng1"), event(Kind::SignIn)).await.unwrap();
    assert_eq!(store.failures(&eng1).await.unwrap(), 0);
    store.sign_in_failed(&eng1, event(Kind::SignInFailed)).await.unwrap();
    store.forgive_failures(&eng1, event(Kind::PersonChange)).await.unwrap();
    assert_eq!(store.failures(&eng1).await.unwrap(), 0);
}

pub async fn edits_at_once_all_count(bed: Bed) {
    let store = bed.furnished().await;
    let start = Arc::new(Barrier::new(20));
    let mut editors = Vec::new();
    for number in 0..20 {
        // Each with connections of its own: within one process writers queue anyway.
        let (store, start) = (bed.open().await.unwrap(), Arc::clone(&start));
        editors.push(tokio::spawn(async move {
            let add = |person: &mut sekimori_policy::facts::Person| {
                person.sources.push(format!("198.51.100.{number}/32").parse().unwrap());
            };
            start.wait().await;
            store.update_person(&"eng1".parse().unwrap(), event(Kind::PersonChange), always(add)).await.unwrap();
        }));
    }
    for editor in editors {
        editor.await.unwrap();
    }
    assert_eq!(store.person(&"eng1".parse().unwrap()).await.unwrap().unwrap().sources.len(), 20);
}

pub async fn sign_ins_are_found_by_certificate_until_revoked(bed: Bed) {
    let store = bed.furnished().await;
    let plain = sign_in("eng1");
    store.open_sign_in(&plain, event(Kind::SignIn)).await.unwrap();
    let mut carried = sign_in("eng1");
    carried.key_fingerprint = Some("SHA256:abc".to_owned());
    (carried.certificate_serial, carried.expires) = (Some(i64::MAX), Some(noon() + TimeDelta::hours(8)));
    store.open_sign_in(&carried, event(Kind::SignInCarried)).await.unwrap();

    assert_eq!(store.sign_in(plain.id).await.unwrap(), Some(plain.clone()));
    assert_eq!(store.sign_in_of_certificate(i64::MAX).await.unwrap(), Some(carried.clone()));
    assert_eq!(store.sign_in_of_certificate(1).await.unwrap(), None);
    assert_eq!(store.carried_sign_ins(noon()).await.unwrap(), vec![carried.clone()]);
    assert_eq!(store.carried_sign_ins(noon() + TimeDelta::hours(8)).await.unwrap(), vec![]);

    let mut same_serial = sign_in("chief");
    (same_serial.certificate_serial, same_serial.expires) = (carried.certificate_serial, carried.expires);
    let taken = store.open_sign_in(&same_serial, event(Kind::SignInCarried)).await;
    assert!(matches!(taken, Err(StoreError::Exists { .. })), "{taken:?}");
    let endless = store.open_sign_in(&crate::store::SignIn { expires: None, ..same_serial }, event(Kind::SignIn)).await;
    assert!(matches!(endless, Err(StoreError::Invalid { .. })), "{endless:?}");

    store.revoke_sign_in(carried.id, event(Kind::SignInRevoked)).await.unwrap();
    assert_eq!(store.sign_in_of_certificate(i64::MAX).await.unwrap().unwrap().revoked, Some(noon()));
    let twice = store.revoke_sign_in(carried.id, event(Kind::SignInRevoked)).await;
    assert!(matches!(twice, Err(StoreError::Unknown { .. })), "{twice:?}");
}

pub async fn sign_ins_of_the_console_are_found_by_token_and_last_use(bed: Bed) {
    let store = bed.furnished().await;
    let (first, second) = (sign_in("eng1"), sign_in("chief"));
    store.open_console_sign_in(&first, "hash-1", "Firefox", event(Kind::SignIn)).await.unwrap();
    store.open_console_sign_in(&second, "hash-2", "Safari", event(Kind::SignIn)).await.unwrap();
    let (found, person) = store.console_sign_in("hash-1").await.unwrap().unwrap();
    assert_eq!((found.sign_in.id, person.id.as_str(), found.agent.as_str()), (first.id, "eng1", "Firefox"));
    assert_eq!((found.seen, found.proved_again), (noon(), noon()));
    assert!(store.console_sign_in("hash-3").await.unwrap().is_none());

    let later = noon() + TimeDelta::minutes(20);
    store.saw_console_sign_in(second.id, later).await.unwrap();
    store.saw_console_sign_in(second.id, noon()).await.unwrap();
    let listed = |since| {
        let store = store.clone();
        async move {
            store
                .console_sign_ins(None, since, 10)
                .await
                .unwrap()
                .into_iter()
                .map(|one| one.sign_in.id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(noon()).await, [second.id, first.id]);
    assert_eq!(listed(later).await, [second.id]);
    // Taking a person's factors away ends what stands on them.
    store.reset_factors(&"chief".parse().unwrap(), event(Kind::PersonChange)).await.unwrap();
    assert_eq!(listed(noon()).await, [first.id]);
    assert!(store.console_sign_in("hash-2").await.unwrap().unwrap().0.sign_in.revoked.is_some());
}
