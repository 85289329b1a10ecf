//! The matrix that a hospital's manager can read: situations and what is decided, in `decisions.txt`.
//!
//! The test compares. To write the file anew: `SEKIMORI_BLESS=1 cargo nextest run -p sekimori-policy --test decisions`

use crate::hospital::ZONE;
use crate::situations::{Case, sections};
use sekimori_policy::authority::Act;
use sekimori_policy::decide::{Decision, Limit, decide};
use sekimori_policy::facts::{HospitalRole, Language};
use sekimori_policy::reason::Reason;
use std::collections::BTreeSet;
use std::fmt::Write as _;

fn write_decision(text: &mut String, decision: &Decision) {
    match decision {
        Decision::Permit(permit) => {
            let until = permit.until().with_timezone(&ZONE).format("%Y-%m-%d %H:%M %Z");
            let channels: Vec<String> = permit.channels().iter().map(ToString::to_string).collect();
            let awaiting = if permit.awaiting_retrospective_approval() { ", 事後承認待ち" } else { "" };
            let limit = permit.until_because();
            writeln!(text, "  PERMIT until {until} ({}: {})", limit.code(), limit.sentence(Language::Ja)).unwrap();
            let (account, work) = (permit.account(), permit.work());
            writeln!(text, "         account {account}, work {work}, {}{awaiting}", channels.join(" ")).unwrap();
        }
        Decision::Denial(denial) => {
            for reason in denial.reasons() {
                writeln!(text, "  DENY   {}", reason.code()).unwrap();
                writeln!(text, "         {}", reason.sentence(Language::Ja)).unwrap();
                writeln!(text, "         {}", reason.sentence(Language::En)).unwrap();
            }
        }
    }
}

fn write_acts(text: &mut String) {
    writeln!(text, "\n== 役割と権限 / who may do what ==\n").unwrap();
    for act in Act::ALL {
        let roles: Vec<String> = HospitalRole::ALL
            .iter()
            .filter(|role| act.roles().contains(role))
            .map(|role| format!("{} ({})", role.label(Language::Ja), role.label(Language::En)))
            .collect();
        writeln!(text, "{} / {}\n  {}", act.label(Language::Ja), act.label(Language::En), roles.join(", ")).unwrap();
    }
    writeln!(text, "\n事業者の保守要員はいずれも行えない。 / A vendor's people may do none of these.").unwrap();
}

const HEAD: &str = "\
判断の一覧 / What is decided

時刻は日本時間。特に断りのない限り、2026-11-25 00:00、事業者 acme の eng1 が機器 ct-01 へ、時間帯 22:00〜02:00 の作業 w1 で接続する。
Times are Japan's. Unless said otherwise, eng1 of vendor acme asks for device ct-01 at 2026-11-25 00:00, under work w1
with a window from 22:00 to 02:00.

A test writes and compares this file: SEKIMORI_BLESS=1 cargo nextest run -p sekimori-policy --test decisions
";

#[test]
fn the_committed_matrix_is_what_is_decided() {
    let mut text = HEAD.to_owned();
    for (title, cases) in sections() {
        writeln!(text, "\n== {title} ==").unwrap();
        for Case { ja, en, now, facts } in cases {
            writeln!(text, "\n{ja} / {en}").unwrap();
            write_decision(&mut text, &decide(&facts, now));
        }
    }
    write_acts(&mut text);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/decisions.txt");
    if std::env::var_os("SEKIMORI_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).expect("decisions.txt is missing: run with SEKIMORI_BLESS=1");
    for (line, (committed, decided)) in committed.lines().zip(text.lines()).enumerate() {
        assert_eq!(committed, decided, "decisions.txt differs in line {}", line + 1);
    }
    assert_eq!(committed.lines().count(), text.lines().count());
}

#[test]
fn every_reason_and_every_limit_has_its_case() {
    let mut codes = BTreeSet::new();
    let mut limits = BTreeSet::new();
    for case in sections().into_iter().flat_map(|(_, cases)| cases) {
        match decide(&case.facts, case.now) {
            Decision::Permit(permit) => {
                limits.insert(permit.until_because().code());
            }
            Decision::Denial(denial) => codes.extend(denial.reasons().iter().map(Reason::code)),
        }
    }
    assert_eq!(codes, BTreeSet::from(Reason::CODES));
    let all = [
        Limit::WindowEnd,
        Limit::RetrospectiveApprovalDeadline,
        Limit::ContractEnd,
        Limit::AttestationExpiry,
        Limit::LockStart,
        Limit::SignInEnd,
        Limit::FactorAge,
    ];
    assert_eq!(limits, all.into_iter().map(Limit::code).collect());
}
