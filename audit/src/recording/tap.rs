//! The place where a pump shows its bytes to the recording before it forwards them.
//!
//! Bytes are written by the thread that carries them: it serves one person's connection and no other, so a disk that
//! stalls holds up whoever it cannot record, and nobody else. There is no queue and no hand-over between threads; the
//! memory under way is what a pump hands over at a time. What others add — notices, the end — is written on a thread of
//! its own, since who asks for it may be waiting for many sessions.

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
    /// Waits for the disk.
    ///
    /// # Errors
    /// [`RecordingError::Malformed`] ends this channel; every other error ends the session.
    pub fn from_device(&self, output: Output, chunks: &[Bytes]) -> Result<(), RecordingError> {
        self.act(|channel, at| chunks.iter().try_for_each(|data| channel.device_sent(at, output, data)))
    }

    /// Records bytes of the person: of a terminal their number, of everything else the bytes. Forward them to the
    /// device only after this returned `Ok`.
    ///
    /// # Errors
    /// [`RecordingError::Malformed`] ends this channel; every other error ends the session.
    pub fn from_person(&self, chunks: &[Bytes]) -> Result<(), RecordingError> {
        self.act(|channel, at| chunks.iter().try_for_each(|data| channel.person_sent(at, data)))
    }

    /// Records what the gateway itself is about to show in the channel. In a terminal it is output, and marked.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub async fn notice(&self, text: &str) -> Result<(), RecordingError> {
        let text = text.to_owned();
        self.act_elsewhere(move |channel, at| channel.notice(at, &text)).await
    }

    /// Records a new window size in characters. Channels without a terminal ignore it.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub fn resize(&self, cols: u16, rows: u16) -> Result<(), RecordingError> {
        self.act(|channel, at| channel.resize(at, cols, rows))
    }

    /// Records how the command ended.
    ///
    /// # Errors
    /// As [`Tap::from_device`].
    pub fn exit(&self, status: ExitStatus) -> Result<(), RecordingError> {
        self.act(|channel, at| channel.exit(at, status))
    }

    /// Closes the channel's record: everything is on disk, transfers under way are marked incomplete. Returns the
    /// transfers that [`Tap::completed_transfers`] has not returned. A second call returns nothing more.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn close(&self, reason: Option<&str>) -> Result<Vec<Transfer>, RecordingError> {
        let reason = reason.map(str::to_owned);
        self.act_elsewhere(move |channel, at| channel.close(at, reason)).await?;
        Ok(self.completed_transfers())
    }

    /// The transfers that ended since the last call, so that each becomes an event while the session goes on. Never
    /// waits for the disk.
    #[must_use]
    pub fn completed_transfers(&self) -> Vec<Transfer> {
        std::mem::take(&mut *lock(&self.completed))
    }

    fn act(
        &self,
        act: impl FnOnce(&mut Channel, DateTime<Utc>) -> Result<(), RecordingError>,
    ) -> Result<(), RecordingError> {
        self.shared.noted(self.acted(act))
    }

    /// The same on a thread of its own, to its end even if the caller goes away.
    async fn act_elsewhere(
        &self,
        act: impl FnOnce(&mut Channel, DateTime<Utc>) -> Result<(), RecordingError> + Send + 'static,
    ) -> Result<(), RecordingError> {
        let tap = self.clone();
        self.shared.on_disk(move |_| tap.acted(act)).await
    }

    fn acted(
        &self,
        act: impl FnOnce(&mut Channel, DateTime<Utc>) -> Result<(), RecordingError>,
    ) -> Result<(), RecordingError> {
        self.shared.check()?;
        let mut channel = lock(&self.channel);
        // While this waited for the lock, the write before it may have failed.
        self.shared.check()?;
        let outcome = act(&mut channel, self.shared.now());
        lock(&self.completed).extend(channel.drain());
        outcome
    }
}
