//! The ledger's columns as data: heading, field, where the value comes from, and how a cell is written and read.
//!
//! The first twelve are the training material's example, as they stand there; then who updated the row last; then the
//! columns beyond, in the order in which an inspector asks.

use super::choice::{Choice, WrittenDate, narrow};
use super::fault::Problem;
use super::row::{Entry, Row};
use chrono_tz::Tz;
use ipnet::IpNet;
use sekimori_policy::facts::{Language, Method, Period};
use std::fmt::Display;
use std::net::IpAddr;

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// People type or import it (M, I).
    Typed,
    /// People declare it, and what the gateway sees can raise it (M, G). Its declaration has a column of its own.
    TypedAndGateway,
    /// The gateway feeds it (G). Passed over on import.
    Gateway,
    /// It follows from others (D). Passed over on import.
    Derived,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading in files and on screens.
    pub header: &'static str,
    /// The field's name in documents and in `--json`.
    pub field: &'static str,
    /// Where the value comes from.
    pub origin: Origin,
    write: fn(&Row, Tz) -> String,
    read: Option<Reader>,
}

/// Reads a cell's text into an entry.
type Reader = fn(&mut Entry, &str) -> Result<(), Problem>;

impl Column {
    /// A row's value as text, with times in the hospital's zone. Not yet guarded against spreadsheets.
    #[must_use]
    pub fn text(&self, row: &Row, zone: Tz) -> String {
        (self.write)(row, zone)
    }

    /// Reads a cell into an entry; a value that only the gateway knows is passed over.
    pub(super) fn read(&self, entry: &mut Entry, text: &str) -> Result<(), Problem> {
        self.read.map_or(Ok(()), |read| read(entry, text))
    }
}

/// All columns.
#[must_use]
pub fn columns() -> &'static [Column] {
    COLUMNS
}

/// The twelve columns of the training material's example.
#[must_use]
pub fn example_columns() -> &'static [Column] {
    COLUMNS.get(..12).unwrap_or(COLUMNS)
}

/// A text that is kept as it stands.
macro_rules! text {
    ($header:literal, $field:ident) => {
        typed!($header, $field, |row| row.declared.$field.clone(), |text| Ok(text.to_owned()))
    };
}

/// A word out of a list.
macro_rules! choice {
    ($header:literal, $field:ident) => {
        typed!($header, $field, |row| word(row.declared.$field), one_of)
    };
}

/// A date that must be one.
macro_rules! date {
    ($header:literal, $field:ident) => {
        typed!($header, $field, |row| row.declared.$field.as_str().to_owned(), strict_date)
    };
}

/// A date that is kept even where it is none ("平成20年頃").
macro_rules! loose_date {
    ($header:literal, $field:ident) => {
        typed!($header, $field, |row| row.declared.$field.as_str().to_owned(), |text| Ok(WrittenDate::new(text)))
    };
}

macro_rules! typed {
    ($header:literal, $field:ident, |$row:ident| $write:expr, $read:expr) => {
        Column {
            header: $header,
            field: stringify!($field),
            origin: Origin::Typed,
            write: |$row, _| $write,
            read: Some(|entry, text| {
                let read: fn(&str) -> Result<_, Problem> = $read;
                entry.declared.$field = read(text)?;
                Ok(())
            }),
        }
    };
}

/// What people declare and the gateway can raise: the derived value is written, the declaration is read.
macro_rules! raised {
    ($header:literal, $field:ident, |$row:ident| $write:expr) => {
        Column { header: $header, origin: Origin::TypedAndGateway, ..typed!($header, $field, |$row| $write, one_of) }
    };
}

/// A value that is only ever written.
macro_rules! shown {
    ($origin:ident, $header:literal, $field:literal, |$row:ident, $zone:pat_param| $write:expr) => {
        Column {
            header: $header,
            field: $field,
            origin: Origin::$origin,
            write: |$row: &Row, $zone: Tz| $write,
            read: None,
        }
    };
}

const COLUMNS: &[Column] = &[
    typed!("管理番号", control_number, |row| row.declared.control_number.clone(), control_number),
    text!("メーカー", maker),
    text!("OS", os),
    text!("ソフトウェア", software),
    text!("ソフトウェアバージョン", software_version),
    text!("IPアドレス", ip_address),
    text!("コンピュータ名", computer_name),
    text!("設置場所", location),
    typed!("利用者", users, |row| row.declared.users.join("、"), users),
    loose_date!("登録日", registered_on),
    text!("状態", state),
    text!("説明", description),
    loose_date!("最終更新日", updated_on),
    text!("最終更新者", updated_by),
    Column {
        header: "機器ID",
        field: "device",
        origin: Origin::Typed,
        write: |row, _| row.device.as_ref().map(ToString::to_string).unwrap_or_default(),
        read: Some(read_device),
    },
    choice!("機器種別", device_type),
    choice!("対象区分", scope_class),
    text!("対象区分の理由", scope_reason),
    shown!(Derived, "2系統接続", "multi_homed", |row, _| if row.derived.multi_homed {
        "有".into()
    } else {
        String::new()
    }),
    text!("セキュリティ対策", security_measures),
    text!("利用者認証方法", auth_method),
    text!("認証サーバ", auth_server),
    date!("パッチ適用日", patched_on),
    raised!("リモート保守の有無", remote_maintenance, |row| row.derived.remote_maintenance.ja().to_owned()),
    choice!("リモート保守の有無（申告）", remote_maintenance),
    date!("確認日", confirmed_on),
    text!("確認の相手", confirmed_with),
    text!("証跡", evidence),
    text!("保守事業者", vendor),
    text!("再委託先", subcontractor),
    text!("目的", purpose),
    choice!("経路種別", route_kind),
    text!("経由機器", route_device),
    text!("回線番号", line_id),
    raised!("ゲートウェイ経由", via_gateway, |row| word(row.derived.via_gateway)),
    choice!("ゲートウェイ経由（申告）", via_gateway),
    typed!("接続元制限（申告）", sources_declared, |row| joined(&row.declared.sources_declared), networks),
    shown!(Gateway, "接続元制限（設定）", "sources_enforced", |row, _| joined(&row.observed.sources_enforced)),
    shown!(Gateway, "接続元（実績）", "sources_seen", |row, _| joined(&row.observed.sources_seen)),
    choice!("ID種別（申告）", id_kind),
    shown!(Gateway, "ID種別（実績）", "id_kind_observed", |row, _| word(row.observed.id_kind_observed)),
    text!("認証要素（申告）", factors),
    shown!(Gateway, "認証要素（実績）", "factors_observed", |row, _| {
        row.observed.factors_observed.iter().map(|method| method_ja(*method)).collect::<Vec<_>>().join("、")
    }),
    shown!(Gateway, "通信方式の危険", "risks", |row, _| joined(
        row.observed.risks.iter().map(|risk| risk.name(Language::Ja))
    )),
    shown!(Gateway, "端末安全確認日", "endpoint_attested_on", |row, zone| {
        row.observed.endpoint_attested_on.map(|period| attested(period, zone)).unwrap_or_default()
    }),
    shown!(Gateway, "最終接続日時", "last_session_at", |row, zone| {
        let local = row.observed.last_session_at.map(|at| at.with_timezone(&zone));
        local.map(|at| at.format("%Y/%m/%d %H:%M").to_string()).unwrap_or_default()
    }),
    shown!(Gateway, "最終接続者", "last_person", |row, _| {
        row.observed.last_person.as_ref().map(ToString::to_string).unwrap_or_default()
    }),
    shown!(Gateway, "接続回数（期間）", "session_count", |row, _| count(row, row.observed.session_count)),
    shown!(Gateway, "接続時間・分（期間）", "session_minutes", |row, _| count(
        row,
        row.observed.session_minutes
    )),
    shown!(Gateway, "未確認の作業数", "unreviewed_count", |row, _| count(row, row.observed.unreviewed_count)),
    text!("開示書の種別", disclosure_kind),
    choice!("開示書の版", disclosure_edition),
    date!("開示書の受領日", disclosure_received_on),
    typed!(
        "開示書の空欄数",
        disclosure_blanks,
        |row| row.declared.disclosure_blanks.map(|blanks| blanks.to_string()).unwrap_or_default(),
        number
    ),
    shown!(Derived, "次回確認期日", "next_review_on", |row, _| {
        row.derived.next_review_on.map(|day| day.format("%Y/%m/%d").to_string()).unwrap_or_default()
    }),
];

fn word<C: Choice>(choice: Option<C>) -> String {
    choice.map(|choice| choice.ja().to_owned()).unwrap_or_default()
}

fn joined(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join("、")
}

fn method_ja(method: Method) -> &'static str {
    match method {
        Method::Password => "パスワード",
        Method::Totp => "ワンタイムコード",
        Method::RecoveryCode => "回復コード",
        Method::SshKey => "SSH鍵",
        Method::Passkey => "パスキー",
    }
}

fn attested(period: Period, zone: Tz) -> String {
    let day = |at: chrono::DateTime<chrono::Utc>| at.with_timezone(&zone).format("%Y/%m/%d");
    format!("{}（{}まで）", day(period.from), day(period.until))
}

/// Equipment that is not reached through the gateway has no counts: 0 would say that somebody looked.
fn count(row: &Row, count: u64) -> String {
    if row.device.is_some() { count.to_string() } else { String::new() }
}

fn control_number(text: &str) -> Result<String, Problem> {
    if text.trim().is_empty() { Err(Problem::Empty) } else { Ok(text.trim().to_owned()) }
}

fn users(text: &str) -> Result<Vec<String>, Problem> {
    Ok(text.split('、').map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned).collect())
}

fn read_device(entry: &mut Entry, text: &str) -> Result<(), Problem> {
    let text = text.trim();
    entry.device = match text {
        "" => None,
        _ => Some(text.parse().map_err(|_| Problem::NotADevice(text.to_owned()))?),
    };
    Ok(())
}

fn one_of<C: Choice>(text: &str) -> Result<Option<C>, Problem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let choices = || C::ALL.iter().map(|choice| choice.ja()).collect();
    C::named(text).map(Some).ok_or_else(|| Problem::NoneOf { text: text.to_owned(), choices: choices() })
}

fn strict_date(text: &str) -> Result<WrittenDate, Problem> {
    let date = WrittenDate::new(text);
    if text.trim().is_empty() || date.date().is_some() { Ok(date) } else { Err(Problem::NotADate(text.to_owned())) }
}

fn number(text: &str) -> Result<Option<u32>, Problem> {
    match narrow(text).as_str() {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| Problem::NotANumber(text.to_owned())),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, Problem> {
    let parts = text.split(['、', ',', '，', ';', '\n', ' ']).map(narrow).filter(|part| !part.is_empty());
    let read = |part: String| {
        let network = part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(|network| network.trunc()).ok_or(Problem::NotANetwork(part))
    };
    parts.map(read).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::observe::Observed;
    use super::super::row::Declared;
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_twelve_are_the_materials() {
        let headers: Vec<&str> = example_columns().iter().map(|column| column.header).collect();
        let material = "管理番号, メーカー, OS, ソフトウェア, ソフトウェアバージョン, IPアドレス, コンピュータ名, 設置場所, 利用者, 登録日, 状態, 説明";
        assert_eq!(headers.join(", "), material);
    }

    #[test]
    fn every_field_of_the_row_has_a_column_and_every_column_its_field() {
        let fields = |value: Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
        let of = |origins: &[Origin]| -> BTreeSet<String> {
            let columns = columns().iter().filter(|column| origins.contains(&column.origin));
            columns.map(|column| column.field.to_owned()).filter(|field| field != "device").collect()
        };
        let declared = fields(serde_json::to_value(Declared::default()).unwrap());
        assert_eq!(of(&[Origin::Typed]), declared);
        assert!(of(&[Origin::TypedAndGateway]).is_subset(&declared));
        let mut observed = fields(serde_json::to_value(Observed::default()).unwrap());
        // Whether the gateway saw anything shows in ゲートウェイ経由, which is raised by it.
        observed.remove("via_gateway");
        assert_eq!(of(&[Origin::Gateway]), observed);
        assert_eq!(of(&[Origin::Derived]), ["multi_homed", "next_review_on"].map(str::to_owned).into());
    }

    #[test]
    fn headings_are_distinct_and_raised_ones_have_a_declaration() {
        let headers: BTreeSet<&str> = columns().iter().map(|column| column.header).collect();
        assert_eq!(headers.len(), columns().len());
        for column in columns().iter().filter(|column| column.origin == Origin::TypedAndGateway) {
            assert!(headers.contains(format!("{}（申告）", column.header).as_str()), "{}", column.header);
        }
    }
}
