//! The three ways to the same sshd: straight, by OpenSSH's ProxyJump through a second sshd, and through the gateway.

use anyhow::Result;
use sekimori_tests::{DEVICE, Database, Hospital, Running, Sshd, Surroundings, Window, free_port, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// No measured run takes longer; one that does has failed.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A way to the device, by the name that the `ssh` configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing in between: what the machine can do.
    Direct,
    /// The peer that the figures are compared with.
    ProxyJump,
    /// The gateway, recording everything.
    Sekimori,
}

impl Way {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 3] = [Self::Direct, Self::ProxyJump, Self::Sekimori];

    fn host(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::ProxyJump => "jumped",
            Self::Sekimori => "gate",
        }
    }
}

/// Everything that is measured on.
pub struct Stage {
    /// The gateway, the sshd as equipment, the engineer.
    pub hospital: Hospital,
    /// The port of a service on the device that sends and takes bulk data.
    pub service: u16,
    _hop: Sshd,
    config: PathBuf,
}

impl Stage {
    /// Starts it, with windows open, and without the limit on connections from one source.
    pub fn start() -> Result<Self> {
        // Served again, it is to be found where it was.
        let address = format!("127.0.0.1:{}", free_port()?);
        let surroundings = Surroundings { address: &address, ..Surroundings::default() };
        let hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
        let service = crate::bulk::start_service()?;
        let change = ["device", "change", DEVICE, "--channel", "shell", "--channel", "exec", "--channel", "sftp"];
        let forward = ["--forward", &service.to_string()];
        hospital.gateway.act(&hospital.administrator, &[&change[..], &forward].concat())?;
        hospital.grant(Window::now())?;
        let hop = Sshd::start(None)?;
        let gateway = &hospital.gateway;
        let text = fs::read_to_string(&gateway.demo.config)?;
        fs::write(&gateway.demo.config, text.replacen("[ssh]\n", "[ssh]\nmax_connections_per_source = 2000\n", 1))?;
        gateway.signal(rustix::process::Signal::HUP)?;
        gateway.log.wait_for("was read again", sekimori_tests::PATIENCE)?;

        let certificate = hospital.sign_in()?;
        let config = hospital.workstation.config(&hospital.user(), hospital.carried(&certificate))?;
        let gate = fs::read_to_string(&config)?;
        let (device, key) = (&hospital.sshd, &hospital.sshd.service_key);
        let plain = |name: &str, sshd: &Sshd, key: &PathBuf| {
            format!(
                "Host {name}\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n StrictHostKeyChecking no\n \
                 UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
                sshd.address.port(),
                sshd.account,
                key.display()
            )
        };
        let text = format!(
            "{}{}Host jumped\n ProxyJump hop\n{}Host *\n Ciphers aes256-gcm@openssh.com\n Compression no\n{gate}",
            plain("direct", device, key),
            plain("hop", &hop, &hop.service_key),
            plain("jumped", device, key),
        );
        fs::write(&config, text)?;
        Ok(Self { hospital, service, _hop: hop, config })
    }

    /// Serves on with `durability = "power"`: what is recorded is on the disk before it is shown.
    pub fn through_power_cuts(&mut self) -> Result<Running> {
        let config = &self.hospital.gateway.demo.config;
        fs::write(config, fs::read_to_string(config)? + "\n[recording]\ndurability = \"power\"\n")?;
        self.hospital.gateway.kill()?;
        self.hospital.gateway.serve_again()
    }

    /// `ssh` or `sftp` towards the device this way; options and what is run there follow.
    pub fn command(&self, tool: &str, way: Way, options: &[&str]) -> Command {
        let mut command = Command::new(tool);
        command.arg("-F").arg(&self.config).args(options).arg(way.host());
        command
    }

    /// Seconds that connecting and one `true` take, this way: not part of any throughput.
    pub fn connecting(&self, way: Way) -> Result<f64> {
        let mut seconds = Vec::new();
        for _ in 0..5 {
            seconds.push(crate::seconds(|| {
                run(self.command("ssh", way, &[]).arg("true"), sekimori_tests::Input::Nothing, LIMIT)?.success()?;
                Ok(())
            })?);
        }
        crate::median(seconds)
    }
}
