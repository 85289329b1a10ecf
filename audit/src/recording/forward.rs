//! A forwarded TCP connection: a pcapng with its bytes, and lines with its ends and counts.

use super::lines::{Entry, Lines, opening};
use super::member::{Folder, Member};
use super::pcapng::{Connection, From, preamble};
use super::values::{ChannelKind, Forward, MemberEntry};
use crate::error::RecordingError;
use chrono::{DateTime, Utc};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Stands for a device whose address is not known (RFC 5737: for documentation only).
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The writer of one forward's members.
pub(super) struct ForwardChannel {
    lines: Lines,
    capture: Member,
    connection: Connection,
    buffer: Vec<u8>,
}

impl ForwardChannel {
    /// Makes `00004.forward.jsonl` and `00004.pcapng`, the handshake in it.
    pub(super) fn create(
        folder: &Folder,
        channel: u32,
        forward: &Forward,
        at: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let open = opening(channel, ChannelKind::Forward, None, Some(forward.clone()));
        let name = format!("{channel:05}.forward.jsonl");
        let lines = Lines::create(folder, name, "forward, its ends and counts", at, open)?;
        let mut capture = Member::create(folder, format!("{channel:05}.pcapng"), "forward, its bytes as packets")?;
        let mut connection = Connection::new(person_address(forward), device_address(forward));
        let mut buffer = preamble(&comment(channel, forward));
        connection.open(at, &mut buffer);
        capture.append(&buffer)?;
        Ok(Self { lines, capture, connection, buffer })
    }

    /// Bytes of the device.
    pub(super) fn device_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), RecordingError> {
        self.packets(|connection, buffer| connection.data(at, From::Device, bytes, buffer))
    }

    /// Bytes of the person.
    pub(super) fn person_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), RecordingError> {
        self.packets(|connection, buffer| connection.data(at, From::Person, bytes, buffer))
    }

    /// Whatever has no bytes.
    pub(super) fn note(&mut self, at: DateTime<Utc>, entry: Entry) -> Result<(), RecordingError> {
        self.lines.add(at, entry)
    }

    /// The connection closed.
    pub(super) fn close(&mut self, at: DateTime<Utc>, last: Entry) -> Result<(), RecordingError> {
        self.packets(|connection, buffer| connection.close(at, buffer))?;
        self.lines.add(at, last)?;
        self.capture.sync()?;
        self.lines.member().sync()
    }

    /// The lines of the manifest.
    pub(super) fn entries(&self) -> Vec<MemberEntry> {
        vec![self.lines.member().entry(), self.capture.entry()]
    }

    fn packets(&mut self, fill: impl FnOnce(&mut Connection, &mut Vec<u8>)) -> Result<(), RecordingError> {
        self.buffer.clear();
        fill(&mut self.connection, &mut self.buffer);
        self.capture.append(&self.buffer)?;
        self.buffer.clear();
        self.buffer.shrink_to(64 * 1024);
        Ok(())
    }
}

/// Clients that do not know their port say 0, which readers of captures take for no port at all: then the first of the
/// ephemeral ones stands there. The lines hold what the client said.
fn person_address(forward: &Forward) -> SocketAddr {
    let port = if forward.originator.port() == 0 { 49_152 } else { forward.originator.port() };
    SocketAddr::new(forward.originator.ip(), port)
}

fn device_address(forward: &Forward) -> SocketAddr {
    let named = || forward.destination.parse().ok();
    SocketAddr::new(forward.destination_address.or_else(named).unwrap_or(UNKNOWN), forward.destination_port)
}

fn comment(channel: u32, forward: &Forward) -> String {
    let (host, port) = (&forward.destination, forward.destination_port);
    format!(
        "channel {channel}: SSH forward to {host}:{port}; the stream is exact, its packets are made up by the gateway"
    )
}
