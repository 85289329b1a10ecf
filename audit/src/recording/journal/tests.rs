//! Journals as disks leave them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::places::{Stored, is_copy, place, runs};
use super::*;
use crate::recording::Durability;
use std::collections::HashSet;
use std::io::Read;

/// Where each frame's bytes belong, and how many they are.
pub(crate) fn heads(path: &Path) -> Vec<(u64, u32)> {
    let stored = Stored::open(path).unwrap();
    let (mut at, mut heads) = (MAGIC.len() as u64, Vec::new());
    while let Some(place) = place(&stored, at, stored.length().unwrap(), path).unwrap() {
        heads.push((place.position, place.length));
        at = place.behind();
    }
    heads
}

struct Bed {
    root: tempfile::TempDir,
    member: &'static str,
    key: SessionKey,
    lengths: Lengths,
}

impl Bed {
    fn new(member: &'static str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("files")).unwrap();
        Self { root, member, key: SessionKey::from([7; 32]), lengths: Lengths::default() }
    }

    fn path(&self) -> PathBuf {
        path_of(self.root.path(), self.member)
    }

    fn journal(&self) -> Journal {
        Journal::create(self.root.path(), self.member, &self.key, &self.lengths, Durability::Process).unwrap()
    }

    /// Of frames of these bytes at these positions.
    fn written(&self, frames: &[(u64, &[u8])]) -> Vec<u8> {
        let mut journal = self.journal();
        frames.iter().for_each(|(position, bytes)| journal.write(*position, bytes).unwrap());
        std::fs::read(self.path()).unwrap()
    }

    /// What another process left, as it reads.
    fn read(&self, stored: &[u8]) -> Result<Vec<u8>, String> {
        std::fs::write(self.path(), stored).unwrap();
        let mut plain = Vec::new();
        let reader = JournalReader::open(&self.path(), self.member, &self.key).map_err(|fault| fault.to_string())?;
        { reader }.read_to_end(&mut plain).map_err(|fault| fault.to_string())?;
        assert_eq!(size(&self.path(), self.member, &self.key).unwrap(), plain.len() as u64);
        Ok(plain)
    }

    /// The same by parts, as they are sealed: each from its start to its end, and what was left over.
    fn parts(&self, stored: &[u8], most: usize) -> (Vec<u8>, Vec<u8>) {
        std::fs::write(self.path(), stored).unwrap();
        let (mut plain, mut rest, mut reached) = (Vec::new(), Vec::new(), 0);
        parts_of(&self.path(), 0, most, |part| {
            assert_eq!(part.start, reached, "a part begins where the one before ends");
            reached = part.end;
            if part.start == part.end {
                rest.extend_from_slice(&part.bytes[MAGIC.len()..]);
                return Ok(());
            }
            let reader = JournalReader::part(part.bytes, &self.path(), self.member, &self.key, part.start)?;
            let length = reader.take(part.end - part.start).read_to_end(&mut plain).unwrap();
            assert_eq!(length as u64, part.end - part.start, "it ends too early");
            Ok(())
        })
        .unwrap();
        (plain, rest)
    }
}

const STREAM: &str = "00001.stdout";
const COPY: &str = "files/00001-0001";

#[test]
fn what_a_power_cut_left_behind_the_last_frame_ends_what_is_read_and_is_kept() {
    let garbage: Vec<u8> = (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8 | 1).collect();
    for member in [STREAM, COPY] {
        let bed = Bed::new(member);
        let whole = bed.written(&[(0, b"one "), (4, b"two "), (8, b"three")]);
        for (what, behind) in [("zeros", &[0; 9000][..]), ("garbage", &garbage), ("a cut head", &garbage[..7])] {
            let stored = [&whole[..], behind].concat();
            assert_eq!(bed.read(&stored).as_deref(), Ok(&b"one two three"[..]), "{what}");
            let (plain, rest) = bed.parts(&stored, 1 << 20);
            assert_eq!(plain, b"one two three", "{what}");
            assert!(if what == "zeros" { rest.is_empty() } else { rest == behind }, "{what}: {rest:?}");
        }
        // Nothing of it was on the disk yet.
        assert_eq!(bed.read(&vec![0; whole.len()]).as_deref(), Ok(&b""[..]));
        assert_eq!(bed.parts(&vec![0; whole.len()], 1 << 20), (Vec::new(), Vec::new()));
        assert!(bed.read(&garbage).is_err(), "that is no journal");
        assert_eq!(bed.parts(&garbage, 1 << 10), (Vec::new(), garbage.clone()));
    }
}

#[test]
fn a_last_frame_that_does_not_open_is_torn_and_one_before_others_was_altered() {
    for member in [STREAM, COPY] {
        let bed = Bed::new(member);
        let whole = bed.written(&[(0, b"one "), (4, b"two "), (8, b"three")]);
        let last = whole.len() - HEAD - 5 - TAG;
        let mut torn = whole.clone();
        torn[last + HEAD..].fill(0);
        assert_eq!(bed.read(&torn).as_deref(), Ok(&b"one two "[..]), "{member}");
        // Two of them, and zeros.
        torn[last - TAG..last].fill(0);
        torn.extend_from_slice(&[0; 100]);
        assert_eq!(bed.read(&torn).as_deref(), Ok(&b"one "[..]), "{member}");

        let mut altered = whole;
        altered[last - 1] ^= 1;
        let fault = bed.read(&altered).unwrap_err();
        let at = last - HEAD - 4 - TAG;
        assert!(fault.contains(&format!("the frame at {at} was altered")), "{fault}");
    }
}

/// The last frame of a copy that came out of order belongs before others.
#[test]
fn a_torn_frame_in_the_middle_of_a_copy_is_a_gap() {
    let bed = Bed::new(COPY);
    let mut stored = bed.written(&[(0, b"one "), (8, b"three"), (4, b"two ")]);
    assert_eq!(bed.read(&stored).as_deref(), Ok(&b"one two three"[..]));
    let last = stored.len() - 1;
    stored[last] ^= 1;
    assert_eq!(bed.read(&stored).as_deref(), Ok(&b"one \0\0\0\0three"[..]));
    let (plain, _) = bed.parts(&stored, 1 << 20);
    assert_eq!(plain, b"one \0\0\0\0three");
}

#[test]
fn a_gap_between_two_parts_is_read_by_one_of_them() {
    let bed = Bed::new(COPY);
    let frames: Vec<_> = (0..40_u64).map(|number| (number * 300_000, [b'a' + number as u8 % 26; 1000])).collect();
    let frames: Vec<_> = frames.iter().map(|(position, bytes)| (*position, &bytes[..])).collect();
    let stored = bed.written(&frames);
    let plain = bed.read(&stored).unwrap();
    assert_eq!(plain.len(), 39 * 300_000 + 1000);
    for most in [500, 1000, 4000, 1 << 20] {
        assert!(bed.parts(&stored, most).0 == plain, "parts of {most}");
    }
}

#[test]
fn what_is_sealed_already_is_in_no_part() {
    let bed = Bed::new(STREAM);
    let bytes: Vec<u8> = (0..100_u8).collect();
    let frames: Vec<_> = bytes.chunks(10).enumerate().map(|(number, part)| (number as u64 * 10, part)).collect();
    bed.written(&frames);
    let mut parts = Vec::new();
    parts_of(&bed.path(), 75, 60, |part| {
        parts.push((part.start, part.end, part.bytes.len()));
        Ok(())
    })
    .unwrap();
    // The frame that holds the byte 75 is there whole.
    let frame = HEAD + 10 + TAG;
    assert_eq!(parts, [(75, 90, MAGIC.len() + 2 * frame), (90, 100, MAGIC.len() + frame)]);
}

/// While a disk makes up its mind a frame is there whole. If it then says no, nobody may have taken it.
#[test]
fn what_was_not_acknowledged_is_not_read() {
    for member in [STREAM, COPY] {
        let bed = Bed::new(member);
        let mut journal = bed.journal();
        journal.write(0, b"one ").unwrap();
        let acknowledged = std::fs::metadata(bed.path()).unwrap().len();
        // As the kernel has it before the disk has it.
        let other = Bed::new(member);
        let whole = other.written(&[(0, b"one "), (4, b"two ")]);
        std::fs::write(bed.path(), &whole).unwrap();
        let read = |lengths: &Lengths| {
            let from = (Mark::default(), 0);
            let reader = JournalReader::open_at(&bed.path(), member, &bed.key, lengths.of(member), from);
            let mut plain = Vec::new();
            let count = reader.map_err(|fault| fault.to_string())?.read_to_end(&mut plain);
            count.map(|_| plain).map_err(|fault| fault.to_string())
        };
        assert_eq!(read(&bed.lengths).as_deref(), Ok(&b"one "[..]));
        let behind = Mark::default().bytes_behind(&bed.path(), &bed.lengths.of(member)).unwrap();
        assert_eq!(behind + MAGIC.len() as u64, acknowledged, "more of it is due");
        // The disk said no: it goes, and nothing takes its place.
        journal.tear();
        assert!(journal.write(4, b"2nd ").is_err());
        journal.sync().unwrap();
        assert_eq!(std::fs::metadata(bed.path()).unwrap().len(), acknowledged);
        drop(journal);
        assert_eq!(read(&bed.lengths).as_deref(), Ok(&b"one "[..]));
        // What this process wrote is not torn: it was altered.
        std::fs::write(bed.path(), &whole[..whole.len() - 1]).unwrap();
        assert!(read(&bed.lengths).is_err());
    }
}

#[test]
fn what_came_in_order_is_one_run_however_small_it_came() {
    for member in [STREAM, COPY] {
        let bed = Bed::new(member);
        let mut journal = bed.journal();
        (0..20_000).for_each(|at| journal.write(at, b"x").unwrap());
        let (stored, path) = (Stored::open(&bed.path()).unwrap(), bed.path());
        let (runs, behind) = runs(&stored, u64::MAX, &path).unwrap();
        assert_eq!((runs.len(), behind), (1, stored.length().unwrap()));
        assert_eq!(is_copy(&path), member == COPY);
        let whole = std::fs::read(&path).unwrap();
        assert!(bed.parts(&whole, 50_000).0 == vec![b'x'; 20_000]);
        let heads = heads(&path);
        assert_eq!(heads.iter().collect::<HashSet<_>>().len(), heads.len());
    }
}

/// Frames came in any order, and some never.
#[test]
fn a_copy_is_read_on_from_any_byte() {
    let bed = Bed::new("files/00001-0001");
    bed.written(&[(0, b"abc"), (6, b"gh"), (3, b"def"), (12, b"mn"), (8, b"i")]);
    let whole = b"abcdefghi\0\0\0mn";
    for from in 0..=whole.len() {
        let place = (Mark::default(), from as u64);
        let reader = JournalReader::open_at(&bed.path(), bed.member, &bed.key, bed.lengths.of(bed.member), place);
        let mut plain = Vec::new();
        reader.unwrap().read_to_end(&mut plain).unwrap();
        assert_eq!(plain, whole[from..], "from {from}");
    }
}
