//! The part of a verification that runs on all cores: each tile with its entries, on its own.
//!
//! Worker `w` of `n` takes every `n`-th run of tiles and hands the results over through a channel of its own that holds
//! two. So the results come in order, and nobody runs ahead of memory.

use super::Body;
use super::fault::{Code, Fault};
use crate::log::leaf::PURGED;
use crate::log::tile::{WIDTH, decode_tile, width_at};
use crate::log::{Hash, Leaf, Resource, leaf_hash, read_resource, root_of};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// Tiles that are handed over at once.
const RUN: u64 = 8;

/// What is asked of the workers.
pub(super) struct Task<'a> {
    pub(super) root: &'a Path,
    /// The checkpoint's size.
    pub(super) size: u64,
    /// Sizes at which the root is wanted.
    pub(super) wanted: &'a BTreeSet<u64>,
    pub(super) bodies: Option<super::Bodies<'a>>,
    pub(super) threads: usize,
}

/// What one tile and its entries gave.
pub(super) struct Checked {
    pub(super) index: u64,
    pub(super) width: u16,
    /// The hashes of the entries as they lie there; those of the tile where entries are missing. `None`: neither.
    pub(super) entries_root: Option<Hash>,
    /// The root over the tile as it lies there.
    pub(super) tile_root: Option<Hash>,
    /// The hashes of the entries, if a root inside this tile is wanted.
    pub(super) hashes: Vec<Hash>,
    /// The leaves with their indices, as far as they can be read.
    pub(super) leaves: Vec<(u64, Leaf, Held)>,
    pub(super) faults: Vec<Fault>,
}

/// What became of a leaf's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nobody was asked, or the source does not hold such bodies.
    Unasked,
    /// It is there and right, or was found to differ.
    There,
    /// It is gone.
    Gone,
}

/// Checks every tile and hands the results to `fold` in their order, until it breaks.
pub(super) fn check_all(task: &Task<'_>, mut fold: impl FnMut(Checked) -> ControlFlow<()>) {
    let tiles = task.size.div_ceil(WIDTH);
    let runs = tiles.div_ceil(RUN);
    let threads = task.threads.max(1);
    std::thread::scope(|scope| {
        let receivers = (0..threads)
            .map(|worker| {
                let (sender, receiver) = sync_channel::<Vec<Checked>>(2);
                scope.spawn(move || {
                    for run in (worker as u64..runs).step_by(threads) {
                        let of_run = run * RUN..((run + 1) * RUN).min(tiles);
                        // The receiver went away: somebody has seen enough.
                        if sender.send(of_run.map(|index| check(task, index)).collect()).is_err() {
                            break;
                        }
                    }
                });
                receiver
            })
            .collect::<Vec<_>>();
        for receiver in receivers.iter().cycle() {
            // A worker that has no more runs ends the round: no later one has either.
            let Ok(run) = receiver.recv() else { break };
            if run.into_iter().any(|checked| fold(checked).is_break()) {
                break;
            }
        }
        drop(receivers);
    });
}

fn check(task: &Task<'_>, index: u64) -> Checked {
    let width = width_at(task.size, 0, index);
    let first = index * WIDTH;
    let mut faults = Vec::new();
    let tile = stored_tile(task.root, index, width).map_err(|fault| faults.push(*fault)).ok();
    let bundle = stored_entries(task.root, index, width).map_err(|fault| faults.push(*fault)).ok();
    let (entries, behind) = split_bundle(bundle.as_deref().unwrap_or_default(), width);
    if bundle.is_some() {
        faults.extend(judge_bundle(task.root, Resource::Entries { index, width }, first, entries.len(), behind));
    }
    let mut hashes = entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>();
    compare(&hashes, tile.as_deref(), &entries, first, &mut faults);

    let mut leaves = Vec::with_capacity(entries.len());
    for (index, entry) in (first..).zip(&entries) {
        match Leaf::parse(entry) {
            Ok(leaf) => {
                let held = task.bodies.map_or(Held::Unasked, |bodies| judge(bodies, index, &leaf, &mut faults));
                leaves.push((index, leaf, held));
            }
            Err(fault) => faults.push(Fault::at(Code::LeafMalformed, index, fault.to_string())),
        }
    }
    // What the entries do not say, the tile may: the rest of the tree can still be checked.
    let missing = tile.as_deref().and_then(|tile| tile.get(hashes.len()..)).unwrap_or_default().to_vec();
    hashes.extend(missing);
    let whole = hashes.len() == usize::from(width);
    let wanted = task.wanted.range(first..first + WIDTH).next().is_some();
    Checked {
        index,
        width,
        entries_root: whole.then(|| root_of(&hashes)),
        tile_root: tile.as_deref().map(|tile| if tile == hashes { root_of(&hashes) } else { root_of(tile) }),
        hashes: if wanted && whole { hashes } else { Vec::new() },
        leaves,
        faults,
    }
}

fn stored_tile(root: &Path, index: u64, width: u16) -> Result<Vec<Hash>, Box<Fault>> {
    let resource = Resource::Tile { level: 0, index, width };
    let bytes = stored(root, resource, Code::TileMissing, Code::TileMalformed)?;
    // A tile that grew since begins in the same way.
    let held = if bytes.len() == 256 * Hash::SIZE { 256 } else { width };
    let mut tile = decode_tile(&bytes, held)
        .map_err(|fault| Fault::at(Code::TileMalformed, index * WIDTH, format!("{}: {fault}", resource.path())))?;
    tile.truncate(usize::from(width));
    Ok(tile)
}

fn stored_entries(root: &Path, index: u64, width: u16) -> Result<Vec<u8>, Box<Fault>> {
    stored(root, Resource::Entries { index, width }, Code::EntriesMissing, Code::EntriesMalformed)
}

fn stored(root: &Path, resource: Resource, missing: Code, malformed: Code) -> Result<Vec<u8>, Box<Fault>> {
    let first = match resource {
        Resource::Tile { index, .. } | Resource::Entries { index, .. } => index * WIDTH,
        Resource::Checkpoint | Resource::Rotation { .. } | Resource::Cosigned => 0,
    };
    match read_resource(root, resource) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Fault::at(missing, first, format!("{} is missing", resource.path())).into()),
        Err(fault) => Err(Fault::at(malformed, first, fault.to_string()).into()),
    }
}

/// Compares entries with their tile: one fault for each tile, at the first that differs.
fn compare(hashes: &[Hash], tile: Option<&[Hash]>, entries: &[&[u8]], first: u64, faults: &mut Vec<Fault>) {
    let Some(tile) = tile else { return };
    let mut differing = hashes.iter().zip(tile).zip((first..).zip(entries)).filter(|((one, other), _)| one != other);
    if let Some((_, (index, entry))) = differing.next() {
        let more = match differing.count() {
            0 => String::new(),
            more => format!(", nor are {more} behind it in the same tile"),
        };
        let fault =
            Fault::at(Code::EntryAltered, index, format!("the entry is not the one that its tile sealed{more}"));
        faults.push(Leaf::parse(entry).map_or_else(|_| fault.clone(), |leaf| fault.clone().of(&leaf)));
    }
}

/// Asks for a leaf's body and compares it.
fn judge(bodies: super::Bodies<'_>, index: u64, leaf: &Leaf, faults: &mut Vec<Fault>) -> Held {
    let (length, hash) = match bodies(index, leaf) {
        Body::Stored(bytes) => (bytes.len() as u64, crate::log::sha256(&bytes)),
        Body::Measured { length, hash } => (length, hash),
        Body::Gone if leaf.kind == PURGED => {
            faults.push(Fault::at(Code::BodyMissing, index, "the event that tells of a purge is gone itself").of(leaf));
            return Held::There;
        }
        Body::Gone => return Held::Gone,
        Body::Elsewhere => return Held::Unasked,
    };
    if (length, hash) != (leaf.length, leaf.hash) {
        let detail = format!("{length} bytes are stored, and they are not the {} bytes that were sealed", leaf.length);
        faults.push(Fault::at(Code::BodyDiffers, index, detail).of(leaf));
    }
    Held::There
}

/// A bundle holds its entries and nothing else. One that stands in for a part that was swept may hold more.
fn judge_bundle(root: &Path, resource: Resource, first: u64, entries: usize, behind: usize) -> Option<Fault> {
    let Resource::Entries { width, .. } = resource else { return None };
    let path = resource.path();
    let detail = if entries < usize::from(width) {
        format!("{path} holds {entries} whole entries instead of {width}")
    } else if behind > 0 && root.join(&path).exists() {
        format!("{path} holds {behind} bytes behind its last entry")
    } else {
        return None;
    };
    Some(Fault::at(Code::EntriesMalformed, first + entries as u64, detail))
}

/// The first entries of a bundle, at most `width`, and how many bytes are left behind them.
fn split_bundle(bytes: &[u8], width: u16) -> (Vec<&[u8]>, usize) {
    let (mut rest, mut entries) = (bytes, Vec::with_capacity(usize::from(width)));
    while entries.len() < usize::from(width)
        && let Some((length, behind)) = rest.split_first_chunk::<2>()
        && let Some((entry, behind)) = behind.split_at_checked(u16::from_be_bytes(*length).into())
    {
        entries.push(entry);
        rest = behind;
    }
    (entries, rest.len())
}
