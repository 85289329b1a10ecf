//! A proof on paper or in a mail: C2SP tlog-proof, an entry's index, its path and the checkpoint in one text.

use super::checkpoint::{Checkpoint, decimal};
use super::error::LogError;
use super::hash::{Hash, leaf_hash};
use super::key::VerifierKey;
use super::note::{Note, Signer};
use super::proof::verify_inclusion;

const HEAD: &str = "c2sp.org/tlog-proof@v1";
/// No tree of 2^64 entries has a longer path.
pub(super) const LONGEST_PATH: usize = 64;

/// The proof that an entry stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// Which entry, counted from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The checkpoint as a signed note, byte for byte.
    pub checkpoint: String,
}

impl EntryProof {
    /// Reads the text. A line `extra` is skipped: nothing vouches for it.
    ///
    /// # Errors
    /// [`LogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("tlog-proof", reason);
        if bytes.len() > 2 * super::note::LONGEST {
            return Err(malformed("it is longer than any proof"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (proof, checkpoint) = text.split_once("\n\n").ok_or_else(|| malformed("it has no checkpoint"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(HEAD) {
            return Err(malformed("its first line is another"));
        }
        if let Some(extra) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            super::base64::decode(extra).ok_or_else(|| malformed("its extra data is not base64"))?;
            lines.next();
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or_else(|| malformed("it names no index"))?;
        let path = parse_path(lines).ok_or_else(|| malformed("its path is not up to 64 hashes"))?;
        Checkpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { index, path, checkpoint: checkpoint.to_owned() })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let path = self.path.iter().map(|hash| format!("{hash}\n")).collect::<String>();
        format!("{HEAD}\nindex {}\n{path}\n{}", self.index, self.checkpoint)
    }

    /// Checks it: that known keys signed the checkpoint, and that `entry` stands under it at the index.
    ///
    /// # Errors
    /// [`LogError::Malformed`], saying what is not proved.
    pub fn verify(&self, entry: &[u8], known: &[VerifierKey]) -> Result<(Checkpoint, Vec<Signer>), LogError> {
        let (checkpoint, note): (Checkpoint, Note) = Checkpoint::parse(self.checkpoint.as_bytes())?;
        let unproved = |reason: String| LogError::malformed("proof of this entry", reason);
        let signers = note.verify(known).map_err(|fault| unproved(fault.to_string()))?;
        // A witness vouches for a checkpoint; only the log's own key, which bears its name, makes one.
        if !signers.iter().any(|signer| signer.key.name() == checkpoint.origin && signer.key.role() == super::Role::Log)
        {
            return Err(unproved("the log itself did not sign its checkpoint".to_owned()));
        }
        verify_inclusion(self.index, checkpoint.size, &leaf_hash(entry), &self.path, &checkpoint.root)
            .map_err(|fault| unproved(fault.to_string()))?;
        Ok((checkpoint, signers))
    }
}

/// Lines of one hash each, at most [`LONGEST_PATH`].
pub(super) fn parse_path<'l>(lines: impl Iterator<Item = &'l str>) -> Option<Vec<Hash>> {
    let path = lines.take(LONGEST_PATH + 1).map(Hash::from_base64).collect::<Option<Vec<_>>>()?;
    (path.len() <= LONGEST_PATH).then_some(path)
}
