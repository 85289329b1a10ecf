//! Cuts a journal that nobody here can open into parts, which are journals themselves.

use super::places::{Place, Run, Stored, place, runs};
use super::{MAGIC, damaged};
use crate::error::RecordingError;
use std::path::Path;

/// A part of a journal that is a journal itself.
pub(crate) struct Part {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The member's first byte that counts in it; its first frame may begin before, or behind a gap.
    pub(crate) start: u64,
    /// One past the last byte of the member in it.
    pub(crate) end: u64,
}

/// Cuts what a journal holds from the member's byte `from` on, as it is and without a key, into parts of some `most`
/// bytes, in the order of the member. What lies behind its last frame follows in parts of its own, which hold no byte of
/// the member: a power cut left it, and who has the key may still want to look.
pub(crate) fn parts_of(
    path: &Path,
    from: u64,
    most: usize,
    mut each: impl FnMut(Part) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    let stored = Stored::open(path)?;
    let length = stored.length().map_err(RecordingError::storage("look at", path))?;
    let (runs, behind) = runs(&stored, length, path)?;
    let mut part = Cutting { start: from, end: from, frames: Vec::new(), size: 0 };
    for run in runs.iter().filter(|run| run.end > from) {
        let mut at = run.at;
        while let Some(place) = frame_of(run, &stored, at, path)? {
            at = place.behind();
            if place.end() <= from {
                continue;
            }
            if part.size > most as u64 {
                let next = Cutting { start: part.end, end: part.end, frames: Vec::new(), size: 0 };
                each(std::mem::replace(&mut part, next).read(&stored, path)?)?;
            }
            part.end = part.end.max(place.end());
            part.size += place.behind() - place.at;
            part.frames.push(place);
        }
    }
    let end = part.end;
    if !part.frames.is_empty() {
        each(part.read(&stored, path)?)?;
    }
    rest(&stored, (behind, length), most, path, |bytes| each(Part { bytes, start: end, end }))
}

fn frame_of(run: &Run, stored: &Stored, at: u64, path: &Path) -> Result<Option<Place>, RecordingError> {
    if at < run.behind { place(stored, at, run.behind, path) } else { Ok(None) }
}

/// A part whose frames are known.
struct Cutting {
    start: u64,
    end: u64,
    frames: Vec<Place>,
    size: u64,
}

impl Cutting {
    /// Within a part frames stand as they were written: the one that was written last may be torn.
    fn read(mut self, stored: &Stored, path: &Path) -> Result<Part, RecordingError> {
        self.frames.sort_by_key(|place| place.at);
        let mut bytes = MAGIC.to_vec();
        for place in self.frames {
            let begin = bytes.len();
            bytes.resize(begin + usize::try_from(place.behind() - place.at).unwrap_or(0), 0);
            let room = bytes.get_mut(begin..).unwrap_or_default();
            if !stored.fill(place.at, room).map_err(RecordingError::storage("read", path))? {
                return Err(damaged(path, "it became shorter while it was read".to_owned()));
            }
        }
        Ok(Part { bytes, start: self.start, end: self.end })
    }
}

/// What lies behind the frames, without the zeros at its end, which say nothing.
fn rest(
    stored: &Stored,
    (from, to): (u64, u64),
    most: usize,
    path: &Path,
    mut each: impl FnMut(Vec<u8>) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    let mut step = vec![0; most.max(1)];
    let mut to = to;
    while to > from {
        let count = usize::try_from(to - from).unwrap_or(usize::MAX).min(step.len());
        let begin = to - count as u64;
        let room = step.get_mut(..count).unwrap_or_default();
        stored.fill(begin, room).map_err(RecordingError::storage("read", path))?;
        if let Some(last) = room.iter().rposition(|byte| *byte != 0) {
            to = begin + last as u64 + 1;
            break;
        }
        to = begin;
    }
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(usize::MAX).min(step.len());
        let room = step.get_mut(..count).unwrap_or_default();
        stored.fill(at, room).map_err(RecordingError::storage("read", path))?;
        each([&MAGIC[..], room].concat())?;
        at += count as u64;
    }
    Ok(())
}
