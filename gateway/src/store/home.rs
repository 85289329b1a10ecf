//! The runtime that the database's connections live on. Who asks may run on another one, which ends with a person's
//! connection: what the pool opens, times and gives back meanwhile must not end with it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use tokio::runtime::Handle;

/// Where the database was connected.
#[derive(Clone)]
pub(super) struct Home(Handle);

impl Home {
    /// The runtime that runs now.
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }

    /// Awaits something of the database: polled by whoever asks, within the home's runtime.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let _home = self.0.enter();
            work.as_mut().poll(context)
        })
        .await
    }

    /// Lets go of something of the database.
    pub(super) fn let_go<T>(&self, thing: T) {
        let _home = self.0.enter();
        drop(thing);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_at_home_outlives_the_runtime_that_asked() {
        let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let at_home = home.block_on(async { Home::here() });
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (told, tell) = std::sync::mpsc::channel();
        let begin = async {
            tokio::spawn(async move { told.send(receiver.await.unwrap()) });
        };
        let visitor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        visitor.block_on(at_home.within(begin));
        drop(visitor);
        sender.send(5).unwrap();
        assert_eq!(tell.recv().unwrap(), 5);
    }
}
