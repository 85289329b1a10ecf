//! Which files are a gateway's own: what it reads, where it writes, and the ports on which it listens.
//!
//! A rule of Landlock holds for what lies at a path now. A file that is replaced later is another one, so that what may
//! be replaced while the gateway runs is allowed by its folder.

use crate::config::{Config, Database};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What finding a host by its name reads (glibc's resolver and the libraries that it loads), and where randomness is on
/// old kernels. What is replaced in /etc is seen at the next start; what the resolvers of systemd and NetworkManager
/// keep under /run, at once.
const SYSTEM: [&str; 19] = [
    "/dev/random",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/lib",
    "/lib64",
    "/run/NetworkManager",
    "/run/connman",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
];

/// What a process may reach.
#[derive(Debug, Default)]
pub struct Reach {
    /// Files and folders that are read, with all below them; those that are not there are passed over.
    pub read: Vec<PathBuf>,
    /// Folders in which everything is read and written. They must be there.
    pub write: Vec<PathBuf>,
    /// Those of them in which sockets are made.
    pub sockets: Vec<PathBuf>,
    /// TCP ports; 0 stands for any that the system chooses.
    pub listen: Vec<u16>,
}

impl Reach {
    /// What `sekimori serve` reaches with this configuration. The folders in which it writes are made.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn of_gateway(config: &Config, config_path: &Path) -> Result<Self, String> {
        for folder in own(config) {
            make(&folder)?;
        }
        let listening = config.ssh.listen.iter().chain(&config.console.listen).chain(&config.log.listen);
        Ok(Self {
            read: reading(config, config_path),
            write: writing(config),
            sockets: vec![config.data_dir()],
            listen: listening.map(std::net::SocketAddr::port).collect(),
        })
    }

    /// What a witness reaches: its state and the folder that is carried to it; keys and certificates, by their folders,
    /// since they may be replaced.
    ///
    /// # Errors
    /// When the folder of its state cannot be made.
    pub fn of_witness<'f>(
        state: &Path,
        carried: Option<&Path>,
        files: impl Iterator<Item = &'f PathBuf>,
        port: Option<u16>,
    ) -> Result<Self, String> {
        make(state)?;
        let files = files.flat_map(|file| [Some(parent(file)), file.canonicalize().ok().map(|file| parent(&file))]);
        Ok(Self {
            read: SYSTEM.iter().map(PathBuf::from).chain(files.flatten()).collect(),
            write: std::iter::once(state).chain(carried).map(Path::to_owned).collect(),
            sockets: Vec::new(),
            listen: port.into_iter().collect(),
        })
    }

    /// What the demonstration reaches: its folder, with the gateway and the simulated devices in it.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn of_demo(folder: &Path, ports: [u16; 2]) -> Result<Self, String> {
        make(folder)?;
        let read = SYSTEM.iter().map(PathBuf::from).chain(passwords_file()).collect();
        let (write, sockets) = (vec![folder.to_owned()], vec![folder.to_owned()]);
        Ok(Self { read, write, sockets, listen: ports.into_iter().chain([0]).collect() })
    }
}

/// The folders of the gateway's own. A link among them was put there by the hospital, for a larger disk: what counts is
/// where it leads now. Those that are not there yet are named all the same.
#[must_use]
pub fn writing(config: &Config) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in own(config) {
        let folder = folder.canonicalize().unwrap_or(folder);
        // One folder in another says nothing new.
        if !folders.iter().any(|known| folder.starts_with(known)) {
            folders.push(folder);
        }
    }
    folders
}

/// As they are configured.
fn own(config: &Config) -> Vec<PathBuf> {
    let mut folders = vec![config.data_dir(), config.recordings_dir()];
    if let Ok(Database::Sqlite(file)) = config.database() {
        // SQLite keeps its journal beside the database, wherever a link leads.
        folders.push(parent(&file.canonicalize().unwrap_or(file)));
    }
    folders
}

/// What is read, apart from [`writing`].
fn reading(config: &Config, config_path: &Path) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // Whoever edits a configuration mostly puts a new file in its place; a reload has to find that one.
    read.push(parent(config_path));
    read.extend(config_path.canonicalize().map(|path| parent(&path)));
    read.extend([config.keys_dir(), config.master_key()]);
    read.extend(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    for (certificate, key) in config.console_certificate().into_iter().chain(config.log_certificate()) {
        // Renewed by putting others in their place; certbot keeps links to where they lie.
        for file in [certificate, key] {
            read.extend(file.canonicalize().map(|path| parent(&path)));
            read.push(parent(&file));
        }
    }
    let authorities = config.log.witnesses.iter().filter_map(|witness| config.witness_ca(witness));
    read.extend(authorities.flat_map(|file| [parent(&file), file]));
    if config.mail.is_on() {
        // Read again for each mail.
        let mail = config.mail();
        let authorities = mail.authorities().to_owned();
        read.extend(mail.password_file.into_iter().chain([authorities]).flat_map(|file| [parent(&file), file]));
    }
    if let Ok(Database::Postgres { url, ca }) = config.database() {
        // Authorities are renewed; the pool reads them with each new connection.
        read.extend(ca.into_iter().flat_map(|file| [parent(&file), file]));
        read.extend(files_of(&url));
        read.extend(["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"].iter().filter_map(std::env::var_os).map(PathBuf::from));
        read.extend(passwords_file());
    }
    read
}

/// The files that a PostgreSQL URL names.
fn files_of(url: &str) -> Vec<PathBuf> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let named = parameters.split('&').filter_map(|pair| pair.split_once('='));
    let of_files = ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];
    named.filter(|(name, _)| of_files.contains(name)).map(|(_, file)| unescaped(file)).collect()
}

/// A value of a URL as it is meant: `%2F` for a slash.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = tail.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// PostgreSQL's own file of passwords (`.pgpass`).
fn passwords_file() -> Option<PathBuf> {
    let named = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".pgpass")))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn make(folder: &Path) -> Result<(), String> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|fault| format!("cannot make {}: {fault}", folder.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_ports_for_browsers_and_readers_and_the_folders_of_their_certificates_are_in_reach() {
        let console =
            "[console]\nlisten = [\"127.0.0.1:8443\"]\ncertificate = \"/pki/a/c.pem\"\nkey = \"/pki/b/k.pem\"";
        let log = "[log]\nlisten = \"127.0.0.1:8444\"\ncertificate = \"/pki/c/c.pem\"\nkey = \"/pki/d/k.pem\"";
        let text = format!("[hospital]\nname = \"A\"\n{console}\n{log}\n");
        let config = Config::parse(&text, "/etc/sekimori".into()).unwrap();
        let read = reading(&config, Path::new("/etc/sekimori/sekimori.toml"));
        let all = ["/pki/a", "/pki/b", "/pki/c", "/pki/d"];
        assert!(all.iter().all(|path| read.iter().any(|read| read == Path::new(path))), "{read:?}");
        let here = tempfile::tempdir().unwrap();
        let config = Config { folder: here.path().to_owned(), ..config };
        let reach = Reach::of_gateway(&config, &here.path().join("sekimori.toml")).unwrap();
        assert_eq!(reach.listen, [2222, 8443, 8444]);
    }

    fn config(storage: &str) -> Config {
        let text = format!("[hospital]\nname = \"A\"\n[storage]\n{storage}\n[recording]\nfolder = \"/srv/rec\"\n");
        Config::parse(&text, "/etc/sekimori".into()).unwrap()
    }

    #[test]
    fn what_is_written_is_data_recordings_and_the_database() {
        let written = |storage| writing(&config(storage));
        assert_eq!(written("data_dir = \"/var/lib/s\""), [Path::new("/var/lib/s"), Path::new("/srv/rec")]);
        let apart = "data_dir = \"/var/lib/s\"\ndatabase = \"sqlite:/db/s.db\"";
        assert_eq!(written(apart), [Path::new("/var/lib/s"), Path::new("/srv/rec"), Path::new("/db")]);
    }

    #[test]
    fn a_link_to_a_larger_disk_is_followed() {
        let (here, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(here.path().join("data")).unwrap();
        std::os::unix::fs::symlink(disk.path(), here.path().join("data/recordings")).unwrap();
        let config = Config::parse("[hospital]\nname = \"A\"\n", here.path().to_owned()).unwrap();
        let reach = Reach::of_gateway(&config, &here.path().join("sekimori.toml")).unwrap();
        let real = |path: &Path| path.canonicalize().unwrap();
        assert_eq!(reach.write, [real(&here.path().join("data")), real(disk.path())]);
    }

    #[test]
    fn what_is_read_is_the_configuration_the_key_and_what_the_database_names() {
        let url = "postgres://u@db/x?sslmode=verify-full&sslcert=%2Fpki%2Fown%20cert.pem&sslkey=/pki/k.pem";
        let storage = format!("database = \"{url}\"\ndatabase_ca = \"/ca/ca.pem\"\nmaster_key = \"/keys/master\"");
        let read = reading(&config(&storage), Path::new("/etc/sekimori/sekimori.toml"));
        for path in ["/etc/sekimori", "/keys/master", "/ca", "/ca/ca.pem", "/pki/own cert.pem", "/pki/k.pem"] {
            assert!(read.iter().any(|read| read == Path::new(path)), "{path}: {read:?}");
        }
        for path in ["/", "/etc", "/keys", "/pki", "/usr", "/home", "/root", "/tmp", "/var"] {
            assert!(!read.iter().any(|read| read == Path::new(path)), "{path}: {read:?}");
        }
    }
}
