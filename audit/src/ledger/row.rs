//! A row of the ledger: its declared, observed and derived parts, and how they are put together.

use super::choice::{DeviceType, DisclosureEdition, IdKind, Presence, RouteKind, ScopeClass, ViaGateway, WrittenDate};
use super::mismatch::{Mismatch, mismatches};
use super::observe::{Observed, SessionFact, observe};
use super::risk::Risk;
use chrono::{DateTime, Months, NaiveDate, Utc};
use ipnet::IpNet;
use sekimori_policy::facts::Period;
use sekimori_policy::id::DeviceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What people typed or imported about one piece of equipment: the document that is stored with it. Empty texts and
/// `None` mean that nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// 管理番号, as text: "001" keeps its zeros.
    pub control_number: String,
    /// メーカー.
    pub maker: String,
    /// OS.
    pub os: String,
    /// ソフトウェア.
    pub software: String,
    /// ソフトウェアバージョン, as text.
    pub software_version: String,
    /// IPアドレス, as written: several are parted by 、, and masked ones stay masked.
    pub ip_address: String,
    /// コンピュータ名.
    pub computer_name: String,
    /// 設置場所.
    pub location: String,
    /// 利用者, one each.
    pub users: Vec<String>,
    /// 登録日.
    pub registered_on: WrittenDate,
    /// 状態.
    pub state: String,
    /// 説明.
    pub description: String,
    /// 最終更新日.
    pub updated_on: WrittenDate,
    /// 最終更新者.
    pub updated_by: String,
    /// 機器種別.
    pub device_type: Option<DeviceType>,
    /// 対象区分.
    pub scope_class: Option<ScopeClass>,
    /// 対象区分の理由: 対象外 needs one.
    pub scope_reason: String,
    /// セキュリティ対策.
    pub security_measures: String,
    /// 利用者認証方法.
    pub auth_method: String,
    /// 認証サーバ.
    pub auth_server: String,
    /// パッチ適用日: when the last patch was applied; watched on devices that routes lead through.
    pub patched_on: WrittenDate,
    /// リモート保守の有無 as declared.
    pub remote_maintenance: Option<Presence>,
    /// 確認日: the day of the vendor's answer.
    pub confirmed_on: WrittenDate,
    /// 確認の相手: who answered.
    pub confirmed_with: String,
    /// 証跡: what the answer rests on.
    pub evidence: String,
    /// 保守事業者.
    pub vendor: String,
    /// 再委託先.
    pub subcontractor: String,
    /// 目的.
    pub purpose: String,
    /// 経路種別.
    pub route_kind: Option<RouteKind>,
    /// 経由機器: the 管理番号, コンピュータ名 or 機器ID of the device that the route leads through.
    pub route_device: String,
    /// 回線番号.
    pub line_id: String,
    /// ゲートウェイ経由 as declared.
    pub via_gateway: Option<ViaGateway>,
    /// 接続元制限（申告）: the networks that the vendor says it comes from.
    pub sources_declared: Vec<IpNet>,
    /// ID種別（申告）.
    pub id_kind: Option<IdKind>,
    /// 認証要素（申告）, in the vendor's words.
    pub factors: String,
    /// 開示書の種別 (MDS, SDS).
    pub disclosure_kind: String,
    /// 開示書の版.
    pub disclosure_edition: Option<DisclosureEdition>,
    /// 開示書の受領日.
    pub disclosure_received_on: WrittenDate,
    /// 開示書の空欄数.
    pub disclosure_blanks: Option<u32>,
}

/// A declared row, and the device of the gateway that it is about (機器ID), if it is one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// The gateway's device; `None` for equipment that is not reached through it.
    pub device: Option<DeviceId>,
    /// What people said.
    pub declared: Declared,
}

/// What follows from the declared and the observed part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Derived {
    /// 2系統接続: more than one address.
    pub multi_homed: bool,
    /// リモート保守の有無, as the hospital may state it.
    pub remote_maintenance: Presence,
    /// ゲートウェイ経由, as far as it is known.
    pub via_gateway: Option<ViaGateway>,
    /// 次回確認期日: one review cycle after the vendor's last answer; `None` without an answer (it is due now).
    pub next_review_on: Option<NaiveDate>,
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The gateway's device, if it is one.
    pub device: Option<DeviceId>,
    /// What people said.
    pub declared: Declared,
    /// What the gateway saw.
    pub observed: Observed,
    /// What follows.
    pub derived: Derived,
}

/// What the gateway knows: sessions of all time, the source networks it enforces, and the span that is reported on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Every session there ever was, in any order.
    pub sessions: &'a [SessionFact],
    /// For each device the networks from which it can be reached (see [`super::enforced_sources`]).
    pub enforced: &'a BTreeMap<DeviceId, Vec<IpNet>>,
    /// For each device what is unsafe about the way to it; devices without a risk may be missing.
    pub risks: &'a BTreeMap<DeviceId, BTreeSet<Risk>>,
    /// The span that counts and durations are for.
    pub period: Period,
    /// Now: a live session has lasted until then.
    pub now: DateTime<Utc>,
    /// Months after which a vendor's answer is asked for again.
    pub review_cycle: Months,
}

/// The ledger as it stands: its rows, and what in them disagrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// In the order of the entries.
    pub rows: Vec<Row>,
    /// Every mismatch, row by row, then the devices that are in no row.
    pub mismatches: Vec<Mismatch>,
}

impl Ledger {
    /// Puts declared entries and the gateway's evidence side by side.
    #[must_use]
    pub fn assemble(entries: Vec<Entry>, evidence: &Evidence<'_>) -> Self {
        let seen = observe(evidence.sessions, evidence.period, evidence.now);
        let rows: Vec<Row> = entries.into_iter().map(|entry| row(entry, &seen, evidence)).collect();
        let mismatches = mismatches(&rows, &seen);
        Self { rows, mismatches }
    }
}

fn row(entry: Entry, seen: &BTreeMap<DeviceId, Observed>, evidence: &Evidence<'_>) -> Row {
    let Entry { device, declared } = entry;
    let mut observed = device.as_ref().and_then(|device| seen.get(device)).cloned().unwrap_or_default();
    observed.sources_enforced =
        device.as_ref().and_then(|device| evidence.enforced.get(device)).cloned().unwrap_or_default();
    observed.risks = device.as_ref().and_then(|device| evidence.risks.get(device)).cloned().unwrap_or_default();
    let derived = Derived {
        multi_homed: addresses(&declared.ip_address) > 1,
        remote_maintenance: presence(&declared, &observed),
        via_gateway: via_gateway(declared.via_gateway, observed.via_gateway),
        next_review_on: declared.confirmed_on.date().and_then(|day| day.checked_add_months(evidence.review_cycle)),
    };
    Row { device, declared, observed, derived }
}

/// 有 on anybody's word or on a session seen; 無 only on a dated answer that names who gave it; else 未確認.
///
/// A dated answer is overruled by sessions within the period. Older ones it may well have ended: a vendor whose
/// contract ran out answers 無 truthfully.
fn presence(declared: &Declared, observed: &Observed) -> Presence {
    let answered = declared.confirmed_on.date().is_some() && !declared.confirmed_with.trim().is_empty();
    match declared.remote_maintenance {
        _ if observed.session_count > 0 => Presence::Yes,
        Some(Presence::Yes) => Presence::Yes,
        Some(Presence::No) if answered => Presence::No,
        _ if observed.last_session_at.is_some() => Presence::Yes,
        _ => Presence::Unconfirmed,
    }
}

/// A session through the gateway makes 無, and nothing said, into 一部: what else there is, it cannot see.
fn via_gateway(declared: Option<ViaGateway>, seen: bool) -> Option<ViaGateway> {
    match declared {
        Some(ViaGateway::None) | None if seen => Some(ViaGateway::Some),
        other => other,
    }
}

/// How many addresses a cell lists. A masked one (192.168.〇.〇) counts; a remark does not.
fn addresses(cell: &str) -> usize {
    cell.split(['、', ',', '，', ';', '\n']).filter(|part| part.contains(['.', ':'])).count()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::observe::tests::{at, session};
    use super::*;

    fn ledger(declared: Declared, sessions: &[SessionFact]) -> Ledger {
        let entry = Entry { device: Some("ct-01".parse().unwrap()), declared };
        let period = Period { from: at("2026-04-01"), until: at("2027-04-01") };
        let now = at("2026-12-01");
        let (enforced, risks) = (BTreeMap::new(), BTreeMap::new());
        let review_cycle = Months::new(12);
        let evidence = Evidence { sessions, enforced: &enforced, risks: &risks, period, now, review_cycle };
        Ledger::assemble(vec![entry], &evidence)
    }

    fn answered(presence: Presence) -> Declared {
        Declared {
            control_number: "001".into(),
            remote_maintenance: Some(presence),
            confirmed_on: WrittenDate::new("2026/5/1"),
            confirmed_with: "A社 佐藤".into(),
            ..Declared::default()
        }
    }

    fn stated(declared: Declared, sessions: &[SessionFact]) -> Presence {
        ledger(declared, sessions).rows[0].derived.remote_maintenance
    }

    #[test]
    fn silence_is_never_no() {
        assert_eq!(stated(Declared::default(), &[]), Presence::Unconfirmed);
        assert_eq!(stated(answered(Presence::Unconfirmed), &[]), Presence::Unconfirmed);
        assert_eq!(stated(answered(Presence::No), &[]), Presence::No);
        let undated = Declared { confirmed_on: WrittenDate::new("済"), ..answered(Presence::No) };
        assert_eq!(stated(undated, &[]), Presence::Unconfirmed);
        let by_nobody = Declared { confirmed_with: " ".into(), ..answered(Presence::No) };
        assert_eq!(stated(by_nobody, &[]), Presence::Unconfirmed);
        assert_eq!(stated(answered(Presence::Yes), &[]), Presence::Yes);
    }

    #[test]
    fn a_session_seen_makes_it_yes() {
        let within = [session("ct-01", "2026-06-01")];
        assert_eq!(stated(Declared::default(), &within), Presence::Yes);
        assert_eq!(stated(answered(Presence::No), &within), Presence::Yes);
        let elsewhere = [session("ct-02", "2026-06-01")];
        assert_eq!(stated(Declared::default(), &elsewhere), Presence::Unconfirmed);
    }

    #[test]
    fn only_a_dated_answer_outlives_sessions_before_the_period() {
        let before = [session("ct-01", "2025-06-01")];
        assert_eq!(stated(answered(Presence::No), &before), Presence::No);
        assert_eq!(stated(Declared::default(), &before), Presence::Yes);
        let undated = Declared { confirmed_on: WrittenDate::default(), ..answered(Presence::No) };
        assert_eq!(stated(undated, &before), Presence::Yes);
    }

    #[test]
    fn what_follows_is_derived() {
        let declared = Declared {
            ip_address: "192.168.〇.〇、10.0.0.5（SIM）".into(),
            via_gateway: Some(ViaGateway::None),
            ..answered(Presence::Yes)
        };
        let derived = &ledger(declared.clone(), &[session("ct-01", "2026-06-01")]).rows[0].derived;
        assert!(derived.multi_homed);
        assert_eq!(derived.via_gateway, Some(ViaGateway::Some));
        assert_eq!(derived.next_review_on, NaiveDate::from_ymd_opt(2027, 5, 1));
        let derived = &ledger(Declared { ip_address: "192.168.〇.〇".into(), ..declared }, &[]).rows[0].derived;
        assert!(!derived.multi_homed);
        assert_eq!(derived.via_gateway, Some(ViaGateway::None));
    }

    #[test]
    fn the_stored_document_comes_back_and_unknown_fields_are_refused() {
        let declared = answered(Presence::No);
        let text = serde_json::to_string(&declared).unwrap();
        assert_eq!(serde_json::from_str::<Declared>(&text).unwrap(), declared);
        assert_eq!(serde_json::from_str::<Declared>("{}").unwrap(), Declared::default());
        assert!(serde_json::from_str::<Declared>(r#"{"remote_maintenence": "no"}"#).is_err());
    }
}
