//! Where a recording is read from: the working folder of a session that is live or not sealed yet, or a sealed tar that
//! an identity opens. Readers see the same members either way.

use super::sealed::{Opened, Piecewise};
use crate::error::RecordingError;
use crate::keys::Identities;
use crate::recording::sealed::screen::Snapshot;
use crate::recording::{names_in, sealed_path};
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
    Folder(PathBuf),
    Sealed(Arc<Opened>),
}

impl From<&Path> for Source {
    fn from(folder: &Path) -> Self {
        Self(Kind::Folder(folder.to_owned()))
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

    /// The recording whose working folder is, or was, `folder`: sealed if it was sealed. `unlock` is asked for what opens
    /// it only then.
    ///
    /// # Errors
    /// As [`Source::sealed`], or what `unlock` says.
    pub fn of<E: From<RecordingError>>(
        folder: &Path,
        unlock: impl FnOnce() -> Result<Identities, E>,
    ) -> Result<Self, E> {
        let tar = sealed_path(folder);
        if tar.exists() { Ok(Self::sealed(&tar, unlock()?)?) } else { Ok(Self::from(folder)) }
    }

    /// The folder or the tar.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.0 {
            Kind::Folder(folder) => folder,
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
            Kind::Folder(folder) => names_in(folder),
            Kind::Sealed(opened) => Ok(opened.index.members.iter().map(|member| member.name.clone()).collect()),
        }
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Folder(folder) => folder.join(name).exists(),
            Kind::Sealed(opened) => opened.member(name).is_some(),
        }
    }

    /// A member's bytes: how many.
    pub(super) fn size(&self, name: &str) -> Result<u64, RecordingError> {
        match &self.0 {
            Kind::Folder(folder) => {
                let path = folder.join(name);
                Ok(std::fs::metadata(&path).map_err(RecordingError::storage("look at", &path))?.len())
            }
            Kind::Sealed(opened) => Ok(opened.known(name)?.size),
        }
    }

    /// A member's bytes. In a folder they may become more while they are read.
    pub(super) fn open(&self, name: &str) -> Result<MemberBytes, RecordingError> {
        match &self.0 {
            Kind::Folder(folder) => {
                let path = folder.join(name);
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
