//! What a verification can find: codes that never change their meaning, and where each was found.

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use std::fmt;
use uuid::Uuid;

/// How much a finding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The log, or what belongs to it, is not what was sealed.
    Altered,
    /// Nothing shows that it was altered, but somebody has to explain it: a crash looks like this too.
    Question,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $severity:ident,)*) => {
        /// What was found. The codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as scripts read it.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How much it says.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// There is no checkpoint.
    CheckpointMissing = "checkpoint-missing" Altered,
    /// The checkpoint cannot be read.
    CheckpointMalformed = "checkpoint-malformed" Altered,
    /// A signature that names a known key is not that key's.
    SignatureBad = "signature-bad" Altered,
    /// No known key signed.
    SignatureUnknown = "signature-unknown" Altered,
    /// A known key signed that was not in force at that size: not yet introduced, or succeeded by another.
    SignatureNotInForce = "signature-not-in-force" Altered,
    /// A leaf introduces a key that the file of keys does not have at that place.
    KeyUnknown = "key-unknown" Altered,
    /// The file of keys has a key that no leaf introduces: this copy is older than the file, or was rolled back.
    KeyNotIntroduced = "key-not-introduced" Altered,
    /// The checkpoint that sealed a change of keys is missing, differs, or was not signed by the old key.
    RotationUnsealed = "rotation-unsealed" Altered,
    /// A tile is missing.
    TileMissing = "tile-missing" Altered,
    /// A tile has the wrong size.
    TileMalformed = "tile-malformed" Altered,
    /// A tile has another hash than the entries below it.
    TileAltered = "tile-altered" Altered,
    /// A bundle of entries is missing.
    EntriesMissing = "entries-missing" Altered,
    /// A bundle holds another number of entries, or is cut short.
    EntriesMalformed = "entries-malformed" Altered,
    /// An entry is not the one that was sealed.
    EntryAltered = "entry-altered" Altered,
    /// The tree does not lead to the checkpoint's root.
    RootDiffers = "root-differs" Altered,
    /// An entry is no leaf in the form that this program knows.
    LeafMalformed = "leaf-malformed" Altered,
    /// An anchor is of another log.
    AnchorForeign = "anchor-foreign" Altered,
    /// An anchor is no checkpoint that the log's keys signed.
    AnchorUnsigned = "anchor-unsigned" Altered,
    /// The log is smaller than it was: its end was removed.
    AnchorBeyond = "anchor-beyond" Altered,
    /// The log does not begin as it once was: its past was rewritten.
    AnchorDiffers = "anchor-differs" Altered,
    /// A cosignature that names a known witness is not that witness's.
    CosignatureBad = "cosignature-bad" Altered,
    /// Fewer witnesses cosigned than were asked for.
    CosignaturesMissing = "cosignatures-missing" Altered,
    /// Numbers within a session, or among the events of no session, are not contiguous.
    SessionGap = "session-gap" Altered,
    /// A session's first leaf is not its opening.
    SessionUnopened = "session-unopened" Altered,
    /// A session opens or closes twice.
    SessionRepeated = "session-repeated" Altered,
    /// A session was opened long ago and never closed.
    SessionUnclosed = "session-unclosed" Question,
    /// A closed session's recording was never sealed, or not to its end.
    SessionUnsealed = "session-unsealed" Question,
    /// The gateway was silent for longer than an hour without having stopped.
    BeatGap = "beat-gap" Question,
    /// The clock went back.
    TimeBackwards = "time-backwards" Question,
    /// Stored bytes are not those that were sealed.
    BodyDiffers = "body-differs" Altered,
    /// Stored bytes are gone, and no purge of that session accounts for it.
    BodyMissing = "body-missing" Altered,
    /// A file of a recording is not one that was sealed, or the recording contradicts its own index.
    RecordingDiffers = "recording-differs" Altered,
    /// A recording of which this log seals nothing: it is newer than this copy of the log, or of another.
    RecordingUnknown = "recording-unknown" Question,
    /// A purge of a session that was not there, or had not ended.
    PurgeUnfounded = "purge-unfounded" Altered,
    /// A purge of a recording that was held at the time.
    PurgeHeld = "purge-held" Altered,
    /// A purge sooner after the session's end than the term that was asked for.
    PurgeEarly = "purge-early" Altered,
    /// Bytes are there that a purge says were removed.
    PurgeIncomplete = "purge-incomplete" Question,
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What.
    pub code: Code,
    /// How much it says.
    pub severity: Severity,
    /// The entry, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The session that the entry belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Uuid>,
    /// When the entry's event happened, Unix microseconds; RFC 3339 in JSON.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339")]
    pub time: Option<u64>,
    /// In words, for whoever reads the report.
    pub detail: String,
}

impl Fault {
    /// A finding about the log as a whole.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), entry: None, session: None, time: None, detail: detail.into() }
    }

    /// A finding at an entry.
    pub(super) fn at(code: Code, entry: u64, detail: impl Into<String>) -> Self {
        Self { entry: Some(entry), ..Self::new(code, detail) }
    }

    /// The same with what the entry's leaf says of session and time.
    pub(super) fn of(self, leaf: &crate::log::Leaf) -> Self {
        Self { session: leaf.session, time: Some(leaf.time), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.code(), self.detail)?;
        if let Some(entry) = self.entry {
            write!(formatter, "; entry {entry}")?;
        }
        if let Some(session) = self.session {
            write!(formatter, ", session {session}")?;
        }
        self.time.map_or(Ok(()), |time| write!(formatter, ", {}", time_text(time)))
    }
}

/// A leaf's time for people and for JSON.
pub(super) fn time_text(time: u64) -> String {
    let at = i64::try_from(time).ok().and_then(DateTime::from_timestamp_micros);
    at.map_or_else(|| time.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// For fields that are times.
pub(super) fn rfc3339<S: Serializer>(time: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_some(&time_text(*time)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::Code;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct() {
        let codes = Code::ALL.iter().map(|code| code.code()).collect::<HashSet<_>>();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
