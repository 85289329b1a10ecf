//! Names and shapes of the log's files, as C2SP tlog-tiles has them: tiles of 256 hashes, bundles of 256 entries.

use super::checkpoint::decimal;
use super::error::LogError;
use super::folder::{COSIGNED, rotation_path};
use super::hash::Hash;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;

/// No entry is longer, because its length is written as 16 bits.
pub const LONGEST_ENTRY: usize = u16::MAX as usize;

/// A file of the log: those that the specification names, and two of ours. Whatever serves a log serves these and nothing
/// else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The newest signed checkpoint; the one file that changes.
    Checkpoint,
    /// Hashes at a level.
    Tile {
        /// 0 holds the hashes of entries; each hash of level n + 1 is the root over a full tile of level n.
        level: u8,
        /// Which of the level's tiles.
        index: u64,
        /// How many hashes, 1 to 256; fewer than 256 in the right-most tile only.
        width: u16,
    },
    /// The entries under a tile of level 0.
    Entries {
        /// Which of the bundles.
        index: u64,
        /// How many entries, 1 to 256.
        width: u16,
    },
    /// Ours: the checkpoint whose last leaf introduced a key. Without it nobody follows the keys.
    Rotation {
        /// Entries under it.
        size: u64,
    },
    /// Ours: the newest checkpoint that witnesses cosigned.
    Cosigned,
}

impl Resource {
    /// The path below the log's folder or address: `tile/0/x001/x234/067.p/8`.
    #[must_use]
    pub fn path(self) -> String {
        match self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Tile { level, index, width } => format!("tile/{level}/{}", numbered(index, width)),
            Self::Entries { index, width } => format!("tile/entries/{}", numbered(index, width)),
            Self::Rotation { size } => rotation_path(size),
            Self::Cosigned => COSIGNED.to_owned(),
        }
    }

    /// The resource that a path names, for serving it; `None` for every other spelling.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let parsed = match path.split_once('/') {
            None if path == COSIGNED => Self::Cosigned,
            None => Self::Checkpoint,
            Some(("rotation", size)) => Self::Rotation { size: decimal(size)? },
            Some((_, rest)) => {
                let (kind, rest) = rest.split_once('/')?;
                let (number, width) = rest.split_once(".p/").map_or(Some((rest, 256)), |(number, width)| {
                    width.parse().ok().filter(|width| (1..256).contains(width)).map(|width| (number, width))
                })?;
                let index = number.split('/').try_fold(0_u64, |index, group| {
                    let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
                    index.checked_mul(1000)?.checked_add(digits)
                })?;
                match kind {
                    "entries" => Self::Entries { index, width },
                    _ => Self::Tile { level: kind.parse().ok().filter(|level| *level < 64)?, index, width },
                }
            }
        };
        // Leading zeros, signs and missing `x` do not survive the way back.
        (parsed.path() == path).then_some(parsed)
    }
}

/// The number in groups of three digits, all but the last marked with `x`.
fn numbered(index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if u64::from(width) < WIDTH { format!("{path}.p/{width}") } else { path }
}

/// How wide tile `index` of `level` is in a log of `size` entries; 0 where there is none.
#[must_use]
pub fn width_at(size: u64, level: u8, index: u64) -> u16 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    let before = index.saturating_mul(WIDTH);
    u16::try_from(hashes.saturating_sub(before).min(WIDTH)).unwrap_or(0)
}

/// The bytes of a tile.
#[must_use]
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile of `width`.
///
/// # Errors
/// [`LogError::Malformed`] unless there are exactly so many.
pub fn decode_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, LogError> {
    let expected = usize::from(width) * Hash::SIZE;
    if bytes.len() != expected {
        return Err(LogError::malformed("tile", format!("it has {} bytes instead of {expected}", bytes.len())));
    }
    Ok(bytes.chunks_exact(Hash::SIZE).filter_map(Hash::from_bytes).collect())
}

/// Appends an entry to a bundle. Longer ones than [`LONGEST_ENTRY`] are refused.
///
/// # Errors
/// [`LogError::Malformed`] if the entry is too long.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), LogError> {
    let length = u16::try_from(entry.len())
        .map_err(|_| LogError::malformed("entry", format!("it has {} bytes, 65535 are the most", entry.len())))?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    Ok(())
}

/// The entries of a bundle of `width`.
///
/// # Errors
/// [`LogError::Malformed`] if it is cut short, or holds more or fewer.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, LogError> {
    let mut entries = Vec::with_capacity(usize::from(width).min(bytes.len()));
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let cut = || LogError::malformed("bundle of entries", format!("entry {} in it is cut short", entries.len()));
        let (entry, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(cut)?;
        entries.push(entry);
        rest = behind;
    }
    if !rest.is_empty() || entries.len() != usize::from(width) {
        let reason = format!("it holds {} entries and {} bytes more instead of {width}", entries.len(), rest.len());
        return Err(LogError::malformed("bundle of entries", reason));
    }
    Ok(entries)
}

/// How many whole entries a bundle holds.
#[must_use]
pub fn entries_in(bytes: &[u8]) -> u16 {
    let mut rest = bytes;
    let mut entries = 0_u16;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let Some(behind) = behind.get(usize::from(u16::from_be_bytes(*length))..) else { break };
        (rest, entries) = (behind, entries.saturating_add(1));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::{Resource, width_at};

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Resource::Tile { level, index, width };
        for (resource, path) in [
            (Resource::Checkpoint, "checkpoint"),
            (tile(0, 0, 256), "tile/0/000"),
            (tile(63, 999, 1), "tile/63/999.p/1"),
            (tile(1, 1000, 255), "tile/1/x001/000.p/255"),
            (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (Resource::Entries { index: 1_234_067, width: 8 }, "tile/entries/x001/x234/067.p/8"),
            (Resource::Rotation { size: 279 }, "rotation/279"),
            (Resource::Cosigned, "cosigned"),
        ] {
            assert_eq!(resource.path(), path);
            assert_eq!(Resource::parse(path), Some(resource));
        }
        for other in [
            "",
            "tile",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/+01",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "/checkpoint",
            "checkpoint/",
            "other/0/000",
            "rotation/",
            "rotation/0279",
            "rotation/../checkpoint",
            "rotation/279/000",
        ] {
            assert_eq!(Resource::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_that_the_specification_counts() {
        assert_eq!((width_at(70_000, 0, 272), width_at(70_000, 0, 273), width_at(70_000, 0, 274)), (256, 112, 0));
        assert_eq!((width_at(70_000, 1, 0), width_at(70_000, 1, 1), width_at(70_000, 1, 2)), (256, 17, 0));
        assert_eq!((width_at(70_000, 2, 0), width_at(70_000, 3, 0), width_at(70_000, 63, 0)), (1, 0, 0));
        assert_eq!((width_at(256, 0, 0), width_at(256, 1, 0)), (256, 1));
    }
}
