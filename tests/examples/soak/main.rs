//! `make soak`: an hour of mixed load with 200 sessions at once, then 4 GiB each way, on this machine's loopback.
//!
//!     soak [MINUTES [SESSIONS]]
//!
//! A line a round and a table at the end; it fails when a client saw an error that nobody caused, when something grew,
//! or when a session's end or recording is not what it should be. Each session is two or three processes: 200 of them
//! want 4 GiB of memory, and 10 GiB for the recordings of a round. The five-minute form is a test (`tests/mixed_load.rs`).

use anyhow::{Context, Result, ensure};
use sekimori_tests::Load;
use std::time::Duration;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, otherwise: u64| -> Result<u64> {
        words.get(place).map_or(Ok(otherwise), |word| word.parse().with_context(|| format!("{word:?} is no number")))
    };
    let (minutes, sessions) = (number(0, 60)?, number(1, 200)?);
    ensure!(
        (1..=24 * 60).contains(&minutes) && (10..=1000).contains(&sessions),
        "1 to 1440 minutes, 10 to 1000 sessions"
    );
    Load::lasting(usize::try_from(sessions)?, Duration::from_secs(minutes * 60)).run()?;
    // Afterwards: twelve gigabytes on their way to the disk would hold up every write of the load.
    Load::there_and_back(4096)
}
