//! What a process or a terminal has said so far, with waiting for what it says next.

use anyhow::{Result, bail};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A growing text. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    shared: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    /// Reads `source` to its end, in a thread of its own.
    #[must_use]
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let transcript = Self::default();
        let writer = transcript.clone();
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            // A terminal whose other side closed answers with an error (EIO): that is its end.
            while let Ok(count) = source.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                writer.lock().bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
                writer.shared.1.notify_all();
            }
            writer.lock().ended = true;
            writer.shared.1.notify_all();
        });
        transcript
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Everything so far, as bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// How many bytes were said so far: a mark for [`Transcript::wait_after`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Waits until `wanted` was said, and returns everything said so far.
    ///
    /// # Errors
    /// It was not said within `limit`, or the source ended without it.
    pub fn wait_for(&self, wanted: &str, limit: Duration) -> Result<String> {
        self.wait_after(0, wanted, limit)
    }

    /// Waits until `wanted` was said past `mark`, and returns everything past it.
    ///
    /// # Errors
    /// As [`Transcript::wait_for`].
    pub fn wait_after(&self, mark: usize, wanted: &str, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        let mut said = self.lock();
        loop {
            let text = String::from_utf8_lossy(said.bytes.get(mark..).unwrap_or_default()).into_owned();
            if text.contains(wanted) {
                return Ok(text);
            }
            let left = until.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                let why = if said.ended { "it ended".to_owned() } else { format!("{limit:?} passed") };
                bail!("waited for {wanted:?}, but {why}; it had said:\n{text}");
            }
            said = self.shared.1.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the source has ended, and returns everything it said.
    ///
    /// # Errors
    /// It has not ended within `limit`.
    pub fn wait_end(&self, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        let mut said = self.lock();
        while !said.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("it had not ended after {limit:?}");
            }
            said = self.shared.1.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(String::from_utf8_lossy(&said.bytes).into_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
