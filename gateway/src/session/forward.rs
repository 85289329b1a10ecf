//! One forwarded TCP connection (`ssh -L`): the device's port on one side, a `direct-tcpip` channel on the other.
//!
//! As in [`super::relay`], every byte is on record before it is passed on. The device's socket is read only as fast
//! as the person's client takes the bytes, and half-closing travels in both directions.

use super::Session;
use super::attended::Hold;
use super::backlog::Backlog;
use super::pump::{Data, Pass, discard, pump};
use super::relay::{LAST_WORDS, Outcome};
use super::screen::{Screen, Sent};
use bytes::BytesMut;
use russh::ChannelMsg;
use sekimori_audit::recording::{Output, Tap};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes read from the device's socket at once.
const READ: usize = 64 << 10;

/// Relays until both sides have ended, or either is gone. The caller ends it from outside by dropping the future.
pub async fn forward(
    mut person: Sent,
    backlog: &Backlog,
    screen: &Screen,
    device: TcpStream,
    tap: &Tap,
    session: &Session,
) -> Outcome {
    let (device_read, device_write) = device.into_split();
    let down = down(device_read, screen, tap, session);
    tokio::pin!(down);
    let outcome = {
        let (person_ended, device_ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut up =
            Up { device: device_write, person_ended: &person_ended, device_ended: &device_ended, tap, session };
        let up = pump(&mut person, backlog, VecDeque::new(), &mut up);
        tokio::pin!(up);
        tokio::select! {
            outcome = &mut up => outcome.unwrap_or(Outcome::PersonClosed),
            outcome = &mut down => return match outcome {
                // Both have said all they will. Clients may leave the closing to us: OpenSSH does, of its `-W`.
                Outcome::DeviceClosed if person_ended.load(Ordering::Relaxed) => outcome,
                // The device has said all it will; the person may still be sending.
                Outcome::DeviceClosed => {
                    device_ended.store(true, Ordering::Relaxed);
                    up.await.unwrap_or(Outcome::DeviceClosed)
                }
                other => other,
            },
        }
    };
    match outcome {
        // The device takes nothing more, but what it said last may still be on its way to a slow person.
        Outcome::DeviceLost => tokio::select! {
            outcome = &mut down => outcome,
            () = discard(&mut person, backlog) => Outcome::PersonClosed,
        },
        other => other,
    }
}

struct Up<'a> {
    device: OwnedWriteHalf,
    person_ended: &'a AtomicBool,
    device_ended: &'a AtomicBool,
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
        self.session.sent_to_device(data.len());
        self.tap.from_person(&data.chunks).map_err(Outcome::Recorder)?;
        for chunk in &data.chunks {
            self.device.write_all(chunk).await.map_err(|_| Outcome::DeviceLost)?;
        }
        Ok(())
    }

    async fn message(&mut self, message: ChannelMsg) -> Result<ControlFlow<()>, Outcome> {
        match message {
            ChannelMsg::Eof => {
                self.device.shutdown().await.map_err(|_| Outcome::DeviceLost)?;
                self.person_ended.store(true, Ordering::Relaxed);
                if self.device_ended.load(Ordering::Relaxed) {
                    return Ok(ControlFlow::Break(()));
                }
            }
            ChannelMsg::Close => return Ok(ControlFlow::Break(())),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

async fn down(mut device: OwnedReadHalf, screen: &Screen, tap: &Tap, session: &Session) -> Outcome {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        match device.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => return Outcome::DeviceLost,
        }
        let data = buffer.split().freeze();
        session.came_from_device(data.len());
        if let Err(fault) = tap.from_device(Output::Stdout, std::slice::from_ref(&data)) {
            return Outcome::Recorder(fault);
        }
        if screen.data(data).await.is_err() {
            return Outcome::PersonClosed;
        }
    }
    match screen.eof().await {
        Ok(()) => Outcome::DeviceClosed,
        Err(_) => Outcome::PersonClosed,
    }
}
