//! Finds words in what was shown and done, each with its moment.
//!
//! Words are compared as people mean them: without case, and half-width and full-width forms are the same (Unicode's
//! NFKC), since Japanese equipment writes both. What is searched is the text as it came, stripped of control sequences, and
//! never an emulated screen, in which a program that did not leave the alternate screen would hide what follows.

use super::index::{ChannelSummary, Index};
use super::lines::LineReader;
use super::transcript::{TranscriptLine, of_channel};
use crate::error::RecordingError;
use crate::recording::sealed::words::{GAP, name_of};
use chrono::{DateTime, Utc};
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;

/// Words that all have to stand in one line.
#[derive(Debug, Clone)]
pub struct Wanted(Vec<String>);

impl Wanted {
    /// These, or `None` if there is nothing to look for.
    #[must_use]
    pub fn new(words: &[String]) -> Option<Self> {
        let words: Vec<_> = words.iter().map(|word| folded(word.trim())).filter(|word| !word.is_empty()).collect();
        (!words.is_empty()).then_some(Self(words))
    }

    /// Whether all of them stand in `text`.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let text = folded(text);
        self.0.iter().all(|word| text.contains(word.as_str()))
    }
}

fn folded(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// A line with all the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The line.
    pub line: TranscriptLine,
    /// When it was shown, counted from the opening of its channel.
    pub moment: Duration,
}

/// Hands every line of a recording that has all the words to `each`, channel by channel: its command or destination,
/// what was shown, and what was done.
///
/// # Errors
/// As [`super::transcript`].
pub fn search(index: &Index, wanted: &Wanted, mut each: impl FnMut(Hit)) -> Result<(), RecordingError> {
    for summary in &index.channels {
        let mut look = |line: TranscriptLine| {
            if wanted.are_in(&line.text) {
                let moment = (line.at - summary.opened).to_std().unwrap_or_default();
                each(Hit { line, moment });
            }
            Ok(())
        };
        if let Some(command) = &summary.command {
            look(TranscriptLine { at: summary.opened, channel: summary.channel, text: command.clone() })?;
        }
        match text_of(index, summary) {
            Some(name) => of_text(index, summary.channel, &name, &mut look)?,
            None => of_channel(index, summary, &mut look)?,
        }
    }
    Ok(())
}

/// The text of a terminal that was sealed to its end: shorter than its output, and stripped already.
fn text_of(index: &Index, summary: &ChannelSummary) -> Option<String> {
    index.manifest.as_ref()?;
    let name = name_of(&format!("{:05}.cast", summary.channel))?;
    summary.members.contains(&name).then_some(name)
}

fn of_text(
    index: &Index,
    channel: u32,
    name: &str,
    each: &mut impl FnMut(TranscriptLine) -> Result<(), RecordingError>,
) -> Result<(), RecordingError> {
    let mut reader = LineReader::of(&index.source, name)?;
    while let Some(line) = reader.next_line()? {
        let line = String::from_utf8_lossy(line);
        let parsed = line.split_once(GAP).and_then(|(at, text)| Some((at.parse::<DateTime<Utc>>().ok()?, text)));
        let Some((at, text)) = parsed else { return Err(reader.damaged("text of a terminal", "it has no time")) };
        each(TranscriptLine { at, channel, text: text.to_owned() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn words_are_compared_as_people_mean_them() {
        let wanted = |words: &[&str]| Wanted::new(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        assert!(wanted(&["error", "再起動"]).are_in("ERROR: 装置を再起動してください"));
        assert!(wanted(&["サーバ"]).are_in("ｻｰﾊﾞ"));
        assert!(wanted(&["ct01"]).are_in("ＣＴ０１"));
        assert!(!wanted(&["error", "warning"]).are_in("only an error"));
        assert!(Wanted::new(&[" ".to_owned()]).is_none());
    }
}
