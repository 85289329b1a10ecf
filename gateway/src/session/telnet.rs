//! A terminal at a device that speaks telnet, relayed as any other: on record before it is passed on, the device read
//! only as fast as the person takes it.
//!
//! What the protocol has to answer is written beside what the person types, and never from the pump that reads: a device
//! that has stopped reading is still read from.

use super::Session;
use super::attended::Hold;
use super::pump::{Data, Pass, discard, pump};
use super::relay::{LAST_WORDS, Outcome, PersonEnd, cells};
use super::screen::Screen;
use crate::telnet::Line;
use crate::telnet::codec::Codec;
use bytes::{Bytes, BytesMut};
use russh::{ChannelMsg, Sig};
use sekimori_audit::recording::{Output, Tap};
use std::io;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

/// Bytes read from the device's socket at once.
const READ: usize = 32 << 10;

/// Answers that may wait for a device which takes nothing.
const REPLIES: usize = 64 << 10;

/// Relays until either side ends. The caller ends it from outside by dropping the future.
pub async fn telnet(person: PersonEnd, line: Line, tap: &Tap, session: &Session) -> Outcome {
    let PersonEnd { read: mut person_read, screen, backlog, early, offer: _ } = person;
    let Line { socket, codec, said, cuttable: _cuttable } = line;
    let (device_read, device_write) = socket.into_split();
    let wire = Wire::new(codec, device_write);
    if screen.answer(true).await.is_err() {
        return Outcome::PersonClosed;
    }
    let down = Down { wire: &wire, screen: &screen, tap, session }.pass(device_read, said);
    tokio::pin!(down);
    let outcome = {
        let mut up = Up { wire: &wire, tap, session };
        tokio::select! {
            outcome = pump(&mut person_read, &backlog, early, &mut up) => outcome.unwrap_or(Outcome::PersonClosed),
            outcome = &mut down => return outcome,
            _fault = wire.answer() => Outcome::DeviceLost,
        }
    };
    match outcome {
        // The device takes nothing more, but what it said last may still be on its way to a slow person.
        Outcome::DeviceLost => tokio::select! {
            outcome = &mut down => outcome,
            () = discard(&mut person_read, &backlog) => Outcome::PersonClosed,
        },
        other => other,
    }
}

/// The connection's state, shared by the directions.
struct Wire {
    state: Mutex<State>,
    due: Notify,
    device: tokio::sync::Mutex<OwnedWriteHalf>,
}

struct State {
    codec: Codec,
    replies: Vec<u8>,
}

impl Wire {
    fn new(codec: Codec, device: OwnedWriteHalf) -> Self {
        let state = Mutex::new(State { codec, replies: Vec::new() });
        Self { state, due: Notify::new(), device: tokio::sync::Mutex::new(device) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the device sent, and returns the data in it. `None`: too many answers wait for it to read.
    fn receive(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut data = Vec::with_capacity(bytes.len());
        let mut state = self.state();
        let State { codec, replies } = &mut *state;
        codec.receive(bytes, &mut data, replies);
        if replies.is_empty() {
            return Some(data.into());
        }
        self.due.notify_one();
        (replies.len() <= REPLIES).then(|| data.into())
    }

    /// Writes answers as they become due; ends when the device takes no more.
    async fn answer(&self) -> io::Error {
        loop {
            self.due.notified().await;
            let replies = std::mem::take(&mut self.state().replies);
            if let Err(fault) = self.device.lock().await.write_all(&replies).await {
                return fault;
            }
        }
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), Outcome> {
        self.device.lock().await.write_all(bytes).await.map_err(|_| Outcome::DeviceLost)
    }
}

/// From the person to the device.
struct Up<'a> {
    wire: &'a Wire,
    tap: &'a Tap,
    session: &'a Session,
}

impl Pass for Up<'_> {
    fn hold(&self) -> Option<Hold> {
        Some(self.session.hold())
    }

    fn patience(&self) -> Option<Duration> {
        Some(LAST_WORDS)
    }

    async fn data(&mut self, data: Data) -> Result<(), Outcome> {
        if data.extended.is_some() {
            return Ok(());
        }
        self.session.sent_to_device(data.len());
        self.tap.from_person(&data.chunks).map_err(Outcome::Recorder)?;
        let mut out = Vec::with_capacity(data.len());
        for chunk in &data.chunks {
            self.wire.state().codec.send(chunk, &mut out);
        }
        self.wire.write(&out).await
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        let mut out = Vec::new();
        match message {
            ChannelMsg::WindowChange { col_width, row_height, .. } => {
                let (columns, rows) = (cells(col_width), cells(row_height));
                self.tap.resize(columns, rows).map_err(Outcome::Recorder)?;
                self.wire.state().codec.resize(columns, rows, &mut out);
            }
            ChannelMsg::Signal { signal: Sig::INT } => Codec::interrupt(&mut out),
            ChannelMsg::Close => return Ok(ControlFlow::Break(())),
            // The end of what is typed is no end of the terminal, as at an SSH server; telnet has no word for it.
            _ => {}
        }
        self.wire.write(&out).await?;
        Ok(ControlFlow::Continue(()))
    }
}

/// From the device to the person.
struct Down<'a> {
    wire: &'a Wire,
    screen: &'a Screen,
    tap: &'a Tap,
    session: &'a Session,
}

impl Down<'_> {
    async fn pass(self, mut device: OwnedReadHalf, said: Bytes) -> Outcome {
        if let Err(outcome) = self.show(said).await {
            return outcome;
        }
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ);
            match device.read_buf(&mut buffer).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return Outcome::DeviceLost,
            }
            let Some(data) = self.wire.receive(&buffer) else { return Outcome::Flooded };
            buffer.clear();
            if let Err(outcome) = self.show(data).await {
                return outcome;
            }
        }
        // Hanging up is how a telnet session ends well: there is no status, and clients take silence for a failure.
        let ended = async {
            self.screen.exit_status(0).await?;
            self.screen.eof().await
        };
        if ended.await.is_ok() { Outcome::DeviceClosed } else { Outcome::PersonClosed }
    }

    async fn show(&self, data: Bytes) -> Result<(), Outcome> {
        if data.is_empty() {
            return Ok(());
        }
        self.session.came_from_device(data.len());
        let recorded = self.tap.from_device(Output::Stdout, std::slice::from_ref(&data));
        recorded.map_err(Outcome::Recorder)?;
        Ok(self.screen.data(data).await?)
    }
}
