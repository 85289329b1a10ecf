//! Plays a terminal's recording in the viewer's terminal.
//!
//! The recording's bytes reach the terminal through [`SafeOutput`] only. Where standard output is no terminal, its text
//! is printed instead, without times and without control sequences.

use super::cast::{Cast, CastEvent, CastReader, Happening};
use super::keys::{Key, Keyboard};
use super::safe::SafeOutput;
use super::transcript::print_text;
use crate::error::RecordingError;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// 1 is the speed of the session, 2 is twice that. Values that are not above 0 count as 1.
    pub speed: f64,
    /// Silence is cut to this; `None` keeps it.
    pub idle_limit: Option<Duration>,
    /// Where to begin.
    pub start_at: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { speed: 1.0, idle_limit: None, start_at: Duration::ZERO }
    }
}

/// Puts colours, cursor, wrapping, margins and screen back, whatever the recording left.
const RESTORE: &str = "\u{1b}[!p\u{1b}[0m\u{1b}[?1049l\u{1b}[?25h\u{1b}[?7h\u{1b}[r\u{1b}[4l\u{1b}(B\r\n";
/// A full reset, before the screen is drawn anew.
const RESET: &str = "\u{1b}c";

/// Plays a terminal's recording on standard output: space pauses, arrows seek 5 seconds, `[` and `]` a minute, digits to tenths, `.`
/// steps, `q` ends. Blocks until the end.
///
/// # Errors
/// [`RecordingError::Storage`] or [`RecordingError::Damaged`] for the recording; [`RecordingError::Storage`] when the
/// terminal cannot be written to.
pub fn play(cast: &Cast, options: Options) -> Result<(), RecordingError> {
    let mut stdout = std::io::stdout().lock();
    if !stdout.is_terminal() {
        return print_text(cast, &mut stdout);
    }
    let keyboard = Keyboard::take().map_err(RecordingError::storage("take", Path::new("the keyboard")))?;
    let mut player = Player::open(cast, options, &mut stdout)?;
    let played = player.run(keyboard.as_ref().map(Keyboard::keys));
    // Also after an error: the terminal is the viewer's.
    player.write(RESTORE)?;
    played
}

/// A recording in play.
struct Player<W> {
    cast: Cast,
    options: Options,
    reader: CastReader,
    output: SafeOutput,
    screen: W,
    /// The event that is due next.
    next: Option<CastEvent>,
    /// Where the recording is, in its own time.
    position: Duration,
    length: Duration,
    size: (u16, u16),
    paused: bool,
}

/// What ended a wait.
enum Waited {
    Over,
    Pressed(Key),
}

impl<W: Write> Player<W> {
    fn open(cast: &Cast, options: Options, screen: W) -> Result<Self, RecordingError> {
        let speed = if options.speed.is_finite() && options.speed > 0.0 { options.speed } else { 1.0 };
        let mut reader = cast.open_before(options.start_at)?;
        let drawn = reader.take_screen();
        let position = reader.position();
        let next = reader.next_event()?;
        let size = (reader.header().cols, reader.header().rows);
        let mut player = Self {
            cast: cast.clone(),
            options: Options { speed, ..options },
            reader,
            output: SafeOutput::default(),
            screen,
            next,
            position,
            length: cast.length()?,
            size,
            paused: false,
        };
        if let Some(drawn) = drawn {
            player.draw(&drawn)?;
        }
        player.seek(options.start_at)?;
        Ok(player)
    }

    fn run(&mut self, keys: Option<&Receiver<Key>>) -> Result<(), RecordingError> {
        self.tell()?;
        while let Some(due) = self.next.as_ref().map(|event| event.at) {
            match self.wait_until(due, keys) {
                Waited::Over => self.show_next()?,
                Waited::Pressed(Key::Quit) => break,
                Waited::Pressed(key) => self.obey(key)?,
            }
        }
        Ok(())
    }

    fn obey(&mut self, key: Key) -> Result<(), RecordingError> {
        match key {
            Key::Pause => self.paused = !self.paused,
            Key::Step => {
                self.paused = true;
                self.show_next()?;
            }
            Key::Forward(by) => self.seek(self.position.saturating_add(by))?,
            Key::Back(by) => self.seek(self.position.saturating_sub(by))?,
            Key::Tenths(tenths) => self.seek(self.length * tenths / 10)?,
            Key::Quit => {}
        }
        self.tell()
    }

    /// Waits for the moment of an event, or for a key; keeps the position up to date.
    fn wait_until(&mut self, due: Duration, keys: Option<&Receiver<Key>>) -> Waited {
        let silence = due.saturating_sub(self.position);
        let silence = self.options.idle_limit.map_or(silence, |limit| silence.min(limit));
        let wait = Duration::try_from_secs_f64(silence.as_secs_f64() / self.options.speed).unwrap_or(Duration::MAX);
        let began = Instant::now();
        let pressed = match keys {
            Some(keys) if self.paused => keys.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(keys) => keys.recv_timeout(wait),
            None => Err(RecvTimeoutError::Disconnected),
        };
        match pressed {
            Ok(key) => {
                if !self.paused {
                    let passed = began.elapsed().mul_f64(self.options.speed);
                    self.position = self.position.saturating_add(passed).min(due);
                }
                Waited::Pressed(key)
            }
            Err(RecvTimeoutError::Timeout) => Waited::Over,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait.saturating_sub(began.elapsed()));
                Waited::Over
            }
        }
    }

    /// Goes to a moment. What lies behind is drawn anew, at once: from the last screen that is known before it.
    fn seek(&mut self, to: Duration) -> Result<(), RecordingError> {
        let to = to.min(self.length);
        if to < self.position || self.cast.screen_before(to).is_some_and(|screen| screen > self.position) {
            self.reader = self.cast.open_before(to)?;
            let drawn = self.reader.take_screen().unwrap_or_default();
            self.size = (self.reader.header().cols, self.reader.header().rows);
            self.next = self.reader.next_event()?;
            self.draw(&drawn)?;
        }
        while self.next.as_ref().is_some_and(|event| event.at < to) {
            self.show_next()?;
        }
        self.position = to;
        Ok(())
    }

    /// Draws a whole screen in place of what was there.
    fn draw(&mut self, screen: &str) -> Result<(), RecordingError> {
        self.output = SafeOutput::default();
        self.write(RESET)?;
        let safe = self.output.filter(screen);
        self.write(&safe)
    }

    fn show_next(&mut self) -> Result<(), RecordingError> {
        let Some(event) = self.next.take() else { return Ok(()) };
        self.next = self.reader.next_event()?;
        self.position = event.at;
        match event.what {
            Happening::Output(text) => {
                let safe = self.output.filter(&text);
                self.write(&safe)
            }
            Happening::Resize(cols, rows) => {
                self.size = (cols, rows);
                self.tell()
            }
            _ => Ok(()),
        }
    }

    /// Tells the state in the window's title, where it disturbs no screen.
    fn tell(&mut self) -> Result<(), RecordingError> {
        let (cols, rows) = self.size;
        let state = if self.paused { " · paused" } else { "" };
        let title = format!("{} / {} · {cols}x{rows}{state}", clock(self.position), clock(self.length));
        self.write(&format!("\u{1b}]2;{title}\u{7}"))
    }

    fn write(&mut self, text: &str) -> Result<(), RecordingError> {
        let written = self.screen.write_all(text.as_bytes()).and_then(|()| self.screen.flush());
        written.map_err(RecordingError::storage("write to", Path::new("the terminal")))
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::mpsc::channel;

    const CAST: &str = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n[0.1, \"o\", \"one \"]\n[3600.0, \"o\", \
                        \"two\\u001b[6n \"]\n[0.1, \"r\", \"100x30\"]\n[3600.0, \"o\", \"three \"]\n";

    fn screen_after(options: Options, keys: &[Key]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.cast");
        std::fs::write(&path, CAST).unwrap();
        let (send, receive) = channel();
        keys.iter().for_each(|key| send.send(*key).unwrap());
        drop(send);
        let mut screen = Vec::new();
        Player::open(&Cast::file(&path), options, &mut screen).unwrap().run(Some(&receive)).unwrap();
        String::from_utf8(screen).unwrap()
    }

    fn without_titles(screen: &str) -> String {
        screen.split("\u{1b}]2;").map(|part| part.split_once('\u{7}').map_or(part, |(_, rest)| rest)).collect()
    }

    #[test]
    fn silence_is_cut_and_speed_counts() {
        let began = Instant::now();
        let options = Options { speed: 100.0, idle_limit: Some(Duration::from_secs(1)), ..Options::default() };
        assert_eq!(without_titles(&screen_after(options, &[])), "one two three ");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn steps_and_seeks_draw_what_was_there() {
        let at = |seconds| Options { start_at: Duration::from_secs(seconds), ..Options::default() };
        assert_eq!(without_titles(&screen_after(at(0), &[Key::Step, Key::Step, Key::Quit])), "one two ");
        assert_eq!(without_titles(&screen_after(at(5000), &[Key::Quit])), "one two ");
        let back = [Key::Pause, Key::Tenths(0), Key::Step, Key::Quit];
        assert_eq!(without_titles(&screen_after(at(5000), &back)), "one two \u{1b}cone ");
        let far = Duration::from_secs(1_000_000);
        assert_eq!(without_titles(&screen_after(at(1), &[Key::Forward(far), Key::Quit])), "one two ");
    }

    #[test]
    fn resizes_and_pauses_are_told_in_the_title() {
        let keys = [Key::Pause, Key::Tenths(9), Key::Quit];
        let screen = screen_after(Options::default(), &keys);
        assert!(screen.contains("00:00:00 / 02:00:00 · 80x24 · paused"), "{screen:?}");
        assert!(screen.contains("· 100x30"), "{screen:?}");
    }
}
