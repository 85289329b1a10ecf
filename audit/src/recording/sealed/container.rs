//! The tar of a sealed recording: appended to while it is made, its index found from its end.

use super::{INDEX, KEY, Piece, Place, SEALED_VERSION, SealedIndex, Stored, hex, piece_name};
use crate::error::RecordingError;
use crate::keys::Recipients;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// Tar counts in blocks of so many bytes.
const BLOCK: u64 = 512;
/// How strongly pieces are packed: what zstd calls its usual level.
const LEVEL: i32 = 3;
/// The largest index that is read: of a terabyte, and more.
const MOST_INDEX_BYTES: u64 = 256 << 20;

/// A tar in the making. What failed to be appended is written over by what comes next.
pub(super) struct Container {
    path: PathBuf,
    file: File,
    /// Bytes that count.
    at: u64,
    /// What is in it.
    pub(super) index: SealedIndex,
}

impl Container {
    /// A new file, or one that holds already what is in `index`.
    pub(super) fn open(path: &Path, index: SealedIndex) -> Result<Self, RecordingError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(RecordingError::storage("open", path))?;
        let at = index.places().map(|(_, place)| place.end()).max().unwrap_or(0);
        Ok(Self { path: path.to_owned(), file, at, index })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a piece of the member that has this number in the index; with it the member has `end` bytes.
    pub(super) fn add(
        &mut self,
        member: usize,
        mut piece: Piece,
        end: u64,
        bytes: &[u8],
    ) -> Result<Stored, RecordingError> {
        let known = self.index.members.get(member);
        let name = known.map(|known| piece_name(&known.name, known.pieces.len(), &piece)).unwrap_or_default();
        let place = self.append(&name, bytes)?;
        let stored = Stored { name, place: place.clone(), start: piece.start, end, micros: piece.micros };
        if let Some(known) = self.index.members.get_mut(member) {
            piece.place = place;
            known.pieces.push(piece);
            known.size = end;
        }
        Ok(stored)
    }

    /// Appends the sealed key of the parts of journals that follow.
    pub(super) fn add_key(&mut self, sealed: &[u8]) -> Result<Stored, RecordingError> {
        let place = self.append(KEY, sealed)?;
        self.index.key = Some(place.clone());
        Ok(Stored::alone(KEY, place))
    }

    /// What was appended outlives a power cut when this returns.
    pub(super) fn sync(&self) -> Result<(), RecordingError> {
        self.file.sync_data().map_err(RecordingError::storage("sync", &self.path))
    }

    /// Appends the index and the tar's end; everything is on the disk when this returns.
    pub(super) fn finish(&mut self) -> Result<Stored, RecordingError> {
        let mut json = serde_json::to_vec(&self.index)
            .map_err(std::io::Error::from)
            .map_err(RecordingError::storage("encode the index of", &self.path))?;
        json.push(b'\n');
        // It counts only when all is done: an end that fails is written anew.
        let before = self.at;
        let place = self.append(INDEX, &json)?;
        let behind = std::mem::replace(&mut self.at, before);
        // What a failure left behind goes; what comes anew is zero.
        let ended = self.file.set_len(behind).and_then(|()| self.file.set_len(behind + 2 * BLOCK));
        ended.map_err(RecordingError::storage("end", &self.path))?;
        self.file.sync_all().map_err(RecordingError::storage("sync", &self.path))?;
        Ok(Stored::alone(INDEX, place))
    }

    /// Appends a file; returns where its bytes are.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<Place, RecordingError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.index.opened.timestamp()).unwrap_or(0));
        header.set_size(bytes.len() as u64);
        let full = format!("{}/{name}", self.index.session);
        header.set_path(full).map_err(RecordingError::storage("name a member of", &self.path))?;
        header.set_cksum();
        let place = Place { at: self.at + BLOCK, ..place_of(bytes) };
        let rest = usize::try_from(place.end() - place.at - place.size).unwrap_or(0);
        self.write(self.at, header.as_bytes())?;
        self.write(place.at, bytes)?;
        self.write(place.at + place.size, &vec![0; rest])?;
        self.at = place.end();
        Ok(place)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), RecordingError> {
        self.file.write_all_at(bytes, at).map_err(RecordingError::storage("write", &self.path))
    }
}

impl Place {
    /// Where the next file of the tar begins.
    fn end(&self) -> u64 {
        (self.at + self.size).next_multiple_of(BLOCK)
    }
}

/// Of bytes that are about to be appended.
fn place_of(bytes: &[u8]) -> Place {
    Place { at: 0, size: bytes.len() as u64, sha256: hex(digest(&SHA256, bytes).as_ref()) }
}

/// Packs and seals pieces, in memory that is used again: large pieces of it that come and go stay with the process, and
/// with each thread that had some.
pub struct Press {
    compressor: zstd::bulk::Compressor<'static>,
    /// Room for a piece before it is packed.
    pub(super) room: Vec<u8>,
    joined: Vec<u8>,
    packed: Vec<u8>,
    sealed: Vec<u8>,
}

impl Press {
    /// One for a thread that seals.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(LEVEL)?;
        Ok(Self { compressor, room: Vec::new(), joined: Vec::new(), packed: Vec::new(), sealed: Vec::new() })
    }

    /// Packs and seals what is in its room, with `before` in front.
    pub(super) fn seal(&mut self, before: &str, recipients: &Recipients) -> std::io::Result<&[u8]> {
        let plain = if before.is_empty() {
            &self.room
        } else {
            self.joined.clear();
            self.joined.extend_from_slice(before.as_bytes());
            self.joined.extend_from_slice(&self.room);
            &self.joined
        };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.compressor.compress_to_buffer(plain, &mut self.packed)?;
        self.sealed.clear();
        let mut age = recipients.seal(&mut self.sealed)?;
        age.write_all(&self.packed)?;
        age.finish()?;
        Ok(&self.sealed)
    }
}

/// Finds and reads the index of a sealed recording: it is the last member, so that the end of the file and the index
/// itself are all that is read.
///
/// # Errors
/// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if there is none where it should be.
pub(crate) fn read_index(path: &Path) -> Result<(SealedIndex, Place), RecordingError> {
    let mut file = File::open(path).map_err(RecordingError::storage("open", path))?;
    let json = index_bytes(&mut file).map_err(RecordingError::storage("read", path))?;
    let damaged =
        |reason: String| RecordingError::Damaged { path: path.to_owned(), format: "sealed recording", reason };
    let (at, json) = json.ok_or_else(|| damaged("its index is not at its end".to_owned()))?;
    let index: SealedIndex = serde_json::from_slice(&json).map_err(|fault| damaged(fault.to_string()))?;
    if index.version == 0 || index.version > SEALED_VERSION {
        let reason = format!("version {}; this program reads versions up to {SEALED_VERSION}", index.version);
        return Err(damaged(reason));
    }
    // So that whoever adds to a place, or makes room for it, stays within the file.
    if let Some((name, _)) =
        index.places().find(|(_, place)| place.at.checked_add(place.size).is_none_or(|end| end > at))
    {
        return Err(damaged(format!("{name} would lie behind its index")));
    }
    Ok((index, Place { at, ..place_of(&json) }))
}

/// Looks backwards, a block at a time, for the header of the index. Its text has no zero bytes, so that none of its
/// blocks can be taken for a header.
fn index_bytes(file: &mut File) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut at = end - end % BLOCK;
    while let Some(block_at) = at.checked_sub(BLOCK).filter(|at| end - at < MOST_INDEX_BYTES) {
        at = block_at;
        let mut header = Header::new_ustar();
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(header.as_mut_bytes())?;
        if !is_header_of_index(&header) {
            continue;
        }
        let size = header.size()?;
        // A header can say any number of 64 bits; what is behind it is less than [`MOST_INDEX_BYTES`].
        if size > end - at - BLOCK {
            return Ok(None);
        }
        let mut json = vec![0; usize::try_from(size).map_err(std::io::Error::other)?];
        file.read_exact(&mut json)?;
        return Ok(Some((at + BLOCK, json)));
    }
    Ok(None)
}

fn is_header_of_index(header: &Header) -> bool {
    let named = header.path().is_ok_and(|path| path.file_name().is_some_and(|name| name == INDEX));
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| match at {
            148..=155 => u32::from(b' '),
            _ => u32::from(*byte),
        })
        .sum();
    named && header.cksum().is_ok_and(|said| said == sum)
}
