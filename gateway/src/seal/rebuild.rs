//! The log written anew from the database's events, where its folder was lost or damaged.
//!
//! The database alone proves nothing: whoever altered it would get a log that agrees. So the tree that its events make is
//! compared with every signed checkpoint that is left, on the disk, of a witness, or given by hand, and counts only if it
//! agrees with all of them; else nothing is changed. The same events and keys make the same bytes, so that what anybody
//! kept of the log goes on being true. The folder that was there stays beside.

use super::sealer::{self, Sealer};
use super::witnesses;
use super::{keys, progress::Progress};
use crate::config::Config;
use crate::serve;
use crate::store::Store;
use anyhow::{Context as _, bail, ensure};
use chrono::Utc;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sekimori_audit::event::Event;
use sekimori_audit::log::note::LONGEST;
use sekimori_audit::log::tile::WIDTH;
use sekimori_audit::log::{Anchor, COSIGNED, Checkpoint, Reader, Resource, VerifierKey, put_durably};
use sekimori_certs::log_key::LogKey;
use serde::Serialize;
use serde_json::json;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How the folder begins, beside the log's own, that is being written: one that a crash left holds nothing of worth.
const UNFINISHED: &str = "log.rebuilding";
/// How the folders begin, beside the log's own, that it took the place of.
const BEFORE: &str = "log.before";

/// A state of the log that is known of, and from where.
#[derive(Debug, Clone, Serialize)]
pub struct Known {
    /// Where it came from.
    pub from: String,
    /// What it says.
    #[serde(flatten)]
    pub checkpoint: Checkpoint,
    /// The note, where it lies on the disk and witnesses may have cosigned it.
    #[serde(skip)]
    note: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Rebuilt {
    /// The state of the log now.
    pub checkpoint: Checkpoint,
    /// What it was compared with, and agrees with.
    pub agrees_with: Vec<Known>,
    /// Entries from here on up to the newest start or beat were taken at the database's word.
    pub unproved_from: Option<u64>,
    /// Files that were left, and by their signatures are no checkpoints of this log.
    pub unusable: Vec<String>,
    /// Where the folder is that was there before, if one was.
    pub kept: Option<PathBuf>,
}

/// Writes the log anew and puts it in its place; `event` tells of it. Where `trusts` says so, what no signed checkpoint
/// covers is taken at the database's word, and that is told of.
///
/// # Errors
/// A gateway serves; a key is missing; nothing is known to compare with, or nothing that covers what the log held; the
/// database holds fewer events than were sealed, or others. Then nothing was changed.
pub async fn rebuild(
    config: &Config,
    store: &Store,
    anchors: &[Anchor],
    trusts: bool,
    event: Event,
) -> anyhow::Result<Rebuilt> {
    let _serving = serve::lock(config)?;
    let (log, data) = (config.log_dir(), config.data_dir());
    let owner = fs::metadata(&data).with_context(|| format!("cannot look at {}", data.display()))?.uid();
    // What root writes there the gateway could not go on with.
    ensure!(
        owner == rustix::process::geteuid().as_raw(),
        "{} belongs to the user with the number {owner}: run this as that user, who writes the log afterwards",
        data.display()
    );
    let keys = verifiers(config)?;
    let (mut known, unusable) = left(config, &keys);
    for anchor in anchors {
        known.push(of_anchor(anchor, &keys)?);
    }
    let origin = keys.first().map_or("", VerifierKey::name);
    let told = sealer::known(store, origin).await?;
    let reach = known.iter().map(|known| known.checkpoint.size).max();
    let unproved_from = reach.filter(|reach| *reach < told.size);
    ensure!(
        reach.is_some_and(|reach| reach >= told.size || trusts),
        "no signed checkpoint that is left in {}, of a witness, or given covers the {} entries that the log is known to have \
         held; the newest covers {}: give a newer one that was kept elsewhere with --anchor (of a backup, a reader, a \
         witness, or the paper). The database alone proves nothing; where there is no newer one, --trust-database takes what \
         is behind it at its word, which the log then tells of",
        log.display(),
        told.size,
        reach.unwrap_or_default()
    );
    if told.size > 0 {
        known.push(Known { from: "the database's newest start or beat".to_owned(), checkpoint: told, note: None });
    }
    known.sort_by_key(|known| known.checkpoint.size);
    let events = u64::try_from(store.last_seq().await?)?;
    if let Some(Known { from, checkpoint, .. }) = known.last().filter(|known| known.checkpoint.size > events) {
        bail!(
            "the database was rolled back: it holds {events} events, and the log held {} by {from}; nothing was changed: \
             restore the newer database",
            checkpoint.size
        );
    }

    let fresh = beside(&data, UNFINISHED);
    remove_unfinished(&data)?;
    let written = write(config, store, &fresh, &known, unproved_from, event).await;
    let checkpoint = match written {
        Ok(checkpoint) => checkpoint,
        Err(fault) => {
            let _ = fs::remove_dir_all(&fresh);
            return Err(fault);
        }
    };
    let kept = put_in_place(&fresh, &log, &beside(&data, BEFORE))
        .with_context(|| format!("cannot put {} in the place of {}", fresh.display(), log.display()))?;
    Ok(Rebuilt { checkpoint, agrees_with: known, unproved_from, unusable, kept })
}

/// Writes the log into a folder of its own, compares it, and tells of it; seals that too.
async fn write(
    config: &Config,
    store: &Store,
    fresh: &Path,
    known: &[Known],
    unproved_from: Option<u64>,
    event: Event,
) -> anyhow::Result<Checkpoint> {
    let mut sealer = Sealer::anew(config, fresh.to_owned()).await?;
    let progress = Progress::default();
    while sealer.seal(store, &progress).await? {}
    agrees(fresh, &config.log_dir(), known)?;
    let cosigned = known.iter().rev().find_map(|known| known.note.as_ref());
    if let Some(note) = cosigned {
        put_durably(fresh, COSIGNED, note)?;
    }
    let against = known.iter().map(|known| json!({ "from": known.from, "size": known.checkpoint.size }));
    let against = against.collect::<Vec<_>>();
    let detail = json!({ "log": sealer.checkpoint(), "agrees_with": against, "unproved_from": unproved_from });
    store.record(Event { detail, ..event }).await?;
    while sealer.seal(store, &progress).await? {}
    Ok(sealer.checkpoint())
}

/// The log's keys as they verify. None is made here: a log that is rebuilt had one.
fn verifiers(config: &Config) -> anyhow::Result<Vec<VerifierKey>> {
    let folder = config.keys_dir();
    let keys = LogKey::load_all(&folder)?;
    ensure!(!keys.is_empty(), "the log's keys are not in {}: restore them first", folder.display());
    keys.iter().map(|key| Ok(keys::signing(key)?.verifier().clone())).collect()
}

/// What is left on this machine: checkpoints in the log's folder, and those that witnesses cosigned.
fn left(config: &Config, keys: &[VerifierKey]) -> (Vec<Known>, Vec<String>) {
    let log = config.log_dir();
    let mut files = vec![log.join(Resource::Checkpoint.path()), log.join(COSIGNED)];
    let rotations = fs::read_dir(log.join("rotation")).into_iter().flatten().flatten();
    files.extend(rotations.take(keys.len()).map(|file| file.path()));
    let (mut known, mut unusable) = (Vec::new(), Vec::new());
    for file in files.into_iter().filter(|file| file.exists()) {
        let from = file.display().to_string();
        match signed(&file, keys) {
            Some((checkpoint, note)) => {
                known.push(Known { from, checkpoint, note: file.ends_with(COSIGNED).then_some(note) });
            }
            None => unusable.push(from),
        }
    }
    for witness in &config.log.witnesses {
        let kept = witnesses::kept(config, witness);
        let kept = kept.filter(|kept| keys.iter().any(|key| key.name() == kept.checkpoint.origin));
        known.extend(kept.map(|kept| {
            let from = format!("what the witness {} cosigned", witness.name());
            Known { from, checkpoint: kept.checkpoint, note: None }
        }));
    }
    (known, unusable)
}

/// A checkpoint that a key of the log signed.
fn signed(file: &Path, keys: &[VerifierKey]) -> Option<(Checkpoint, Vec<u8>)> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(LONGEST as u64 + 1).read_to_end(&mut bytes).ok()?;
    let (checkpoint, note) = Checkpoint::parse(&bytes).ok()?;
    let ours = keys.iter().any(|key| key.name() == checkpoint.origin);
    (ours && note.verify(keys).is_ok()).then_some((checkpoint, bytes))
}

/// An anchor has to be of this log: one that is of another, or is signed by nobody known, was given by mistake.
fn of_anchor(anchor: &Anchor, keys: &[VerifierKey]) -> anyhow::Result<Known> {
    let ours = keys.iter().any(|key| key.name() == anchor.checkpoint.origin);
    ensure!(ours, "{} is of the log {}, not of this one", anchor.label, anchor.checkpoint.origin);
    if let Some(note) = &anchor.note {
        ensure!(note.verify(keys).is_ok(), "{} is signed by none of this log's keys", anchor.label);
    }
    Ok(Known { from: anchor.label.clone(), checkpoint: anchor.checkpoint.clone(), note: None })
}

/// Compares the log in `fresh` with all that is known, and says where they part.
fn agrees(fresh: &Path, damaged: &Path, known: &[Known]) -> anyhow::Result<()> {
    let mut reader = Reader::open(fresh)?;
    let mut differing = Vec::new();
    let mut agreed = None;
    for each in known {
        if reader.root_at(each.checkpoint.size)? != each.checkpoint.root {
            differing.push(each);
        } else if differing.is_empty() {
            agreed = Some(each);
        }
    }
    let Some(first) = differing.first() else { return Ok(()) };
    let (from, until) = (agreed.map_or(0, |agreed| agreed.checkpoint.size), first.checkpoint.size);
    let names = differing.iter().map(|each| each.from.as_str()).collect::<Vec<_>>().join(", ");
    let upto = agreed.map_or_else(String::new, |agreed| format!(" (the first {from} are those of {})", agreed.from));
    let named = first_difference(&reader, damaged, from, until).map_or_else(String::new, |number| {
        format!("; the first entry left on the disk that differs is that of event {number}")
    });
    bail!(
        "the database is not what the log sealed: its first {until} events are not those of {names}{upto}{named}; nothing \
         was changed: restore the database from a backup"
    );
}

/// The number of the first event behind `from` whose entry in what is left of the old folder is another.
fn first_difference(reader: &Reader, damaged: &Path, from: u64, until: u64) -> Option<u64> {
    let old = Reader::open(damaged).ok()?;
    (from / WIDTH..until.div_ceil(WIDTH)).find_map(|bundle| {
        let (was, is) = (old.entries(bundle).ok()?, reader.entries(bundle).ok()?);
        let at = was.iter().zip(&is).position(|(was, is)| was != is)?;
        Some(bundle * WIDTH + u64::try_from(at).ok()? + 1)
    })
}

/// A name beside the log's folder that nothing bears yet.
fn beside(data: &Path, begin: &str) -> PathBuf {
    data.join(format!("{begin}-{}", Utc::now().format("%Y%m%dT%H%M%S%.6fZ")))
}

fn remove_unfinished(data: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(data)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Puts the new folder in its place, and the old one, if there is one, under the name of what was there before. They change
/// places in one step, so that a crash leaves the one or the other there.
fn put_in_place(fresh: &Path, log: &Path, before: &Path) -> anyhow::Result<Option<PathBuf>> {
    let parent = log.parent().context("the log's folder has no parent")?;
    let was_there = log.symlink_metadata().is_ok();
    if was_there {
        fs::rename(fresh, before)?;
        match renameat_with(CWD, before, CWD, log, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // A file system that cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::rename(before, fresh)?;
                fs::rename(log, before)?;
                fs::rename(fresh, log)?;
            }
            Err(fault) => {
                let _ = fs::rename(before, fresh).and_then(|()| fs::remove_dir_all(fresh));
                return Err(fault.into());
            }
        }
    } else {
        fs::rename(fresh, log)?;
    }
    File::open(parent)?.sync_all()?;
    Ok(was_there.then(|| before.to_owned()))
}
