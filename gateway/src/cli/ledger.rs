//! Verbs about the device ledger (機器台帳): what people declared beside what the gateway saw.

#[cfg(test)]
mod tests;
pub mod typed;

use super::context::{Context, date};
use super::error::CliError;
use super::output;
use crate::store::{DeviceRecord, StoreError};
use chrono::{DateTime, Months, Utc};
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::ledger::{
    Declared, Encoding, Entry, Evidence, Fault, Ledger, Row, Unencodable, WrittenDate, columns, enforced_sources,
    export, import,
};
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Language, Period};
use sekimori_policy::id::DeviceId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Verbs about the ledger.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the devices: is each remotely maintained, by whom, when last
    List {
        #[command(flatten)]
        span: Span,
    },
    /// Show every column of one device's row
    Show {
        /// The device's ID
        device: DeviceId,
    },
    /// Set fields that people declare
    Set {
        /// The device's ID
        device: DeviceId,
        /// A field, by name or heading, and its value: remote_maintenance=無 or 保守事業者=A社
        #[arg(value_name = "FIELD=VALUE", required = true)]
        fields: Vec<String>,
    },
    /// Read rows from a CSV file; each row names its device in the column 機器ID
    Import {
        /// The file
        file: PathBuf,
        /// Its encoding; recognised if none is named
        #[arg(long, value_parser = encoding)]
        encoding: Option<Encoding>,
    },
    /// Write the ledger as a CSV file that office software opens
    Export {
        /// The file to write; it must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// utf-8 (with a byte order mark) or cp932
        #[arg(long, default_value = "utf-8", value_parser = encoding)]
        encoding: Encoding,
        /// Write 〓 for characters that the encoding does not have, instead of refusing
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        span: Span,
    },
    /// List where declaration and observation disagree
    Mismatches,
}

/// The span that counts and durations are for.
#[derive(Debug, clap::Args)]
pub struct Span {
    /// From this day; from the beginning if none is named
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// Up to and with this day; up to now if none is named
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

fn encoding(text: &str) -> Result<Encoding, String> {
    match text.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Ok(Encoding::Utf8),
        "cp932" | "shift_jis" | "sjis" => Ok(Encoding::Cp932),
        _ => Err(format!("{text} is no encoding of ledger files: utf-8 or cp932")),
    }
}

impl Span {
    fn period(&self, context: &Context) -> Result<Period, CliError> {
        let from = match &self.since {
            Some(day) => context.midnight(date(day)?)?,
            None => DateTime::<Utc>::MIN_UTC,
        };
        let until = match &self.until {
            Some(day) => context.midnight_after(date(day)?)?,
            None => DateTime::<Utc>::MAX_UTC,
        };
        if until <= from {
            return Err(CliError::Usage("the span would end before it begins: check --since and --until".into()));
        }
        Ok(Period { from, until })
    }

    /// All of the time.
    fn whole() -> Self {
        Self { since: None, until: None }
    }
}

/// Months after which a vendor's answer is asked for again.
const REVIEW_CYCLE: Months = Months::new(12);

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List { span } => list(&span, context).await,
        Command::Show { device } => show(&device, context).await,
        Command::Set { device, fields } => set(&device, &fields, context).await,
        Command::Import { file, encoding } => read(&file, encoding, context).await,
        Command::Export { out, encoding, replace, span } => {
            let unencodable = if replace { Unencodable::Replace } else { Unencodable::Refuse };
            write(&out, encoding, unencodable, &span, context).await
        }
        Command::Mismatches => mismatches(context).await,
    }
}

/// The ledger as it stands.
async fn ledger(span: &Span, context: &Context) -> Result<Ledger, CliError> {
    let store = context.store().await?;
    let mut entries = Vec::new();
    let (mut enforced, mut risks) = (BTreeMap::new(), BTreeMap::new());
    let (vendors, people) = (store.vendors().await?, store.persons().await?);
    let works = store.works().await?;
    for record in store.devices().await? {
        let id = record.device.id.clone();
        let mut networks = Vec::new();
        for work in works.iter().filter(|work| work.request().devices.contains(&id)) {
            let vendor = vendors.iter().find(|vendor| vendor.id == *work.vendor());
            for person in people.iter().filter(|person| work.request().persons.contains(&person.id)) {
                let vendor = vendor.map(|vendor| vendor.sources.as_slice()).unwrap_or_default();
                networks.extend(enforced_sources(&[vendor, &person.sources, &record.device.sources]));
            }
        }
        networks.sort();
        networks.dedup();
        enforced.insert(id.clone(), networks);
        risks.insert(id.clone(), record.dialect.risks());
        entries.push(Entry { device: Some(id), declared: declared(&record.ledger, &record.device.id)? });
    }
    let sessions = store.session_facts().await?;
    let evidence = Evidence {
        sessions: &sessions,
        enforced: &enforced,
        risks: &risks,
        period: span.period(context)?,
        now: Utc::now(),
        review_cycle: REVIEW_CYCLE,
    };
    Ok(Ledger::assemble(entries, &evidence))
}

fn declared(row: &Value, device: &DeviceId) -> Result<Declared, CliError> {
    serde_json::from_value(row.clone())
        .map_err(|fault| CliError::Usage(format!("the ledger row of {device} is not usable: {fault}")))
}

/// The columns that answer the inspector's question; `--json` has all.
const SHORT: [&str; 8] = [
    "control_number",
    "device",
    "maker",
    "location",
    "remote_maintenance",
    "last_session_at",
    "last_person",
    "session_count",
];

async fn list(span: &Span, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLedger).await?;
    let ledger = ledger(span, context).await?;
    if context.json {
        return output::print_json(&ledger.rows.iter().map(listing).collect::<Vec<_>>());
    }
    let zone = context.zone();
    let shown: Vec<_> =
        SHORT.iter().filter_map(|field| columns().iter().find(|column| column.field == *field)).collect();
    let rows =
        ledger.rows.iter().map(|row| shown.iter().map(|column| column.text(row, zone)).collect()).collect::<Vec<_>>();
    let headings: Vec<&str> = shown.iter().map(|column| column.header).collect();
    output::table(&headings, &rows)?;
    if !ledger.mismatches.is_empty() {
        let count = ledger.mismatches.len();
        output::print_text(&format!("\n申告と実績の不一致: {count} 件（sekimori ledger mismatches）\n"))?;
    }
    Ok(())
}

/// A row as programs read it: declared and observed side by side, and what follows on top.
fn listing(row: &Row) -> Value {
    let observed = &row.observed;
    json!({
        "device": row.device,
        "remote_maintenance": row.derived.remote_maintenance.ja(),
        "last_session_at": observed.last_session_at,
        "last_person": observed.last_person,
        "session_count": observed.session_count,
        "session_minutes": observed.session_minutes,
        "unreviewed_count": observed.unreviewed_count,
        "declared": row.declared,
        "observed": observed,
        "derived": row.derived,
    })
}

async fn show(device: &DeviceId, context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLedger).await?;
    let ledger = ledger(&Span::whole(), context).await?;
    let row = ledger.rows.iter().find(|row| row.device.as_ref() == Some(device));
    let row = row.ok_or_else(|| CliError::NotFound(format!("no device {device} is registered")))?;
    let zone = context.zone();
    output::one(context, &listing(row), || {
        let lines =
            columns().iter().map(|column| format!("{}: {}", column.header, output::visible(&column.text(row, zone))));
        lines.collect::<Vec<_>>().join("\n")
    })
}

async fn set(device: &DeviceId, fields: &[String], context: &Context) -> Result<(), CliError> {
    let (person, actor) = context.authority(Act::ChangeLedger).await?;
    let store = context.store().await?;
    let record = store.device(device).await?;
    let before = record.ok_or_else(|| CliError::NotFound(format!("no device {device} is registered")))?.ledger;
    let today = Utc::now().with_timezone(&context.zone()).format("%Y/%m/%d").to_string();
    let after = Declared {
        updated_on: WrittenDate::new(&today),
        updated_by: person.name,
        ..typed::set(&declared(&before, device)?, fields)?
    };
    let after = json!(after);
    let detail = json!({ "before": before, "after": after });
    let event = Event { device: Some(device.clone()), ..context.event(Kind::LedgerChange, &actor, detail) };
    let set = move |record: &mut DeviceRecord, _: &mut Event| {
        record.ledger = after;
        Ok::<(), StoreError>(())
    };
    store.update_device(device, event, set).await?;
    show(device, context).await
}

/// All rows or none: every fault is named by row and column.
async fn read(file: &Path, encoding: Option<Encoding>, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ChangeLedger).await?;
    let bytes =
        std::fs::read(file).map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", file.display())))?;
    let encoding = encoding.unwrap_or_else(|| Encoding::detect(&bytes));
    let entries = import(&bytes, encoding).map_err(|faults| told(file, &faults))?;
    let store = context.store().await?;
    let mut rows = Vec::new();
    let mut strangers = Vec::new();
    for entry in entries {
        let number = &entry.declared.control_number;
        match entry.device {
            Some(device) if store.device(&device).await?.is_some() => rows.push((device, json!(entry.declared))),
            Some(device) => strangers.push(format!("管理番号 {number}: no device {device} is registered")),
            None => strangers.push(format!("管理番号 {number}: the column 機器ID is empty or missing")),
        }
    }
    if !strangers.is_empty() {
        return Err(CliError::Usage(format!("nothing was imported:\n{}", strangers.join("\n"))));
    }
    let count = rows.len();
    let event = context.event(Kind::LedgerImport, &actor, json!({ "file": file, "rows": count }));
    store.import_ledger(rows, event).await?;
    output::one(context, &json!({ "rows": count }), || format!("{count} rows are imported"))
}

fn told(file: &Path, faults: &[Fault]) -> CliError {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    CliError::Usage(format!("{}: nothing was done:\n{}", file.display(), faults.join("\n")))
}

async fn write(
    out: &Path,
    encoding: Encoding,
    unencodable: Unencodable,
    span: &Span,
    context: &Context,
) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ExportEvidence).await?;
    let ledger = ledger(span, context).await?;
    let bytes =
        export(&ledger.rows, columns(), context.zone(), encoding, unencodable).map_err(|faults| told(out, &faults))?;
    let detail = json!({ "out": out, "encoding": encoding.name(), "rows": ledger.rows.len() });
    let store = context.store().await?;
    store.record(context.event(Kind::LedgerExport, &actor, detail)).await?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.map_err(|fault| CliError::Conflict(format!("cannot write {}: {fault}", out.display())))?;
    if let Err(fault) = file.write_all(&bytes).and_then(|()| file.sync_all()) {
        std::fs::remove_file(out).ok();
        return Err(CliError::Failed(format!("cannot write {}: {fault}", out.display())));
    }
    let rows = ledger.rows.len();
    output::one(context, &json!({ "out": out, "rows": rows, "encoding": encoding.name() }), || {
        format!("{}: {rows} rows in {}", out.display(), encoding.name())
    })
}

async fn mismatches(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLedger).await?;
    let ledger = ledger(&Span::whole(), context).await?;
    let value: Vec<Value> = ledger
        .mismatches
        .iter()
        .map(|mismatch| {
            json!({
                "code": mismatch.code(),
                "ja": mismatch.sentence(Language::Ja),
                "en": mismatch.sentence(Language::En),
            })
        })
        .collect();
    output::one(context, &value, || {
        if ledger.mismatches.is_empty() {
            return "申告と実績の不一致はありません。".into();
        }
        let lines = ledger.mismatches.iter().map(|mismatch| {
            format!("[{}] {}", mismatch.code(), output::visible(&mismatch.sentence(context.config.hospital.language)))
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}
