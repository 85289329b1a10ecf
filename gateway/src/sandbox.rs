//! What the program gives up: core dumps and new privileges in every command, and, when it serves, all files but its own.
//!
//! Landlock (landlock(7)) holds the thread that asks for it and those that it starts: it is asked for before the runtime
//! has any. Nothing takes it back, not even a reload. What it holds depends on the kernel; [`Held`] says what, for the
//! log, the event of the start and `sekimori doctor`. Which paths are a gateway's own is for [`reach`] to say.

pub mod reach;

use crate::config::Sandbox;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, PathFdError,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
    path_beneath_rules,
};
use reach::Reach;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use serde::Serialize;
use std::fmt;

/// What is asked of the kernel. A kernel that offers less holds less; rights that a later one knows are not touched, so
/// that nothing breaks with it. Sockets that have a path (PostgreSQL, the name service) are such a right.
const ASKED: ABI = ABI::V7;
/// What `sandbox = "required"` wants at least: reading, writing, making, removing and truncating files (Linux 6.2).
const REQUIRED: i32 = 3;

/// What may be done with files that are only read. Nothing may be executed anywhere: the gateway starts no programs.
const READING: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// What may be done in the gateway's own folders: neither devices and pipes, nor links that lead elsewhere. Sockets are
/// made in those of [`Reach::sockets`] alone.
const WRITING: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
});

/// Why the program does not go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Core dumps or new privileges could not be given up.
    #[error("the kernel does not let this process give up {what}: {source}")]
    Renounce {
        /// What.
        what: &'static str,
        /// What the kernel said.
        source: rustix::io::Errno,
    },
    /// A folder of the gateway's own cannot be opened.
    #[error("the sandbox cannot be built: {0}; look at data_dir, database and recording.folder in the configuration")]
    Folder(#[from] PathFdError),
    /// The kernel has Landlock and refuses.
    #[error("the sandbox cannot be built: {0}; process.sandbox = \"off\" goes without")]
    Ruleset(#[from] RulesetError),
    /// The kernel offers less than the configuration requires.
    #[error(
        "process.sandbox is \"required\", and this kernel gives {held}: it takes Linux 6.2 with Landlock switched on \
         (boot with lsm=landlock,…); \"best-effort\" goes on without"
    )]
    TooLittle {
        /// What it gives.
        held: Held,
    },
}

/// What holds the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The version of Landlock in force; `None` where nothing is.
    pub landlock: Option<i32>,
    /// Why nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<&'static str>,
}

impl Held {
    const fn without(why: &'static str) -> Self {
        Self { landlock: None, without: Some(why) }
    }

    fn of(status: &RestrictionStatus) -> Self {
        match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => {
                Self { landlock: Some(i32::min(effective_abi as i32, ASKED as i32)), without: None }
            }
            LandlockStatus::NotEnabled => Self::without("Landlock is not switched on"),
            LandlockStatus::NotImplemented => Self::without("the kernel has no Landlock"),
        }
    }

    /// Whether all that is asked for is held.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.landlock == Some(ASKED as i32)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(version) = self.landlock else {
            return write!(f, "no sandbox ({})", self.without.unwrap_or("unknown"));
        };
        // The version of landlock(7) that brought each.
        let known = [
            (1, "files"),
            (3, "truncation"),
            (4, "listening ports"),
            (5, "device controls"),
            (6, "signals and abstract sockets"),
        ];
        let names = |held: bool| {
            let known = known.iter().filter(move |(since, _)| (version >= *since) == held);
            known.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
        };
        write!(f, "Landlock {version}: {}", names(true))?;
        match names(false) {
            free if free.is_empty() => Ok(()),
            free => write!(f, "; not {free}"),
        }
    }
}

/// Gives up core dumps, being traced by others of the same user, and new privileges: for every command, since each may
/// hold a secret. To be called before there is a second thread.
///
/// # Errors
/// When the kernel refuses; then nothing should be done.
pub fn renounce() -> Result<(), SandboxError> {
    let failed = |what| move |source| SandboxError::Renounce { what, source };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("being dumped and traced"))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(failed("core dumps"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("new privileges"))
}

/// Whether what [`renounce`] gave up is given up.
#[must_use]
pub fn renounced() -> bool {
    let dumpable = rustix::process::dumpable_behavior();
    dumpable == Ok(DumpableBehavior::NotDumpable)
        && getrlimit(Resource::Core).current == Some(0)
        && rustix::thread::no_new_privs() == Ok(true)
}

/// Closes all files but those in reach to this thread and those that it will start, as far as the kernel can.
///
/// # Errors
/// When a folder cannot be opened, or the kernel offers too little for [`Sandbox::Required`].
pub fn enter(wanted: Sandbox, reach: &Reach) -> Result<Held, SandboxError> {
    if wanted == Sandbox::Off {
        return Ok(Held::without("process.sandbox is \"off\""));
    }
    let held = Held::of(&restrict(reach)?);
    match held.landlock {
        Some(version) if version >= REQUIRED => Ok(held),
        _ if wanted == Sandbox::Required => Err(SandboxError::TooLittle { held }),
        _ => Ok(held),
    }
}

/// What [`enter`] would come to here: tried on a thread that ends with the answer.
///
/// # Errors
/// As there.
pub fn tried(wanted: Sandbox) -> Result<Held, SandboxError> {
    let thread = std::thread::spawn(move || enter(wanted, &Reach::default()));
    thread.join().unwrap_or(Ok(Held::without("it could not be tried")))
}

fn restrict(reach: &Reach) -> Result<RestrictionStatus, SandboxError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ASKED))?
        // Not connecting: forwards go to any port that a permit names.
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(ASKED))?
        .create()?
        .add_rules(path_beneath_rules(&reach.read, READING))?;
    for folder in &reach.write {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(folder)?, WRITING))?;
    }
    for folder in &reach.sockets {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(folder)?, AccessFs::MakeSock))?;
    }
    for port in &reach.listen {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    Ok(ruleset.restrict_self()?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// On a thread of its own: nothing takes a sandbox back.
    fn inside<T: Send + 'static>(reach: Reach, act: impl FnOnce() -> T + Send + 'static) -> T {
        let entered = move || {
            let held = enter(Sandbox::Required, &reach).unwrap();
            assert!(held.landlock.unwrap() >= REQUIRED, "{held}");
            act()
        };
        std::thread::spawn(entered).join().unwrap()
    }

    #[test]
    fn only_what_is_in_reach_opens_and_only_as_it_should() {
        let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mine, theirs) = (own.path().to_owned(), others.path().to_owned());
        let read_only = others.path().join("read");
        std::fs::create_dir(&read_only).unwrap();
        std::fs::write(read_only.join("file"), "x").unwrap();
        std::fs::write(theirs.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&theirs, mine.join("way-out")).unwrap();
        let reach = Reach { read: vec![read_only.clone()], write: vec![mine.clone()], ..Reach::default() };
        inside(reach, move || {
            let denied = |outcome: std::io::Result<()>| outcome.unwrap_err().kind() == ErrorKind::PermissionDenied;
            std::fs::write(mine.join("a"), "x").unwrap();
            std::fs::rename(mine.join("a"), mine.join("b")).unwrap();
            std::fs::create_dir_all(mine.join("2026/11")).unwrap();
            assert_eq!(std::fs::read(mine.join("b")).unwrap(), b"x");
            assert_eq!(std::fs::read(read_only.join("file")).unwrap(), b"x");
            assert!(denied(std::fs::write(read_only.join("file"), "y")));
            assert!(denied(std::fs::remove_file(read_only.join("file"))));
            assert!(denied(std::fs::read(theirs.join("file")).map(drop)));
            assert!(denied(std::fs::read("/etc/passwd").map(drop)));
            assert!(denied(std::fs::write(mine.join("way-out/new"), "y")));
            assert!(denied(std::os::unix::fs::symlink("/etc", mine.join("link"))));
            assert!(denied(std::process::Command::new("/bin/true").status().map(drop)));
        });
        assert_eq!(std::fs::read(others.path().join("file")).unwrap(), b"x");
    }

    #[test]
    fn it_listens_where_it_was_told_to_and_connects_anywhere() {
        let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = elsewhere.local_addr().unwrap();
        inside(Reach::default(), move || {
            assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
            std::net::TcpStream::connect(address).unwrap();
        });
        let reach = Reach { listen: vec![0], ..Reach::default() };
        inside(reach, || std::net::TcpListener::bind("127.0.0.1:0").map(drop).unwrap());
    }

    #[test]
    fn a_folder_that_is_missing_or_a_kernel_that_is_too_old_stops_the_start() {
        let reach = Reach { write: vec!["/nowhere/at/all".into()], ..Reach::default() };
        let fault = std::thread::spawn(move || enter(Sandbox::BestEffort, &reach)).join().unwrap().unwrap_err();
        assert!(fault.to_string().contains("/nowhere/at/all"), "{fault}");
        let fault = SandboxError::TooLittle { held: Held { landlock: Some(2), without: None } }.to_string();
        assert!(fault.contains("Landlock 2: files; not truncation, listening ports"), "{fault}");
    }
}
