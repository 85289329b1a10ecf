//! Who can open recordings: the audit office, and whoever holds the recovery key from the safe.
//!
//! The gateway holds their public halves only ([`Recipients`], an age recipients file): it can seal and cannot open. The
//! office's secret half lies in one file for each auditor, each under a passphrase of its own, in the format that the
//! stock `age` reads as an identity. An auditor is added or removed by writing or deleting such a file; no recording is
//! touched. The recovery key's secret half is on paper only.
//!
//! The format is age v1 (<https://c2sp.org/age>) with X25519 recipients.

use crate::error::RecordingError;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret, SecretString};
use age::{Decryptor, Encryptor, scrypt, x25519};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The work that guessing a passphrase takes, as scrypt's log2(N), where nobody says otherwise: 64 MiB and some tenths
/// of a second for each guess.
pub const WORK: u8 = 16;
/// The most work that is done to open a file: a foreign one must not occupy the machine.
const MOST_WORK: u8 = 20;
/// More than an identity file takes.
const MOST_IDENTITY_BYTES: u64 = 64 * 1024;
/// What a passphrase is made of: no letter looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// Whom recordings are sealed to.
#[derive(Clone)]
pub struct Recipients {
    office: x25519::Recipient,
    recovery: x25519::Recipient,
}

/// What opens recordings.
#[derive(Clone)]
pub struct Identities(Vec<x25519::Identity>);

/// Two keys that were just made.
pub struct Made {
    /// Their public halves.
    pub recipients: Recipients,
    /// The audit office's secret half.
    pub office: Identities,
    /// The recovery key's secret half: for paper only.
    pub recovery: Identities,
}

/// Makes the office's and the recovery key.
#[must_use]
pub fn make() -> Made {
    let (office, recovery) = (x25519::Identity::generate(), x25519::Identity::generate());
    let recipients = Recipients { office: office.to_public(), recovery: recovery.to_public() };
    Made { recipients, office: Identities(vec![office]), recovery: Identities(vec![recovery]) }
}

/// A passphrase that cannot be guessed: six groups of four characters, 120 bits.
///
/// # Errors
/// [`RecordingError::Keys`] if the system gives no randomness.
pub fn passphrase() -> Result<Zeroizing<String>, RecordingError> {
    let mut random = Zeroizing::new([0; 24]);
    aws_lc_rs::rand::fill(random.as_mut_slice())
        .map_err(|_| unusable(Path::new("the system's randomness"), "it gave none; try again"))?;
    let mut text = Zeroizing::new(String::with_capacity(32));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        // 256 is a multiple of 32: each letter is as likely.
        text.push(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'a').into());
    }
    Ok(text)
}

impl Recipients {
    /// Reads the file that [`Recipients::write`] made.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], or [`RecordingError::Keys`] if there are not the two of them.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let text = std::fs::read_to_string(path).map_err(RecordingError::storage("read", path))?;
        let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = keys.map(str::parse).collect::<Result<Vec<x25519::Recipient>, _>>();
        match keys.map_err(|fault| unusable(path, fault))?.as_slice() {
            [office, recovery] if office != recovery => Ok(Self { office: office.clone(), recovery: recovery.clone() }),
            _ => Err(unusable(path, "it must hold two keys, the office's and then the recovery key")),
        }
    }

    /// Writes them as a new file that `age -R` reads as well.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], also when the file exists.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let text = format!(
            "# Recordings are sealed to these. The audit office:\n{}\n# The recovery key, whose other half is in the \
             safe:\n{}\n",
            self.office, self.recovery
        );
        write_new(path, text.as_bytes())
    }

    /// The office's public key, as text.
    #[must_use]
    pub fn office(&self) -> String {
        self.office.to_string()
    }

    /// The recovery key's public half, as text.
    #[must_use]
    pub fn recovery(&self) -> String {
        self.recovery.to_string()
    }

    /// Begins an age file: what is written to the result is sealed. Call its `finish`, or the file cannot be opened.
    ///
    /// # Errors
    /// What `out` says to the header.
    pub fn seal<W: Write>(&self, out: W) -> std::io::Result<age::stream::StreamWriter<W>> {
        let recipients: [&dyn age::Recipient; 2] = [&self.office, &self.recovery];
        Encryptor::with_recipients(recipients.into_iter()).map_err(std::io::Error::other)?.wrap_output(out)
    }

    /// The same for what only the key from the safe opens.
    ///
    /// # Errors
    /// What `out` says to the header.
    pub fn seal_to_recovery<W: Write>(&self, out: W) -> std::io::Result<age::stream::StreamWriter<W>> {
        let recipient = std::iter::once(&self.recovery as &dyn age::Recipient);
        Encryptor::with_recipients(recipient).map_err(std::io::Error::other)?.wrap_output(out)
    }
}

impl Identities {
    /// Reads an identity file: `AGE-SECRET-KEY-1…` lines, in clear or inside an age file under a passphrase, which is
    /// asked for only then.
    ///
    /// # Errors
    /// [`RecordingError::Storage`]; [`RecordingError::Keys`] if it is no identity file or the passphrase is another.
    pub fn read<E: From<RecordingError>>(
        path: &Path,
        ask: impl FnOnce() -> Result<Zeroizing<String>, E>,
    ) -> Result<Self, E> {
        let file = File::open(path).map_err(RecordingError::storage("open", path))?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MOST_IDENTITY_BYTES).read_to_end(&mut bytes).map_err(RecordingError::storage("read", path))?;
        if let Some(identities) = parse(&bytes) {
            return Ok(identities);
        }
        let sealed = Decryptor::new(ArmoredReader::new(BufReader::new(bytes.as_slice())));
        let sealed = sealed.map_err(|fault| unusable(path, &format!("it is no identity file: {fault}")))?;
        let mut identity = scrypt::Identity::new(SecretString::from(ask()?.as_str().to_owned()));
        identity.set_max_work_factor(MOST_WORK);
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        let opened = sealed.decrypt(std::iter::once(&identity as &dyn age::Identity));
        let mut opened =
            opened.map_err(|fault| unusable(path, &format!("the passphrase does not open it: {fault}")))?;
        opened.read_to_end(&mut text).map_err(|fault| unusable(path, &fault.to_string()))?;
        parse(&text).ok_or_else(|| unusable(path, "what it holds is no identity").into())
    }

    /// Writes them as a new file under a passphrase, armored: `age -d -i FILE` opens recordings with it.
    ///
    /// # Errors
    /// [`RecordingError::Storage`], also when the file exists.
    pub fn write(&self, path: &Path, passphrase: &str, work: u8) -> Result<(), RecordingError> {
        let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
        recipient.set_work_factor(work.clamp(1, MOST_WORK));
        let mut bytes = Vec::new();
        let sealed = (|| {
            let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient));
            let armor = ArmoredWriter::wrap_output(&mut bytes, Format::AsciiArmor)?;
            let mut out = encryptor.map_err(std::io::Error::other)?.wrap_output(armor)?;
            out.write_all(self.to_text().as_bytes())?;
            out.finish()?.finish().map(|_| ())
        })();
        sealed.map_err(RecordingError::storage("seal", path))?;
        write_new(path, &bytes)
    }

    /// The secret keys, a line each: for paper.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * 80));
        for identity in &self.0 {
            text.push_str(identity.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    /// Whether these open what is sealed to `recipients`.
    #[must_use]
    pub fn open_what_is_sealed_to(&self, recipients: &Recipients) -> bool {
        self.0.iter().any(|identity| {
            let public = identity.to_public();
            public == recipients.office || public == recipients.recovery
        })
    }

    /// Opens an age file.
    ///
    /// # Errors
    /// [`RecordingError::Locked`] if it was sealed to others, [`RecordingError::Damaged`] if it is none.
    pub fn open<R: Read>(&self, sealed: R, path: &Path) -> Result<age::stream::StreamReader<R>, RecordingError> {
        let damaged = |fault: age::DecryptError| match fault {
            age::DecryptError::NoMatchingKeys => RecordingError::Locked { path: path.to_owned() },
            fault => RecordingError::Damaged { path: path.to_owned(), format: "age file", reason: fault.to_string() },
        };
        let decryptor = Decryptor::new(sealed).map_err(damaged)?;
        decryptor.decrypt(self.0.iter().map(|identity| identity as &dyn age::Identity)).map_err(damaged)
    }
}

/// The secret keys of a text that holds nothing else but comments.
fn parse(bytes: &[u8]) -> Option<Identities> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities = lines.map(str::parse).collect::<Result<Vec<x25519::Identity>, _>>().ok()?;
    (!identities.is_empty()).then_some(Identities(identities))
}

/// A new file for its owner only, on the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), RecordingError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(RecordingError::storage("write", path))
}

fn unusable(path: &Path, reason: &str) -> RecordingError {
    RecordingError::Keys { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn opened(identities: &Identities, sealed: &[u8]) -> Result<Vec<u8>, RecordingError> {
        let mut plain = Vec::new();
        identities.open(sealed, Path::new("sealed"))?.read_to_end(&mut plain).unwrap();
        Ok(plain)
    }

    #[test]
    fn both_keys_open_and_no_other() {
        let made = make();
        let mut sealed = Vec::new();
        let mut out = made.recipients.seal(&mut sealed).unwrap();
        out.write_all(b"evidence").unwrap();
        out.finish().unwrap();
        assert_eq!(opened(&made.office, &sealed).unwrap(), b"evidence");
        assert_eq!(opened(&made.recovery, &sealed).unwrap(), b"evidence");
        assert!(matches!(opened(&make().office, &sealed), Err(RecordingError::Locked { .. })));
    }

    #[test]
    fn an_identity_lies_under_its_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("office.age");
        let made = make();
        made.office.write(&path, "right", 2).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !text.contains("AGE-SECRET-KEY"), "{text}");
        let read = |passphrase: &str| {
            let passphrase = Zeroizing::new(passphrase.to_owned());
            Identities::read(&path, || Ok::<_, RecordingError>(passphrase))
        };
        assert!(read("right").unwrap().open_what_is_sealed_to(&made.recipients));
        assert!(matches!(read("wrong").err().unwrap(), RecordingError::Keys { .. }));
        assert!(made.office.write(&path, "other", 2).is_err(), "an identity is not written over");
    }

    #[test]
    fn recipients_are_two_different_keys_in_a_file_that_age_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipients");
        let made = make();
        made.recipients.write(&path).unwrap();
        assert_eq!(Recipients::read(&path).unwrap().office(), made.recipients.office());
        let twice = format!("{0}\n{0}\n", made.recipients.office());
        std::fs::write(&path, twice).unwrap();
        assert!(matches!(Recipients::read(&path), Err(RecordingError::Keys { .. })));
    }

    #[test]
    fn passphrases_are_long_and_never_the_same() {
        let (one, other) = (passphrase().unwrap(), passphrase().unwrap());
        assert_eq!(one.len(), 29);
        assert_ne!(one, other);
    }
}
