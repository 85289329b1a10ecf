//! The requests of SFTP version 3 by name: what stands in the log, and what its answer will mean.
//!
//! Names and numbers are those of draft-ietf-secsh-filexfer-02, section 3, and of OpenSSH's `PROTOCOL`, section 4.

use super::frames::{Fields, malformed};
use crate::error::RecordingError;
use crate::recording::lines::{MOST_NAME, Request, shortened, text_of};
use std::borrow::Cow;

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const ATTRS: u8 = 105;

/// The longest path that is accepted; Linux's own limit.
const MAX_PATH: usize = 4096;

/// `SSH_FXF_WRITE`.
const WRITE_FLAG: u32 = 2;

/// What a request asks for, as far as its answer matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Open { path: Vec<u8>, to_write: bool },
    OpenFolder { path: Vec<u8> },
    Close { handle: Vec<u8> },
    Read { handle: Vec<u8>, offset: u64, length: u32 },
    StatFile { handle: Vec<u8> },
    StatPath { path: Vec<u8> },
    Other,
}

/// A request as it was read: its number, its meaning, and its line in the log (none for what only moves data).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) id: u32,
    pub(super) asked: Asked,
    pub(super) line: Option<Request>,
}

/// Reads a request that is neither INIT nor WRITE. `named` tells the path behind a handle.
pub(super) fn read<'a>(
    kind: u8,
    body: &[u8],
    named: impl Fn(&[u8]) -> Option<&'a [u8]>,
) -> Result<Read, RecordingError> {
    let mut fields = Fields(body);
    let id = fields.u32()?;
    let name = name_of(kind);
    let line = |request: &str| Request { id, request: request.to_owned(), ..Request::default() };
    let (asked, line) = match kind {
        3 => {
            let path = path(&mut fields)?;
            let flags = fields.u32()?;
            let detail = Some([open_flags(flags), attributes(&mut fields)?].join(" ").trim().to_owned());
            let asked = Asked::Open { path: path.to_vec(), to_write: flags & WRITE_FLAG != 0 };
            (asked, Some(with_path(Request { detail, ..line(&name) }, path)))
        }
        4 => {
            let handle = fields.string()?;
            (Asked::Close { handle: handle.to_vec() }, Some(with_handle(line(&name), named(handle))))
        }
        5 => {
            let handle = fields.string()?.to_vec();
            (Asked::Read { handle, offset: fields.u64()?, length: fields.u32()? }, None)
        }
        8 => {
            let handle = fields.string()?;
            (Asked::StatFile { handle: handle.to_vec() }, Some(with_handle(line(&name), named(handle))))
        }
        10 => {
            let handle = fields.string()?;
            let detail = Some(attributes(&mut fields)?);
            (Asked::Other, Some(with_handle(Request { detail, ..line(&name) }, named(handle))))
        }
        11 => {
            let path = path(&mut fields)?;
            (Asked::OpenFolder { path: path.to_vec() }, Some(with_path(line(&name), path)))
        }
        12 => (Asked::Other, None),
        7 | 17 => {
            let path = path(&mut fields)?;
            (Asked::StatPath { path: path.to_vec() }, Some(with_path(line(&name), path)))
        }
        9 | 14 => {
            let path = path(&mut fields)?;
            let detail = Some(attributes(&mut fields)?);
            (Asked::Other, Some(with_path(Request { detail, ..line(&name) }, path)))
        }
        13 | 15 | 16 | 19 => (Asked::Other, Some(with_path(line(&name), path(&mut fields)?))),
        18 | 20 => {
            let from = path(&mut fields)?;
            let to = path(&mut fields)?;
            (Asked::Other, Some(with_second(with_path(line(&name), from), to)))
        }
        200 => {
            let name = shortened(&text_of(fields.string()?).0, MOST_NAME);
            (Asked::Other, Some(extended(line(&name), &mut fields, named)?))
        }
        _ => (Asked::Other, Some(line(&name))),
    };
    Ok(Read { id, asked, line })
}

/// The extensions that OpenSSH's server knows; of others the name is noted.
fn extended<'a>(
    line: Request,
    fields: &mut Fields<'_>,
    named: impl Fn(&[u8]) -> Option<&'a [u8]>,
) -> Result<Request, RecordingError> {
    Ok(match line.request.as_str() {
        "posix-rename@openssh.com" | "hardlink@openssh.com" => {
            let from = path(fields)?;
            let to = path(fields)?;
            with_second(with_path(line, from), to)
        }
        "statvfs@openssh.com" | "expand-path@openssh.com" => with_path(line, path(fields)?),
        "lsetstat@openssh.com" => {
            let path = path(fields)?;
            let detail = Some(attributes(fields)?);
            with_path(Request { detail, ..line }, path)
        }
        "fsync@openssh.com" | "fstatvfs@openssh.com" => with_handle(line, named(fields.string()?)),
        "copy-data" => {
            let from = named(fields.string()?);
            let (offset, length) = (fields.u64()?, fields.u64()?);
            let to = named(fields.string()?);
            let detail = Some(format!("offset={offset} length={length} to-offset={}", fields.u64()?));
            let line = with_handle(Request { detail, ..line }, from);
            match to {
                Some(to) => with_second(line, to),
                None => line,
            }
        }
        _ => line,
    })
}

fn path<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], RecordingError> {
    let path = fields.string()?;
    if path.len() > MAX_PATH { Err(malformed("a path of more than 4096 bytes")) } else { Ok(path) }
}

fn with_path(line: Request, path: &[u8]) -> Request {
    let (text, exact) = text_of(path);
    Request { path: Some(text), path_hex: exact, ..line }
}

fn with_second(line: Request, path: &[u8]) -> Request {
    let (text, exact) = text_of(path);
    Request { to: Some(text), to_hex: exact, ..line }
}

fn with_handle(line: Request, path: Option<&[u8]>) -> Request {
    match path {
        Some(path) => with_path(line, path),
        None => line,
    }
}

fn open_flags(flags: u32) -> String {
    let names = [(1, "read"), (2, "write"), (4, "append"), (8, "create"), (16, "truncate"), (32, "exclusive")];
    let set = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(" ")
}

/// The attributes that a request sets, in words (section 5).
fn attributes(fields: &mut Fields<'_>) -> Result<String, RecordingError> {
    let flags = fields.u32()?;
    let mut words = Vec::new();
    if flags & 1 != 0 {
        words.push(format!("size={}", fields.u64()?));
    }
    if flags & 2 != 0 {
        words.push(format!("uid={} gid={}", fields.u32()?, fields.u32()?));
    }
    if flags & 4 != 0 {
        words.push(format!("mode={:04o}", fields.u32()? & 0o7777));
    }
    if flags & 8 != 0 {
        words.push(format!("atime={} mtime={}", fields.u32()?, fields.u32()?));
    }
    Ok(words.join(" "))
}

/// The size that an ATTRS answer states, if it does.
pub(super) fn stated_size(mut fields: Fields<'_>) -> Result<Option<u64>, RecordingError> {
    if fields.u32()? & 1 == 0 { Ok(None) } else { fields.u64().map(Some) }
}

fn name_of(kind: u8) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        3 => "open",
        4 => "close",
        7 => "lstat",
        8 => "fstat",
        9 => "setstat",
        10 => "fsetstat",
        11 => "opendir",
        13 => "remove",
        14 => "mkdir",
        15 => "rmdir",
        16 => "realpath",
        17 => "stat",
        18 => "rename",
        19 => "readlink",
        20 => "symlink",
        other => return Cow::Owned(format!("type {other}")),
    })
}

/// A status code by its name in section 7.
pub(super) fn status_name(code: u32) -> String {
    match code {
        0 => "ok".to_owned(),
        1 => "end of file".to_owned(),
        2 => "no such file".to_owned(),
        3 => "permission denied".to_owned(),
        4 => "failure".to_owned(),
        5 => "bad message".to_owned(),
        6 => "no connection".to_owned(),
        7 => "connection lost".to_owned(),
        8 => "operation unsupported".to_owned(),
        other => format!("status {other}"),
    }
}
