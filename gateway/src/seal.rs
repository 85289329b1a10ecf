//! Sealing: every event of the database becomes an entry of the transparency log, in its order, within a second.
//!
//! The entry at index `i` is that of event `i + 1`, made of nothing but what the database holds. So a crash at any point
//! leaves nothing to repair: the next life asks the log how far it came and goes on from there, and would write the very
//! same bytes again. What the log holds and the database contradicts is never continued. While the log cannot be
//! written, no session opens and the open ones end ([`progress`]).

pub mod compare;
mod keys;
mod leaves;
pub mod progress;
mod rebuild;
mod rotate;
mod sealer;
pub mod status;
pub mod witnesses;

pub use keys::{in_force as key_in_force, make_key};
pub use progress::Progress;
pub use rebuild::{Rebuilt, rebuild};
pub use rotate::{Rotated, rotate};
pub use sealer::{Sealer, known};

use crate::store::Store;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use witnesses::Witnessing;

/// How often new events are looked for; with the time that a batch takes this stays below a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// Silence longer than this shows in the log.
const BEAT: Duration = Duration::from_secs(3600);
/// How long a gateway that stops waits for a disk that does not answer: the next start seals what is left.
const PARTING: Duration = Duration::from_secs(10);

/// The task that seals.
#[derive(Default)]
pub struct Sealing {
    /// How far it came.
    pub progress: Arc<Progress>,
    /// When a witness cosigned last.
    pub witnessing: Witnessing,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Sealing {
    /// Seals until [`Sealing::finish`].
    pub fn spawn(&self, store: Store, sealer: Sealer) {
        self.progress.sealed(sealer.checkpoint(), true);
        self.task.spawn(run(store, sealer, self.progress.clone(), self.stop.clone()));
        self.task.close();
    }

    /// Seals what there is, and ends.
    pub async fn finish(&self) {
        self.stop.cancel();
        if tokio::time::timeout(PARTING, self.task.wait()).await.is_err() {
            tracing::error!("the log's disk does not answer; what was not sealed is sealed at the next start");
        }
    }
}

async fn run(store: Store, mut sealer: Sealer, progress: Arc<Progress>, stop: CancellationToken) {
    let mut look = interval(INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    while !stop.is_cancelled() {
        tokio::select! {
            _ = look.tick() => {}
            () = stop.cancelled() => {}
            _ = beat.tick() => {
                let event = Event { detail: progress.standing(), ..Event::new(Utc::now(), Kind::Beat, Actor::gateway()) };
                if let Err(fault) = store.record(event).await {
                    tracing::error!(%fault, "cannot record the hourly beat");
                }
            }
        }
        loop {
            match sealer.seal(&store, &progress).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    tracing::error!(fault = format!("{fault:#}"), "cannot seal events into the log; trying again");
                    break;
                }
            }
        }
    }
}
