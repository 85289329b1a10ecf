//! Judging a whole log, offline: nothing is believed but the keys and the anchors that were handed over.
//!
//! All tiles and entries are read once, in order, on all cores; memory holds one hash for each 256 entries and a few
//! words for each session. What a pass proves and what it cannot is told in `audit/VERIFY.md`.

mod course;
mod fault;
mod recordings;
mod signed;
mod tiles;
mod tree;

pub use fault::{Code, Fault, Severity};
pub use recordings::{Compared, Recordings};

use crate::log::{Anchor, Hash, Leaf, LogError, LogKeys};
use course::Course;
use serde::Serialize;
use signed::Kept;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;
use tiles::Task;
use tree::Tree;

/// Findings that a report lists; the rest are counted.
const MOST_FAULTS: usize = 1000;

/// Where the bytes are that leaves were made of: asked for each entry in turn, from several threads.
pub type Bodies<'a> = &'a (dyn Fn(u64, &Leaf) -> Body + Sync);

/// What became of the bytes that a leaf was made of.
#[derive(Debug, Clone)]
pub enum Body {
    /// They are these.
    Stored(Vec<u8>),
    /// They were read elsewhere, a piece at a time.
    Measured {
        /// How many.
        length: u64,
        /// Their SHA-256.
        hash: Hash,
    },
    /// They should be here and are not.
    Gone,
    /// This source does not hold such bytes.
    Elsewhere,
}

/// What is taken for usual.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest silence of the beat: an hour and some minutes.
    pub beat: Duration,
    /// The longest session; an older one that is open should have been closed.
    pub session: Duration,
    /// How far a clock may be set back.
    pub clock: Duration,
    /// How long recordings have to be kept after their session's end at the least, if that is known.
    pub retention: Option<Duration>,
    /// How many known witnesses must have cosigned some state of this log.
    pub quorum: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            beat: hours(1) + Duration::from_secs(300),
            session: hours(24),
            clock: Duration::from_secs(60),
            retention: None,
            quorum: 0,
        }
    }
}

/// What else is looked at, and who is told meanwhile.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// What is taken for usual.
    pub limits: Limits,
    /// Where the stored bytes are, if they are to be compared.
    pub bodies: Option<Bodies<'a>>,
    /// The recordings, if they are to be compared; they stand in for `bodies`.
    pub recordings: Option<&'a Recordings>,
    /// Told how many entries were read, of how many.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
    /// Threads; all cores if 0.
    pub threads: usize,
}

/// The judgement in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was found.
    Intact,
    /// Nothing shows an alteration; something has to be explained.
    Questions,
    /// It is not what was sealed.
    Altered,
}

/// An anchor and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Anchored {
    /// Which.
    pub label: String,
    /// The size it vouches for.
    pub size: u64,
    /// Whether the log begins as it says.
    pub agrees: bool,
}

/// A state of the log that a known witness cosigned and that the log still contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    /// The witness's name.
    pub witness: String,
    /// The size it vouches for.
    pub size: u64,
    /// When, Unix seconds by the witness's clock.
    pub time: u64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The judgement.
    pub verdict: Verdict,
    /// The log's name.
    pub origin: String,
    /// Entries, as the checkpoint says; `None` if it cannot be read.
    pub entries: Option<u64>,
    /// The root, as the checkpoint says.
    pub root: Option<Hash>,
    /// The time of the first entry, Unix microseconds; RFC 3339 in JSON.
    #[serde(serialize_with = "fault::rfc3339")]
    pub first: Option<u64>,
    /// The time of the last entry.
    #[serde(serialize_with = "fault::rfc3339")]
    pub last: Option<u64>,
    /// Sessions in it.
    pub sessions: u64,
    /// Sessions that were opened not long before the end and are open still.
    pub still_open: u64,
    /// Entries up to the last anchor or cosignature that agrees. What follows could be rewritten by who holds the key.
    pub anchored: u64,
    /// The anchors that were given.
    pub anchors: Vec<Anchored>,
    /// Cosignatures of known witnesses.
    pub cosignatures: Vec<Cosigned>,
    /// The recordings that were compared, if any were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recordings: Option<Compared>,
    /// The findings, at most a thousand.
    pub faults: Vec<Fault>,
    /// Findings that are not listed.
    pub more_faults: u64,
}

/// Verifies the log in `root`.
///
/// # Errors
/// [`LogError::KeysInsideLog`], [`LogError::Storage`] if there is no such folder. Everything else is a finding.
pub fn verify(root: &Path, keys: &LogKeys, anchors: &[Anchor], options: &Options<'_>) -> Result<Report, LogError> {
    keys.outside_of(root)?;
    let mut faults = Vec::new();
    let newest = match signed::newest(root, keys) {
        Ok(newest) => newest,
        Err(fault) => return Ok(Report::unreadable(keys, fault)),
    };
    let size = newest.checkpoint.size;
    let kept = Kept::read(root, anchors, &mut faults);
    let wanted = kept.sizes().chain(rotation_sizes(root)).filter(|wanted| *wanted <= size).collect::<BTreeSet<_>>();
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    };
    let recordings = options.recordings;
    let recorded = |_: u64, leaf: &Leaf| recordings.map_or(Body::Elsewhere, |recordings| recordings.body(leaf));
    let bodies = if recordings.is_some() { Some(&recorded as Bodies<'_>) } else { options.bodies };
    let task = Task { root, size, wanted: &wanted, bodies, threads };
    let mut tree = Tree::new(root, &newest.checkpoint, &wanted);
    let mut course = Course::default();
    let (mut kept_of, mut more_faults) = (HashMap::new(), 0);
    tiles::check_all(&task, |checked| {
        let mut found = Vec::new();
        let flow = tree.take(&checked, &mut found);
        for (entry, leaf, held) in &checked.leaves {
            course.take(*entry, leaf, *held, &options.limits, &mut found);
        }
        found.extend(checked.faults);
        more_faults += keep(&mut faults, found, &mut kept_of);
        if let Some(progress) = options.progress {
            progress(checked.index * 256 + u64::from(checked.width), size);
        }
        flow
    });
    let roots = tree.end(&mut faults);
    let summary = course.end(&options.limits, &mut faults);
    faults.extend(signed::in_force(&newest.note, size, keys, &course.rotations));
    signed::follow_keys(root, keys, &course.rotations, &roots, &mut faults);
    let (anchors, cosignatures) = signed::compare_kept(&kept, &newest, keys, &roots, &mut faults);
    faults.extend(recordings.map(Recordings::unsealed).unwrap_or_default());
    faults.extend(quorum(&cosignatures, options.limits.quorum));
    let anchored = anchors.iter().filter(|anchor| anchor.agrees).map(|anchor| anchor.size);
    let anchored = anchored.chain(cosignatures.iter().map(|cosigned| cosigned.size)).max().unwrap_or(0);
    let report = Report {
        verdict: verdict(&faults),
        origin: newest.checkpoint.origin,
        entries: Some(size),
        root: Some(newest.checkpoint.root),
        first: summary.first,
        last: summary.last,
        sessions: summary.sessions,
        still_open: summary.still_open,
        anchored,
        anchors,
        cosignatures,
        recordings: recordings.map(Recordings::compared),
        more_faults: more_faults + faults.len().saturating_sub(MOST_FAULTS) as u64,
        faults,
    };
    Ok(report.shortened())
}

impl Report {
    fn unreadable(keys: &LogKeys, fault: Fault) -> Self {
        Self {
            verdict: Verdict::Altered,
            origin: keys.origin().to_owned(),
            entries: None,
            root: None,
            first: None,
            last: None,
            sessions: 0,
            still_open: 0,
            anchored: 0,
            anchors: Vec::new(),
            cosignatures: Vec::new(),
            recordings: None,
            faults: vec![fault],
            more_faults: 0,
        }
    }

    fn shortened(mut self) -> Self {
        // What proves an alteration first, then in the order of the entries.
        self.faults.sort_by_key(|fault| (fault.severity == Severity::Question, fault.entry));
        self.faults.truncate(MOST_FAULTS);
        self
    }
}

fn verdict(faults: &[Fault]) -> Verdict {
    match faults.iter().map(|fault| fault.severity).min_by_key(|severity| *severity == Severity::Question) {
        None => Verdict::Intact,
        Some(Severity::Question) => Verdict::Questions,
        Some(Severity::Altered) => Verdict::Altered,
    }
}

fn quorum(cosignatures: &[Cosigned], quorum: usize) -> Option<Fault> {
    let witnesses = cosignatures.iter().map(|cosigned| &cosigned.witness).collect::<BTreeSet<_>>().len();
    let detail = || format!("{witnesses} of the known witnesses cosigned, {quorum} were asked for");
    (witnesses < quorum).then(|| Fault::new(Code::CosignaturesMissing, detail()))
}

/// Keeps findings, of each code only so many that a ruined log does not fill the memory; returns how many were left out.
fn keep(faults: &mut Vec<Fault>, found: Vec<Fault>, kept_of: &mut HashMap<Code, usize>) -> u64 {
    let before = found.len();
    let kept = found.into_iter().filter(|fault| {
        let kept = kept_of.entry(fault.code).or_default();
        *kept += 1;
        *kept <= MOST_FAULTS
    });
    let held = faults.len();
    faults.extend(kept);
    (before - (faults.len() - held)) as u64
}

/// The sizes under which rotations lie sealed, as the folder says; the leaves say which there have to be.
fn rotation_sizes(root: &Path) -> Vec<u64> {
    let names = std::fs::read_dir(root.join("rotation")).into_iter().flatten().flatten();
    names.filter_map(|file| file.file_name().to_str()?.parse().ok()).collect()
}
