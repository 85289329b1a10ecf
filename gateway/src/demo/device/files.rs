//! The device's files: a small tree in memory, shared by all of its connections and bounded in size.
//!
//! Nothing here touches the machine's own disk, so no path can lead out of it. Failures are told as a file system tells
//! them, by `io::ErrorKind`; SFTP and the shell word them for their callers.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where callers begin, and what relative paths start from.
pub const HOME: &str = "/data";
/// What all files together may hold, in bytes.
pub const CAPACITY: u64 = 256 * 1024 * 1024;
/// Files and folders at most.
const ENTRIES: usize = 10_000;
/// The longest path, in bytes.
const LONGEST_PATH: usize = 1024;
/// Beneath these, callers may create, change and remove …
const WRITABLE: [&str; 2] = [HOME, "/tmp"];
/// … except these folders and what is in them, which the device keeps for itself.
const KEPT: [&str; 2] = ["/data/images", "/data/logs"];
/// Where files are brought in: it stays, its content is the callers'.
const INCOMING: &str = "/data/incoming";

/// A file or a folder.
#[derive(Debug, Clone)]
pub struct Node {
    /// The content; `None` for a folder.
    pub content: Option<Vec<u8>>,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

/// What a listing tells of one file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name within its folder.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
}

impl Entry {
    /// One line of `ls`, or of `ls -l`.
    pub fn line(&self, long: bool) -> String {
        let name = if self.folder { format!("{}/", self.name) } else { self.name.clone() };
        if !long {
            return format!("{name}\n");
        }
        let mode = if self.folder { "drwxr-xr-x" } else { "-rw-r--r--" };
        format!("{mode} {:>10} {} {name}\n", self.size, super::texts::japan_time(self.modified))
    }
}

/// The files of one device.
pub struct FileTree {
    nodes: Mutex<BTreeMap<String, Node>>,
}

/// The absolute path that `path` names from `folder`: no `.`, no `..`, never above the root.
pub fn resolve(folder: &str, path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for step in start.split('/').chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

impl FileTree {
    /// A tree of these nodes, by absolute path.
    pub fn new(nodes: BTreeMap<String, Node>) -> Self {
        Self { nodes: Mutex::new(nodes) }
    }

    /// What `path` is.
    pub fn stat(&self, path: &str) -> Result<Entry> {
        let nodes = self.lock();
        let node = nodes.get(path).ok_or_else(|| missing(path))?;
        Ok(entry(path, node))
    }

    /// What the folder `path` holds, by name.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let nodes = self.lock();
        match nodes.get(path) {
            None => Err(missing(path)),
            Some(node) if node.content.is_some() => Err(told(ErrorKind::NotADirectory, path, "フォルダではありません")),
            Some(_) => Ok(children(&nodes, path).map(|(path, node)| entry(path, node)).collect()),
        }
    }

    /// At most `length` bytes of the file from `offset` on; empty at its end.
    pub fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let nodes = self.lock();
        let node = nodes.get(path).ok_or_else(|| missing(path))?;
        let content = node.content.as_ref().ok_or_else(|| told(ErrorKind::IsADirectory, path, "フォルダです"))?;
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest).to_vec())
    }

    /// Makes sure that the file exists, newly if `new` is set.
    pub fn create(&self, path: &str, new: bool, now: DateTime<Utc>) -> Result<()> {
        let mut nodes = self.lock();
        match nodes.get(path) {
            Some(_) if new => Err(told(ErrorKind::AlreadyExists, path, "既に存在します")),
            Some(Node { content: None, .. }) => Err(told(ErrorKind::IsADirectory, path, "フォルダです")),
            Some(_) => writable(path),
            None => add(&mut nodes, path, Node { content: Some(Vec::new()), modified: now }),
        }
    }

    /// Writes into the file; what lies between its end and `offset` becomes zeros.
    pub fn write(&self, path: &str, offset: u64, data: &[u8], now: DateTime<Utc>) -> Result<()> {
        let end = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        self.change(path, end, false, now, |content| {
            if let Some(target) = usize::try_from(offset).ok().and_then(|offset| content.get_mut(offset..)) {
                target.iter_mut().zip(data).for_each(|(old, new)| *old = *new);
            }
        })
    }

    /// Cuts the file, or fills it up with zeros, to `size` bytes.
    pub fn resize(&self, path: &str, size: u64, now: DateTime<Utc>) -> Result<()> {
        self.change(path, size, true, now, |_| ())
    }

    /// Sets the time of the last change.
    pub fn touch(&self, path: &str, modified: DateTime<Utc>) -> Result<()> {
        writable(path)?;
        self.lock().get_mut(path).ok_or_else(|| missing(path))?.modified = modified;
        Ok(())
    }

    /// Makes a folder.
    pub fn make_folder(&self, path: &str, now: DateTime<Utc>) -> Result<()> {
        let mut nodes = self.lock();
        if nodes.contains_key(path) {
            return Err(told(ErrorKind::AlreadyExists, path, "既に存在します"));
        }
        add(&mut nodes, path, Node { content: None, modified: now })
    }

    /// Removes a file, or an empty folder if `folder` is set.
    pub fn remove(&self, path: &str, folder: bool) -> Result<()> {
        let mut nodes = self.lock();
        let is_folder = nodes.get(path).ok_or_else(|| missing(path))?.content.is_none();
        writable(path)?;
        if is_folder != folder {
            let (kind, fault) = match is_folder {
                true => (ErrorKind::IsADirectory, "フォルダです"),
                false => (ErrorKind::NotADirectory, "フォルダではありません"),
            };
            return Err(told(kind, path, fault));
        }
        if children(&nodes, path).next().is_some() {
            return Err(told(ErrorKind::DirectoryNotEmpty, path, "フォルダが空ではありません"));
        }
        nodes.remove(path);
        Ok(())
    }

    /// Gives a file or folder, with all that is in it, another path.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut nodes = self.lock();
        let node = nodes.get(from).ok_or_else(|| missing(from))?.clone();
        writable(from)?;
        if nodes.contains_key(to) {
            return Err(told(ErrorKind::AlreadyExists, to, "既に存在します"));
        }
        let within = format!("{from}/");
        if to.starts_with(&within) {
            return Err(told(ErrorKind::InvalidInput, to, "自分の中へは移動できません"));
        }
        add(&mut nodes, to, node)?;
        nodes.remove(from);
        let moving: Vec<String> = nodes.keys().filter(|path| path.starts_with(&within)).cloned().collect();
        for old in moving {
            if let (Some(node), Some(rest)) = (nodes.remove(&old), old.strip_prefix(&within)) {
                nodes.insert(format!("{to}/{rest}"), node);
            }
        }
        Ok(())
    }

    /// Brings a file to a length of `end`, or at least that unless `exact`, then lets `edit` work on it.
    fn change(
        &self,
        path: &str,
        end: u64,
        exact: bool,
        now: DateTime<Utc>,
        edit: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let mut nodes = self.lock();
        let used: u64 = nodes.values().map(size).sum();
        let node = nodes.get_mut(path).ok_or_else(|| missing(path))?;
        writable(path)?;
        let others = used - size(node);
        let content = node.content.as_mut().ok_or_else(|| told(ErrorKind::IsADirectory, path, "フォルダです"))?;
        if others.saturating_add(end) > CAPACITY {
            return Err(told(ErrorKind::StorageFull, path, "空き容量がありません（全体で256 MiBまで）"));
        }
        let end = usize::try_from(end).map_err(|_| ErrorKind::StorageFull)?;
        if exact || end > content.len() {
            content.resize(end, 0);
        }
        edit(content);
        node.modified = now;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(nodes: &mut BTreeMap<String, Node>, path: &str, node: Node) -> Result<()> {
    writable(path)?;
    // Nothing is ever added to the root itself: it is not writable.
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    match nodes.get(parent) {
        None => return Err(missing(parent)),
        Some(Node { content: Some(_), .. }) => {
            return Err(told(ErrorKind::NotADirectory, parent, "フォルダではありません"));
        }
        Some(_) => {}
    }
    if path.len() > LONGEST_PATH || path.contains(char::is_control) {
        return Err(told(ErrorKind::InvalidFilename, parent, "使えない名前です（1024バイトまで、制御文字なし）"));
    }
    if nodes.len() >= ENTRIES {
        return Err(told(ErrorKind::StorageFull, path, "ファイル数が上限です"));
    }
    nodes.insert(path.to_owned(), node);
    Ok(())
}

fn children<'a>(
    nodes: &'a BTreeMap<String, Node>,
    path: &str,
) -> impl Iterator<Item = (&'a String, &'a Node)> + use<'a> {
    let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    nodes
        .range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded))
        .map_while(move |(path, node)| path.strip_prefix(&prefix).map(|name| (name.contains('/'), path, node)))
        .filter_map(|(deeper, path, node)| (!deeper).then_some((path, node)))
}

fn entry(path: &str, node: &Node) -> Entry {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let name = if name.is_empty() { "/" } else { name };
    Entry { name: name.to_owned(), folder: node.content.is_none(), size: size(node), modified: node.modified }
}

fn size(node: &Node) -> u64 {
    node.content.as_ref().map_or(0, |content| u64::try_from(content.len()).unwrap_or(u64::MAX))
}

fn writable(path: &str) -> Result<()> {
    let within = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let kept = |folder: &str| path == folder || within(folder);
    let free = WRITABLE.into_iter().any(within) && !KEPT.into_iter().any(kept) && path != INCOMING;
    if free {
        Ok(())
    } else {
        Err(told(ErrorKind::PermissionDenied, path, "書き込みできません（incoming/ を使ってください）"))
    }
}

fn missing(path: &str) -> Error {
    told(ErrorKind::NotFound, path, "見つかりません")
}

fn told(kind: ErrorKind, path: &str, fault: &str) -> Error {
    Error::new(kind, format!("{path}: {fault}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn tree() -> FileTree {
        let folder = || Node { content: None, modified: now() };
        let file = |text: &str| Node { content: Some(text.into()), modified: now() };
        FileTree::new(BTreeMap::from([
            ("/".to_owned(), folder()),
            ("/data".to_owned(), folder()),
            ("/data/incoming".to_owned(), folder()),
            ("/data/logs".to_owned(), folder()),
            ("/data/logs/system.log".to_owned(), file("log")),
        ]))
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    fn names(tree: &FileTree, path: &str) -> Vec<String> {
        tree.list(path).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn no_path_leads_above_the_root() {
        for (path, expected) in [
            ("../../../../etc/passwd", "/etc/passwd"),
            ("/../x/./y//", "/x/y"),
            ("..", "/"),
            ("", "/data"),
            (".", "/data"),
            ("incoming/../logs", "/data/logs"),
        ] {
            assert_eq!(resolve(HOME, path), expected, "{path:?}");
        }
    }

    #[test]
    fn folders_list_their_own_children_only() {
        let tree = tree();
        assert_eq!(names(&tree, "/"), ["data"]);
        assert_eq!(names(&tree, "/data"), ["incoming", "logs"]);
        assert_eq!(names(&tree, "/data/logs"), ["system.log"]);
        assert_eq!(kind(tree.list("/data/none")), Some(ErrorKind::NotFound));
        assert_eq!(kind(tree.list("/data/logs/system.log")), Some(ErrorKind::NotADirectory));
    }

    #[test]
    fn what_the_device_keeps_cannot_be_changed() {
        let tree = tree();
        let log = "/data/logs/system.log";
        for refused in [
            tree.write(log, 0, b"x", now()),
            tree.resize(log, 0, now()),
            tree.touch(log, now()),
            tree.create(log, false, now()),
            tree.create("/data/logs/new", false, now()),
            tree.create("/passwd", false, now()),
            tree.create("/data/none/x", false, now()).map_err(|error| match error.kind() {
                ErrorKind::NotFound => ErrorKind::PermissionDenied.into(),
                _ => error,
            }),
            tree.remove(log, false),
            tree.remove("/data/incoming", true),
            tree.rename(log, "/data/incoming/log"),
            tree.rename("/data/logs", "/data/incoming/logs"),
        ] {
            assert_eq!(kind(refused), Some(ErrorKind::PermissionDenied));
        }
        assert_eq!(tree.read(log, 0, 100).unwrap(), b"log");
    }

    #[test]
    fn files_grow_shrink_move_and_go() {
        let tree = tree();
        let path = "/data/incoming/a";
        tree.create(path, true, now()).unwrap();
        assert_eq!(kind(tree.create(path, true, now())), Some(ErrorKind::AlreadyExists));
        tree.write(path, 2, b"xyz", now()).unwrap();
        assert_eq!(tree.read(path, 0, 100).unwrap(), b"\0\0xyz");
        assert_eq!(tree.read(path, 3, 1).unwrap(), b"y");
        assert_eq!(tree.read(path, u64::MAX, 1).unwrap(), b"");
        tree.resize(path, 3, now()).unwrap();
        tree.make_folder("/data/incoming/f", now()).unwrap();
        tree.rename(path, "/data/incoming/f/b").unwrap();
        assert_eq!(kind(tree.remove("/data/incoming/f", true)), Some(ErrorKind::DirectoryNotEmpty));
        tree.rename("/data/incoming/f", "/data/g").unwrap();
        assert_eq!(kind(tree.rename("/data/g", "/data/g/h")), Some(ErrorKind::InvalidInput));
        assert_eq!(tree.read("/data/g/b", 0, 100).unwrap(), b"\0\0x");
        tree.remove("/data/g/b", false).unwrap();
        tree.remove("/data/g", true).unwrap();
        assert_eq!(names(&tree, "/data"), ["incoming", "logs"]);
        assert_eq!(names(&tree, "/data/incoming"), Vec::<String>::new());
    }

    #[test]
    fn the_tree_is_bounded() {
        let tree = tree();
        let path = "/data/incoming/big";
        tree.create(path, true, now()).unwrap();
        for offset in [CAPACITY, CAPACITY - 3, u64::MAX] {
            assert_eq!(kind(tree.write(path, offset, b"x", now())), Some(ErrorKind::StorageFull), "{offset}");
        }
        assert_eq!(kind(tree.resize(path, u64::MAX, now())), Some(ErrorKind::StorageFull));
        assert_eq!(tree.stat(path).unwrap().size, 0);
        let long = format!("/data/incoming/{}", "x".repeat(LONGEST_PATH));
        assert_eq!(kind(tree.create(&long, true, now())), Some(ErrorKind::InvalidFilename));
        assert_eq!(kind(tree.create("/data/incoming/\u{1b}[2J", true, now())), Some(ErrorKind::InvalidFilename));
    }
}
