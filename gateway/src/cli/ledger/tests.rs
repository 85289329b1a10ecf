//! The ledger in and out of files, through the whole command line.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use crate::cli::error::CliError;
use crate::cli::work::office::Office;
use sekimori_audit::event::Kind;
use sekimori_audit::ledger::{Encoding, import};

async fn row(office: &Office, device: &str) -> serde_json::Value {
    office.store().await.device(&device.parse().unwrap()).await.unwrap().unwrap().ledger
}

async fn set(office: &Office, device: &str, number: &str) {
    let number = format!("control_number={number}");
    office.done("admin", &["ledger", "set", device, &number, "remote_maintenance=無", "location=1階 CT室"]).await;
}

#[tokio::test]
async fn what_is_exported_can_be_imported_again_in_both_encodings() {
    let office = Office::new().await;
    set(&office, "ct-01", "001").await;
    set(&office, "mri-01", "002").await;
    let before = row(&office, "ct-01").await;
    assert_eq!((&before["remote_maintenance"], &before["control_number"]), (&"no".into(), &"001".into()));
    for (name, encoding) in [("utf-8", Encoding::Utf8), ("cp932", Encoding::Cp932)] {
        let out = office.path(name);
        let file = out.display().to_string();
        office.done("auditor", &["ledger", "export", "--out", &file, "--encoding", name]).await;
        let bytes = std::fs::read(&out).unwrap();
        assert_eq!(bytes.starts_with(b"\xef\xbb\xbf"), encoding == Encoding::Utf8);
        assert_eq!(import(&bytes, encoding).unwrap().len(), 2);
        office.done("admin", &["ledger", "set", "ct-01", "location=どこか"]).await;
        office.done("admin", &["ledger", "import", &file]).await;
        assert_eq!(row(&office, "ct-01").await["location"], before["location"], "{name}");
        let again = office.act("auditor", &["ledger", "export", "--out", &file]).await;
        assert!(matches!(again, Err(CliError::Conflict(_))), "{again:?}");
        assert_eq!(std::fs::read(&out).unwrap(), bytes, "an export was written over");
    }
}

#[tokio::test]
async fn devices_ledger_and_files_understand_the_same_words_and_codes() {
    let office = Office::new().await;
    let file = office.path("ledger.csv");
    let expected = |row: serde_json::Value| (row["remote_maintenance"].clone(), row["maker"].clone());
    let wanted = (serde_json::Value::from("yes"), serde_json::Value::from("A社"));
    for (presence, maker) in [
        ("remote_maintenance=yes", "maker=A社"),
        ("リモート保守の有無=有", "メーカー=A社"),
        ("remote_maintenance=あり", "メーカー=A社"),
    ] {
        for verb in [
            &["ledger", "set", "ct-01", presence, maker][..],
            &["device", "change", "ct-01", "--ledger", presence, "--ledger", maker],
        ] {
            let empty = ["ledger", "set", "ct-01", "control_number=001", "remote_maintenance=", "maker="];
            office.done("admin", &empty).await;
            office.done("admin", verb).await;
            assert_eq!(expected(row(&office, "ct-01").await), wanted, "{verb:?}");
        }
        let ((field, word), (heading, name)) = (presence.split_once('=').unwrap(), maker.split_once('=').unwrap());
        std::fs::write(&file, format!("control_number,device,{field},{heading}\n001,ct-01,{word},{name}\n")).unwrap();
        office.done("admin", &["ledger", "import", &file.display().to_string()]).await;
        assert_eq!(expected(row(&office, "ct-01").await), wanted, "{field} in a file");
    }
}

#[tokio::test]
async fn a_file_that_names_a_stranger_changes_no_row() {
    let office = Office::new().await;
    set(&office, "ct-01", "001").await;
    let before = row(&office, "ct-01").await;
    let file = office.path("ledger.csv");
    std::fs::write(&file, "管理番号,機器ID,設置場所\n001,ct-01,屋上\n\n009,ct-09,地下\n010,,倉庫\n").unwrap();
    let refused =
        office.act("admin", &["ledger", "import", &file.display().to_string()]).await.unwrap_err().to_string();
    assert!(refused.contains("管理番号 009: no device ct-09") && refused.contains("管理番号 010"), "{refused}");
    assert_eq!(row(&office, "ct-01").await, before);
    assert!(office.events(Kind::LedgerImport).await.is_empty());
}

#[tokio::test]
async fn fields_that_are_none_and_spans_that_end_before_they_begin_are_refused() {
    let office = Office::new().await;
    let before = row(&office, "ct-01").await;
    for field in ["remote_maintenance=たぶん", "no_such_field=1", "location"] {
        let refused = office.act("admin", &["ledger", "set", "ct-01", field]).await;
        assert!(matches!(refused, Err(CliError::Usage(_))), "{field}: {refused:?}");
    }
    assert_eq!(row(&office, "ct-01").await, before);
    let backwards = office.act("chief", &["ledger", "list", "--since", "2026-12-02", "--until", "2026-12-01"]).await;
    assert!(matches!(backwards, Err(CliError::Usage(_))), "{backwards:?}");
    office.done("chief", &["ledger", "list", "--since", "2026-12-01", "--until", "2026-12-01"]).await;
    let reader = office.act("auditor", &["ledger", "set", "ct-01", "location=x"]).await;
    assert!(matches!(reader, Err(CliError::Refused(_))), "{reader:?}");
}
