//! The tree above the entries: every tile above level 0 is made again and compared, and the roots at the sizes that are
//! wanted are noted on the way.

use super::fault::{Code, Fault};
use super::tiles::Checked;
use crate::log::tile::WIDTH;
use crate::log::{Checkpoint, Edge, Hash, Range, Resource, read_resource, root_of, sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

/// The tree as it grows.
pub(super) struct Tree<'a> {
    root: &'a Path,
    checkpoint: &'a Checkpoint,
    wanted: &'a BTreeSet<u64>,
    /// Full tiles so far, from what the entries say.
    edge: Edge,
    /// The same from what the tiles of level 0 say; they differ only in altered logs.
    by_tiles: Range,
    /// The last, unfinished tile, as both say.
    behind: (Option<Hash>, Option<Hash>),
    roots: BTreeMap<u64, Hash>,
    /// A tile and its entries are both unreadable: no root can be made from there on.
    broken: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Path, checkpoint: &'a Checkpoint, wanted: &'a BTreeSet<u64>) -> Self {
        let roots = wanted.iter().take_while(|size| **size == 0).map(|size| (*size, sha256(b""))).collect();
        let (edge, by_tiles) = (Edge::default(), Range::default());
        Self { root, checkpoint, wanted, edge, by_tiles, behind: (None, None), roots, broken: false }
    }

    /// Takes the next tile; breaks where a tile and its entries are both missing, because nothing can follow.
    pub(super) fn take(&mut self, checked: &Checked, faults: &mut Vec<Fault>) -> ControlFlow<()> {
        let Some(root) = checked.entries_root else {
            self.broken = true;
            let detail = "neither the entries nor their tile can be read from here on";
            faults.push(Fault::at(Code::RootDiffers, checked.index * WIDTH, detail));
            return ControlFlow::Break(());
        };
        let before = self.edge.size();
        for size in self.wanted.range(before + 1..before + WIDTH) {
            let part = usize::try_from(size - before).ok().and_then(|width| checked.hashes.get(..width));
            if let Some(part) = part {
                self.roots.insert(*size, self.edge.root_with(Some(root_of(part))));
            }
        }
        let by_tile = checked.tile_root.unwrap_or(root);
        if u64::from(checked.width) < WIDTH {
            self.behind = (Some(root), Some(by_tile));
            return ControlFlow::Continue(());
        }
        self.by_tiles.push(by_tile);
        let folder = self.root;
        let mut compared = |tile: Resource, bytes: Vec<u8>| {
            faults.extend(compare(folder, tile, &bytes));
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(()) = self.edge.push_tile(root, &mut compared);
        if self.wanted.contains(&self.edge.size()) {
            self.roots.insert(self.edge.size(), self.edge.root());
        }
        ControlFlow::Continue(())
    }

    /// Compares the unfinished tiles and the root; returns the roots that were wanted.
    pub(super) fn end(mut self, faults: &mut Vec<Fault>) -> BTreeMap<u64, Hash> {
        if self.broken {
            return self.roots;
        }
        faults.extend(self.edge.parts().filter_map(|(part, bytes)| compare(self.root, part, &bytes)));
        let root = self.edge.root_with(self.behind.0);
        self.roots.insert(self.checkpoint.size, root);
        if root == self.checkpoint.root {
            // The entries are what was sealed, so where a tile differs from them it is the tile that was altered.
            for fault in faults.iter_mut().filter(|fault| fault.code == Code::EntryAltered) {
                fault.code = Code::TileAltered;
                fault.detail = "the tile has another hash than its entry, which is the one that was sealed".to_owned();
            }
        } else {
            let by_tiles = self.by_tiles.root_with(self.behind.1) == self.checkpoint.root;
            let detail = if by_tiles {
                "the entries do not lead to the checkpoint's root, the tiles do: entries were altered"
            } else {
                "neither the entries nor the tiles lead to the checkpoint's root"
            };
            faults.push(Fault::new(Code::RootDiffers, detail));
        }
        self.roots
    }
}

fn compare(root: &Path, resource: Resource, bytes: &[u8]) -> Option<Fault> {
    let path = resource.path();
    match read_resource(root, resource) {
        // A tile that grew since begins in the same way.
        Ok(Some(stored)) if stored.get(..bytes.len()) == Some(bytes) && stored.len().is_multiple_of(Hash::SIZE) => None,
        Ok(Some(stored)) if stored.len() != bytes.len() => {
            let detail = format!("{path} has {} bytes instead of {}", stored.len(), bytes.len());
            Some(Fault::new(Code::TileMalformed, detail))
        }
        Ok(Some(_)) => Some(Fault::new(Code::TileAltered, format!("{path} is not the root over the tiles below it"))),
        Ok(None) => Some(Fault::new(Code::TileMissing, format!("{path} is missing"))),
        Err(fault) => Some(Fault::new(Code::TileMalformed, fault.to_string())),
    }
}
