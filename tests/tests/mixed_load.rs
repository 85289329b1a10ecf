//! Five minutes of mixed load: the short form of `make soak`, with fewer sessions, since other tests run beside it.

use anyhow::{Result, ensure};
use sekimori_tests::Load;
use std::time::Duration;

/// Two cores run it beside another test, in a build that is not optimised.
const SESSIONS: usize = 30;

#[test]
fn five_minutes_of_mixed_load_leave_nothing_behind() -> Result<()> {
    let load = Load { sessions: SESSIONS, rounds: 5, round: Duration::from_secs(45) };
    let figures = load.run()?;
    ensure!(figures.sessions > 100, "hardly a load: {figures}");
    ensure!(figures.tally.endings.len() >= 10, "hardly anybody was cut off: {figures}");
    Ok(())
}
