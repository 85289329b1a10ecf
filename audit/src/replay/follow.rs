//! Follows a recording while it is written, or reads a finished one the same way.

use super::cast::{CastEvent, CastReader};
use super::index::{members_of, next_line_of, read_manifest};
use super::lines::LineReader;
use super::source::Source;
use crate::error::RecordingError;
use crate::recording::{Line, Manifest, Stream, sealed_path};
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// How often a live recording is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a command's stream in one piece, and pieces of a member in one look.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 256;

/// What came to be seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A terminal's channel and size, before its first event.
    Terminal(u32, u16, u16),
    /// An event of a terminal.
    Event(u32, CastEvent),
    /// A line of any other channel.
    Line(u32, Line),
    /// Bytes of a command.
    Bytes(u32, Stream, Vec<u8>),
    /// The session ended; nothing follows.
    Ended(Box<Manifest>),
    /// The session ended, and its recording was sealed before all of it was seen here; nothing follows.
    Sealed,
}

/// A recording's place up to which it was seen.
pub struct Follower {
    source: Source,
    members: BTreeMap<String, Member>,
    ended: bool,
}

enum Member {
    Cast(u32, Box<CastReader>),
    Lines(u32, Box<LineReader>),
    Bytes(u32, Stream, Box<dyn Read + Send>, PathBuf),
}

impl Follower {
    /// Begins at the beginning of a recording.
    #[must_use]
    pub fn new(source: impl Into<Source>) -> Self {
        Self { source: source.into(), members: BTreeMap::new(), ended: false }
    }

    /// What was written since the last look, at most some MiB; empty if nothing was. Reads the disk and never waits for
    /// more. [`Seen::Ended`] comes after everything else.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] or [`RecordingError::Damaged`].
    pub fn look(&mut self) -> Result<Vec<Seen>, RecordingError> {
        let mut seen = Vec::new();
        if self.ended {
            return Ok(seen);
        }
        // Read before the members: once it is there, nothing more is written to them.
        let manifest = read_manifest(&self.source)?;
        if let Err(fault) = self.find_members(&mut seen) {
            self.ended = !self.source.path().exists() && sealed_path(self.source.path()).exists();
            if !self.ended {
                return Err(fault);
            }
        }
        for member in self.members.values_mut() {
            member.read(&mut seen)?;
        }
        if self.ended {
            seen.push(Seen::Sealed);
        } else if let (Some(manifest), true) = (manifest, seen.is_empty()) {
            self.ended = true;
            seen.push(Seen::Ended(Box::new(manifest)));
        }
        Ok(seen)
    }

    fn find_members(&mut self, seen: &mut Vec<Seen>) -> Result<(), RecordingError> {
        for (channel, names) in members_of(&self.source)? {
            for name in names {
                if self.members.contains_key(&name) {
                    continue;
                }
                if let Some(member) = Member::open(&self.source, &name, channel)? {
                    if let Member::Cast(_, cast) = &member {
                        seen.push(Seen::Terminal(channel, cast.header().cols, cast.header().rows));
                    }
                    self.members.insert(name, member);
                }
            }
        }
        Ok(())
    }
}

impl Member {
    /// Opens a member that can be followed; one whose header is not written yet is found at the next look.
    fn open(source: &Source, name: &str, channel: u32) -> Result<Option<Self>, RecordingError> {
        let bytes = |stream| Ok(Some(Self::Bytes(channel, stream, source.open(name)?, source.label(name))));
        let empty = source.size(name)? == 0;
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("cast") if !empty => Ok(Some(Self::Cast(channel, Box::new(CastReader::of(source, name)?)))),
            Some("jsonl") => Ok(Some(Self::Lines(channel, Box::new(LineReader::of(source, name)?)))),
            Some("stdin") => bytes(Stream::Stdin),
            Some("stdout") => bytes(Stream::Stdout),
            Some("stderr") => bytes(Stream::Stderr),
            _ => Ok(None),
        }
    }

    fn read(&mut self, seen: &mut Vec<Seen>) -> Result<(), RecordingError> {
        for _ in 0..PIECES {
            let piece = match self {
                Self::Cast(channel, cast) => cast.next_event()?.map(|event| Seen::Event(*channel, event)),
                Self::Lines(channel, lines) => next_line_of(lines)?.map(|line| Seen::Line(*channel, line)),
                Self::Bytes(channel, stream, file, path) => {
                    let mut piece = vec![0; PIECE];
                    let count = file.read(&mut piece).map_err(RecordingError::reading(path))?;
                    piece.truncate(count);
                    (count > 0).then_some(Seen::Bytes(*channel, *stream, piece))
                }
            };
            match piece {
                Some(piece) => seen.push(piece),
                None => break,
            }
        }
        Ok(())
    }
}

/// Follows a recording until it ends or `each` breaks, looking 20 times a second. Blocks.
///
/// # Errors
/// As [`Follower::look`].
pub fn follow(source: impl Into<Source>, mut each: impl FnMut(Seen) -> ControlFlow<()>) -> Result<(), RecordingError> {
    let mut follower = Follower::new(source);
    loop {
        let seen = follower.look()?;
        let nothing = seen.is_empty();
        for piece in seen {
            let last = matches!(piece, Seen::Ended(_) | Seen::Sealed);
            if each(piece).is_break() || last {
                return Ok(());
            }
        }
        if nothing {
            std::thread::sleep(PAUSE);
        }
    }
}
