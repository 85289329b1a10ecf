//! The part of a verification that asks who signed: the checkpoint, changes of keys, anchors, cosignatures.

use super::course::Rotation;
use super::fault::{Code, Fault};
use super::{Anchored, Cosigned};
use crate::log::{Anchor, COSIGNED, Checkpoint, Hash, LogKeys, Note, Signed, Unsigned, read, rotation_path, sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The newest checkpoint with its note.
pub(super) struct Newest {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Note,
}

/// Reads the checkpoint and checks its form and its log.
pub(super) fn newest(root: &Path, keys: &LogKeys) -> Result<Newest, Fault> {
    let bytes = match read(root, "checkpoint") {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Fault::new(Code::CheckpointMissing, format!("{} holds no checkpoint", root.display()))),
        Err(fault) => return Err(Fault::new(Code::CheckpointMalformed, fault.to_string())),
    };
    let (checkpoint, note) =
        Checkpoint::parse(&bytes).map_err(|fault| Fault::new(Code::CheckpointMalformed, fault.to_string()))?;
    if checkpoint.origin != keys.origin() {
        let detail = format!("the checkpoint is of the log {}, the keys are of {}", checkpoint.origin, keys.origin());
        return Err(Fault::new(Code::SignatureUnknown, detail));
    }
    Ok(Newest { checkpoint, note })
}

/// What was kept of the log, in its folder and outside.
pub(super) struct Kept {
    /// Given from outside.
    pub(super) anchors: Vec<Anchor>,
    /// The log's own copy of what witnesses cosigned last.
    pub(super) cosigned: Option<Anchor>,
}

impl Kept {
    pub(super) fn read(root: &Path, anchors: &[Anchor], faults: &mut Vec<Fault>) -> Self {
        let cosigned = match read(root, COSIGNED).map(|bytes| bytes.map(|bytes| Anchor::parse(COSIGNED, &bytes))) {
            Ok(Some(Ok(anchor))) => Some(anchor),
            Ok(None) => None,
            Ok(Some(Err(fault))) | Err(fault) => {
                faults.push(Fault::new(Code::CosignatureBad, format!("{COSIGNED}: {fault}")));
                None
            }
        };
        Self { anchors: anchors.to_vec(), cosigned }
    }

    /// The sizes at which roots are wanted.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.anchors.iter().chain(&self.cosigned).map(|anchor| anchor.checkpoint.size)
    }
}

/// Checks that the key in force made a note at a size: the last whose introduction is below it. At the very size of a
/// rotation that is the old key still.
pub(super) fn in_force(note: &Note, size: u64, keys: &LogKeys, rotations: &[Rotation]) -> Option<Fault> {
    let succeeded = rotations.iter().filter(|rotation| rotation.entry + 1 < size).count();
    let code = match note.verify(keys.log()) {
        Err(Unsigned::Fails) => Code::SignatureBad,
        Err(Unsigned::Unknown) => Code::SignatureUnknown,
        Ok(signers) => match keys.log().get(succeeded) {
            Some(key) if signers.iter().any(|signer| signer.key == *key) => return None,
            _ => Code::SignatureNotInForce,
        },
    };
    Some(Fault::new(
        code,
        format!("the checkpoint of {size} entries was not signed by key {} of the file", succeeded + 1),
    ))
}

/// Follows the keys along the leaves that introduce them and the checkpoints that sealed these.
pub(super) fn follow_keys(
    root: &Path,
    keys: &LogKeys,
    rotations: &[Rotation],
    roots: &BTreeMap<u64, Hash>,
    faults: &mut Vec<Fault>,
) {
    for (at, rotation) in rotations.iter().enumerate() {
        let mut found = |code, detail: String| {
            faults.push(Fault { time: Some(rotation.time), ..Fault::at(code, rotation.entry, detail) })
        };
        match keys.log().get(at + 1) {
            Some(key) if sha256(key.to_string().as_bytes()) == rotation.hash => {}
            _ => found(Code::KeyUnknown, format!("the key it introduces is not key {} of the file", at + 2)),
        }
        let size = rotation.entry + 1;
        let sealed = read(root, &rotation_path(size)).ok().flatten().and_then(|bytes| Checkpoint::parse(&bytes).ok());
        let sound = sealed.is_some_and(|(checkpoint, note)| {
            checkpoint.size == size
                && roots.get(&size) == Some(&checkpoint.root)
                && in_force(&note, size, keys, rotations).is_none()
        });
        if !sound {
            let path = rotation_path(size);
            found(
                Code::RotationUnsealed,
                format!("{path} is missing, differs from the log, or the old key did not sign it"),
            );
        }
    }
    for (at, key) in keys.log().iter().enumerate().skip(rotations.len() + 1) {
        let detail = format!("key {} of the file, {key}, is introduced by no leaf", at + 1);
        faults.push(Fault::new(Code::KeyNotIntroduced, detail));
    }
}

/// Compares what was kept with the log as it is.
pub(super) fn compare_kept(
    kept: &Kept,
    newest: &Newest,
    keys: &LogKeys,
    roots: &BTreeMap<u64, Hash>,
    faults: &mut Vec<Fault>,
) -> (Vec<Anchored>, Vec<Cosigned>) {
    let mut cosignatures = Vec::new();
    let anchored = kept.anchors.iter().map(|anchor| {
        let problem = judge(anchor, newest, keys, roots);
        if problem.is_none() {
            cosignatures.extend(cosigners(&anchor.label, &anchor.checkpoint, anchor.note.as_ref(), keys, faults));
        }
        let agrees = problem.is_none();
        faults.extend(problem);
        Anchored { label: anchor.label.clone(), size: anchor.checkpoint.size, agrees }
    });
    let anchored = anchored.collect();
    if let Some(own) = &kept.cosigned {
        match judge(own, newest, keys, roots) {
            Some(fault) => faults.push(fault),
            None => cosignatures.extend(cosigners(COSIGNED, &own.checkpoint, own.note.as_ref(), keys, faults)),
        }
    }
    cosignatures.extend(cosigners("checkpoint", &newest.checkpoint, Some(&newest.note), keys, faults));
    (anchored, cosignatures)
}

fn judge(anchor: &Anchor, newest: &Newest, keys: &LogKeys, roots: &BTreeMap<u64, Hash>) -> Option<Fault> {
    let Anchor { label, checkpoint, note } = anchor;
    let found = |code, detail: String| Some(Fault::new(code, format!("{label}: {detail}")));
    if checkpoint.origin != newest.checkpoint.origin {
        return found(Code::AnchorForeign, format!("it is of the log {}", checkpoint.origin));
    }
    if let Some(Err(fault)) = note.as_ref().map(|note| note.verify(keys.log())) {
        return found(Code::AnchorUnsigned, format!("{fault}, so that it says nothing of this log"));
    }
    let (size, held) = (checkpoint.size, newest.checkpoint.size);
    if size > held {
        return found(Code::AnchorBeyond, format!("the log had {size} entries then and has {held} now"));
    }
    match roots.get(&size) {
        Some(root) if *root == checkpoint.root => None,
        Some(_) => found(Code::AnchorDiffers, format!("the first {size} entries are not those that were there then")),
        None => found(Code::AnchorDiffers, format!("the first {size} entries cannot be read as a whole")),
    }
}

fn cosigners(
    label: &str,
    checkpoint: &Checkpoint,
    note: Option<&Note>,
    keys: &LogKeys,
    faults: &mut Vec<Fault>,
) -> Vec<Cosigned> {
    let Some(note) = note else { return Vec::new() };
    match note.verify(keys.witnesses()) {
        Ok(signers) => signers
            .into_iter()
            .filter_map(|signer| match signer.signed {
                Signed::At(time) => {
                    Some(Cosigned { witness: signer.key.name().to_owned(), size: checkpoint.size, time })
                }
                Signed::Plain => None,
            })
            .collect(),
        Err(Unsigned::Unknown) => Vec::new(),
        Err(Unsigned::Fails) => {
            faults.push(Fault::new(Code::CosignatureBad, format!("{label}: a known witness's signature fails")));
            Vec::new()
        }
    }
}
