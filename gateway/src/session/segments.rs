//! What becomes of a recording when its session has ended: it is sealed, the log is told of each sealed file, and the
//! working folder is taken away.
//!
//! One recording at a time, on a thread that gives way to everything else. Until it is sealed a recording lies in its
//! folder, so that nothing is lost when the gateway ends first: what is found at the start is sealed then, whether it was
//! closed or torn off. Each step can be done again after a crash at any point.

use crate::gate::Gate;
use crate::store::{Store, StoreError};
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::keys::Recipients;
use sekimori_audit::recording::{Press, RecordingError, Sealed, SessionHead, head_in, seal};
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a sealed recording's folder stays, for those who follow it to its end.
const FOLLOWERS: Duration = Duration::from_millis(500);
/// When what could not be sealed is tried again: soon, and then less often.
const AGAIN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(300);
/// Events of one recording that are written together: other writers wait meanwhile.
const TOGETHER: usize = 200;
/// How long a stop waits for recordings to be sealed; the rest is sealed at the next start.
const LAST: Duration = Duration::from_secs(20);

/// The recordings that wait to be sealed.
#[derive(Default)]
pub struct Segments {
    waiting: Mutex<VecDeque<PathBuf>>,
    more: Notify,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Segments {
    /// Has the recording in a working folder sealed when its turn comes.
    pub fn add(&self, folder: PathBuf) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(folder);
        self.more.notify_one();
    }

    /// Seals what was left behind, and then what comes, until [`Segments::finish`].
    pub fn spawn(&self, gate: Arc<Gate>, recipients: Recipients, left: Vec<PathBuf>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
        self.task.spawn(run(gate, recipients));
        self.task.close();
    }

    /// Seals what there is, as far as there is time.
    pub async fn finish(&self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, self.task.wait()).await.is_err() {
            tracing::warn!("recordings are left to be sealed at the next start");
        }
    }

    fn next(&self) -> Option<PathBuf> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Why a recording could not be sealed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the thread that seals is gone")]
    Thread,
}

async fn run(gate: Arc<Gate>, recipients: Recipients) {
    let segments = &gate.segments;
    let mut desk = desk();
    let mut failed: HashSet<PathBuf> = HashSet::new();
    let mut again = AGAIN;
    loop {
        while let Some(folder) = segments.next() {
            match settle(&gate.store, &folder, &recipients, &desk).await {
                Ok(()) => {
                    again = AGAIN;
                    segments.task.spawn(take_away(folder));
                }
                Err(fault) => {
                    tracing::error!(folder = %folder.display(), %fault, "a recording is not sealed yet; trying again");
                    if matches!(fault, Fault::Thread) {
                        desk = self::desk();
                    }
                    failed.insert(folder);
                }
            }
        }
        if segments.stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = segments.more.notified() => {}
            () = segments.stop.cancelled() => {}
            () = tokio::time::sleep(again), if !failed.is_empty() => {
                again = (again * 2).min(SELDOM);
                segments.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(failed.drain());
            }
        }
    }
}

/// Seals one recording, and tells the log.
async fn settle(store: &Store, folder: &Path, recipients: &Recipients, desk: &Desk) -> Result<(), Fault> {
    let head = head_in(folder)?;
    let sealed = seal_there(desk, folder, &head, recipients).await?;
    // A crash may have come between: what was told is not told again. The last event says that all were.
    let told = store.events_of_session(head.session).await?;
    let told = told.iter().filter_map(|event| event.event().ok());
    let told = told.filter(|event| matches!(event.kind, Kind::RecordingSegment | Kind::RecordingSealed)).count();
    for events in events(&head, &sealed).get(told..).unwrap_or_default().chunks(TOGETHER) {
        Box::pin(store.record_all(events)).await?;
    }
    Ok(())
}

/// Takes a sealed recording's folder away. What stays behind is found, and taken away, at the next start.
async fn take_away(folder: PathBuf) {
    tokio::time::sleep(FOLLOWERS).await;
    let path = folder.clone();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
    if let Ok(Err(fault)) = removed {
        tracing::warn!(folder = %folder.display(), %fault, "a sealed recording's folder cannot be taken away");
    }
}

/// What the one thread that seals is given to do.
type Work = Box<dyn FnOnce(&mut Press) + Send>;
type Desk = std::sync::mpsc::Sender<Work>;

/// Starts the thread that seals, for as long as somebody gives it work: memory of a thread's own is used again.
fn desk() -> Desk {
    let (desk, work) = std::sync::mpsc::channel::<Work>();
    let seal = move || {
        // Sessions come first: on Linux this holds for this thread alone.
        rustix::process::nice(10).ok();
        let Ok(mut press) = Press::new() else { return };
        work.iter().for_each(|work| work(&mut press));
    };
    if let Err(fault) = std::thread::Builder::new().name("seal".into()).spawn(seal) {
        tracing::error!(%fault, "no thread can be started to seal recordings");
    }
    desk
}

async fn seal_there(desk: &Desk, folder: &Path, head: &SessionHead, recipients: &Recipients) -> Result<Sealed, Fault> {
    let (folder, head, recipients) = (folder.to_owned(), head.clone(), recipients.clone());
    let (done, sealed) = oneshot::channel();
    let work: Work = Box::new(move |press| {
        // Who asked has not gone away.
        let _ = done.send(seal(&folder, &head, &recipients, press));
    });
    desk.send(work).map_err(|_| Fault::Thread)?;
    Ok(sealed.await.map_err(|_| Fault::Thread)??)
}

fn events(head: &SessionHead, sealed: &Sealed) -> Vec<Event> {
    let event = |kind, detail| Event {
        person: Some(head.person.clone()),
        vendor: head.vendor.clone(),
        device: Some(head.device.clone()),
        work: Some(head.work.clone()),
        session: Some(head.session),
        detail,
        ..Event::new(Utc::now(), kind, Actor::gateway())
    };
    let mut events: Vec<Event> =
        sealed.stored.iter().map(|stored| event(Kind::RecordingSegment, json!(stored))).collect();
    let bytes: u64 = sealed.stored.iter().map(|stored| stored.size).sum();
    let index = sealed.stored.last().map(|stored| &stored.sha256);
    let detail = json!({ "files": sealed.stored.len(), "bytes": bytes, "index_sha256": index });
    events.push(event(Kind::RecordingSealed, detail));
    events
}
