//! The runtime that the database's connections live on. Who asks may run on another one, which ends with a person's
//! connection: what the pool opens, times and gives back meanwhile must not end with it.

use super::error::StoreError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long an answer may take: more than any writer waits for its turn. A server that stands still hangs up on nobody,
/// and whoever asks it must not hang with it.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Where the database was connected.
#[derive(Clone)]
pub(super) struct Home {
    runtime: Handle,
    /// [`ANSWER`].
    answer: Duration,
}

impl Home {
    /// The runtime that runs now.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current(), answer: ANSWER }
    }

    /// An answer of the database, or [`StoreError::Silent`] when it takes too long. It is polled, and let go of, by
    /// whoever asks, but within the home's runtime. (Boxed where it is made: it is large, and asked for deep down.)
    pub(super) fn answered<'a, T: 'a>(
        &'a self,
        answer: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        let mut asked = Asked { home: self, answer: Some(answer.boxed()) };
        async move {
            let limited = poll_fn(|context| {
                let _home = self.runtime.enter();
                asked.answer.as_mut().map_or(Poll::Pending, |answer| answer.as_mut().poll(context))
            });
            tokio::time::timeout(self.answer, limited).await.unwrap_or(Err(StoreError::Silent))
        }
    }

    /// Runs something to its end, whatever becomes of who asked for it.
    pub(super) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(task)
    }

    /// Lets go of something of the database.
    pub(super) fn let_go<T>(&self, thing: T) {
        let _home = self.runtime.enter();
        drop(thing);
    }
}

/// What is asked of the database. Whoever asks may give up half way.
struct Asked<'a, T> {
    home: &'a Home,
    /// There until it is let go of.
    answer: Option<BoxFuture<'a, Result<T, StoreError>>>,
}

impl<T> Drop for Asked<'_, T> {
    fn drop(&mut self) {
        self.home.let_go(self.answer.take());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_without_an_answer_is_given_up() {
        let home = Home { answer: Duration::from_millis(20), ..Home::here() };
        let asked = home.answered(std::future::pending::<Result<(), StoreError>>());
        let given_up = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
        assert!(matches!(given_up, Err(StoreError::Silent)));
    }

    #[test]
    fn what_is_begun_at_home_outlives_the_runtime_that_asked() {
        let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let at_home = home.block_on(async { Home::here() });
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (told, tell) = std::sync::mpsc::channel();
        let begin = async {
            tokio::spawn(async move { told.send(receiver.await.unwrap()) });
            Ok(())
        };
        let visitor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        visitor.block_on(at_home.answered(begin)).unwrap();
        drop(visitor);
        sender.send(5).unwrap();
        assert_eq!(tell.recv().unwrap(), 5);
    }
}
