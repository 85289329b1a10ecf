//! A recording as text with times: what was shown, stripped of control sequences.
//!
//! It is made from the raw output, not from an emulated screen: a program left in the alternate screen would hide all
//! that follows. Where the cursor jumps, a line ends, so that words far apart on the screen do not run together.

use super::cast::{Cast, CastReader, Happening};
use super::escape::{Parser, Token};
use super::index::{ChannelSummary, Index, next_line_of};
use super::lines::LineReader;
use super::source::Source;
use crate::error::RecordingError;
use crate::recording::{ChannelKind, Direction, Entry, Stream, Transfer};
use chrono::{DateTime, TimeDelta, Utc};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// Bytes after which a line is given out although it has not ended, blanks as well as words.
const MAX_LINE: usize = 4096;

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptLine {
    /// When its first character was shown.
    pub at: DateTime<Utc>,
    /// In which channel.
    pub channel: u32,
    /// The text; notices of the gateway and transfers stand in brackets.
    pub text: String,
}

/// Hands every line of a recording to `each`, channel by channel.
///
/// # Errors
/// [`RecordingError::Storage`], [`RecordingError::Damaged`], or what `each` returns.
pub fn transcript(
    index: &Index,
    mut each: impl FnMut(TranscriptLine) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    index.channels.iter().try_for_each(|summary| of_channel(index, summary, &mut each))
}

/// The same of one channel.
pub(super) fn of_channel(
    index: &Index,
    summary: &ChannelSummary,
    each: &mut impl FnMut(TranscriptLine) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    let (source, channel) = (&index.source, summary.channel);
    let mut lines = |at, text| each(TranscriptLine { at, channel, text });
    match summary.kind {
        ChannelKind::Terminal => of_cast(CastReader::of(source, &format!("{channel:05}.cast"))?, &mut lines),
        ChannelKind::Exec => of_exec(source, channel, &mut lines),
        ChannelKind::Sftp => of_lines(source, &format!("{channel:05}.sftp.jsonl"), &mut lines),
        ChannelKind::Forward => of_lines(source, &format!("{channel:05}.forward.jsonl"), &mut lines),
    }
}

/// Prints the text of one terminal, without times.
///
/// # Errors
/// As [`transcript`]; [`RecordingError::Storage`] when `out` cannot be written to.
pub fn print_text(cast: &Cast, out: &mut impl Write) -> Result<(), RecordingError> {
    of_cast(cast.open()?, &mut |_, text| {
        writeln!(out, "{text}").map_err(RecordingError::storage("write to", Path::new("the output")))
    })?;
    out.flush().map_err(RecordingError::storage("write to", Path::new("the output")))
}

/// Whoever takes lines: their time and text.
type Taker<'a> = dyn FnMut(DateTime<Utc>, String) -> Result<(), RecordingError> + 'a;

fn of_cast(mut reader: CastReader, take: &mut Taker<'_>) -> Result<(), RecordingError> {
    let opened = reader.header().opened;
    let mut text = Stripped::default();
    let mut at = opened;
    while let Some(event) = reader.next_event()? {
        at = moment(opened, event.at);
        if let Happening::Output(shown) = event.what {
            text.add(at, &shown);
        }
        text.give_out(take)?;
    }
    text.end(at);
    text.give_out(take)
}

/// The time at so much after an opening; the opening's own where there is no such time, since a file may say anything.
pub(crate) fn moment(opened: DateTime<Utc>, after: Duration) -> DateTime<Utc> {
    let moment = TimeDelta::from_std(after).ok().and_then(|after| opened.checked_add_signed(after));
    moment.unwrap_or(opened)
}

fn of_lines(source: &Source, name: &str, take: &mut Taker<'_>) -> Result<(), RecordingError> {
    let mut reader = LineReader::of(source, name)?;
    while let Some(line) = next_line_of(&mut reader)? {
        match line.entry {
            Entry::Notice { text } => take(line.at, format!("[{}]", text.trim()))?,
            Entry::Transfer(transfer) => take(line.at, told(&transfer))?,
            Entry::Stderr { text } => take(line.at, text)?,
            Entry::Request(request) => {
                let words = [Some(request.request), request.path, request.to, request.detail];
                take(line.at, words.into_iter().flatten().collect::<Vec<_>>().join(" "))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A command's output, in the order of its lines of times; what stands after the last of them has its time.
fn of_exec(source: &Source, channel: u32, take: &mut Taker<'_>) -> Result<(), RecordingError> {
    let mut reader = LineReader::of(source, &format!("{channel:05}.exec.jsonl"))?;
    let mut outputs =
        [ExecOutput::open(source, channel, Stream::Stdout)?, ExecOutput::open(source, channel, Stream::Stderr)?];
    let mut at = DateTime::default();
    while let Some(line) = next_line_of(&mut reader)? {
        at = line.at;
        match line.entry {
            Entry::Bytes { stream, bytes } => {
                for output in outputs.iter_mut().filter(|output| output.stream == stream) {
                    output.advance(at, bytes, take)?;
                }
            }
            Entry::Notice { text } => take(at, format!("[{}]", text.trim()))?,
            Entry::Transfer(transfer) => take(at, told(&transfer))?,
            _ => {}
        }
    }
    for output in &mut outputs {
        output.advance(at, u64::MAX, take)?;
        output.text.end(at);
        output.text.give_out(take)?;
    }
    Ok(())
}

/// One output of a command, read along with its times.
struct ExecOutput {
    stream: Stream,
    file: Option<Box<dyn Read + Send>>,
    text: Stripped,
    /// The beginning of a character that the last piece cut off.
    pending: Vec<u8>,
}

impl ExecOutput {
    fn open(source: &Source, channel: u32, stream: Stream) -> Result<Self, RecordingError> {
        let extension = if stream == Stream::Stderr { "stderr" } else { "stdout" };
        let name = format!("{channel:05}.{extension}");
        // A command that wrote nothing has no such member.
        let file = if source.has(&name) { Some(source.open(&name)?) } else { None };
        Ok(Self { stream, file, text: Stripped::default(), pending: Vec::new() })
    }

    fn advance(&mut self, at: DateTime<Utc>, bytes: u64, take: &mut Taker<'_>) -> Result<(), RecordingError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut part = file.take(bytes);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = part.read(&mut buffer).map_err(RecordingError::reading(Path::new("a command's output")))?;
            if count == 0 {
                return Ok(());
            }
            self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let cut = match std::str::from_utf8(&self.pending) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => self.pending.len(),
            };
            let rest = self.pending.split_off(cut);
            self.text.add(at, &String::from_utf8_lossy(&self.pending));
            self.pending = rest;
            self.text.give_out(take)?;
        }
    }
}

fn told(transfer: &Transfer) -> String {
    let way = match transfer.direction {
        Direction::ToDevice => "to the device",
        Direction::FromDevice => "from the device",
    };
    let whole = if transfer.complete { "" } else { ", incomplete" };
    format!("[file {way}: {}, {} bytes, SHA-256 {}{whole}]", transfer.path, transfer.size, transfer.sha256)
}

/// Output on its way to lines.
#[derive(Clone, Default)]
pub(crate) struct Stripped {
    parser: Parser,
    line: String,
    began: Option<DateTime<Utc>>,
    ready: Vec<(DateTime<Utc>, String)>,
}

impl Stripped {
    /// More was shown.
    pub(crate) fn add(&mut self, at: DateTime<Utc>, shown: &str) {
        let Self { parser, line, began, ready } = self;
        parser.feed(shown, |token| {
            let ends = match token {
                Token::Character(character) => {
                    began.get_or_insert(at);
                    line.push(character);
                    false
                }
                Token::Control('\t') => {
                    line.push('\t');
                    false
                }
                Token::Control('\n' | '\r' | '\u{0b}' | '\u{0c}' | '\u{85}') => true,
                Token::Escape(whole) => matches!(whole, "D" | "E" | "M" | "c" | "8"),
                Token::Sequence(whole) => {
                    if whole.ends_with(['C', 'G', '`']) {
                        line.push(' ');
                    }
                    whole.ends_with(['H', 'f', 'd', 'A', 'B', 'E', 'F', 'J'])
                }
                Token::Control(_) | Token::String => false,
            };
            if ends || line.len() >= MAX_LINE {
                finish_line(line, began, ready);
            }
        });
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self, at: DateTime<Utc>) {
        self.began.get_or_insert(at);
        finish_line(&mut self.line, &mut self.began, &mut self.ready);
    }

    /// Hands over the lines that have ended.
    pub(crate) fn take(&mut self, mut take: impl FnMut(DateTime<Utc>, String)) {
        self.ready.drain(..).for_each(|(at, text)| take(at, text));
    }

    fn give_out(&mut self, take: &mut Taker<'_>) -> Result<(), RecordingError> {
        self.ready.drain(..).try_for_each(|(at, text)| take(at, text))
    }
}

/// Lines of blanks tell nothing.
fn finish_line(line: &mut String, began: &mut Option<DateTime<Utc>>, ready: &mut Vec<(DateTime<Utc>, String)>) {
    if let Some(at) = began.take().filter(|_| !line.trim().is_empty()) {
        ready.push((at, line.trim_end().to_owned()));
    }
    line.clear();
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_never_ends_a_line_takes_no_memory() {
        // Tabs, the cursor moved, characters; with and without a word before them.
        for endless in ["\t", "\u{1b}[C", "\u{1b}[5G", "\u{9b}2`", "x", "\u{1b}[", "\u{1b}]0;"] {
            for before in ["", "word"] {
                let mut text = Stripped::default();
                text.add(DateTime::UNIX_EPOCH, before);
                let mut lines = 0;
                for _ in 0..200 {
                    text.add(DateTime::UNIX_EPOCH, &endless.repeat(1000));
                    text.take(|_, line| {
                        assert!(line.len() <= MAX_LINE, "{endless:?}: {}", line.len());
                        lines += 1;
                    });
                }
                assert!(text.line.capacity() <= 2 * MAX_LINE, "{endless:?}: {} bytes", text.line.capacity());
                text.end(DateTime::UNIX_EPOCH);
                text.take(|_, _| lines += 1);
                assert!(lines > 0 || before.is_empty(), "{endless:?}: the word is gone");
            }
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.cast");
        let far = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24},\"timestamp\":8210266876799}\n[1000000000.0, \"o\", \"far\"]\n";
        std::fs::write(&path, far).unwrap();
        let mut text = Vec::new();
        print_text(&Cast::file(&path), &mut text).unwrap();
        assert_eq!(text, b"far\n");
    }
}
