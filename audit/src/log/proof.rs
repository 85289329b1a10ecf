//! Inclusion and consistency proofs, as RFC 6962 sections 2.1.1 and 2.1.2 have them; verified by the loops of RFC 9162
//! sections 2.1.3.2 and 2.1.4.2. Nothing here recurses, and no proof has more than 64 hashes.

use super::hash::{Hash, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root")]
pub struct Unproved;

/// Where hashes of full subtrees come from: of `2^height` entries each, the `index`-th of them.
pub type Nodes<'n, E> = &'n mut dyn FnMut(u32, u64) -> Result<Hash, E>;

/// The proof that entry `index` stands in the tree of `size`, from the leaf's sibling upwards; `None` if it does not.
///
/// # Errors
/// What `nodes` says.
pub fn inclusion<E>(index: u64, size: u64, nodes: Nodes<'_, E>) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    while high - low > 1 {
        let middle = low + left_of(high - low);
        if index < middle {
            path.push(range_root(middle, high, nodes)?);
            high = middle;
        } else {
            path.push(range_root(low, middle, nodes)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of `old` entries is how the tree of `new` begins; `None` if `old` is larger.
///
/// # Errors
/// What `nodes` says.
pub fn consistency<E>(old: u64, new: u64, nodes: Nodes<'_, E>) -> Result<Option<Vec<Hash>>, E> {
    if old > new {
        return Ok(None);
    }
    if old == 0 || old == new {
        return Ok(Some(Vec::new()));
    }
    let (mut low, mut high) = (0, new);
    let mut path = Vec::new();
    while high != old {
        let middle = low + left_of(high - low);
        if old <= middle {
            path.push(range_root(middle, high, nodes)?);
            high = middle;
        } else {
            path.push(range_root(low, middle, nodes)?);
            low = middle;
        }
    }
    // The old root itself is known to the verifier and is left out.
    if low != 0 {
        path.push(range_root(low, high, nodes)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// The root of the tree of `size` entries.
///
/// # Errors
/// What `nodes` says.
pub fn root<E>(size: u64, nodes: Nodes<'_, E>) -> Result<Hash, E> {
    if size == 0 { Ok(super::hash::sha256(b"")) } else { range_root(0, size, nodes) }
}

/// Checks that `leaf` is entry `index` of the tree of `size` under `root`.
///
/// # Errors
/// [`Unproved`].
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> Result<(), Unproved> {
    if index >= size {
        return Err(Unproved);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if last == 0 {
            return Err(Unproved);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(step, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(Unproved) }
}

/// Checks that the tree of `old` entries under `old_root` is how the tree of `new` under `new_root` begins.
///
/// # Errors
/// [`Unproved`].
pub fn verify_consistency(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> Result<(), Unproved> {
    let sound = |sound: bool| if sound { Ok(()) } else { Err(Unproved) };
    if old == new {
        return sound(path.is_empty() && old_root == new_root);
    }
    if old == 0 {
        return sound(path.is_empty() && *old_root == super::hash::sha256(b""));
    }
    if old > new {
        return Err(Unproved);
    }
    let mut steps = path.iter();
    // Where the old tree is a full subtree, its root opens the path without being sent.
    let first = if old.is_power_of_two() { *old_root } else { *steps.next().ok_or(Unproved)? };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for step in steps {
        if last == 0 {
            return Err(Unproved);
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    sound(last == 0 && old_hash == *old_root && new_hash == *new_root)
}

/// The largest power of two below `length`, which is at least 2.
fn left_of(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// The root over the entries `low..high`, a range that RFC 6962 makes: `low` is a multiple of every power of two that
/// the length holds.
fn range_root<E>(low: u64, high: u64, nodes: Nodes<'_, E>) -> Result<Hash, E> {
    let mut right: Option<Hash> = None;
    let (mut end, mut length) = (high, high - low);
    while length > 0 {
        // From the right: the smallest full subtree first.
        let height = length.trailing_zeros();
        let node = nodes(height, (end >> height) - 1)?;
        right = Some(right.map_or(node, |right| node_hash(&node, &right)));
        end -= 1 << height;
        length &= length - 1;
    }
    Ok(right.unwrap_or_else(|| super::hash::sha256(b"")))
}
