//! The keyboard of whoever watches: keys are read as they are pressed, and the terminal is put back afterwards.

use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a key means to the player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Space: stop and go on.
    Pause,
    /// `.`: to the next event, and stop.
    Step,
    /// Right arrow, `]`: so far ahead.
    Forward(Duration),
    /// Left arrow, `[`: so far back.
    Back(Duration),
    /// A digit: to so many tenths of the whole.
    Tenths(u32),
    /// `q`, Ctrl-C, Ctrl-D.
    Quit,
}

/// The keys in some bytes from a terminal; a sequence that is cut off is ignored.
pub(super) fn keys_in(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        keys.extend(match first {
            b' ' => Some(Key::Pause),
            b'.' => Some(Key::Step),
            b']' => Some(Key::Forward(Duration::from_secs(60))),
            b'[' => Some(Key::Back(Duration::from_secs(60))),
            b'0'..=b'9' => Some(Key::Tenths(u32::from(first - b'0'))),
            b'q' | b'Q' | 3 | 4 => Some(Key::Quit),
            0x1b => match after {
                [b'[' | b'O', arrow, more @ ..] => {
                    rest = more;
                    arrow_key(*arrow)
                }
                _ => None,
            },
            _ => None,
        });
    }
    keys
}

fn arrow_key(letter: u8) -> Option<Key> {
    match letter {
        b'C' => Some(Key::Forward(Duration::from_secs(5))),
        b'D' => Some(Key::Back(Duration::from_secs(5))),
        _ => None,
    }
}

/// The terminal in raw mode, with a thread that reads it. Dropping it puts the terminal back.
pub(super) struct Keyboard {
    stdin: Stdin,
    before: Termios,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    keys: Receiver<Key>,
}

impl Keyboard {
    /// Takes the keyboard; `None` where standard input is no terminal.
    pub(super) fn take() -> std::io::Result<Option<Self>> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A read that returns after a tenth of a second without a key lets the thread see that it shall stop.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(&stdin, OptionalActions::Flush, &raw)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send, keys) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while !stopped.load(Ordering::SeqCst) {
                let Ok(count) = std::io::stdin().lock().read(&mut buffer) else { return };
                for key in keys_in(buffer.get(..count).unwrap_or_default()) {
                    if send.send(key).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Some(Self { stdin, before, stop, thread: Some(thread), keys }))
    }

    /// The keys as they come.
    pub(super) fn keys(&self) -> &Receiver<Key> {
        &self.keys
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A reader that panicked has nothing left to stop.
            let _ = thread.join();
        }
        // There is nobody left to tell.
        let _ = tcsetattr(&self.stdin, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_the_help_names() {
        let five = Duration::from_secs(5);
        let minute = Duration::from_secs(60);
        let keys = keys_in(b" .\x1b[C\x1bOD[]07q\x03\x1b[Az");
        let expected = [
            Key::Pause,
            Key::Step,
            Key::Forward(five),
            Key::Back(five),
            Key::Back(minute),
            Key::Forward(minute),
            Key::Tenths(0),
            Key::Tenths(7),
            Key::Quit,
            Key::Quit,
        ];
        assert_eq!(keys, expected);
    }
}
