//! Checkpoints, as C2SP tlog-checkpoint has them: which log, how many entries, under which root. No extension lines.

use super::error::LogError;
use super::hash::Hash;
use super::key::SigningKey;
use super::note::{Note, join};
use serde::Serialize;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// The log's name, which is also that of its keys.
    pub origin: String,
    /// Entries in the log.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`LogError::Malformed`], also for extension lines, which nobody could audit.
    pub fn parse_text(text: &str) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("checkpoint", reason);
        let mut lines = text.strip_suffix('\n').ok_or_else(|| malformed("its last line has no end"))?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("it has not three lines"));
        };
        if origin.is_empty() {
            return Err(malformed("it names no log"));
        }
        let size = decimal(size).ok_or_else(|| malformed("its size is no plain number"))?;
        let root = Hash::from_base64(root).ok_or_else(|| malformed("its root is no hash in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Reads a note whose text is a checkpoint.
    ///
    /// # Errors
    /// [`LogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, Note), LogError> {
        let note = Note::parse(bytes)?;
        Ok((Self::parse_text(note.text())?, note))
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The signed note.
    #[must_use]
    pub fn signed(&self, keys: &[&SigningKey]) -> String {
        let text = self.text();
        join(&text, &keys.iter().map(|key| key.sign(&text)).collect::<Vec<_>>())
    }
}

/// A decimal number without sign and leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]

    use super::Checkpoint;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse_text(text).expect("a checkpoint");
        assert_eq!((checkpoint.size, checkpoint.text().as_str()), (20_852_163, text));
        for bad in [
            text.replace("2085", "02085"),
            text.replace("2085", "+2085"),
            text.replace("20852163", ""),
            text.replace("20852163", "18446744073709551616"),
            text.replace("CsUY", "CsU"),
            format!("{text}extension\n"),
            format!("\n{}", text.split_once('\n').map_or("", |(_, rest)| rest)),
            text.trim_end().to_owned(),
        ] {
            assert!(Checkpoint::parse_text(&bad).is_err(), "{bad}");
        }
    }
}
