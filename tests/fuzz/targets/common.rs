//! What the targets share: a conversation cut out of an input, and a recording that follows it.

use bytes::Bytes;
use chrono::Utc;
use sekimori_audit::error::RecordingError;
use sekimori_audit::recording::{Limits, Output, Recording, Recordings, SessionHead, Tap};
use sekimori_audit::replay::Source;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The person's client.
    Person,
    /// The device.
    Device,
}

/// The turns of a conversation: two bytes for who speaks (the first bit) and how many bytes follow, then those bytes.
pub fn turns(mut input: &[u8]) -> Vec<(Side, &[u8])> {
    let mut turns = Vec::new();
    while let Some((head, rest)) = input.split_first_chunk::<2>() {
        let head = u16::from_be_bytes(*head);
        let side = if head & 0x8000 == 0 { Side::Person } else { Side::Device };
        let (said, after) = rest.split_at(usize::from(head & 0x7fff).min(rest.len()));
        turns.push((side, said));
        input = after;
    }
    turns
}

/// A recording in memory (or where temporary files are) that takes one channel after another.
struct Desk {
    runtime: Runtime,
    recording: Recording,
    channels: u32,
    _folder: TempDir,
}

static DESK: Mutex<Option<Desk>> = Mutex::new(None);

/// Channels of one recording; then another begins, so that the folder stays small.
const CHANNELS: u32 = 2_000;

/// Records a conversation on a channel of its own, and closes it. Whatever is said, only the channel may suffer.
pub fn record(input: &[u8], open: impl AsyncFn(&Recording, u32) -> Result<Tap, RecordingError>) {
    let mut desk = DESK.lock().unwrap_or_else(PoisonError::into_inner);
    let Desk { runtime, recording, channels, .. } = match &mut *desk {
        Some(used) if used.channels < CHANNELS => used,
        other => other.insert(Desk::new()),
    };
    *channels += 1;
    let number = *channels;
    runtime.block_on(async {
        let tap = open(recording, number).await.expect("a channel opens");
        for (side, said) in turns(input) {
            let said = [Bytes::copy_from_slice(said)];
            let outcome = match side {
                Side::Person => tap.from_person(&said),
                Side::Device => tap.from_device(Output::Stdout, &said),
            };
            match outcome {
                Ok(()) => {}
                Err(fault) if fault.is_malformed() => break,
                Err(fault) => panic!("a peer ended the whole recording: {fault}"),
            }
        }
        for transfer in tap.close(None).await.expect("the channel closes") {
            // A copy with gaps is longer than what passed, and not complete.
            let kept = transfer.kept_copy.as_deref().map_or(0, |copy| length(recording, copy));
            assert!(!transfer.complete || kept == transfer.size, "{transfer:?}, but {kept} bytes are kept");
            if let Some(copy) = &transfer.kept_copy {
                // Found again by its number only: what is done with is taken away.
                std::fs::remove_file(recording.folder().join(format!("{copy}.journal"))).ok();
            }
        }
    });
}

fn length(recording: &Recording, copy: &str) -> u64 {
    let mut copy = Source::from(recording).open(copy).expect("the copy opens");
    std::io::copy(&mut copy, &mut std::io::sink()).expect("the copy reads")
}

impl Desk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
        let recipients = sekimori_audit::keys::make().recipients;
        let recordings =
            Recordings::open(folder.path().to_owned(), Limits { reserve_bytes: 0, ..Limits::default() }, recipients);
        let recordings = recordings.expect("recordings");
        let head = SessionHead {
            session: uuid::Uuid::now_v7(),
            opened: Utc::now(),
            person: "eng1".parse().expect("an id"),
            vendor: None,
            device: "ct-01".parse().expect("an id"),
            account: "service".to_owned(),
            work: "w-1".parse().expect("an id"),
            source: std::net::Ipv4Addr::LOCALHOST.into(),
            gateway: "gate".to_owned(),
        };
        let recording = runtime.block_on(recordings.start(head)).expect("a recording");
        Self { runtime, recording, channels: 0, _folder: folder }
    }
}
