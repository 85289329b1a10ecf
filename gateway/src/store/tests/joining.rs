//! Invitations, enrolment, recovery codes.

use super::bed::{Bed, always, event, everything, noon, sign_in};
use crate::store::{Ending, Enrolling, Invitation, Store, StoreError};
use chrono::TimeDelta;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{Person, Status};
use std::sync::Arc;
use tokio::sync::Barrier;

const SEED: &[u8] = b"a-seed-of-twenty-byt";

fn invitation() -> Invitation {
    Invitation::new("eng1".parse().unwrap(), noon(), noon() + TimeDelta::hours(72))
}

fn brought() -> Enrolling {
    let key = Some(("ssh-ed25519 AAAA".to_owned(), "SHA256:abc".to_owned()));
    Enrolling { password_hash: "$argon2id$new".to_owned(), step: 100, key, recovery: vec![[1; 32], [2; 32]] }
}

/// Invited, and the page opened.
async fn opened(store: &Store, token: &str, page: &str) -> Invitation {
    let invitation = invitation();
    store.invite(&invitation, token, None, event(Kind::InvitationMade)).await.unwrap();
    let until = noon() + TimeDelta::hours(1);
    store.open_invitation(invitation.id, page, until, SEED, event(Kind::InvitationOpened)).await.unwrap();
    store.invitation_of_page(page).await.unwrap().unwrap()
}

async fn how(store: &Store, token: &str, hours: i64) -> Option<Ending> {
    store.invitation_of_token(token).await.unwrap().unwrap().ending(noon() + TimeDelta::hours(hours))
}

pub async fn an_invitation_counts_until_it_ends(bed: Bed) {
    let store = bed.furnished().await;
    let eng1 = "eng1".parse().unwrap();
    let first = opened(&store, "t1", "p1").await;
    assert_eq!(*store.invitation_seed(first.id).await.unwrap(), SEED);
    assert_eq!((how(&store, "t1", 71).await, how(&store, "t1", 72).await), (None, Some(Ending::Expired)));
    assert!(store.invitation_of_token("t2").await.unwrap().is_none());

    let second = opened(&store, "t2", "p2").await;
    assert_eq!((how(&store, "t1", 0).await, how(&store, "t2", 0).await), (Some(Ending::Replaced), None));
    assert!(store.invitation_seed(first.id).await.is_err(), "the seed of an ended one is kept");
    let late = Event { at: noon() + TimeDelta::hours(72), ..event(Kind::InvitationOpened) };
    for (id, event) in [(first.id, event(Kind::InvitationOpened)), (second.id, late)] {
        let opened = store.open_invitation(id, "p3", noon(), SEED, event).await;
        assert!(matches!(opened, Err(StoreError::Conflict { .. })), "{opened:?}");
    }

    for number in 1..=3 {
        store.enrolment_failed(second.id, 3, event(Kind::InvitationRefused)).await.unwrap();
        assert_eq!(how(&store, "t2", 0).await, (number == 3).then_some(Ending::Failed));
    }
    opened(&store, "t3", "p3").await;
    let switch = |status| {
        let edit = always(move |person: &mut Person| person.status = status);
        store.update_person(&eng1, event(Kind::PersonChange), edit)
    };
    switch(Status::Suspended).await.unwrap();
    let invited = store.invite(&invitation(), "t4", None, event(Kind::InvitationMade)).await;
    assert!(matches!(invited, Err(StoreError::Invalid { .. })), "{invited:?}");
    switch(Status::Active).await.unwrap();
    assert_eq!(how(&store, "t3", 0).await, Some(Ending::TakenBack));
}

pub async fn enrolling_is_whole_or_not_at_all(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, chief) = ("eng1".parse().unwrap(), "chief".parse().unwrap());
    store.set_password(&eng1, "$argon2id$old", event(Kind::PasswordSet)).await.unwrap();
    store.add_key(&eng1, "ssh-ed25519 BBBB", "SHA256:old", event(Kind::KeyAdd)).await.unwrap();
    store.add_key(&chief, "ssh-ed25519 AAAA", "SHA256:abc", event(Kind::KeyAdd)).await.unwrap();
    let before = sign_in("eng1");
    store.open_sign_in(&before, event(Kind::SignIn)).await.unwrap();
    let invitation = opened(&store, "t1", "p1").await;
    let all = everything(&store).await;
    let enrol = |page: &'static str, event: Event| {
        let (store, invitation) = (store.clone(), invitation.clone());
        async move { store.enrol(&invitation, page, &brought(), event).await }
    };
    // The last thing that is written, the key, is somebody else's.
    let taken = enrol("p1", event(Kind::InvitationUsed)).await;
    assert!(matches!(taken, Err(StoreError::Exists { .. })), "{taken:?}");
    let other = enrol("p2", event(Kind::InvitationUsed)).await;
    assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
    let late = Event { at: noon() + TimeDelta::hours(1), ..event(Kind::InvitationUsed) };
    assert!(matches!(enrol("p1", late).await, Err(StoreError::Conflict { .. })), "its page is over");
    assert_eq!(everything(&store).await, all, "half enrolled");

    store.remove_key(&chief, "SHA256:abc", event(Kind::KeyRemove)).await.unwrap();
    let seq = store.last_seq().await.unwrap();
    enrol("p1", event(Kind::InvitationUsed)).await.unwrap();
    let told = store.events_since(seq, 10).await.unwrap();
    let kinds: Vec<_> = told.iter().map(|told| told.event().unwrap().kind).collect();
    use Kind::{InvitationUsed, KeyAdd, PasswordSet, RecoveryCodes, TotpEnrol};
    assert_eq!(kinds, [PasswordSet, TotpEnrol, KeyAdd, RecoveryCodes, InvitationUsed]);
    assert_eq!(store.password_hash(&eng1).await.unwrap().as_deref(), Some("$argon2id$new"));
    assert_eq!(*store.totp_seed(&eng1).await.unwrap().unwrap(), SEED);
    assert!(!store.spend_totp_step(&eng1, 100).await.unwrap(), "the code that confirmed it counts again");
    let keys: Vec<_> = store.keys(&eng1).await.unwrap().into_iter().map(|key| key.fingerprint).collect();
    assert_eq!(keys, ["SHA256:abc"]);
    assert!(store.sign_in(before.id).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(how(&store, "t1", 0).await, Some(Ending::Used));
    assert!(matches!(enrol("p1", event(Kind::InvitationUsed)).await, Err(StoreError::Unknown { .. })), "twice");
}

pub async fn one_of_many_who_enrol_at_once_is_enrolled(bed: Bed) {
    let store = bed.furnished().await;
    let invitation = opened(&store, "t1", "p1").await;
    let start = Arc::new(Barrier::new(10));
    let mut enrolling = Vec::new();
    for number in 0..10 {
        let (store, start, invitation) = (bed.open().await.unwrap(), Arc::clone(&start), invitation.clone());
        enrolling.push(tokio::spawn(async move {
            let brought = Enrolling { password_hash: format!("$argon2id${number}"), key: None, ..brought() };
            start.wait().await;
            store.enrol(&invitation, "p1", &brought, event(Kind::InvitationUsed)).await.is_ok()
        }));
    }
    let mut enrolled = 0;
    for one in enrolling {
        enrolled += usize::from(one.await.unwrap());
    }
    assert_eq!(enrolled, 1);
}

pub async fn a_recovery_code_is_spent_exactly_once(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, chief) = ("eng1".parse().unwrap(), "chief".parse().unwrap());
    let invitation = opened(&store, "t1", "p1").await;
    store.enrol(&invitation, "p1", &brought(), event(Kind::InvitationUsed)).await.unwrap();
    assert_eq!(store.recovery_codes(&eng1).await.unwrap().left, 2);
    let seq = store.last_seq().await.unwrap();
    let spent = Kind::RecoveryCodeSpent;
    assert!(!store.spend_recovery_code(&eng1, &[3; 32], event(spent)).await.unwrap());
    assert!(!store.spend_recovery_code(&chief, &[1; 32], event(spent)).await.unwrap(), "somebody else's");
    assert_eq!(store.last_seq().await.unwrap(), seq, "nothing was spent, and an event tells of it");
    let start = Arc::new(Barrier::new(20));
    let mut spenders = Vec::new();
    for _ in 0..20 {
        let (store, start) = (bed.open().await.unwrap(), Arc::clone(&start));
        spenders.push(tokio::spawn(async move {
            start.wait().await;
            store.spend_recovery_code(&"eng1".parse().unwrap(), &[1; 32], event(Kind::RecoveryCodeSpent)).await.unwrap()
        }));
    }
    let mut count = 0;
    for spender in spenders {
        count += usize::from(spender.await.unwrap());
    }
    assert_eq!((count, store.last_seq().await.unwrap()), (1, seq + 1));
    let left = store.recovery_codes(&eng1).await.unwrap();
    assert_eq!((left.left, left.last_spent), (1, Some(noon())));
    // A reset takes the rest.
    store.reset_factors(&eng1, event(Kind::PersonChange)).await.unwrap();
    assert!(!store.spend_recovery_code(&eng1, &[2; 32], event(spent)).await.unwrap());
}
