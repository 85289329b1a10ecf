//! Cuts an SFTP byte stream into packets, whatever the chunks (draft-ietf-secsh-filexfer-02, section 3).
//!
//! The bytes of files are handed on as they come: they are forwarded as they come, and must be on record before that.
//! All other packets are collected whole, within the size that OpenSSH itself allows.

use crate::error::RecordingError;

/// OpenSSH's `SFTP_MAX_MSG_LENGTH` is 256 KiB; some servers count their data without the header.
const MAX_PACKET: usize = 256 * 1024 + 1024;
/// The draft's limit for a handle.
pub(super) const MAX_HANDLE: usize = 256;

pub(super) const WRITE: u8 = 6;
pub(super) const DATA: u8 = 103;

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A whole packet: its type and what follows.
    Packet(u8, &'a [u8]),
    /// A WRITE or DATA begins: its type, the fields before the bytes, and how many bytes follow.
    Head(u8, &'a [u8], u64),
    /// Bytes of the WRITE or DATA that began last.
    Data(&'a [u8]),
}

/// One direction of an SFTP channel.
#[derive(Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    data_left: u64,
}

impl Frames {
    /// Cuts more bytes, handing each piece to `each`, which can refuse.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Piece<'_>) -> Result<(), RecordingError>,
    ) -> Result<(), RecordingError> {
        while !bytes.is_empty() {
            if self.data_left > 0 {
                let take = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, rest) = bytes.split_at(take);
                each(Piece::Data(data))?;
                self.data_left -= take as u64;
                bytes = rest;
                continue;
            }
            let wanted = wanted(&self.head)?;
            let take = wanted.saturating_sub(self.head.len()).min(bytes.len());
            let (more, rest) = bytes.split_at(take);
            self.head.extend_from_slice(more);
            bytes = rest;
            if self.head.len() == wanted && is_final(&self.head, wanted) {
                self.emit(&mut each)?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, each: &mut impl FnMut(Piece<'_>) -> Result<(), RecordingError>) -> Result<(), RecordingError> {
        let (Some(kind), Some(body)) = (self.head.get(4).copied(), self.head.get(5..)) else {
            return Err(malformed("a packet without a type"));
        };
        match (kind, body.split_last_chunk::<4>()) {
            (WRITE | DATA, Some((fields, length))) => {
                let data = u64::from(u32::from_be_bytes(*length));
                let promised = be32(&self.head, 0).unwrap_or(0) as usize + 4;
                if self.head.len() as u64 + data != promised as u64 {
                    return Err(malformed("the length of a packet differs from that of its data"));
                }
                each(Piece::Head(kind, fields, data))?;
                self.data_left = data;
            }
            _ => each(Piece::Packet(kind, body))?,
        }
        self.head.clear();
        self.head.shrink_to(4096);
        Ok(())
    }
}

/// How long the head must be before more can be told about it.
fn wanted(head: &[u8]) -> Result<usize, RecordingError> {
    let Some(length) = be32(head, 0) else { return Ok(4) };
    let length = length as usize;
    if length == 0 || length > MAX_PACKET {
        return Err(malformed(&format!("a packet of {length} bytes")));
    }
    match head.get(4) {
        None => Ok(5),
        Some(&DATA) => within(length, 4 + 1 + 4 + 4),
        Some(&WRITE) => match be32(head, 9) {
            None => within(length, 4 + 1 + 4 + 4),
            Some(handle) if handle as usize > MAX_HANDLE => Err(malformed("a handle of more than 256 bytes")),
            Some(handle) => within(length, 4 + 1 + 4 + 4 + handle as usize + 8 + 4),
        },
        Some(_) => Ok(4 + length),
    }
}

/// Whether a head of the wanted length is all that comes before data or the next packet.
fn is_final(head: &[u8], had: usize) -> bool {
    head.len() >= 5 && wanted(head).is_ok_and(|wanted| wanted == had)
}

fn within(length: usize, head: usize) -> Result<usize, RecordingError> {
    if head > length + 4 { Err(malformed("a packet that is too short for its type")) } else { Ok(head) }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))
}

/// Reads the fields of a packet in their order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn u32(&mut self) -> Result<u32, RecordingError> {
        self.chunk::<4>().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RecordingError> {
        self.chunk::<8>().map(u64::from_be_bytes)
    }

    /// A string: its length and its bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], RecordingError> {
        let length = self.u32()? as usize;
        match self.0.split_at_checked(length) {
            Some((string, rest)) => {
                self.0 = rest;
                Ok(string)
            }
            None => Err(malformed("a string that runs past its packet")),
        }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], RecordingError> {
        match self.0.split_first_chunk::<N>() {
            Some((chunk, rest)) => {
                self.0 = rest;
                Ok(*chunk)
            }
            None => Err(malformed("a packet that ends inside a field")),
        }
    }
}

/// The error of a peer that breaks the protocol.
pub(super) fn malformed(reason: &str) -> RecordingError {
    RecordingError::Malformed { protocol: "sftp", reason: reason.to_owned() }
}
