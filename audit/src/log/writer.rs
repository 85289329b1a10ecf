//! Appending, in an order that no crash can break: tiles and bundles under names that do not count yet, then the
//! checkpoint that makes them count.
//!
//! What lies behind the checkpoint after a crash is written again by the next append; nothing has to be repaired. What
//! lies before it and contradicts it is never written over: then [`Writer::open`] refuses.

use super::checkpoint::Checkpoint;
use super::edge::Edge;
use super::error::LogError;
use super::folder::{Durable, read, read_resource, rotation_path, sync_folder};
use super::hash::{Hash, leaf_hash, sha256};
use super::key::SigningKey;
use super::leaf::{KEY_ROTATED, Leaf};
use super::reader::Reader;
use super::tile::{Resource, WIDTH, decode_bundle, decode_tile, entries_in, push_entry, width_at};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Bytes of a full tile.
const FULL_TILE: usize = 256 * Hash::SIZE;

/// The one process that appends to a log. Every call here may block on the disk.
#[derive(Debug)]
pub struct Writer {
    root: PathBuf,
    durable: Durable,
    key: SigningKey,
    edge: Edge,
    /// The unfinished bundle as it is stored.
    bundle: Vec<u8>,
    /// The checkpoint as it was read or written last.
    note: Vec<u8>,
    failed: bool,
    /// Locked as long as this lives.
    _lock: File,
}

impl Writer {
    /// Opens the log in `root`, or begins one there with an empty checkpoint.
    ///
    /// Of `keys`, which are in the order of their introduction, the last that signed the newest checkpoint goes on
    /// signing. `known` is the newest checkpoint that is known from elsewhere (the database): a log that fell behind
    /// it, or differs from it, was rolled back or replaced; one that is gone is not begun again.
    ///
    /// # Errors
    /// [`LogError::Contradiction`] if the folder contradicts its checkpoint or `known`, [`LogError::KeyNotInForce`],
    /// [`LogError::Busy`], [`LogError::Storage`], [`LogError::Malformed`].
    pub fn open(root: &Path, keys: Vec<SigningKey>, known: Option<&Checkpoint>) -> Result<Self, LogError> {
        let held = known.filter(|known| known.size > 0);
        if let Some(known) = held
            && read(root, &Resource::Checkpoint.path())?.is_none()
        {
            let reason = format!("it has no checkpoint, and is known to have held {} entries", known.size);
            return Err(contradiction(root, reason));
        }
        fs::create_dir_all(root).map_err(LogError::storage("create", root))?;
        let lock = locked(root)?;
        let mut durable = Durable::new(root);
        if read(root, &Resource::Checkpoint.path())?.is_none() {
            begin(root, &mut durable, &keys)?;
        }
        // A rename that an earlier life did may not be durable yet, and is built upon from now on.
        sync_folder(root)?;
        let bytes = read(root, &Resource::Checkpoint.path())?.unwrap_or_default();
        let (checkpoint, note) = Checkpoint::parse(&bytes).map_err(|fault| contradiction(root, fault.to_string()))?;
        let in_force =
            |key: &SigningKey| key.verifier().name() == checkpoint.origin && note.verify([key.verifier()]).is_ok();
        let not_in_force = || LogError::KeyNotInForce { path: root.to_owned() };
        let key = keys.into_iter().rev().find(in_force).ok_or_else(not_in_force)?;
        let (edge, bundle) = read_edge(root, checkpoint.size)?;
        if edge.root() != checkpoint.root {
            return Err(contradiction(root, "its tiles do not lead to the root of its checkpoint".to_owned()));
        }
        if let Some(known) = known {
            check_known(root, known, &checkpoint)?;
        }
        sweep_behind(root, &durable, checkpoint.size);
        Ok(Self { root: root.to_owned(), durable, key, edge, bundle, note: bytes, failed: false, _lock: lock })
    }

    /// Entries in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The checkpoint as it stands.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: self.key.verifier().name().to_owned(), size: self.edge.size(), root: self.edge.root() }
    }

    /// Looks whether the checkpoint in the folder is still the one that this writer read or wrote last.
    ///
    /// # Errors
    /// [`LogError::Contradiction`] if it was removed or replaced; [`LogError::Storage`].
    pub fn check_place(&self) -> Result<(), LogError> {
        match read(&self.root, &Resource::Checkpoint.path())? {
            Some(bytes) if bytes == self.note => Ok(()),
            Some(_) => Err(contradiction(&self.root, "its checkpoint was replaced by somebody else".to_owned())),
            None => Err(contradiction(&self.root, "its checkpoint is gone".to_owned())),
        }
    }

    /// Appends leaves as one batch. When it returns, the checkpoint over them is durable.
    ///
    /// # Errors
    /// [`LogError::Storage`]; then nothing more is appended before the log is opened again. [`LogError::Malformed`]
    /// for a leaf of [`KEY_ROTATED`], which is [`Writer::rotate`]'s.
    pub fn append(&mut self, leaves: &[Leaf]) -> Result<Checkpoint, LogError> {
        if leaves.iter().any(|leaf| leaf.kind == KEY_ROTATED) {
            return Err(LogError::malformed("batch", "a rotation of the key is appended by itself"));
        }
        self.guarded(|writer| {
            let full = writer.write_tiles(leaves)?;
            let checkpoint = writer.checkpoint();
            writer.write_checkpoint(&checkpoint.signed(&[&writer.key]))?;
            full.into_iter().for_each(|resource| writer.durable.sweep(resource));
            Ok(checkpoint)
        })
    }

    /// Appends the leaf that introduces `next`, seals it under the old key and the new one, and signs with the new one
    /// from then on. Its checkpoint stays in the folder for ever: verifiers follow the keys along these.
    ///
    /// # Errors
    /// As [`Writer::append`]; [`LogError::Malformed`] if the leaf is not [`rotation_leaf`]'s for this key.
    pub fn rotate(&mut self, leaf: &Leaf, next: SigningKey) -> Result<Checkpoint, LogError> {
        let text = next.verifier().to_string();
        let introduces = leaf.kind == KEY_ROTATED && leaf.hash == sha256(text.as_bytes());
        if !introduces || next.verifier().name() != self.key.verifier().name() {
            return Err(LogError::malformed("rotation", "the leaf does not introduce this key of this log"));
        }
        self.guarded(|writer| {
            let full = writer.write_tiles(std::slice::from_ref(leaf))?;
            let checkpoint = writer.checkpoint();
            let note = checkpoint.signed(&[&writer.key, &next]);
            writer.durable.put(&rotation_path(checkpoint.size), note.as_bytes())?;
            writer.durable.settle()?;
            writer.write_checkpoint(&note)?;
            writer.key = next;
            full.into_iter().for_each(|resource| writer.durable.sweep(resource));
            Ok(checkpoint)
        })
    }

    /// Keeps the note with which witnesses cosigned a checkpoint of this log, in place of the one before.
    ///
    /// # Errors
    /// [`LogError::Storage`], [`LogError::Malformed`] if it is no checkpoint of this log.
    pub fn keep_cosigned(&mut self, note: &str) -> Result<(), LogError> {
        let (checkpoint, _) = Checkpoint::parse(note.as_bytes())?;
        if checkpoint.origin != self.key.verifier().name() || checkpoint.size > self.size() {
            return Err(LogError::malformed("checkpoint of this log", "its origin or its size is another"));
        }
        self.durable.put(super::folder::COSIGNED, note.as_bytes())?;
        self.durable.settle()
    }

    /// Runs an append; after a failure the state in memory says nothing of the disk, and nothing more is appended.
    fn guarded<T>(&mut self, append: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        if self.failed {
            return Err(LogError::Failed { path: self.root.clone() });
        }
        self.failed = true;
        // What another wrote meanwhile, or a folder that took this one's place, is never written over.
        self.check_place()?;
        let done = append(self)?;
        self.failed = false;
        Ok(done)
    }

    /// Writes everything but the checkpoint, durably; returns what grew full.
    fn write_tiles(&mut self, leaves: &[Leaf]) -> Result<Vec<Resource>, LogError> {
        let mut full = Vec::new();
        let before = self.edge.size();
        for leaf in leaves {
            let entry = leaf.encode();
            push_entry(&mut self.bundle, &entry)?;
            self.edge.push(leaf_hash(&entry), &mut |tile, bytes| {
                self.durable.put(&tile.path(), &bytes)?;
                full.push(tile);
                Ok::<_, LogError>(())
            })?;
            if self.edge.size().is_multiple_of(WIDTH) {
                let entries = Resource::Entries { index: self.edge.size() / WIDTH - 1, width: 256 };
                self.durable.put(&entries.path(), &std::mem::take(&mut self.bundle))?;
                full.push(entries);
            }
        }
        let size = self.edge.size();
        for (part, bytes) in self.edge.parts() {
            // Parts that did not grow lie there already.
            let grown = matches!(part, Resource::Tile { level, .. } if before >> (8 * u32::from(level)) != size >> (8 * u32::from(level)));
            if grown {
                self.durable.put(&part.path(), &bytes)?;
            }
        }
        let width = width_at(size, 0, size / WIDTH);
        if width > 0 && size > before {
            self.durable.put(&Resource::Entries { index: size / WIDTH, width }.path(), &self.bundle)?;
        }
        self.durable.settle()?;
        Ok(full)
    }

    fn write_checkpoint(&mut self, note: &str) -> Result<(), LogError> {
        self.durable.put(&Resource::Checkpoint.path(), note.as_bytes())?;
        self.durable.settle()?;
        self.note = note.as_bytes().to_vec();
        Ok(())
    }
}

/// The leaf that introduces a key: its body is the text of the verifier key and needs no salt.
#[must_use]
pub fn rotation_leaf(next: &SigningKey, number: u64, time: u64) -> Leaf {
    Leaf::of_bytes(KEY_ROTATED, None, number, time, next.verifier().to_string().as_bytes())
}

fn contradiction(root: &Path, reason: String) -> LogError {
    LogError::Contradiction { path: root.to_owned(), reason }
}

/// One writer a log: the lock goes with the process.
fn locked(root: &Path) -> Result<File, LogError> {
    let lock = File::open(root).map_err(LogError::storage("open", root))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::Busy { path: root.to_owned() }),
        Err(fs::TryLockError::Error(fault)) => Err(LogError::storage("lock", root)(fault)),
    }
}

/// Writes the empty checkpoint of a new log, signed by the last key. Tiles without a checkpoint are no new log.
fn begin(root: &Path, durable: &mut Durable, keys: &[SigningKey]) -> Result<(), LogError> {
    if root.join("tile").exists() {
        return Err(contradiction(root, "it has tiles and no checkpoint".to_owned()));
    }
    let key = keys.last().ok_or_else(|| LogError::KeyNotInForce { path: root.to_owned() })?;
    let empty = Checkpoint { origin: key.verifier().name().to_owned(), size: 0, root: sha256(b"") };
    durable.put(&Resource::Checkpoint.path(), empty.signed(&[key]).as_bytes())?;
    durable.settle()?;
    // The folder itself may be new.
    root.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Reads what the next append builds on, and checks the unfinished bundle against its tile.
fn read_edge(root: &Path, size: u64) -> Result<(Edge, Vec<u8>), LogError> {
    let mut levels = Vec::new();
    for level in 0_u8..8 {
        let index = (size >> (8 * u32::from(level))) / WIDTH;
        let width = width_at(size, level, index);
        let resource = Resource::Tile { level, index, width };
        let hashes = if width == 0 { Ok(Vec::new()) } else { needed_tile(root, resource, width) };
        levels.push(hashes.map_err(|fault| contradiction(root, format!("{}: {fault}", resource.path())))?);
    }
    let width = width_at(size, 0, size / WIDTH);
    let mut bundle = Vec::new();
    if width > 0 {
        let bytes = needed(root, Resource::Entries { index: size / WIDTH, width })?;
        // A part of the bundle is how the full one begins.
        let held = if entries_in(&bytes) == 256 { 256 } else { width };
        let mut entries = decode_bundle(&bytes, held).map_err(|fault| contradiction(root, fault.to_string()))?;
        entries.truncate(width.into());
        let hashes = entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<Hash>>();
        if levels.first() != Some(&hashes) {
            return Err(contradiction(root, "its last entries are not those of its last tile".to_owned()));
        }
        entries.iter().try_for_each(|entry| push_entry(&mut bundle, entry))?;
    }
    Ok((Edge::new(size, levels), bundle))
}

fn needed_tile(root: &Path, resource: Resource, width: u16) -> Result<Vec<Hash>, LogError> {
    let bytes = needed(root, resource)?;
    // A part of the tile is how the full one begins.
    let part = bytes.get(..usize::from(width) * Hash::SIZE).filter(|_| bytes.len() == FULL_TILE);
    decode_tile(part.unwrap_or(&bytes), width)
}

/// A part under the checkpoint. It is swept only after a later checkpoint, so it lies there; where the log was copied under
/// a checkpoint while it grew, it may be in the full one that came after it.
fn needed(root: &Path, resource: Resource) -> Result<Vec<u8>, LogError> {
    let missing = || contradiction(root, format!("{} is missing under its checkpoint", resource.path()));
    read_resource(root, resource)?.ok_or_else(missing)
}

fn check_known(root: &Path, known: &Checkpoint, newest: &Checkpoint) -> Result<(), LogError> {
    if known.origin != newest.origin {
        return Err(contradiction(root, format!("it is the log {}, not {}", newest.origin, known.origin)));
    }
    if newest.size < known.size {
        let reason = format!("it holds {} entries and is known to have held {}", newest.size, known.size);
        return Err(contradiction(root, reason));
    }
    let root_then = Reader::open(root)?.root_at(known.size).map_err(|fault| contradiction(root, fault.to_string()))?;
    if root_then == known.root {
        Ok(())
    } else {
        Err(contradiction(root, format!("its first {} entries are not those that are known", known.size)))
    }
}

/// Removes the parts that a crash may have left beside full tiles: those of a usual batch. Others only take room.
fn sweep_behind(root: &Path, durable: &Durable, size: u64) {
    let full = size / WIDTH;
    for index in full.saturating_sub(16)..full {
        let entries = Resource::Entries { index, width: 256 };
        let tile = Resource::Tile { level: 0, index, width: 256 };
        for resource in [entries, tile] {
            if matches!(read_resource(root, resource), Ok(Some(_))) {
                durable.sweep(resource);
            }
        }
    }
}
