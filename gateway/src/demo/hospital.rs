//! The demonstration's hospital: three vendors, their five engineers, the hospital's own people, six devices, and
//! windows that are open, closed, or still to be approved.

use super::OPEN_FOR;
use super::device::{DemoAccount, Kind as DeviceKind, Personality, RunningDevice, SimulatedDevice};
use crate::config::Config;
use crate::people::password::Passwords;
use crate::people::totp;
use crate::store::{Credential, DeviceRecord, Dialect, Store};
use anyhow::Context as _;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use ipnet::IpNet;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::ledger::{Declared, WrittenDate};
use sekimori_policy::facts::{
    Account, Attestation, Channel, Device, HospitalRole, Language, Period, Person, Status, Vendor,
};
use sekimori_policy::id::{DeviceId, PersonId, VendorId};
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Request, Transition, Work};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Somebody of the demonstration, with everything needed to be them.
#[derive(Serialize)]
pub struct DemoPerson {
    /// Their ID.
    pub id: PersonId,
    /// `vendor`, `approver`, `auditor` or `administrator`.
    pub role: &'static str,
    /// The vendor, for engineers.
    pub vendor: Option<VendorId>,
    /// The password.
    pub password: String,
    /// The TOTP seed in base32.
    pub totp_secret: String,
    /// A private key whose public half is registered, for engineers.
    pub key_file: Option<PathBuf>,
}

/// A simulated device while it runs.
pub struct DemoDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Where its SSH server listens.
    pub address: SocketAddr,
    /// The accounts.
    pub accounts: Vec<String>,
    /// When the window that is open now ends.
    pub open_until: Option<DateTime<Utc>>,
    /// The ports that answer.
    pub ports: Vec<u16>,
    _running: RunningDevice,
}

impl DemoDevice {
    /// As scripts read it.
    pub fn listing(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "address": self.address.to_string(),
            "accounts": self.accounts,
            "open_until": self.open_until,
            "ports": self.ports,
        })
    }
}

/// The administrator whom `init` makes; everything else is done as this person or the approver.
pub fn administrator() -> Person {
    staff("administrator", "運用 太郎", HospitalRole::Administrator)
}

fn staff(id: &str, name: &str, role: HospitalRole) -> Person {
    Person {
        id: known(id),
        name: name.into(),
        vendor: None,
        status: Status::Active,
        sources: loopback(),
        roles: BTreeSet::from([role]),
        language: Language::Ja,
        mail: None,
    }
}

const VENDORS: [(&str, &str); 3] =
    [("kanda-medical", "神田メディカルシステムズ"), ("shinano-lab", "信濃検査機器"), ("hokuto-emr", "北斗電子カルテ")];

const ENGINEERS: [(&str, &str, &str, Language); 5] = [
    ("eng1", "kanda-medical", "神田 一郎", Language::Ja),
    ("eng2", "kanda-medical", "Maria Kanda", Language::En),
    ("eng3", "shinano-lab", "信濃 花子", Language::Ja),
    ("eng4", "hokuto-emr", "北斗 次郎", Language::Ja),
    ("eng5", "hokuto-emr", "北斗 三郎", Language::Ja),
];

const DEVICES: [(&str, &str, DeviceKind, &str, &str); 6] = [
    ("ct-01", "CT室 CTスキャナ", DeviceKind::Ct, "service", "神田メディカルシステムズ"),
    ("mri-01", "MRI室 MRI装置", DeviceKind::Mri, "service", "神田メディカルシステムズ"),
    ("lab-01", "検査部 検査システム", DeviceKind::Laboratory, "lab", "信濃検査機器"),
    ("emr-01", "電子カルテサーバ", DeviceKind::Records, "maint", "北斗電子カルテ"),
    ("pacs-01", "画像保管サーバ", DeviceKind::Archive, "service", "北斗電子カルテ"),
    ("switch-01", "基幹スイッチ", DeviceKind::Switch, "admin", "院内"),
];

/// Makes people, equipment and work, and starts the equipment.
pub async fn furnish(store: &Store, config: &Config) -> anyhow::Result<(Vec<DemoPerson>, Vec<DemoDevice>)> {
    let scene = Scene { store, config, actor: Actor { person: Some(known("administrator")), system_user: None } };
    let people = scene.people().await?;
    let mut devices = Vec::new();
    for (id, name, kind, account, maker) in DEVICES {
        devices.push(scene.device(id, name, kind, account, maker).await?);
    }
    let open_until = scene.work().await?;
    for device in &mut devices {
        if ["ct-01", "mri-01", "lab-01"].contains(&device.id.as_str()) {
            device.open_until = Some(open_until);
        }
    }
    Ok((people, devices))
}

struct Scene<'a> {
    store: &'a Store,
    config: &'a Config,
    actor: Actor,
}

impl Scene<'_> {
    fn event(&self, kind: Kind) -> Event {
        Event { detail: json!({ "demo": true }), ..Event::new(Utc::now(), kind, self.actor.clone()) }
    }

    async fn people(&self) -> anyhow::Result<Vec<DemoPerson>> {
        let now = Utc::now();
        for (id, name) in VENDORS {
            let vendor = Vendor {
                id: known(id),
                name: name.into(),
                status: Status::Active,
                contract: Some(Period { from: now - TimeDelta::days(30), until: now + TimeDelta::days(335) }),
                sources: loopback(),
                responsible: format!("{name} 保守部長"),
                psirt: format!("psirt@{id}.example"),
            };
            self.store.add_vendor(&vendor, self.event(Kind::VendorAdd)).await?;
        }
        let mut people = Vec::new();
        for (id, vendor, name, language) in ENGINEERS {
            let engineer = Person {
                vendor: Some(known(vendor)),
                roles: BTreeSet::new(),
                language,
                ..staff(id, name, HospitalRole::Approver)
            };
            self.store.add_person(&engineer, self.event(Kind::PersonAdd)).await?;
            people.push(self.factors(&engineer, "vendor").await?);
            self.attest(&engineer.id).await?;
        }
        let approver = staff("approver", "企画 管子", HospitalRole::Approver);
        let auditor = staff("auditor", "監査 正", HospitalRole::Auditor);
        for (person, role) in [(&approver, "approver"), (&auditor, "auditor")] {
            self.store.add_person(person, self.event(Kind::PersonAdd)).await?;
            people.push(self.factors(person, role).await?);
        }
        people.push(self.factors(&administrator(), "administrator").await?);
        Ok(people)
    }

    async fn factors(&self, person: &Person, role: &'static str) -> anyhow::Result<DemoPerson> {
        let password = random_password()?;
        let hash = Passwords::new(1)?.hash(Zeroizing::new(password.clone())).await?;
        self.store.set_password(&person.id, &hash, self.event(Kind::PasswordSet)).await?;
        let seed = totp::new_seed()?;
        self.store.enrol_totp(&person.id, &seed, self.event(Kind::TotpEnrol)).await?;
        let enrolment = totp::enrolment(&seed, &person.id, &self.config.hospital.name)?;
        let key_file = match &person.vendor {
            Some(_) => Some(self.key(&person.id).await?),
            None => None,
        };
        Ok(DemoPerson {
            id: person.id.clone(),
            role,
            vendor: person.vendor.clone(),
            password,
            totp_secret: enrolment.secret.to_string(),
            key_file,
        })
    }

    async fn key(&self, person: &PersonId) -> anyhow::Result<PathBuf> {
        let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
        key.set_comment(person.as_str());
        let folder = self.config.folder.join("people");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{person}_ed25519"));
        write_private(&path, key.to_openssh(LineEnding::LF)?.as_bytes())?;
        let public = key.public_key().to_openssh()?;
        std::fs::write(path.with_extension("pub"), format!("{public}\n"))?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        self.store.add_key(person, &public, &fingerprint, self.event(Kind::KeyAdd)).await?;
        Ok(path.canonicalize()?)
    }

    async fn attest(&self, person: &PersonId) -> anyhow::Result<()> {
        let now = Utc::now();
        let attestation = Attestation {
            person: person.clone(),
            made_at: now,
            expires_at: now + TimeDelta::days(30),
            patched: true,
            scanned: true,
            note: "デモ用の安全確認".into(),
        };
        Ok(self.store.add_attestation(&attestation, &[], self.event(Kind::Attest)).await?)
    }

    async fn device(
        &self,
        id: &str,
        name: &str,
        kind: DeviceKind,
        account: &str,
        maker: &str,
    ) -> anyhow::Result<DemoDevice> {
        let host_key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
        let pinned = host_key.public_key().clone();
        let (sign_in, credential) = self.credential(kind)?;
        let personality = Personality {
            id: known(id),
            kind,
            name: name.into(),
            accounts: vec![DemoAccount { name: account.into(), ..sign_in }],
            ports: vec![0],
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = SimulatedDevice::start(listen, personality, host_key).await?;
        let channels = [Channel::Shell, Channel::Exec, Channel::Sftp, Channel::Scp];
        let forwards = running.ports.iter().map(|port| Channel::Forward(*port));
        let record = DeviceRecord {
            device: Device {
                id: known(id),
                status: Status::Active,
                sources: Vec::new(),
                accounts: vec![Account { name: account.into(), shared: true }],
                channels: channels.into_iter().chain(forwards).collect(),
            },
            name: name.into(),
            host: running.address.ip().to_string(),
            port: running.address.port(),
            dialect: Dialect::default(),
            ledger: ledger_row(id, name, maker)?,
        };
        self.store.add_device(&record, self.event(Kind::DeviceAdd)).await?;
        let fingerprint = pinned.fingerprint(HashAlg::Sha256).to_string();
        let line = pinned.to_openssh()?;
        self.store.pin_host_key(&record.device.id, &line, &fingerprint, self.event(Kind::DeviceHostKey)).await?;
        let event = self.event(Kind::DeviceCredential);
        self.store.set_credential(&record.device.id, account, &credential, event).await?;
        Ok(DemoDevice {
            id: record.device.id,
            name: name.into(),
            address: running.address,
            accounts: vec![account.into()],
            open_until: None,
            ports: running.ports.clone(),
            _running: running,
        })
    }

    /// Each of the three ways in which the gateway signs in to equipment is used somewhere.
    fn credential(&self, kind: DeviceKind) -> anyhow::Result<(DemoAccount, Credential)> {
        let nothing = DemoAccount { name: String::new(), password: None, authorized: None, trusted_ca: None };
        match kind {
            DeviceKind::Laboratory => {
                let ca = std::fs::read_to_string(self.config.user_ca().with_extension("pub"))?;
                let trusted_ca = Some(PublicKey::from_openssh(ca.trim())?);
                Ok((DemoAccount { trusted_ca, ..nothing }, Credential::Certificate))
            }
            DeviceKind::Mri | DeviceKind::Archive => {
                let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
                let pem = Zeroizing::new(key.to_openssh(LineEnding::LF)?.to_string());
                let authorized = Some(key.public_key().clone());
                Ok((DemoAccount { authorized, ..nothing }, Credential::PrivateKey(pem)))
            }
            DeviceKind::Ct | DeviceKind::Records | DeviceKind::Switch => {
                let password = Zeroizing::new(random_password()?);
                Ok((DemoAccount { password: Some(password.clone()), ..nothing }, Credential::Password(password)))
            }
        }
    }

    /// Two windows open now, one at night each week, one request that waits for its approval.
    async fn work(&self) -> anyhow::Result<DateTime<Utc>> {
        let zone = self.config.hospital.zone;
        let now = Utc::now().with_timezone(&zone).naive_local();
        let now = now.with_nanosecond(0).unwrap_or(now);
        let open = || Window::once(now - TimeDelta::minutes(10), now + OPEN_FOR, zone);
        let night = now.date() + TimeDelta::days(1);
        let tonight: NaiveDateTime = night.and_hms_opt(22, 0, 0).context("a day without 22:00")?;
        let weekly =
            Window::recurring(tonight, tonight + TimeDelta::hours(4), zone, "FREQ=WEEKLY;COUNT=12", Vec::new())?;
        let scanner = ("CT・MRI 定期点検", "ログ採取、管球温度の確認、自己診断");
        self.request("scanner-check", scanner, &["eng1", "eng2"], &["ct-01", "mri-01"], open()?, true).await?;
        let laboratory = ("検査システム 障害調査", "エラーログの確認、設定の修正");
        self.request("lab-trouble", laboratory, &["eng3"], &["lab-01"], open()?, true).await?;
        let records = ("電子カルテ 夜間更新", "バックアップの確認、修正プログラムの適用");
        self.request("emr-nightly", records, &["eng4"], &["emr-01"], weekly, true).await?;
        let archive = ("PACS ソフトウェア更新", "更新プログラムの転送と適用");
        let work = self.request("pacs-update", archive, &["eng5"], &["pacs-01"], open()?, false).await?;
        Ok(work.last_end())
    }

    async fn request(
        &self,
        id: &str,
        (purpose, plan): (&str, &str),
        persons: &[&str],
        devices: &[&str],
        window: Window,
        approved: bool,
    ) -> anyhow::Result<Work> {
        let devices: Vec<DeviceId> = devices.iter().map(|id| known(id)).collect();
        let mut channels = BTreeSet::new();
        for device in &devices {
            channels.extend(self.store.device(device).await?.into_iter().flat_map(|record| record.device.channels));
        }
        let people: Vec<PersonId> = persons.iter().map(|id| known(id)).collect();
        let requester = people.first().context("a request without a person")?;
        let requester = self.store.person(requester).await?.context("the requester is not registered")?;
        let vendor = requester.vendor.clone().context("the requester has no vendor")?;
        let now = Utc::now();
        let request = Request { channels, ..Request::new(purpose, plan, people, devices, window) };
        let draft = Work::draft(known(id), vendor, request, &requester, now)?;
        let requested = draft.apply(Transition::Submit, By::Person(&requester), now)?;
        let event = |transition: &Transition, by: &Person| Event {
            detail: json!({ "demo": true, "transition": transition.code() }),
            work: Some(requested.id().clone()),
            ..Event::new(now, Kind::Work, Actor::person(by.id.clone()))
        };
        self.store.add_work(&requested, event(&Transition::Submit, &requester)).await?;
        if !approved {
            return Ok(requested);
        }
        let approver = self.store.person(&known("approver")).await?.context("the approver is not registered")?;
        let approved = requested.apply(Transition::Approve { attendance: false }, By::Person(&approver), now)?;
        self.store
            .update_work(&requested, &approved, event(&Transition::Approve { attendance: false }, &approver))
            .await?;
        Ok(approved)
    }
}

/// The ledger's row of a device, in the columns that people type. Nobody has asked the vendors yet: 未確認.
fn ledger_row(id: &str, name: &str, maker: &str) -> anyhow::Result<Value> {
    let number = DEVICES.iter().position(|device| device.0 == id).unwrap_or_default() + 1;
    let today = Utc::now().format("%Y/%m/%d").to_string();
    let declared = Declared {
        control_number: format!("{number:03}"),
        maker: maker.into(),
        software: name.into(),
        computer_name: id.into(),
        location: name.split(' ').next().unwrap_or(name).into(),
        registered_on: WrittenDate::new(&today),
        state: "稼働".into(),
        description: "デモ用の模擬機器".into(),
        ..Declared::default()
    };
    Ok(serde_json::to_value(declared)?)
}

fn loopback() -> Vec<IpNet> {
    vec![known("127.0.0.1/32"), known("::1/128")]
}

/// An identifier of the demonstration's own tables.
#[expect(clippy::expect_used, reason = "the tables above are constants, and a test builds every one")]
fn known<T: std::str::FromStr>(id: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    id.parse().expect("the demonstration's identifiers are valid")
}

/// 24 letters and digits in groups, without look-alikes: about 118 bits.
fn random_password() -> anyhow::Result<String> {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system has no randomness to give"))?;
    let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 31)));
    let letters: Vec<u8> = letters.copied().collect();
    let groups: Vec<_> = letters.chunks(6).map(String::from_utf8_lossy).collect();
    Ok(groups.join("-"))
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
