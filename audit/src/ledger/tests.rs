//! The ledger as other people's tools see it, and the training material's example in both encodings.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::observe::tests::{at, session};
use super::*;
use chrono::Months;
use chrono_tz::Asia::Tokyo;
use sekimori_policy::facts::Period;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// The example's four rows, written by Python's csv module with the codecs utf-8-sig and cp932.
const UTF8: &[u8] = include_bytes!("golden/example.utf8.csv");
const CP932: &[u8] = include_bytes!("golden/example.cp932.csv");

fn ledger(entries: Vec<Entry>, sessions: &[SessionFact]) -> Ledger {
    let enforced = BTreeMap::from([("ct-01".parse().unwrap(), vec!["192.0.2.0/24".parse().unwrap()])]);
    let period = Period { from: at("2026-04-01"), until: at("2027-04-01") };
    let (now, review_cycle) = (at("2026-12-01"), Months::new(12));
    let risks = BTreeMap::from([("ct-01".parse().unwrap(), BTreeSet::from([Risk::Sha1, Risk::Cbc]))]);
    Ledger::assemble(entries, &Evidence { sessions, enforced: &enforced, risks: &risks, period, now, review_cycle })
}

fn written(rows: &[Row], columns: &[Column], encoding: Encoding) -> Vec<u8> {
    export(rows, columns, Tokyo, encoding, Unencodable::Refuse).unwrap()
}

/// A row with everything in it, and signs that are known to go wrong.
fn full() -> Entry {
    let declared = Declared {
        control_number: "0042".into(),
        software: "画像〜管理①".into(),
        description: "=HYPERLINK(\"http://x\")\n2行目, \"引用\"".into(),
        users: vec!["a医師 (〇〇科)".into(), "b医師".into()],
        remote_maintenance: Some(Presence::No),
        confirmed_on: WrittenDate::new("2026/5/1"),
        confirmed_with: "A社 髙橋".into(),
        vendor: "㈱Ａ社".into(),
        route_kind: Some(RouteKind::Mobile),
        sources_declared: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        id_kind: Some(IdKind::Personal),
        scope_class: Some(ScopeClass::Originates),
        disclosure_edition: Some(DisclosureEdition::V6),
        disclosure_blanks: Some(3),
        ..Declared::default()
    };
    Entry { device: Some("ct-01".parse().unwrap()), declared }
}

#[test]
fn the_materials_example_comes_in_and_goes_out_as_it_stands() {
    let mut read = Vec::new();
    for (bytes, encoding) in [(UTF8, Encoding::Utf8), (CP932, Encoding::Cp932)] {
        assert_eq!(Encoding::detect(bytes), encoding);
        let entries = import(bytes, encoding).unwrap();
        let rows = ledger(entries.clone(), &[]).rows;
        assert_eq!(written(&rows, example_columns(), encoding), bytes, "{encoding:?}");
        read.push(entries);
    }
    assert_eq!(read[0], read[1]);
    let [one, two, _, four] = read[0].as_slice() else { panic!("four rows") };
    assert_eq!((one.declared.control_number.as_str(), one.declared.ip_address.as_str()), ("001", "192.168.〇.〇"));
    assert_eq!(one.declared.registered_on.date(), chrono::NaiveDate::from_ymd_opt(2020, 12, 1));
    assert_eq!((two.declared.state.as_str(), two.declared.description.as_str()), ("停止", "メンテナンス"));
    assert_eq!(four.declared.software_version, "5.0.1");
    assert_eq!(four.declared.users, ["a医師 (〇〇科)", "b医師 (〇〇科)", "c医師 (△△科)"]);
}

#[test]
fn a_utf8_file_without_its_mark_is_read_as_well() {
    let bare = UTF8.strip_prefix(b"\xef\xbb\xbf").unwrap();
    assert_eq!(import(bare, Encoding::detect(bare)).unwrap(), import(UTF8, Encoding::Utf8).unwrap());
}

#[test]
fn every_column_shows_what_was_declared_and_what_was_seen() {
    let rows = ledger(vec![full()], &[session("ct-01", "2026-06-01")]).rows;
    let bytes = written(&rows, columns(), Encoding::Utf8);
    let table = with_python("utf-8-sig", &bytes);
    let cell = |header: &str| {
        let at = table[0].iter().position(|heading| heading == header).unwrap_or_else(|| panic!("{header}"));
        table[1][at].as_str()
    };
    for (header, expected) in [
        ("管理番号", "0042"),
        ("説明", "'=HYPERLINK(\"http://x\")\n2行目, \"引用\""),
        ("リモート保守の有無", "有"),
        ("リモート保守の有無（申告）", "無"),
        ("経路種別", "モバイル(SIM)"),
        ("ゲートウェイ経由", "一部"),
        ("ゲートウェイ経由（申告）", ""),
        ("接続元制限（申告）", "192.0.2.0/24、2001:db8::/32"),
        ("接続元制限（設定）", "192.0.2.0/24"),
        ("接続元（実績）", "192.0.2.7"),
        ("ID種別（申告）", "個人"),
        ("ID種別（実績）", "個人"),
        ("認証要素（実績）", "パスワード、ワンタイムコード"),
        ("最終接続日時", "2026/06/01 21:00"),
        ("最終接続者", "eng1"),
        ("接続回数（期間）", "1"),
        ("接続時間・分（期間）", "60"),
        ("次回確認期日", "2027/05/01"),
    ] {
        assert_eq!(cell(header), expected, "{header}");
    }
}

#[test]
fn a_full_export_is_read_back_as_it_was_declared() {
    let rows = ledger(vec![full()], &[session("ct-01", "2026-06-01")]).rows;
    let bytes = written(&rows, columns(), Encoding::Utf8);
    assert_eq!(import(&bytes, Encoding::Utf8).unwrap(), [full()]);
}

/// Python's own codec and CSV reader, and iconv, agree on what the CP932 file says.
#[test]
fn independent_readers_agree_on_cp932() {
    let rows = ledger(vec![full()], &[session("ct-01", "2026-06-01")]).rows;
    let bytes = written(&rows, columns(), Encoding::Cp932);
    // The wave dash is Microsoft's full-width tilde in CP932.
    let utf8 = String::from_utf8(written(&rows, columns(), Encoding::Utf8)).unwrap().replace('〜', "～");
    assert_eq!(with_python("cp932", &bytes), with_python("utf-8-sig", utf8.as_bytes()));
    let converted = piped("iconv", &["-f", "CP932", "-t", "UTF-8"], &bytes, "libc-bin");
    assert_eq!(String::from_utf8(converted).unwrap(), utf8.trim_start_matches('\u{feff}'));
    assert!(bytes.ends_with(b"\r\n") && !utf8.contains("\n\r"));
}

#[test]
fn what_cp932_cannot_hold_is_named_and_nothing_is_written_unless_asked() {
    let mut entry = full();
    entry.declared.location = "𠮷野棟".into();
    entry.declared.purpose = "点検🏥".into();
    let rows = ledger(vec![full(), entry], &[]).rows;
    let faults = export(&rows, columns(), Tokyo, Encoding::Cp932, Unencodable::Refuse).unwrap_err();
    let named: Vec<(u64, Option<&str>)> = faults.iter().map(|fault| (fault.row, fault.column.as_deref())).collect();
    assert_eq!(named, [(3, Some("設置場所")), (3, Some("目的"))]);
    let replaced = export(&rows, columns(), Tokyo, Encoding::Cp932, Unencodable::Replace).unwrap();
    let table = with_python("cp932", &replaced);
    assert!(table[2].iter().any(|cell| cell == "〓野棟") && table[2].iter().any(|cell| cell == "点検〓"));
}

/// The table as Python's csv module reads it.
fn with_python(codec: &str, bytes: &[u8]) -> Vec<Vec<String>> {
    let script = "import csv, io, json, sys\n\
                  text = sys.stdin.buffer.read().decode(sys.argv[1])\n\
                  print(json.dumps(list(csv.reader(io.StringIO(text, newline='')))))";
    serde_json::from_slice(&piped("python3", &["-c", script, codec], bytes, "python3")).unwrap()
}

fn piped(program: &str, arguments: &[&str], input: &[u8], package: &str) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install {package}"));
    child.stdin.take().expect("piped").write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} failed");
    output.stdout
}
