//! The screens of a live recording, for those who watch it in passing: each as it stands, and what came since.
//!
//! A screen is begun from the last one that is known, at the end of what is sealed, so that it is there at once however
//! long the session goes on. Who follows is given what was shown since, and who falls behind is given the screen anew:
//! nothing queues up for anybody. What is given out can only draw ([`SafeOutput`]).

use super::cast::{CastReader, Happening};
use super::safe::SafeOutput;
use super::source::Source;
use crate::error::RecordingError;
use crate::recording::journal::{JournalReader, path_of};
use crate::recording::{Activity, ChannelKind, Landing, Recording};
use avt::{Color, Line, Pen, Terminal};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Text of a terminal that is taken in at a look, in bytes: a look is short, since others wait for the screens meanwhile.
const LOOK: usize = 128 << 10;
/// What is kept of what was shown, in bytes, for those who follow.
const TAIL: usize = 256 << 10;
/// Terminals of a session that are shown: a client may open any number.
const MOST: usize = 8;
/// The largest screen that is emulated: a client may say anything, and each cell takes memory.
const LARGEST: (u16, u16) = (500, 200);

/// The screens of one live recording.
pub struct LiveScreens {
    recording: Recording,
    activity: Vec<Activity>,
    terminals: BTreeMap<u32, LiveScreen>,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Something is otherwise than at the last look.
    pub changed: bool,
    /// There is more to be taken in.
    pub more: bool,
}

impl LiveScreens {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(recording: &Recording) -> Self {
        Self { recording: recording.clone(), activity: Vec::new(), terminals: BTreeMap::new() }
    }

    /// Takes in what was written since, some 100 KiB of each terminal at most. Reads the disk.
    ///
    /// # Errors
    /// [`RecordingError::Storage`] or [`RecordingError::Damaged`].
    pub fn look(&mut self) -> Result<Look, RecordingError> {
        let activity = self.recording.activity();
        let mut look = Look { changed: activity != self.activity, more: false };
        let wanted = wanted(&activity);
        self.terminals.retain(|number, _| wanted.contains(number));
        for number in wanted {
            if let Entry::Vacant(place) = self.terminals.entry(number) {
                place.insert(LiveScreen::open(&self.recording, number)?);
                look.changed = true;
            }
        }
        for (number, screen) in &mut self.terminals {
            let found = screen.take_in()?;
            look.changed |= found.changed;
            look.more |= found.more;
            if found.more
                && let Some(landing) = landing_of(&self.recording, *number)
                && u128::from(landing.snapshot.micros) > screen.cast.position().as_micros()
            {
                // Reading what was sealed long since would only be further behind.
                *screen = LiveScreen { end: screen.end + 1, ..LiveScreen::open(&self.recording, *number)? }.anew();
            }
        }
        self.activity = activity;
        Ok(look)
    }

    /// What each channel did at the last look.
    #[must_use]
    pub fn activity(&self) -> &[Activity] {
        &self.activity
    }

    /// The terminal that was opened last of those that are open, or else of all.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        let open = |number: &&u32| self.activity.iter().any(|channel| channel.channel == **number && channel.open);
        self.terminals.keys().rev().find(open).or_else(|| self.terminals.keys().next_back()).copied()
    }

    /// A terminal's screen.
    #[must_use]
    pub fn screen(&self, channel: u32) -> Option<&LiveScreen> {
        self.terminals.get(&channel)
    }
}

/// The terminals that are open, and the last one that was: what has ended before is read in a replay.
fn wanted(activity: &[Activity]) -> BTreeSet<u32> {
    let terminals = || activity.iter().filter(|channel| channel.kind == ChannelKind::Terminal).rev();
    let open = terminals().filter(|channel| channel.open).take(MOST);
    terminals().take(1).chain(open).map(|channel| channel.channel).collect()
}

/// The screen of one terminal.
pub struct LiveScreen {
    cast: CastReader,
    safe: SafeOutput,
    terminal: Terminal,
    /// What was shown last, up to `end`.
    tail: VecDeque<String>,
    tail_bytes: u64,
    /// How many bytes were ever shown.
    end: u64,
}

/// What somebody is shown who has seen a screen up to some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// There is nothing new.
    Nothing,
    /// What was shown since.
    More(String),
    /// The screen as it stands, to be drawn on an empty one of this many columns and rows.
    Anew(u16, u16, String),
}

impl LiveScreen {
    fn open(recording: &Recording, channel: u32) -> Result<Self, RecordingError> {
        let name = member(channel);
        let mut cast = match landing_of(recording, channel) {
            Some(landing) => {
                let journal = path_of(recording.folder(), &name);
                let Landing { snapshot, mark, given } = landing.as_ref();
                let written = recording.lengths().of(&name);
                let reader = JournalReader::open_at(&journal, &name, recording.key(), written, (*mark, *given))?;
                CastReader::after(snapshot.clone(), journal, Box::new(reader))
            }
            None => CastReader::of(&Source::from(recording), &name)?,
        };
        let mut terminal = empty(cast.header().cols, cast.header().rows, &name, recording)?;
        let safe = SafeOutput::default();
        if let Some(drawn) = cast.take_screen() {
            terminal.feed(SafeOutput::default().filter(&drawn));
        }
        Ok(Self { cast, safe, terminal, tail: VecDeque::new(), tail_bytes: 0, end: 0 })
    }

    fn take_in(&mut self) -> Result<Look, RecordingError> {
        let mut taken = 0;
        let mut changed = false;
        while taken < LOOK {
            let Some(event) = self.cast.next_event()? else { return Ok(Look { changed, more: false }) };
            match event.what {
                Happening::Output(text) => {
                    taken += text.len();
                    let text = self.safe.filter(&text);
                    self.terminal.feed(text.as_str());
                    self.show(text);
                    changed = true;
                }
                Happening::Resize(cols, rows) => {
                    let (cols, rows) = bounded(cols, rows);
                    self.terminal.resize(cols.into(), rows.into());
                    self.clear();
                    changed = true;
                }
                _ => taken += 1,
            }
        }
        Ok(Look { changed, more: true })
    }

    /// Keeps what was shown, for those who follow.
    fn show(&mut self, text: String) {
        self.end += text.len() as u64;
        self.tail_bytes += text.len() as u64;
        self.tail.push_back(text);
        while self.tail_bytes > TAIL as u64 {
            let Some(gone) = self.tail.pop_front() else { return };
            self.tail_bytes -= gone.len() as u64;
        }
    }

    /// Everybody is to be shown the screen anew.
    fn clear(&mut self) {
        self.tail.clear();
        self.tail_bytes = 0;
        self.end += 1;
    }

    fn anew(mut self) -> Self {
        self.clear();
        self
    }

    /// What is to be shown to somebody who has seen everything up to `place`, and the place that it leads to. Who has seen
    /// nothing says `None`.
    #[must_use]
    pub fn since(&self, place: Option<u64>) -> (Since, u64) {
        let begin = self.end - self.tail_bytes;
        match place {
            Some(place) if place == self.end => (Since::Nothing, self.end),
            Some(place) if (begin..self.end).contains(&place) => (Since::More(self.tail_from(place - begin)), self.end),
            _ => {
                let (cols, rows) = self.size();
                (Since::Anew(cols, rows, SafeOutput::default().filter(&self.terminal.dump())), self.end)
            }
        }
    }

    /// The tail without its first bytes: places lie between what was shown at a time.
    fn tail_from(&self, mut skip: u64) -> String {
        let mut text = String::new();
        for piece in &self.tail {
            match skip.checked_sub(piece.len() as u64) {
                Some(left) if skip > 0 => skip = left,
                _ => text.push_str(piece),
            }
        }
        text
    }

    /// How much was ever shown: when it is the same, so is the screen.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.end
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let (cols, rows) = self.terminal.size();
        (u16::try_from(cols).unwrap_or(u16::MAX), u16::try_from(rows).unwrap_or(u16::MAX))
    }

    /// The rows from the top down, without what is blank at their ends.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<Run>> {
        self.terminal.screen().visible_lines().map(runs).collect()
    }
}

/// Characters of a row that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The characters.
    pub text: String,
    /// How they look.
    pub look: RunLook,
}

/// How characters look. Colours are the usual sixteen; what is finer is brought to the nearest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunLook {
    /// The colour of the characters.
    pub ink: Option<u8>,
    /// The colour behind them.
    pub ground: Option<u8>,
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underlined: bool,
}

fn runs(line: &Line) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for cell in line.cells().iter().filter(|cell| cell.width() > 0) {
        let look = look_of(cell.pen());
        match runs.last_mut() {
            Some(last) if last.look == look => last.text.push(cell.char()),
            _ => runs.push(Run { text: cell.char().to_string(), look }),
        }
    }
    if let Some(last) = runs.last_mut()
        && last.look == RunLook::default()
    {
        last.text.truncate(last.text.trim_end().len());
        if last.text.is_empty() {
            runs.pop();
        }
    }
    runs
}

fn look_of(pen: &Pen) -> RunLook {
    let (mut ink, mut ground) = (pen.foreground().map(nearest), pen.background().map(nearest));
    if pen.is_inverse() {
        (ink, ground) = (Some(ground.unwrap_or(0)), Some(ink.unwrap_or(7)));
    }
    RunLook { ink, ground, bold: pen.is_bold(), underlined: pen.is_underline() }
}

/// The nearest of the sixteen usual colours.
fn nearest(color: Color) -> u8 {
    let (red, green, blue) = match color {
        Color::Indexed(index @ 0..=15) => return index,
        // A cube of 6 levels, then a ramp of greys.
        Color::Indexed(index @ 16..=231) => {
            let level = |at: u8| if at == 0 { 0 } else { 55 + 40 * at };
            let index = index - 16;
            (level(index / 36), level(index / 6 % 6), level(index % 6))
        }
        Color::Indexed(index) => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
        Color::RGB(rgb) => (rgb.r, rgb.g, rgb.b),
    };
    let most = red.max(green).max(blue);
    if most < 64 {
        return 0;
    }
    let bit = |part: u8, bit: u8| if u16::from(part) * 2 > u16::from(most) { bit } else { 0 };
    let hue = bit(red, 1) | bit(green, 2) | bit(blue, 4);
    match (hue, most) {
        (7, 64..=170) => 8,
        (7, 171..=225) => 7,
        (7, _) => 15,
        (hue, 200..) => hue + 8,
        (hue, _) => hue,
    }
}

fn member(channel: u32) -> String {
    format!("{channel:05}.cast")
}

fn landing_of(recording: &Recording, channel: u32) -> Option<std::sync::Arc<Landing>> {
    recording.landings().of(&member(channel))
}

fn bounded(cols: u16, rows: u16) -> (u16, u16) {
    (cols.clamp(1, LARGEST.0), rows.clamp(1, LARGEST.1))
}

fn empty(cols: u16, rows: u16, name: &str, recording: &Recording) -> Result<Terminal, RecordingError> {
    let (cols, rows) = bounded(cols, rows);
    Terminal::new(cols.into(), rows.into()).map_err(|fault| RecordingError::Damaged {
        path: recording.folder().join(name),
        format: "asciicast v3",
        reason: fault.to_string(),
    })
}
