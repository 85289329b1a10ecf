//! The configuration file: TOML, every key known, every fault named by its place.
//!
//! `gateway/sekimori.example.toml` documents each key; a test reads it with this parser, so that it stays true.

// By their paths, since the fuzz target takes this file in as well.
#[path = "config/backup.rs"]
mod backup;
#[path = "config/console.rs"]
mod console;
#[path = "config/log.rs"]
mod log;
#[path = "config/mail.rs"]
mod mail;

pub use backup::Backup;
pub use console::Console;
pub use log::{Log, Witness};
pub use mail::{Mail, Tls};

use chrono_tz::Tz;
use ipnet::IpNet;
use sekimori_audit::recording::Durability;
use sekimori_policy::facts::{Demands, Language};
use sekimori_policy::retention::{Class, Terms};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file's faults, as the person at the keyboard reads them.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or may not be read.
    #[error(
        "cannot read the configuration {path}: {source}; name another with --config, or make one with `sekimori init`"
    )]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, has an unknown key, or a value of the wrong shape.
    #[error("the configuration {path} is not usable: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, column and remedy, as the parser gives them.
        message: String,
    },
}

impl ConfigError {
    /// Whether the file is there and may not be opened.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
    }
}

/// Everything that is configured. Relative paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who runs this gateway.
    pub hospital: Hospital,
    /// Where the state lives.
    #[serde(default)]
    pub storage: Storage,
    /// The SSH side.
    #[serde(default)]
    pub ssh: Ssh,
    /// The console.
    #[serde(default)]
    pub console: Console,
    /// Recording.
    #[serde(default)]
    pub recording: Recording,
    /// How long recordings are kept.
    #[serde(default)]
    pub retention: Terms,
    /// The transparency log.
    #[serde(default)]
    pub log: Log,
    /// The store that backups go to.
    #[serde(default)]
    pub backup: Backup,
    /// The mail server.
    #[serde(default)]
    pub mail: Mail,
    /// The running process.
    #[serde(default)]
    pub process: Process,
    /// What the hospital demands beyond two factors of different kinds.
    #[serde(default)]
    pub demands: Demands,
    /// The folder of the file; paths were resolved against it.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Who runs this gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hospital {
    /// The hospital's name: banners, TOTP issuer, reports.
    pub name: String,
    /// The zone in which windows are meant and times are shown.
    #[serde(default = "Hospital::default_zone")]
    pub zone: Tz,
    /// The language where no person's own is known.
    #[serde(default)]
    pub language: Language,
}

impl Hospital {
    fn default_zone() -> Tz {
        chrono_tz::Asia::Tokyo
    }
}

/// Where the state lives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Keys, database and recordings, unless named apart.
    pub data_dir: PathBuf,
    /// `sqlite:FILE` or `postgres://…`; empty means `DATA_DIR/sekimori.db`.
    pub database: String,
    /// The PEM file of the certificate authority that PostgreSQL's certificate must chain to.
    pub database_ca: Option<PathBuf>,
    /// The master key; empty means `DATA_DIR/keys/master.key`.
    pub master_key: Option<PathBuf>,
    /// Seconds that open sessions go on while the database does not answer.
    pub grace_seconds: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            database: String::new(),
            database_ca: None,
            master_key: None,
            grace_seconds: 30,
        }
    }
}

/// The SSH side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Load balancers whose PROXY protocol (v1 and v2) is believed, and demanded.
    pub trusted_proxies: Vec<IpNet>,
    /// How wide the choice of algorithms towards people is; counts from the next start.
    pub algorithms: Algorithms,
    /// Seconds until a connection must have signed in.
    pub login_grace_seconds: u64,
    /// Seconds without any sign of a person's machine until its connection counts as lost.
    pub gone_seconds: u64,
    /// Seconds that a device may take to answer: TCP, key exchange and sign-in together.
    pub dial_timeout_seconds: u64,
    /// Seconds that a device may take nothing at all while other channels of the connection are slowed down for it.
    pub stall_seconds: u64,
    /// Minutes without a byte in either direction until a session ends (NIST SP 800-63B: 30).
    pub idle_minutes: u64,
    /// Connections at once, and from one source.
    pub max_connections: usize,
    /// Connections at once from one source.
    pub max_connections_per_source: usize,
    /// Channels at once in one connection.
    pub max_channels: usize,
    /// Seconds that SIGTERM leaves sessions to end by themselves.
    pub shutdown_grace_seconds: u64,
    /// Hours that a carried sign-in lasts at most; never over 12.
    pub sign_in_hours: u64,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 2222))],
            trusted_proxies: Vec::new(),
            algorithms: Algorithms::Compatible,
            login_grace_seconds: 120,
            gone_seconds: 120,
            dial_timeout_seconds: 10,
            stall_seconds: 60,
            idle_minutes: 30,
            max_connections: 2_000,
            max_connections_per_source: 64,
            max_channels: 64,
            shutdown_grace_seconds: 60,
            sign_in_hours: 12,
        }
    }
}

/// How wide the choice of algorithms towards people is. None of them is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithms {
    /// Post-quantum key exchange and authenticated encryption only: OpenSSH from 9.9 on, and few others yet.
    Modern,
    /// What the clients in use today need.
    Compatible,
    /// What clients in FIPS mode and old Java libraries need as well: Diffie-Hellman groups, NIST curves.
    Wide,
}

/// Recording.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    /// The folder of the recordings; empty means `DATA_DIR/recordings`.
    pub folder: Option<PathBuf>,
    /// Free space, in MiB, below which no session starts.
    pub reserve_mib: u64,
    /// What recorded bytes outlive before they are forwarded: a kill of the gateway, or a power cut; counts from the next
    /// start.
    pub durability: Durability,
}

impl Default for Recording {
    fn default() -> Self {
        Self { folder: None, reserve_mib: 256, durability: Durability::default() }
    }
}

/// The running process.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// Whether the kernel holds the gateway to its own files; counts from the next start.
    pub sandbox: Sandbox,
}

/// Whether the kernel holds the gateway to its own files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// It does, or the gateway does not start.
    Required,
    /// As far as the kernel can; the log and `sekimori doctor` say how far.
    #[default]
    BestEffort,
    /// It does not.
    Off,
}

/// Where the state's database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of the embedded SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server, and the CA that its certificate must chain to.
    Postgres {
        /// The connection URL.
        url: String,
        /// PEM file; demanded when the URL asks for `sslmode=verify-ca` or `verify-full`.
        ca: Option<PathBuf>,
    },
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, and the line and key where it is malformed.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let malformed = |message: String| ConfigError::Malformed { path: path.to_owned(), message };
        let config = Self::parse(&text, folder).map_err(malformed)?;
        Ok(config)
    }

    /// Parses the text; `folder` is what relative paths are relative to.
    ///
    /// # Errors
    /// The fault's place and remedy as text.
    pub fn parse(text: &str, folder: PathBuf) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|fault| fault.to_string())?;
        config.folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        // Reasons name times, and the hospital has one zone.
        config.demands.zone = config.hospital.zone;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let ssh = &self.ssh;
        if ssh.listen.is_empty() {
            return Err("ssh.listen is empty: name at least one address, such as \"0.0.0.0:2222\"".into());
        }
        if !(1..=12).contains(&ssh.sign_in_hours) {
            return Err("ssh.sign_in_hours must lie between 1 and 12".into());
        }
        for (key, value) in [
            ("login_grace_seconds", ssh.login_grace_seconds),
            ("gone_seconds", ssh.gone_seconds),
            ("dial_timeout_seconds", ssh.dial_timeout_seconds),
            ("stall_seconds", ssh.stall_seconds),
            ("idle_minutes", ssh.idle_minutes),
            ("max_connections", ssh.max_connections as u64),
            ("max_connections_per_source", ssh.max_connections_per_source as u64),
            ("max_channels", ssh.max_channels as u64),
        ] {
            if value == 0 {
                return Err(format!("ssh.{key} is 0: it must be at least 1"));
            }
        }
        self.log.check()?;
        self.console.check()?;
        self.backup.check()?;
        self.mail.check()?;
        if let Some(class) = Class::ALL.into_iter().find(|class| self.retention.of(*class) == Some(0)) {
            return Err(format!(
                "retention: the days of {class:?} are 0: they must be at least 1; left out, it is kept for good"
            ));
        }
        if self.storage.grace_seconds == 0 {
            return Err("storage.grace_seconds is 0: it must be at least 1".into());
        }
        self.database().map(|_| ())
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.resolve(&self.storage.data_dir)
    }

    /// Where the serving gateway answers those who watch.
    #[must_use]
    pub fn watch_socket(&self) -> PathBuf {
        self.data_dir().join("watch.sock")
    }

    /// The folder of host keys, CA keys and the master key.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir().join("keys")
    }

    /// The key file of the CA that carries sign-ins, and that equipment may trust.
    #[must_use]
    pub fn user_ca(&self) -> PathBuf {
        self.keys_dir().join("user_ca")
    }

    /// The key file of the CA that vouches for devices' names towards clients that jump.
    #[must_use]
    pub fn host_ca(&self) -> PathBuf {
        self.keys_dir().join("host_ca")
    }

    /// The key file of the authority that vouches for the console's names.
    #[must_use]
    pub fn web_ca(&self) -> PathBuf {
        self.keys_dir().join("web_ca")
    }

    /// The console's certificate and key, where the hospital gives them.
    #[must_use]
    pub fn console_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        Some((self.resolve(self.console.certificate.as_deref()?), self.resolve(self.console.key.as_deref()?)))
    }

    /// The certificate and key for readers of the log, where the hospital gives them: the log's own, or the console's.
    #[must_use]
    pub fn log_certificate(&self) -> Option<(PathBuf, PathBuf)> {
        let own = self.log.certificate.as_deref().zip(self.log.key.as_deref());
        own.map(|(certificate, key)| (self.resolve(certificate), self.resolve(key)))
            .or_else(|| self.console_certificate())
    }

    /// The names that a certificate of the internal authority is for.
    #[must_use]
    pub fn web_names(&self) -> Vec<String> {
        self.console.all_names(self.log.listen)
    }

    /// The master key's file.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.storage.master_key.as_deref().map_or_else(|| self.keys_dir().join("master.key"), |path| self.resolve(path))
    }

    /// The folder of the recordings.
    #[must_use]
    pub fn recordings_dir(&self) -> PathBuf {
        self.recording.folder.as_deref().map_or_else(|| self.data_dir().join("recordings"), |path| self.resolve(path))
    }

    /// The folder of the keys that recordings are sealed to, and of the auditors' identities.
    #[must_use]
    pub fn recording_keys_dir(&self) -> PathBuf {
        self.keys_dir().join("recordings")
    }

    /// The file of whom recordings are sealed to.
    #[must_use]
    pub fn recipients(&self) -> PathBuf {
        self.recording_keys_dir().join("recipients")
    }

    /// The folder of the transparency log.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir().join("log")
    }

    /// The file of keys that verify the log, for the auditor to copy.
    #[must_use]
    pub fn log_keys(&self) -> PathBuf {
        self.data_dir().join("log.keys")
    }

    /// The authority behind a witness's certificate.
    #[must_use]
    pub fn witness_ca(&self, witness: &Witness) -> Option<PathBuf> {
        witness.ca.as_deref().map(|path| self.resolve(path))
    }

    /// The store that backups go to.
    #[must_use]
    pub fn backup_store(&self) -> Backup {
        self.backup.clone().resolved(&self.folder)
    }

    /// The mail server, with its files as seen from here.
    #[must_use]
    pub fn mail(&self) -> Mail {
        self.mail.clone().resolved(&self.folder)
    }

    /// Where the database is.
    ///
    /// # Errors
    /// A text that names the key and what it may be.
    pub fn database(&self) -> Result<Database, String> {
        let url = self.storage.database.as_str();
        if url.is_empty() {
            return Ok(Database::Sqlite(self.data_dir().join("sekimori.db")));
        }
        if let Some(file) = url.strip_prefix("sqlite:") {
            return Ok(Database::Sqlite(self.resolve(Path::new(file))));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let ca = self.storage.database_ca.as_deref().map(|path| self.resolve(path));
            return Ok(Database::Postgres { url: url.to_owned(), ca });
        }
        Err("storage.database must begin with sqlite: or postgres://".into())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read() {
        let text = include_str!("../sekimori.example.toml");
        let config = Config::parse(text, PathBuf::from("/etc/sekimori")).unwrap();
        assert_eq!(config.hospital.zone, chrono_tz::Asia::Tokyo);
        assert_eq!(config.data_dir(), PathBuf::from("/var/lib/sekimori"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let fault = Config::parse("[hospital]\nname = \"A\"\n[ssh]\nlisten_on = 1\n", PathBuf::new()).unwrap_err();
        assert!(fault.contains("listen_on") && fault.contains("line 4"), "{fault}");
    }

    #[test]
    fn a_sign_in_never_lasts_over_twelve_hours() {
        let fault = Config::parse("[hospital]\nname = \"A\"\n[ssh]\nsign_in_hours = 13\n", PathBuf::new()).unwrap_err();
        assert!(fault.contains("sign_in_hours"), "{fault}");
    }

    #[test]
    fn an_unknown_database_is_refused() {
        let fault = Config::parse("[hospital]\nname = \"A\"\n[storage]\ndatabase = \"mysql://x\"\n", PathBuf::new());
        assert!(fault.unwrap_err().contains("sqlite:"));
    }
}
