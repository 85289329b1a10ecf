//! Hashes of the tree, as RFC 6962 section 2.1 has them: leaves and nodes can never be taken for each other.

use super::base64;
use crate::hex;
use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Serialize, Serializer};
use std::fmt;

/// A SHA-256 hash of 32 bytes. Shown as base64, as the specifications of the log write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Bytes of a hash.
    pub const SIZE: usize = 32;

    /// The hash that these bytes are; `None` unless there are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash that a base64 text is.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        // Checked first: whoever sends a long line gets no long buffer.
        if text.len() == 44 { Self::from_bytes(&base64::decode(text)?) } else { None }
    }

    /// The hash that 64 lowercase hexadecimal digits are.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        // Checked first, as above.
        if text.len() == 2 * Self::SIZE { Self::from_bytes(&hex::decode(text)?) } else { None }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lowercase hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// SHA-256 of bytes as they are.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    finished(digest(&SHA256, bytes).as_ref())
}

/// The hash of an entry: SHA-256(00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    finished(context.finish().as_ref())
}

/// The hash over two subtrees: SHA-256(01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 1 + 2 * Hash::SIZE];
    for (to, from) in bytes.iter_mut().skip(1).zip(left.0.iter().chain(&right.0)) {
        *to = *from;
    }
    sha256(&bytes)
}

/// The root over the hashes of leaves (or of full subtrees that are all of one size); SHA-256("") over none.
#[must_use]
pub fn root_of(hashes: &[Hash]) -> Hash {
    hashes.iter().copied().collect::<Range>().root()
}

fn finished(bytes: &[u8]) -> Hash {
    let mut hash = [0; Hash::SIZE];
    for (to, from) in hash.iter_mut().zip(bytes) {
        *to = *from;
    }
    Hash(hash)
}

/// A growing row of subtrees of one size, kept as the roots of its full binary subtrees: one hash for each bit that is
/// set in its length.
#[derive(Debug, Clone, Default)]
pub struct Range {
    count: u64,
    roots: Vec<Hash>,
}

impl Range {
    /// Appends the next subtree.
    pub fn push(&mut self, hash: Hash) {
        let mut merged = hash;
        for _ in 0..self.count.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            merged = node_hash(&left, &merged);
        }
        self.roots.push(merged);
        self.count += 1;
    }

    /// How many were appended.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The root of what was appended.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_with(None)
    }

    /// The root with a smaller, right-most subtree behind what was appended.
    #[must_use]
    pub fn root_with(&self, behind: Option<Hash>) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(first) = behind.or_else(|| roots.next().copied()) else { return sha256(b"") };
        roots.fold(first, |right, left| node_hash(left, &right))
    }
}

impl FromIterator<Hash> for Range {
    fn from_iter<T: IntoIterator<Item = Hash>>(hashes: T) -> Self {
        let mut range = Self::default();
        hashes.into_iter().for_each(|hash| range.push(hash));
        range
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]

    use super::{Hash, leaf_hash, root_of};

    /// The roots that Certificate Transparency's own tests have for their eight leaves.
    #[test]
    fn the_known_vectors_of_rfc_6962() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let hashes = leaves.map(leaf_hash);
        for (size, root) in roots.iter().enumerate() {
            let expected = Hash::from_hex(root).expect("64 digits");
            assert_eq!(root_of(hashes.get(..size).unwrap_or_default()), expected, "{size}");
        }
    }
}
