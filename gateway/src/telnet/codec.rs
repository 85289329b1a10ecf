//! The network virtual terminal (RFC 854, 855), as the side that uses a device: echo and suppressed go-ahead (RFC 857,
//! 858), binary (RFC 856), window size (RFC 1073) and terminal type (RFC 1091); everything else is refused politely, the
//! environment (RFC 1572) among it.
//!
//! Nothing here begins a negotiation. What the device proposes is answered once, and an answer never asks for another: two
//! sides of this cannot keep each other busy (RFC 1143). Memory is bounded, whatever comes.

use std::collections::BTreeSet;

const SE: u8 = 240;
const INTERRUPT: u8 = 244;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

const BINARY: u8 = 0;
const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const TERMINAL_TYPE: u8 = 24;
const WINDOW_SIZE: u8 = 31;

/// `SEND` of RFC 1091; its answer begins with `IS`, 0.
const SEND: u8 = 1;

/// What a device may do.
const TAKEN: [u8; 3] = [BINARY, ECHO, SUPPRESS_GO_AHEAD];
/// What the gateway does when it is asked to.
const DONE: [u8; 4] = [BINARY, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE];

/// Bytes of a subnegotiation that are looked at; what is longer means nothing here.
const SUBNEGOTIATION: usize = 64;

/// Characters of a terminal's name that are passed on.
const TERM: usize = 40;

/// One connection's state.
#[derive(Debug)]
pub struct Codec {
    state: State,
    /// The options of what the device does.
    theirs: BTreeSet<u8>,
    /// The options of what the gateway does.
    ours: BTreeSet<u8>,
    subnegotiation: Vec<u8>,
    term: Vec<u8>,
    size: (u16, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    /// A carriage return was passed on; a NUL behind it only pads.
    Return,
    Command,
    Option(u8),
    Subnegotiation,
    SubnegotiationCommand,
}

impl Codec {
    /// A fresh connection of a person's terminal.
    #[must_use]
    pub fn new(term: &str, columns: u16, rows: u16) -> Self {
        let term: Vec<u8> = term.bytes().filter(u8::is_ascii_graphic).take(TERM).collect();
        Self {
            state: State::Data,
            theirs: BTreeSet::new(),
            ours: BTreeSet::new(),
            subnegotiation: Vec::new(),
            term: if term.is_empty() { b"UNKNOWN".to_vec() } else { term },
            size: (columns, rows),
        }
    }

    /// Takes what the device sent: appends its data to `data`, and what is to be answered to `replies`. Neither grows by
    /// more than the input, and a constant for each subnegotiation in it.
    pub fn receive(&mut self, bytes: &[u8], data: &mut Vec<u8>, replies: &mut Vec<u8>) {
        for byte in bytes.iter().copied() {
            self.state = self.take(byte, data, replies);
        }
    }

    fn take(&mut self, byte: u8, data: &mut Vec<u8>, replies: &mut Vec<u8>) -> State {
        match (self.state, byte) {
            (State::Data | State::Return, IAC) => State::Command,
            (State::Return, 0) if !self.does(BINARY) => State::Data,
            (State::Data | State::Return, byte) => {
                data.push(byte);
                if byte == b'\r' { State::Return } else { State::Data }
            }
            (State::Command, IAC) => {
                data.push(IAC);
                State::Data
            }
            (State::Command, WILL | WONT | DO | DONT) => State::Option(byte),
            (State::Command, SB) => {
                self.subnegotiation.clear();
                State::Subnegotiation
            }
            // No operation, data mark, go-ahead and the like: a terminal has nothing to do for them.
            (State::Command, _) => State::Data,
            (State::Option(verb), option) => {
                self.negotiate(verb, option, replies);
                State::Data
            }
            (State::Subnegotiation, IAC) => State::SubnegotiationCommand,
            (State::Subnegotiation, byte) => self.note(byte),
            (State::SubnegotiationCommand, SE) => {
                self.subnegotiated(replies);
                State::Data
            }
            (State::SubnegotiationCommand, IAC) => self.note(IAC),
            // Some devices forget the end. What follows is a command of its own.
            (State::SubnegotiationCommand, byte) => {
                self.state = State::Command;
                self.take(byte, data, replies)
            }
        }
    }

    fn note(&mut self, byte: u8) -> State {
        if self.subnegotiation.len() < SUBNEGOTIATION {
            self.subnegotiation.push(byte);
        }
        State::Subnegotiation
    }

    /// An answer to each change of state, and to each proposal that is refused; none to what is so already.
    fn negotiate(&mut self, verb: u8, option: u8, replies: &mut Vec<u8>) {
        let (side, wanted, accepted, yes, no) = match verb {
            WILL | WONT => (&mut self.theirs, verb == WILL, TAKEN.contains(&option), DO, DONT),
            _ => (&mut self.ours, verb == DO, DONE.contains(&option), WILL, WONT),
        };
        let answer = match (wanted, accepted) {
            (true, true) => side.insert(option).then_some(yes),
            (true, false) => Some(no),
            (false, _) => side.remove(&option).then_some(no),
        };
        let Some(answer) = answer else { return };
        replies.extend([IAC, answer, option]);
        if answer == WILL && option == WINDOW_SIZE {
            self.tell_size(replies);
        }
    }

    fn subnegotiated(&self, replies: &mut Vec<u8>) {
        if self.subnegotiation == [TERMINAL_TYPE, SEND] && self.gateway_does(TERMINAL_TYPE) {
            // One name: asked again, it is the last of the list as well (RFC 1091).
            replies.extend([IAC, SB, TERMINAL_TYPE, 0]);
            replies.extend(&self.term);
            replies.extend([IAC, SE]);
        }
    }

    fn does(&self, option: u8) -> bool {
        self.theirs.contains(&option)
    }

    fn gateway_does(&self, option: u8) -> bool {
        self.ours.contains(&option)
    }

    /// Appends what the person typed, as it travels.
    pub fn send(&self, typed: &[u8], out: &mut Vec<u8>) {
        let binary = self.gateway_does(BINARY);
        for byte in typed.iter().copied() {
            match byte {
                IAC => out.extend([IAC, IAC]),
                // Alone it would mean nothing; a line feed typed behind it is one of its own.
                b'\r' if !binary => out.extend([b'\r', 0]),
                byte => out.push(byte),
            }
        }
    }

    /// The person's terminal has another size now; appends what tells the device, if it wants to know.
    pub fn resize(&mut self, columns: u16, rows: u16, out: &mut Vec<u8>) {
        self.size = (columns, rows);
        if self.gateway_does(WINDOW_SIZE) {
            self.tell_size(out);
        }
    }

    fn tell_size(&self, out: &mut Vec<u8>) {
        out.extend([IAC, SB, WINDOW_SIZE]);
        let (columns, rows) = self.size;
        for byte in columns.to_be_bytes().into_iter().chain(rows.to_be_bytes()) {
            out.push(byte);
            if byte == IAC {
                out.push(IAC);
            }
        }
        out.extend([IAC, SE]);
    }

    /// Appends the order to interrupt what runs.
    pub fn interrupt(out: &mut Vec<u8>) {
        out.extend([IAC, INTERRUPT]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(codec: &mut Codec, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut data, mut replies) = (Vec::new(), Vec::new());
        codec.receive(bytes, &mut data, &mut replies);
        (data, replies)
    }

    fn fresh() -> Codec {
        Codec::new("xterm", 100, 30)
    }

    #[test]
    fn data_is_unescaped() {
        let mut codec = fresh();
        let (data, replies) = received(&mut codec, b"a\r\nb\r\0c\xff\xffd\xff\xf1\xff\xf9e\0");
        assert_eq!((data.as_slice(), replies.as_slice()), (&b"a\r\nb\rc\xffde\0"[..], &b""[..]));
        // In binary a carriage return is a byte like any other.
        received(&mut codec, &[IAC, WILL, BINARY]);
        assert_eq!(received(&mut codec, b"\r\0").0, b"\r\0");
    }

    #[test]
    fn what_a_terminal_can_do_is_agreed_to_once_and_the_rest_is_refused() {
        let mut codec = fresh();
        assert_eq!(received(&mut codec, &[IAC, WILL, ECHO]).1, [IAC, DO, ECHO]);
        assert!(received(&mut codec, &[IAC, WILL, ECHO]).1.is_empty());
        assert_eq!(received(&mut codec, &[IAC, WONT, ECHO]).1, [IAC, DONT, ECHO]);
        assert!(received(&mut codec, &[IAC, WONT, ECHO]).1.is_empty());
        let size = [IAC, WILL, WINDOW_SIZE, IAC, SB, WINDOW_SIZE, 0, 100, 0, 30, IAC, SE];
        assert_eq!(received(&mut codec, &[IAC, DO, WINDOW_SIZE]).1, size);
        // Environment, line mode, terminal speed, authentication, encryption, timing mark.
        for option in [39, 34, 32, 37, 38, 6] {
            assert_eq!(received(&mut codec, &[IAC, DO, option]).1, [IAC, WONT, option]);
            assert_eq!(received(&mut codec, &[IAC, WILL, option]).1, [IAC, DONT, option]);
            assert!(received(&mut codec, &[IAC, DONT, option, IAC, WONT, option]).1.is_empty());
        }
    }

    #[test]
    fn the_terminals_type_is_told_when_it_is_asked_for() {
        let mut codec = Codec::new("vt\u{1b}220\u{7}", 80, 24);
        let ask = [IAC, SB, TERMINAL_TYPE, SEND, IAC, SE];
        assert!(received(&mut codec, &ask).1.is_empty(), "not agreed upon");
        received(&mut codec, &[IAC, DO, TERMINAL_TYPE]);
        assert_eq!(received(&mut codec, &ask).1, b"\xff\xfa\x18\0vt220\xff\xf0");
        // One that never ends is not kept, and what comes after its end counts.
        received(&mut codec, &[&[IAC, SB][..], &[7; 100_000]].concat());
        assert!(codec.subnegotiation.capacity() <= 2 * SUBNEGOTIATION);
        assert_eq!(received(&mut codec, &[IAC, SE, b'x']).0, b"x");
        assert_eq!(received(&mut codec, &[IAC, SB, 1, 2, IAC, DO, BINARY, b'y']), (b"y".to_vec(), vec![IAC, WILL, 0]));
    }

    #[test]
    fn what_is_typed_is_escaped() {
        let mut codec = fresh();
        let mut out = Vec::new();
        codec.send(b"ls\r\n\xff", &mut out);
        assert_eq!(out, b"ls\r\0\n\xff\xff");
        received(&mut codec, &[IAC, DO, BINARY]);
        out.clear();
        codec.send(b"\r\xff", &mut out);
        assert_eq!(out, b"\r\xff\xff");
    }

    #[test]
    fn a_size_is_told_only_to_whom_it_concerns_and_escaped() {
        let mut codec = fresh();
        let mut out = Vec::new();
        codec.resize(255, 511, &mut out);
        assert!(out.is_empty());
        received(&mut codec, &[IAC, DO, WINDOW_SIZE]);
        codec.resize(255, 511, &mut out);
        assert_eq!(out, [IAC, SB, WINDOW_SIZE, 0, IAC, IAC, 1, IAC, IAC, IAC, SE]);
    }

    #[test]
    fn two_of_them_agree_and_fall_silent() {
        let (mut one, mut other) = (fresh(), fresh());
        let mut to_other = vec![IAC, DO, WINDOW_SIZE, IAC, WILL, ECHO, IAC, DO, 39, IAC, WILL, 99];
        for _round in 0..4 {
            let to_one = received(&mut other, &to_other).1;
            to_other = received(&mut one, &to_one).1;
        }
        assert!(to_other.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_taken_in_bounds_and_however_it_is_split(bytes: Vec<u8>, split: usize) {
            let whole = received(&mut fresh(), &bytes);
            let (first, second) = bytes.split_at(split.checked_rem(bytes.len()).unwrap_or(0));
            let mut codec = fresh();
            let (mut data, mut replies) = received(&mut codec, first);
            codec.receive(second, &mut data, &mut replies);
            prop_assert_eq!(&(data, replies), &whole);
            prop_assert!(whole.0.len() <= bytes.len() && whole.1.len() <= 8 * bytes.len() + 16);
            prop_assert!(codec.subnegotiation.len() <= SUBNEGOTIATION);
        }

        #[test]
        fn what_is_typed_arrives(typed: Vec<u8>) {
            let mut out = Vec::new();
            fresh().send(&typed, &mut out);
            prop_assert_eq!(received(&mut fresh(), &out).0, typed);
        }
    }
}
