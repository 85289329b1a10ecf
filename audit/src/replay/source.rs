//! Where a recording is read from: the working folder of a session that is live or not sealed yet, a folder in clear, or
//! a sealed tar that an identity opens. Readers see the same members each way.

use super::sealed::{Opened, Piecewise};
use crate::error::RecordingError;
use crate::keys::Identities;
use crate::recording::journal::{self, JournalReader, KEY};
use crate::recording::sealed::screen::Snapshot;
use crate::recording::{Recording, SessionKey, members_in, sealed_path};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A member's bytes, read from its beginning or from one of its pieces on.
pub type MemberBytes = Box<dyn Read + Send>;

/// A recording's members.
#[derive(Debug, Clone)]
pub struct Source(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Folder(PathBuf, Option<SessionKey>),
    Sealed(Arc<Opened>),
}

/// A folder whose members stand in clear, as an export unpacks to.
impl From<&Path> for Source {
    fn from(folder: &Path) -> Self {
        Self(Kind::Folder(folder.to_owned(), None))
    }
}

/// A recording of this process.
impl From<&Recording> for Source {
    fn from(recording: &Recording) -> Self {
        Self::working(recording.folder(), recording.key().clone())
    }
}

impl From<&PathBuf> for Source {
    fn from(folder: &PathBuf) -> Self {
        Self::from(folder.as_path())
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

impl Source {
    /// A sealed recording. Nothing is opened yet but its index.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if there is no index.
    pub fn sealed(tar: &Path, identities: Identities) -> Result<Self, RecordingError> {
        Ok(Self(Kind::Sealed(Arc::new(Opened::new(tar, identities)?))))
    }

    /// The recording in a working folder, with the key of its journal.
    #[must_use]
    pub fn working(folder: &Path, key: SessionKey) -> Self {
        Self(Kind::Folder(folder.to_owned(), Some(key)))
    }

    /// The recording whose working folder is, or was, `folder`: sealed if it was sealed. `unlock` is asked for what opens
    /// it, unless it stands in clear.
    ///
    /// # Errors
    /// As [`Source::sealed`]; [`RecordingError::Locked`] if it is for others; what `unlock` says.
    pub fn of<E: From<RecordingError>>(
        folder: &Path,
        unlock: impl FnOnce() -> Result<Identities, E>,
    ) -> Result<Self, E> {
        let tar = sealed_path(folder);
        match tar.exists() {
            true => Ok(Self::sealed(&tar, unlock()?)?),
            false if folder.join(KEY).exists() => Ok(Self::working(folder, SessionKey::of_folder(folder, &unlock()?)?)),
            false => Ok(Self::from(folder)),
        }
    }

    /// The folder or the tar.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.0 {
            Kind::Folder(folder, _) => folder,
            Kind::Sealed(opened) => &opened.path,
        }
    }

    /// A member, as messages name it.
    pub(super) fn label(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// All members, in no order.
    pub(super) fn names(&self) -> Result<Vec<String>, RecordingError> {
        match &self.0 {
            Kind::Folder(folder, _) => Ok(members_in(folder)?.into_iter().map(|found| found.name).collect()),
            Kind::Sealed(opened) => Ok(opened.index.members.iter().map(|member| member.name.clone()).collect()),
        }
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Folder(folder, _) => folder.join(name).exists() || journal::path_of(folder, name).exists(),
            Kind::Sealed(opened) => opened.member(name).is_some(),
        }
    }

    /// A member's bytes: how many.
    pub(super) fn size(&self, name: &str) -> Result<u64, RecordingError> {
        match &self.0 {
            Kind::Folder(folder, key) => {
                let (path, journal) = (folder.join(name), journal::path_of(folder, name));
                match key {
                    Some(key) if journal.exists() => journal::size(&journal, name, key),
                    _ if journal.exists() => Err(RecordingError::Locked { path: journal }),
                    _ => Ok(std::fs::metadata(&path).map_err(RecordingError::storage("look at", &path))?.len()),
                }
            }
            Kind::Sealed(opened) => opened.size(name),
        }
    }

    /// A member's bytes. In a folder they may become more while they are read.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] if there is no such member; [`RecordingError::Altered`], [`RecordingError::Damaged`] or
    /// [`RecordingError::Locked`] now or while it is read.
    pub fn open(&self, name: &str) -> Result<MemberBytes, RecordingError> {
        match &self.0 {
            Kind::Folder(folder, key) => {
                let (path, journal) = (folder.join(name), journal::path_of(folder, name));
                if journal.exists() {
                    let key = key.as_ref().ok_or(RecordingError::Locked { path: journal.clone() })?;
                    return Ok(Box::new(JournalReader::open(&journal, name, key)?));
                }
                Ok(Box::new(File::open(&path).map_err(RecordingError::storage("open", &path))?))
            }
            Kind::Sealed(opened) => Ok(Box::new(Piecewise::new(opened, name, 0)?)),
        }
    }

    /// The moments from which a terminal's member can be read without what lies before, its beginning aside.
    pub(super) fn screen_before(&self, name: &str, to: Duration) -> Option<Duration> {
        let Kind::Sealed(opened) = &self.0 else { return None };
        opened.piece_before(name, to).map(|(_, at)| at)
    }

    /// A terminal's bytes from the last of those moments on, with the screen at that moment.
    pub(super) fn open_before(
        &self,
        name: &str,
        to: Duration,
    ) -> Result<Option<(Snapshot, MemberBytes)>, RecordingError> {
        let Kind::Sealed(opened) = &self.0 else { return Ok(None) };
        let Some((piece, _)) = opened.piece_before(name, to) else { return Ok(None) };
        let mut pieces = Piecewise::new(opened, name, piece)?;
        let snapshot = pieces.screen()?;
        Ok(Some((snapshot, Box::new(pieces))))
    }
}
