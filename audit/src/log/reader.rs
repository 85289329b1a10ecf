//! Reading a log's folder: entries, roots and proofs out of tiles. It believes nothing: [`crate::verify`] does that.

use super::checkpoint::Checkpoint;
use super::error::LogError;
use super::folder::{read, read_resource};
use super::hash::{Hash, root_of};
use super::proof;
use super::proof_text::EntryProof;
use super::tile::{Resource, WIDTH, decode_bundle, decode_tile, entries_in, width_at};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Tiles that are kept while proofs are made; a proof in a tree of 2^40 entries needs ten.
const KEPT_TILES: usize = 64;

/// One state of a log: that of the checkpoint which was in the folder when it was opened.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
    checkpoint: Checkpoint,
    note: String,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl Reader {
    /// Reads the checkpoint; its signatures are not looked at.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`].
    pub fn open(root: &Path) -> Result<Self, LogError> {
        let bytes = read(root, &Resource::Checkpoint.path())?
            .ok_or_else(|| LogError::malformed("log", format!("{} holds no checkpoint", root.display())))?;
        Self::of(root, bytes)
    }

    /// The state of an older checkpoint of this log.
    pub(crate) fn of(root: &Path, note: Vec<u8>) -> Result<Self, LogError> {
        let (checkpoint, _) = Checkpoint::parse(&note)?;
        let note = String::from_utf8(note).map_err(|_| LogError::malformed("checkpoint", "it is not UTF-8"))?;
        Ok(Self { root: root.to_owned(), checkpoint, note, tiles: HashMap::new() })
    }

    /// What the checkpoint says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint as it lies in the folder, with its signatures.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The bytes of a file of the log, for handing them out; `None` where there is none under the checkpoint. What lies
    /// behind it counts for nothing yet, and a part that is gone because it grew full is in the full one.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`].
    pub fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, LogError> {
        let size = self.checkpoint.size;
        let counts = match resource {
            Resource::Checkpoint => return Ok(Some(self.note.clone().into_bytes())),
            Resource::Tile { level, index, width } => width <= width_at(size, level, index),
            Resource::Entries { index, width } => width <= width_at(size, 0, index),
            Resource::Rotation { size: at } => at <= size,
            Resource::Cosigned => true,
        };
        if counts { read(&self.root, &resource.path()) } else { Ok(None) }
    }

    /// The entry at an index; `None` behind the last.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`].
    pub fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, LogError> {
        let at = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        let mut entries = self.entries(index / WIDTH)?;
        Ok((at < entries.len()).then(|| entries.swap_remove(at)))
    }

    /// The entries of a bundle (C2SP tlog-tiles: 256 of them, fewer in the last); none behind the last.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`].
    pub fn entries(&self, bundle: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let width = width_at(self.checkpoint.size, 0, bundle);
        let Some(bytes) = read_resource(&self.root, Resource::Entries { index: bundle, width })? else {
            return Ok(Vec::new());
        };
        // The bundle may have grown since: its first entries are the same.
        let held = entries_in(&bytes);
        let entries = decode_bundle(&bytes, held)?;
        Ok(entries.iter().take(width.into()).map(|entry| entry.to_vec()).collect())
    }

    /// The root of the first `size` entries.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`] if the log is smaller or a tile is missing.
    pub fn root_at(&mut self, size: u64) -> Result<Hash, LogError> {
        self.check_size(size)?;
        proof::root(size, &mut |height, index| self.node(height, index))
    }

    /// The proof that the tree of `old` is how the tree of `new` begins.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`] if the log is smaller or a tile is missing.
    pub fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        self.check_size(new)?;
        let path = proof::consistency(old, new, &mut |height, index| self.node(height, index))?;
        path.ok_or_else(|| LogError::malformed("pair of sizes", format!("{old} is more than {new}")))
    }

    /// The proof that the entry at an index stands under the checkpoint.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`] if there is no such entry or a tile is missing.
    pub fn inclusion(&mut self, index: u64) -> Result<EntryProof, LogError> {
        let path = proof::inclusion(index, self.checkpoint.size, &mut |height, index| self.node(height, index))?;
        let path =
            path.ok_or_else(|| LogError::malformed("index of an entry", format!("{index} is behind the last")))?;
        Ok(EntryProof { index, path, checkpoint: self.note.clone() })
    }

    fn check_size(&self, size: u64) -> Result<(), LogError> {
        let held = self.checkpoint.size;
        let behind = || LogError::malformed("size of this log", format!("it holds {held} entries, not {size}"));
        if size <= held { Ok(()) } else { Err(behind()) }
    }

    /// The root over the `index`-th run of `2^height` entries.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, LogError> {
        let level = u8::try_from(height / 8).unwrap_or(63);
        // Within the tile the node spans so many hashes.
        let span = 1_u64 << (height % 8);
        let first = index.saturating_mul(span);
        let tile = first / WIDTH;
        if !self.tiles.contains_key(&(level, tile)) {
            let width = width_at(self.checkpoint.size, level, tile);
            let resource = Resource::Tile { level, index: tile, width };
            let bytes = read_resource(&self.root, resource)?
                .ok_or_else(|| LogError::malformed("whole log", format!("{} is missing", resource.path())))?;
            if self.tiles.len() >= KEPT_TILES {
                self.tiles.clear();
            }
            let held = if bytes.len() as u64 == WIDTH * Hash::SIZE as u64 { 256 } else { width };
            self.tiles.insert((level, tile), decode_tile(&bytes, held)?);
        }
        let hashes = self.tiles.get(&(level, tile)).map(Vec::as_slice).unwrap_or_default();
        let range = usize::try_from(first % WIDTH)
            .ok()
            .zip(usize::try_from(span).ok())
            .and_then(|(at, span)| hashes.get(at..at.checked_add(span)?));
        range.map(root_of).ok_or_else(|| LogError::malformed("tile", "it is narrower than its log"))
    }
}
