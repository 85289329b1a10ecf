//! A command without a terminal: its three streams byte for byte, and scp read along the way.
//!
//! The bytes are members of their own, never text in JSON; the `.exec.jsonl` beside them tells when they came.

use super::lines::{Entry, Lines, MOST_COMMAND, Stream, opening, shortened};
use super::member::{Folder, Member};
use super::scp::Scp;
use super::scp_command::ScpCommand;
use super::values::{ChannelKind, ExitStatus, MemberEntry, Output, Transfer};
use crate::error::RecordingError;
use chrono::{DateTime, TimeDelta, Utc};

/// Chunks of one stream within this time share a line.
const LINE_SPAN: TimeDelta = TimeDelta::milliseconds(100);

/// The writer of one command's members.
pub(super) struct ExecStream {
    folder: Folder,
    channel: u32,
    lines: Lines,
    stdin: Option<Member>,
    stdout: Option<Member>,
    stderr: Option<Member>,
    /// Bytes that are written but have no line yet: which, since when, how many.
    unlisted: Option<(Stream, DateTime<Utc>, u64)>,
    scp: Option<Scp>,
}

impl ExecStream {
    /// Makes `00002.exec.jsonl`; the streams' members are made with their first bytes.
    pub(super) fn create(
        folder: &Folder,
        channel: u32,
        command: &str,
        at: DateTime<Utc>,
    ) -> Result<Self, RecordingError> {
        let open = opening(channel, ChannelKind::Exec, Some(shortened(command, MOST_COMMAND)), None);
        let lines = Lines::create(folder, format!("{channel:05}.exec.jsonl"), "command, times of its bytes", at, open)?;
        let scp = ScpCommand::parse(command).map(|command| Scp::new(command, folder, channel));
        let folder = folder.clone();
        Ok(Self { folder, channel, lines, stdin: None, stdout: None, stderr: None, unlisted: None, scp })
    }

    /// Bytes of the device.
    pub(super) fn device_sent(
        &mut self,
        at: DateTime<Utc>,
        output: Output,
        bytes: &[u8],
    ) -> Result<Vec<Transfer>, RecordingError> {
        let stream = match output {
            Output::Stdout => Stream::Stdout,
            Output::Stderr => Stream::Stderr,
        };
        self.append(at, stream, bytes)?;
        match (&mut self.scp, output) {
            (Some(scp), Output::Stdout) => {
                let ended = scp.device_sent(at, bytes);
                self.list(at, ended)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Bytes of the person.
    pub(super) fn person_sent(&mut self, at: DateTime<Utc>, bytes: &[u8]) -> Result<Vec<Transfer>, RecordingError> {
        self.append(at, Stream::Stdin, bytes)?;
        match &mut self.scp {
            Some(scp) => {
                let ended = scp.person_sent(at, bytes);
                self.list(at, ended)
            }
            None => Ok(Vec::new()),
        }
    }

    /// The gateway told the person something.
    pub(super) fn notice(&mut self, at: DateTime<Utc>, text: &str) -> Result<(), RecordingError> {
        self.list_bytes()?;
        self.lines.add(at, Entry::Notice { text: text.to_owned() })
    }

    /// The command ended.
    pub(super) fn exit(&mut self, at: DateTime<Utc>, status: &ExitStatus) -> Result<(), RecordingError> {
        self.list_bytes()?;
        self.lines.add(at, Entry::Exit { status: status.clone() })
    }

    /// The channel closed; files that were still moving are incomplete. Whatever fails, the rest is done: a copy that was
    /// kept must stand in the manifest.
    pub(super) fn close(&mut self, at: DateTime<Utc>, last: Entry) -> Result<Vec<Transfer>, RecordingError> {
        let listed = self.list_bytes();
        let (ended, closed) = self.scp.as_mut().map_or_else(|| (Vec::new(), Ok(())), |scp| scp.close(at));
        let ended = self.list(at, Ok(ended));
        let told = self.lines.add(at, last);
        let synced = self.members().map(Member::sync).fold(Ok(()), Result::and);
        listed.and(closed).and(ended).and_then(|ended| told.and(synced).map(|()| ended))
    }

    /// The lines of the manifest.
    pub(super) fn entries(&self) -> Vec<MemberEntry> {
        let kept = self.scp.iter().flat_map(Scp::entries).cloned();
        self.members().map(Member::entry).chain(kept).collect()
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        [Some(self.lines.member()), self.stdin.as_ref(), self.stdout.as_ref(), self.stderr.as_ref()]
            .into_iter()
            .flatten()
    }

    fn append(&mut self, at: DateTime<Utc>, stream: Stream, bytes: &[u8]) -> Result<(), RecordingError> {
        let (member, extension, content) = match stream {
            Stream::Stdin => (&mut self.stdin, "stdin", "command, bytes from the person"),
            Stream::Stdout => (&mut self.stdout, "stdout", "command, bytes from the device"),
            Stream::Stderr => (&mut self.stderr, "stderr", "command, error bytes from the device"),
        };
        if member.is_none() {
            *member = Some(Member::create(&self.folder, format!("{:05}.{extension}", self.channel), content)?);
        }
        if let Some(member) = member {
            member.append(bytes)?;
        }
        self.count(at, stream, bytes.len() as u64)
    }

    fn count(&mut self, at: DateTime<Utc>, stream: Stream, bytes: u64) -> Result<(), RecordingError> {
        match &mut self.unlisted {
            Some((same, since, sum)) if *same == stream && at - *since < LINE_SPAN => {
                *sum += bytes;
                Ok(())
            }
            _ => {
                self.list_bytes()?;
                self.unlisted = Some((stream, at, bytes));
                Ok(())
            }
        }
    }

    fn list_bytes(&mut self) -> Result<(), RecordingError> {
        match self.unlisted.take() {
            Some((stream, since, bytes)) => self.lines.add(since, Entry::Bytes { stream, bytes }),
            None => Ok(()),
        }
    }

    fn list(
        &mut self,
        at: DateTime<Utc>,
        ended: Result<Vec<Transfer>, RecordingError>,
    ) -> Result<Vec<Transfer>, RecordingError> {
        let ended = ended?;
        for transfer in &ended {
            self.lines.add(at, Entry::Transfer(transfer.clone()))?;
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Durability, Lengths, SessionKey};
    use super::*;

    /// A disk that fails at the end takes no copy out of the manifest.
    #[test]
    fn what_was_kept_stands_in_the_manifest_though_the_last_lines_fail() {
        let root = tempfile::tempdir().unwrap();
        let (path, key, durability) = (root.path().to_owned(), SessionKey::from([7; 32]), Durability::Process);
        let folder = Folder { path, key, lengths: Lengths::default(), durability };
        let at = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
        let mut stream = ExecStream::create(&folder, 2, "scp -t /tmp/fw.bin", at).unwrap();
        stream.device_sent(at, Output::Stdout, b"\0").unwrap();
        stream.person_sent(at, b"C0644 5 fw.bin\nhel").unwrap();
        stream.lines.tear();
        let last = Entry::Close { reason: None, bytes_to_device: 0, bytes_from_device: 0 };
        stream.close(at, last).unwrap_err();
        let kept = stream.entries().into_iter().find(|entry| entry.name == "files/00002-0001").unwrap();
        assert_eq!(kept.size, 3);
    }
}
