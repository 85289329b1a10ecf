//! The tar of a sealed recording: appended to while it is made, its index found from its end.

use super::{INDEX, KEY, Piece, Place, SEALED_VERSION, SealedIndex, SealedMember, Stored, piece_name};
use crate::error::RecordingError;
use crate::hex;
use crate::recording::member::sync_folder;
use aws_lc_rs::digest::{Context, SHA256, digest};
use rustix::fs::{Advice, fadvise};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// Tar counts in blocks of so many bytes.
const BLOCK: u64 = 512;
/// The largest index that is read: of a terabyte, and more. Less in tests, which would take minutes.
const MOST_INDEX_BYTES: u64 = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// What is read at once where stored bytes are compared.
const CHUNK: usize = 256 << 10;

/// A tar in the making. What failed to be appended is written over by what comes next, and so is all that a failed sync
/// leaves in doubt: Linux takes what it could not write for written, so that a later sync that succeeds proves nothing.
pub(super) struct Container {
    path: PathBuf,
    file: File,
    /// Bytes that count.
    at: u64,
    /// Those of them that are on the disk.
    synced: u64,
    /// What is in it.
    index: SealedIndex,
    /// The numbers of the members in the index, by their names.
    numbers: HashMap<String, usize>,
    /// All members' pieces.
    pieces: u64,
    /// The pieces that are not on the disk yet: their member, and how much of that is in the pieces before.
    unsynced: Vec<(usize, u64)>,
}

impl Container {
    /// A new file, or one that holds already what is in `index`, all of it on the disk. Its name is when this returns.
    pub(super) fn open(path: &Path, index: SealedIndex) -> Result<Self, RecordingError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(RecordingError::storage("open", path))?;
        sync_folder(path.parent().unwrap_or(path))?;
        let at = index.places().map(|(_, place)| place.end()).max().unwrap_or(0);
        let numbers = index.members.iter().enumerate().map(|(number, member)| (member.name.clone(), number)).collect();
        let pieces = index.members.iter().map(|member| member.pieces.len() as u64).sum();
        Ok(Self { path: path.to_owned(), file, at, synced: at, index, numbers, pieces, unsynced: Vec::new() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub(super) fn index(&self) -> &SealedIndex {
        &self.index
    }

    /// How many pieces are in it.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces
    }

    /// The number of a member in the index, which it gets there if it has none yet.
    pub(super) fn number_of(&mut self, name: &str) -> usize {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let number = self.index.members.len();
        self.index.members.push(SealedMember { name: name.to_owned(), size: 0, pieces: Vec::new() });
        self.numbers.insert(name.to_owned(), number);
        number
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
            self.unsynced.push((member, std::mem::replace(&mut known.size, end)));
            self.pieces += 1;
        }
        Ok(stored)
    }

    /// Appends the sealed key of the parts of journals that follow.
    pub(super) fn add_key(&mut self, sealed: &[u8]) -> Result<Stored, RecordingError> {
        let place = self.append(KEY, sealed)?;
        self.index.key = Some(place.clone());
        Ok(Stored::alone(KEY, place))
    }

    /// What was appended outlives a power cut when this returns. If it fails, nothing counts that was appended since the
    /// last time: it is to be appended anew.
    pub(super) fn sync(&mut self) -> Result<(), RecordingError> {
        if self.at == self.synced {
            return Ok(());
        }
        let synced = self.file.sync_data().map_err(RecordingError::storage("sync", &self.path));
        match &synced {
            Ok(()) => self.synced = self.at,
            Err(_) => self.undo(),
        }
        self.unsynced.clear();
        synced
    }

    fn undo(&mut self) {
        while let Some((member, size)) = self.unsynced.pop() {
            if let Some(known) = self.index.members.get_mut(member) {
                known.pieces.pop();
                known.size = size;
                self.pieces -= 1;
            }
        }
        self.index.key.take_if(|place| place.at >= self.synced);
        self.at = self.synced;
    }

    /// Appends the index and the tar's end; everything is on the disk when this returns.
    pub(super) fn finish(&mut self) -> Result<Stored, RecordingError> {
        self.sync()?;
        let json = self.index_json()?;
        // It counts only when all is done: an end that fails is written anew.
        let before = self.at;
        let place = self.append(INDEX, &json);
        let behind = std::mem::replace(&mut self.at, before);
        let place = place?;
        // What a failure left behind goes; what comes anew is zero.
        let ended = self.file.set_len(behind).and_then(|()| self.file.set_len(behind + 2 * BLOCK));
        ended.map_err(RecordingError::storage("end", &self.path))?;
        self.file.sync_all().map_err(RecordingError::storage("sync", &self.path))?;
        Ok(Stored::alone(INDEX, place))
    }

    fn index_json(&self) -> Result<Vec<u8>, RecordingError> {
        let mut json = serde_json::to_vec(&self.index)
            .map_err(std::io::Error::from)
            .map_err(RecordingError::storage("encode the index of", &self.path))?;
        json.push(b'\n');
        // With its header, what fills its last block, and the end of the tar.
        let bytes = json.len() as u64 + 4 * BLOCK;
        if bytes > MOST_INDEX_BYTES {
            let reason = format!("its index takes {bytes} bytes, and {MOST_INDEX_BYTES} are read; its folder stays");
            return Err(self.damaged(reason));
        }
        Ok(json)
    }

    /// Has what is compared next come from the disk, as far as the kernel goes along with it.
    pub(super) fn forget(&self) {
        // It keeps what somebody else is reading just now; that is compared as well as it can be.
        fadvise(&self.file, 0, None, Advice::DontNeed).ok();
    }

    /// Compares some of what is stored with the index, from the member and piece `next` on, about `left` bytes; whether
    /// all was compared.
    pub(super) fn compare(&self, next: &mut (usize, usize), left: &mut u64) -> Result<bool, RecordingError> {
        if let (0, 0, Some(key)) = (next.0, next.1, &self.index.key) {
            self.compare_one(KEY, key)?;
        }
        while let Some(member) = self.index.members.get(next.0) {
            while let Some(piece) = member.pieces.get(next.1) {
                if *left == 0 {
                    return Ok(false);
                }
                self.compare_one(&piece_name(&member.name, next.1, piece), &piece.place)?;
                *left = left.saturating_sub(piece.place.size.max(BLOCK));
                next.1 += 1;
            }
            *next = (next.0 + 1, 0);
        }
        Ok(true)
    }

    /// Compares what is stored of one file.
    pub(super) fn compare_one(&self, name: &str, place: &Place) -> Result<(), RecordingError> {
        let (mut hash, mut room) = (Context::new(&SHA256), vec![0; CHUNK]);
        let (mut at, mut left) = (place.at, place.size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let part = room.get_mut(..most).unwrap_or_default();
            self.file.read_exact_at(part, at).map_err(RecordingError::storage("read", &self.path))?;
            hash.update(part);
            (at, left) = (at + most as u64, left - most as u64);
        }
        if hex::encode(hash.finish().as_ref()) != place.sha256 {
            let reason = format!("the disk gives other bytes back for {name} than were sealed; its folder stays");
            return Err(self.damaged(reason));
        }
        Ok(())
    }

    fn damaged(&self, reason: String) -> RecordingError {
        RecordingError::Damaged { path: self.path.clone(), format: "sealed recording", reason }
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
        self.at.saturating_add(self.size).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
    }
}

/// Of bytes that are about to be appended.
fn place_of(bytes: &[u8]) -> Place {
    Place { at: 0, size: bytes.len() as u64, sha256: hex::encode(digest(&SHA256, bytes).as_ref()) }
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

#[cfg(test)]
impl Container {
    /// Goes on in another file; returns the one before.
    pub(super) fn stand_on(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_index_that_could_not_be_read_ends_no_tar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.tar.partial");
        let empty = SealedIndex {
            version: SEALED_VERSION,
            session: uuid::Uuid::nil(),
            opened: chrono::DateTime::UNIX_EPOCH,
            key: None,
            members: Vec::new(),
        };
        for (length, sound) in [(MOST_INDEX_BYTES - 4096, true), (MOST_INDEX_BYTES, false)] {
            let mut container = Container::open(&path, empty.clone()).unwrap();
            container.number_of(&"x".repeat(usize::try_from(length).unwrap()));
            let ended = container.finish();
            assert_eq!(ended.is_ok(), sound, "{ended:?}");
            assert!(!sound || read_index(&path).unwrap().0 == container.index, "it is written and cannot be read");
        }
    }
}
