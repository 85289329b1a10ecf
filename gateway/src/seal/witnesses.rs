//! Asking witnesses: machines that are not ours put their names under what continues the log, each minute.
//!
//! What a witness cosigned last is kept in `DATA_DIR/witnesses`, a file each, which is an anchor, and in the log's own
//! folder. A witness that stays silent, or has seen another log than this one, raises an alarm; where the hospital asks
//! for it, no session starts until one of them has cosigned again.

use crate::config::{Config, Witness};
use crate::gate::Gate;
use crate::web;
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::hex;
use sekimori_audit::log::witness::{Witnessed, read_answer, request};
use sekimori_audit::log::{COSIGNED, Checkpoint, Note, Reader, Signed, VerifierKey, put_durably};
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Questions to one witness in a round: it may have to say first where it stands.
const QUESTIONS: usize = 3;

/// What a witness cosigned last.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// When, by the witness's clock.
    pub at: DateTime<Utc>,
}

/// Since when no witness has cosigned, for whoever asks often.
#[derive(Debug, Default)]
pub struct Witnessing(Mutex<Option<DateTime<Utc>>>);

impl Witnessing {
    /// Whether the hospital wants a witness, and none has cosigned for too long.
    #[must_use]
    pub fn missing(&self, config: &Config) -> bool {
        let minutes = config.log.witness_required_minutes;
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minutes > 0 && last.is_none_or(|last| Utc::now() - last > span(minutes))
    }

    fn heard(&self, at: Option<DateTime<Utc>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

/// Why a witness did not cosign.
#[derive(Debug)]
enum Silence {
    /// It is not to be reached, or refuses.
    Unanswered(String),
    /// It has seen what this log does not hold.
    Contradicts(String),
}

/// Asks, again and again. Never returns.
pub async fn ask(gate: Arc<Gate>) {
    let mut alarmed = HashSet::new();
    let mut configs = gate.configs();
    loop {
        let config = configs.borrow_and_update().clone();
        if !config.log.witnesses.is_empty() {
            if let Err(fault) = round(&gate, &config, &mut alarmed).await {
                tracing::error!(fault = format!("{fault:#}"), "witnesses could not be asked");
            }
            gate.sealing.witnessing.heard(newest(&config));
        }
        // A witness that a reload names is asked at once, and at the pace that it names.
        let pause = Duration::from_secs(config.log.witness_seconds);
        tokio::time::timeout(pause, configs.changed()).await.ok();
    }
}

/// When a witness cosigned last.
fn newest(config: &Config) -> Option<DateTime<Utc>> {
    config.log.witnesses.iter().filter_map(|witness| Some(kept(config, witness)?.at)).max()
}

async fn round(gate: &Gate, config: &Config, alarmed: &mut HashSet<String>) -> anyhow::Result<()> {
    let folder = config.log_dir();
    let note = on_disk(move || Ok(Reader::open(&folder)?.note().to_owned())).await?;
    let note = note.as_str();
    let reached = config.log.witnesses.iter().filter(|witness| witness.url.is_some());
    let asked = reached.map(|witness| async move { (witness, ask_one(config, witness, note).await) });
    let asked = join_all(asked).await;
    let (mut lines, mut files) = (String::new(), Vec::new());
    for (witness, answer) in &asked {
        if let Ok(cosigned) = answer {
            files.push((config.data_dir().join(FOLDER), file_name(witness)?, cosigned.clone()));
            lines.push_str(cosigned.strip_prefix(note).unwrap_or_default());
        }
    }
    if !lines.is_empty() {
        files.push((config.log_dir(), COSIGNED.to_owned(), format!("{note}{lines}")));
    }
    on_disk(move || {
        files.iter().try_for_each(|(folder, name, text)| put_durably(folder, name, text.as_bytes()))?;
        Ok(())
    })
    .await?;
    for (witness, answer) in asked {
        tell(gate, config, witness, answer.err(), alarmed).await;
    }
    Ok(())
}

/// Raises the alarm, or takes it back.
async fn tell(
    gate: &Gate,
    config: &Config,
    witness: &Witness,
    silence: Option<Silence>,
    alarmed: &mut HashSet<String>,
) {
    let last = kept(config, witness).map(|kept| kept.at);
    let silent = is_silent(config, last);
    let (alarming, reason) = match &silence {
        None => (false, None),
        Some(Silence::Contradicts(reason)) => (true, Some(reason)),
        Some(Silence::Unanswered(reason)) => (silent, Some(reason)),
    };
    let name = witness.name().to_owned();
    if let Some(reason) = reason {
        tracing::warn!(witness = name, reason, "a witness did not cosign");
    }
    if alarming == alarmed.contains(&name) {
        return;
    }
    let kind = if alarming { Kind::LogWitnessSilent } else { Kind::LogWitnessBack };
    let detail = json!({ "witness": name, "reason": reason, "cosigned_last": last });
    let event = Event { detail, ..Event::new(Utc::now(), kind, Actor::gateway()) };
    match gate.store.record(event).await {
        Ok(_) if alarming => _ = alarmed.insert(name),
        Ok(_) => _ = alarmed.remove(&name),
        Err(fault) => tracing::error!(%fault, "cannot record that a witness is silent, or answers again"),
    }
}

/// Whether a witness that cosigned last at this time counts as silent.
#[must_use]
pub fn is_silent(config: &Config, last: Option<DateTime<Utc>>) -> bool {
    last.is_none_or(|last| Utc::now() - last > span(config.log.witness_alarm_minutes))
}

/// Asks one witness to cosign; returns the note with its line.
async fn ask_one(config: &Config, witness: &Witness, note: &str) -> Result<String, Silence> {
    let unanswered = |fault: anyhow::Error| Silence::Unanswered(format!("{fault:#}"));
    let key = VerifierKey::parse(&witness.key).map_err(|fault| unanswered(fault.into()))?;
    let (checkpoint, _) = Checkpoint::parse(note.as_bytes()).map_err(|fault| unanswered(fault.into()))?;
    let url = format!("{}/add-checkpoint", witness.url.as_deref().unwrap_or_default().trim_end_matches('/'));
    let authority = config.witness_ca(witness);
    let mut old = kept(config, witness).map_or(0, |kept| kept.checkpoint.size).min(checkpoint.size);
    for _ in 0..QUESTIONS {
        let body = proposal(config, old, &checkpoint, note).await.map_err(unanswered)?;
        let (status, answer) = web::post(&url, authority.as_deref(), body).await.map_err(unanswered)?;
        match read_answer(status, &answer, note, std::slice::from_ref(&key)) {
            Witnessed::Cosigned { note, .. } => return Ok(note),
            Witnessed::Stands(size) if size > checkpoint.size || size == old => {
                let reason =
                    format!("it has seen {size} entries, and this log, with {}, is not that one", checkpoint.size);
                return Err(Silence::Contradicts(reason));
            }
            Witnessed::Stands(size) => old = size,
            Witnessed::Refused(reason) if status == 422 => return Err(Silence::Contradicts(reason)),
            Witnessed::Refused(reason) => return Err(Silence::Unanswered(reason)),
        }
    }
    Err(Silence::Unanswered("it says each time that it stands elsewhere".to_owned()))
}

/// What is sent: the proof from `old`, and the checkpoint.
///
/// # Errors
/// The log cannot be read.
pub async fn proposal(config: &Config, old: u64, checkpoint: &Checkpoint, note: &str) -> anyhow::Result<String> {
    let (folder, size, note) = (config.log_dir(), checkpoint.size, note.to_owned());
    on_disk(move || Ok(request(old, &Reader::open(&folder)?.consistency(old, size)?, &note))).await
}

/// On a thread that may wait for the disk: one that stands still must hold up nothing but this.
async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(act).await?
}

/// The folder, below the data directory, of what witnesses cosigned.
pub const FOLDER: &str = "witnesses";

/// The file of a witness in [`FOLDER`]: its key's identifier, since a name may hold what no file's can.
///
/// # Errors
/// The configured key is none.
pub fn file_name(witness: &Witness) -> anyhow::Result<String> {
    let key = VerifierKey::parse(&witness.key).context("log.witnesses")?;
    Ok(format!("{}.checkpoint", hex::encode(&key.id())))
}

/// What a witness cosigned last, if that is there and is its own.
#[must_use]
pub fn kept(config: &Config, witness: &Witness) -> Option<Kept> {
    let path: PathBuf = config.data_dir().join(FOLDER).join(file_name(witness).ok()?);
    read_kept(&std::fs::read(path).ok()?, witness)
}

fn read_kept(bytes: &[u8], witness: &Witness) -> Option<Kept> {
    let (checkpoint, note): (Checkpoint, Note) = Checkpoint::parse(bytes).ok()?;
    let key = VerifierKey::parse(&witness.key).ok()?;
    let at = note.verify([&key]).ok()?.into_iter().find_map(|signer| match signer.signed {
        Signed::At(time) => DateTime::from_timestamp(i64::try_from(time).ok()?, 0),
        Signed::Plain => None,
    })?;
    Some(Kept { checkpoint, at })
}

/// Takes in an answer that came on a carried folder: the checkpoint has to be of this log still.
///
/// # Errors
/// The log does not hold what was cosigned, or it cannot be kept.
pub fn take_in(config: &Config, witness: &Witness, cosigned: &str) -> anyhow::Result<Checkpoint> {
    let (checkpoint, _) = Checkpoint::parse(cosigned.as_bytes())?;
    let root = Reader::open(&config.log_dir())?.root_at(checkpoint.size)?;
    anyhow::ensure!(
        root == checkpoint.root,
        "the first {} entries of the log are no longer those that {} cosigned: keep the folder as it is, and verify it",
        checkpoint.size,
        witness.name()
    );
    put_durably(&config.data_dir().join(FOLDER), &file_name(witness)?, cosigned.as_bytes())?;
    put_durably(&config.log_dir(), COSIGNED, cosigned.as_bytes())?;
    Ok(checkpoint)
}

fn span(minutes: u64) -> TimeDelta {
    TimeDelta::try_minutes(i64::try_from(minutes).unwrap_or(i64::MAX)).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use sekimori_audit::log::note::join;
    use sekimori_audit::log::{Role, SigningKey};

    #[test]
    fn only_the_witness_itself_counts_and_only_for_as_long_as_the_hospital_wants() {
        let key = SigningKey::from_seed("w", Role::Witness, &[1; 32]).unwrap();
        let other = SigningKey::from_seed("w", Role::Witness, &[2; 32]).unwrap();
        let checkpoint = Checkpoint { size: 9, ..super::super::progress::beginning("gate/log") };
        let now = Utc::now();
        let line = key.cosign(&checkpoint.text(), u64::try_from(now.timestamp()).unwrap());
        let note = join(&checkpoint.text(), &[line]);
        let witness = |key: &SigningKey| Witness { key: key.verifier().to_string(), url: None, ca: None };
        let kept = read_kept(note.as_bytes(), &witness(&key)).unwrap();
        assert_eq!((kept.checkpoint.size, kept.at.timestamp()), (9, now.timestamp()));
        assert!(read_kept(note.as_bytes(), &witness(&other)).is_none());

        let mut config = Config::parse("[hospital]\nname = \"A\"\n", PathBuf::new()).unwrap();
        let witnessing = Witnessing::default();
        assert!(!witnessing.missing(&config), "nobody asked for a witness");
        config.log.witness_required_minutes = 5;
        assert!(witnessing.missing(&config), "none has ever cosigned");
        witnessing.heard(Some(now - TimeDelta::minutes(4)));
        assert!(!witnessing.missing(&config));
        witnessing.heard(Some(now - TimeDelta::minutes(6)));
        assert!(witnessing.missing(&config));
    }
}
