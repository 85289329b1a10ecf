//! Recordings, the reading side: what is in one, playing it, following it, taking it elsewhere.
//!
//! A recording is read as evidence from a possibly hostile session: nothing in it can make the reader's terminal act
//! (`safe`), a torn last line is the mark of a crash and no error, and a changed byte is found on export.
//! Whether a viewer may see a recording, and the event that says so, are the caller's.

mod cast;
mod escape;
mod export;
mod follow;
mod index;
mod keys;
mod lines;
mod live;
mod player;
mod safe;
mod sealed;
mod search;
mod source;
mod transcript;

pub use cast::{Cast, CastEvent, CastHeader, CastReader, Happening};
pub(crate) use cast::{parse_line, precise_opening};
pub use export::{Exported, check_sealed, export, export_sealed};
pub(crate) use export::{export_below, files_so_far};
pub use follow::{Follower, Seen, follow};
pub use index::{ChannelSummary, Index, open};
pub use lines::LineReader;
pub use live::{LiveScreen, LiveScreens, Look, Run, RunLook, Since};
pub use player::{Options, play};
pub use safe::SafeOutput;
pub use search::{Hit, Wanted, search};
pub use source::Source;
pub(crate) use transcript::{Stripped, moment};
pub use transcript::{TranscriptLine, print_text, transcript};
