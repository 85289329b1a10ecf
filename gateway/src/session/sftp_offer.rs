//! The version that an SFTP client offers, brought down to the one that the recording can follow.
//!
//! The server answers with the lower of two versions (draft-ietf-secsh-filexfer-02, section 4). Later ones lay their
//! packets out otherwise, so that a client and a device that both know one would lose the channel at the first answer.

use bytes::{Bytes, BytesMut};

/// The version that `sekimori_audit::recording` decodes, and that OpenSSH speaks.
const VERSION: u32 = 3;
/// `SSH_FXP_INIT`.
const INIT: u8 = 1;
/// Length, type and version: what an INIT begins with, and no packet of a client is shorter.
const HEAD: usize = 9;

/// The beginning of what a client says.
#[derive(Debug, Default)]
pub struct SftpOffer {
    /// What came before the head was whole; nothing is held after that.
    held: BytesMut,
    seen: bool,
}

impl SftpOffer {
    /// What is recorded and passed on instead of `chunks`. Less than a head is kept back until the rest of it comes.
    pub fn lowered(&mut self, chunks: Vec<Bytes>) -> Vec<Bytes> {
        if self.seen {
            return chunks;
        }
        for chunk in chunks {
            self.held.extend_from_slice(&chunk);
        }
        if self.held.len() < HEAD {
            return Vec::new();
        }
        self.seen = true;
        let mut begun = std::mem::take(&mut self.held);
        if let Some([_, _, _, _, INIT, version @ ..]) = begun.first_chunk_mut::<HEAD>()
            && u32::from_be_bytes(*version) > VERSION
        {
            *version = VERSION.to_be_bytes();
        }
        vec![begun.freeze()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed in chunks of so many bytes.
    fn passed(said: &[u8], size: usize) -> Vec<u8> {
        let mut offer = SftpOffer::default();
        said.chunks(size).flat_map(|chunk| offer.lowered(vec![Bytes::copy_from_slice(chunk)])).flatten().collect()
    }

    #[test]
    fn a_later_version_becomes_3_however_it_comes_and_the_rest_stays() {
        let said = |version: u8| [&[0, 0, 0, 9, 1, 0, 0, 0, version][..], b"more, and a request"].concat();
        for size in 1..30 {
            for (offered, wanted) in [(0, 0), (2, 2), (3, 3), (4, 3), (6, 3), (255, 3)] {
                assert_eq!(passed(&said(offered), size), said(wanted), "{offered} in chunks of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_init_is_not_touched() {
        let open = [0, 0, 0, 20, 3, 0, 0, 0, 9, 1, 0, 0, 0, 6];
        assert_eq!(passed(&open, 4), open);
        let twice = [0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 0, 5, 1, 0, 0, 0, 6];
        assert_eq!(passed(&twice, 18), twice);
    }
}
