//! The tar of a sealed recording: appended to while it is made, its index found from its end.

use super::{INDEX, Piece, SEALED_VERSION, SealedIndex, SealedMember, Stored, cut::Cut, hex, piece_name};
use crate::error::RecordingError;
use crate::keys::Recipients;
use crate::recording::member::create_file;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// Tar counts in blocks of so many bytes.
const BLOCK: u64 = 512;
/// How strongly pieces are packed: what zstd calls its usual level.
const LEVEL: i32 = 3;
/// The largest index that is read: of a terabyte, and more.
const MOST_INDEX_BYTES: u64 = 256 << 20;

/// A tar in the making.
pub(super) struct Container {
    path: PathBuf,
    file: File,
    /// Bytes written.
    at: u64,
    index: SealedIndex,
    under_way: Option<SealedMember>,
}

impl Container {
    /// A new file.
    pub(super) fn create(path: &Path, index: SealedIndex) -> Result<Self, RecordingError> {
        Ok(Self { path: path.to_owned(), file: create_file(path)?, at: 0, index, under_way: None })
    }

    /// What is added next belongs to this member.
    pub(super) fn begin(&mut self, name: &str) {
        self.under_way = Some(SealedMember { name: name.to_owned(), size: 0, pieces: Vec::new() });
    }

    /// Packs, seals and appends a piece.
    pub(super) fn add(
        &mut self,
        cut: &Cut<'_>,
        recipients: &Recipients,
        press: &mut Press,
    ) -> Result<(), RecordingError> {
        let Some(mut member) = self.under_way.take() else { return Ok(()) };
        let sealed = press.seal(cut, recipients).map_err(RecordingError::storage("seal into", &self.path))?;
        let name = piece_name(&member.name, member.pieces.len());
        let at = self.append(&name, sealed)?;
        let (size, sha256) = (sealed.len() as u64, hex(digest(&SHA256, sealed).as_ref()));
        member.pieces.push(Piece { at, size, sha256, start: cut.start, micros: cut.micros });
        self.under_way = Some(member);
        Ok(())
    }

    /// The member is complete, of so many bytes before sealing.
    pub(super) fn end(&mut self, size: u64) {
        if let Some(mut member) = self.under_way.take() {
            member.size = size;
            self.index.members.push(member);
        }
    }

    /// Appends the index and the tar's end; everything is on the disk when this returns.
    pub(super) fn finish(mut self) -> Result<(), RecordingError> {
        let mut json = serde_json::to_vec(&self.index)
            .map_err(std::io::Error::from)
            .map_err(RecordingError::storage("encode the index of", &self.path))?;
        json.push(b'\n');
        self.append(INDEX, &json)?;
        self.write(&[0; 2 * BLOCK as usize])?;
        self.file.sync_all().map_err(RecordingError::storage("sync", &self.path))
    }

    /// Appends a file; returns where its bytes begin.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<u64, RecordingError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.index.opened.timestamp()).unwrap_or(0));
        header.set_size(bytes.len() as u64);
        let full = format!("{}/{name}", self.index.session);
        header.set_path(full).map_err(RecordingError::storage("name a member of", &self.path))?;
        header.set_cksum();
        self.write(header.as_bytes())?;
        let at = self.at;
        self.write(bytes)?;
        let rest = bytes.len() % BLOCK as usize;
        if rest > 0 {
            self.write(&vec![0; BLOCK as usize - rest])?;
        }
        Ok(at)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.file.write_all(bytes).map_err(RecordingError::storage("write", &self.path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
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

    fn seal(&mut self, cut: &Cut<'_>, recipients: &Recipients) -> std::io::Result<&[u8]> {
        let plain = if cut.before.is_empty() {
            cut.bytes
        } else {
            self.joined.clear();
            self.joined.extend_from_slice(cut.before.as_bytes());
            self.joined.extend_from_slice(cut.bytes);
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
pub(crate) fn read_index(path: &Path) -> Result<(SealedIndex, Stored), RecordingError> {
    let mut file = File::open(path).map_err(RecordingError::storage("open", path))?;
    let json = index_bytes(&mut file).map_err(RecordingError::storage("read", path))?;
    let damaged =
        |reason: String| RecordingError::Damaged { path: path.to_owned(), format: "sealed recording", reason };
    let json = json.ok_or_else(|| damaged("its index is not at its end".to_owned()))?;
    let index: SealedIndex = serde_json::from_slice(&json).map_err(|fault| damaged(fault.to_string()))?;
    if index.version != SEALED_VERSION {
        let reason = format!("version {}; this program reads version {SEALED_VERSION}", index.version);
        return Err(damaged(reason));
    }
    let (size, sha256) = (json.len() as u64, hex(digest(&SHA256, &json).as_ref()));
    Ok((index, Stored { name: INDEX.to_owned(), size, sha256 }))
}

/// Looks backwards, a block at a time, for the header of the index. Its text has no zero bytes, so that none of its
/// blocks can be taken for a header.
fn index_bytes(file: &mut File) -> std::io::Result<Option<Vec<u8>>> {
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
        if at + BLOCK + size > end {
            return Ok(None);
        }
        let mut json = vec![0; usize::try_from(size).map_err(std::io::Error::other)?];
        file.read_exact(&mut json)?;
        return Ok(Some(json));
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
