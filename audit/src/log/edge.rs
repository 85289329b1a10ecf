//! The growing right edge of the tiled tree: what the next append needs to know of everything before it.

use super::hash::{Hash, Range, root_of};
use super::tile::{Resource, WIDTH, encode_tile};

/// The hashes of the right-most, unfinished tile at each level; fewer than 256 each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` whose unfinished tiles are `levels`, from level 0 up.
    pub(crate) fn new(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// Entries in the tree.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of an entry; hands every tile that grows full to `full`.
    pub(crate) fn push<E>(
        &mut self,
        hash: Hash,
        full: &mut impl FnMut(Resource, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.size += 1;
        self.carry(0, hash, full)
    }

    /// Appends the root over the next 256 entries, whose own tile is somebody else's care.
    pub(crate) fn push_tile<E>(
        &mut self,
        root: Hash,
        full: &mut impl FnMut(Resource, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.size += WIDTH;
        self.carry(1, root, full)
    }

    fn carry<E>(
        &mut self,
        from: usize,
        hash: Hash,
        full: &mut impl FnMut(Resource, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut carried = hash;
        // 256^8 entries are more than a size can say.
        for level in from..8 {
            if self.levels.len() <= level {
                self.levels.resize(level + 1, Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { break };
            hashes.push(carried);
            if (hashes.len() as u64) < WIDTH {
                break;
            }
            let hashes = std::mem::take(hashes);
            let index = ((self.size >> (8 * level)) / WIDTH).saturating_sub(1);
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            full(Resource::Tile { level, index, width: 256 }, encode_tile(&hashes))?;
            carried = root_of(&hashes);
        }
        Ok(())
    }

    /// The unfinished tiles, from level 0 up.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Resource, Vec<u8>)> {
        self.levels.iter().zip(0_u8..).filter(|(hashes, _)| !hashes.is_empty()).map(|(hashes, level)| {
            let index = (self.size >> (8 * u32::from(level))) / WIDTH;
            let width = u16::try_from(hashes.len()).unwrap_or(0);
            (Resource::Tile { level, index, width }, encode_tile(hashes))
        })
    }

    /// The root of the tree with `behind`, the root over less than a tile, at its end.
    pub(crate) fn root_with(&self, behind: Option<Hash>) -> Hash {
        let root = self.levels.iter().fold(behind, |behind, hashes| {
            if hashes.is_empty() { behind } else { Some(hashes.iter().copied().collect::<Range>().root_with(behind)) }
        });
        root.unwrap_or_else(|| root_of(&[]))
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> Hash {
        self.root_with(None)
    }
}
