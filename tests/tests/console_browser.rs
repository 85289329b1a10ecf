//! The console as people see it: in Chromium, in both languages, wide, narrow and dark.

use anyhow::{Result, ensure};
use sekimori_tests::{Database, Hospital, busy, look_at_the_console};

#[test]
fn every_page_can_be_used_by_everybody_in_both_languages_on_a_desk_and_on_a_phone() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let _connected = busy(&hospital)?;
    let look = look_at_the_console(&hospital, None)?;
    ensure!(look.faults.is_empty(), "{:#?}", look.faults);
    ensure!(look.looked == 6 * 41, "{look:?}");
    ensure!(look.largest < 100_000, "a page is too large: {look:?}");
    Ok(())
}
