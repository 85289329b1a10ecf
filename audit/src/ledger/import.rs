//! Reading a ledger file: every fault is named, and nothing is half imported.
//!
//! Headings are found by name, in any order and width. Columns that only the gateway feeds are passed over, so that an
//! exported file can be read back. A value that is kept as text is kept as it stands.

use super::choice::{ScopeClass, narrow};
use super::columns::{Column, Origin, columns};
use super::encoding::{BOM, Encoding, unguard};
use super::fault::{Fault, Problem};
use super::row::Entry;
use csv::{ByteRecord, ReaderBuilder};
use std::collections::BTreeMap;

/// Reads a CSV file (RFC 4180, with either line end) in the encoding given.
///
/// # Errors
/// All faults, in the order of the file. Then nothing is to be imported.
pub fn import(bytes: &[u8], encoding: Encoding) -> Result<Vec<Entry>, Vec<Fault>> {
    let records = records(bytes, encoding).map_err(|fault| vec![fault])?;
    let mut records = records.iter().filter(|record| !record.is_blank());
    let Some(first) = records.next() else {
        return Err(vec![Fault { row: 0, column: None, problem: Problem::NoHeadings }]);
    };
    let mut faults = Vec::new();
    let headings = headings(first, &mut faults);
    let entries: Vec<(u64, Entry)> =
        records.map(|record| (record.row, entry(record, &headings, &mut faults))).collect();
    repeated(&entries, &mut faults);
    if faults.is_empty() {
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    } else {
        faults.sort_by_key(|fault| fault.row);
        Err(faults)
    }
}

/// A line of the file, under the number that a spreadsheet shows for it.
struct Record {
    row: u64,
    cells: Vec<Result<String, Problem>>,
}

impl Record {
    /// Spreadsheets write rows of commas for rows that were once used.
    fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.as_ref().is_ok_and(|text| text.trim().is_empty()))
    }
}

fn records(bytes: &[u8], encoding: Encoding) -> Result<Vec<Record>, Fault> {
    let whole = |problem| Fault { row: 0, column: None, problem };
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(whole(Problem::NotCsv("XLSX, a workbook")));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(whole(Problem::NotCsv("text in UTF-16")));
    }
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let rows = spreadsheet_rows(bytes)?;
    // Parsed as bytes, then decoded cell by cell, so that a fault can be named by its cell. The second bytes of CP932
    // are never a comma, a quotation mark or a line end.
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let parsed: Vec<ByteRecord> =
        reader.into_byte_records().collect::<Result<_, _>>().map_err(|_| whole(Problem::NotCsv("something else")))?;
    let cells = |record: &ByteRecord| record.iter().map(|cell| encoding.decode(cell)).collect();
    Ok(rows.into_iter().zip(&parsed).map(|(row, record)| Record { row, cells: cells(record) }).collect())
}

/// The spreadsheet's row number of each record. The CSV reader leaves empty lines out and lets a quotation mark stay
/// open to the end of the file; people count the former, and must hear of the latter.
fn spreadsheet_rows(bytes: &[u8]) -> Result<Vec<u64>, Fault> {
    #[derive(PartialEq)]
    enum Place {
        LineStart,
        CellStart,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let (mut rows, mut row, mut place, mut after_return) = (Vec::new(), 1, Place::LineStart, false);
    for byte in bytes {
        let line_end = matches!(byte, b'\r' | b'\n') && place != Place::Quoted;
        if line_end && !(*byte == b'\n' && after_return) {
            row += 1;
        }
        if !line_end && place == Place::LineStart {
            rows.push(row);
        }
        after_return = line_end && *byte == b'\r';
        place = match (byte, place) {
            (_, _) if line_end => Place::LineStart,
            (b'"', Place::LineStart | Place::CellStart | Place::QuoteInQuoted) => Place::Quoted,
            (b'"', Place::Quoted) => Place::QuoteInQuoted,
            (_, Place::Quoted) => Place::Quoted,
            (b',', _) => Place::CellStart,
            (_, _) => Place::Plain,
        };
    }
    match place {
        Place::Quoted => {
            Err(Fault { row: rows.last().copied().unwrap_or(1), column: None, problem: Problem::OpenQuote })
        }
        _ => Ok(rows),
    }
}

/// For each column of the file, the ledger's column; `None` where the heading is faulty, empty, or not to be read.
fn headings(record: &Record, faults: &mut Vec<Fault>) -> Vec<Heading> {
    let mut headings: Vec<Heading> = Vec::new();
    for (cell, number) in record.cells.iter().zip(1_u64..) {
        let mut fault = |column: String, problem| faults.push(Fault { row: record.row, column: Some(column), problem });
        let heading = match cell {
            Err(problem) => {
                fault(number.to_string(), problem.clone());
                Heading::Faulty
            }
            Ok(text) if text.trim().is_empty() => Heading::Empty(number),
            Ok(text) => match column(&narrow(text)) {
                None => {
                    fault(text.trim().to_owned(), Problem::UnknownColumn);
                    Heading::Faulty
                }
                Some(column) if headings.iter().any(|known| known.is(column)) => {
                    fault(column.header.to_owned(), Problem::RepeatedColumn);
                    Heading::Faulty
                }
                Some(column) => Heading::Column(column),
            },
        };
        headings.push(heading);
    }
    let key = columns().first().filter(|key| !headings.iter().any(|heading| heading.is(key)));
    faults.extend(key.map(|key| Fault {
        row: record.row,
        column: Some(key.header.to_owned()),
        problem: Problem::MissingColumn,
    }));
    headings
}

/// The column of a heading; a field's code stands for what people type in it.
fn column(heading: &str) -> Option<&'static Column> {
    let by_code = |column: &&Column| column.field == heading && column.origin == Origin::Typed;
    columns().iter().find(|column| narrow(column.header) == heading).or_else(|| columns().iter().find(by_code))
}

enum Heading {
    Column(&'static Column),
    Empty(u64),
    Faulty,
}

impl Heading {
    fn is(&self, column: &Column) -> bool {
        matches!(self, Self::Column(own) if own.header == column.header)
    }
}

fn entry(record: &Record, headings: &[Heading], faults: &mut Vec<Fault>) -> Entry {
    let mut entry = Entry::default();
    let mut fault = |column: &str, problem| {
        faults.push(Fault { row: record.row, column: Some(column.to_owned()), problem });
    };
    for (index, heading) in headings.iter().enumerate() {
        // A row may end early: what is left out is empty.
        let empty = Ok(String::new());
        let cell = record.cells.get(index).unwrap_or(&empty);
        match (heading, cell) {
            (Heading::Faulty, _) => {}
            (Heading::Column(column), Err(problem)) => fault(column.header, problem.clone()),
            (Heading::Column(column), Ok(_)) if declared_elsewhere(column, headings) => {}
            (Heading::Column(column), Ok(text)) => {
                if let Err(problem) = column.read(&mut entry, unguard(text)) {
                    fault(column.header, problem);
                }
            }
            (Heading::Empty(number), cell) if has_value(cell) => fault(&number.to_string(), Problem::NoHeading),
            (Heading::Empty(_), _) => {}
        }
    }
    for (cell, number) in record.cells.iter().zip(1_u64..).skip(headings.len()) {
        if has_value(cell) {
            fault(&number.to_string(), Problem::NoHeading);
        }
    }
    if entry.declared.scope_class == Some(ScopeClass::Outside) && entry.declared.scope_reason.trim().is_empty() {
        fault("対象区分の理由", Problem::ReasonMissing);
    }
    entry
}

/// An exported file holds what the gateway raised beside what was declared: the declaration is what is read.
fn declared_elsewhere(column: &Column, headings: &[Heading]) -> bool {
    let twin = format!("{}（申告）", column.header);
    column.origin == Origin::TypedAndGateway
        && headings.iter().any(|heading| matches!(heading, Heading::Column(other) if other.header == twin))
}

fn has_value(cell: &Result<String, Problem>) -> bool {
    cell.as_ref().map_or(true, |text| !text.trim().is_empty())
}

fn repeated(entries: &[(u64, Entry)], faults: &mut Vec<Fault>) {
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut devices: BTreeMap<&str, u64> = BTreeMap::new();
    for (row, entry) in entries {
        let number = Some(entry.declared.control_number.as_str()).filter(|number| !number.is_empty());
        let device = entry.device.as_ref().map(|device| device.as_str());
        for (seen, key, column) in [(&mut numbers, number, "管理番号"), (&mut devices, device, "機器ID")] {
            let Some(key) = key else { continue };
            let first = *seen.entry(key).or_insert(*row);
            if first != *row {
                let problem = Problem::Repeated { first };
                faults.push(Fault { row: *row, column: Some(column.to_owned()), problem });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::choice::{Presence, WrittenDate};
    use super::*;
    use proptest::prelude::*;
    use sekimori_policy::facts::Language;

    fn read(text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
        import(text.as_bytes(), Encoding::Utf8)
    }

    fn faults(text: &str) -> Vec<String> {
        read(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn headings_are_found_in_any_order_and_width() {
        let entries = read("\u{feff}利用者,ＯＳ, 管理番号 ,ＩＰアドレス\n a 、b、,Win11,001,192.168.〇.〇\n").unwrap();
        let declared = &entries[0].declared;
        assert_eq!((declared.control_number.as_str(), declared.os.as_str()), ("001", "Win11"));
        assert_eq!(declared.users, ["a", "b"]);
        assert_eq!(declared.ip_address, "192.168.〇.〇");
    }

    #[test]
    fn all_faults_are_listed_with_row_and_column() {
        let text = "管理番号,備考,確認日,リモート保守の有無,接続元制限（申告）,開示書の空欄数,対象区分,OS,OS\r\n\
                    001,,2020/13/1,有,192.0.2.0/24、192.0.2.300,,,,\r\n\
                    \r\n\
                    ,,,たぶん,,三,対象外,,\r\n\
                    001,,,,,,,,,あまり\r\n";
        assert_eq!(
            faults(text),
            [
                "row 1, column 備考: not a heading of the ledger: correct it or remove the column",
                "row 1, column OS: the heading stands there twice: remove one",
                "row 2, column 確認日: \"2020/13/1\" is no date: write it like 2020/12/1",
                "row 2, column 接続元制限（申告）: \"192.0.2.300\" is no address or network: write it like 192.0.2.0/24",
                "row 4, column 管理番号: this must not be empty: fill it in",
                "row 4, column リモート保守の有無: \"たぶん\" is none of 有, 無, 未確認",
                "row 4, column 開示書の空欄数: \"三\" is no whole number",
                "row 4, column 対象区分の理由: out of scope (対象外) needs a reason: fill it in",
                "row 5, column 10: there is a value but no heading: add the heading or remove the value",
                "row 5, column 管理番号: this stands in row 2 already",
            ]
        );
        let japanese = read(text).unwrap_err()[2].sentence(Language::Ja);
        assert_eq!(japanese, "2行目「確認日」：「2020/13/1」は日付として読めません。2020/12/1の形で記入してください。");
    }

    #[test]
    fn files_that_are_no_ledger_are_named_as_a_whole() {
        assert_eq!(faults(""), ["the file: there is no row of headings: put one first"]);
        assert_eq!(faults("\r\n,,\r\n"), ["the file: there is no row of headings: put one first"]);
        assert_eq!(faults("OS\nWin11\n"), ["row 1, column 管理番号: this column is missing: add it"]);
        assert_eq!(faults("管理番号\n1\n\n\"2\n3\n"), ["row 4: a quotation mark is opened and never closed"]);
        assert_eq!(import(b"PK\x03\x04", Encoding::Cp932).unwrap_err()[0].problem, Problem::NotCsv("XLSX, a workbook"));
        assert_eq!(import(b"\xff\xfe", Encoding::Cp932).unwrap_err()[0].problem, Problem::NotCsv("text in UTF-16"));
    }

    #[test]
    fn bytes_of_another_encoding_are_named_by_cell() {
        let cp932 = [b"\x8a\xc7\x97\x9d\x94\xd4\x8d\x86,OS\r\n1,\x83\x8f\x83C\x83\x93\r\n".as_slice()].concat();
        assert_eq!(Encoding::detect(&cp932), Encoding::Cp932);
        assert_eq!(import(&cp932, Encoding::Cp932).unwrap()[0].declared.os, "ワイン");
        let mixed = ["管理番号,OS\n1,".as_bytes(), b"\x83\x8f\n"].concat();
        let faults = import(&mixed, Encoding::Utf8).unwrap_err();
        let expected = Fault { row: 2, column: Some("OS".into()), problem: Problem::NotText("UTF-8") };
        assert_eq!(faults, [expected]);
    }

    #[test]
    fn cells_that_could_act_on_a_terminal_are_refused() {
        let shown = faults("管理番号,説明\n1,\u{1b}]52;c;eA==\u{7}\n");
        assert_eq!(shown, ["row 2, column 説明: there is a control character: remove it"]);
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_does() {
        let text = "管理番号,説明\r\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n,\r\n2,\r\n2,\r\n";
        assert_eq!(faults(text), ["row 6, column 管理番号: this stands in row 5 already"]);
    }

    #[test]
    fn dates_are_kept_as_they_are_written() {
        let entries = read("管理番号,登録日,確認日\n1,平成20年頃,令和2年12月1日\n").unwrap();
        assert_eq!(entries[0].declared.registered_on, WrittenDate::new("平成20年頃"));
        assert_eq!(entries[0].declared.confirmed_on.as_str(), "令和2年12月1日");
    }

    #[test]
    fn the_declaration_is_read_where_an_export_holds_both() {
        let both = read("管理番号,リモート保守の有無（申告）,リモート保守の有無\n1,無,有\n").unwrap();
        assert_eq!(both[0].declared.remote_maintenance, Some(Presence::No));
        let one = read("管理番号,リモート保守の有無\n1,無\n").unwrap();
        assert_eq!(one[0].declared.remote_maintenance, Some(Presence::No));
    }

    proptest! {
        #[test]
        fn any_bytes_are_entries_or_faults(bytes: Vec<u8>) {
            for encoding in [Encoding::Utf8, Encoding::Cp932] {
                if let Err(faults) = import(&bytes, encoding) {
                    prop_assert!(!faults.is_empty());
                }
            }
        }

        #[test]
        fn every_record_has_its_row(text in "[a\",\r\n]{0,40}") {
            if let Ok(rows) = spreadsheet_rows(text.as_bytes()) {
                let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
                prop_assert_eq!(rows.len(), reader.into_byte_records().count(), "{:?}", text);
            }
        }
    }
}
