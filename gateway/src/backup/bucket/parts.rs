//! Large files go up in parts, one of them in memory at a time. They are an object once all are there: what breaks off
//! counts for nothing, and is given up.

use super::{Bucket, CHECKSUM, LONGEST_NAME, checksum, header};
use crate::backup::BackupError;
use crate::backup::files::Hashed;
use crate::backup::lock::Lock;
use crate::backup::place::Put;
use crate::backup::s3::{Fault, xml};
use bytes::Bytes;
use hyper::Method;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// What goes in one piece; larger files go up in parts of this size.
pub const PART: u64 = 8 << 20;
/// The parts of files for which those are too many, since a store takes 10,000 of an object.
const LARGE_PART: u64 = 64 << 20;
const MOST_PARTS: u64 = 10_000;

impl Bucket {
    /// Puts a large file, of which one part at a time is in memory. It is an object once all of them are there.
    pub(super) fn put_parts(&self, object: &str, from: File, length: u64) -> Result<Put, BackupError> {
        let size = if length <= PART * MOST_PARTS { PART } else { LARGE_PART };
        if length > size * MOST_PARTS {
            return Err(BackupError::unfit(self.called(object), "it is too large for an object"));
        }
        let mut headers = vec![("x-amz-checksum-algorithm", "SHA256".to_owned())];
        headers.extend(self.lock.iter().flat_map(Lock::headers));
        let begun = self.text("put", object, Method::POST, &[("uploads", "")], headers, Bytes::new())?.1;
        let missing = || self.failed("put", object)(Fault::Unanswered(anyhow::anyhow!("it names no upload")));
        let upload = xml::text(&begun, "UploadId")
            .filter(|upload| (1..=LONGEST_NAME).contains(&upload.len()))
            .ok_or_else(missing)?;
        let put = self.put_each_part(object, &upload, from.take(length), size);
        if put.is_err() {
            // The next backup gives up what this does not reach.
            let _ = self.ask(object, Method::DELETE, &[("uploadId", &upload)], Vec::new(), Bytes::new());
        }
        put
    }

    fn put_each_part(
        &self,
        object: &str,
        upload: &str,
        mut from: io::Take<File>,
        size: u64,
    ) -> Result<Put, BackupError> {
        let (mut whole, mut parts) = (Hashed::new(io::sink()), String::new());
        for number in 1.. {
            let mut bytes = Vec::new();
            let read = (&mut from).take(size).read_to_end(&mut bytes).and_then(|_| whole.write_all(&bytes));
            read.map_err(BackupError::storage("read", Path::new(object)))?;
            if bytes.is_empty() {
                break;
            }
            let (body, number) = (Bytes::from(bytes), number.to_string());
            let headers = checksum(&body);
            let sum =
                headers.iter().find(|(name, _)| *name == CHECKSUM).map(|(_, sum)| sum.clone()).unwrap_or_default();
            let query = [("partNumber", number.as_str()), ("uploadId", upload)];
            let answer = self.text("put a part of", object, Method::PUT, &query, headers, body)?.0;
            let tag = xml::escaped(&header(&answer, "etag").unwrap_or_default());
            parts += &format!(
                "<Part><ChecksumSHA256>{sum}</ChecksumSHA256><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>"
            );
        }
        let body = Bytes::from(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"));
        let answer = self.text("put", object, Method::POST, &[("uploadId", upload)], Vec::new(), body)?.0;
        // Whether the lock of its beginning came with it is asked before the backup counts.
        Ok(Put { until: None, ..self.put_as(whole.finish().1, &answer) })
    }

    /// Gives up what an upload left that broke off.
    pub(super) fn give_up_parts(&self) -> Result<(), BackupError> {
        let query = [("uploads", ""), ("prefix", self.prefix.as_str())];
        let begun = self.text("list what was begun in", "", Method::GET, &query, Vec::new(), Bytes::new())?.1;
        for upload in xml::elements(&begun, "Upload") {
            let (Some(key), Some(id)) = (xml::text(upload, "Key"), xml::text(upload, "UploadId")) else { continue };
            // Some stores list those of other prefixes as well.
            let Some(object) = key.strip_prefix(&self.prefix) else { continue };
            match self.ask(object, Method::DELETE, &[("uploadId", &id)], Vec::new(), Bytes::new()) {
                Err(fault) if !fault.is_absence() => return Err(self.failed("give up a part of", object)(fault)),
                _ => {}
            }
        }
        Ok(())
    }
}
