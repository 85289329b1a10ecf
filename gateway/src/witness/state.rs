//! What a witness keeps: its key, and for each log the last checkpoint that it cosigned.

use anyhow::Context as _;
use chrono::Utc;
use sekimori_audit::log::witness::{Answer, Watched, decide};
use sekimori_audit::log::{Checkpoint, LogKeys, Note, Role, SigningKey, VerifierKey, put_durably, sha256};
use sekimori_certs::log_key::LogKey;
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A witness's folder.
pub(super) struct State {
    folder: PathBuf,
    keys: Vec<PathBuf>,
    key: SigningKey,
}

impl State {
    /// Opens the folder; the first time it is made, with a key of this name.
    pub(super) fn open(folder: &Path, keys: Vec<PathBuf>, name: &str) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
        let key = match LogKey::load_witness(folder)? {
            Some(key) => key,
            None => LogKey::create_witness(folder, name)?,
        };
        let key = SigningKey::from_seed(&key.name, Role::Witness, &key.seed)?;
        let state = Self { folder: folder.to_owned(), keys, key };
        // Now, and not with the first request: a file with a typing error would look like a log that is unknown.
        for path in &state.keys {
            LogKeys::read(path)?;
        }
        Ok(state)
    }

    /// The key as logs and verifiers know it.
    pub(super) fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Answers a request; what it cosigns is on the disk before this returns. Two at once wait for each other.
    pub(super) fn judge(&self, body: &[u8]) -> anyhow::Result<Answer> {
        let lock = File::open(&self.folder).with_context(|| format!("cannot open {}", self.folder.display()))?;
        lock.lock()?;
        let mut fault = None;
        let watched = |origin: &str| {
            self.watched(origin).unwrap_or_else(|why| {
                fault = Some(why);
                None
            })
        };
        let now = u64::try_from(Utc::now().timestamp())?;
        let answer = decide(body, watched, &self.key, now);
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(keep) = &answer.keep {
            put_durably(&self.folder, &file_of(&keep.origin), keep.note.as_bytes())?;
        }
        Ok(answer)
    }

    /// A log that somebody handed us keys of. A file that is there and cannot be read is no log that is new.
    fn watched(&self, origin: &str) -> anyhow::Result<Option<Watched>> {
        let mut keys = Vec::new();
        for path in &self.keys {
            let read = LogKeys::read(path)?;
            if read.origin() == origin {
                keys = read.log().to_vec();
            }
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let path = self.folder.join(file_of(origin));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Some(Watched { keys, latest: None }));
            }
            Err(fault) => return Err(fault).with_context(|| format!("cannot read {}", path.display())),
        };
        // Witnesses of before kept every line of a request, whoever had put it there: such lines count for nothing. What
        // counts is a cosignature of our own; without one nothing says that this is how far the log was.
        let damaged = || format!("{} is damaged", path.display());
        let note = Note::sifted(&bytes, keys.iter().chain([self.key.verifier()])).with_context(damaged)?;
        let latest = Checkpoint::parse_text(note.text()).with_context(damaged)?;
        anyhow::ensure!(latest.origin == origin, "{} is of another log", path.display());
        anyhow::ensure!(
            note.verify([self.key.verifier()]).is_ok(),
            "{} was not cosigned by this witness: put back the file, or the key, that belongs to it; without the file \
             the witness believes the next checkpoint of the log, however short",
            path.display()
        );
        keys.drain(..in_force(&keys, &note));
        Ok(Some(Watched { keys, latest: Some(latest) }))
    }
}

/// The place of the newest key that signed: those before it were retired, and speak for the log no more.
fn in_force(keys: &[VerifierKey], latest: &Note) -> usize {
    keys.iter().rposition(|key| latest.verify([key]).is_ok()).unwrap_or(0)
}

/// The file of a log: its name may hold what no file's can.
fn file_of(origin: &str) -> String {
    let digest = sha256(origin.as_bytes()).hex();
    format!("{}.checkpoint", digest.get(..32).unwrap_or(&digest))
}
