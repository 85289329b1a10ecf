//! Recordings, the writing side: what a person saw is on record before the person sees it.
//!
//! A session's recording is a folder, `recordings/<yyyy>/<mm>/<dd>/<session>/` (the UTC day of its opening):
//!
//! | member | content |
//! |---|---|
//! | `session.json` | who, where, what for ([`SessionHead`]); there before anything starts |
//! | `00001.cast` | channel 1 was a terminal: asciicast v3, playable by any asciicast player (`cast`) |
//! | `00002.exec.jsonl`, `.stdin`, `.stdout`, `.stderr` | channel 2 was a command: its bytes, and their times ([`Line`]) |
//! | `00003.sftp.jsonl` | channel 3 was SFTP: requests, answers, transfers |
//! | `files/00003-0001` | the first file that went through channel 3 |
//! | `00004.forward.jsonl`, `00004.pcapng` | channel 4 was a forward: its ends and counts, its bytes as packets |
//! | `manifest.json` | every other member with size and SHA-256 ([`Manifest`]); written last, so its presence says that the recording is whole |
//!
//! All but `session.json`, whose every word the database holds as well, lie there encrypted ([`journal`]).
//!
//! The kernel has all bytes before they are forwarded (`write(2)` has returned), so they outlive a kill of the gateway;
//! with [`Durability::Power`] the disk has them. Channels are synced to the disk as they close. The first failure to write ends the recording: [`Recording::failed`]
//! fires, and every tap refuses from then on.
//!
//! When a session has ended its folder is sealed ([`sealed`]) and taken away. A crash leaves it to the next start, which
//! can only seal the journals as they are: what opens them is what opens everything.

mod cast;
mod channel;
mod forward;
#[cfg(test)]
mod golden;
pub(crate) mod journal;
mod kept;
mod lines;
mod live;
mod member;
mod pcapng;
mod scp;
mod scp_command;
pub(crate) mod sealed;
mod sftp;
mod stream;
mod tap;
mod values;
mod working;

pub use crate::error::RecordingError;
use crate::hex;
pub use journal::SessionKey;
pub use lines::{Entry, Line, Request, Stream};
pub use live::Activity;
pub(crate) use live::{Landing, Landings};
pub use scp_command::ScpCommand;
pub use sealed::{
    Piece, Place, Press, SEALED_VERSION, SealedIndex, SealedMember, Sealing, Stored, piece_name, sealed_path,
};
pub use tap::Tap;
pub use values::{
    ChannelEntry, ChannelKind, Direction, ExitStatus, FORMAT_VERSION, Forward, Manifest, MemberEntry, Output,
    SessionEnd, SessionHead, Summary, Terminal, Transfer,
};
pub use working::take_away;

use crate::keys::{Recipients, write_new};
use channel::Channel;
use chrono::{DateTime, Utc};
use journal::Lengths;
use member::{Folder, create_folder, sync_folder};
pub(crate) use member::{PARTIAL, members_in};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Who, where, what for; in clear.
const HEAD: &str = "session.json";

/// What recordings may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that must be free before a session may start.
    pub reserve_bytes: u64,
    /// What is recorded before it is forwarded.
    pub durability: Durability,
}

/// What recorded bytes outlive before they are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The gateway's process: the kernel has them.
    #[default]
    Process,
    /// The machine's power: the disk has them. File systems put what many sessions wait for into one write.
    Power,
}

impl Default for Limits {
    /// 1 GiB.
    fn default() -> Self {
        Self { reserve_bytes: 1 << 30, durability: Durability::default() }
    }
}

/// The folder of all recordings.
#[derive(Clone)]
pub struct Recordings {
    root: PathBuf,
    limits: Limits,
    recipients: Recipients,
}

/// Where in the folder of recordings that of a session is written, or would be.
#[must_use]
pub fn working_folder(root: &Path, session: Uuid, opened: DateTime<Utc>) -> PathBuf {
    root.join(opened.format("%Y/%m/%d").to_string()).join(session.to_string())
}

impl Recordings {
    /// Opens the folder, making it (mode 0700) if it is not there. What is recorded there is sealed to `recipients`.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] if it can be neither found nor made.
    pub fn open(root: PathBuf, limits: Limits, recipients: Recipients) -> Result<Self, RecordingError> {
        create_folder(&root)?;
        Ok(Self { root, limits, recipients })
    }

    /// Whom recordings are sealed to.
    #[must_use]
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// The working folders that are there: of live sessions, and of those whose recording was not sealed yet. Those that
    /// a crash left before anything was recorded in them, or half taken away, are taken away. Blocks.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] if the folder of recordings cannot be read.
    pub fn unsealed(&self) -> Result<Vec<PathBuf>, RecordingError> {
        working::unsealed(&self.root)
    }

    /// Starts a recording: its folder, key and `session.json` are on the disk when this returns.
    ///
    /// # Errors
    /// [`RecordingError::ReserveReached`] or [`RecordingError::Storage`]; then there is no recording and no folder, and
    /// the session must not start.
    pub async fn start(&self, head: SessionHead) -> Result<Recording, RecordingError> {
        let recordings = self.clone();
        tokio::task::spawn_blocking(move || recordings.start_on_disk(head)).await.map_err(|_| interrupted())?
    }

    fn start_on_disk(&self, head: SessionHead) -> Result<Recording, RecordingError> {
        self.check_reserve()?;
        let folder = working_folder(&self.root, head.session, head.opened);
        let day = folder.parent().unwrap_or(&self.root);
        create_folder(day)?;
        // Not recursive: a second recording of one session is an error.
        std::fs::DirBuilder::new().create(&folder).map_err(RecordingError::storage("create", &folder))?;
        match self.begin(&folder, &head) {
            Ok((key, entry)) => {
                let (lengths, durability) = (Lengths::default(), self.limits.durability);
                let folder = Folder { path: folder, key, lengths, durability };
                Ok(Recording { shared: Arc::new(Shared::new(folder, head, entry)) })
            }
            Err(error) => {
                // Nothing half done. If even this fails, the first error says more.
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// Writes the sealed key and the head, and makes them and all folders above them durable.
    fn begin(&self, folder: &Path, head: &SessionHead) -> Result<(SessionKey, MemberEntry), RecordingError> {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, private).map_err(RecordingError::storage("protect", folder))?;
        let key = SessionKey::make().map_err(RecordingError::storage("make a key for", folder))?;
        let sealed = key.sealed(&self.recipients).map_err(RecordingError::storage("seal the key of", folder))?;
        write_new(&folder.join(journal::KEY), &sealed)?;
        let json = json_of(&values::HeadFile::of(head), folder)?;
        // Complete or not at all: half of it would be no head, and say that something was recorded.
        member::write_whole(folder, &folder.join(HEAD), &json)?;
        for made in folder.ancestors().take_while(|ancestor| ancestor.starts_with(&self.root)) {
            sync_folder(made)?;
        }
        let (name, content, size) = (HEAD.to_owned(), "who, where, what for".to_owned(), json.len() as u64);
        Ok((key, MemberEntry { name, content, size, sha256: sha256_of(&json) }))
    }

    fn check_reserve(&self) -> Result<(), RecordingError> {
        let space = rustix::fs::statvfs(&self.root)
            .map_err(|errno| RecordingError::storage("look at", &self.root)(errno.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < self.limits.reserve_bytes {
            let (path, reserve) = (self.root.clone(), self.limits.reserve_bytes);
            return Err(RecordingError::ReserveReached { path, free, reserve });
        }
        Ok(())
    }
}

/// Who, where and what for of the recording in a working folder.
///
/// # Errors
/// [`RecordingError::Storage`], or [`RecordingError::Damaged`] if it is torn.
pub fn head_in(folder: &Path) -> Result<SessionHead, RecordingError> {
    let path = folder.join(HEAD);
    let bytes = std::fs::read(&path).map_err(RecordingError::storage("read", &path))?;
    let file: values::HeadFile = serde_json::from_slice(&bytes).map_err(|fault| RecordingError::Damaged {
        path,
        format: "session head",
        reason: fault.to_string(),
    })?;
    Ok(file.head)
}

/// Whether the recording in a working folder was closed in order.
///
/// # Errors
/// [`RecordingError::Storage`] if the folder cannot be read.
pub fn is_whole(folder: &Path) -> Result<bool, RecordingError> {
    Ok(members_in(folder)?.iter().any(|found| found.name == "manifest.json"))
}

fn json_of(value: &impl serde::Serialize, folder: &Path) -> Result<Vec<u8>, RecordingError> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(std::io::Error::from)
        .map_err(RecordingError::storage("encode a member of", folder))?;
    json.push(b'\n');
    Ok(json)
}

/// One session's recording, running. Clones are the same recording.
#[derive(Clone)]
pub struct Recording {
    shared: Arc<Shared>,
}

impl Recording {
    /// The session.
    #[must_use]
    pub fn session(&self) -> Uuid {
        self.shared.head.session
    }

    /// Who, where, what for.
    #[must_use]
    pub fn head(&self) -> &SessionHead {
        &self.shared.head
    }

    /// Where it is written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder.path
    }

    /// What its journal is encrypted with.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        &self.shared.folder.key
    }

    /// How far its journals are written.
    pub(crate) fn lengths(&self) -> &Lengths {
        &self.shared.folder.lengths
    }

    /// Records a shell, or a command with a pty.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn terminal(&self, channel: u32, terminal: Terminal) -> Result<Tap, RecordingError> {
        self.open(channel, move |folder, at| Channel::terminal(folder, channel, &terminal, at)).await
    }

    /// Records a command without a pty, byte for byte; `scp -t` and `scp -f` are read as transfers too. `command` is
    /// shown to people: where the client's bytes were no UTF-8, it holds U+FFFD.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn stream(&self, channel: u32, command: String) -> Result<Tap, RecordingError> {
        self.open(channel, move |folder, at| Channel::exec(folder, channel, command, at)).await
    }

    /// Records the SFTP subsystem.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn sftp(&self, channel: u32) -> Result<Tap, RecordingError> {
        self.open(channel, move |folder, at| Channel::sftp(folder, channel, at)).await
    }

    /// Records a forwarded connection.
    ///
    /// # Errors
    /// What the file system said; the session must end.
    pub async fn forward(&self, channel: u32, forward: Forward) -> Result<Tap, RecordingError> {
        self.open(channel, move |folder, at| Channel::forward(folder, channel, &forward, at)).await
    }

    /// Fires at the first failure to write, whoever met it. Cancelling it has no effect on the recording.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.shared.failed.child_token()
    }

    /// Ends the recording: closes the channels that are still open, writes `manifest.json` and syncs the folder. It
    /// tries to after a failure too, so that the manifest tells of the failure.
    ///
    /// # Errors
    /// [`RecordingError::Closed`] the second time; otherwise what the file system said.
    pub async fn finish(&self, end: SessionEnd) -> Result<Summary, RecordingError> {
        self.shared.on_disk(move |shared| shared.finish(end)).await
    }

    async fn open(
        &self,
        number: u32,
        make: impl FnOnce(&Folder, DateTime<Utc>) -> Result<Channel, RecordingError> + Send + 'static,
    ) -> Result<Tap, RecordingError> {
        self.shared
            .on_disk(move |shared| {
                let mut channels = lock(&shared.channels);
                shared.check()?;
                let channel = Arc::new(Mutex::new(make(&shared.folder, shared.now())?));
                channels.insert(number, Arc::clone(&channel));
                Ok(Tap::new(Arc::clone(&shared), channel))
            })
            .await
    }
}

/// What a recording and its taps have in common.
struct Shared {
    head: SessionHead,
    head_entry: MemberEntry,
    folder: Folder,
    channels: Mutex<BTreeMap<u32, Arc<Mutex<Channel>>>>,
    finished: AtomicBool,
    failed: CancellationToken,
    first_failure: OnceLock<RecordingError>,
    /// The wall clock and the monotonic one at the same moment: times of a recording never run backwards.
    started: (DateTime<Utc>, Instant),
    landings: Landings,
}

impl Shared {
    fn new(folder: Folder, head: SessionHead, head_entry: MemberEntry) -> Self {
        Self {
            head,
            head_entry,
            folder,
            channels: Mutex::default(),
            finished: AtomicBool::new(false),
            failed: CancellationToken::new(),
            first_failure: OnceLock::new(),
            started: (Utc::now(), Instant::now()),
            landings: Landings::default(),
        }
    }

    /// Now, to the microsecond.
    fn now(&self) -> DateTime<Utc> {
        let (wall, monotonic) = self.started;
        let elapsed = i64::try_from(monotonic.elapsed().as_micros()).unwrap_or(i64::MAX);
        let micros = wall.timestamp_micros().saturating_add(elapsed);
        DateTime::from_timestamp_micros(micros).unwrap_or(wall)
    }

    /// Whether anything may still be recorded.
    fn check(&self) -> Result<(), RecordingError> {
        if let Some(first) = self.first_failure.get() {
            return Err(RecordingError::Failed(Box::new(first.clone())));
        }
        if self.finished.load(Ordering::SeqCst) {
            return Err(RecordingError::Closed(format!("the recording of session {}", self.head.session)));
        }
        Ok(())
    }

    /// Runs `work` on a blocking thread to its end, even if the caller goes away, and notes the first failure.
    async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> Result<T, RecordingError> + Send + 'static,
    ) -> Result<T, RecordingError> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || shared.noted(work(Arc::clone(&shared)))).await;
        done.unwrap_or_else(|_| {
            let error = interrupted();
            self.note(&error);
            Err(error)
        })
    }

    fn noted<T>(&self, outcome: Result<T, RecordingError>) -> Result<T, RecordingError> {
        outcome.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &RecordingError) {
        if let RecordingError::Storage { .. } = error {
            // Only the first is kept; what follows from it says less.
            let _ = self.first_failure.set(error.clone());
            self.failed.cancel();
        }
    }

    fn finish(&self, end: SessionEnd) -> Result<Summary, RecordingError> {
        let channels = lock(&self.channels);
        if self.finished.swap(true, Ordering::SeqCst) {
            return Err(RecordingError::Closed(format!("the recording of session {}", self.head.session)));
        }
        let mut manifest = Manifest {
            version: FORMAT_VERSION,
            session: self.head.session,
            opened: self.head.opened,
            ended: end.at,
            reason: end.reason,
            failure: None,
            channels: Vec::new(),
            members: vec![self.head_entry.clone()],
        };
        for channel in channels.values() {
            let mut channel = lock(channel);
            if let Err(error) = channel.close(self.now(), Some("the session ended".to_owned())) {
                self.note(&error);
            }
            manifest.channels.push(channel.entry().clone());
            manifest.members.extend(channel.members());
        }
        manifest.failure = self.first_failure.get().map(ToString::to_string);
        manifest.members.sort_by(|one, other| one.name.cmp(&other.name));
        let json = json_of(&manifest, &self.folder.path)?;
        sync_folder_if_there(&self.folder.path.join("files"))?;
        self.folder.write_whole("manifest.json", &json)?;
        let size = manifest.members.iter().map(|member| member.size).sum();
        Ok(Summary { manifest, manifest_sha256: sha256_of(&json), size })
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

fn sync_folder_if_there(folder: &Path) -> Result<(), RecordingError> {
    if folder.is_dir() { sync_folder(folder) } else { Ok(()) }
}

/// A lock that a panic elsewhere does not close: the data is still what was last written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime is going down, or a write panicked.
fn interrupted() -> RecordingError {
    RecordingError::storage("finish a write of", Path::new("the recording"))(std::io::ErrorKind::Interrupted.into())
}
