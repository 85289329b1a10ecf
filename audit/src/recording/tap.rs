//! The place where a pump shows its bytes to the recording before it forwards them.
//!
//! Writes run on tokio's blocking threads, one at a time for each channel: a stalled disk holds up the pumps that wait
//! for it, and no runtime thread. There is no queue: each pump waits for its own write, so the memory under way is what
//! it hands over at a time. (Measured on two busy cores with 32 KiB chunks, hashing included: 350 to 390 MiB/s and 60 µs a
//! keystroke; a thread of our own for each recording came to 200 MiB/s. Writing on the runtime's own threads is
//! faster, until the disk stalls.) A caller that goes away half way does not undo the write: what is not forwarded may
//! be on record, never the other way round.

use super::channel::Channel;
use super::values::{ExitStatus, Output, Transfer};
use super::{Shared, lock};
use crate::error::RecordingError;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::sync::{Arc, Mutex};

/// One channel's access to its recording; clones are for the two pumps.
#[derive(Clone)]
pub struct Tap {
    shared: Arc<Shared>,
    channel: Arc<Mutex<Channel>>,
    completed: Arc<Mutex<Vec<Transfer>>>,
}

#[expect(clippy::wrong_self_convention, reason = "the names say which side the bytes come from")]
impl Tap {
    pub(super) fn new(shared: Arc<Shared>, channel: Arc<Mutex<Channel>>) -> Self {
        Self { shared, channel, completed: Arc::default() }
    }

    /// Records bytes of the device. Forward them to the person only after this returned `Ok`: then the kernel has them.
    ///
    /// # Errors
    /// [`RecordingError::Malformed`] ends this channel; every other error ends the session.
    pub async fn from_device(&self, output: Output, chunks: &[Bytes]) -> Result<(), RecordingError> {
        let chunks = chunks.to_vec();
        self.act(move |channel, at| chunks.iter().try_for_each(|data| channel.device_sent(at, output, data))).await
    }

    /// Records bytes of the person: of a terminal their number, of everything else the bytes. Forward them to the
    /// device only after this returned `Ok`.
    ///
    /// # Errors
    /// [`RecordingError::Malformed`] ends this channel; every other error ends the session.
    pub async fn from_person(&self, chunks: &[Bytes]) -> Result<(), RecordingError> {
        let chunks = chunks.to_vec();
        self.act(move |channel, at| chunks.iter().try_for_each(|data| channel.person_sent(at, data))).await
    }

    /// Records what the gateway itself is about to show in the channel. In a terminal it is output, and marked.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub async fn notice(&self, text: &str) -> Result<(), RecordingError> {
        let text = text.to_owned();
        self.act(move |channel, at| channel.notice(at, &text)).await
    }

    /// Records a new window size in characters. Channels without a terminal ignore it.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub async fn resize(&self, cols: u16, rows: u16) -> Result<(), RecordingError> {
        self.act(move |channel, at| channel.resize(at, cols, rows)).await
    }

    /// Records how the command ended.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub async fn exit(&self, status: ExitStatus) -> Result<(), RecordingError> {
        self.act(move |channel, at| channel.exit(at, status)).await
    }

    /// Closes the channel's record: everything is on disk, transfers under way are marked incomplete. Returns the
    /// transfers that [`Tap::completed_transfers`] has not returned. A second call returns nothing more.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn close(&self, reason: Option<&str>) -> Result<Vec<Transfer>, RecordingError> {
        let reason = reason.map(str::to_owned);
        self.act(move |channel, at| channel.close(at, reason)).await?;
        Ok(self.completed_transfers())
    }

    /// The transfers that ended since the last call, so that each becomes an event while the session goes on. Never
    /// waits for the disk.
    #[must_use]
    pub fn completed_transfers(&self) -> Vec<Transfer> {
        std::mem::take(&mut *lock(&self.completed))
    }

    async fn act(
        &self,
        act: impl FnOnce(&mut Channel, DateTime<Utc>) -> Result<(), RecordingError> + Send + 'static,
    ) -> Result<(), RecordingError> {
        let tap = self.clone();
        self.shared
            .on_disk(move |shared| {
                shared.check()?;
                let mut channel = lock(&tap.channel);
                // While this waited for the lock, the write before it may have failed.
                shared.check()?;
                let outcome = act(&mut channel, shared.now());
                lock(&tap.completed).extend(channel.drain());
                outcome
            })
            .await
    }
}
