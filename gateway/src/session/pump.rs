//! A pump: drains one side of a channel whatever the other side does, and passes on what came, in order.
//!
//! See [`super::backlog`] for why draining never stops, and for what holds the sender back instead.

use super::attended::Hold;
use super::backlog::Backlog;
use super::relay::Outcome;
use super::screen::Sent;
use bytes::Bytes;
use russh::ChannelMsg;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;

/// What a pump does with what it drained.
pub(super) trait Pass: Send {
    /// Passes data on; returns when all of it is on record and handed to the other side's window.
    fn data(&mut self, data: Data) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// Passes on a message that is no data.
    fn message(&mut self, message: ChannelMsg) -> impl Future<Output = Result<ControlFlow<()>, Outcome>> + Send;

    /// How long the end of a stream waits for the exit status that comes behind it. `None`: not at all.
    fn status_grace(&self) -> Option<Duration> {
        None
    }

    /// What has to be released before anything is passed on. `None`: nothing holds this side.
    fn hold(&self) -> Option<Hold> {
        None
    }

    /// How long the other side may take for what a sender that is gone has left behind. `None`: a slow reader gets
    /// all of it, for as long as it lives.
    fn patience(&self) -> Option<Duration> {
        None
    }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// Bytes that are recorded in one write at most. Bulk data queues up while the write before it is under way; a
/// keystroke goes alone.
const BATCH: usize = 512 << 10;

/// Data of one stream, in the order in which it came.
pub(super) struct Data {
    /// The type of extended data (RFC 4254 section 5.2); `None` is the main stream.
    pub extended: Option<u32>,
    /// Its bytes.
    pub chunks: Vec<Bytes>,
}

impl Data {
    /// How many bytes it is.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// What is passed on at a time.
enum Batch {
    Data(Data),
    Message(ChannelMsg),
}

impl Batch {
    /// Whether a pause holds it: all that acts on the device. A window's size is none of that, and who leaves may.
    fn is_held(&self) -> bool {
        !matches!(self, Self::Message(ChannelMsg::WindowChange { .. } | ChannelMsg::Close))
    }
}

/// Takes from the front of the queue what is passed on together, with its weight.
fn batch(waiting: &mut VecDeque<ChannelMsg>) -> Option<(Batch, usize)> {
    let first = waiting.pop_front()?;
    let mut taken = weight(&first);
    let (extended, data) = match first {
        ChannelMsg::Data { data } => (None, data),
        ChannelMsg::ExtendedData { data, ext } => (Some(ext), data),
        other => return Some((Batch::Message(other), taken)),
    };
    let mut chunks = vec![data];
    while taken < BATCH {
        let next = match (waiting.front(), extended) {
            (Some(ChannelMsg::Data { data }), None) => data,
            (Some(ChannelMsg::ExtendedData { data, ext }), Some(same)) if *ext == same => data,
            _ => break,
        };
        chunks.push(next.clone());
        taken += waiting.pop_front().as_ref().map_or(0, weight);
    }
    Some((Batch::Data(Data { extended, chunks }), taken))
}

/// Drains `read` for as long as it lives, and passes on what came, in order.
/// `None`: the side that was read from came to its end.
pub(super) async fn pump(
    read: &mut Sent,
    backlog: &Backlog,
    mut waiting: VecDeque<ChannelMsg>,
    side: &mut impl Pass,
) -> Option<Outcome> {
    let mut open = true;
    // When the sender is gone, what it sent last may still be passed on, but not wait for ever.
    let mut last_chance = None;
    loop {
        if waiting.is_empty() && open {
            let message = read.wait().await?;
            if !backlog.arrived(weight(&message)) {
                return Some(Outcome::Flooded);
            }
            waiting.push_back(message);
        }
        if let (Some(grace), [ChannelMsg::Eof], true) = (side.status_grace(), waiting.make_contiguous(), open) {
            match tokio::time::timeout(grace, read.wait()).await {
                Ok(Some(message)) if backlog.arrived(weight(&message)) => waiting.push_back(message),
                Ok(Some(_)) => return Some(Outcome::Flooded),
                Ok(None) => open = false,
                Err(_) => {}
            }
        }
        if let [first @ ChannelMsg::Eof, second, ..] = waiting.make_contiguous()
            && matches!(second, ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. })
        {
            std::mem::swap(first, second);
        }
        let (batch, weight_passing) = batch(&mut waiting)?;
        let side_patience = side.patience();
        let stalled = tokio::time::sleep(backlog.stall());
        let mut hold = side.hold().filter(|_| batch.is_held());
        let mut release = hold.clone();
        let passing = async {
            if let Some(release) = &mut release {
                // The session outlives its pumps, so that its hold does not close.
                let _ = release.wait_for(|held| !held.holds()).await;
            }
            match batch {
                Batch::Data(data) => side.data(data).await.map(|()| ControlFlow::Continue(())),
                Batch::Message(message) => side.message(message).await,
            }
        };
        tokio::pin!(passing, stalled);
        let passed = loop {
            tokio::select! {
                biased;
                passed = &mut passing => break passed,
                () = until(last_chance), if last_chance.is_some() => return None,
                // Asked again with each message that trickles in.
                () = &mut stalled, if backlog.holds_up_others() => {
                    if !hold.as_mut().is_some_and(held_meanwhile) {
                        return Some(Outcome::Stalled);
                    }
                    stalled.set(tokio::time::sleep(backlog.stall()));
                }
                more = read.wait(), if open => match more {
                    Some(message) => {
                        if matches!(message, ChannelMsg::Close) {
                            last_chance = side_patience.map(|patience| Instant::now() + patience);
                        }
                        if !backlog.arrived(weight(&message)) {
                            return Some(Outcome::Flooded);
                        }
                        waiting.push_back(message);
                    }
                    None => {
                        open = false;
                        last_chance = side_patience.map(|patience| Instant::now() + patience);
                    }
                },
            }
        };
        backlog.left(weight_passing);
        match passed {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return None,
            Err(outcome) => return Some(outcome),
        }
    }
}

/// Whether it is held, or was since this was asked last: nobody stands still by it.
fn held_meanwhile(hold: &mut Hold) -> bool {
    let changed = hold.has_changed().unwrap_or_default();
    hold.borrow_and_update().holds() || changed
}

/// Keeps draining `read` while something else is under way; what arrives waits in `waiting`. Resolves to `None` when
/// the side that is read from is gone, or floods.
pub async fn drain_meanwhile<T>(
    read: &mut Sent,
    backlog: &Backlog,
    waiting: &mut VecDeque<ChannelMsg>,
    under_way: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(under_way);
    loop {
        tokio::select! {
            biased;
            done = &mut under_way => return Some(done),
            more = read.wait() => {
                let message = more?;
                if matches!(message, ChannelMsg::Close) || !backlog.arrived(weight(&message)) {
                    return None;
                }
                waiting.push_back(message);
            }
        }
    }
}

/// Reads and throws away, so that the connection's other channels go on. Resolves when the person is gone.
pub(super) async fn discard(read: &mut Sent, backlog: &Backlog) {
    backlog.emptied();
    while let Some(message) = read.wait().await {
        if matches!(message, ChannelMsg::Close) {
            return;
        }
    }
}

/// What a message takes in memory, in bytes: a flood of empty ones counts as well.
pub fn weight(message: &ChannelMsg) -> usize {
    const OVERHEAD: usize = 64;
    match message {
        ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => OVERHEAD + data.len(),
        _ => OVERHEAD,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// Says what was passed on, in order.
    struct Told(Vec<&'static str>);

    impl Pass for Told {
        async fn data(&mut self, _: Data) -> Result<(), Outcome> {
            self.0.push("data");
            Ok(())
        }

        async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
            self.0.push(match message {
                ChannelMsg::Eof => "eof",
                ChannelMsg::ExitStatus { .. } => "exit-status",
                _ => "other",
            });
            Ok(ControlFlow::Continue(()))
        }

        fn status_grace(&self) -> Option<Duration> {
            Some(Duration::from_secs(3600))
        }
    }

    /// PuTTY closes at the end of the stream, and never learns a status that comes behind it.
    #[tokio::test]
    async fn the_end_of_a_stream_waits_for_the_exit_status() {
        let (device, read) = mpsc::channel(8);
        let (mut read, backlog, mut told) = (Sent::Browser(read), Backlog::default(), Told(Vec::new()));
        let sent = async {
            device.send(ChannelMsg::Data { data: Bytes::from_static(b"out") }).await.unwrap();
            device.send(ChannelMsg::Eof).await.unwrap();
            // The pump has both, and would have passed them on, before the status comes.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            device.send(ChannelMsg::ExitStatus { exit_status: 3 }).await.unwrap();
            drop(device);
        };
        tokio::join!(pump(&mut read, &backlog, VecDeque::new(), &mut told), sent);
        assert_eq!(told.0, ["data", "exit-status", "eof"]);
    }
}
