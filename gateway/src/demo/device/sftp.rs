//! SFTP version 3 (draft-ietf-secsh-filexfer-02) on the device's files.

use super::files::{Entry, HOME, resolve};
use super::{SimulatedDevice, files};
use chrono::{DateTime, Utc};
use russh_sftp::protocol::{Attrs, Data, File, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode};
use russh_sftp::server::{Handler, StatusReply};
use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::Arc;

/// Handles open at once.
const HANDLES: usize = 64;
/// The most that one read returns, in bytes.
const LONGEST_READ: usize = 255 * 1024;
/// Directory entries in one answer.
const ENTRIES: usize = 100;

/// One SFTP session.
pub struct Transfers {
    device: Arc<SimulatedDevice>,
    open: HashMap<String, Open>,
    next: u64,
}

enum Open {
    File { path: String, flags: OpenFlags },
    Folder { rest: Vec<Entry> },
}

impl Transfers {
    /// A session on the files of `device`.
    pub fn new(device: Arc<SimulatedDevice>) -> Self {
        Self { device, open: HashMap::new(), next: 0 }
    }

    fn keep(&mut self, id: u32, open: Open) -> Result<Handle, StatusReply> {
        if self.open.len() >= HANDLES {
            return Err(StatusCode::Failure.with_message(format!("too many open handles: {HANDLES} at most")));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn file(&self, handle: &str) -> Result<(&str, OpenFlags), StatusReply> {
        match self.open.get(handle) {
            Some(Open::File { path, flags }) => Ok((path, *flags)),
            _ => Err(no_such_handle()),
        }
    }

    fn attributes(&self, path: &str) -> Result<FileAttributes, StatusReply> {
        self.device.files.stat(path).map(|entry| attributes(&entry)).map_err(told)
    }

    fn set_attributes(&self, path: &str, attrs: &FileAttributes) -> Result<(), StatusReply> {
        let files = &self.device.files;
        files.stat(path).map_err(told)?;
        if let Some(size) = attrs.size {
            files.resize(path, size, Utc::now()).map_err(told)?;
        }
        if let Some(modified) = attrs.mtime.and_then(|seconds| DateTime::from_timestamp(seconds.into(), 0)) {
            files.touch(path, modified).map_err(told)?;
        }
        // Owners and permissions are the device's own; copying programs set them and need no more than to be heard.
        Ok(())
    }
}

impl Handler for Transfers {
    type Error = StatusReply;

    fn unimplemented(&self) -> Self::Error {
        StatusCode::OpUnsupported.with_message("this device does not support that operation")
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        _: FileAttributes,
    ) -> Result<Handle, Self::Error> {
        let path = resolve(HOME, &filename);
        let files = &self.device.files;
        if flags.contains(OpenFlags::CREATE) {
            files.create(&path, flags.contains(OpenFlags::EXCLUDE), Utc::now()).map_err(told)?;
        }
        // An empty read or write tells whether the file is there and may be used so.
        files.read(&path, 0, 0).map_err(told)?;
        if flags.contains(OpenFlags::TRUNCATE) {
            files.resize(&path, 0, Utc::now()).map_err(told)?;
        } else if flags.contains(OpenFlags::WRITE) {
            files.write(&path, 0, &[], Utc::now()).map_err(told)?;
        }
        self.keep(id, Open::File { path, flags })
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, Self::Error> {
        self.open.remove(&handle).ok_or_else(no_such_handle)?;
        Ok(done(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, length: u32) -> Result<Data, Self::Error> {
        let (path, flags) = self.file(&handle)?;
        if !flags.contains(OpenFlags::READ) {
            return Err(StatusCode::PermissionDenied.with_message("the file was not opened for reading"));
        }
        let length = usize::try_from(length).unwrap_or(LONGEST_READ).min(LONGEST_READ);
        let data = self.device.files.read(path, offset, length).map_err(told)?;
        if data.is_empty() && length > 0 {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data { id, data })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, Self::Error> {
        let (path, flags) = self.file(&handle)?;
        if !flags.contains(OpenFlags::WRITE) {
            return Err(StatusCode::PermissionDenied.with_message("the file was not opened for writing"));
        }
        let files = &self.device.files;
        let offset = if flags.contains(OpenFlags::APPEND) { files.stat(path).map_err(told)?.size } else { offset };
        files.write(path, offset, &data, Utc::now()).map_err(told)?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, Self::Error> {
        self.stat(id, path).await
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, Self::Error> {
        Ok(Attrs { id, attrs: self.attributes(&resolve(HOME, &path))? })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, Self::Error> {
        Ok(Attrs { id, attrs: self.attributes(self.file(&handle)?.0)? })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Result<Status, Self::Error> {
        self.set_attributes(&resolve(HOME, &path), &attrs)?;
        Ok(done(id))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Result<Status, Self::Error> {
        self.set_attributes(self.file(&handle)?.0, &attrs)?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, Self::Error> {
        let rest = self.device.files.list(&resolve(HOME, &path)).map_err(told)?;
        self.keep(id, Open::Folder { rest })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, Self::Error> {
        let Some(Open::Folder { rest }) = self.open.get_mut(&handle) else { return Err(no_such_handle()) };
        if rest.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        let now = rest.drain(..ENTRIES.min(rest.len()));
        Ok(Name { id, files: now.map(|entry| File::new(entry.name.clone(), attributes(&entry))).collect() })
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, Self::Error> {
        self.device.files.remove(&resolve(HOME, &filename), false).map_err(told)?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, _: FileAttributes) -> Result<Status, Self::Error> {
        self.device.files.make_folder(&resolve(HOME, &path), Utc::now()).map_err(told)?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Result<Status, Self::Error> {
        self.device.files.remove(&resolve(HOME, &path), true).map_err(told)?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, Self::Error> {
        Ok(Name { id, files: vec![File::dummy(resolve(files::HOME, &path))] })
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, Self::Error> {
        self.device.files.rename(&resolve(HOME, &from), &resolve(HOME, &to)).map_err(told)?;
        Ok(done(id))
    }
}

fn attributes(entry: &Entry) -> FileAttributes {
    let modified = u32::try_from(entry.modified.timestamp()).unwrap_or_default();
    FileAttributes {
        size: Some(entry.size),
        uid: Some(1000),
        gid: Some(1000),
        permissions: Some(if entry.folder { 0o040_755 } else { 0o100_644 }),
        atime: Some(modified),
        mtime: Some(modified),
        ..FileAttributes::default()
    }
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Ok".to_owned(), language_tag: "en".to_owned() }
}

fn no_such_handle() -> StatusReply {
    StatusCode::Failure.with_message("no such handle: it was closed or never opened")
}

fn told(error: Error) -> StatusReply {
    let code = match error.kind() {
        ErrorKind::NotFound => StatusCode::NoSuchFile,
        ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    };
    code.with_message(error.to_string()).with_language_tag("ja")
}
