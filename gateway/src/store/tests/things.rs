//! Devices, pieces of work and locks.

use super::bed::{Bed, always, device, event, noon, person, work, work_naming};
use crate::config::Database;
use crate::store::credentials::CredentialListing;
use crate::store::db::{Row, args};
use crate::store::{Credential, DeviceRecord, Legacy, NewEvidence, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Tokyo;
use sekimori_audit::event::Kind;
use sekimori_policy::facts::{Attestation, HospitalRole, Lock, LockScope, Person};
use sekimori_policy::id::WorkId;
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Request, Transition, Work};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

pub async fn devices_are_kept_with_their_keys_and_credentials(bed: Bed) {
    let store = bed.furnished().await;
    let ct = "ct-01".parse().unwrap();
    assert_eq!(store.device(&ct).await.unwrap(), Some(device("ct-01")));
    assert_eq!(store.devices().await.unwrap(), vec![device("ct-01")]);
    let legacy = BTreeSet::from([Legacy::Group1]);
    let edit = |record: &mut DeviceRecord| record.dialect.legacy.clone_from(&legacy);
    store.update_device(&ct, event(Kind::DeviceChange), always(edit)).await.unwrap();
    assert_eq!(store.device(&ct).await.unwrap().unwrap().dialect.legacy, legacy);
    let pin = || store.pin_host_key(&ct, "ssh-ed25519 AAAA", "SHA256:abc", event(Kind::DeviceHostKey));
    pin().await.unwrap();
    assert!(matches!(pin().await, Err(StoreError::Exists { .. })));
    let keys = store.host_keys(&ct).await.unwrap();
    assert_eq!((keys[0].fingerprint.as_str(), keys[0].pinned), ("SHA256:abc", noon()));

    let text = |text: &str| Zeroizing::new(text.to_owned());
    for credential in [
        Credential::Password(text("パスワード")),
        Credential::PrivateKey(text("-----BEGIN OPENSSH PRIVATE KEY-----")),
        Credential::Certificate,
    ] {
        store.set_credential(&ct, "service", &credential, event(Kind::DeviceCredential)).await.unwrap();
        assert_eq!(store.credential(&ct, "service").await.unwrap(), Some(credential));
    }
    let listing = CredentialListing { account: "service".into(), kind: "certificate".into() };
    assert_eq!(store.credentials(&ct).await.unwrap(), vec![listing]);
    assert_eq!(store.credential(&ct, "root").await.unwrap(), None);
}

pub async fn evidence_is_kept_sealed_with_its_attestation(bed: Bed) {
    let store = bed.furnished().await;
    let file = |name: &str, bytes: &[u8]| NewEvidence {
        name: name.to_owned(),
        format: "text",
        sha256: "00".repeat(32),
        bytes: bytes.to_vec().into(),
    };
    let attestation = Attestation {
        person: "eng1".parse().unwrap(),
        made_at: noon(),
        expires_at: noon() + TimeDelta::days(1),
        patched: true,
        scanned: true,
        note: String::new(),
    };
    let scan = "検査の結果: 検出なし".as_bytes();
    let files = [file("走査.txt", scan), file("b.txt", b"two")];
    store.add_attestation(&attestation, &files, event(Kind::Attest)).await.unwrap();
    let kept = store.evidence_of(&attestation.person, noon()).await.unwrap();
    let names: Vec<_> = kept.iter().map(|one| (one.name.as_str(), one.size)).collect();
    assert_eq!(names, [("走査.txt", scan.len() as u64), ("b.txt", 3)]);
    let (told, bytes) = store.evidence(kept[0].id).await.unwrap().unwrap();
    assert_eq!((&told, bytes.as_slice()), (&kept[0], scan));
    assert_eq!(store.evidence_since(&attestation.person, noon()).await.unwrap(), scan.len() as u64 + 3);
    let later = noon() + TimeDelta::microseconds(1);
    assert_eq!(store.evidence_since(&attestation.person, later).await.unwrap(), 0);
    assert_eq!(store.evidence_of(&attestation.person, later).await.unwrap(), vec![]);
    let mut tx = store.inner.db.write().await.unwrap();
    let sealed = |rows: Vec<Row>| rows.iter().map(|row| row.bytes("sealed").unwrap()).collect::<Vec<_>>();
    let before = sealed(tx.rows("SELECT sealed FROM evidence ORDER BY id", args![]).await.unwrap());
    assert!(before.iter().all(|sealed| !sealed.windows(6).any(|part| scan.starts_with(part))));
    let sql = "UPDATE evidence SET sealed = $1 WHERE id = $2";
    tx.run(sql, args![before[1].clone(), kept[0].id]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(store.evidence(kept[0].id).await, Err(StoreError::Sealed { .. })), "another row's was opened");
}

pub async fn faults_of_devices_are_refused(bed: Bed) {
    let store = bed.furnished().await;
    for (host, port) in [("", 22), ("-oProxyCommand=x", 22), ("10.0.0.5 ", 22), ("ct;01", 22), ("10.0.0.5", 0)] {
        let mut record = device("mri-01");
        (record.host, record.port) = (host.to_owned(), port);
        let added = store.add_device(&record, event(Kind::DeviceAdd)).await;
        assert!(matches!(added, Err(StoreError::Invalid { .. })), "{host:?} {port}: {added:?}");
    }
    for host in ["10.0.0.5", "fd00::5", "fe80::1%eth0", "ct-01.hospital_net"] {
        let edit = |record: &mut DeviceRecord| record.host = host.to_owned();
        store.update_device(&"ct-01".parse().unwrap(), event(Kind::DeviceChange), always(edit)).await.unwrap();
    }
}

pub async fn work_that_was_changed_meanwhile_is_not_overwritten(bed: Bed) {
    let store = bed.furnished().await;
    let id = "w-1".parse().unwrap();
    let eng1 = person("eng1", Some("acme"));
    let read = store.work(&id).await.unwrap().unwrap();
    assert_eq!(read, work("w-1"));
    let submitted = read.apply(Transition::Submit, By::Person(&eng1), noon()).unwrap();
    let withdrawn = read.apply(Transition::Withdraw, By::Person(&eng1), noon()).unwrap();
    store.update_work(&read, &submitted, event(Kind::Work)).await.unwrap();
    let late = store.update_work(&read, &withdrawn, event(Kind::Work)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert_eq!(store.work(&id).await.unwrap(), Some(submitted.clone()));
    assert_eq!(store.works().await.unwrap(), vec![submitted.clone()]);
    assert_eq!(store.works_of_vendor(&"acme".parse().unwrap()).await.unwrap(), vec![submitted]);
    assert_eq!(store.works_of_vendor(&"beta".parse().unwrap()).await.unwrap(), vec![]);
}

pub async fn work_that_many_begin_at_once_begins_once(bed: Bed) {
    let store = bed.furnished().await;
    let id: WorkId = "w-1".parse().unwrap();
    let before = store.last_seq().await.unwrap();
    let submit = |work: &Work| match work.apply(Transition::Submit, By::Person(&person("eng1", Some("acme"))), noon()) {
        Ok(after) => Ok::<_, ()>(after),
        Err(_) => Ok(work.clone()),
    };
    let all = (0..20).map(|_| store.transit_work(&id, event(Kind::Work), submit));
    for transited in futures_util::future::join_all(all).await {
        assert_eq!(transited.unwrap(), Some(Ok(())));
    }
    assert_eq!(store.last_seq().await.unwrap(), before + 1);
    let refused = store.transit_work(&id, event(Kind::Work), |_| Err::<Work, _>("no")).await.unwrap();
    assert_eq!(refused, Some(Err("no")));
    let gone = store.transit_work(&"w-9".parse().unwrap(), event(Kind::Work), submit).await.unwrap();
    assert_eq!(gone, None);
}

pub async fn work_names_only_what_is_there(bed: Bed) {
    let store = bed.furnished().await;
    for (vendor, engineer, device, what) in [
        ("ghost", "eng1", "ct-01", "vendor"),
        ("acme", "ghost", "ct-01", "person"),
        ("acme", "eng1", "ghost", "device"),
    ] {
        let added = store.add_work(&work_naming("w-2", vendor, engineer, device), event(Kind::Work)).await;
        assert!(matches!(added, Err(StoreError::Unknown { what: said, .. }) if said == what), "{what}: {added:?}");
    }
}

/// The migration fills the columns for works that earlier versions wrote.
pub async fn what_lists_are_narrowed_by_is_found_by_the_migration_as_well(bed: Bed) {
    let store = bed.furnished().await;
    let (engineer, mut chief) = (person("eng1", Some("acme")), person("chief", None));
    chief.roles.insert(HospitalRole::Approver);
    let (open, words) = (noon() + TimeDelta::minutes(30), || "x".to_owned());
    let emergency = Transition::OpenEmergency { reason: words(), deadline: noon() + TimeDelta::days(1) };
    let lives: [(&str, Vec<(Transition, &Person)>); 5] = [
        ("w-2", vec![(Transition::Submit, &engineer)]),
        ("w-3", vec![(emergency.clone(), &chief), (Transition::CutOff { reason: words() }, &chief)]),
        ("w-4", vec![(emergency, &chief), (Transition::Begin, &engineer)]),
        ("w-5", vec![(Transition::Submit, &engineer), (Transition::Reject { reason: words() }, &chief)]),
        ("w-6", vec![(Transition::Withdraw, &engineer)]),
    ];
    for (id, life) in lives {
        let mut one = work_of(id, open - TimeDelta::minutes(60), open + TimeDelta::minutes(60));
        for (transition, by) in life {
            one = one.apply(transition, By::Person(by), open).unwrap();
        }
        store.add_work(&one, event(Kind::Work)).await.unwrap();
    }
    let columns = || async {
        let sql = "SELECT id, stage, unreviewed FROM work ORDER BY id";
        let rows = store.read().await.unwrap().rows(sql, Vec::new()).await.unwrap();
        let shown = |row: &Row| {
            format!("{} {} {}", row.text("id").unwrap(), row.text("stage").unwrap(), row.integer("unreviewed").unwrap())
        };
        rows.iter().map(shown).collect::<Vec<_>>()
    };
    let expected =
        ["w-1 draft 0", "w-2 requested 0", "w-3 emergency 0", "w-4 emergency 1", "w-5 rejected 0", "w-6 withdrawn 0"];
    assert_eq!(columns().await, expected);
    store.inner.db.run_alone("UPDATE work SET stage = '?', unreviewed = 7", Vec::new()).await.unwrap();
    let migration = match bed.database {
        Database::Sqlite(_) => include_str!("../../../migrations/sqlite/0003_console.sql"),
        Database::Postgres { .. } => include_str!("../../../migrations/postgres/0003_console.sql"),
    };
    let filled = migration.find("UPDATE work").and_then(|at| migration.get(at..)?.split(';').next()).unwrap();
    store.inner.db.run_alone(filled, Vec::new()).await.unwrap();
    assert_eq!(columns().await, expected);
}

fn work_of(id: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Work {
    let local = |at: DateTime<Utc>| at.with_timezone(&Tokyo).naive_local();
    let window = Window::once(local(from), local(until), Tokyo).unwrap();
    let request = Request { window, ..work(id).request().clone() };
    Work::draft(id.parse().unwrap(), "acme".parse().unwrap(), request, &person("eng1", Some("acme")), noon()).unwrap()
}

pub async fn locks_are_in_force_until_lifted(bed: Bed) {
    let store = bed.furnished().await;
    let lock = |scope| Lock { scope, from: noon(), until: None, reason: "不審な通信".to_owned(), except: None };
    let everyone = store.set_lock(&lock(LockScope::Everyone), event(Kind::LockSet)).await.unwrap();
    let ct = LockScope::Device("ct-01".parse().unwrap());
    store.set_lock(&lock(ct.clone()), event(Kind::LockSet)).await.unwrap();
    let backwards = Lock { until: Some(noon() - TimeDelta::hours(1)), ..lock(LockScope::Everyone) };
    let refused = store.set_lock(&backwards, event(Kind::LockSet)).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");

    store.lift_lock(everyone, event(Kind::LockLift)).await.unwrap();
    let twice = store.lift_lock(everyone, event(Kind::LockLift)).await;
    assert!(matches!(twice, Err(StoreError::Unknown { .. })), "{twice:?}");
    let locks = store.locks().await.unwrap();
    assert_eq!(locks.len(), 2);
    assert_eq!(
        locks.iter().filter(|record| record.lifted.is_none()).map(|record| &record.lock.scope).collect::<Vec<_>>(),
        [&ct]
    );
}
