//! One channel of a recording: whatever its kind, the same few acts, counted and closed in one way.

use super::cast::Cast;
use super::forward::ForwardChannel;
use super::lines::{Entry, MOST_COMMAND, MOST_NAME, MOST_TEXT, shortened};
use super::live::Activity;
use super::member::Folder;
use super::sftp::SftpChannel;
use super::stream::ExecStream;
use super::values::{ChannelEntry, ChannelKind, ExitStatus, Forward, MemberEntry, Output, Terminal, Transfer};
use crate::error::RecordingError;
use chrono::{DateTime, Utc};

/// The writer of one channel. Every call may block on the disk.
pub(super) struct Channel {
    entry: ChannelEntry,
    writer: Writer,
    open: bool,
    /// The peer's fault that ended it; repeated to whoever comes after.
    broken: Option<RecordingError>,
    /// Transfers that ended and were not told yet.
    fresh: Vec<Transfer>,
    /// The file that moved last.
    last_file: Option<String>,
}

enum Writer {
    Terminal(Box<Cast>),
    Exec(Box<ExecStream>),
    Sftp(Box<SftpChannel>),
    Forward(Box<ForwardChannel>),
}

impl Channel {
    /// A shell or command with a terminal.
    pub(super) fn terminal(
        folder: &Folder,
        channel: u32,
        terminal: &Terminal,
        at: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let command = terminal.command.as_deref().map(|command| shortened(command, MOST_COMMAND));
        let terminal = Terminal { term: shortened(&terminal.term, MOST_NAME), command, ..*terminal };
        let writer = Writer::Terminal(Box::new(Cast::create(folder, channel, &terminal, at)?));
        Ok(Self::new(channel, ChannelKind::Terminal, terminal.command, at, writer))
    }

    /// A command without one.
    pub(super) fn exec(
        folder: &Folder,
        channel: u32,
        command: String,
        at: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let writer = Writer::Exec(Box::new(ExecStream::create(folder, channel, &command, at)?));
        Ok(Self::new(channel, ChannelKind::Exec, Some(shortened(&command, MOST_COMMAND)), at, writer))
    }

    /// The SFTP subsystem.
    pub(super) fn sftp(folder: &Folder, channel: u32, at: DateTime<Utc>) -> Result<Self, RecordingError> {
        let writer = Writer::Sftp(Box::new(SftpChannel::create(folder, channel, at)?));
        Ok(Self::new(channel, ChannelKind::Sftp, None, at, writer))
    }

    /// A forwarded connection.
    pub(super) fn forward(
        folder: &Folder,
        channel: u32,
        forward: &Forward,
        at: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let forward = Forward { destination: shortened(&forward.destination, MOST_NAME), ..forward.clone() };
        let writer = Writer::Forward(Box::new(ForwardChannel::create(folder, channel, &forward, at)?));
        let destination = format!("{}:{}", forward.destination, forward.destination_port);
        Ok(Self::new(channel, ChannelKind::Forward, Some(destination), at, writer))
    }

    fn new(channel: u32, kind: ChannelKind, command: Option<String>, at: DateTime<Utc>, writer: Writer) -> Self {
        let entry = ChannelEntry {
            channel,
            kind,
            command,
            opened: at,
            closed: at,
            exit: None,
            reason: None,
            bytes_to_device: 0,
            bytes_from_device: 0,
            transfers: 0,
        };
        Self { entry, writer, open: true, broken: None, fresh: Vec::new(), last_file: None }
    }

    /// Bytes that the device sent and that are about to be shown.
    pub(super) fn device_sent(
        &mut self,
        at: DateTime<Utc>,
        output: Output,
        bytes: &[u8],
    ) -> Result<(), RecordingError> {
        self.check()?;
        let ended = match (&mut self.writer, output) {
            (Writer::Terminal(cast), _) => {
                let mut parts = bytes.chunks(MOST_TEXT);
                parts.try_for_each(|part| cast.output(at, part)).map(|()| Vec::new())
            }
            (Writer::Exec(stream), output) => stream.device_sent(at, output, bytes),
            (Writer::Sftp(sftp), Output::Stdout) => sftp.device_sent(at, bytes),
            (Writer::Sftp(sftp), Output::Stderr) => {
                // No SFTP, but it is shown, so it is kept.
                let mut parts = bytes.chunks(MOST_TEXT).map(|part| String::from_utf8_lossy(part).into_owned());
                parts.try_for_each(|text| sftp.note(at, Entry::Stderr { text })).map(|()| Vec::new())
            }
            (Writer::Forward(forward), _) => forward.device_sent(at, bytes).map(|()| Vec::new()),
        };
        self.entry.bytes_from_device += bytes.len() as u64;
        self.take(ended)
    }

    /// Bytes that the person sent and that are about to reach the device.
    pub(super) fn person_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<(), RecordingError> {
        self.check()?;
        let ended = match &mut self.writer {
            Writer::Terminal(cast) => cast.typed(at, bytes.len()).map(|()| Vec::new()),
            Writer::Exec(stream) => stream.person_sent(at, bytes),
            Writer::Sftp(sftp) => sftp.person_sent(at, bytes),
            Writer::Forward(forward) => forward.person_sent(at, bytes).map(|()| Vec::new()),
        };
        self.entry.bytes_to_device += bytes.len() as u64;
        self.take(ended)
    }

    /// What the gateway itself is about to show.
    pub(super) fn notice(&mut self, at: DateTime<Utc>, text: &str) -> Result<(), RecordingError> {
        self.check()?;
        let entry = || Entry::Notice { text: text.to_owned() };
        match &mut self.writer {
            Writer::Terminal(cast) => cast.notice(at, text),
            Writer::Exec(stream) => stream.notice(at, text),
            Writer::Sftp(sftp) => sftp.note(at, entry()),
            Writer::Forward(forward) => forward.note(at, entry()),
        }
    }

    /// The window changed. Only a terminal has one.
    pub(super) fn resize(&mut self, at: DateTime<Utc>, cols: u16, rows: u16) -> Result<(), RecordingError> {
        self.check()?;
        match &mut self.writer {
            Writer::Terminal(cast) => cast.resize(at, cols, rows),
            Writer::Exec(_) | Writer::Sftp(_) | Writer::Forward(_) => Ok(()),
        }
    }

    /// The command ended.
    pub(super) fn exit(&mut self, at: DateTime<Utc>, status: ExitStatus) -> Result<(), RecordingError> {
        self.check()?;
        let status = match status {
            ExitStatus::Signal(name) => ExitStatus::Signal(shortened(&name, MOST_NAME)),
            code @ ExitStatus::Code(_) => code,
        };
        match &mut self.writer {
            Writer::Terminal(cast) => cast.exit(at, &status)?,
            Writer::Exec(stream) => stream.exit(at, &status)?,
            Writer::Sftp(sftp) => sftp.note(at, Entry::Exit { status: status.clone() })?,
            Writer::Forward(_) => {}
        }
        self.entry.exit = Some(status);
        Ok(())
    }

    /// Ends the channel: flushed, on disk, transfers under way incomplete. A second call changes nothing.
    pub(super) fn close(&mut self, at: DateTime<Utc>, reason: Option<String>) -> Result<(), RecordingError> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        self.entry.closed = at;
        self.entry.reason = reason.or_else(|| self.broken.as_ref().map(ToString::to_string));
        let last = Entry::Close {
            reason: self.entry.reason.clone(),
            bytes_to_device: self.entry.bytes_to_device,
            bytes_from_device: self.entry.bytes_from_device,
        };
        let ended = match &mut self.writer {
            Writer::Terminal(cast) => cast.close(at, self.entry.reason.as_deref()).map(|()| Vec::new()),
            Writer::Exec(stream) => stream.close(at, last),
            Writer::Sftp(sftp) => sftp.close(at, last),
            Writer::Forward(forward) => forward.close(at, last).map(|()| Vec::new()),
        };
        self.take(ended)
    }

    /// Transfers that ended since the last call.
    pub(super) fn drain(&mut self) -> Vec<Transfer> {
        std::mem::take(&mut self.fresh)
    }

    /// How it stands, for those who watch.
    pub(super) fn activity(&self) -> Activity {
        let moving = match &self.writer {
            Writer::Sftp(sftp) => sftp.moving(),
            Writer::Terminal(_) | Writer::Exec(_) | Writer::Forward(_) => None,
        };
        Activity {
            channel: self.entry.channel,
            kind: self.entry.kind,
            command: self.entry.command.clone(),
            open: self.open,
            bytes_to_device: self.entry.bytes_to_device,
            bytes_from_device: self.entry.bytes_from_device,
            transfers: self.entry.transfers,
            file: moving.or_else(|| self.last_file.clone()),
        }
    }

    /// The line of the manifest.
    pub(super) fn entry(&self) -> &ChannelEntry {
        &self.entry
    }

    /// The members' lines of the manifest.
    pub(super) fn members(&self) -> Vec<MemberEntry> {
        match &self.writer {
            Writer::Terminal(cast) => vec![cast.member().entry()],
            Writer::Exec(stream) => stream.entries(),
            Writer::Sftp(sftp) => sftp.entries(),
            Writer::Forward(forward) => forward.entries(),
        }
    }

    fn check(&self) -> Result<(), RecordingError> {
        match &self.broken {
            Some(broken) => Err(broken.clone()),
            None if self.open => Ok(()),
            None => Err(RecordingError::Closed(format!("channel {}", self.entry.channel))),
        }
    }

    fn take(&mut self, ended: Result<Vec<Transfer>, RecordingError>) -> Result<(), RecordingError> {
        match ended {
            Ok(ended) => {
                self.entry.transfers += ended.len() as u64;
                if let Some(last) = ended.last() {
                    self.last_file = Some(last.path.clone());
                }
                self.fresh.extend(ended);
                Ok(())
            }
            Err(error) => {
                if error.is_malformed() {
                    self.broken = Some(error.clone());
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::journal::{heads, path_of};
    use super::super::{Durability, Lengths, SessionKey};
    use super::*;

    /// Whatever a peer says, each line is in one frame: half a line would be lost, or hold up its sealing.
    #[test]
    fn no_line_spans_two_frames() {
        let root = tempfile::tempdir().unwrap();
        let (path, key, durability) = (root.path().to_owned(), SessionKey::from([7; 32]), Durability::Process);
        let folder = Folder { path, key, lengths: Lengths::default(), durability };
        let at = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
        let (hostile, long) = (vec![1_u8; 300_000], "\u{1}".repeat(300_000));
        let terminal = Terminal { cols: 80, rows: 24, term: long.clone(), command: Some(long.clone()) };
        let mut channels = [
            Channel::terminal(&folder, 1, &terminal, at).unwrap(),
            Channel::exec(&folder, 2, long.clone(), at).unwrap(),
            Channel::sftp(&folder, 3, at).unwrap(),
        ];
        let extended = [&[200, 0, 0, 0, 1][..], &200_000_u32.to_be_bytes(), &hostile[..200_000]].concat();
        let packet = [&u32::try_from(extended.len()).unwrap().to_be_bytes()[..], &extended].concat();
        channels[2].person_sent(at, &packet).unwrap();
        channels[2].device_sent(at, Output::Stderr, &hostile).unwrap();
        // Each byte of it is no UTF-8 as well, which takes a second line.
        let broken: Vec<u8> =
            hostile.iter().enumerate().map(|(at, byte)| if at % 9 == 0 { 0xff } else { *byte }).collect();
        channels[0].device_sent(at, Output::Stdout, &broken).unwrap();
        for channel in &mut channels {
            channel.exit(at, ExitStatus::Signal(long.clone())).unwrap();
            channel.close(at, None).unwrap();
        }
        for name in ["00001.cast", "00002.exec.jsonl", "00003.sftp.jsonl"] {
            let text = folder.read(name);
            let frames = heads(&path_of(&folder.path, name));
            assert!(frames.len() > 1, "{name}: {frames:?}");
            for (position, length) in frames {
                let end = usize::try_from(position).unwrap() + length as usize;
                assert_eq!(text.get(end - 1), Some(&b'\n'), "{name}: a frame ends inside a line at {end}");
            }
        }
        let cast = String::from_utf8(folder.read("00001.cast")).unwrap();
        assert!(cast.contains("… [cut: 300000 bytes, SHA-256 "));
        let shown = cast.lines().filter(|line| line.contains("\"o\"")).map(|line| line.matches("\\u0001").count());
        assert_eq!(shown.sum::<usize>(), broken.iter().filter(|byte| **byte == 1).count(), "what was shown is whole");
    }
}
