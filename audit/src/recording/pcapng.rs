//! pcapng blocks, and the TCP packets that stand for a forwarded connection.
//!
//! The gateway sees a stream, not packets: those written here are made up, with right lengths, checksums and sequence
//! numbers, so that Wireshark and its kin can follow the stream. Blocks are laid out as draft-ietf-opsawg-pcapng,
//! section 4 says; the link type is RAW (101), where a packet begins with its IP header.

use chrono::{DateTime, Utc};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the stream in one packet; with the headers it stays below the 65535 that IP can say.
pub(super) const MAX_SEGMENT: usize = 65_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// The blocks at the head of a file: the section with a comment, and its one interface, in microseconds.
pub(super) fn preamble(comment: &str) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes());
    section.extend_from_slice(&1_u16.to_le_bytes());
    section.extend_from_slice(&0_u16.to_le_bytes());
    section.extend_from_slice(&u64::MAX.to_le_bytes());
    option(&mut section, 1, comment.as_bytes());
    option(&mut section, 4, b"sekimori");
    option(&mut section, 0, b"");
    let mut interface = Vec::new();
    interface.extend_from_slice(&101_u16.to_le_bytes());
    interface.extend_from_slice(&0_u16.to_le_bytes());
    interface.extend_from_slice(&0_u32.to_le_bytes());
    let mut bytes = Vec::new();
    block(&mut bytes, 0x0A0D_0D0A, &[&section]);
    block(&mut bytes, 1, &[&interface]);
    bytes
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend(value.iter().take(usize::from(u16::MAX)));
    body.resize(body.len().next_multiple_of(4), 0);
}

fn block(out: &mut Vec<u8>, kind: u32, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let total = u32::try_from(length.next_multiple_of(4) + 12).unwrap_or(u32::MAX);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&total.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
    out.extend_from_slice(&total.to_le_bytes());
}

/// One end of the made-up connection.
struct End {
    address: SocketAddr,
    next: u32,
}

/// The made-up connection between the person's end and the device's.
pub(super) struct Connection {
    person: End,
    device: End,
}

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The person's end.
    Person,
    /// The device's.
    Device,
}

impl Connection {
    /// Between two addresses. Where they are of different kinds, both are written as IPv6.
    pub(super) fn new(person: SocketAddr, device: SocketAddr) -> Self {
        let same = person.is_ipv4() == device.is_ipv4();
        let written = |address: SocketAddr| match address.ip() {
            IpAddr::V4(v4) if !same => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), address.port()),
            _ => address,
        };
        Self { person: End { address: written(person), next: 0 }, device: End { address: written(device), next: 0 } }
    }

    /// The handshake.
    pub(super) fn open(&mut self, at: DateTime<Utc>, out: &mut Vec<u8>) {
        self.packet(out, at, From::Person, SYN, b"");
        self.packet(out, at, From::Device, SYN | ACK, b"");
        self.packet(out, at, From::Person, ACK, b"");
    }

    /// Bytes of the stream, in as many packets as they need.
    pub(super) fn data(&mut self, at: DateTime<Utc>, from: From, bytes: &[u8], out: &mut Vec<u8>) {
        for segment in bytes.chunks(MAX_SEGMENT) {
            self.packet(out, at, from, PSH | ACK, segment);
        }
    }

    /// The end, from both sides.
    pub(super) fn close(&mut self, at: DateTime<Utc>, out: &mut Vec<u8>) {
        self.packet(out, at, From::Person, FIN | ACK, b"");
        self.packet(out, at, From::Device, FIN | ACK, b"");
        self.packet(out, at, From::Person, ACK, b"");
    }

    fn packet(&mut self, out: &mut Vec<u8>, at: DateTime<Utc>, from: From, flags: u8, data: &[u8]) {
        let (sender, receiver) = match from {
            From::Person => (&mut self.person, &self.device),
            From::Device => (&mut self.device, &self.person),
        };
        // The first SYN has nothing to acknowledge.
        let acknowledged = if flags & ACK == 0 { 0 } else { receiver.next };
        let tcp = tcp_header(sender, receiver.address, acknowledged, flags, data);
        let ip = ip_header(sender.address.ip(), receiver.address.ip(), tcp.len() + data.len());
        let taken = u32::try_from(data.len()).unwrap_or(0) + u32::from(flags & (SYN | FIN) != 0);
        sender.next = sender.next.wrapping_add(taken);
        enhanced_packet(out, at, &[&ip, &tcp, data]);
    }
}

fn enhanced_packet(out: &mut Vec<u8>, at: DateTime<Utc>, parts: &[&[u8]]) {
    let length = u32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).unwrap_or(u32::MAX);
    let micros = u64::try_from(at.timestamp_micros()).unwrap_or(0);
    let (high, low) = ((micros >> 32) as u32, (micros & 0xFFFF_FFFF) as u32);
    let fields = [0, high, low, length, length].map(u32::to_le_bytes).concat();
    let mut all: Vec<&[u8]> = vec![&fields];
    all.extend_from_slice(parts);
    block(out, 6, &all);
}

fn tcp_header(sender: &End, to: SocketAddr, acknowledged: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(20);
    header.extend_from_slice(&sender.address.port().to_be_bytes());
    header.extend_from_slice(&to.port().to_be_bytes());
    header.extend_from_slice(&sender.next.to_be_bytes());
    header.extend_from_slice(&acknowledged.to_be_bytes());
    header.extend_from_slice(&[5 << 4, flags, 0xFF, 0xFF]);
    let length = header.len() + 4 + data.len();
    let mut sum = Sum::default();
    sum.add_addresses(sender.address.ip(), to.ip());
    sum.add(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    sum.add(&6_u16.to_be_bytes());
    sum.add(&header);
    sum.add(data);
    header.extend_from_slice(&sum.finish());
    header.extend_from_slice(&[0, 0]);
    header
}

fn ip_header(from: IpAddr, to: IpAddr, payload: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4_header(from, to, payload),
        _ => ipv6_header(v6(from), v6(to), payload),
    }
}

fn ipv4_header(from: Ipv4Addr, to: Ipv4Addr, payload: usize) -> Vec<u8> {
    let total = u16::try_from(payload + 20).unwrap_or(u16::MAX);
    let mut head = vec![0x45, 0];
    head.extend_from_slice(&total.to_be_bytes());
    // Identification 0, don't fragment, 64 hops, TCP.
    head.extend_from_slice(&[0, 0, 0x40, 0, 64, 6]);
    let mut sum = Sum::default();
    sum.add(&head);
    sum.add(&from.octets());
    sum.add(&to.octets());
    head.extend_from_slice(&sum.finish());
    head.extend_from_slice(&from.octets());
    head.extend_from_slice(&to.octets());
    head
}

fn ipv6_header(from: Ipv6Addr, to: Ipv6Addr, payload: usize) -> Vec<u8> {
    let mut head = vec![0x60, 0, 0, 0];
    head.extend_from_slice(&u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes());
    head.extend_from_slice(&[6, 64]);
    head.extend_from_slice(&from.octets());
    head.extend_from_slice(&to.octets());
    head
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The Internet checksum (RFC 1071), over parts of which all but the last are of even length.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<2>();
        self.0 += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        self.0 += rest.first().map_or(0, |last| u64::from(*last) << 8);
    }

    fn add_addresses(&mut self, from: IpAddr, to: IpAddr) {
        for address in [from, to] {
            match address {
                IpAddr::V4(v4) => self.add(&v4.octets()),
                IpAddr::V6(v6) => self.add(&v6.octets()),
            }
        }
    }

    fn finish(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap_or(0)).to_be_bytes()
    }
}
