//! How far one member is sealed, and where its bytes come from.

use super::cut::{Cutter, Kind, Take};
use super::words::Words;
use crate::error::RecordingError;
use crate::recording::journal::{JournalReader, Mark, SessionKey, Written};
use crate::recording::member::Found;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what does not fill a piece may wait.
pub(super) const WAIT: Duration = Duration::from_secs(60);
/// The bytes that may wait while they come in a burst: who moves a large file has the processors first.
const BURST: u64 = 1 << 30;

/// How far one member is sealed. A copy is what a failed sync goes back to.
#[derive(Clone)]
pub(super) struct Member {
    /// Its number in the index.
    pub(super) number: usize,
    pub(super) cutter: Cutter,
    /// A terminal's text; `None` where its beginning is not known.
    pub(super) words: Option<Words>,
    /// Where its journal goes on.
    pub(super) mark: Mark,
    /// Since when something waits.
    pub(super) waits: Option<Instant>,
    /// How much waited at the last look.
    pub(super) waited: u64,
    /// All of it is sealed, and no more comes.
    pub(super) ended: bool,
}

impl Member {
    /// Nothing yet of the member of this name.
    pub(super) fn new(number: usize, name: &str) -> Self {
        Self {
            number,
            cutter: Cutter::of(name),
            words: Some(Words::default()),
            mark: Mark::default(),
            waits: None,
            waited: 0,
            ended: false,
        }
    }

    /// What of its journal should be sealed now, in pieces that are full with so many bytes.
    pub(super) fn due(
        &mut self,
        journal: &Path,
        written: &Written,
        full: usize,
    ) -> Result<Option<Take>, RecordingError> {
        let behind = self.mark.bytes_behind(journal, written)?;
        let grows = std::mem::replace(&mut self.waited, behind) < behind;
        if behind == 0 {
            self.waits = None;
            return Ok(None);
        }
        let late = self.waits.get_or_insert_with(Instant::now).elapsed() >= WAIT;
        // With the journal's own bytes, which can be more than the member's: what looks full need not be.
        let full = behind >= full as u64;
        let bursts = self.cutter.kind() == Kind::Bytes && grows && behind < BURST;
        Ok(match (full, late) {
            (_, true) => Some(Take::Some),
            (true, false) if !bursts => Some(Take::Full),
            (_, false) => None,
        })
    }
}

/// Where a member's bytes come from.
pub(super) enum Source {
    Journal(JournalReader),
    Clear(BufReader<File>),
}

impl Source {
    /// From the first byte on that is not sealed.
    pub(super) fn open(
        found: &Found,
        own: Option<(SessionKey, Written)>,
        member: &Member,
    ) -> Result<Self, RecordingError> {
        let Found { name, path, .. } = found;
        match own.filter(|_| found.journal) {
            Some((key, written)) => {
                let from = (member.mark, member.cutter.given);
                JournalReader::open_at(path, name, &key, written, from).map(Self::Journal)
            }
            None => {
                let mut file = File::open(path).map_err(RecordingError::storage("open", path))?;
                let sought = file.seek(SeekFrom::Start(member.cutter.given));
                sought.map_err(RecordingError::storage("read", path))?;
                Ok(Self::Clear(BufReader::new(file)))
            }
        }
    }

    pub(super) fn lines(&mut self) -> &mut dyn BufRead {
        match self {
            Self::Journal(reader) => reader,
            Self::Clear(reader) => reader,
        }
    }

    pub(super) fn mark(&self) -> Mark {
        match self {
            Self::Journal(reader) => reader.mark(),
            Self::Clear(_) => Mark::default(),
        }
    }
}
