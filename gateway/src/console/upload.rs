//! Files that a form brings (RFC 7578): few, small, read only from who may send them, and known by what is in them, not
//! by what they are called.

use super::fault::Fault;
use super::visit::Fields;
use crate::registry::typed::acts;
use axum::body::Body;
use bytes::Bytes;
use encoding_rs::{SHIFT_JIS, UTF_8, UTF_16LE};
use multer::{Constraints, Multipart, SizeLimit};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The routes whose forms bring files.
pub const ROUTES: [&str; 1] = ["/attestation"];
/// The most files of a form.
pub const FILES: usize = 5;
/// The most bytes of a file.
pub const FILE_BYTES: usize = 5 << 20;
/// Forms with files that are read at once: their files are in memory until they are kept.
pub const AT_ONCE: usize = 4;
/// How long a form with files may take to arrive, and to wait for its turn.
pub const TIME: Duration = Duration::from_secs(120);

/// The most bytes that are read of a form whose files are too large: so much can still be answered with their names.
const BYTES: u64 = 60 << 20;
/// The most bytes of the fields that are no files.
const FIELD_BYTES: usize = 64 << 10;
/// The most parts of a form: what is in none of them takes memory as well.
const PARTS: usize = 64;
/// The most characters of a file's name.
const NAME: usize = 100;
/// And of the name that it was sent with.
const SENT_NAME: usize = 500;

/// The field that names each file that was sent: a form that is shown once more has lost the files themselves.
pub const SENT: &str = "file_sent";

/// A file that came.
pub struct Upload {
    /// The name that it was sent with.
    pub name: String,
    /// What is in it; `None`: too much, or too many files.
    pub bytes: Option<Bytes>,
}

/// The files of a form, and the room that they take.
#[derive(Default)]
pub struct Uploads {
    /// In the order in which they were sent.
    pub files: Vec<Upload>,
    /// Given back when the request is over.
    pub _room: Option<OwnedSemaphorePermit>,
}

/// Reads a form with files. Without `keep`, the files' bytes are dropped as they come.
///
/// # Errors
/// [`Fault::Elsewhere`] (no such form), [`Fault::TooMuch`].
pub async fn read(kind: &str, body: Body, keep: bool) -> Result<(Fields, Vec<Upload>), Fault> {
    let boundary = multer::parse_boundary(kind).map_err(|_| Fault::Elsewhere)?;
    let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(BYTES));
    let mut parts = Multipart::with_constraints(body.into_data_stream(), boundary, limits);
    let (mut fields, mut files, mut room) = (Vec::new(), Vec::new(), FIELD_BYTES);
    while let Some(mut part) = parts.next_field().await.map_err(broken)? {
        if fields.len() == PARTS {
            return Err(Fault::TooMuch);
        }
        let name = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().map(|name| name.chars().take(SENT_NAME).collect::<String>());
        let most = match file {
            None => room,
            Some(_) if keep && files.len() < FILES => FILE_BYTES,
            Some(_) => 0,
        };
        let mut bytes = Some(Vec::new());
        while let Some(chunk) = part.chunk().await.map_err(broken)? {
            match &mut bytes {
                Some(kept) if kept.len() + chunk.len() <= most => kept.extend_from_slice(&chunk),
                _ => bytes = None,
            }
        }
        match (file, bytes) {
            // Browsers send a field for files that nobody chose as one without a name.
            (Some(file), bytes) if file.is_empty() => drop(bytes),
            (Some(file), bytes) => {
                fields.push((SENT.to_owned(), file.clone()));
                files.push(Upload { name: file, bytes: bytes.map(Bytes::from) });
            }
            (None, None) => return Err(Fault::TooMuch),
            (None, Some(bytes)) => {
                room = room.saturating_sub(bytes.len() + name.len());
                fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    Ok((Fields::sent(fields), files))
}

/// What is wrong with a form that cannot be read: there is too much of it, or it is none.
fn broken(fault: multer::Error) -> Fault {
    match fault {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => Fault::TooMuch,
        _ => Fault::Elsewhere,
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PDF.
    Pdf,
    /// A picture.
    Png,
    /// A picture.
    Jpeg,
    /// Words in UTF-8, UTF-16 or Shift_JIS.
    Text,
}

impl Format {
    /// What the bytes are, if that is taken at all.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [] => None,
            _ => is_text(bytes).then_some(Self::Text),
        }
    }

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Text => "text",
        }
    }

    /// How names of such files end.
    fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Text => &["txt", "csv", "log"],
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let decoded = match bytes {
        [0xff, 0xfe, rest @ ..] => UTF_16LE.decode_without_bom_handling_and_without_replacement(rest),
        _ => UTF_8
            .decode_without_bom_handling_and_without_replacement(bytes)
            .or_else(|| SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes)),
    };
    decoded.is_some_and(|text| !text.chars().any(|c| c.is_control() && !"\t\r\n\x0c".contains(c)))
}

/// The name that a file is kept under: the last part of the one it was sent with, without what acts on a screen, and
/// with an end that says what it is, so that whoever takes it opens it with nothing else.
#[must_use]
pub fn file_name(sent: &str, format: Format) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|c| !c.is_control() && !acts(*c)).take(NAME).collect();
    let stem = shown.trim().trim_matches('.');
    let stem = if stem.is_empty() { "file" } else { stem };
    let end = stem.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    match format.ends() {
        ends if end.is_some_and(|end| ends.contains(&end.as_str())) => stem.to_owned(),
        ends => format!("{stem}.{}", ends.first().unwrap_or(&"bin")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_is_in_it() {
        assert_eq!(Format::of(b"%PDF-1.7\n..."), Some(Format::Pdf));
        assert_eq!(Format::of(b"\x89PNG\r\n\x1a\n\0\0"), Some(Format::Png));
        assert_eq!(Format::of(b"\xff\xd8\xff\xe0\0"), Some(Format::Jpeg));
        let (sjis, ..) = SHIFT_JIS.encode("検出なし\r\n");
        for text in ["検出なし\r\n\t".as_bytes(), &sjis, b"\xff\xfeA\0", b"<script>alert(1)</script>"] {
            assert_eq!(Format::of(text), Some(Format::Text), "{text:?}");
        }
        for other in [&b""[..], b"MZ\x90\0\x03", b"PK\x03\x04\x14\0", b"\x1b]0;x\x07", b"\x7fELF\x02"] {
            assert_eq!(Format::of(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_ends_as_what_it_is_and_acts_on_nothing() {
        for (sent, format, kept) in [
            ("検査結果.PDF", Format::Pdf, "検査結果.PDF"),
            ("C:\\temp\\scan.html", Format::Text, "scan.html.txt"),
            ("../../etc/passwd", Format::Text, "passwd.txt"),
            ("a\u{202e}fdp.exe", Format::Pdf, "afdp.exe.pdf"),
            ("shot.jpg", Format::Png, "shot.jpg.png"),
            ("photo.jpeg", Format::Jpeg, "photo.jpeg"),
            ("\r\n\x1b", Format::Text, "file.txt"),
            ("..", Format::Png, "file.png"),
        ] {
            assert_eq!(file_name(sent, format), kept, "{sent:?}");
        }
    }

    async fn sent(parts: &[(&str, Option<&str>, &[u8])], keep: bool) -> Result<(Fields, Vec<Upload>), Fault> {
        let mut body = Vec::new();
        for (name, file, bytes) in parts {
            let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
            body.extend_from_slice(b"--limit\r\nContent-Disposition: form-data; ");
            body.extend_from_slice(format!("name=\"{name}\"{file}\r\n\r\n").as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--limit--\r\n");
        read("multipart/form-data; boundary=limit", Body::from(body), keep).await
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_many_is_named_and_not_kept() {
        let large = vec![b'a'; FILE_BYTES + 1];
        let parts = [("note", None, "根拠".as_bytes()), ("f", Some("large"), &large), ("f", Some("x"), b"1")];
        let (fields, files) = sent(&parts, true).await.unwrap();
        assert_eq!((fields.one("note"), fields.all(SENT).collect::<Vec<_>>()), ("根拠", vec!["large", "x"]));
        let kept: Vec<_> = files.iter().map(|file| file.bytes.as_deref()).collect();
        assert_eq!(kept, [None, Some(&b"1"[..])]);
        let many = [("f", Some("x"), &b"1"[..]); FILES + 1];
        let (_, files) = sent(&many, true).await.unwrap();
        assert_eq!(files.iter().filter(|file| file.bytes.is_some()).count(), FILES);
        let (_, files) = sent(&parts, false).await.unwrap();
        assert!(files.iter().all(|file| file.bytes.is_none()), "files of who may not send them were kept");
        let (_, files) = sent(&[("f", Some(""), b"")], true).await.unwrap();
        assert!(files.is_empty(), "a field without a file counted as one");
    }

    #[tokio::test]
    async fn a_form_that_is_none_or_has_no_end_is_refused() {
        let words = vec![b'a'; FIELD_BYTES + 1];
        assert!(matches!(sent(&[("note", None, &words)], true).await, Err(Fault::TooMuch)));
        assert!(sent(&[("", None, &b""[..]); PARTS], true).await.is_ok());
        assert!(matches!(sent(&[("", None, &b""[..]); PARTS + 1], true).await, Err(Fault::TooMuch)));
        let cut = || Body::from("--limit\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb");
        assert!(matches!(read("multipart/form-data; boundary=limit", cut(), true).await, Err(Fault::Elsewhere)));
        assert!(matches!(read("multipart/form-data", cut(), true).await, Err(Fault::Elsewhere)));
    }
}
