//! The calendar: a week of windows by device and by vendor, with those that meet at one device marked.

use anyhow::{Result, ensure};
use chrono::{TimeDelta, Utc};
use sekimori_tests::{DEVICE, Database, Hand, Hospital, VENDOR, Window};

const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// How many entries of the calendar are of this piece of work, and how many of these are marked as meeting another.
fn entries(work: &str) -> String {
    let all = format!("[...document.querySelectorAll(\".calendar a[href$='/{work}']\")]");
    format!("{all}.length + ' ' + {all}.filter(entry => entry.querySelector('.differs')).length")
}

#[test]
fn a_week_of_windows_is_seen_by_device_and_by_vendor() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let gateway = &hospital.gateway;
    let day = |days: i64| {
        let from = Utc::now() + TimeDelta::days(days);
        Window { from, until: from + TimeDelta::minutes(5) }
    };
    let approved = hospital.request(&hospital.engineer, DEVICE, day(1))?;
    gateway.act(&hospital.approver, &["work", "approve", &approved])?;
    let asked = hospital.request(&hospital.engineer, DEVICE, day(1))?;
    let alone = hospital.request(&hospital.engineer, DEVICE, day(3))?;
    let refused = hospital.request(&hospital.engineer, DEVICE, day(1))?;
    gateway.act(&hospital.approver, &["work", "reject", &refused, "--reason", "too soon"])?;

    let hand = Hand::start(&gateway.demo.console.url)?;
    let from = |days: i64| (Utc::now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let page = format!("/calendar?from={}", from(-1));
    for (role, language, size) in
        [("approver", "ja", DESK), ("auditor", "en", PHONE), ("administrator", "en", DESK), ("vendor", "ja", PHONE)]
    {
        let tab = match role {
            "vendor" => hand.sign_in_engineer(&hospital.engineer, language, size)?,
            role => hand.sign_in(gateway.person(role)?, language, size)?,
        };
        tab.go(&page)?;
        // A window that lies on both sides of midnight is told in both days.
        for (work, marked) in [(&approved, true), (&asked, true), (&alone, false), (&refused, false)] {
            let found = tab.eval(&entries(work))?;
            let wanted: &[&str] = match (work == &refused, marked) {
                (true, _) => &["0 0"],
                (_, true) => &["1 1", "2 2"],
                (_, false) => &["1 0", "2 0"],
            };
            ensure!(found.as_str().is_some_and(|found| wanted.contains(&found)), "{role}: {work}: {found}");
        }
        tab.shows(".calendar tbody", DEVICE)?;
        ensure!(tab.faults()?.is_empty(), "{role}: {:#?}", tab.faults()?);
        tab.go(&format!("{page}&by=vendor"))?;
        tab.shows(".calendar tbody", VENDOR)?;
        tab.shows(".calendar tbody", DEVICE)?;
        ensure!(tab.faults()?.is_empty(), "{role}: {:#?}", tab.faults()?);
        // The week after is a step away; one without windows says so.
        tab.submit(".weeks a:last-of-type")?;
        ensure!(tab.eval("document.getElementById('from').value")? == from(6), "another week follows");
        tab.shows("[aria-current=true]", if language == "ja" { "事業者別" } else { "By vendor" })?;
        tab.go("/calendar?from=2090-01-01")?;
        tab.shows(".empty", if language == "ja" { "開く作業時間帯はありません" } else { "No window opens" })?;
        ensure!(tab.faults()?.is_empty(), "{role}: {:#?}", tab.faults()?);
        // What is no day shows the present week.
        tab.go("/calendar?from=9999999999-01-01")?;
        tab.shows("h1", if language == "ja" { "予定表" } else { "Calendar" })?;
    }
    Ok(())
}
