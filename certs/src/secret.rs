//! Secrets at rest: the master key, and values sealed with it for one place in the database.
//!
//! Sealed form, format 1: `01 ‖ salt (32 random bytes) ‖ AES-256-GCM ciphertext ‖ tag (16)`. Key and nonce of each
//! value come from HKDF-SHA256 (RFC 5869) over the master key with that salt, so that no nonce can repeat under a key
//! however many values there are. The associated data are the format byte and the context, so that a value moved to
//! another row does not open.

mod recovery;

use crate::{CertsError, file};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const SALT: usize = 32;
const TAG: usize = 16;
/// The name of the master key among systemd's credentials.
const CREDENTIAL: &str = "master.key";
/// First line of the master key's file.
const FILE_HEAD: &str = "sekimori master key, format 1";

/// The key that seals all secrets. It lives outside the database, is erased from memory, and is never printed by
/// `Debug`.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Makes a new key and writes it to `path` (0600).
    ///
    /// # Errors
    /// The file exists already or cannot be written; the system gives no randomness.
    pub fn create(path: &Path) -> Result<Self, CertsError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| CertsError::Crypto("make a master key"))?;
        let key = Self(bytes);
        key.save(path)?;
        Ok(key)
    }

    /// A key that opens nothing, and that is gone with the process: for reading what is not sealed.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn nobodys() -> Result<Self, CertsError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| CertsError::Crypto("make a key"))?;
        Ok(Self(bytes))
    }

    /// Writes the key to a new file (0600), as after its recovery from the sheet.
    ///
    /// # Errors
    /// The file exists already or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CertsError> {
        let lines = self.to_recovery_lines();
        // Room for all of it: a text that grows leaves its old content behind in freed memory.
        let room = lines.iter().fold(FILE_HEAD.len() + 1, |room, line| room + line.len() + 1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(FILE_HEAD);
        text.push('\n');
        for line in lines.iter() {
            text.push_str(line);
            text.push('\n');
        }
        file::create(path, text.as_bytes())
    }

    /// Reads the key: from `master.key` in `credentials` (systemd's `$CREDENTIALS_DIRECTORY`) if it is there, else from
    /// `path`. The file's mode must be 0600; a credential is protected by systemd.
    ///
    /// # Errors
    /// The file is missing, readable by others, or no master key file.
    pub fn load(path: &Path, credentials: Option<&Path>) -> Result<Self, CertsError> {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|file| file.exists());
        let (path, text) = match &credential {
            Some(file) => (file.as_path(), file::read_credential(file)?),
            None => (path, file::read_private(path)?),
        };
        let broken = |source| CertsError::MasterKeyFile { path: path.to_owned(), source: Box::new(source) };
        let lines = text.strip_prefix(FILE_HEAD).ok_or_else(|| broken(CertsError::RecoveryLength { found: 0 }))?;
        Self::from_recovery_lines(lines).map_err(broken)
    }

    /// The key as four lines of letters and digits, for the recovery sheet: `7K3M-Q0ZT-…`. Each line carries a checksum.
    #[must_use]
    pub fn to_recovery_lines(&self) -> Zeroizing<Vec<String>> {
        recovery::lines(&self.0)
    }

    /// The key from the four lines of the recovery sheet, as typed: small letters, spaces for hyphens, and the look-alikes
    /// O, I and L for 0 and 1 are understood.
    ///
    /// # Errors
    /// There are not four lines, or a line does not fit its checksum: the error says which.
    pub fn from_recovery_lines(text: &str) -> Result<Self, CertsError> {
        recovery::key(text).map(Self)
    }

    /// What tells this key from another without telling the key: 16 hexadecimal digits, derived with HKDF.
    ///
    /// # Errors
    /// The crypto library fails.
    pub fn fingerprint(&self) -> Result<String, CertsError> {
        let mut print = [0; 8];
        self.derive(b"", b"sekimori master key fingerprint", &mut print)?;
        Ok(print.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Seals `plaintext` for the place that `context` names, such as `device/ct-01/service`.
    ///
    /// # Errors
    /// The system gives no randomness, or the crypto library fails.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, CertsError> {
        const FAILED: CertsError = CertsError::Crypto("seal a secret");
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| FAILED)?;
        let (key, nonce) = self.record_key(&salt)?;
        // Reserved at once: a vector that grows leaves its old content behind in freed memory.
        let mut sealed = Vec::with_capacity(1 + SALT + plaintext.len() + TAG);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(plaintext);
        let body = sealed.get_mut(1 + SALT..).ok_or(FAILED)?;
        let tag = key.seal_in_place_separate_tag(nonce, associated(context), body).map_err(|_| FAILED)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`MasterKey::seal`] sealed for the same `context`.
    ///
    /// # Errors
    /// The format is unknown; or the value is damaged, or was sealed for another place or under another key (which
    /// cannot be told apart here: compare [`MasterKey::fingerprint`]).
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CertsError> {
        let damaged = || CertsError::Sealed { context: context.to_owned() };
        let (format, rest) = sealed.split_first().ok_or_else(damaged)?;
        if *format != FORMAT {
            return Err(CertsError::SealFormat { context: context.to_owned() });
        }
        let (salt, body) = rest.split_at_checked(SALT).ok_or_else(damaged)?;
        let (key, nonce) = self.record_key(salt)?;
        let mut plaintext = Zeroizing::new(body.to_vec());
        let length =
            key.open_in_place(nonce, associated(context), plaintext.as_mut_slice()).map_err(|_| damaged())?.len();
        plaintext.truncate(length);
        Ok(plaintext)
    }

    fn record_key(&self, salt: &[u8]) -> Result<(LessSafeKey, Nonce), CertsError> {
        const FAILED: CertsError = CertsError::Crypto("derive a key");
        let mut derived = Zeroizing::new([0; 32 + 12]);
        self.derive(salt, b"sekimori sealed secret 1", derived.as_mut_slice())?;
        let (key, nonce) = derived.split_at_checked(32).ok_or(FAILED)?;
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| FAILED)?;
        Ok((LessSafeKey::new(key), Nonce::try_assume_unique_for_key(nonce).map_err(|_| FAILED)?))
    }

    fn derive(&self, salt: &[u8], purpose: &[u8], out: &mut [u8]) -> Result<(), CertsError> {
        let prk = Salt::new(HKDF_SHA256, salt).extract(self.0.as_slice());
        let filled = prk.expand(&[purpose], Length(out.len())).and_then(|material| material.fill(out));
        filled.map_err(|_| CertsError::Crypto("derive a key"))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

/// How many bytes HKDF is to give.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn associated(context: &str) -> Aad<Vec<u8>> {
    let mut data = vec![FORMAT];
    data.extend_from_slice(context.as_bytes());
    Aad::from(data)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn key() -> MasterKey {
        MasterKey(Zeroizing::new(std::array::from_fn(|index| u8::try_from(index).unwrap())))
    }

    #[test]
    fn a_value_opens_only_in_its_place_and_under_its_key() {
        let sealed = key().seal("device/ct-01/service", b"hunter2hunter2").unwrap();
        assert_eq!(key().open("device/ct-01/service", &sealed).unwrap().as_slice(), b"hunter2hunter2");
        assert!(matches!(key().open("device/ct-02/service", &sealed), Err(CertsError::Sealed { .. })));
        let other = MasterKey(Zeroizing::new([7; 32]));
        assert!(matches!(other.open("device/ct-01/service", &sealed), Err(CertsError::Sealed { .. })));
        assert_ne!(other.fingerprint().unwrap(), key().fingerprint().unwrap());
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        let sealed = key().seal("x", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(key().open("x", &changed).is_err(), "byte {index}");
            assert!(key().open("x", &sealed[..index]).is_err(), "length {index}");
        }
        let mut later = sealed;
        later[0] = 2;
        assert!(matches!(key().open("x", &later), Err(CertsError::SealFormat { .. })));
    }

    #[test]
    fn the_same_value_is_never_sealed_alike_nor_shown() {
        let (one, two) = (key().seal("x", b"secret").unwrap(), key().seal("x", b"secret").unwrap());
        assert_ne!(one[..1 + SALT], two[..1 + SALT]);
        assert_ne!(one[1 + SALT..], two[1 + SALT..]);
        assert!(!one.windows(6).any(|window| window == b"secret"));
        assert_eq!(format!("{:?}", key()), "MasterKey(hidden)");
    }

    /// The golden file was written by another implementation (Python's hashlib and `cryptography`).
    #[test]
    fn format_1_is_read_forever() {
        let golden = include_str!("../tests/golden/sealed-1.txt");
        let field = |name: &str| {
            golden.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim_start_matches(": ").to_owned()
        };
        let sealed = field("sealed");
        let sealed: Vec<u8> =
            (0..sealed.len() / 2).map(|at| u8::from_str_radix(&sealed[2 * at..2 * at + 2], 16).unwrap()).collect();
        let text: String = (1..=4).map(|line| field(&format!("line {line}")) + "\n").collect();
        let key = MasterKey::from_recovery_lines(&text).unwrap();
        assert_eq!(key.fingerprint().unwrap(), field("fingerprint"));
        assert_eq!(key.open(&field("context"), &sealed).unwrap().as_slice(), field("plaintext").as_bytes());
        assert_eq!(key.to_recovery_lines().join("\n") + "\n", text);
    }

    #[test]
    fn the_file_is_private_and_the_credential_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(matches!(MasterKey::create(&path), Err(CertsError::Exists { .. })));
        assert_eq!(MasterKey::load(&path, None).unwrap().0, made.0);

        let credentials = tempfile::tempdir().unwrap();
        assert_eq!(MasterKey::load(&path, Some(credentials.path())).unwrap().0, made.0);
        let other = MasterKey::create(&credentials.path().join("master.key")).unwrap();
        assert_eq!(MasterKey::load(&path, Some(credentials.path())).unwrap().0, other.0);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(MasterKey::load(&path, None), Err(CertsError::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn a_damaged_file_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let damaged = lines[3].replace(lines[3].chars().next().unwrap(), "%");
        lines[3] = &damaged;
        fs::write(&path, lines.join("\n")).unwrap();
        let error = MasterKey::load(&path, None).unwrap_err().to_string();
        assert!(error.contains("line 3 of 4") && error.contains("recovery sheet"), "{error}");
        fs::write(&path, "something else").unwrap();
        assert!(matches!(MasterKey::load(&path, None), Err(CertsError::MasterKeyFile { .. })));
    }

    proptest! {
        #[test]
        fn any_value_comes_back_and_any_bytes_are_refused(context in ".*", value: Vec<u8>, noise: Vec<u8>) {
            let sealed = key().seal(&context, &value).unwrap();
            let opened = key().open(&context, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
            prop_assert!(key().open(&context, &noise).is_err());
        }
    }
}
