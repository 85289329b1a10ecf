//! A bucket of an S3-compatible store as the place of backups, with object lock where the configuration asks for it.
//!
//! Whoever has the keys of the store can put another version over each object, or a mark that it is deleted, but cannot
//! touch a locked version. So every version is looked at when notes are looked for, and a signed list names the version of
//! each file: what was put on top hides nothing. That is safe because no version counts by its place or its age, only
//! by the signature of the log's key, and by the hash under it.

mod claim;
mod parts;

use super::BackupError;
use super::files::{self, Copied, Hashed};
use super::list::Entry;
use super::lock::{Lock, MODE, UNTIL};
use super::place::{Object, Put, Stays};
use super::s3::{Client, Fault, Question, poured, xml};
use crate::config;
use crate::web::encoded;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::{HeaderMap, Method};
use sekimori_audit::log::base64;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The most that is kept of a list: some millions of objects. More make no backup of this program.
const MOST_LISTED: usize = 1 << 30;
/// The longest that listing may take: a page has a thousand objects, and comes in a second.
const LISTING: Duration = Duration::from_secs(3_600);
/// Bytes of the longest name that a store has for anything.
const LONGEST_NAME: usize = 1 << 10;
/// How often a file is fetched when it breaks off.
const FETCHES: u32 = 3;

/// The bucket.
pub struct Bucket {
    client: Client,
    name: String,
    /// Before the name of each object: empty, or with a slash at its end.
    prefix: String,
    lock: Option<Lock>,
}

impl Bucket {
    /// A bucket to read from.
    ///
    /// # Errors
    /// [`BackupError::Unfit`] names what is missing in the configuration.
    pub fn at(name: &str, prefix: &str, store: &config::Backup) -> Result<Self, BackupError> {
        let client = Client::new(store).map_err(|why| BackupError::unfit(format!("s3://{name}/{prefix}"), why))?;
        let lock = Lock::of_days(store.lock_days, Utc::now());
        Ok(Self { client, name: name.to_owned(), prefix: prefix.to_owned(), lock })
    }

    /// How it is called in messages.
    #[must_use]
    pub fn called(&self, object: &str) -> String {
        format!("s3://{}/{}{object}", self.name, self.prefix)
    }

    /// Every version of every object whose name begins so, the newest of a name first.
    pub fn list(&self, part: &str) -> Result<Vec<Object>, BackupError> {
        let mut found = self.listed(&format!("{}{part}", self.prefix))?;
        found.retain_mut(|object| match object.name.strip_prefix(&self.prefix) {
            Some(name) => {
                object.name = name.to_owned();
                true
            }
            None => false,
        });
        Ok(found)
    }

    /// The same by the names that the bucket has for them.
    fn listed(&self, prefix: &str) -> Result<Vec<Object>, BackupError> {
        let failed = |why: &str| BackupError::unfit(format!("s3://{}/{prefix}", self.name), why);
        let (mut found, mut bytes, mut key, mut version) = (Vec::new(), 0, String::new(), String::new());
        let begin = Instant::now();
        while begin.elapsed() < LISTING && bytes < MOST_LISTED {
            let mut query = vec![("versions", ""), ("prefix", prefix)];
            if !key.is_empty() {
                query.extend([("key-marker", key.as_str()), ("version-id-marker", version.as_str())]);
            }
            let page = self.text("list", "", Method::GET, &query, Vec::new(), Bytes::new())?.1;
            for object in xml::elements(&page, "Version").into_iter().filter_map(object) {
                bytes += size_of::<Object>() + object.name.len() + object.version.as_ref().map_or(0, String::len);
                found.push(object);
            }
            if xml::text(&page, "IsTruncated").as_deref() != Some("true") {
                return Ok(found);
            }
            let next = xml::text(&page, "NextKeyMarker").unwrap_or_default();
            let next_version = xml::text(&page, "NextVersionIdMarker").unwrap_or_default();
            if next.is_empty() || (&next, &next_version) == (&key, &version) {
                return Err(failed("the store's list of it has no end"));
            }
            (key, version) = (next, next_version);
        }
        Err(failed("its list is longer than any of a gateway's backups, or comes too slowly"))
    }

    /// Reads a small object, as far as `most`.
    pub fn read(&self, object: &str, version: Option<&str>, most: u64) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        self.pour(object, version, most, &mut bytes)?;
        Ok(bytes)
    }

    /// Puts a file there: what grows meanwhile as far as it went.
    pub fn put(&self, object: &str, mut from: File) -> Result<Put, BackupError> {
        let read = |fault| BackupError::storage("read", Path::new(object))(fault);
        let length = from.metadata().map_err(read)?.len();
        if length > parts::PART {
            return self.put_parts(object, from, length);
        }
        let mut bytes = Vec::new();
        (&mut from).take(length).read_to_end(&mut bytes).map_err(read)?;
        self.put_bytes(object, bytes, Vec::new())
    }

    /// Whether an object is that file: it is read, since whoever may write there can say anything of it.
    pub fn holds(&self, object: &Object, copied: &Copied) -> Result<bool, BackupError> {
        let mut hashed = Hashed::new(io::sink());
        self.pour(&object.name, object.version.as_deref(), copied.size.saturating_add(1), &mut hashed)?;
        Ok(hashed.finish().1 == *copied)
    }

    /// Copies a file of a backup; why not, where it is not as listed.
    pub fn fetch(&self, entry: &Entry, to: &Path) -> Result<Result<(), String>, BackupError> {
        let (most, mut fetched) = (entry.size.saturating_add(1), 1);
        loop {
            let answer = match self.get(&entry.object, entry.version.as_deref()) {
                Ok(answer) => answer,
                Err(fault) if fault.is_absence() => return Ok(Err("is missing".to_owned())),
                Err(fault) => return Err(self.failed("read", &entry.object)(fault)),
            };
            match files::write(to, |out| waited(poured(answer.into_body(), most, out))) {
                Ok(copied) if entry.is(&copied) => return Ok(Ok(())),
                Ok(_) => return Ok(Err("is not the one that was signed for".to_owned())),
                Err(fault) if fetched == FETCHES => return Err(fault),
                Err(_) => fetched += 1,
            }
        }
    }

    /// Locks a file that a backup needs for as long as this one is to be kept. It may have been put long ago.
    pub fn keep(&self, entry: &mut Entry) -> Result<(), BackupError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let Some(version) = entry.version.as_deref() else {
            let reason =
                "it has no version that a lock could hold, from before the bucket had object lock: name a new prefix";
            return Err(BackupError::unfit(self.called(&entry.object), reason));
        };
        if entry.until.is_none() {
            entry.until = self.locked_until(&entry.object, Some(version))?;
        }
        if entry.until.is_some_and(|until| until >= lock.least) {
            return Ok(());
        }
        let query = [("retention", ""), ("versionId", version)];
        let body = Bytes::from(lock.retention());
        self.text("lock", &entry.object, Method::PUT, &query, checksum(&body), body)?;
        entry.until = Some(lock.until);
        Ok(())
    }

    /// Demands that a file is locked as it was put: a store may take the words for it, and not know them.
    pub fn prove_locked(&self, entry: &Entry) -> Result<(), BackupError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        match self.locked_until(&entry.object, entry.version.as_deref())? {
            Some(until) if until >= lock.least => Ok(()),
            _ => Err(BackupError::unfit(
                self.called(&entry.object),
                "the store took it, and did not lock it as backup.lock_days demands: it does not know object lock",
            )),
        }
    }

    /// Removes an object, if its lock has ended; what stays is told of, and tried again by the next backup.
    pub fn remove(&self, object: &Object, stays: &mut Stays) -> Result<(), BackupError> {
        let version = object.version.as_deref();
        let query: Vec<_> = version.map(|version| ("versionId", version)).into_iter().collect();
        match self.ask(&object.name, Method::DELETE, &query, Vec::new(), Bytes::new()) {
            Ok(_) => {}
            Err(fault) if fault.is_absence() => {}
            Err(Fault::Refused { status: 400..500, .. }) => {
                let until = self.locked_until(&object.name, version)?;
                stays.add(&object.name, until.filter(|until| *until > Utc::now()));
            }
            Err(fault) => return Err(self.failed("remove", &object.name)(fault)),
        }
        Ok(())
    }

    fn locked_until(&self, object: &str, version: Option<&str>) -> Result<Option<DateTime<Utc>>, BackupError> {
        let query: Vec<_> = version.map(|version| ("versionId", version)).into_iter().collect();
        let answer = self.ask(object, Method::HEAD, &query, Vec::new(), Bytes::new());
        let headers = answer.map_err(self.failed("look at", object))?;
        let compliance = header(&headers, MODE).as_deref() == Some(Lock::COMPLIANCE);
        let until = header(&headers, UNTIL).and_then(|until| DateTime::parse_from_rfc3339(&until).ok());
        Ok(until.filter(|_| compliance).map(|until| until.to_utc()))
    }

    fn put_bytes(
        &self,
        object: &str,
        bytes: Vec<u8>,
        mut headers: Vec<(&'static str, String)>,
    ) -> Result<Put, BackupError> {
        let copied = files::of_bytes(&bytes);
        let body = Bytes::from(bytes);
        headers.extend(checksum(&body));
        headers.extend(self.lock.iter().flat_map(Lock::headers));
        let answer = self.text("put", object, Method::PUT, &[], headers, body)?.0;
        Ok(self.put_as(copied, &answer))
    }

    fn put_as(&self, copied: Copied, answer: &HeaderMap) -> Put {
        let version = header(answer, "x-amz-version-id").filter(|version| version != "null");
        Put { copied, version, until: self.lock.as_ref().map(|lock| lock.until) }
    }

    fn pour(&self, object: &str, version: Option<&str>, most: u64, out: &mut dyn Write) -> Result<(), BackupError> {
        let answer = self.get(object, version).map_err(self.failed("read", object))?;
        let poured = waited(poured(answer.into_body(), most, out));
        poured.map_err(|fault| self.failed("read", object)(Fault::Unanswered(fault.into())))
    }

    fn get(&self, object: &str, version: Option<&str>) -> Result<hyper::Response<hyper::body::Incoming>, Fault> {
        let query: Vec<_> = version.map(|version| ("versionId", version)).into_iter().collect();
        let (path, headers, body) = (self.path(Some(object)), Vec::new(), Bytes::new());
        waited(self.client.ask(&Question { method: Method::GET, path: &path, query: &query, headers, body }))
    }

    fn ask(
        &self,
        object: &str,
        method: Method,
        query: &[(&str, &str)],
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<HeaderMap, Fault> {
        let path = self.path(Some(object));
        waited(self.client.text(&Question { method, path: &path, query, headers, body })).map(|(headers, _)| headers)
    }

    fn text(
        &self,
        doing: &'static str,
        object: &str,
        method: Method,
        query: &[(&str, &str)],
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<(HeaderMap, String), BackupError> {
        let path = self.path((!object.is_empty()).then_some(object));
        let question = Question { method, path: &path, query, headers, body };
        waited(self.client.text(&question)).map_err(self.failed(doing, object))
    }

    /// The path of an object, or of the bucket itself.
    fn path(&self, object: Option<&str>) -> String {
        match object {
            Some(object) => encoded(&format!("/{}/{}{object}", self.name, self.prefix), true),
            None => encoded(&format!("/{}", self.name), true),
        }
    }

    fn failed(&self, doing: &'static str, object: &str) -> impl FnOnce(Fault) -> BackupError {
        let what = self.called(object);
        move |fault| BackupError::Bucket { doing, what, why: fault.to_string() }
    }
}

/// What is listed, if it is no longer than anything can be.
fn object(listed: &str) -> Option<Object> {
    let name = xml::text(listed, "Key")?;
    let version = xml::text(listed, "VersionId").filter(|version| version != "null");
    let longest = name.len().max(version.as_ref().map_or(0, String::len));
    let size = xml::text(listed, "Size")?.parse().ok()?;
    (longest <= LONGEST_NAME).then_some(Object { name, size, version })
}

const CHECKSUM: &str = "x-amz-checksum-sha256";

/// What a store compares a body with before it keeps it; with a lock it demands that.
fn checksum(body: &[u8]) -> Vec<(&'static str, String)> {
    let sum = base64::encode(digest(&SHA256, body).as_ref());
    vec![("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()), (CHECKSUM, sum)]
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.filter(|value| value.len() <= LONGEST_NAME).map(str::to_owned)
}

/// Waits for the network where a folder waits for its disk. The program's other threads go on meanwhile.
fn waited<T>(asked: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_of_all_bytes_and_short() {
        // As `openssl dgst -sha256 -binary | base64` has it.
        let sum = checksum(b"sekimori").into_iter().find(|(name, _)| *name == CHECKSUM);
        assert_eq!(sum.map(|(_, sum)| sum).as_deref(), Some("1ewLtgKIJOGc0U1FUaY/QPDFklxuMBVrFCfr/RtVXbg="));
    }
}
