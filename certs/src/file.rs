//! Private files: created once with mode 0600 and on disk before they count, refused when others can read them.

use crate::CertsError;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// No private file of ours is larger; a path to something else ends here instead of in memory.
const LARGEST: usize = 64 * 1024;

/// Writes a new private file (0600) and syncs it and its folder. An existing file is an error, never overwritten.
pub(crate) fn create(path: &Path, text: &[u8]) -> Result<(), CertsError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text)?;
        file.sync_all()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CertsError::Exists { path: path.to_owned() },
        _ => CertsError::File { act: "create", path: path.to_owned(), source },
    })
}

/// Reads a private file that only its owner can read.
///
/// # Errors
/// [`CertsError::Exposed`] if others can, [`CertsError::File`] if it cannot be read.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, CertsError> {
    let failed = |source| CertsError::File { act: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // The mode is asked of the open file, so that nobody can swap the path in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CertsError::Exposed { path: path.to_owned(), mode });
    }
    read_to_end(file).map_err(failed)
}

/// Reads a file whose protection is systemd's: the mode of a credential shows its access list, not its owner.
pub(crate) fn read_credential(path: &Path) -> Result<Zeroizing<String>, CertsError> {
    let failed = |source| CertsError::File { act: "read", path: path.to_owned(), source };
    File::open(path).and_then(read_to_end).map_err(failed)
}

fn read_to_end(file: File) -> io::Result<Zeroizing<String>> {
    // Room for all of it: a text that grows leaves its old content behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(LARGEST));
    file.take(LARGEST as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes an SSH key pair: the private key with 0600, and its public half beside it, its name with `.pub` behind it.
pub(crate) fn create_key(path: &Path, key: &PrivateKey) -> Result<(), CertsError> {
    let make = |source| CertsError::Make { what: "key file", source };
    let public = format!("{}\n", key.public_key().to_openssh().map_err(make)?);
    create(path, key.to_openssh(LineEnding::LF).map_err(make)?.as_bytes())?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    // The public half only repeats the private key: what a lost key left behind is replaced.
    fs::write(&beside, public).map_err(|source| CertsError::File { act: "create", path: beside.into(), source })
}

/// Reads an SSH private key that needs no passphrase.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKey, CertsError> {
    let text = read_private(path)?;
    let key = PrivateKey::from_openssh(text.as_bytes())
        .map_err(|source| CertsError::PrivateKey { path: path.to_owned(), source })?;
    if key.is_encrypted() { Err(CertsError::Passphrase { path: path.to_owned() }) } else { Ok(key) }
}

/// Makes an authority's Ed25519 key at `path`, as [`create_key`] does.
pub(crate) fn create_authority(path: &Path, comment: &str) -> Result<PrivateKey, CertsError> {
    let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)
        .map_err(|source| CertsError::Make { what: "certificate authority's key", source })?;
    key.set_comment(comment);
    create_key(path, &key)?;
    Ok(key)
}

/// Reads an authority's key, which has to be an Ed25519 one.
pub(crate) fn read_authority(path: &Path) -> Result<PrivateKey, CertsError> {
    let key = read_key(path)?;
    match key.algorithm() {
        Algorithm::Ed25519 => Ok(key),
        other => {
            let found = other.to_string();
            Err(CertsError::KeyType { path: path.to_owned(), found, wanted: "ssh-ed25519" })
        }
    }
}
