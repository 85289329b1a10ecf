//! Where the declared and the observed disagree, each with a stable code and a sentence in two languages.

use super::choice::{IdKind, Presence};
use super::observe::Observed;
use super::risk::Risk;
use super::row::{Declared, Row};
use ipnet::IpNet;
use sekimori_policy::facts::Language;
use sekimori_policy::id::DeviceId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One disagreement. `equipment` is the row's 管理番号 with the gateway's device in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Mismatch {
    /// Declared 無, but sessions were seen.
    AbsentButSeen {
        /// The row.
        equipment: String,
        /// Sessions in the period.
        sessions: u64,
    },
    /// Declared 個人, but a shared account of the device was used.
    PersonalButShared {
        /// The row.
        equipment: String,
    },
    /// A device was reached that is in no ledger row.
    NotInLedger {
        /// The device.
        device: DeviceId,
        /// Sessions in the period.
        sessions: u64,
    },
    /// Source networks were declared, and the gateway enforces something else.
    SourceNotEnforced {
        /// The row.
        equipment: String,
        /// Declared networks that nothing is limited to.
        not_enforced: Vec<IpNet>,
        /// Networks that are let in beyond the declared ones.
        beyond: Vec<IpNet>,
    },
    /// A route leads through a device whose last patch nobody dated, or that is in no row itself.
    RouteDeviceUnpatched {
        /// The device, as the rows name it.
        route_device: String,
        /// Whether it has a ledger row.
        in_ledger: bool,
        /// The rows whose routes lead through it.
        serves: Vec<String>,
    },
    /// The gateway may speak to the device in a way that is no longer safe.
    UnsafeConnection {
        /// The row.
        equipment: String,
        /// What is unsafe about it.
        risks: BTreeSet<Risk>,
    },
}

impl Mismatch {
    /// The stable code, never reused.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AbsentButSeen { .. } => "absent-but-seen",
            Self::PersonalButShared { .. } => "personal-but-shared",
            Self::NotInLedger { .. } => "not-in-ledger",
            Self::SourceNotEnforced { .. } => "source-not-enforced",
            Self::RouteDeviceUnpatched { .. } => "route-device-unpatched",
            Self::UnsafeConnection { .. } => "unsafe-connection",
        }
    }

    /// What disagrees, and what to do.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::Ja => self.ja(),
            Language::En => self.en(),
        }
    }

    fn ja(&self) -> String {
        match self {
            Self::AbsentButSeen { equipment, sessions } => format!(
                "{equipment}：リモート保守は「無」と申告されていますが、接続の実績があります（期間内{sessions}回）。事業者に確認し、申告を改めてください。"
            ),
            Self::PersonalButShared { equipment } => format!(
                "{equipment}：IDは「個人」と申告されていますが、機器の共用アカウントが使われました。申告を改めるか、個人のアカウントを用意してください。"
            ),
            Self::NotInLedger { device, sessions } => format!(
                "{device}：接続の実績（期間内{sessions}回）がありますが、機器台帳に記載がありません。台帳に登録してください。"
            ),
            Self::SourceNotEnforced { equipment, not_enforced, beyond } => {
                let mut text = format!("{equipment}：申告された接続元と、設定されている接続元制限が一致しません。");
                if !not_enforced.is_empty() {
                    text.push_str(&format!("制限されていない申告：{}。", list(not_enforced)));
                }
                if !beyond.is_empty() {
                    text.push_str(&format!("申告にない許可：{}。", list(beyond)));
                }
                text + "事業者・保守要員・機器の接続元を設定してください。"
            }
            Self::RouteDeviceUnpatched { route_device, in_ledger: true, serves } => format!(
                "{route_device}：リモート保守の経由機器（対象：{}）ですが、パッチ適用日が記載されていません。適用日を確認し、記入してください。",
                serves.join("、")
            ),
            Self::RouteDeviceUnpatched { route_device, in_ledger: false, serves } => format!(
                "{route_device}：リモート保守の経由機器（対象：{}）ですが、機器台帳に記載がなく、パッチ適用日が分かりません。台帳に登録してください。",
                serves.join("、")
            ),
            Self::UnsafeConnection { equipment, risks } => format!(
                "{equipment}：安全でない通信方式（{}）が許可されています。更新の予定を事業者に確認し、更新後に許可を取り消してください。",
                names(risks, Language::Ja).join("、")
            ),
        }
    }

    fn en(&self) -> String {
        match self {
            Self::AbsentButSeen { equipment, sessions } => format!(
                "{equipment}: declared as not remotely maintained, but sessions were seen ({sessions} in the period): ask the vendor and correct the declaration"
            ),
            Self::PersonalButShared { equipment } => format!(
                "{equipment}: declared with personal IDs, but a shared account of the device was used: correct the declaration or set up personal accounts"
            ),
            Self::NotInLedger { device, sessions } => {
                format!("{device}: reached ({sessions} sessions in the period), but in no ledger row: register it")
            }
            Self::SourceNotEnforced { equipment, not_enforced, beyond } => {
                let mut text = format!("{equipment}: the sources declared are not the ones enforced");
                if !not_enforced.is_empty() {
                    text.push_str(&format!("; declared but not enforced: {}", list(not_enforced)));
                }
                if !beyond.is_empty() {
                    text.push_str(&format!("; let in beyond the declared: {}", list(beyond)));
                }
                text + ": set the sources of the vendor, the person or the device"
            }
            Self::RouteDeviceUnpatched { route_device, in_ledger: true, serves } => format!(
                "{route_device}: a route leads through it (to {}), but it has no patch date: find out and fill it in",
                serves.join(", ")
            ),
            Self::RouteDeviceUnpatched { route_device, in_ledger: false, serves } => format!(
                "{route_device}: a route leads through it (to {}), but it is in no ledger row and its patch date is unknown: register it",
                serves.join(", ")
            ),
            Self::UnsafeConnection { equipment, risks } => format!(
                "{equipment}: unsafe ways to connect are permitted ({}): ask the vendor when it is renewed, and withdraw the permission then",
                names(risks, Language::En).join(", ")
            ),
        }
    }
}

fn names(risks: &BTreeSet<Risk>, language: Language) -> Vec<&'static str> {
    risks.iter().map(|risk| risk.name(language)).collect()
}

fn list(networks: &[IpNet]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Every mismatch: row by row, then devices in no row, then route devices.
pub(super) fn mismatches(rows: &[Row], seen: &BTreeMap<DeviceId, Observed>) -> Vec<Mismatch> {
    let of_rows = rows.iter().flat_map(|row| {
        [absent_but_seen(row), personal_but_shared(row), source_not_enforced(row), unsafe_connection(row)]
            .into_iter()
            .flatten()
    });
    of_rows.chain(not_in_ledger(rows, seen)).chain(route_devices_unpatched(rows)).collect()
}

fn absent_but_seen(row: &Row) -> Option<Mismatch> {
    let declared_absent = row.declared.remote_maintenance == Some(Presence::No);
    (declared_absent && row.derived.remote_maintenance == Presence::Yes)
        .then(|| Mismatch::AbsentButSeen { equipment: equipment(row), sessions: row.observed.session_count })
}

fn personal_but_shared(row: &Row) -> Option<Mismatch> {
    let declared_personal = row.declared.id_kind == Some(IdKind::Personal);
    (declared_personal && row.observed.id_kind_observed == Some(IdKind::Shared))
        .then(|| Mismatch::PersonalButShared { equipment: equipment(row) })
}

/// A declared network counts as enforced when something is limited to it or to a part of it; whatever is let in beyond
/// all declared networks is named as well, so that `0.0.0.0/0` never passes for a restriction.
fn source_not_enforced(row: &Row) -> Option<Mismatch> {
    let (declared, enforced) = (&row.declared.sources_declared, &row.observed.sources_enforced);
    if declared.is_empty() {
        return None;
    }
    let outside = |network: &&IpNet, within: &[IpNet]| !within.iter().any(|wider| wider.contains(*network));
    let not_enforced: Vec<IpNet> = declared
        .iter()
        .filter(|declared| !enforced.iter().any(|enforced| declared.contains(enforced)))
        .copied()
        .collect();
    let beyond: Vec<IpNet> = enforced.iter().filter(|enforced| outside(enforced, declared)).copied().collect();
    (!not_enforced.is_empty() || !beyond.is_empty()).then(|| Mismatch::SourceNotEnforced {
        equipment: equipment(row),
        not_enforced,
        beyond,
    })
}

fn unsafe_connection(row: &Row) -> Option<Mismatch> {
    let risks = &row.observed.risks;
    (!risks.is_empty()).then(|| Mismatch::UnsafeConnection { equipment: equipment(row), risks: risks.clone() })
}

/// A row without a 管理番号 is a device that the gateway knows and the ledger does not.
fn not_in_ledger(rows: &[Row], seen: &BTreeMap<DeviceId, Observed>) -> Vec<Mismatch> {
    let listed: BTreeSet<&DeviceId> = rows
        .iter()
        .filter(|row| !row.declared.control_number.trim().is_empty())
        .filter_map(|row| row.device.as_ref())
        .collect();
    seen.iter()
        .filter(|(device, _)| !listed.contains(device))
        .map(|(device, seen)| Mismatch::NotInLedger { device: device.clone(), sessions: seen.session_count })
        .collect()
}

fn route_devices_unpatched(rows: &[Row]) -> Vec<Mismatch> {
    let mut routes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.declared.route_device.trim().is_empty()) {
        routes.entry(row.declared.route_device.trim()).or_default().push(equipment(row));
    }
    let unpatched = routes.into_iter().filter_map(|(route_device, serves)| {
        let found: Vec<&Declared> =
            rows.iter().filter(|row| is_named(row, route_device)).map(|row| &row.declared).collect();
        let patched = found.iter().any(|declared| declared.patched_on.date().is_some());
        let route_device = route_device.to_owned();
        (!patched).then_some(Mismatch::RouteDeviceUnpatched { route_device, in_ledger: !found.is_empty(), serves })
    });
    unpatched.collect()
}

fn is_named(row: &Row, name: &str) -> bool {
    row.declared.control_number.trim() == name
        || row.declared.computer_name.trim() == name
        || row.device.as_ref().is_some_and(|device| device.as_str() == name)
}

fn equipment(row: &Row) -> String {
    let number = row.declared.control_number.trim();
    match &row.device {
        Some(device) if number.is_empty() => device.to_string(),
        Some(device) => format!("{number} ({device})"),
        None => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::choice::WrittenDate;
    use super::super::observe::SessionFact;
    use super::super::observe::tests::{at, session};
    use super::super::row::{Entry, Evidence, Ledger};
    use super::*;
    use chrono::Months;
    use sekimori_policy::facts::Period;

    fn entry(device: Option<&str>, number: &str) -> Entry {
        let declared = Declared { control_number: number.into(), ..Declared::default() };
        Entry { device: device.map(|device| device.parse().unwrap()), declared }
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(entries: Vec<Entry>, sessions: &[SessionFact], enforced: &[&str]) -> Vec<Mismatch> {
        found_with(entries, sessions, enforced, &BTreeMap::new())
    }

    fn found_with(
        entries: Vec<Entry>,
        sessions: &[SessionFact],
        enforced: &[&str],
        risks: &BTreeMap<DeviceId, BTreeSet<Risk>>,
    ) -> Vec<Mismatch> {
        let enforced = BTreeMap::from([("ct-01".parse().unwrap(), nets(enforced))]);
        let period = Period { from: at("2026-04-01"), until: at("2027-04-01") };
        let now = at("2026-12-01");
        let review_cycle = Months::new(12);
        let evidence = Evidence { sessions, enforced: &enforced, risks, period, now, review_cycle };
        Ledger::assemble(entries, &evidence).mismatches
    }

    #[test]
    fn agreement_is_not_listed() {
        let mut good = entry(Some("ct-01"), "001");
        good.declared.remote_maintenance = Some(Presence::Yes);
        good.declared.id_kind = Some(IdKind::Personal);
        good.declared.sources_declared = nets(&["192.0.2.0/24"]);
        good.declared.route_device = "R-1".into();
        let mut router = entry(None, "R-1");
        router.declared.patched_on = WrittenDate::new("2026/4/1");
        assert_eq!(found(vec![good, router], &[session("ct-01", "2026-05-01")], &["192.0.2.7/32"]), []);
    }

    #[test]
    fn declared_absent_but_seen() {
        let mut absent = entry(Some("ct-01"), "001");
        absent.declared.remote_maintenance = Some(Presence::No);
        let expected = Mismatch::AbsentButSeen { equipment: "001 (ct-01)".into(), sessions: 1 };
        assert_eq!(found(vec![absent.clone()], &[session("ct-01", "2026-05-01")], &[]), [expected]);
        assert_eq!(found(vec![absent], &[], &[]), []);
    }

    #[test]
    fn declared_personal_but_a_shared_account_used() {
        let mut personal = entry(Some("ct-01"), "001");
        personal.declared.id_kind = Some(IdKind::Personal);
        let shared = SessionFact { shared: true, ..session("ct-01", "2026-05-01") };
        let expected = Mismatch::PersonalButShared { equipment: "001 (ct-01)".into() };
        assert_eq!(found(vec![personal], &[shared], &[]), [expected]);
    }

    #[test]
    fn a_device_reached_that_is_in_no_row() {
        let sessions = [session("ct-01", "2026-05-01"), session("mr-02", "2025-05-01")];
        let missing = |device: &str, sessions| Mismatch::NotInLedger { device: device.parse().unwrap(), sessions };
        assert_eq!(found(vec![entry(Some("ct-01"), "001")], &sessions, &[]), [missing("mr-02", 0)]);
        let unnumbered = vec![entry(Some("ct-01"), " ")];
        assert_eq!(found(unnumbered, &sessions, &[]), [missing("ct-01", 1), missing("mr-02", 0)]);
    }

    #[test]
    fn declared_sources_that_are_not_enforced() {
        let mut row = entry(Some("ct-01"), "001");
        row.declared.sources_declared = nets(&["192.0.2.0/24", "198.51.100.0/24"]);
        let listed = |not_enforced: &[&str], beyond: &[&str]| {
            let (not_enforced, beyond) = (nets(not_enforced), nets(beyond));
            vec![Mismatch::SourceNotEnforced { equipment: "001 (ct-01)".into(), not_enforced, beyond }]
        };
        let both = ["192.0.2.0/24", "198.51.100.0/24"];
        assert_eq!(found(vec![row.clone()], &[], &both), []);
        assert_eq!(found(vec![row.clone()], &[], &[]), listed(&both, &[]));
        assert_eq!(found(vec![row.clone()], &[], &["192.0.2.7/32"]), listed(&["198.51.100.0/24"], &[]));
        assert_eq!(found(vec![row.clone()], &[], &["0.0.0.0/0"]), listed(&both, &["0.0.0.0/0"]));
        row.device = None;
        assert_eq!(found(vec![row], &[], &both).len(), 1, "the gateway enforces nothing where it is not the way");
    }

    #[test]
    fn route_devices_without_a_patch_date() {
        let mut one = entry(None, "001");
        one.declared.route_device = "VPN1".into();
        let mut two = entry(None, "002");
        two.declared.route_device = " VPN1 ".into();
        let mut router = entry(None, "900");
        router.declared.computer_name = "VPN1".into();
        router.declared.patched_on = WrittenDate::new("不明");
        let listed = |in_ledger| Mismatch::RouteDeviceUnpatched {
            route_device: "VPN1".into(),
            in_ledger,
            serves: vec!["001".into(), "002".into()],
        };
        assert_eq!(found(vec![one.clone(), two.clone(), router.clone()], &[], &[]), [listed(true)]);
        assert_eq!(found(vec![one.clone(), two.clone()], &[], &[]), [listed(false)]);
        router.declared.patched_on = WrittenDate::new("2026/4/1");
        assert_eq!(found(vec![one, two, router], &[], &[]), []);
    }

    #[test]
    fn a_way_that_is_not_safe_though_it_is_allowed() {
        let allowed = BTreeSet::from([Risk::Sha1, Risk::Group1]);
        let risks = BTreeMap::from([("ct-01".parse().unwrap(), allowed.clone())]);
        let expected = Mismatch::UnsafeConnection { equipment: "001 (ct-01)".into(), risks: allowed };
        assert_eq!(found_with(vec![entry(Some("ct-01"), "001")], &[], &[], &risks), [expected]);
        assert_eq!(found_with(vec![entry(Some("mr-02"), "002"), entry(None, "003")], &[], &[], &risks), []);
    }

    #[test]
    fn every_mismatch_says_what_and_where_in_both_languages() {
        let mut row = entry(Some("ct-01"), "001");
        row.declared.remote_maintenance = Some(Presence::No);
        row.declared.id_kind = Some(IdKind::Personal);
        row.declared.sources_declared = nets(&["192.0.2.0/24"]);
        row.declared.route_device = "VPN1".into();
        let sessions = [SessionFact { shared: true, ..session("ct-01", "2026-05-01") }, session("mr-02", "2026-05-01")];
        let risks = BTreeMap::from([("ct-01".parse().unwrap(), BTreeSet::from([Risk::Sha1]))]);
        let all = found_with(vec![row], &sessions, &["0.0.0.0/0"], &risks);
        let codes: BTreeSet<&str> = all.iter().map(Mismatch::code).collect();
        assert_eq!(codes.len(), 6);
        for mismatch in &all {
            assert_eq!(serde_json::to_value(mismatch).unwrap().get("code").unwrap(), mismatch.code());
            let (ja, en) = (mismatch.sentence(Language::Ja), mismatch.sentence(Language::En));
            let named = ["001", "mr-02", "VPN1"].iter().any(|name| ja.contains(name) && en.contains(name));
            assert!(named && ja.contains("ください") && !en.contains("。"), "{ja} / {en}");
        }
    }
}
