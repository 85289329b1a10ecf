//! What each case starts from: an empty place for a database, and a small hospital to fill it with.

use crate::config::Database;
use crate::store::{DeviceRecord, Dialect, Opening, SignIn, Store, StoreError};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Asia::Tokyo;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_certs::secret::MasterKey;
use sekimori_policy::facts::{
    Account, Channel, Device, Factors, Language, Method, Period, Person, Source, Status, Vendor,
};
use sekimori_policy::window::Window;
use sekimori_policy::work::{Request, Work};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

/// A place for one database.
pub struct Bed {
    pub database: Database,
    pub folder: TempDir,
}

impl Bed {
    pub fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("sekimori.db"));
        Self { database, folder }
    }

    pub fn on(database: Database) -> Self {
        Self { database, folder: tempfile::tempdir().unwrap() }
    }

    pub fn key(&self) -> MasterKey {
        let path = self.key_file();
        if path.exists() { MasterKey::load(&path, None).unwrap() } else { MasterKey::create(&path).unwrap() }
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    pub async fn create(&self) -> Store {
        Store::create(&self.database, self.key(), event(Kind::Init)).await.unwrap()
    }

    pub async fn open(&self) -> Result<Store, StoreError> {
        self.open_as(&self.database).await
    }

    pub async fn open_as(&self, database: &Database) -> Result<Store, StoreError> {
        Store::open(database, self.key()).await
    }

    /// A store with vendor `acme`, its person `eng1`, the approver `chief`, device `ct-01` and work `w-1`.
    pub async fn furnished(&self) -> Store {
        let store = self.create().await;
        store.add_vendor(&vendor("acme"), event(Kind::VendorAdd)).await.unwrap();
        store.add_person(&person("eng1", Some("acme")), event(Kind::PersonAdd)).await.unwrap();
        store.add_person(&person("chief", None), event(Kind::PersonAdd)).await.unwrap();
        store.add_device(&device("ct-01"), event(Kind::DeviceAdd)).await.unwrap();
        store.add_work(&work("w-1"), event(Kind::Work)).await.unwrap();
        store
    }
}

/// Noon of a day, to the microsecond that the store keeps.
pub fn noon() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(2026, 12, 1).unwrap().and_hms_micro_opt(12, 0, 0, 123_456).unwrap().and_utc()
}

pub fn event(kind: Kind) -> Event {
    Event::new(noon(), kind, Actor { person: None, system_user: Some("root".to_owned()) })
}

pub fn vendor(id: &str) -> Vendor {
    Vendor {
        id: id.parse().unwrap(),
        name: "アクメ医療機器".to_owned(),
        status: Status::Active,
        contract: Some(Period { from: noon() - TimeDelta::days(30), until: noon() + TimeDelta::days(300) }),
        sources: vec!["203.0.113.0/24".parse().unwrap()],
        responsible: "責任者".to_owned(),
        psirt: "psirt@acme.example".to_owned(),
    }
}

pub fn person(id: &str, vendor: Option<&str>) -> Person {
    Person {
        id: id.parse().unwrap(),
        name: "保守 太郎".to_owned(),
        vendor: vendor.map(|vendor| vendor.parse().unwrap()),
        status: Status::Active,
        sources: Vec::new(),
        roles: BTreeSet::new(),
        language: Language::Ja,
        mail: None,
    }
}

pub fn device(id: &str) -> DeviceRecord {
    DeviceRecord {
        device: Device {
            id: id.parse().unwrap(),
            status: Status::Active,
            sources: Vec::new(),
            accounts: vec![Account { name: "service".to_owned(), shared: true }],
            channels: BTreeSet::from([Channel::Shell, Channel::Forward(3389)]),
        },
        name: "CT装置".to_owned(),
        host: "10.0.0.5".to_owned(),
        port: 22,
        dialect: Dialect::default(),
        ledger: serde_json::json!({ "管理番号": "001" }),
    }
}

pub fn work(id: &str) -> Work {
    work_naming(id, "acme", "eng1", "ct-01")
}

pub fn work_naming(id: &str, vendor: &str, engineer: &str, device: &str) -> Work {
    let day = NaiveDate::from_ymd_opt(2026, 12, 1).unwrap();
    let window = Window::once(day.and_hms_opt(20, 0, 0).unwrap(), day.and_hms_opt(23, 0, 0).unwrap(), Tokyo).unwrap();
    let request = Request::new("定期点検", "1. 点検", [engineer.parse().unwrap()], [device.parse().unwrap()], window);
    let by = person(engineer, Some(vendor));
    Work::draft(id.parse().unwrap(), vendor.parse().unwrap(), request, &by, noon()).unwrap()
}

pub fn source(address: &str) -> Source {
    Source::from(address.parse::<IpAddr>().unwrap())
}

pub fn factors() -> Factors {
    Factors { methods: BTreeSet::from([Method::Password, Method::Totp]), proved_at: noon(), until: None }
}

pub fn sign_in(person: &str) -> SignIn {
    SignIn {
        id: Uuid::now_v7(),
        person: person.parse().unwrap(),
        source: source("203.0.113.7"),
        methods: factors().methods,
        proved_at: noon(),
        key_fingerprint: None,
        certificate_serial: None,
        expires: None,
        revoked: None,
    }
}

pub fn opening(sign_in: &SignIn, instance: &str) -> Opening {
    Opening {
        id: Uuid::now_v7(),
        person: sign_in.person.clone(),
        vendor: "acme".parse().unwrap(),
        device: "ct-01".parse().unwrap(),
        account: "service".to_owned(),
        shared: true,
        work: "w-1".parse().unwrap(),
        source: sign_in.source,
        sign_in: sign_in.id,
        methods: sign_in.methods.clone(),
        opened: noon(),
        until: noon() + TimeDelta::hours(2),
        instance: instance.to_owned(),
    }
}

/// An edit that refuses nothing, and leaves the event as it is.
pub fn always<T>(edit: impl FnOnce(&mut T)) -> impl FnOnce(&mut T, &mut Event) -> Result<(), StoreError> {
    move |thing, _| {
        edit(thing);
        Ok(())
    }
}

/// Everything that can be read, as text: equal before and after means that nothing changed.
pub async fn everything(store: &Store) -> String {
    let eng1 = "eng1".parse().unwrap();
    let ct = "ct-01".parse().unwrap();
    let sessions = store.sessions(&crate::store::SessionFilter::default()).await.unwrap();
    let mut inside = Vec::new();
    for row in &sessions {
        inside.push(store.channels(row.opening.id).await.unwrap().len());
        inside.push(store.transfers::<serde_json::Value>(row.opening.id).await.unwrap().len());
        inside.push(usize::from(store.sign_in(row.opening.sign_in).await.unwrap().unwrap().revoked.is_some()));
    }
    format!(
        "{:#?}",
        (
            (store.vendors().await.unwrap(), store.persons().await.unwrap(), store.devices().await.unwrap()),
            (store.works().await.unwrap(), store.attestations(&eng1).await.unwrap(), store.locks().await.unwrap()),
            (store.password_hash(&eng1).await.unwrap(), store.totp_seed(&eng1).await.unwrap()),
            (store.keys(&eng1).await.unwrap(), store.failures(&eng1).await.unwrap()),
            (store.host_keys(&ct).await.unwrap(), store.credential(&ct, "service").await.unwrap()),
            (store.carried_sign_ins(noon()).await.unwrap(), sessions, inside),
            store.console_sign_ins(None, noon() - TimeDelta::days(1), 100).await.unwrap(),
            (store.invitation_of(&eng1).await.unwrap(), store.recovery_codes(&eng1).await.unwrap()),
            store.passkeys(&eng1).await.unwrap(),
        )
    )
}
