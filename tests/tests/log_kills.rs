//! The gateway is killed at random moments under load, again and again: each time it serves on with nothing done by hand,
//! and in the end every checkpoint that was ever seen is how the log begins. `SEKIMORI_KILLS` says how often; a few times
//! unless told otherwise.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, Surroundings, Window, free_port};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

#[test]
fn a_gateway_killed_at_any_moment_goes_on_with_its_log() -> Result<()> {
    let kills = std::env::var("SEKIMORI_KILLS").map_or(Ok(5), |text| text.parse::<usize>())?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    hospital.gateway.kill()?;
    let (done, reached) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut anchors = Vec::new();
    let mut serving = hospital.gateway.serve_again()?;
    thread::scope(|scope| -> Result<()> {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Mostly it is cut off half way: that is the point.
                    let said = hospital.exec(&certificate, "echo reached", Input::Nothing);
                    if said.is_ok_and(|said| said.text().contains("reached")) {
                        reached.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let killed = (0..kills).try_for_each(|number| {
            let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
            thread::sleep(Duration::from_millis(200) + Duration::from_micros(u64::from(nanos) % 2_000_000));
            serving.signal(Signal::KILL)?;
            serving.end_within(PATIENCE)?;
            anchors.push(sealed.keep(&format!("anchor{number}"))?);
            serving = hospital.gateway.serve_again().with_context(|| format!("after kill {number}"))?;
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        killed
    })?;
    ensure!(reached.load(Ordering::Relaxed) > 0, "nobody got in: there was no load");
    hospital.all_closed()?;
    sealed.await_newest(&hospital)?;
    // Only so many fit on one command line.
    for some in anchors.chunks(100) {
        sealed.is_intact(&hospital, &some.iter().map(AsRef::as_ref).collect::<Vec<&Path>>())?;
    }
    println!("{kills} kills, {} sessions got through, {} events", reached.load(Ordering::Relaxed), sealed.size()?);
    Ok(())
}
