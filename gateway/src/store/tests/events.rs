//! No change without its event, no event without its change, no gap between them.

use super::bed::{Bed, always, device, event, everything, noon, opening, person, sign_in, vendor, work};
use super::passkeys::passkey;
use crate::store::db::args;
use crate::store::{ChannelRecord, Closing, Counts, Credential, Cutting, DeviceRecord, Invitation, Store, StoreError};
use chrono::TimeDelta;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{Attestation, Channel, Lock, LockScope, Person, Status, Vendor};
use sekimori_policy::work::{By, Transition};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::Barrier;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Does an act twice: first where its event cannot be written, then where it can.
async fn both_or_neither<F: Future<Output = Result<(), StoreError>>>(
    store: &Store,
    kind: Kind,
    changes: bool,
    act: impl Fn() -> F,
) {
    let before = everything(store).await;
    let seq = store.last_seq().await.unwrap();
    set_counter(store, 0).await;
    assert!(act().await.is_err(), "{kind:?} was done although its event could not be written");
    set_counter(store, seq).await;
    assert_eq!(everything(store).await, before, "{kind:?} left a change without its event");
    assert_eq!(store.last_seq().await.unwrap(), seq);

    act().await.unwrap_or_else(|fault| panic!("{kind:?}: {fault}"));
    let told = store.events_since(seq, 10).await.unwrap();
    assert_eq!(told.len(), 1, "{kind:?}");
    assert_eq!(told[0].event().unwrap().kind, kind);
    assert_eq!(everything(store).await != before, changes, "{kind:?}");
}

/// With the counter set back, the next event's number is taken already: writing it fails at the very last step.
async fn set_counter(store: &Store, last: i64) {
    let mut tx = store.inner.db.write().await.unwrap();
    tx.run("UPDATE event_counter SET last = $1", args![last]).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn every_change_and_its_event_stand_and_fall_together(bed: Bed) {
    let store = bed.furnished().await;
    people_and_factors(&store).await;
    equipment(&store).await;
    work_and_locks(&store).await;
    sign_ins_and_sessions(&store).await;
}

macro_rules! act {
    ($store:ident, $kind:ident, $method:ident($($arg:expr),*)) => {
        act!($store, $kind, changes: true, $method($($arg),*))
    };
    ($store:ident, $kind:ident, changes: $changes:literal, $method:ident($($arg:expr),*)) => {
        both_or_neither($store, Kind::$kind, $changes, || async {
            $store.$method($($arg,)* event(Kind::$kind)).await.map(drop)
        })
        .await
    };
}

async fn people_and_factors(store: &Store) {
    let (eng1, acme) = ("eng1".parse().unwrap(), "acme".parse().unwrap());
    let suspend = |kind: Kind| {
        let (eng1, acme) = (&eng1, &acme);
        async move {
            let event = event(kind);
            match kind {
                Kind::PersonChange => store
                    .update_person(eng1, event, always(|person: &mut Person| person.status = Status::Suspended))
                    .await
                    .map(drop),
                _ => store
                    .update_vendor(acme, event, always(|vendor: &mut Vendor| vendor.status = Status::Suspended))
                    .await
                    .map(drop),
            }
        }
    };
    act!(store, VendorAdd, add_vendor(&vendor("beta")));
    let invitation = Invitation::new(eng1.clone(), noon(), noon() + TimeDelta::hours(72));
    let (id, until) = (invitation.id, noon() + TimeDelta::hours(1));
    act!(store, InvitationMade, invite(&invitation, "token", Some("token")));
    act!(store, InvitationOpened, open_invitation(id, "page", until, b"a-seed-of-twenty-byt"));
    act!(store, InvitationRefused, enrolment_failed(id, 10));
    act!(store, PersonAdd, add_person(&person("eng2", Some("acme"))));
    both_or_neither(store, Kind::VendorChange, true, || suspend(Kind::VendorChange)).await;
    both_or_neither(store, Kind::PersonChange, true, || suspend(Kind::PersonChange)).await;
    act!(store, PasswordSet, set_password(&eng1, "$argon2id$…"));
    act!(store, TotpEnrol, enrol_totp(&eng1, b"a-seed-of-twenty-byt"));
    act!(store, KeyAdd, add_key(&eng1, "ssh-ed25519 AAAA", "SHA256:abc"));
    act!(store, KeyRemove, remove_key(&eng1, "SHA256:abc"));
    act!(store, PasskeyAdd, add_passkey(&passkey("ab", 0)));
    act!(store, PasskeyRemove, remove_passkey(&eng1, "ab"));
    act!(store, SignInFailed, sign_in_failed(&eng1));
    act!(store, PersonChange, forgive_failures(&eng1));
    act!(store, PersonChange, reset_factors(&eng1));
    act!(store, AccessDenied, changes: false, record());
}

async fn equipment(store: &Store) {
    let ct = "ct-01".parse().unwrap();
    let password = Credential::Password(Zeroizing::new("secret".to_owned()));
    act!(store, DeviceAdd, add_device(&device("mri-01")));
    both_or_neither(store, Kind::DeviceChange, true, || async {
        store
            .update_device(&ct, event(Kind::DeviceChange), always(|record: &mut DeviceRecord| record.port = 2200))
            .await
            .map(drop)
    })
    .await;
    act!(store, DeviceHostKey, pin_host_key(&ct, "ssh-ed25519 AAAA", "SHA256:abc"));
    act!(store, DeviceHostKey, remove_host_key(&ct, "SHA256:abc"));
    act!(store, DeviceCredential, set_credential(&ct, "service", &password));
    act!(store, DeviceCredential, remove_credential(&ct, "service"));
}

async fn work_and_locks(store: &Store) {
    let before = work("w-1");
    let after = before.apply(Transition::Submit, By::Person(&person("eng1", Some("acme"))), noon()).unwrap();
    act!(store, Work, add_work(&work("w-2")));
    act!(store, Work, update_work(&before, &after));
    let (made_at, expires_at) = (noon(), noon() + TimeDelta::days(7));
    let note = String::new();
    let attestation =
        Attestation { person: "eng1".parse().unwrap(), made_at, expires_at, patched: true, scanned: true, note };
    act!(store, Attest, add_attestation(&attestation, &[]));
    let (scope, reason) = (LockScope::Everyone, "不審な通信".to_owned());
    let lock = Lock { scope, from: noon(), until: None, reason, except: None };
    act!(store, LockSet, set_lock(&lock));
    let id = store.locks().await.unwrap()[0].id;
    act!(store, LockLift, lift_lock(id));
}

async fn sign_ins_and_sessions(store: &Store) {
    let here = sign_in("eng1");
    act!(store, SignIn, open_console_sign_in(&here, "a hash", "a browser"));
    let later = |kind| Event { at: noon() + TimeDelta::minutes(5), ..event(kind) };
    both_or_neither(store, Kind::SignInAgain, true, || async {
        store.prove_console_sign_in_again(here.id, later(Kind::SignInAgain)).await
    })
    .await;
    let mut carried = sign_in("eng1");
    (carried.certificate_serial, carried.expires) = (Some(7), Some(noon() + TimeDelta::hours(8)));
    act!(store, SignInCarried, open_sign_in(&carried));
    let opening = opening(&carried, "gate");
    let id = opening.id;
    act!(store, SessionOpen, open_session(&opening));
    act!(store, SignInRevoked, revoke_sign_in(carried.id));
    let detail = serde_json::Value::Null;
    let channel = ChannelRecord { number: 1, channel: Channel::Shell, opened: noon(), detail };
    act!(store, SessionChannel, add_channel(id, &channel));
    act!(store, SessionTransfer, add_transfer(id, &serde_json::json!({ "path": "/tmp/x" })));
    act!(store, SessionMessage, changes: false, tell_session(id));
    act!(store, SessionPaused, pause_session(id, "確認のため"));
    act!(store, SessionResumed, resume_session(id));
    act!(store, SessionCut, ask_cut(&Cutting::Session(id), "確認のため"));
    let closing = Closing { at: noon(), code: "cut".into(), reason: "遮断".into(), counts: Counts::default() };
    act!(store, SessionClose, close_session(id, &closing));
}

pub async fn a_refused_change_leaves_no_event(bed: Bed) {
    let store = bed.furnished().await;
    let before = everything(&store).await;
    let (nobody, nothing) = ("nobody".parse().unwrap(), "nothing".parse().unwrap());
    let unknown: Vec<Result<(), StoreError>> = vec![
        store.set_password(&nobody, "x", event(Kind::PasswordSet)).await,
        store.enrol_totp(&nobody, b"a-seed-of-twenty-byt", event(Kind::TotpEnrol)).await,
        store.add_key(&nobody, "x", "SHA256:x", event(Kind::KeyAdd)).await,
        store.remove_key(&"eng1".parse().unwrap(), "SHA256:x", event(Kind::KeyRemove)).await,
        store.reset_factors(&nobody, event(Kind::PersonChange)).await,
        store.forgive_failures(&nobody, event(Kind::PersonChange)).await,
        store.update_person(&nobody, event(Kind::PersonChange), always(|_| ())).await.map(drop),
        store.update_vendor(&"nil".parse().unwrap(), event(Kind::VendorChange), always(|_| ())).await.map(drop),
        store.update_device(&nothing, event(Kind::DeviceChange), always(|_| ())).await.map(drop),
        store.pin_host_key(&nothing, "x", "SHA256:x", event(Kind::DeviceHostKey)).await,
        store.remove_host_key(&nothing, "SHA256:x", event(Kind::DeviceHostKey)).await,
        store.set_credential(&nothing, "a", &Credential::Certificate, event(Kind::DeviceCredential)).await,
        store
            .set_credential(&"ct-01".parse().unwrap(), "ghost", &Credential::Certificate, event(Kind::DeviceCredential))
            .await,
        store.remove_credential(&nothing, "a", event(Kind::DeviceCredential)).await,
        store.update_work(&work("w-9"), &work("w-9"), event(Kind::Work)).await,
        store.lift_lock(Uuid::now_v7(), event(Kind::LockLift)).await,
        store.open_sign_in(&sign_in("nobody"), event(Kind::SignIn)).await,
        store.revoke_sign_in(Uuid::now_v7(), event(Kind::SignInRevoked)).await,
        store.add_transfer(Uuid::now_v7(), &"x", event(Kind::SessionTransfer)).await,
        store.tell_session(Uuid::now_v7(), event(Kind::SessionMessage)).await,
        store.pause_session(Uuid::now_v7(), "x", event(Kind::SessionPaused)).await,
        store.resume_session(Uuid::now_v7(), event(Kind::SessionResumed)).await,
    ];
    for (number, answer) in unknown.into_iter().enumerate() {
        assert!(matches!(answer, Err(StoreError::Unknown { .. })), "number {number}: {answer:?}");
    }
    let taken = [
        store.add_vendor(&vendor("acme"), event(Kind::VendorAdd)).await,
        store.add_person(&person("eng1", None), event(Kind::PersonAdd)).await,
        store.add_device(&device("ct-01"), event(Kind::DeviceAdd)).await,
        store.add_work(&work("w-1"), event(Kind::Work)).await,
    ];
    for answer in taken {
        assert!(matches!(answer, Err(StoreError::Exists { .. })), "{answer:?}");
    }
    assert_eq!(everything(&store).await, before);
    assert_eq!(store.last_seq().await.unwrap(), 6);
}

pub async fn numbers_have_no_gaps_under_twenty_writers(bed: Bed) {
    const EACH: i64 = 10;
    let first = bed.create().await;
    let mut stores = vec![first.clone()];
    for _ in 0..3 {
        stores.push(bed.open().await.unwrap());
    }
    let start = Arc::new(Barrier::new(20));
    let writers: Vec<_> = (0..20_usize)
        .map(|number| {
            let (store, start) = (stores[number % 4].clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                for round in 0..EACH {
                    store.add_vendor(&vendor(&format!("v{number}-{round}")), event(Kind::VendorAdd)).await.unwrap();
                    // One that fails in between must not use a number up.
                    let again = store.add_vendor(&vendor(&format!("v{number}-0")), event(Kind::VendorAdd)).await;
                    assert!(matches!(again, Err(StoreError::Exists { .. })));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let events = first.events_since(0, 1000).await.unwrap();
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=1 + 20 * EACH).collect::<Vec<_>>());
    assert_eq!(first.last_seq().await.unwrap(), 1 + 20 * EACH);
    let salts: BTreeSet<&Vec<u8>> = events.iter().map(|event| &event.salt).collect();
    assert_eq!(salts.len(), events.len());
    assert!(salts.iter().all(|salt| salt.len() == 16));
}

pub async fn bodies_are_kept_as_they_were_written(bed: Bed) {
    let store = bed.create().await;
    let mut told = event(Kind::AccessDenied);
    told.person = Some("eng1".parse().unwrap());
    told.session = Some(Uuid::now_v7());
    told.source = Some("203.0.113.7".parse().unwrap());
    told.detail = serde_json::json!({ "b": "作業時間外 \u{0}\u{1F6E1} \\ \"", "a": [1, null, 2.5] });
    let seq = store.record(told.clone()).await.unwrap();
    assert_eq!(seq, 2);
    let stored = store.events_since(1, 10).await.unwrap();
    assert_eq!(stored[0].body, serde_json::to_string(&told).unwrap());
    assert_eq!(stored[0].event().unwrap(), told);
    assert_eq!(store.events_of_session(told.session.unwrap()).await.unwrap(), stored);
    assert_eq!(store.events_since(0, 1).await.unwrap()[0].seq, 1);
    assert_eq!(store.events_since(2, 10).await.unwrap(), vec![]);
}

/// Nobody knows whether a try came through that the database did not answer.
pub async fn what_may_be_told_already_is_told_once(bed: Bed) {
    let store = bed.create().await;
    let session = Uuid::now_v7();
    let piece = |number: u32| {
        let detail = serde_json::json!({ "name": format!("00001.cast.{number:06}.zst.age"), "size": 1_u64 << 40 });
        Event { session: Some(session), detail, ..event(Kind::RecordingSegment) }
    };
    store.record_all(&[piece(1), piece(2)]).await.unwrap();
    let before = store.last_seq().await.unwrap();
    // Later, and by another process: they are the same all the same.
    let again = [1, 2].map(|number| Event { at: noon() + TimeDelta::seconds(9), ..piece(number) });
    store.record_missing(session, &again).await.unwrap();
    assert_eq!(store.last_seq().await.unwrap(), before);
    let sealed = Event { kind: Kind::RecordingSealed, ..piece(1) };
    store.record_missing(session, &[piece(2), piece(3), piece(1), sealed]).await.unwrap();
    let told = store.events_of_session(session).await.unwrap();
    let told: Vec<_> = told.iter().map(|told| told.event().unwrap()).map(|told| (told.kind, told.detail)).collect();
    let expected = [piece(1), piece(2), piece(3)].map(|piece| (Kind::RecordingSegment, piece.detail));
    assert_eq!(told, [&expected[..], &[(Kind::RecordingSealed, piece(1).detail)]].concat());
    // What another session was told of is not this one's.
    let other = Uuid::now_v7();
    store.record_missing(other, &[Event { session: Some(other), ..piece(1) }]).await.unwrap();
    assert_eq!(store.events_of_session(other).await.unwrap().len(), 1);
}
