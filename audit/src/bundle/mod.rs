//! One archive for an outsider: all that the log and the recordings hold of a session, with what it takes to check it
//! without any of our code.
//!
//! | below the session's name | content |
//! |---|---|
//! | `README.txt`, `verify.py` | what to run, in two languages; the script |
//! | `keys`, `checkpoint` | whom to believe, as a file of verifier keys; the state of the log that the proofs are for |
//! | `events/N.leaf`, `events/N.proof` | entry N of the log, and that it stands there (C2SP tlog-proof) |
//! | `events/N.json`, `events/N.salt` | the event and its random bytes, which the leaf is over; not for [`SEGMENT`] |
//! | `recording/` | the files of the sealed recording, as they are stored; leaves of [`SEGMENT`] are over them |
//! | `opened/` | if it was asked for, the members as they were: the event of the session's end names their manifest |
//!
//! Everything is checked before it is written: what is handed over verifies. Whether somebody may have it, and the event
//! that says so, are the caller's.

use crate::error::RecordingError;
use crate::hex;
use crate::log::leaf::{SEALED, SEGMENT};
use crate::log::{COSIGNED, Checkpoint, EntryProof, Hash, Leaf, LogError, LogKeys, Reader, read};
use crate::replay::{Exported, Source, check_sealed, export_below};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::Path;
use tar::{Archive, Builder, EntryType, Header};
use uuid::Uuid;

const README: &str = include_str!("README.txt");
const VERIFY: &str = include_str!("verify.py");

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The log cannot be read, or proves nothing.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The recording cannot be read, or is not what it was.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The log does not reach so far yet.
    #[error("session {0} is not sealed in the log yet: try again when `sekimori log status` says that every event is")]
    Unsealed(Uuid),
    /// The database holds another event than the log sealed.
    #[error("event {number} differs from entry {index} of the log: the database was altered; verify the log", number = index + 1)]
    Differs {
        /// The entry.
        index: u64,
    },
    /// The recording holds other files than the log sealed.
    #[error(
        "{what} in the recording of session {session} is not what the log sealed: keep it as it is, and verify the log"
    )]
    Strange {
        /// The session.
        session: Uuid,
        /// The file.
        what: String,
    },
}

/// An event of the session as the database holds it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its entry in the log.
    pub index: u64,
    /// Its random bytes.
    pub salt: Vec<u8>,
    /// Its exact text.
    pub body: String,
}

/// What an archive is made of.
#[derive(Debug)]
pub struct Evidence<'e> {
    /// The session.
    pub session: Uuid,
    /// The log's folder.
    pub log: &'e Path,
    /// The text of the file of verifier keys, the log's and witnesses'.
    pub keys: &'e str,
    /// Every event of the session, oldest first.
    pub events: &'e [Told],
    /// The sealed recording.
    pub sealed: &'e Path,
    /// The same with what opens it, where its members are to be in the archive as well.
    pub opened: Option<&'e Source>,
}

/// An entry that was checked.
struct Proved<'e> {
    told: &'e Told,
    leaf: Leaf,
    proof: EntryProof,
}

/// Writes the archive. What is younger than the checkpoint is left out: such as the event of this export.
///
/// # Errors
/// [`BundleError`]; what was written so far is then no archive.
pub fn write(evidence: &Evidence<'_>, out: impl Write) -> Result<Exported, BundleError> {
    let keys = LogKeys::parse(evidence.keys.as_bytes())?;
    let (note, events) = proved(evidence, &keys)?;
    check_recording(evidence, &events)?;
    let time = events.last().map_or(0, |last| last.leaf.time / 1_000_000);
    let folder = evidence.session.to_string();
    let mut writing = Writing { tar: Builder::new(out), folder, time, members: 0, bytes: 0 };
    writing.text("README.txt", README)?;
    writing.text("verify.py", VERIFY)?;
    let known = keys.log().iter().chain(keys.witnesses());
    writing.text("keys", &known.map(|key| format!("{key}\n")).collect::<String>())?;
    writing.text("checkpoint", &note)?;
    for Proved { told, leaf, proof } in &events {
        let name = |extension| format!("events/{}.{extension}", told.index);
        writing.bytes(&name("leaf"), &leaf.encode())?;
        writing.text(&name("proof"), &proof.text())?;
        if leaf.kind != SEGMENT {
            writing.text(&name("json"), &told.body)?;
            writing.text(&name("salt"), &hex::encode(&told.salt))?;
        }
    }
    writing.recording(evidence.sealed)?;
    if let Some(source) = evidence.opened {
        writing.opened(source)?;
    }
    Ok(writing.finish()?)
}

/// The checkpoint, and the session's events under it, each with its proof.
fn proved<'e>(evidence: &Evidence<'e>, keys: &LogKeys) -> Result<(String, Vec<Proved<'e>>), BundleError> {
    let Evidence { session, events, .. } = *evidence;
    let newest = Reader::open(evidence.log)?;
    let mut leaves = Vec::new();
    for told in events.iter() {
        // Behind the checkpoint there is none.
        let Some(entry) = newest.entry(told.index)? else { break };
        let leaf = Leaf::parse(&entry)?;
        let own = Leaf::of_event(&leaf.kind, Some(session), leaf.number, leaf.time, &told.salt, &told.body);
        if leaf.session != Some(session) || (leaf.kind != SEGMENT && leaf != own) {
            return Err(BundleError::Differs { index: told.index });
        }
        leaves.push((told, leaf));
    }
    let end = leaves.iter().find(|(_, leaf)| leaf.kind == SEALED).map(|(told, _)| told.index + 1);
    let end = end.ok_or(BundleError::Unsealed(session))?;
    let mut reader = cosigned(evidence.log, end, keys)?.unwrap_or(newest);
    let size = reader.checkpoint().size;
    let mut proved = Vec::new();
    for (told, leaf) in leaves.into_iter().filter(|(told, _)| told.index < size) {
        let proof = reader.inclusion(told.index)?;
        proof.verify(&leaf.encode(), keys.log())?;
        proved.push(Proved { told, leaf, proof });
    }
    Ok((reader.note().to_owned(), proved))
}

/// The state that witnesses cosigned, if that is one with all that matters of the session, under the key in force: what
/// others vouch for counts for more than what is younger.
fn cosigned(log: &Path, end: u64, keys: &LogKeys) -> Result<Option<Reader>, LogError> {
    let Some(note) = read(log, COSIGNED)? else { return Ok(None) };
    let (checkpoint, signed) = Checkpoint::parse(&note)?;
    let in_force = keys.log().last().is_some_and(|key| signed.verify([key]).is_ok());
    if checkpoint.size >= end && in_force { Reader::of(log, note).map(Some) } else { Ok(None) }
}

/// Every file of the recording has to be sealed by a leaf, and every leaf's file to be there.
fn check_recording(evidence: &Evidence<'_>, events: &[Proved<'_>]) -> Result<(), BundleError> {
    let segments = events.iter().filter(|event| event.leaf.kind == SEGMENT);
    let mut wanted: HashSet<(u64, Hash)> = segments.map(|event| (event.leaf.length, event.leaf.hash)).collect();
    let mut strange = None;
    let checked = check_sealed(evidence.sealed, |name, size, sha256| {
        let known = Hash::from_hex(sha256).is_some_and(|hash| wanted.remove(&(size, hash)));
        if !known {
            strange.get_or_insert(name.to_owned());
        }
    });
    let missing = || (!wanted.is_empty()).then(|| format!("one of {} files that are missing", wanted.len()));
    let session = evidence.session;
    match strange.or_else(missing) {
        Some(what) => Err(BundleError::Strange { session, what }),
        None => Ok(checked.map(drop)?),
    }
}

/// The tar in the making.
struct Writing<W: Write> {
    tar: Builder<W>,
    folder: String,
    time: u64,
    members: usize,
    bytes: u64,
}

impl<W: Write> Writing<W> {
    fn text(&mut self, name: &str, text: &str) -> Result<(), RecordingError> {
        self.bytes(name, text.as_bytes())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), RecordingError> {
        self.member(name, bytes.len() as u64, bytes)
    }

    fn member(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), RecordingError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        header.set_size(size);
        self.tar.append_data(&mut header, format!("{}/{name}", self.folder), content).map_err(to_archive)?;
        self.members += 1;
        self.bytes += size;
        Ok(())
    }

    /// The files of the sealed tar, as they are.
    fn recording(&mut self, sealed: &Path) -> Result<(), RecordingError> {
        let reading = || RecordingError::storage("read", sealed);
        let mut stored = Archive::new(std::fs::File::open(sealed).map_err(reading())?);
        for entry in stored.entries().map_err(reading())?.raw(true) {
            let entry = entry.map_err(reading())?;
            let path = entry.path().map_err(reading())?.to_string_lossy().into_owned();
            let name = path.split_once('/').map_or(path.as_str(), |(_, name)| name);
            self.member(&format!("recording/{name}"), entry.size(), entry)?;
        }
        Ok(())
    }

    fn opened(&mut self, source: &Source) -> Result<(), RecordingError> {
        let opened = export_below(source, &mut self.tar, &format!("{}/opened", self.folder))?;
        if !opened.verified {
            let reason = "the session was torn off: without a manifest nobody could check it opened; export it sealed";
            return Err(RecordingError::Altered { path: source.path().to_owned(), reason: reason.to_owned() });
        }
        self.members += opened.members;
        self.bytes += opened.bytes;
        Ok(())
    }

    fn finish(self) -> Result<Exported, RecordingError> {
        self.tar.into_inner().and_then(|mut out| out.flush()).map_err(to_archive)?;
        Ok(Exported { members: self.members, bytes: self.bytes, verified: true })
    }
}

fn to_archive(fault: io::Error) -> RecordingError {
    RecordingError::storage("write", Path::new("the archive"))(fault)
}
