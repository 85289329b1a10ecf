//! asyncssh, for what OpenSSH's own client does not do by itself: floods, and looking at each message of an end.

use crate::hospital::Hospital;
use anyhow::{Result, ensure};
use serde_json::json;
use std::path::Path;
use std::process::Command;

impl Hospital {
    /// A script of `tests/clients`, not yet run: it reads its first argument, a file that tells whom to visit and as
    /// whom; the others are the caller's.
    ///
    /// # Errors
    /// asyncssh is not installed.
    pub fn asyncssh(&self, script: &str, arguments: &[&str]) -> Result<Command> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = tests.with_file_name("target").join("clients/venv/bin/python");
        ensure!(python.is_file(), "the clients are not installed: sh tests/setup.sh test");
        let visit = json!({
            "host": self.gateway.demo.ssh.host,
            "port": self.gateway.demo.ssh.port,
            "user": self.user(),
            "key": self.engineer.key,
            "password": self.engineer.password,
            "known_hosts": self.workstation.folder().join("known_hosts"),
        });
        let file = self.workstation.folder().join("visit.json");
        std::fs::write(&file, visit.to_string())?;
        let mut command = Command::new(python);
        command.arg(tests.join("clients").join(script)).arg(file).args(arguments);
        Ok(command)
    }
}
