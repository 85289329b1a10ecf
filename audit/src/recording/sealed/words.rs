//! The text of a terminal, made while it is sealed: `00001.txt` has a line for each that was shown, without control
//! sequences, and its time. It is for people and for searching; the recording itself is the `.cast`, and the manifest
//! knows nothing of it.

use crate::replay::{Stripped, moment, parse_line, precise_opening};
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

/// What stands between the time of a line and its text.
pub(crate) const GAP: &str = "  ";

/// The name of the text of a terminal's member.
pub(crate) fn name_of(cast: &str) -> Option<String> {
    Some(format!("{}.txt", cast.strip_suffix(".cast")?))
}

/// The text so far, and what of it is sealed.
#[derive(Clone, Default)]
pub(super) struct Words {
    shown: Stripped,
    opened: DateTime<Utc>,
    micros: u64,
    /// Lines that are not sealed yet.
    pub(super) waiting: String,
    /// Bytes that are.
    pub(super) given: u64,
}

impl Words {
    /// Reads on in the terminal's member.
    pub(super) fn add(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            if let Some(opened) = precise_opening(line) {
                self.opened = opened;
            } else if let Ok((micros, code, data)) = parse_line(line) {
                self.micros = self.micros.saturating_add(micros);
                if code == "o" {
                    self.shown.add(self.now(), &data);
                }
            }
        }
        self.give_out();
    }

    /// Nothing more comes: a line that has not ended counts as it is.
    pub(super) fn end(&mut self) {
        self.shown.end(self.now());
        self.give_out();
    }

    fn now(&self) -> DateTime<Utc> {
        moment(self.opened, Duration::from_micros(self.micros))
    }

    fn give_out(&mut self) {
        let Self { shown, waiting, .. } = self;
        shown.take(|at, text| {
            waiting.push_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true));
            waiting.push_str(GAP);
            waiting.push_str(&text);
            waiting.push('\n');
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_of_its_first_character_and_no_control_sequences() {
        let mut words = Words::default();
        words.add(b"{\"version\":3}\n# sekimori 1: channel 1 opened 2026-01-02T03:04:05.000000Z\n");
        words.add(b"[1.000000, \"o\", \"\\u001b[31mone\"]\n[0.500000, \"k\", \"3\"]\n");
        words.add(b"[0.500000, \"o\", \" and\\r\\ntwo\"]\n");
        assert_eq!(words.waiting, "2026-01-02T03:04:06.000Z  one and\n");
        words.end();
        assert_eq!(words.waiting, "2026-01-02T03:04:06.000Z  one and\n2026-01-02T03:04:07.000Z  two\n");
    }
}
