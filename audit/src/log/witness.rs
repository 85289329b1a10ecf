//! C2SP tlog-witness as pure values: what a witness answers to `add-checkpoint`, and what a log makes of the answer.
//!
//! HTTP, the clock and the file are the caller's. The caller holds one lock over a log's record from [`decide`] until
//! the new record is durable, and answers only then: otherwise two requests at once could roll the record back.

use super::checkpoint::{Checkpoint, decimal};
use super::error::LogError;
use super::hash::{Hash, sha256};
use super::key::{Signed, SigningKey, VerifierKey};
use super::note::{Note, Signer, join};
use super::proof::verify_consistency;
use super::proof_text::parse_path;

/// The specification's limit.
const LONGEST_PATH: usize = 63;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size from which the proof leads.
    pub old: u64,
    /// The consistency proof.
    pub path: Vec<Hash>,
    /// What the log's new checkpoint says.
    pub checkpoint: Checkpoint,
    /// The same with its signatures.
    pub note: Note,
}

impl AddCheckpoint {
    /// Reads a request's body.
    ///
    /// # Errors
    /// [`LogError::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("request to a witness", reason);
        if body.len() > 2 * super::note::LONGEST {
            return Err(malformed("it is longer than any request"));
        }
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| malformed("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or_else(|| malformed("its first line is not `old` and a size"))?;
        let path = parse_path(lines).filter(|path| path.len() <= LONGEST_PATH);
        let path = path.ok_or_else(|| malformed("its proof is not up to 63 hashes"))?;
        let (checkpoint, note) = Checkpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { old, path, checkpoint, note })
    }
}

/// The body of a request.
#[must_use]
pub fn request(old: u64, path: &[Hash], signed_checkpoint: &str) -> String {
    let path = path.iter().map(|hash| format!("{hash}\n")).collect::<String>();
    format!("old {old}\n{path}\n{signed_checkpoint}")
}

/// A log that a witness knows.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its keys; all bear its origin as their name.
    pub keys: Vec<VerifierKey>,
    /// The last checkpoint that was cosigned; `None` before the first.
    pub latest: Option<Checkpoint>,
}

/// What to answer, and what to keep before answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// What has to be durable before the answer leaves.
    pub keep: Option<Keep>,
}

/// The record of a log: the checkpoint that was cosigned last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The log.
    pub origin: String,
    /// The signed note: the log's signatures, the cosignature, and no line that somebody put beside them. One that bore the
    /// witness's own name would make its record look forged, and too many of them would make it unreadable.
    pub note: String,
}

/// Judges a request. `watched` looks a log up by its origin; `now` is the Unix time in seconds.
#[must_use]
pub fn decide(body: &[u8], watched: impl FnOnce(&str) -> Option<Watched>, key: &SigningKey, now: u64) -> Answer {
    let request = match AddCheckpoint::parse(body) {
        Ok(request) => request,
        Err(fault) => return refusal(400, &fault.to_string()),
    };
    let checkpoint = &request.checkpoint;
    let Some(log) = watched(&checkpoint.origin) else { return refusal(404, "this witness does not know the log") };
    // The keys bear the log's name, so that a signature under another name cannot speak for it.
    let keys = || log.keys.iter().filter(|key| key.name() == checkpoint.origin);
    if let Err(fault) = request.note.verify(keys()) {
        return refusal(403, &fault.to_string());
    }
    if request.old > checkpoint.size {
        return refusal(400, "the old size is more than that of the checkpoint");
    }
    let (size, root) = log.latest.map_or_else(|| (0, sha256(b"")), |latest| (latest.size, latest.root));
    let same_size = checkpoint.size == size;
    if request.old != size || (same_size && checkpoint.root != root) {
        return Answer { status: 409, content_type: "text/x.tlog.size", body: format!("{size}\n"), keep: None };
    }
    if verify_consistency(size, checkpoint.size, &root, &checkpoint.root, &request.path).is_err() {
        return refusal(422, "the proof does not lead from the old root to the new one");
    }
    let cosigned = key.cosign(&checkpoint.text(), now);
    let mut lines = request.note.lines_of(keys());
    lines.push(cosigned.clone());
    let keep = Keep { origin: checkpoint.origin.clone(), note: join(&checkpoint.text(), &lines) };
    Answer { status: 200, content_type: "text/plain; charset=utf-8", body: cosigned, keep: Some(keep) }
}

fn refusal(status: u16, reason: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: format!("{reason}\n"), keep: None }
}

/// What a log makes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witnessed {
    /// The checkpoint with the cosignatures of known witnesses under it, and the times of these (Unix seconds).
    Cosigned {
        /// The note to keep and to show.
        note: String,
        /// Witness and time.
        times: Vec<(String, u64)>,
    },
    /// The witness stands at another size: ask again with a proof from there. A size above our own means that this log
    /// was rolled back.
    Stands(u64),
    /// It refused, or nobody known signed the answer; the reason for the operator.
    Refused(String),
}

/// Reads the answer to a request for `signed_checkpoint`.
#[must_use]
pub fn read_answer(status: u16, body: &[u8], signed_checkpoint: &str, witnesses: &[VerifierKey]) -> Witnessed {
    let text = String::from_utf8_lossy(body.get(..body.len().min(64 * 1024)).unwrap_or_default());
    match status {
        200 => {
            cosigned(&text, signed_checkpoint, witnesses).unwrap_or_else(|fault| Witnessed::Refused(fault.to_string()))
        }
        409 => match text.strip_suffix('\n').and_then(decimal) {
            Some(size) => Witnessed::Stands(size),
            None => Witnessed::Refused("it answered 409 without a size".to_owned()),
        },
        status => {
            let told = text.chars().filter(|each| !each.is_control()).take(200).collect::<String>();
            Witnessed::Refused(format!("it answered {status}: {told}"))
        }
    }
}

fn cosigned(lines: &str, signed_checkpoint: &str, witnesses: &[VerifierKey]) -> Result<Witnessed, LogError> {
    let (checkpoint, _) = Checkpoint::parse(signed_checkpoint.as_bytes())?;
    // Lines of unknown keys are left out: only what was verified is shown on.
    let mut kept = vec![signed_checkpoint.split_once("\n\n").map_or("", |(_, lines)| lines).to_owned()];
    let mut times: Vec<(String, u64)> = Vec::new();
    for line in lines.lines().take(super::note::MOST_SIGNATURES) {
        let line = format!("{line}\n");
        let alone = Note::parse(join(&checkpoint.text(), std::slice::from_ref(&line)).as_bytes())?;
        // One of each: with every line that a witness can sign, nobody could read the note.
        if let Some(Signer { key, signed: Signed::At(time) }) =
            alone.verify(witnesses).as_deref().ok().and_then(<[_]>::first)
            && times.iter().all(|(known, _)| known != key.name())
        {
            times.push((key.name().to_owned(), *time));
            kept.push(line);
        }
    }
    if times.is_empty() {
        return Err(LogError::malformed("answer of a known witness", "no known key cosigned it"));
    }
    Ok(Witnessed::Cosigned { note: join(&checkpoint.text(), &kept), times })
}
