//! What becomes of recordings: they are sealed while their sessions go on, the log is told of each sealed file, and when
//! a session has ended and all of it is sealed its working folder is taken away.
//!
//! One recording at a time, some MiB of it, on a thread that gives way to everything else. What is not sealed yet lies in
//! the folder, so that nothing is lost when the gateway ends first: what is found at the start is sealed then, as it is,
//! since its key is gone with the process that had it. Each step can be done again after a crash at any point.

use crate::gate::Gate;
use crate::store::StoreError;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::{self, Press, Recording, RecordingError, Sealing, SessionHead, Stored, head_in};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often live recordings are looked at.
const ROUND: Duration = Duration::from_secs(2);
/// How long a sealed recording's folder stays, for those who follow it to its end.
const FOLLOWERS: Duration = Duration::from_millis(500);
/// When what could not be sealed is tried again: soon, and then less often.
const AGAIN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(300);
/// Events of one recording that are written together: other writers wait meanwhile.
const TOGETHER: usize = 200;
/// How long a stop waits for recordings to be sealed; the rest is sealed at the next start.
const LAST: Duration = Duration::from_secs(20);

/// The recordings whose sessions have ended.
#[derive(Default)]
pub struct Segments {
    ended: Mutex<Vec<Recording>>,
    more: Notify,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Segments {
    /// Has the rest of a recording sealed whose session has ended.
    pub fn add(&self, recording: &Recording) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(recording.clone());
        self.more.notify_one();
    }

    /// Seals what was left behind in these folders, and then what comes, until [`Segments::finish`].
    pub fn spawn(&self, gate: Arc<Gate>, left: Vec<PathBuf>) {
        let due = left.into_iter().map(|folder| Due::new(folder, None)).collect();
        let (under_way, lost, doubtful) = (HashMap::new(), HashSet::new(), HashSet::new());
        self.task.spawn(Office { gate, desk: desk(), under_way, lost, doubtful, due }.run());
        self.task.close();
    }

    /// Seals what there is, as far as there is time.
    pub async fn finish(&self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, self.task.wait()).await.is_err() {
            tracing::warn!("recordings are left to be sealed at the next start");
        }
    }

    fn take_ended(&self) -> Vec<Recording> {
        std::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
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

/// A recording that is over, and is to be sealed to its end.
struct Due {
    folder: PathBuf,
    /// `None`: another process left it, or what was known of it here is gone.
    recording: Option<Recording>,
    at: Instant,
    pause: Duration,
}

impl Due {
    fn new(folder: PathBuf, recording: Option<Recording>) -> Self {
        Self { folder, recording, at: Instant::now(), pause: AGAIN }
    }

    /// Tries again later.
    fn put_off(self) -> Self {
        Self { at: Instant::now() + self.pause, pause: (self.pause * 2).min(SELDOM), ..self }
    }
}

/// Where a recording's sealing was begun.
enum Begun {
    Before(Box<Sealing>),
    Now(Recording),
    Elsewhere(PathBuf, Vec<Stored>, Box<SessionHead>),
}

impl Begun {
    fn taken_up(self) -> Result<Sealing, RecordingError> {
        match self {
            Self::Before(sealing) => Ok(*sealing),
            Self::Now(recording) => Sealing::begin(&recording),
            Self::Elsewhere(folder, told, head) => Sealing::left(&folder, &head, &told),
        }
    }
}

/// When live recordings are looked at next, and whether more of one is due already.
struct Look {
    next: Instant,
    more: bool,
}

/// Where recordings are sealed. Whatever touches the disk is done at its desk: a disk that stands still must not hold up
/// what runs here.
struct Office {
    gate: Arc<Gate>,
    desk: Desk,
    /// Recordings of this process that were begun, by their folders.
    under_way: HashMap<PathBuf, Sealing>,
    /// Those of which it is no longer known here how far they are: they are taken up at their end from what the log was
    /// told, as another process' are.
    lost: HashSet<PathBuf>,
    /// Those of which the log was told and did not answer: it may know of it all the same.
    doubtful: HashSet<PathBuf>,
    due: Vec<Due>,
}

impl Office {
    async fn run(mut self) {
        let gate = self.gate.clone();
        let segments = &gate.segments;
        let mut live = Look { next: Instant::now(), more: false };
        loop {
            // Asked first: whatever has ended by then is sealed before this returns.
            let stopping = segments.stop.is_cancelled();
            // Not more often than that, or a burst would seem to be over between two rounds of another recording's rest.
            if live.more || live.next <= Instant::now() {
                live = Look { more: self.seal_what_is_live().await, next: Instant::now() + ROUND };
            }
            let ended = segments.take_ended();
            for one in ended {
                let folder = one.folder().to_owned();
                let known = !self.lost.remove(&folder);
                self.due.push(Due::new(folder, known.then_some(one)));
            }
            let now = Instant::now();
            let (due, later) = std::mem::take(&mut self.due).into_iter().partition(|due: &Due| due.at <= now);
            self.due = later;
            let mut more = false;
            for due in due {
                more |= self.settle(due).await;
            }
            if stopping && !more {
                return;
            }
            let pause =
                if live.more || more { Duration::ZERO } else { live.next.saturating_duration_since(Instant::now()) };
            tokio::select! {
                () = segments.more.notified() => {}
                () = segments.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Goes on with the recordings of all live sessions; whether more of one is due already.
    async fn seal_what_is_live(&mut self) -> bool {
        let mut more = false;
        for session in self.gate.live.all() {
            let recording = &session.recording;
            if self.lost.contains(recording.folder()) {
                continue;
            }
            match self.go_on(recording).await {
                Ok(due) => more |= due,
                Err(fault) => {
                    if matches!(fault, Fault::Thread) {
                        self.lost.insert(recording.folder().to_owned());
                    }
                    let folder = recording.folder().display();
                    tracing::error!(%folder, %fault, "a recording is not sealed while it goes on; trying again");
                }
            }
        }
        more
    }

    async fn go_on(&mut self, recording: &Recording) -> Result<bool, Fault> {
        let folder = recording.folder().to_owned();
        let begun = self.under_way.remove(&folder);
        let (recording, recipients) = (recording.clone(), self.gate.recordings.recipients().clone());
        let (mut sealing, went_on) = self
            .at_desk(move |press| {
                let mut sealing = begun.map_or_else(|| Sealing::begin(&recording), Ok)?;
                let went_on = sealing.go_on(&recipients, press);
                Ok::<_, RecordingError>((sealing, went_on))
            })
            .await??;
        // Only what is on the disk is told of.
        let told = match went_on {
            Ok(more) => self.tell(&mut sealing).await.map(|()| more),
            Err(fault) => Err(fault.into()),
        };
        self.under_way.insert(folder, sealing);
        told
    }

    /// Seals more of the rest of a recording and tells the log; takes the folder away once that is all, or puts it off.
    /// Whether there is more to do at once.
    async fn settle(&mut self, due: Due) -> bool {
        let sealing = self.under_way.remove(&due.folder);
        let fault = match self.finish(&due, sealing).await {
            Ok(true) => {
                self.due.push(Due { pause: AGAIN, ..due });
                return true;
            }
            Ok(false) => {
                self.gate.segments.task.spawn(take_away(due.folder));
                return false;
            }
            Err(fault) => fault,
        };
        tracing::error!(folder = %due.folder.display(), %fault, "a recording is not sealed yet; trying again");
        // With the thread that is gone went what it was given.
        let lost = matches!(fault, Fault::Thread);
        let due = Due { recording: due.recording.filter(|_| !lost), ..due };
        self.due.push(due.put_off());
        false
    }

    async fn finish(&mut self, due: &Due, sealing: Option<Sealing>) -> Result<bool, Fault> {
        let begun = match (sealing, &due.recording) {
            (Some(sealing), _) => Begun::Before(Box::new(sealing)),
            (None, Some(recording)) => Begun::Now(recording.clone()),
            (None, None) => {
                let folder = due.folder.clone();
                let head = self.at_desk(move |_| head_in(&folder)).await??;
                Begun::Elsewhere(due.folder.clone(), told(&self.gate, &head).await?, Box::new(head))
            }
        };
        let recipients = self.gate.recordings.recipients().clone();
        let (mut sealing, finished) = self
            .at_desk(move |press| {
                let mut sealing = begun.taken_up()?;
                let finished = match sealing.finish(&recipients, press) {
                    Ok(true) => Ok(None),
                    Ok(false) => sealing.stored().map(Some),
                    Err(fault) => Err(fault),
                };
                Ok::<_, RecordingError>((sealing, finished))
            })
            .await??;
        let outcome = match finished {
            Ok(None) => self.tell(&mut sealing).await.map(|()| true),
            Ok(Some(stored)) => self.tell_the_end(&mut sealing, &stored).await.map(|()| false),
            Err(fault) => Err(fault.into()),
        };
        if !matches!(outcome, Ok(false)) {
            self.under_way.insert(due.folder.clone(), sealing);
        }
        outcome
    }

    /// Tells the log of what was sealed.
    async fn tell(&mut self, sealing: &mut Sealing) -> Result<(), Fault> {
        while !sealing.untold().is_empty() {
            let head = sealing.head();
            let segments = sealing.untold().iter().take(TOGETHER);
            let events: Vec<_> = segments.map(|stored| event(head, Kind::RecordingSegment, json!(stored))).collect();
            // In doubt until it has answered: a database can keep what it was too slow to confirm.
            let told = match self.doubtful.insert(sealing.folder().to_owned()) {
                true => Box::pin(self.gate.store.record_all(&events)).await,
                false => Box::pin(self.gate.store.record_missing(head.session, &events)).await,
            };
            told?;
            self.doubtful.remove(sealing.folder());
            sealing.told(events.len());
        }
        Ok(())
    }

    /// Tells the log of the rest, and that this is all.
    async fn tell_the_end(&mut self, sealing: &mut Sealing, stored: &[Stored]) -> Result<(), Fault> {
        self.tell(sealing).await?;
        let bytes: u64 = stored.iter().map(|stored| stored.place.size).sum();
        let index = stored.last().map(|stored| &stored.place.sha256);
        let detail = json!({ "files": stored.len(), "bytes": bytes, "index_sha256": index });
        let head = sealing.head();
        // It may know already: a crash can come between this and taking the folder away.
        let end = event(head, Kind::RecordingSealed, detail);
        Box::pin(self.gate.store.record_missing(head.session, &[end])).await?;
        Ok(())
    }

    /// Has something done by the thread that seals; a new one takes its place when it is gone.
    async fn at_desk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Press) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (done, outcome) = oneshot::channel();
        let work: Work = Box::new(move |press| {
            // Who asked has not gone away.
            let _ = done.send(work(press));
        });
        let sent = self.desk.send(work).is_ok();
        match outcome.await {
            Ok(outcome) if sent => Ok(outcome),
            _ => {
                self.desk = desk();
                Err(Fault::Thread)
            }
        }
    }
}

/// What the log was told of a recording by another process.
async fn told(gate: &Gate, head: &SessionHead) -> Result<Vec<Stored>, StoreError> {
    let mut told = Vec::new();
    for stored in gate.store.events_of_session(head.session).await? {
        let event = stored.event()?;
        if event.kind == Kind::RecordingSegment {
            // One that cannot be read is not passed over: what it tells of would be written over.
            let damaged = |fault: serde_json::Error| StoreError::damaged("event", stored.seq, fault.to_string());
            told.push(serde_json::from_value(event.detail).map_err(damaged)?);
        }
    }
    Ok(told)
}

fn event(head: &SessionHead, kind: Kind, detail: Value) -> Event {
    Event {
        person: Some(head.person.clone()),
        vendor: head.vendor.clone(),
        device: Some(head.device.clone()),
        work: Some(head.work.clone()),
        session: Some(head.session),
        detail,
        ..Event::new(Utc::now(), kind, Actor::gateway())
    }
}

/// Takes a sealed recording's folder away. What stays behind is found, and taken away, at the next start.
async fn take_away(folder: PathBuf) {
    tokio::time::sleep(FOLLOWERS).await;
    let path = folder.clone();
    let removed = tokio::task::spawn_blocking(move || recording::take_away(&path)).await;
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
        rustix::process::nice(19).ok();
        let Ok(mut press) = Press::new() else { return };
        work.iter().for_each(|work| work(&mut press));
    };
    if let Err(fault) = std::thread::Builder::new().name("seal".into()).spawn(seal) {
        tracing::error!(%fault, "no thread can be started to seal recordings");
    }
    desk
}
