//! The life of a session in the store.

use super::bed::{Bed, device, event, noon, opening, person, sign_in};
use crate::store::{ChannelRecord, Closing, Counts, Cutting, Opening, SessionFilter, Store, StoreError};
use chrono::TimeDelta;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::ledger::SessionFact;
use sekimori_policy::facts::{Attestation, Channel, HospitalRole, Period, Person};
use sekimori_policy::work::{By, Transition};
use serde_json::{Value, json};
use uuid::Uuid;

/// Opens a session that differs from the usual one as `edit` says.
async fn opened(store: &Store, instance: &str, edit: impl FnOnce(&mut Opening)) -> Opening {
    let sign_in = sign_in("eng1");
    store.open_sign_in(&sign_in, event(Kind::SignIn)).await.unwrap();
    let mut opening = opening(&sign_in, instance);
    edit(&mut opening);
    store.open_session(&opening, event(Kind::SessionOpen)).await.unwrap();
    opening
}

fn closing() -> Closing {
    let counts = Counts { to_device_bytes: u64::MAX, from_device_bytes: 5, channels: 2, transfers: 1 };
    Closing { at: noon() + TimeDelta::minutes(5), code: "left".into(), reason: "退出しました".into(), counts }
}

pub async fn a_session_is_opened_cut_and_closed(bed: Bed) {
    let store = bed.furnished().await;
    let first = opened(&store, "gate", |_| ()).await;
    let second = opened(&store, "gate", |_| ()).await;
    let row = store.session(&first.id.to_string()).await.unwrap();
    assert_eq!((row.opening, row.cut, row.closing), (first.clone(), None, None));
    assert_eq!(store.cut_requests("gate").await.unwrap(), vec![]);

    let seq = store.last_seq().await.unwrap();
    let act = Event::new(noon(), Kind::SessionCut, Actor::person("chief".parse().unwrap()));
    let eng1 = Cutting::Person("eng1".parse().unwrap());
    let cut = store.ask_cut(&eng1, "確認のため", act.clone()).await.unwrap();
    assert_eq!(cut, vec![first.id, second.id]);
    let told = store.events_since(seq, 10).await.unwrap();
    let named: Vec<_> = told.iter().map(|stored| stored.event().unwrap().session).collect();
    assert_eq!(named, vec![Some(first.id), Some(second.id)]);

    let requests = store.cut_requests("gate").await.unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].1.by.as_str(), requests[0].1.reason.as_str()), ("chief", "確認のため"));
    assert_eq!(store.cut_requests("other").await.unwrap(), vec![]);
    store.ask_cut(&Cutting::Session(first.id), "二度目", act.clone()).await.unwrap();
    assert_eq!(store.cut_requests("gate").await.unwrap()[0].1.reason, "確認のため", "the first reason stays");

    store.pause_session(second.id, "確認のため", act.clone()).await.unwrap();
    let paused = store.pauses("gate").await.unwrap();
    assert_eq!((paused.len(), paused[0].0, paused[0].1.reason.as_str()), (1, second.id, "確認のため"));
    let twice = store.pause_session(second.id, "二度目", act.clone()).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    store.resume_session(second.id, act.clone()).await.unwrap();
    let twice = store.resume_session(second.id, act.clone()).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    assert_eq!(store.pauses("gate").await.unwrap(), vec![]);

    store.close_session(first.id, &closing(), event(Kind::SessionClose)).await.unwrap();
    let row = store.session(&first.id.to_string()).await.unwrap();
    assert_eq!(row.closing, Some(closing()));
    let twice = store.close_session(first.id, &closing(), event(Kind::SessionClose)).await;
    assert!(matches!(twice, Err(StoreError::Unknown { .. })), "{twice:?}");
    assert_eq!(store.cut_requests("gate").await.unwrap().len(), 1);

    // Where none lives the act is still told.
    let seq = store.last_seq().await.unwrap();
    assert_eq!(store.ask_cut(&Cutting::Session(first.id), "", act).await.unwrap(), Vec::<Uuid>::new());
    assert_eq!(store.events_since(seq, 10).await.unwrap()[0].event().unwrap().session, None);
}

pub async fn a_session_needs_what_it_stands_on(bed: Bed) {
    let store = bed.furnished().await;
    let sign_in = sign_in("eng1");
    let seq = store.last_seq().await.unwrap();
    let without = store.open_session(&opening(&sign_in, "gate"), event(Kind::SessionOpen)).await;
    assert!(matches!(without, Err(StoreError::Database(_))), "{without:?}");
    assert_eq!(store.last_seq().await.unwrap(), seq);
    let nowhere = Uuid::now_v7();
    let channel = ChannelRecord { number: 1, channel: Channel::Exec, opened: noon(), detail: Value::Null };
    let added = store.add_channel(nowhere, &channel, event(Kind::SessionChannel)).await;
    assert!(matches!(added, Err(StoreError::Unknown { .. })), "{added:?}");
    let closed = store.close_session(nowhere, &closing(), event(Kind::SessionClose)).await;
    assert!(matches!(closed, Err(StoreError::Unknown { .. })), "{closed:?}");
}

pub async fn sessions_are_listed_by_what_is_asked(bed: Bed) {
    let store = bed.furnished().await;
    store.add_person(&person("eng2", Some("acme")), event(Kind::PersonAdd)).await.unwrap();
    store.add_device(&device("mri-01"), event(Kind::DeviceAdd)).await.unwrap();
    let old = opened(&store, "gate", |opening| opening.opened = noon() - TimeDelta::days(1)).await.id;
    let mri = opened(&store, "gate", |opening| opening.device = "mri-01".parse().unwrap()).await.id;
    let eng2 = opened(&store, "gate", |opening| {
        opening.person = "eng2".parse().unwrap();
        opening.opened = noon() + TimeDelta::seconds(1);
    })
    .await
    .id;
    store.close_session(mri, &closing(), event(Kind::SessionClose)).await.unwrap();
    let all = SessionFilter::default();
    for (filter, expected) in [
        (all.clone(), vec![eng2, mri, old]),
        (SessionFilter { live: true, ..all.clone() }, vec![eng2, old]),
        (SessionFilter { person: Some("eng1".parse().unwrap()), ..all.clone() }, vec![mri, old]),
        (SessionFilter { device: Some("mri-01".parse().unwrap()), ..all.clone() }, vec![mri]),
        (SessionFilter { vendor: Some("beta".parse().unwrap()), ..all.clone() }, vec![]),
        (SessionFilter { since: Some(noon()), ..all.clone() }, vec![eng2, mri]),
        (SessionFilter { limit: Some(1), ..all.clone() }, vec![eng2]),
    ] {
        let found: Vec<Uuid> = store.sessions(&filter).await.unwrap().iter().map(|row| row.opening.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub async fn a_session_is_named_by_the_beginning_of_its_id(bed: Bed) {
    let store = bed.furnished().await;
    let id = |text: &str| Uuid::parse_str(text).unwrap();
    let one = id("0197a000-0000-7000-8000-000000000001");
    let two = id("0197a000-0000-7000-8000-0000000000a2");
    for id in [one, two] {
        opened(&store, "gate", |opening| opening.id = id).await;
    }
    for text in ["0197a000-0000-7000-8000-0000000000a", "0197A000-0000-7000-8000-0000000000A2"] {
        assert_eq!(store.session(text).await.unwrap().opening.id, two, "{text}");
    }
    for text in ["0197", "", "%", "0197_", "セッション"] {
        assert!(matches!(store.session(text).await, Err(StoreError::Ambiguous { .. })), "{text}");
    }
    assert!(matches!(store.session("f").await, Err(StoreError::Unknown { .. })));
}

pub async fn what_a_crash_left_open_is_found(bed: Bed) {
    let store = bed.furnished().await;
    let mine = opened(&store, "gate-a", |_| ()).await.id;
    let closed = opened(&store, "gate-a", |_| ()).await.id;
    opened(&store, "gate-b", |_| ()).await;
    store.close_session(closed, &closing(), event(Kind::SessionClose)).await.unwrap();
    let left = bed.open().await.unwrap().sessions_left_open_by("gate-a").await.unwrap();
    assert_eq!(left.iter().map(|row| row.opening.id).collect::<Vec<_>>(), [mine]);
}

pub async fn channels_and_transfers_are_kept_in_order(bed: Bed) {
    let store = bed.furnished().await;
    let id = opened(&store, "gate", |_| ()).await.id;
    let channel = |number, channel| ChannelRecord { number, channel, opened: noon(), detail: json!({ "列": number }) };
    for record in [channel(2, Channel::Forward(3389)), channel(1, Channel::Shell)] {
        store.add_channel(id, &record, event(Kind::SessionChannel)).await.unwrap();
    }
    let again = store.add_channel(id, &channel(1, Channel::Exec), event(Kind::SessionChannel)).await;
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
    let expected = [channel(1, Channel::Shell), channel(2, Channel::Forward(3389))];
    assert_eq!(store.channels(id).await.unwrap(), expected);
    for number in 0..12 {
        store.add_transfer(id, &json!({ "n": number }), event(Kind::SessionTransfer)).await.unwrap();
    }
    let transfers: Vec<Value> = store.transfers(id).await.unwrap();
    assert_eq!(transfers, (0..12).map(|number| json!({ "n": number })).collect::<Vec<_>>());
}

pub async fn the_ledger_is_fed(bed: Bed) {
    let store = bed.furnished().await;
    let (eng1, chief) = (person("eng1", Some("acme")), approver());
    // The window of `w-1`: 20:00 to 23:00 in Tokyo is 11:00 to 14:00 UTC.
    let mut work = store.work(&"w-1".parse().unwrap()).await.unwrap().unwrap();
    let report = Transition::Report { text: "点検した".into(), personal_data: None, files: Vec::new() };
    let steps = [
        (Transition::Submit, &eng1),
        (Transition::Approve { attendance: false }, &chief),
        (Transition::Begin, &eng1),
        (report, &eng1),
        (Transition::Confirm { comment: "計画のとおり".into() }, &chief),
    ];
    for (seen, valid_days) in [(false, 1), (true, 7)] {
        let attestation = Attestation {
            person: eng1.id.clone(),
            made_at: noon() - TimeDelta::hours(1),
            expires_at: noon() + TimeDelta::days(valid_days),
            patched: seen,
            scanned: true,
            note: String::new(),
        };
        store.add_attestation(&attestation, &[], event(Kind::Attest)).await.unwrap();
    }
    let session = opened(&store, "gate", |_| ()).await;
    store.close_session(session.id, &closing(), event(Kind::SessionClose)).await.unwrap();
    opened(&store, "gate", |opening| opening.opened = noon() - TimeDelta::days(30)).await;
    for (step, by) in steps {
        assert!(!store.session_facts().await.unwrap()[0].reviewed, "before {step:?}");
        let next = work.apply(step, By::Person(by), noon()).unwrap();
        store.update_work(&work, &next, event(Kind::Work)).await.unwrap();
        work = next;
    }
    let facts = store.session_facts().await.unwrap();
    let expected = SessionFact {
        device: session.device,
        person: session.person,
        vendor: Some(session.vendor),
        account: session.account,
        shared: true,
        source: session.source.address(),
        opened: noon(),
        closed: Some(closing().at),
        factors: session.methods,
        work: session.work,
        reviewed: true,
        attestation: Some(Period { from: noon() - TimeDelta::hours(1), until: noon() + TimeDelta::days(7) }),
    };
    assert_eq!(facts[0], expected);
    let other = SessionFact {
        opened: noon() - TimeDelta::days(30),
        closed: None,
        reviewed: false,
        attestation: None,
        ..expected
    };
    assert_eq!(facts[1], other);
}

fn approver() -> Person {
    let mut chief = person("chief", None);
    chief.roles.insert(HospitalRole::Approver);
    chief
}
