//! The screens of the sessions that live here, for those who watch them in a browser.
//!
//! A view is there while somebody watches, and shared by all who do. It reads what was recorded, as `session watch` does:
//! the session itself knows nothing of it and never waits for it. All views are looked after by one thread, which gives
//! way to everything else.

use super::Session;
use crate::gate::Gate;
use sekimori_audit::recording::RecordingError;
use sekimori_audit::replay::{LiveScreens, Look};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

/// How often a screen is looked at that somebody follows by itself, and one among many.
const CLOSELY: Duration = Duration::from_millis(50);
const IN_PASSING: Duration = Duration::from_millis(500);
/// The pause between two looks while a screen is behind.
const BEHIND: Duration = Duration::from_millis(5);

/// The views that are there.
#[derive(Default)]
pub struct Views {
    views: Mutex<HashMap<Uuid, Weak<View>>>,
    desk: Mutex<Option<Desk>>,
}

/// What is seen of one session.
pub struct View {
    /// The session.
    pub session: Arc<Session>,
    screens: Mutex<LiveScreens>,
    changes: watch::Sender<u64>,
    close: AtomicUsize,
    wake: Notify,
    over: AtomicBool,
}

/// Somebody who follows one session by itself: until this is dropped its screen is looked at more often.
pub struct Closely(pub Arc<View>);

impl Drop for Closely {
    fn drop(&mut self) {
        self.0.close.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Views {
    /// The view of a session; `None` where it does not live here.
    #[must_use]
    pub fn of(&self, gate: &Arc<Gate>, session: Uuid) -> Option<Arc<View>> {
        let session = gate.live.one(session)?;
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|_, view| view.strong_count() > 0);
        if let Some(view) = views.get(&session.id).and_then(Weak::upgrade) {
            return Some(view);
        }
        let view = Arc::new(View {
            screens: Mutex::new(LiveScreens::new(&session.recording)),
            session,
            changes: watch::Sender::new(0),
            close: AtomicUsize::new(0),
            wake: Notify::new(),
            over: AtomicBool::new(false),
        });
        views.insert(view.session.id, Arc::downgrade(&view));
        gate.home.spawn(look_after(gate.clone(), Arc::downgrade(&view)));
        Some(view)
    }

    /// Has a view looked at by the thread that does; a new one takes its place when it is gone.
    async fn look(&self, view: Arc<View>) -> Option<Result<Look, RecordingError>> {
        let (done, found) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Who asked may have gone away with the runtime.
            let _ = done.send(view.screens().look());
        });
        {
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = desk.get_or_insert_with(open_desk).send(work);
            if sent.is_err() {
                *desk = None;
            }
        }
        found.await.ok()
    }
}

impl View {
    /// What is seen. Hold it for a moment only.
    pub fn screens(&self) -> MutexGuard<'_, LiveScreens> {
        self.screens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether nothing more will be seen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Follows the session by itself.
    #[must_use]
    pub fn closely(self: &Arc<Self>) -> Closely {
        self.close.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
        Closely(self.clone())
    }

    fn pause(&self, look: Look) -> Duration {
        match (look.more, self.close.load(Ordering::Relaxed)) {
            (true, _) => BEHIND,
            (false, 0) => IN_PASSING,
            (false, _) => CLOSELY,
        }
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Looks at a session's screens for as long as somebody watches and it lives.
async fn look_after(gate: Arc<Gate>, view: Weak<View>) {
    while let Some(seen) = view.upgrade() {
        // Asked first: what was written until then is found by the look.
        let ended = gate.live.one(seen.session.id).is_none();
        let found = gate.views.look(seen.clone()).await;
        let look = match found {
            Some(Ok(look)) => look,
            Some(Err(fault)) => {
                tracing::error!(session = %seen.session.id, %fault, "a live session cannot be watched any more");
                seen.over.store(true, Ordering::Release);
                return seen.tell();
            }
            // The thread is gone: the next look has a new one.
            None => Look { changed: false, more: false },
        };
        if ended && !look.more {
            seen.over.store(true, Ordering::Release);
            return seen.tell();
        }
        if look.changed {
            seen.tell();
        }
        let pause = seen.pause(look);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = seen.wake.notified() => {}
        }
    }
}

/// What the one thread that looks is given to do.
type Work = Box<dyn FnOnce() + Send>;
type Desk = std::sync::mpsc::Sender<Work>;

fn open_desk() -> Desk {
    let (desk, work) = std::sync::mpsc::channel::<Work>();
    let look = move || {
        // Sessions come first: on Linux this holds for this thread alone.
        rustix::process::nice(10).ok();
        work.iter().for_each(|work| work());
    };
    if let Err(fault) = std::thread::Builder::new().name("views".into()).spawn(look) {
        tracing::error!(%fault, "no thread can be started to watch sessions");
    }
    desk
}
