//! Whose backups a bucket's prefix holds: nothing else is written over there, or removed.

use super::{Bucket, waited};
use crate::backup::files::{self, Copied};
use crate::backup::list::Entry;
use crate::backup::s3::{Fault, Question, xml};
use crate::backup::{BackupError, MARKER};
use bytes::Bytes;
use hyper::Method;

/// More than any marker has.
const LONGEST_MARKER: u64 = 4 << 10;

impl Bucket {
    /// A bucket to write to: its prefix holds nothing, or backups of whoever `claim` names. What an upload left that broke
    /// off is given up: it never counted.
    ///
    /// # Errors
    /// [`BackupError::Unfit`], [`BackupError::Bucket`].
    pub fn prepare(self, claim: &[u8]) -> Result<Self, BackupError> {
        let unfit = |reason: String| BackupError::unfit(self.called(""), reason);
        if self.lock.is_some() && !self.locks()? {
            let reason = "backup.lock_days is set, and the bucket has no object lock: make one that has, since that is \
                          decided when a bucket is made";
            return Err(unfit(reason.to_owned()));
        }
        let mut marker = self.marker()?;
        if marker.is_none() {
            if !self.list("")?.is_empty() {
                return Err(unfit(format!(
                    "it is not empty, and there is no {MARKER} in it: name a new prefix, which is then kept for them"
                )));
            }
            if let Some(above) = self.claimed_above()? {
                return Err(unfit(format!("it lies within {above}, which is kept for backups: name another prefix")));
            }
            // Of two that begin at once one wins, and that is read.
            let put = self.put_bytes(MARKER, claim.to_vec(), vec![("if-none-match", "*".to_owned())]);
            marker = self.marker()?;
            if marker.is_none() {
                put?;
                return Err(unfit(format!("it took {MARKER}, and does not have it")));
            }
        }
        if let Some((text, mut entry)) = marker {
            if text != claim {
                return Err(unfit("it holds those of another: name another prefix".to_owned()));
            }
            self.keep(&mut entry)?;
        }
        self.give_up_parts()?;
        Ok(self)
    }

    fn locks(&self) -> Result<bool, BackupError> {
        let answer = waited(self.client.text(&Question {
            method: Method::GET,
            path: &self.path(None),
            query: &[("object-lock", "")],
            headers: Vec::new(),
            body: Bytes::new(),
        }));
        match answer {
            Ok((_, text)) => Ok(xml::text(&text, "ObjectLockEnabled").as_deref() == Some("Enabled")),
            Err(Fault::Refused { code, .. }) if code == "ObjectLockConfigurationNotFoundError" => Ok(false),
            Err(fault) => Err(self.failed("look at the lock of", "")(fault)),
        }
    }

    /// Whose backups they are, and which object says so: the first word on that counts, whatever was put on top of it.
    fn marker(&self) -> Result<Option<(Vec<u8>, Entry)>, BackupError> {
        let Some(first) = self.list(MARKER)?.into_iter().rfind(|object| object.name == MARKER) else { return Ok(None) };
        let text = self.read(MARKER, first.version.as_deref(), LONGEST_MARKER)?;
        let Copied { size, sha256 } = files::of_bytes(&text);
        let (name, version) = (first.name, first.version);
        Ok(Some((text, Entry { object: name.clone(), name, size, sha256, version, until: None })))
    }

    /// The place of backups that this one would lie in: it would be cleared away as a part of that one.
    fn claimed_above(&self) -> Result<Option<String>, BackupError> {
        let ends = std::iter::once(0).chain(self.prefix.match_indices('/').map(|(at, _)| at + 1));
        for above in ends.filter_map(|end| self.prefix.get(..end)).filter(|above| *above != self.prefix) {
            let marker = format!("{above}{MARKER}");
            if self.listed(&marker)?.iter().any(|object| object.name == marker) {
                return Ok(Some(format!("s3://{}/{above}", self.name)));
            }
        }
        Ok(None)
    }
}
