//! Who may call which route: `routes.txt`, which people can read. It is not a description of the rules but the rule: a
//! route that it does not list answers nobody.

use sekimori_policy::facts::{HospitalRole, Person};
use std::collections::HashMap;

/// The file.
pub const TEXT: &str = include_str!("routes.txt");

/// A column of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// Who has not signed in.
    Nobody,
    /// A vendor's person.
    Vendor,
    /// One of the hospital's roles.
    Staff(HospitalRole),
}

/// The columns, in the file's order.
pub const COLUMNS: [(&str, Column); 7] = [
    ("nobody", Column::Nobody),
    ("vendor", Column::Vendor),
    ("approver", Column::Staff(HospitalRole::Approver)),
    ("safety-manager", Column::Staff(HospitalRole::SafetyManager)),
    ("administrator", Column::Staff(HospitalRole::Administrator)),
    ("auditor", Column::Staff(HospitalRole::Auditor)),
    ("management", Column::Staff(HospitalRole::Management)),
];

/// The rules.
pub struct Matrix(HashMap<(String, String), Vec<Column>>);

impl Matrix {
    /// The program's own. A line that cannot be read lists nothing, and so lets nobody in; a test reads them all.
    #[must_use]
    pub fn own() -> Self {
        Self(lines(TEXT).filter_map(|line| row(line).ok()).collect())
    }

    /// Who may call the route; `None`: it is not listed.
    #[must_use]
    pub fn row(&self, method: &str, path: &str) -> Option<&[Column]> {
        self.0.get(&(method.to_owned(), path.to_owned())).map(Vec::as_slice)
    }

    /// Whether somebody may call the route.
    #[must_use]
    pub fn allows(&self, method: &str, path: &str, person: Option<&Person>) -> bool {
        let row = self.row(method, path).unwrap_or_default();
        columns(person).iter().any(|column| row.contains(column))
    }
}

/// The columns that a person stands in.
pub fn columns(person: Option<&Person>) -> Vec<Column> {
    match person {
        None => vec![Column::Nobody],
        Some(person) if person.vendor.is_some() => vec![Column::Vendor],
        Some(person) => person.roles.iter().map(|role| Column::Staff(*role)).collect(),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// `GET /path yes - yes …`, a word for each column.
fn row(line: &str) -> Result<((String, String), Vec<Column>), String> {
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(format!("{line}: no route")) };
    let words: Vec<&str> = words.collect();
    if words.len() != COLUMNS.len() || !words.iter().all(|word| ["yes", "-"].contains(word)) {
        return Err(format!("{line}: {} times yes or - is needed", COLUMNS.len()));
    }
    let allowed = COLUMNS.iter().zip(words).filter(|(_, word)| *word == "yes").map(|((_, column), _)| *column);
    Ok(((method.to_owned(), path.to_owned()), allowed.collect()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_is_understood_and_stands_once() {
        let rows: Vec<_> = lines(TEXT).map(|line| row(line).unwrap().0).collect();
        let distinct: BTreeSet<_> = rows.iter().collect();
        assert_eq!(rows.len(), distinct.len());
        assert!(row("GET /x yes").is_err() && row("GET /x yes yes yes yes yes yes perhaps").is_err());
        let head = TEXT.lines().find(|line| line.starts_with("# route ")).unwrap();
        assert!(head.split_whitespace().rev().take(7).eq(COLUMNS.iter().rev().map(|(name, _)| *name)), "{head}");
    }

    #[test]
    fn the_routes_that_are_served_are_those_listed() {
        let listed: BTreeSet<(String, String)> = lines(TEXT).map(|line| row(line).unwrap().0).collect();
        let served: BTreeSet<(String, String)> =
            super::super::routes::ALL.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(served, listed);
    }

    #[test]
    fn nothing_but_signing_in_and_enrolling_is_for_nobody_and_a_post_is_never_for_who_only_reads() {
        for line in lines(TEXT) {
            let ((method, path), allowed) = row(line).unwrap();
            if allowed.contains(&Column::Nobody) {
                let open = ["/sign-in", "/style.css", "/passkey.js", "/language"].contains(&path.as_str());
                assert!(open || path.starts_with("/join") || path.starts_with("/sign-in/"), "{line}");
            }
            let reads = [Column::Staff(HospitalRole::Auditor), Column::Staff(HospitalRole::Management)];
            let own = ["/account", "/join", "/sign-in/"].iter().any(|own| path.starts_with(own));
            let own = own || ["/sign-in", "/language", "/sign-out"].contains(&path.as_str());
            if method == "POST" && !own {
                assert!(!reads.iter().any(|column| allowed.contains(column)), "{line}");
            }
        }
    }
}
