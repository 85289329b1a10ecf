//! Writing a ledger file as office software reads it: CSV with CRLF line ends (RFC 4180), in UTF-8 with a byte order mark
//! or in CP932, no cell of which is run as a formula.

use super::columns::Column;
use super::encoding::{BOM, Encoding, Unencodable, guard};
use super::fault::{Fault, Problem};
use super::row::Row;
use chrono_tz::Tz;
use csv::{Terminator, WriterBuilder};

/// Writes the columns given of the rows given, with times in the hospital's zone.
///
/// # Errors
/// The cells that the encoding cannot hold, all of them, unless they are to be replaced. Then nothing is written.
pub fn export(
    rows: &[Row],
    columns: &[Column],
    zone: Tz,
    encoding: Encoding,
    unencodable: Unencodable,
) -> Result<Vec<u8>, Vec<Fault>> {
    let mut faults = Vec::new();
    let headings: Vec<String> = columns.iter().map(|column| column.header.to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|column| guard(&column.text(row, zone))).collect());
    let mut records: Vec<Vec<Vec<u8>>> = Vec::new();
    for (row, texts) in (1_u64..).zip(std::iter::once(headings).chain(cells)) {
        let mut record = Vec::new();
        for (text, column) in texts.iter().zip(columns) {
            let encoded = encoding.encode(text, unencodable).unwrap_or_else(|problem| {
                faults.push(Fault { row, column: Some(column.header.to_owned()), problem });
                Vec::new()
            });
            record.push(encoded);
        }
        records.push(record);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    write(&records, encoding).ok_or_else(|| vec![Fault { row: 0, column: None, problem: Problem::NotWritten }])
}

fn write(records: &[Vec<Vec<u8>>], encoding: Encoding) -> Option<Vec<u8>> {
    let start = match encoding {
        Encoding::Utf8 => BOM.to_vec(),
        Encoding::Cp932 => Vec::new(),
    };
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(start);
    for record in records {
        writer.write_record(record).ok()?;
    }
    writer.into_inner().ok()
}
