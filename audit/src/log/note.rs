//! Signed notes, as C2SP signed-note has them: a text, an empty line, lines of signatures.

use super::base64;
use super::error::LogError;
use super::key::{Signed, VerifierKey, check_name};

/// Bytes of the longest note that is read: some sixty signatures of a post-quantum kind.
pub const LONGEST: usize = 512 * 1024;
/// Signatures that are read in a note; the specification asks for at least 16.
pub const MOST_SIGNATURES: usize = 64;

/// A note whose form is right. Nothing in it counts before [`Note::verify`] said who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Whose.
    pub key: VerifierKey,
    /// When, where a witness says so.
    pub signed: Signed,
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// A key that is known is named, and the signature is not its own: the note was changed or is a forgery.
    #[error("a signature by a known key fails")]
    Fails,
    /// Nobody who is known signed it.
    #[error("no known key signed it")]
    Unknown,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`LogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        Self::read(bytes, LONGEST, MOST_SIGNATURES)
    }

    /// Reads a note for the sake of what these keys signed in it: of each the first line that verifies, and no other line
    /// at all, whatever it says and however many there are.
    ///
    /// # Errors
    /// [`LogError::Malformed`].
    pub fn sifted<'k>(bytes: &[u8], known: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Self, LogError> {
        let note = Self::read(bytes, 2 * LONGEST, usize::MAX)?;
        let signatures = known.into_iter().filter_map(|key| note.signature_of(key)).cloned().collect();
        Ok(Self { signatures, ..note })
    }

    fn read(bytes: &[u8], longest: usize, most: usize) -> Result<Self, LogError> {
        let malformed = |reason: &str| LogError::malformed("signed note", reason);
        if bytes.len() > longest {
            return Err(malformed("it is longer than any note"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        if note.contains(|each: char| each < ' ' && each != '\n') {
            return Err(malformed("it has a control character"));
        }
        // The last empty line counts: the text itself may have some.
        let split = note.rfind("\n\n").ok_or_else(|| malformed("it has no empty line before its signatures"))?;
        let (text, lines) = note.split_at_checked(split + 1).ok_or_else(|| malformed("it is cut short"))?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or_else(|| malformed("its last line has no end"))?;
        let lines = lines.split('\n').take(most.saturating_add(1));
        let signatures = lines.map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > most {
            return Err(malformed("it has more signatures than are read"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// What is signed, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of its signatures, each with its newline.
    #[must_use]
    pub fn lines(&self) -> String {
        self.signatures.iter().map(Signature::line).collect()
    }

    /// The lines by which these keys signed it, one for each of them. What others wrote beside them is left out: whoever
    /// keeps a note that came from anybody keeps no more than what was verified.
    #[must_use]
    pub fn lines_of<'k>(&self, known: impl IntoIterator<Item = &'k VerifierKey>) -> Vec<String> {
        known.into_iter().filter_map(|key| self.signature_of(key)).map(Signature::line).collect()
    }

    fn signature_of(&self, key: &VerifierKey) -> Option<&Signature> {
        self.signatures.iter().find(|line| line.is_of(key) && key.verify(&self.text, &line.bytes).is_some())
    }

    /// Who of the known keys signed it: never an empty list. Unknown signatures are ignored, also such as share a name
    /// or an identifier with a known key; a known one that fails rejects the note.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn verify<'k>(&self, known: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<Signer>, Unsigned> {
        let mut signers = Vec::new();
        for key in known {
            for signature in self.signatures.iter().filter(|line| line.is_of(key)) {
                let signed = key.verify(&self.text, &signature.bytes).ok_or(Unsigned::Fails)?;
                signers.push(Signer { key: key.clone(), signed });
            }
        }
        if signers.is_empty() { Err(Unsigned::Unknown) } else { Ok(signers) }
    }
}

impl Signature {
    fn parse(line: &str) -> Result<Self, LogError> {
        let malformed = || LogError::malformed("signature line", "it has not the form `\u{2014} name base64`");
        let (name, blob) =
            line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or_else(malformed)?;
        check_name(name)?;
        let blob = base64::decode(blob).ok_or_else(malformed)?;
        let (id, bytes) = blob.split_first_chunk::<4>().ok_or_else(malformed)?;
        if bytes.is_empty() {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }

    fn line(&self) -> String {
        let blob = base64::encode(&[&self.id, self.bytes.as_slice()].concat());
        format!("\u{2014} {} {blob}\n", self.name)
    }

    /// Whether it says that it is this key's.
    fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }
}

/// Puts a note together: `text` ends in a newline, each of `lines` is one that [`super::SigningKey`] made.
#[must_use]
pub fn join(text: &str, lines: &[String]) -> String {
    format!("{text}\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests")]

    use super::super::key::{Role, Signed, SigningKey, VerifierKey};
    use super::{Note, Unsigned, join};

    fn key(name: &str, role: Role, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, role, &[seed; 32]).expect("a key")
    }

    #[test]
    fn the_note_of_go_verifies() {
        // From the documentation of golang.org/x/mod/sumdb/note.
        let verifier =
            VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").expect("a key");
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let note = Note::parse(note.as_bytes()).expect("a note");
        let signers = note.verify([&verifier]).expect("signed");
        assert_eq!(signers.len(), 1);
        assert_eq!(verifier.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    }

    #[test]
    fn unknown_signatures_are_ignored_and_known_ones_that_fail_reject() {
        let (log, other, witness) = (key("gate", Role::Log, 1), key("gate", Role::Log, 2), key("w", Role::Witness, 3));
        let text = "gate\n\n1\n";
        let parse = |lines: &[String]| Note::parse(join(text, lines).as_bytes()).expect("a note");
        // The same name with another identifier, and a longer signature of some other kind, are nobody's.
        let long = format!("\u{2014} gate {}\n", super::base64::encode(&[7; 2500]));
        let note = parse(&[other.sign(text), long, log.sign(text), witness.cosign(text, 1_700_000_000)]);
        assert_eq!(note.verify([log.verifier()]).map(|signers| signers.len()), Ok(1));
        let signers = note.verify([log.verifier(), witness.verifier()]).expect("both");
        assert_eq!(signers.last().map(|signer| signer.signed), Some(Signed::At(1_700_000_000)));
        assert_eq!(note.verify([key("gate", Role::Log, 4).verifier()]), Err(Unsigned::Unknown));

        let note = parse(&[log.sign("gate\n\n2\n"), other.sign(text)]);
        assert_eq!(note.verify([other.verifier(), log.verifier()]), Err(Unsigned::Fails));
        let note = parse(&[witness.cosign("gate\n\n2\n", 5), log.sign(text)]);
        assert_eq!(note.verify([log.verifier(), witness.verifier()]), Err(Unsigned::Fails));
        // The time is signed too.
        let moved = super::base64::encode(&[&witness.verifier().id()[..], &6_u64.to_be_bytes(), &[0; 64]].concat());
        let note = parse(&[format!("\u{2014} w {moved}\n")]);
        assert_eq!(note.verify([witness.verifier()]), Err(Unsigned::Fails));
    }

    #[test]
    fn what_was_not_verified_is_sifted_out() {
        let (log, witness) = (key("gate", Role::Log, 1), key("w", Role::Witness, 3));
        let text = "gate\n\n1\n";
        let (own, forged) = (witness.cosign(text, 6), witness.cosign("gate\n\n2\n", 5));
        let lines = [vec![forged; 70], vec![log.sign(text); 2], vec![own.clone()]].concat();
        let bytes = join(text, &lines);
        assert!(Note::parse(bytes.as_bytes()).is_err());
        let note = Note::sifted(bytes.as_bytes(), [log.verifier(), witness.verifier()]).expect("a note");
        assert_eq!(note.lines(), [log.sign(text), own].concat());
        assert_eq!(note.lines_of([log.verifier()]), [log.sign(text)]);
        let other = Note::sifted(bytes.as_bytes(), [key("gate", Role::Log, 4).verifier()]).expect("a note");
        assert_eq!(other.lines(), "");
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = key("gate", Role::Log, 1).sign("a\n");
        let good = format!("a\n\n{line}");
        assert!(Note::parse(good.as_bytes()).is_ok());
        for bad in [
            String::new(),
            "a\n\n".to_owned(),
            format!("a\n{line}"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replace('\u{2014}', "-"),
            good.replace("gate ", "gate  "),
            good.replace("gate", "ga+te"),
            good.replace("a\n\n", "a\r\n\n"),
            good.replace('=', ""),
            format!("a\n\n{}", line.repeat(65)),
            "a\n\n\u{2014} gate AAAAAA==\n".to_owned(),
        ] {
            assert!(Note::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Note::parse(b"\xff\n\n").is_err());
    }
}
