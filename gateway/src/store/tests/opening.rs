//! Making and opening a database; secrets at rest.

use super::bed::{Bed, device, event};
use crate::config::Database;
use crate::store::db::args;
use crate::store::{Credential, Store, StoreError};
use sekimori_audit::event::Kind;
use sekimori_certs::secret::MasterKey;
use zeroize::Zeroizing;

pub async fn a_database_is_made_once_and_opened_again(bed: Bed) {
    let store = bed.furnished().await;
    assert_eq!(store.last_seq().await.unwrap(), 6);
    store.close().await;
    let again = Store::create(&bed.database, bed.key(), event(Kind::Init)).await;
    assert!(matches!(again, Err(StoreError::AlreadyCreated { .. })));
    let store = bed.open().await.unwrap();
    assert_eq!(store.last_seq().await.unwrap(), 6);
    assert_eq!(store.vendors().await.unwrap().len(), 1);
    if let Database::Sqlite(path) = &bed.database {
        use std::os::unix::fs::PermissionsExt;
        for name in ["sekimori.db", "sekimori.db-wal"] {
            let mode = std::fs::metadata(path.with_file_name(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}

pub async fn a_database_that_is_not_there_is_not_made_by_opening(bed: Bed) {
    for _ in 0..2 {
        assert!(matches!(bed.open().await, Err(StoreError::NotCreated { .. })));
    }
    bed.create().await;
    bed.open().await.unwrap();
}

pub async fn a_newer_schema_is_refused(bed: Bed) {
    let store = bed.furnished().await;
    let mut tx = store.inner.db.write().await.unwrap();
    let sql = "UPDATE _sqlx_migrations SET version = 13 WHERE version = 1";
    assert_eq!(tx.run(sql, args![]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    store.close().await;
    let fault = bed.open().await.err().unwrap();
    assert_eq!(
        fault.to_string(),
        "this database was written by a newer sekimori (schema 13, this program knows 12): install that version or \
         restore a backup"
    );
}

pub async fn another_master_key_is_refused(bed: Bed) {
    bed.create().await.close().await;
    let other = MasterKey::create(&bed.folder.path().join("other.key")).unwrap();
    assert!(matches!(Store::open(&bed.database, other).await, Err(StoreError::WrongKey { .. })));
    bed.open().await.unwrap();
}

pub async fn secrets_are_nowhere_in_plain(bed: Bed) {
    const SEED: &[u8] = b"a-seed-of-twenty-byt";
    const PASSWORD: &str = "the-password-of-the-ct";
    let store = bed.furnished().await;
    let (eng1, ct) = ("eng1".parse().unwrap(), "ct-01".parse().unwrap());
    store.enrol_totp(&eng1, SEED, event(Kind::TotpEnrol)).await.unwrap();
    let credential = Credential::Password(Zeroizing::new(PASSWORD.to_owned()));
    store.set_credential(&ct, "service", &credential, event(Kind::DeviceCredential)).await.unwrap();
    assert_eq!(store.totp_seed(&eng1).await.unwrap().unwrap().as_slice(), SEED);
    assert_eq!(store.credential(&ct, "service").await.unwrap(), Some(credential.clone()));
    assert!(!format!("{credential:?}").contains(PASSWORD));

    let mut read = store.read().await.unwrap();
    let seed = read.row("SELECT totp_sealed FROM person WHERE id = 'eng1'", args![]).await.unwrap().unwrap();
    let secret = read.row("SELECT sealed FROM device_credential", args![]).await.unwrap().unwrap();
    for (sealed, plain) in
        [(seed.bytes("totp_sealed").unwrap(), SEED), (secret.bytes("sealed").unwrap(), PASSWORD.as_bytes())]
    {
        assert!(!contains(&sealed, plain));
    }
    drop(read);
    if let Database::Sqlite(path) = &bed.database {
        for name in ["sekimori.db", "sekimori.db-wal"] {
            let bytes = std::fs::read(path.with_file_name(name)).unwrap();
            assert!(!contains(&bytes, SEED) && !contains(&bytes, PASSWORD.as_bytes()), "{name}");
        }
    }
    for event in store.events_since(0, 100).await.unwrap() {
        assert!(!event.body.contains(PASSWORD), "{}", event.body);
    }
}

pub async fn a_sealed_secret_moved_to_another_row_does_not_open(bed: Bed) {
    let store = bed.furnished().await;
    store.add_device(&device("mri-01"), event(Kind::DeviceAdd)).await.unwrap();
    let (ct, mri) = ("ct-01".parse().unwrap(), "mri-01".parse().unwrap());
    let credential = Credential::PrivateKey(Zeroizing::new("a key".to_owned()));
    store.set_credential(&ct, "service", &credential, event(Kind::DeviceCredential)).await.unwrap();
    let mut tx = store.inner.db.write().await.unwrap();
    tx.run("UPDATE device_credential SET device = 'mri-01'", args![]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(store.credential(&mri, "service").await, Err(StoreError::Sealed { .. })));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
