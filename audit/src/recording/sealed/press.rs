//! Packs and seals one piece after another, in memory that is used again.

use crate::keys::Recipients;
use std::io::Write;

/// How strongly pieces are packed: what zstd calls its usual level.
const LEVEL: i32 = 3;

/// Packs and seals pieces, in memory that is used again: large pieces of it that come and go stay with the process, and
/// with each thread that had some.
pub struct Press {
    compressor: zstd::bulk::Compressor<'static>,
    /// Room for a piece before it is packed.
    pub(super) room: Vec<u8>,
    joined: Vec<u8>,
    packed: Vec<u8>,
    sealed: Vec<u8>,
}

impl Press {
    /// One for a thread that seals.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)?;
        Ok(Self { compressor, room: Vec::new(), joined: Vec::new(), packed: Vec::new(), sealed: Vec::new() })
    }

    /// Packs and seals what is in its room, with `before` in front.
    pub(super) fn seal(&mut self, before: &str, recipients: &Recipients) -> std::io::Result<&[u8]> {
        let plain = if before.is_empty() {
            &self.room
        } else {
            self.joined.clear();
            self.joined.extend_from_slice(before.as_bytes());
            self.joined.extend_from_slice(&self.room);
            &self.joined
        };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.compressor.compress_to_buffer(plain, &mut self.packed)?;
        self.sealed.clear();
        let mut age = recipients.seal(&mut self.sealed)?;
        age.write_all(&self.packed)?;
        age.finish()?;
        Ok(&self.sealed)
    }
}
