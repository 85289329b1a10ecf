//! Seals a recording while it is written: what fills a piece, or has waited for a minute, goes into the tar, so that less
//! and less of a session hangs on the machine that records it. What is left at the end follows then.
//!
//! The log is told of each piece before the next round. After a crash a recording is taken up again from what the log was
//! told ([`Sealing::left`]), and from its journals, which stay whole until the tar is.

use super::container::{Container, Press, read_index};
use super::cut::{BYTES, Cutter, Kind, Take};
use super::words::{self, Words};
use super::{INDEX, Piece, Place, SEALED_VERSION, SealedIndex, SealedMember, Stored, sealed_path};
use crate::error::RecordingError;
use crate::keys::Recipients;
use crate::recording::journal::{JournalReader, KEY, Lengths, Mark, SUFFIX, SessionKey, Written, parts_of};
use crate::recording::member::{Found, members_in, sync_folder};
use crate::recording::{Landing, Landings, Recording, SessionHead};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long what does not fill a piece may wait.
const WAIT: Duration = Duration::from_secs(60);
/// The bytes that may wait while they come in a burst: who moves a large file has the processors first.
const BURST: u64 = 1 << 30;
/// Plain bytes of one recording that are sealed in a round: others wait for their turn.
const ROUND: u64 = 16 << 20;

/// A recording that is being sealed.
pub struct Sealing {
    folder: PathBuf,
    head: SessionHead,
    /// Of this process' own recordings.
    key: Option<SessionKey>,
    /// How far the journals of such a one are written.
    lengths: Lengths,
    container: Container,
    members: HashMap<String, Member>,
    /// What the log is still to be told of.
    untold: Vec<Stored>,
    /// Where those who watch can read on from.
    landings: Landings,
    finished: bool,
}

/// How far one member is sealed.
struct Member {
    /// Its number in the index.
    number: usize,
    cutter: Cutter,
    /// A terminal's text.
    words: Words,
    /// Where its journal goes on.
    mark: Mark,
    /// Since when something waits.
    waits: Option<Instant>,
    /// How much waited at the last look.
    waited: u64,
}

impl Sealing {
    /// Begins with a recording of this process.
    ///
    /// # Errors
    /// What the file system said.
    pub fn begin(recording: &Recording) -> Result<Self, RecordingError> {
        let partial = partial(recording.folder());
        let index = empty(recording.head(), SEALED_VERSION - 1);
        let begun =
            Self::new(recording.folder(), recording.head(), Some(recording.key()), Container::open(&partial, index)?);
        Ok(Self { lengths: recording.lengths().clone(), landings: recording.landings().clone(), ..begun })
    }

    /// Takes up what another process left, of which the log was told this much: more than that does not count. Without
    /// its key, journals go in as they are.
    ///
    /// # Errors
    /// What the file system said, or [`RecordingError::Damaged`].
    pub fn left(folder: &Path, head: &SessionHead, told: &[Stored]) -> Result<Self, RecordingError> {
        let (path, partial) = (sealed_path(folder), partial(folder));
        if path.exists() {
            let (index, place) = read_index(&path)?;
            let mut sealing = Self::new(folder, head, None, Container::open(&path, index)?);
            sealing.finished = true;
            sealing.tell_all_but(told, Stored::alone(INDEX, place));
            return Ok(sealing);
        }
        let there = std::fs::metadata(&partial).map_or(0, |found| found.len());
        let journals = members_in(folder)?.iter().any(|found| found.journal);
        let mut index = empty(head, if journals { SEALED_VERSION } else { SEALED_VERSION - 1 });
        let mut members = HashMap::new();
        for stored in told.iter().filter(|stored| stored.place.at > 0 && stored.place.at + stored.place.size <= there) {
            if stored.name == KEY {
                index.key = Some(stored.place.clone());
            } else if let Some((member, piece)) = piece_of(stored) {
                let number = number_of(&mut index, member);
                if let Some(known) = index.members.get_mut(number) {
                    known.pieces.push(piece);
                    known.size = stored.end;
                    let pieces = known.pieces.len() as u64;
                    let cutter = Cutter::after(member, pieces, stored.end);
                    members.insert(member.to_owned(), Member { cutter, ..Member::new(number, member) });
                }
            }
        }
        Ok(Self { members, ..Self::new(folder, head, None, Container::open(&partial, index)?) })
    }

    fn new(folder: &Path, head: &SessionHead, key: Option<&SessionKey>, container: Container) -> Self {
        Self {
            folder: folder.to_owned(),
            head: head.clone(),
            key: key.cloned(),
            lengths: Lengths::default(),
            container,
            members: HashMap::new(),
            untold: Vec::new(),
            landings: Landings::default(),
            finished: false,
        }
    }

    /// The working folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who, where, what for.
    #[must_use]
    pub fn head(&self) -> &SessionHead {
        &self.head
    }

    /// What the log is to be told of.
    #[must_use]
    pub fn untold(&self) -> &[Stored] {
        &self.untold
    }

    /// The log was told of the first `count` of them.
    pub fn told(&mut self, count: usize) {
        self.untold.drain(..count.min(self.untold.len()));
    }

    /// Everything in the finished tar, its index last.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] or [`RecordingError::Damaged`] if it cannot be read.
    pub fn stored(&self) -> Result<Vec<Stored>, RecordingError> {
        let (index, place) = read_index(&sealed_path(&self.folder))?;
        Ok(index.stored().chain([Stored::alone(INDEX, place)]).collect())
    }

    /// Seals what is due of a recording that goes on: at most some MiB, on the disk when this returns; whether more is due
    /// already. Blocks.
    ///
    /// # Errors
    /// What the file system said; what was sealed before stays, and the next call goes on from there.
    pub fn go_on(&mut self, recipients: &Recipients, press: &mut Press) -> Result<bool, RecordingError> {
        let before = self.untold.len();
        let mut left = ROUND;
        for found in members_in(&self.folder)? {
            // Copies are sealed when all is over: until then they may be written anywhere.
            if found.journal && !found.name.starts_with("files/") && left > 0 {
                let written = self.lengths.of(&found.name);
                let take = self.member(&found.name).due(&found.path, &written)?;
                if let Some(take) = take {
                    self.seal_member(&found, take, &mut left, recipients, press)?;
                }
            }
        }
        if self.untold.len() > before {
            self.container.sync()?;
        }
        Ok(left == 0)
    }

    /// Seals the rest of a recording that is over, and gives the tar its name; all is on the disk when this returns. The
    /// folder stays; take it away once the log has been told. Blocks.
    ///
    /// # Errors
    /// What the file system said; then there is no tar, and the next call goes on.
    pub fn finish(&mut self, recipients: &Recipients, press: &mut Press) -> Result<(), RecordingError> {
        if self.finished {
            return Ok(());
        }
        let mut all = u64::MAX;
        for found in members_in_order(&self.folder)? {
            match (found.journal, &self.key) {
                (true, None) => self.add_journal(&found)?,
                _ => self.seal_member(&found, Take::All, &mut all, recipients, press)?,
            }
        }
        let index = self.container.finish()?;
        let path = sealed_path(&self.folder);
        std::fs::rename(self.container.path(), &path).map_err(RecordingError::storage("name", &path))?;
        sync_folder(self.folder.parent().unwrap_or(&self.folder))?;
        self.finished = true;
        self.untold.push(index);
        Ok(())
    }

    fn member(&mut self, name: &str) -> &mut Member {
        let index = &mut self.container.index;
        self.members.entry(name.to_owned()).or_insert_with(|| Member::new(number_of(index, name), name))
    }

    fn seal_member(
        &mut self,
        found: &Found,
        take: Take,
        left: &mut u64,
        recipients: &Recipients,
        press: &mut Press,
    ) -> Result<(), RecordingError> {
        let own = self.key.clone().map(|key| (key, self.lengths.of(&found.name)));
        self.member(&found.name);
        let Some(member) = self.members.get_mut(&found.name) else { return Ok(()) };
        let mut source = Source::open(found, own, member)?;
        let reading = || RecordingError::reading(&found.path);
        while *left > 0
            && let Some(cut) = member.cutter.next_piece(source.lines(), &mut press.room, take).map_err(reading())?
        {
            let more = take != Take::All || !source.lines().fill_buf().map_err(reading())?.is_empty();
            let end = cut.start + press.room.len() as u64;
            let sealed = press.seal(&cut.before, recipients);
            let sealed = sealed.map_err(RecordingError::storage("seal into", self.container.path()))?;
            let piece = Piece { place: Place::default(), journal: false, start: cut.start, micros: cut.micros };
            self.untold.push(self.container.add(member.number, piece, end, sealed)?);
            member.cutter.took(&cut, &press.room, more);
            if cut.micros.is_some() {
                member.words.add(&press.room);
            }
            member.mark = source.mark();
            *left = left.saturating_sub(press.room.len() as u64);
        }
        if take != Take::All
            && let Some(snapshot) = member.cutter.screen()
        {
            let landing = Landing { snapshot, mark: member.mark, given: member.cutter.given };
            self.landings.put(&found.name, landing);
        }
        if *left > 0 {
            // What did not come to its turn in this round has waited since then.
            member.waits = None;
        }
        if take == Take::All {
            member.words.end();
        }
        self.seal_words(&found.name, recipients, press)
    }

    /// Seals the text of what was sealed of a terminal.
    fn seal_words(&mut self, name: &str, recipients: &Recipients, press: &mut Press) -> Result<(), RecordingError> {
        let Self { container, untold, members, .. } = self;
        let Some((words, name)) = members.get_mut(name).map(|member| &mut member.words).zip(words::name_of(name))
        else {
            return Ok(());
        };
        if words.waiting.is_empty() {
            return Ok(());
        }
        press.room.clear();
        press.room.extend_from_slice(words.waiting.as_bytes());
        let sealed = press.seal("", recipients).map_err(RecordingError::storage("seal into", container.path()))?;
        let (start, end) = (words.given, words.given + words.waiting.len() as u64);
        let piece = Piece { place: Place::default(), journal: false, start, micros: None };
        let number = number_of(&mut container.index, &name);
        untold.push(container.add(number, piece, end, sealed)?);
        words.given = end;
        words.waiting = String::new();
        Ok(())
    }

    /// Adds what a journal holds beyond what is sealed, as it is.
    fn add_journal(&mut self, found: &Found) -> Result<(), RecordingError> {
        if self.container.index.key.is_none() {
            let path = self.folder.join(KEY);
            let key = std::fs::read(&path).map_err(RecordingError::storage("read", &path))?;
            self.untold.push(self.container.add_key(&key)?);
        }
        self.member(&found.name);
        let Self { container, untold, members, .. } = self;
        let Some(member) = members.get_mut(&found.name) else { return Ok(()) };
        parts_of(&found.path, member.cutter.given, BYTES, |part| {
            let piece = Piece { place: Place::default(), journal: true, start: part.start, micros: None };
            untold.push(container.add(member.number, piece, part.end, &part.bytes)?);
            member.cutter.given = part.end;
            Ok(())
        })
    }

    /// For a tar that is there already.
    fn tell_all_but(&mut self, told: &[Stored], index: Stored) {
        let told: HashSet<&str> = told.iter().map(|told| told.name.as_str()).collect();
        let all = self.container.index.stored().chain([index]);
        self.untold = all.filter(|stored| !told.contains(stored.name.as_str())).collect();
    }
}

impl Member {
    fn new(number: usize, name: &str) -> Self {
        Self {
            number,
            cutter: Cutter::of(name),
            words: Words::default(),
            mark: Mark::default(),
            waits: None,
            waited: 0,
        }
    }

    /// What of its journal should be sealed now.
    fn due(&mut self, journal: &Path, written: &Written) -> Result<Option<Take>, RecordingError> {
        let behind = self.mark.bytes_behind(journal, written)?;
        let grows = std::mem::replace(&mut self.waited, behind) < behind;
        if behind == 0 {
            self.waits = None;
            return Ok(None);
        }
        let late = self.waits.get_or_insert_with(Instant::now).elapsed() >= WAIT;
        let full = behind >= self.cutter.kind().full() as u64;
        let bursts = self.cutter.kind() == Kind::Bytes && grows && behind < BURST;
        Ok(match (full, late) {
            (true, false) if bursts => None,
            (true, _) => Some(Take::Full),
            (false, true) => Some(Take::Some),
            (false, false) => None,
        })
    }
}

/// Where a member's bytes come from.
enum Source {
    Journal(JournalReader),
    Clear(BufReader<File>),
}

impl Source {
    /// From the first byte on that is not sealed.
    fn open(found: &Found, own: Option<(SessionKey, Written)>, member: &Member) -> Result<Self, RecordingError> {
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

    fn lines(&mut self) -> &mut dyn BufRead {
        match self {
            Self::Journal(reader) => reader,
            Self::Clear(reader) => reader,
        }
    }

    fn mark(&self) -> Mark {
        match self {
            Self::Journal(reader) => reader.mark(),
            Self::Clear(_) => Mark::default(),
        }
    }
}

fn partial(folder: &Path) -> PathBuf {
    folder.with_extension("tar.partial")
}

fn empty(head: &SessionHead, version: u32) -> SealedIndex {
    SealedIndex { version, session: head.session, opened: head.opened, key: None, members: Vec::new() }
}

/// The number of a member in an index, which it gets there if it has none yet.
fn number_of(index: &mut SealedIndex, name: &str) -> usize {
    let known = index.members.iter().position(|member| member.name == name);
    known.unwrap_or_else(|| {
        index.members.push(SealedMember { name: name.to_owned(), size: 0, pieces: Vec::new() });
        index.members.len() - 1
    })
}

/// The member that a piece belongs to, and the piece, by what the log was told.
fn piece_of(stored: &Stored) -> Option<(&str, Piece)> {
    let (name, journal) = match stored.name.strip_suffix(".zst.age") {
        Some(name) => (name, false),
        None => (stored.name.strip_suffix(SUFFIX)?, true),
    };
    let (member, _) = name.rsplit_once('.')?;
    Some((member, Piece { place: stored.place.clone(), journal, start: stored.start, micros: stored.micros }))
}

/// Who and what for first, what makes it whole last.
fn members_in_order(folder: &Path) -> Result<Vec<Found>, RecordingError> {
    let mut members = members_in(folder)?;
    members.sort_by_key(|found| {
        let rank = match found.name.as_str() {
            "session.json" => 0,
            "manifest.json" => 2,
            _ => 1,
        };
        (rank, found.name.clone())
    });
    Ok(members)
}
