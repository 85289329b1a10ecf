//! GNU inetutils' `telnetd` as equipment: on a free loopback port, with the system's own `login` behind it, or a script in
//! its place.

use crate::process::Running;
use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use tempfile::TempDir;

/// A device that is reached by telnet. Connections end with the gateway's.
#[derive(Debug)]
pub struct Telnetd {
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Telnetd {
    /// The account that the system's `login` knows here.
    pub const ACCOUNT: &'static str = "service";
    /// Its password.
    pub const PASSWORD: &'static str = "tel7431net-word";

    /// Starts one with the system's `login`: in a mount namespace whose lists of accounts know [`Telnetd::ACCOUNT`].
    ///
    /// # Errors
    /// The tests do not run as root, which `login` has to; or telnetd is not installed.
    pub fn start() -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "login works as root only: run the tests of telnet as root");
        let folder = tempfile::Builder::new().prefix("sekimori-telnetd-").tempdir()?;
        // `crypt` of the password above, salted.
        let hash = "$6$sekimori$0l2H2xtpsjF6KRMXxSGFaltjQuX8btP9Qqf8fc5B4B55jf0aRyHubu0KbyyOixk66KkNcrcpr4OIfvJtrePEg0";
        let account = format!("{}:x:64999:65534:Service:/tmp:/bin/sh\n", Self::ACCOUNT);
        let secret = format!("{}:{hash}:20000:0:99999:7:::\n", Self::ACCOUNT);
        for (name, line, mode) in [("passwd", account, 0o644), ("shadow", secret, 0o600)] {
            let file = folder.path().join(name);
            fs::write(&file, fs::read_to_string(Path::new("/etc").join(name))? + &line)?;
            fs::set_permissions(&file, Permissions::from_mode(mode))?;
        }
        let mounted = "mount --bind passwd /etc/passwd && mount --bind shadow /etc/shadow";
        let served = format!("{mounted} && exec telnetd -h -E '/usr/bin/login -p'");
        Self::listen(folder, &format!("exec unshare --mount sh -c \"{served}\""))
    }

    /// Starts one in which this script of the shell takes the place of `login`.
    ///
    /// # Errors
    /// Telnetd is not installed.
    pub fn with_login(script: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-telnetd-").tempdir()?;
        let file = folder.path().join("login");
        fs::write(&file, script)?;
        Self::listen(folder, &format!("exec telnetd -h -E '/bin/sh {}'", file.display()))
    }

    /// What inetd would do: one telnetd a connection, which is its standard input and output.
    fn listen(folder: TempDir, command: &str) -> Result<Self> {
        ensure!(Path::new("/usr/sbin/telnetd").is_file(), "telnetd is not installed: sh tests/setup.sh test");
        let listener = TcpListener::bind("127.0.0.1:0").context("no port")?;
        let address = listener.local_addr()?;
        let (command, place) = (format!("PATH=$PATH:/usr/sbin; {command}"), folder.path().to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let stream = OwnedFd::from(stream);
                let Ok(output) = stream.try_clone() else { continue };
                let mut served = Command::new("sh");
                served.args(["-c", &command]).current_dir(&place);
                let child = served.stdin(stream).stdout(output).stderr(Stdio::inherit()).spawn();
                // Waited for, and ended with the test's process if nothing else ends it.
                thread::spawn(move || child.map(|child| Running::new(child).end_within(crate::PATIENCE)));
            }
        });
        Ok(Self { address, _folder: folder })
    }
}
