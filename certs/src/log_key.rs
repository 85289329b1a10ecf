//! The seeds of the signing keys of the transparency log, and of a witness of others' logs: a private file each, numbered in the order of their introduction.
//!
//! A file holds the log's name and 32 bytes; what is signed with them is the log's own affair.

use crate::{CertsError, file};
use aws_lc_rs::rand;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First line of such a file.
const FILE_HEAD: &str = "sekimori log key, format 1";

/// The file of a witness's key.
const WITNESS: &str = "witness.key";

/// One key of the log, or of a witness.
pub struct LogKey {
    /// The log's name, which every key of it bears.
    pub name: String,
    /// The 32 bytes that an Ed25519 key is made from.
    pub seed: Zeroizing<Vec<u8>>,
}

impl LogKey {
    /// Makes a log's key and writes it into `folder` (0600), as the `number`-th, counted from 1.
    ///
    /// # Errors
    /// The file exists already or cannot be written; the system gives no randomness.
    pub fn create(folder: &Path, number: u32, name: &str) -> Result<Self, CertsError> {
        Self::make(&path(folder, number), name)
    }

    /// Makes the key of a witness of this name, and writes it into the witness's folder (0600).
    ///
    /// # Errors
    /// As [`LogKey::create`].
    pub fn create_witness(folder: &Path, name: &str) -> Result<Self, CertsError> {
        Self::make(&folder.join(WITNESS), name)
    }

    /// Reads the key of a witness; `None` if there is none.
    ///
    /// # Errors
    /// As [`LogKey::load_all`].
    pub fn load_witness(folder: &Path) -> Result<Option<Self>, CertsError> {
        let path = folder.join(WITNESS);
        if path.exists() { Self::load(&path).map(Some) } else { Ok(None) }
    }

    fn make(path: &Path, name: &str) -> Result<Self, CertsError> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        rand::fill(&mut seed).map_err(|_| CertsError::Crypto("make a log key"))?;
        let digits = Zeroizing::new(seed.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let text = Zeroizing::new(format!("{FILE_HEAD}\n{name}\n{}\n", *digits));
        file::create(path, text.as_bytes())?;
        Ok(Self { name: name.to_owned(), seed })
    }

    /// Reads all keys in `folder`, in their order; none if there is no first.
    ///
    /// # Errors
    /// A file is readable by others, or holds no such key.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, CertsError> {
        let paths = (1..).map(|number| path(folder, number)).take_while(|path| path.exists());
        paths.map(|path| Self::load(&path)).collect()
    }

    fn load(path: &Path) -> Result<Self, CertsError> {
        let text = file::read_private(path)?;
        let parsed = (|| {
            let (name, digits) =
                text.strip_prefix(FILE_HEAD)?.strip_prefix('\n')?.strip_suffix('\n')?.split_once('\n')?;
            let pairs = digits
                .as_bytes()
                .chunks_exact(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            let seed = Zeroizing::new(pairs.collect::<Option<Vec<_>>>()?);
            (digits.len() == 64).then(|| Self { name: name.to_owned(), seed })
        })();
        parsed.ok_or_else(|| CertsError::LogKeyFile { path: path.to_owned() })
    }
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("log-{number:04}.key"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::{CertsError, LogKey};

    #[test]
    fn keys_are_read_as_they_were_made_and_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LogKey::load_all(folder.path()).unwrap().is_empty());
        let made = LogKey::create(folder.path(), 1, "gate.example.jp/log").unwrap();
        let read = LogKey::load_all(folder.path()).unwrap();
        assert_eq!((read.len(), &read[0].name, &read[0].seed), (1, &made.name, &made.seed));
        assert!(matches!(LogKey::create(folder.path(), 1, "x"), Err(CertsError::Exists { .. })));
        let second = folder.path().join("log-0002.key");
        std::fs::write(&second, "sekimori log key, format 1\nname\n00\n").unwrap();
        assert!(matches!(LogKey::load_all(folder.path()), Err(CertsError::Exposed { .. })));
        std::fs::set_permissions(&second, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(LogKey::load_all(folder.path()), Err(CertsError::LogKeyFile { .. })));
    }
}
