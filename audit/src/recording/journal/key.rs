//! The key of one recording.

use super::KEY;
use crate::error::RecordingError;
use crate::keys::{Identities, Recipients};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the members' keys are derived with; the digit is the version of the journal.
const SALT: &[u8] = b"sekimori journal 1";

/// The key of one recording's journal. Clones are the same key; the last one to go wipes it.
#[derive(Clone)]
pub struct SessionKey(Arc<Zeroizing<[u8; 32]>>);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SessionKey")
    }
}

impl From<[u8; 32]> for SessionKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl SessionKey {
    /// A key that nobody has.
    pub(crate) fn make() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(std::io::Error::other)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// It as an age file, for the recording's folder.
    pub(crate) fn sealed(&self, recipients: &Recipients) -> std::io::Result<Vec<u8>> {
        let mut sealed = Vec::new();
        let mut out = recipients.seal(&mut sealed)?;
        out.write_all(self.bytes())?;
        out.finish()?;
        Ok(sealed)
    }

    /// Opens the one in a recording's folder.
    pub(crate) fn of_folder(folder: &Path, identities: &Identities) -> Result<Self, RecordingError> {
        let path = folder.join(KEY);
        let file = File::open(&path).map_err(RecordingError::storage("open", &path))?;
        Self::opened(file, &path, identities)
    }

    /// Opens one; `path` is for messages.
    pub(crate) fn opened(
        sealed: impl Read + Send + 'static,
        path: &Path,
        identities: &Identities,
    ) -> Result<Self, RecordingError> {
        let damaged = |reason: String| RecordingError::Damaged { path: path.to_owned(), format: "session key", reason };
        let mut bytes = Zeroizing::new([0; 32]);
        let mut open = identities.open(sealed, path)?;
        open.read_exact(bytes.as_mut_slice()).map_err(|fault| damaged(fault.to_string()))?;
        if open.read(&mut [0]).map_err(|fault| damaged(fault.to_string()))? > 0 {
            return Err(damaged("it has more than 32 bytes".to_owned()));
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// The key of one member.
    pub(super) fn of_member(&self, name: &str) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
        let derived = Salt::new(HKDF_SHA256, SALT).extract(self.bytes());
        let info = [name.as_bytes()];
        let key: UnboundKey = derived.expand(&info, &AES_256_GCM)?.into();
        Ok(LessSafeKey::new(key))
    }
}
