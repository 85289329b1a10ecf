//! Seals a recording while it is written: what fills a piece, or has waited for a minute, goes into the tar, so that less
//! and less of a session hangs on the machine that records it. What is left at the end follows then.
//!
//! The log is told of each piece before the next round, once it is on the disk. After a crash a recording is taken up
//! again from what the log was told ([`Sealing::left`]), and from its journals, which stay whole until the tar is: what
//! a failed sync leaves in doubt is made from them anew as well. Before the tar gets its name, what the disk gives back
//! of it is compared with what was sealed. That proves the bytes as far as the disk tells the truth: what it still has
//! in a memory of its own can be lost with its power.

use super::advance::{Member, Source};
use super::container::{Container, read_index};
use super::cut::{Cutter, Kind, TEXT, Take};
use super::press::Press;
use super::words;
use super::{INDEX, Piece, Place, SEALED_VERSION, SealedIndex, SealedMember, Stored, sealed_path};
use crate::error::RecordingError;
use crate::keys::Recipients;
use crate::recording::journal::{KEY, Lengths, SUFFIX, SessionKey, parts_of};
use crate::recording::member::{Found, members_in, sync_folder};
use crate::recording::{Landing, Landings, Recording, SessionHead};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

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
    /// Members as they were when all of theirs was on the disk.
    before: HashMap<String, Member>,
    /// Where reading goes on in the member whose rest takes more than one round.
    open: Option<(String, Source)>,
    /// What is not on the disk yet.
    fresh: Vec<Stored>,
    /// What the log is still to be told of.
    untold: Vec<Stored>,
    /// Where those who watch can read on from.
    landings: Landings,
    stage: Stage,
    /// Whether the log knows of the index already.
    index_told: bool,
}

/// How far the tar is.
enum Stage {
    /// Pieces come.
    Filled,
    /// It has its index and its end; so far it was compared with what was sealed.
    Ended { index: Stored, compared: (usize, usize) },
    /// It has its name.
    Named { index: Stored },
    /// And that is on the disk.
    Finished,
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
        if path.try_exists().map_err(RecordingError::storage("look for", &path))? {
            let (index, place) = read_index(&path)?;
            let index_stored = Stored::alone(INDEX, place);
            let mut sealing = Self::new(folder, head, None, Container::open(&path, index)?);
            let known: HashSet<&str> = told.iter().map(|told| told.name.as_str()).collect();
            let all = sealing.container.index().stored();
            // A crash can come between the log's being told of all and the folder's being taken away.
            sealing.index_told = known.contains(INDEX);
            sealing.fresh = all.filter(|stored| !known.contains(stored.name.as_str())).collect();
            // Whether it is what was sealed, and its name on the disk, nobody knows yet.
            sealing.stage = Stage::Ended { index: index_stored, compared: (0, 0) };
            return Ok(sealing);
        }
        let there = std::fs::metadata(&partial).map_or(0, |found| found.len());
        let journals = members_in(folder)?.iter().any(|found| found.journal);
        let mut index = empty(head, if journals { SEALED_VERSION } else { SEALED_VERSION - 1 });
        let (mut members, mut known) = (HashMap::<String, Member>::new(), HashSet::new());
        let lies_there =
            |place: &Place| place.at > 0 && place.at.checked_add(place.size).is_some_and(|end| end <= there);
        for stored in told.iter().filter(|stored| lies_there(&stored.place)) {
            if !known.insert(stored.name.as_str()) {
                // Told twice, since nobody knew whether the first time had come through. It is there once.
                continue;
            }
            if stored.name == KEY {
                index.key = Some(stored.place.clone());
            } else if let Some((member, piece)) = piece_of(stored) {
                let number = members.get(member).map_or(index.members.len(), |known| known.number);
                if number == index.members.len() {
                    index.members.push(SealedMember { name: member.to_owned(), size: 0, pieces: Vec::new() });
                }
                if let Some(known) = index.members.get_mut(number) {
                    known.pieces.push(piece);
                    known.size = stored.end;
                    let cutter = Cutter::after(member, known.pieces.len() as u64, stored.end);
                    let taken_up = Member { cutter, words: None, ..Member::new(number, member) };
                    members.insert(member.to_owned(), taken_up);
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
            before: HashMap::new(),
            open: None,
            fresh: Vec::new(),
            untold: Vec::new(),
            landings: Landings::default(),
            stage: Stage::Filled,
            index_told: false,
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

    /// What the log is to be told of; all of it is on the disk.
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
    /// What the file system said; what is on the disk stays, and the next call goes on from there.
    pub fn go_on(&mut self, recipients: &Recipients, press: &mut Press) -> Result<bool, RecordingError> {
        let more = self.seal_what_is_due(recipients, press);
        // Whatever failed: what was sealed before counts, once it is on the disk.
        self.sync()?;
        more
    }

    /// Seals more of the rest of a recording that is over, as much as in a round, and at its end gives the tar its name;
    /// whether there is more to do. When there is not, all is on the disk. The folder stays; take it away once the log has
    /// been told. Blocks.
    ///
    /// # Errors
    /// What the file system said; then there is no tar, and the next call goes on.
    pub fn finish(&mut self, recipients: &Recipients, press: &mut Press) -> Result<bool, RecordingError> {
        let mut left = ROUND;
        loop {
            match &mut self.stage {
                Stage::Filled => {
                    let all = self.seal_the_rest(&mut left, recipients, press);
                    self.sync()?;
                    if !all? {
                        return Ok(true);
                    }
                    self.stage = Stage::Ended { index: self.container.finish()?, compared: (0, 0) };
                }
                Stage::Ended { index, compared } => {
                    if !compare(&self.container, index, compared, &mut left)? {
                        return Ok(true);
                    }
                    // From another process it may have its name already.
                    let path = sealed_path(&self.folder);
                    if self.container.path() != path {
                        let named = std::fs::rename(self.container.path(), &path);
                        named.map_err(RecordingError::storage("name", &path))?;
                    }
                    self.stage = Stage::Named { index: index.clone() };
                }
                Stage::Named { index } => {
                    sync_folder(self.folder.parent().unwrap_or(&self.folder))?;
                    self.untold.append(&mut self.fresh);
                    if !self.index_told {
                        self.untold.push(index.clone());
                    }
                    self.stage = Stage::Finished;
                }
                Stage::Finished => return Ok(false),
            }
        }
    }

    fn sync(&mut self) -> Result<(), RecordingError> {
        let synced = self.container.sync();
        match &synced {
            Ok(()) => self.untold.append(&mut self.fresh),
            Err(_) => {
                // Nobody knows what of it the disk has: it is made from the journals anew.
                self.fresh.clear();
                self.open = None;
                self.members.extend(self.before.drain());
            }
        }
        self.before.clear();
        synced
    }

    fn seal_what_is_due(&mut self, recipients: &Recipients, press: &mut Press) -> Result<bool, RecordingError> {
        let (mut left, mut done) = (ROUND, Ok(()));
        for found in members_in(&self.folder)? {
            if found.journal && left > 0 {
                // One that fails holds no other up.
                done = done.and(self.seal_if_due(&found, &mut left, recipients, press));
            }
        }
        done.map(|()| left == 0)
    }

    fn seal_if_due(
        &mut self,
        found: &Found,
        left: &mut u64,
        recipients: &Recipients,
        press: &mut Press,
    ) -> Result<(), RecordingError> {
        if found.name.starts_with("files/") {
            // As long as its file is on the way, a copy may be written anywhere; then it is all there.
            let due = !self.lengths.is_open(&found.name) && !self.member(&found.name).ended;
            return if due { self.seal_member(found, Take::All, left, recipients, press) } else { Ok(()) };
        }
        let (pieces, written) = (self.container.pieces(), self.lengths.of(&found.name));
        let member = self.member(&found.name);
        let full = member.cutter.kind().full(pieces);
        match member.due(&found.path, &written, full)? {
            Some(take) => self.seal_member(found, take, left, recipients, press),
            None => Ok(()),
        }
    }

    /// Whether all is sealed.
    fn seal_the_rest(
        &mut self,
        left: &mut u64,
        recipients: &Recipients,
        press: &mut Press,
    ) -> Result<bool, RecordingError> {
        for found in members_in_order(&self.folder)? {
            if self.member(&found.name).ended {
                continue;
            }
            if *left == 0 {
                return Ok(false);
            }
            match (found.journal, &self.key) {
                (true, None) => self.add_journal(&found, left)?,
                _ => self.seal_member(&found, Take::All, left, recipients, press)?,
            }
            if !self.member(&found.name).ended {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn member(&mut self, name: &str) -> &mut Member {
        let container = &mut self.container;
        self.members.entry(name.to_owned()).or_insert_with(|| Member::new(container.number_of(name), name))
    }

    /// Keeps a member as it is before more of it is sealed, for when that does not reach the disk.
    fn remember(&mut self, name: &str) {
        if !self.before.contains_key(name) {
            let as_it_is = self.member(name).clone();
            self.before.insert(name.to_owned(), as_it_is);
        }
    }

    fn seal_member(
        &mut self,
        found: &Found,
        take: Take,
        left: &mut u64,
        recipients: &Recipients,
        press: &mut Press,
    ) -> Result<(), RecordingError> {
        let open = self.open.take_if(|(name, _)| *name == found.name);
        self.remember(&found.name);
        let own = self.key.clone().map(|key| (key, self.lengths.of(&found.name)));
        let Self { container, fresh, members, .. } = self;
        let Some(member) = members.get_mut(&found.name) else { return Ok(()) };
        let mut source = match open {
            Some((_, source)) => source,
            None => Source::open(found, own, member)?,
        };
        let reading = || RecordingError::reading(&found.path);
        let kind = member.cutter.kind();
        let (mut taken, mut ended) = (false, false);
        while *left > 0 {
            let full = kind.full(container.pieces());
            let next = member.cutter.next_piece(source.lines(), &mut press.room, take, full);
            let Some(cut) = next.map_err(reading())? else {
                ended = take == Take::All;
                break;
            };
            let more = take != Take::All || !source.lines().fill_buf().map_err(reading())?.is_empty();
            let end = cut.start + press.room.len() as u64;
            let sealed = press.seal(&cut.before, recipients);
            let sealed = sealed.map_err(RecordingError::storage("seal into", container.path()))?;
            let piece = Piece { place: Place::default(), journal: false, start: cut.start, micros: cut.micros };
            fresh.push(container.add(member.number, piece, end, sealed)?);
            member.cutter.took(&cut, &press.room, more);
            *left = left.saturating_sub(press.room.len() as u64);
            taken = true;
            // The source stands behind what was read of a line and not given: the line is read again, from where its
            // frame begins.
            if !cut.half {
                member.mark = source.mark();
            }
            if let Some(words) = member.words.as_mut().filter(|_| kind == Kind::Cast) {
                words.add(&press.room);
                // A line of two bytes is one of thirty with its time: what a long member gives must not pile up.
                if words.waiting.len() >= TEXT {
                    seal_words(container, fresh, member, &found.name, recipients, press)?;
                }
            }
            if cut.half {
                break;
            }
        }
        if take != Take::All
            && let Some(snapshot) = member.cutter.screen()
        {
            let landing = Landing { snapshot, mark: member.mark, given: member.cutter.given };
            self.landings.put(&found.name, landing);
        }
        if *left > 0 && taken {
            // What did not come to its turn in this round has waited since then.
            member.waits = None;
        }
        if let Some(words) = member.words.as_mut().filter(|_| ended) {
            words.end();
        }
        seal_words(container, fresh, member, &found.name, recipients, press)?;
        member.ended = ended;
        if take == Take::All && !ended {
            self.open = Some((found.name.clone(), source));
        }
        Ok(())
    }

    /// Adds what a journal holds beyond what is sealed, as it is.
    fn add_journal(&mut self, found: &Found, left: &mut u64) -> Result<(), RecordingError> {
        if self.container.index().key.is_none() {
            let path = self.folder.join(KEY);
            let key = std::fs::read(&path).map_err(RecordingError::storage("read", &path))?;
            self.fresh.push(self.container.add_key(&key)?);
        }
        self.remember(&found.name);
        let Self { container, fresh, members, .. } = self;
        let Some(member) = members.get_mut(&found.name) else { return Ok(()) };
        let most = Kind::Bytes.full(container.pieces());
        parts_of(&found.path, member.cutter.given, most, |part| {
            let piece = Piece { place: Place::default(), journal: true, start: part.start, micros: None };
            fresh.push(container.add(member.number, piece, part.end, &part.bytes)?);
            member.cutter.given = part.end;
            *left = left.saturating_sub(part.bytes.len() as u64);
            Ok(())
        })?;
        member.ended = true;
        Ok(())
    }
}

/// Seals the text of what was sealed of a terminal.
fn seal_words(
    container: &mut Container,
    fresh: &mut Vec<Stored>,
    member: &mut Member,
    name: &str,
    recipients: &Recipients,
    press: &mut Press,
) -> Result<(), RecordingError> {
    let Some((name, words)) = words::name_of(name).zip(member.words.as_mut()) else { return Ok(()) };
    if words.waiting.is_empty() {
        return Ok(());
    }
    press.room.clear();
    press.room.extend_from_slice(words.waiting.as_bytes());
    let sealed = press.seal("", recipients).map_err(RecordingError::storage("seal into", container.path()))?;
    let (start, end) = (words.given, words.given + words.waiting.len() as u64);
    let piece = Piece { place: Place::default(), journal: false, start, micros: None };
    let number = container.number_of(&name);
    fresh.push(container.add(number, piece, end, sealed)?);
    words.given = end;
    words.waiting = String::new();
    Ok(())
}

/// Compares more of a tar that has its end; whether all was compared. What differs is looked at from the beginning the
/// next time.
fn compare(
    container: &Container,
    index: &Stored,
    compared: &mut (usize, usize),
    left: &mut u64,
) -> Result<bool, RecordingError> {
    if *compared == (0, 0) {
        container.forget();
    }
    let all = container.compare(compared, left).and_then(|all| {
        if all {
            container.compare_one(&index.name, &index.place)?;
        }
        Ok(all)
    });
    all.inspect_err(|_| *compared = (0, 0))
}

fn partial(folder: &Path) -> PathBuf {
    folder.with_extension("tar.partial")
}

fn empty(head: &SessionHead, version: u32) -> SealedIndex {
    SealedIndex { version, session: head.session, opened: head.opened, key: None, members: Vec::new() }
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

#[cfg(test)]
mod tests;
