//! Fields as they are typed on the command line. They are judged as cells of a ledger file are, so that the same words
//! (有, 令和2年12月1日, 192.0.2.0/24、198.51.100.7) mean the same in both places.

use crate::cli::error::CliError;
use sekimori_audit::ledger::{Column, Declared, Encoding, Fault, Origin, columns, import};
use serde_json::{Value, json};

/// The row with these fields (`FIELD=VALUE`, by name or by heading) set.
///
/// # Errors
/// [`CliError::Usage`] with every field that is none, cannot be set, or has no usable value.
pub fn set(before: &Declared, fields: &[String]) -> Result<Declared, CliError> {
    let mut cells: Vec<(&Column, String)> = Vec::new();
    for field in fields {
        let malformed = || CliError::Usage(format!("{field} is no field: write FIELD=VALUE"));
        let (name, value) = field.split_once('=').ok_or_else(malformed)?;
        cells.push((column(name.trim())?, value.to_owned()));
    }
    let given: Vec<&Column> = cells.iter().map(|(column, _)| *column).collect();
    for (column, value) in companions(before, &given) {
        cells.push((column, value));
    }
    let read = import(file(&cells).as_bytes(), Encoding::Utf8).map_err(|faults| told(&faults))?;
    // A row of nothing but empty cells is passed over.
    let nothing = || CliError::Usage("管理番号 must not be empty: fill it in".into());
    let entry = read.first().ok_or_else(nothing)?;
    let (mut row, read) = (json!(before), json!(entry.declared));
    if let Value::Object(row) = &mut row {
        for column in given {
            row.insert(column.field.to_owned(), read.get(column.field).cloned().unwrap_or_default());
        }
    }
    serde_json::from_value(row).map_err(|fault| CliError::Failed(format!("the ledger row cannot be written: {fault}")))
}

/// The column that people fill. A name that the gateway raises stands for the declaration.
fn column(name: &str) -> Result<&'static Column, CliError> {
    let named = columns().iter().find(|column| column.field == name || column.header == name);
    let named = named.ok_or_else(|| {
        CliError::Usage(format!("the ledger has no field {name}: `sekimori ledger show` lists them all"))
    })?;
    let typed = columns().iter().find(|column| column.field == named.field && column.origin == Origin::Typed);
    match typed.filter(|column| column.field != "device") {
        Some(column) => Ok(column),
        None => Err(CliError::Usage(format!("{name} is what the gateway knows: it cannot be set"))),
    }
}

/// What has to stand beside the given cells for them to be judged: every row of a file has a 管理番号, and 対象外 is
/// judged together with its reason.
fn companions(before: &Declared, given: &[&Column]) -> Vec<(&'static Column, String)> {
    let is_given = |field: &str| given.iter().any(|column| column.field == field);
    let scope = is_given("scope_class") || is_given("scope_reason");
    let class = before.scope_class.map(|class| class.ja().to_owned()).unwrap_or_default();
    let companions = [
        ("control_number", true, "0".to_owned()),
        ("scope_class", scope, class),
        ("scope_reason", scope, before.scope_reason.clone()),
    ];
    let needed = companions.into_iter().filter(|(field, needed, _)| *needed && !is_given(field));
    needed.filter_map(|(field, _, value)| Some((column(field).ok()?, value))).collect()
}

/// A file of headings and one row (RFC 4180).
fn file(cells: &[(&Column, String)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let headings: Vec<String> = cells.iter().map(|(column, _)| quoted(column.header)).collect();
    let values: Vec<String> = cells.iter().map(|(_, value)| quoted(value)).collect();
    format!("{}\r\n{}\r\n", headings.join(","), values.join(","))
}

/// Nobody who types fields has seen rows.
fn told(faults: &[Fault]) -> CliError {
    let place = |fault: &Fault| {
        let told = fault.to_string();
        told.split_once(", ").map_or(told.clone(), |(_, from_column)| from_column.to_owned())
    };
    CliError::Usage(faults.iter().map(place).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use sekimori_audit::ledger::{Presence, ScopeClass};

    fn with(before: &Declared, fields: &[&str]) -> Result<Declared, String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        set(before, &fields).map_err(|fault| fault.to_string())
    }

    #[test]
    fn values_are_read_as_in_a_file_and_the_rest_stays() {
        let before = Declared { maker: "A社".into(), control_number: "001".into(), ..Declared::default() };
        let fields =
            ["リモート保守の有無=なし", "users=佐藤、鈴木", "sources_declared=192.0.2.7/24", "説明=\"a\", b=c"];
        let after = with(&before, &fields).unwrap();
        assert_eq!((after.maker.as_str(), after.control_number.as_str()), ("A社", "001"));
        assert_eq!(after.remote_maintenance, Some(Presence::No));
        assert_eq!(after.users, ["佐藤", "鈴木"]);
        assert_eq!(after.sources_declared, ["192.0.2.0/24".parse().unwrap()]);
        assert_eq!(after.description, "\"a\", b=c");
        assert_eq!(with(&after, &["remote_maintenance=", "users="]).unwrap().remote_maintenance, None);
    }

    #[test]
    fn faults_name_the_field_and_what_may_stand_there() {
        for (field, said) in [
            ("location", "write FIELD=VALUE"),
            ("no_such=1", "no field no_such"),
            ("last_session_at=2026/12/01", "cannot be set"),
            ("device=ct-02", "cannot be set"),
            ("remote_maintenance=たぶん", "column リモート保守の有無（申告）: \"たぶん\" is none of 有, 無, 未確認"),
            ("confirmed_on=昨日", "no date"),
            ("control_number=", "must not be empty"),
            ("location=\u{1b}[2J", "control character"),
        ] {
            let refused = with(&Declared::default(), &[field]).unwrap_err();
            assert!(refused.contains(said) && !refused.starts_with("row"), "{field}: {refused}");
        }
        let twice = with(&Declared::default(), &["os=a", "OS=b"]).unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
    }

    #[test]
    fn out_of_scope_keeps_its_reason_whichever_of_the_two_is_set() {
        let refused = with(&Declared::default(), &["scope_class=対象外"]).unwrap_err();
        assert!(refused.contains("needs a reason"), "{refused}");
        let outside = with(&Declared::default(), &["scope_class=対象外", "scope_reason=廃棄予定"]).unwrap();
        assert_eq!(outside.scope_class, Some(ScopeClass::Outside));
        with(&outside, &["scope_reason="]).unwrap_err();
        assert_eq!(with(&outside, &["scope_reason=廃棄済"]).unwrap().scope_reason, "廃棄済");
        assert_eq!(with(&outside, &["location=地下"]).unwrap().scope_class, Some(ScopeClass::Outside));
    }
}
