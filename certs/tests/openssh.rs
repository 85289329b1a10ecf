//! Keys and certificates as OpenSSH sees them: its own tools read what is made here, and its own server judges it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use chrono::{DateTime, TimeDelta, Utc};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, Certificate, LineEnding, PrivateKey, PublicKey};
use sekimori_certs::host_key::{HostKeys, fingerprint, known_hosts_line, parse_host_keys};
use sekimori_certs::ssh_ca::{Request, UserCa};
use sekimori_certs::{CertificateError, CertsError};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder with an authority, and the key pair of a person as `ssh-keygen` made it.
struct Room {
    folder: TempDir,
    ca: UserCa,
    public_key: PublicKey,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "eng1", "-f", &text(&folder.path().join("id"))]);
        let public_key = fs::read_to_string(folder.path().join("id.pub")).unwrap().parse().unwrap();
        let ca = UserCa::create(&folder.path().join("ca")).unwrap();
        Self { folder, ca, public_key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign_in(&self, user: &str, source: &str, now: DateTime<Utc>) -> Certificate {
        let request = Request {
            public_key: self.public_key.clone(),
            key_id: format!("{user}/sign-in-1"),
            principals: vec![user.to_owned()],
            source_address: source.parse().unwrap(),
            valid_after: now,
            valid_before: now + TimeDelta::hours(1),
            serial: 4711,
        };
        self.ca.issue(&request).unwrap()
    }

    fn write(&self, name: &str, certificate: &Certificate) -> String {
        let path = self.path(name);
        fs::write(&path, certificate.to_openssh().unwrap()).unwrap();
        text(&path)
    }
}

#[test]
fn ssh_keygen_prints_the_carried_sign_in_as_it_was_issued() {
    let room = Room::new();
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let file = room.write("id-cert.pub", &room.sign_in("eng1", "192.0.2.7", now));
    let printed = keygen(&["-L", "-f", &file]);
    for expected in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate".to_owned(),
        format!("Public key: ED25519-CERT {}", fingerprint(&room.public_key)),
        format!("Signing CA: ED25519 {} (using ssh-ed25519)", room.ca.fingerprint()),
        "Key ID: \"eng1/sign-in-1\"".to_owned(),
        "Serial: 4711".to_owned(),
        "Valid: from 2027-01-15T08:00:00 to 2027-01-15T09:00:00".to_owned(),
        "source-address 192.0.2.7/32".to_owned(),
        "permit-pty".to_owned(),
        "permit-port-forwarding".to_owned(),
    ] {
        assert!(printed.contains(&expected), "{expected} is not in\n{printed}");
    }
    assert!(!printed.contains("agent") && !printed.contains("X11"), "{printed}");
}

#[test]
fn a_certificate_of_a_foreign_authority_is_refused() {
    let room = Room::new();
    let foreign = text(&room.path("foreign"));
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &foreign]);
    let address = "source-address=192.0.2.7/32";
    let key = text(&room.path("id.pub"));
    keygen(&["-q", "-s", &foreign, "-I", "eng1", "-n", "eng1", "-V", "-1m:+1h", "-O", address, &key]);
    let certificate = read_certificate(&room.path("id-cert.pub"));
    let refused = room.ca.check(&certificate, "eng1", "192.0.2.7".parse().unwrap(), Utc::now()).unwrap_err();
    assert!(matches!(refused, CertificateError::ForeignAuthority { .. }), "{refused}");
}

/// The same with the right authority's key, as an operator might sign by hand: it carries no sign-in.
#[test]
fn a_certificate_signed_by_hand_carries_no_sign_in() {
    let room = Room::new();
    let (ca, key) = (text(&room.path("ca")), text(&room.path("id.pub")));
    let address = "source-address=192.0.2.7/32";
    keygen(&["-q", "-s", &ca, "-I", "eng1", "-n", "eng1", "-V", "-1m:+1h", "-O", address, &key]);
    let certificate = read_certificate(&room.path("id-cert.pub"));
    let refused = room.ca.check(&certificate, "eng1", "192.0.2.7".parse().unwrap(), Utc::now()).unwrap_err();
    assert_eq!(refused, CertificateError::NotASignIn);
}

#[test]
fn a_real_sshd_takes_the_certificate_towards_equipment_for_its_account_only() {
    let room = Room::new();
    let sshd = Sshd::trusting(&room);
    let issue = |account: &str| {
        room.ca.issue_for_equipment(&room.public_key, account, "eng1/session-1", Utc::now(), 5).unwrap()
    };
    let user = system_user();
    let taken = sshd.sign_in(&user, &room.write("id-cert.pub", &issue(&user)));
    assert!(taken.status.success() && taken.stdout == b"inside\n", "{}", described(&taken));
    let refused = sshd.sign_in(&user, &room.write("id-cert.pub", &issue("somebody-else")));
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", described(&refused));
}

/// Without its critical option, a carried sign-in would open every device that trusts the authority, past the gateway.
#[test]
fn a_real_sshd_refuses_a_carried_sign_in() {
    let room = Room::new();
    let sshd = Sshd::trusting(&room);
    let user = system_user();
    // Behind a pipe there is no peer address that could fit the certificate's, so the log is asked for the reason.
    let certificate = room.sign_in(&user, "127.0.0.1", Utc::now() - TimeDelta::seconds(5));
    let refused = sshd.sign_in(&user, &room.write("id-cert.pub", &certificate));
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", described(&refused));
    let log = fs::read_to_string(room.path("sshd.log")).unwrap();
    assert!(log.contains("\"sign-in@sekimori\" is not supported"), "{log}");
}

#[test]
fn host_keys_are_what_ssh_keygen_says_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let keys = HostKeys::create(folder.path()).unwrap();
    let known_hosts = folder.path().join("known_hosts");
    let lines = keys.known_hosts_lines("gate.example", 2222);
    fs::write(&known_hosts, lines.join("\n") + "\n").unwrap();
    for (name, key) in ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"].iter().zip(keys.public_keys()) {
        for file in [folder.path().join(name), folder.path().join(format!("{name}.pub"))] {
            let printed = keygen(&["-l", "-f", &text(&file)]);
            assert!(printed.contains(&fingerprint(key)), "{printed}");
        }
    }
    let found = keygen(&["-F", "[gate.example]:2222", "-l", "-f", &text(&known_hosts)]);
    assert!(keys.public_keys().iter().all(|key| found.contains(&fingerprint(key))), "{found}");
}

#[test]
fn host_keys_of_every_type_are_read_for_pinning() {
    let folder = tempfile::tempdir().unwrap();
    let types: [(&str, &[&str]); 6] = [
        ("ed25519", &[]),
        ("ecdsa", &["-b", "256"]),
        ("ecdsa", &["-b", "384"]),
        ("ecdsa", &["-b", "521"]),
        ("rsa", &["-b", "2048"]),
        ("dsa", &[]),
    ];
    let known_hosts = folder.path().join("known_hosts");
    let mut expected = Vec::new();
    for (number, (kind, more)) in types.iter().enumerate() {
        let path = folder.path().join(format!("key{number}"));
        let file = text(&path);
        keygen(&[["-q", "-t", kind, "-N", "", "-C", "root@ct 01", "-f", &file].as_slice(), more].concat());
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let key = parse_host_keys(&public).unwrap().pop().unwrap();
        expected.push(fingerprint(&key));
        assert!(keygen(&["-l", "-f", &text(&path.with_extension("pub"))]).contains(&fingerprint(&key)));
        let line = known_hosts_line("ct-01", 2200, &key);
        fs::write(&known_hosts, fs::read_to_string(&known_hosts).unwrap_or_default() + &line + "\n").unwrap();
    }
    let read = |path: &Path| -> Vec<String> {
        parse_host_keys(&fs::read_to_string(path).unwrap()).unwrap().iter().map(fingerprint).collect()
    };
    assert_eq!(read(&known_hosts), expected);
    keygen(&["-q", "-H", "-f", &text(&known_hosts)]);
    assert!(fs::read_to_string(&known_hosts).unwrap().starts_with("|1|"));
    assert_eq!(read(&known_hosts), expected);
}

#[test]
fn keys_with_a_passphrase_or_of_another_type_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca");
    keygen(&["-q", "-t", "ed25519", "-N", "long enough", "-f", &text(&path)]);
    let error = UserCa::load(&path).unwrap_err().to_string();
    assert!(error.contains("ssh-keygen -p"), "{error}");
    let ecdsa =
        PrivateKey::random(&mut safe_rng(), Algorithm::Ecdsa { curve: russh::keys::ssh_key::EcdsaCurve::NistP256 });
    fs::write(&path, ecdsa.unwrap().to_openssh(LineEnding::LF).unwrap()).unwrap();
    assert!(matches!(UserCa::load(&path), Err(CertsError::KeyType { .. })));
}

/// A real `sshd` that speaks over a pipe, so that it needs no port.
struct Sshd<'room> {
    room: &'room Room,
    config: String,
}

impl<'room> Sshd<'room> {
    fn trusting(room: &'room Room) -> Self {
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text(&room.path("host"))]);
        fs::write(room.path("trusted"), room.ca.trusted_user_ca_keys() + "\n").unwrap();
        let config = room.path("sshd_config");
        let lines = format!(
            "HostKey {}\nTrustedUserCAKeys {}\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\nPidFile none\n",
            text(&room.path("host")),
            text(&room.path("trusted"))
        );
        fs::write(&config, lines).unwrap();
        // sshd run by root wants this folder, which Debian's service makes at its start.
        if system_user() == "root" {
            fs::create_dir_all("/run/sshd").expect("cannot make /run/sshd");
        }
        Self { room, config: text(&config) }
    }

    fn sign_in(&self, user: &str, certificate: &str) -> Output {
        let identity = text(&self.room.path("id"));
        fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
        let log = text(&self.room.path("sshd.log"));
        let proxy = format!("ProxyCommand=/usr/sbin/sshd -i -f {} -E {log}", self.config);
        let certificate = format!("CertificateFile={certificate}");
        let options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", &proxy, &certificate];
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "UserKnownHostsFile=/dev/null", "-i", &identity]);
        options.iter().for_each(|option| {
            ssh.args(["-o", option]);
        });
        ssh.arg(format!("{user}@equipment")).arg("echo inside");
        ssh.output().expect("cannot run ssh: install openssh-client and openssh-server")
    }
}

fn keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .expect("cannot run ssh-keygen: install openssh-client");
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", described(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn read_certificate(path: &Path) -> Certificate {
    Certificate::from_openssh(&fs::read_to_string(path).unwrap()).unwrap()
}

fn system_user() -> String {
    let output = Command::new("id").arg("-un").output().expect("cannot run id: install coreutils");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap_or_else(|| panic!("{path:?} is not UTF-8")).to_owned()
}

fn described(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
