//! A small hospital for the tests: vendor acme with eng1, eng2 and eng3, device ct-01, and work w1 of eng1 in the
//! night of 24 November 2026 (a Tuesday), 22:00 to 02:00 in Tokyo. Every fact that access needs is there.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use sekimori_policy::facts::{
    Account, Attestation, Channel, Demands, Device, Factors, Facts, HospitalRole, Language, Lock, LockScope, Method,
    Period, Person, Source, Status, Vendor,
};
use sekimori_policy::window::Window;
use sekimori_policy::work::{By, Request, Transition, Work};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::str::FromStr;

pub const ZONE: Tz = Tz::Asia__Tokyo;

/// A local time of the hospital, such as `2026-11-24 22:00`.
pub fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

/// The instant of a local time of the hospital.
pub fn at(text: &str) -> DateTime<Utc> {
    ZONE.from_local_datetime(&local(text)).unwrap().to_utc()
}

/// In the middle of the window.
pub fn midnight() -> DateTime<Utc> {
    at("2026-11-25 00:00")
}

pub fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub fn engineer(id: &str) -> Person {
    Person {
        id: parsed(id),
        name: id.to_owned(),
        vendor: Some(parsed("acme")),
        status: Status::Active,
        sources: Vec::new(),
        roles: BTreeSet::new(),
        language: Language::Ja,
        mail: None,
    }
}

pub fn staff(id: &str, role: HospitalRole) -> Person {
    Person { vendor: None, roles: BTreeSet::from([role]), ..engineer(id) }
}

pub fn approver() -> Person {
    staff("sato", HospitalRole::Approver)
}

pub fn safety_manager() -> Person {
    staff("kato", HospitalRole::SafetyManager)
}

pub fn source(address: &str) -> Source {
    Source::from(address.parse::<IpAddr>().unwrap())
}

pub fn night() -> Window {
    Window::once(local("2026-11-24 22:00"), local("2026-11-25 02:00"), ZONE).unwrap()
}

pub fn request(window: Window) -> Request {
    Request {
        channels: BTreeSet::from([Channel::Shell, Channel::Sftp, Channel::Forward(3389)]),
        ..Request::new("定期点検", "1. ログの確認 2. 再起動", [parsed("eng1")], [parsed("ct-01")], window)
    }
}

/// A draft by eng1.
pub fn draft(id: &str, request: Request) -> Work {
    Work::draft(parsed(id), parsed("acme"), request, &engineer("eng1"), at("2026-11-01 09:00")).unwrap()
}

pub fn after(work: &Work, transition: Transition, by: &Person, now: DateTime<Utc>) -> Work {
    work.apply(transition, By::Person(by), now).unwrap()
}

pub fn requested(id: &str, request: Request) -> Work {
    after(&draft(id, request), Transition::Submit, &engineer("eng1"), at("2026-11-01 09:00"))
}

pub fn approved(id: &str, request: Request) -> Work {
    after(&requested(id, request), Transition::Approve { attendance: false }, &approver(), at("2026-11-02 09:00"))
}

/// Emergency access opened at 21:30 with its approval due at `deadline`.
pub fn emergency(id: &str, request: Request, deadline: DateTime<Utc>) -> Work {
    let transition = Transition::OpenEmergency { reason: "CT停止".to_owned(), deadline };
    after(&requested(id, request), transition, &approver(), at("2026-11-24 21:30"))
}

pub fn report() -> Transition {
    Transition::Report { text: "点検を実施".to_owned(), personal_data: None, files: Vec::new() }
}

pub fn lock(scope: LockScope, from: DateTime<Utc>) -> Lock {
    Lock { scope, from, until: None, reason: "不審な通信".to_owned(), except: None }
}

pub fn attestation(made: &str, expires: &str) -> Attestation {
    Attestation {
        person: parsed("eng1"),
        made_at: at(made),
        expires_at: at(expires),
        patched: true,
        scanned: true,
        note: String::new(),
    }
}

pub fn methods(methods: &[Method]) -> BTreeSet<Method> {
    methods.iter().copied().collect()
}

/// eng1 with password and code at 23:50 from the vendor's network, asking for ct-01: permitted at midnight.
pub fn facts() -> Facts {
    Facts {
        person: Some(engineer("eng1")),
        vendor: Some(Vendor {
            id: parsed("acme"),
            name: "アクメ医用機器".to_owned(),
            status: Status::Active,
            contract: Some(Period { from: at("2026-04-01 00:00"), until: at("2027-04-01 00:00") }),
            sources: vec![parsed("192.0.2.0/24")],
            responsible: String::new(),
            psirt: String::new(),
        }),
        device: Some(Device {
            id: parsed("ct-01"),
            status: Status::Active,
            sources: Vec::new(),
            accounts: ["service", "root"].map(|name| Account { name: name.to_owned(), shared: true }).to_vec(),
            channels: BTreeSet::from([Channel::Shell, Channel::Exec, Channel::Forward(3389)]),
        }),
        account: None,
        source: source("192.0.2.7"),
        factors: Factors {
            methods: methods(&[Method::Password, Method::Totp]),
            proved_at: midnight() - TimeDelta::minutes(10),
            until: None,
        },
        works: vec![approved("w1", request(night()))],
        attestations: vec![attestation("2026-11-20 09:00", "2026-12-20 09:00")],
        locks: Vec::new(),
        demands: Demands::default(),
    }
}
