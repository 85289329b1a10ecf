//! What a decision is made from: plain values, read by `gateway::store` and handed to [`crate::decide::decide`].
//!
//! Nothing here judges. Absence is represented (`Option`, empty sets) so that the rules can deny on it.

use crate::error::PolicyError;
use crate::id::{DeviceId, PersonId, VendorId};
use crate::mail::MailAddress;
use crate::work::Work;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The language of prompts, banners and reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Japanese: the hospital's own.
    #[default]
    Ja,
    /// English.
    En,
}

/// Whether a person, vendor or device may be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    #[default]
    Active,
    /// Switched off for a time; comes back by a recorded act.
    Suspended,
    /// Switched off for good; kept for the record.
    Retired,
}

/// A half-open span of time `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first instant inside.
    pub from: DateTime<Utc>,
    /// The first instant outside.
    pub until: DateTime<Utc>,
}

impl Period {
    /// Whether `at` lies in `[from, until)`.
    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.until
    }
}

/// A role of the hospital (DOMAIN §1). A vendor person never holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HospitalRole {
    /// 企画管理者: approves requests, watches, cuts off, reviews.
    Approver,
    /// 医療情報システム安全管理責任者: decides on cut-off in an emergency.
    SafetyManager,
    /// システム運用担当者: runs the gateway, keeps people and devices.
    Administrator,
    /// 監査担当者: reads, replays, verifies; changes nothing.
    Auditor,
    /// 経営層: receives the periodic report.
    Management,
}

/// A company under contract (事業者).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vendor {
    /// Chosen by the hospital.
    pub id: VendorId,
    /// The company's name as the hospital writes it.
    pub name: String,
    /// Active, suspended or retired.
    pub status: Status,
    /// The contract period; `None` denies.
    pub contract: Option<Period>,
    /// Networks its people come from; empty means that none is set.
    pub sources: Vec<IpNet>,
    /// The company's responsible person (責任者).
    pub responsible: String,
    /// The company's PSIRT contact.
    pub psirt: String,
}

/// One human (保守要員 or hospital staff).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The person's own ID.
    pub id: PersonId,
    /// The person's name.
    pub name: String,
    /// The vendor; `None` for the hospital's own staff.
    pub vendor: Option<VendorId>,
    /// Active, suspended or retired.
    pub status: Status,
    /// Networks this person comes from; empty means that none is set.
    pub sources: Vec<IpNet>,
    /// Hospital roles; empty for a vendor's people, always.
    pub roles: BTreeSet<HospitalRole>,
    /// The language of prompts and reasons.
    pub language: Language,
    /// Where they get mail; without it they get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
}

/// What may be opened towards a device. Everything is denied until it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Channel {
    /// An interactive shell.
    Shell,
    /// One command.
    Exec,
    /// The SFTP subsystem (the modern `scp` uses it as well).
    Sftp,
    /// The historic `scp -O` protocol: an exec whose command is `scp -t` or `scp -f`.
    Scp,
    /// A forward (`ssh -L`) to this TCP port of the device.
    Forward(u16),
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell => f.write_str("shell"),
            Self::Exec => f.write_str("exec"),
            Self::Sftp => f.write_str("sftp"),
            Self::Scp => f.write_str("scp"),
            Self::Forward(port) => write!(f, "forward:{port}"),
        }
    }
}

impl std::str::FromStr for Channel {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "shell" => return Ok(Self::Shell),
            "exec" => return Ok(Self::Exec),
            "sftp" => return Ok(Self::Sftp),
            "scp" => return Ok(Self::Scp),
            _ => {}
        }
        text.strip_prefix("forward:")
            // `u16::from_str` also takes "+22"; one port has one spelling here.
            .filter(|port| port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0'))
            .and_then(|port| port.parse().ok())
            .map(Self::Forward)
            .ok_or_else(|| PolicyError::InvalidChannel { text: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for Channel {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> String {
        channel.to_string()
    }
}

/// One account on a device (`service`, `root`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The login name on the device.
    pub name: String,
    /// Whether several people share it (共用): they are told apart at the gateway.
    pub shared: bool,
}

/// One piece of equipment (機器), as far as deciding needs it. Its ledger row is `sekimori_audit::ledger`'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// As engineers name it.
    pub id: DeviceId,
    /// Active, suspended or retired.
    pub status: Status,
    /// Networks from which this device may be maintained; empty means that none is set.
    pub sources: Vec<IpNet>,
    /// Accounts that exist; the first is the default.
    pub accounts: Vec<Account>,
    /// What may be opened.
    pub channels: BTreeSet<Channel>,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A password: knowledge.
    Password,
    /// A time-based one-time code (RFC 6238): possession.
    Totp,
    /// A recovery code of the sheet that was handed out at enrolment: possession, and each counts once.
    RecoveryCode,
    /// An SSH key, `sk-` or not: possession (russh does not tell whether it was touched).
    SshKey,
    /// A passkey with user verification: possession with inherence or knowledge.
    Passkey,
}

/// What was proved at sign-in, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// The methods proved.
    pub methods: BTreeSet<Method>,
    /// When the last of them was proved.
    pub proved_at: DateTime<Utc>,
    /// When they stop standing for the person (a carried sign-in's certificate ends); `None` for this connection only.
    pub until: Option<DateTime<Utc>>,
}

/// Where a connection comes from. The address is canonical: an IPv4-mapped IPv6 address is its IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "IpAddr", into = "IpAddr")]
pub struct Source(IpAddr);

impl Source {
    /// The canonical address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl From<Source> for IpAddr {
    fn from(source: Source) -> IpAddr {
        source.0
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// 接続端末の安全確認: the vendor's word that the terminal is patched, supported and clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Whose terminal.
    pub person: PersonId,
    /// When it was given.
    pub made_at: DateTime<Utc>,
    /// When it stops counting.
    pub expires_at: DateTime<Utc>,
    /// OS and software are within support and patched (最新パッチ／サポート内).
    pub patched: bool,
    /// A malware scan found nothing.
    pub scanned: bool,
    /// What it rests on: a note, a file name.
    pub note: String,
}

impl Attestation {
    /// Of what one person has given, the word that counts: the newest, if it is whole and has not expired. An earlier one
    /// counts no longer, however long it was to.
    #[must_use]
    pub fn in_force(given: &[Self], now: DateTime<Utc>) -> Option<&Self> {
        let newest = given.iter().filter(|one| one.made_at <= now).max_by_key(|one| one.made_at);
        newest.filter(|one| one.patched && one.scanned && one.expires_at > now)
    }
}

/// Whom an incident lock (非常時遮断) keeps out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockScope {
    /// Everyone.
    Everyone,
    /// One vendor's people.
    Vendor(VendorId),
    /// One person.
    Person(PersonId),
    /// One device, whoever comes.
    Device(DeviceId),
}

/// An incident lock. It may be announced for later: `Permit::until` ends where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Whom it keeps out.
    pub scope: LockScope,
    /// When it begins, and when it ends; `None` until somebody lifts it.
    pub from: DateTime<Utc>,
    /// The end, if one was set.
    pub until: Option<DateTime<Utc>>,
    /// Why, for the record and for the person who is kept out.
    pub reason: String,
    /// The one piece of work that may go on: the recorded investigation (DOMAIN §6).
    pub except: Option<crate::id::WorkId>,
}

/// What this hospital asks for beyond the house rule of two kinds, and the time zone it reads times in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demands {
    /// Methods that everyone must have proved, each of them.
    pub methods: BTreeSet<Method>,
    /// How long factors count, in minutes since they were proved; `None`: as long as the connection or certificate.
    pub factors_max_age_minutes: Option<u32>,
    /// The zone in which reasons write times that no window gives a zone to.
    pub zone: Tz,
}

impl Default for Demands {
    fn default() -> Self {
        Self { methods: BTreeSet::new(), factors_max_age_minutes: None, zone: Tz::Asia__Tokyo }
    }
}

/// Everything a decision rests on. `None` and empty mean that nothing was found, and deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Who is asking, if known.
    pub person: Option<Person>,
    /// The person's vendor, if any was found.
    pub vendor: Option<Vendor>,
    /// What is to be reached, if known.
    pub device: Option<Device>,
    /// The account asked for; `None` takes the device's first.
    pub account: Option<String>,
    /// Where from.
    pub source: Source,
    /// What was proved.
    pub factors: Factors,
    /// Every piece of work of this vendor, in any state: the rules choose, and see what is unreviewed.
    pub works: Vec<Work>,
    /// The person's attestations.
    pub attestations: Vec<Attestation>,
    /// All incident locks.
    pub locks: Vec<Lock>,
    /// The hospital's own demands.
    pub demands: Demands,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_channel_has_one_spelling() {
        for text in ["shell", "exec", "sftp", "scp", "forward:1", "forward:3389", "forward:65535"] {
            assert_eq!(text.parse::<Channel>().unwrap().to_string(), text);
        }
        for text in ["", "Shell", "forward", "forward:", "forward:0", "forward:022", "forward:+22", "forward:65536"] {
            assert!(text.parse::<Channel>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(Source::from(mapped).to_string(), "192.0.2.7");
    }

    #[test]
    fn only_the_newest_word_on_a_terminal_counts() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let given = |made: i64, days: i64, whole: bool| Attestation {
            person: "eng1".parse().unwrap(),
            made_at: now + TimeDelta::days(made),
            expires_at: now + TimeDelta::days(days),
            patched: true,
            scanned: whole,
            note: String::new(),
        };
        let good = given(-3, 20, true);
        for (newer, counts) in [
            (given(-1, 10, true), Some(10)),
            (given(-1, 10, false), None),
            (given(-1, 0, true), None),
            (given(1, 10, false), Some(20)),
        ] {
            let given = [good.clone(), newer];
            let found = Attestation::in_force(&given, now).map(|one| (one.expires_at - now).num_days());
            assert_eq!(found, counts, "{given:?}");
        }
        assert_eq!(Attestation::in_force(&[], now), None);
    }
}
