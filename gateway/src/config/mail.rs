//! The section `[mail]`: the server that takes the gateway's mail.

use sekimori_policy::mail::MailAddress;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The authorities that the system trusts, as Debian keeps them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The mail server. Without one nobody is told anything by mail.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// Where it takes mail: `HOST:PORT`.
    pub server: Option<String>,
    /// How the way there is protected.
    pub tls: Tls,
    /// Whom the mail comes from.
    pub from: Option<MailAddress>,
    /// Who the gateway is to the server, where that asks.
    pub user: Option<String>,
    /// The file with the password, which only its owner can read.
    pub password_file: Option<PathBuf>,
    /// The PEM file of the authorities that the server's certificate must chain to; without it those of the system.
    pub ca: Option<PathBuf>,
}

/// How the way to the server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first byte on.
    Implicit,
    /// From STARTTLS on, without which nothing is sent.
    #[default]
    Starttls,
    /// It does not leave this machine.
    None,
}

impl Mail {
    /// Whether there is a server.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.server.is_some()
    }

    /// The server's host and port.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        split(self.server.as_deref()?)
    }

    /// The file of the authorities behind the server's certificate.
    #[must_use]
    pub fn authorities(&self) -> &Path {
        self.ca.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES))
    }

    /// With its paths as seen from a folder.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        for path in [&mut self.ca, &mut self.password_file] {
            *path = path.take().map(|path| folder.join(path));
        }
        self
    }

    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The key, and what it may be.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(server) = self.server.as_deref() else {
            let others = [self.from.is_some(), self.user.is_some(), self.password_file.is_some(), self.ca.is_some()];
            return match others.contains(&true) {
                true => Err("mail.server is missing: name it as HOST:PORT, or leave the whole section out".into()),
                false => Ok(()),
            };
        };
        let Some((host, _)) = split(server) else {
            return Err("mail.server is HOST:PORT, such as \"mail.example:587\", IPv6 in brackets".into());
        };
        if self.from.is_none() {
            return Err("mail.from is missing: the address that the mail comes from".into());
        }
        if self.tls == Tls::None && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
            return Err(
                "mail.tls may be \"none\" only where mail.server is a loopback address of this machine, such as \
                        \"127.0.0.1:25\": use \"starttls\" or \"implicit\""
                    .into(),
            );
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("mail.user and mail.password_file go together: give both, or neither".into());
        }
        if self.user.as_deref().is_some_and(|user| user.is_empty() || user.chars().any(char::is_control)) {
            return Err("mail.user is empty, or has control characters in it".into());
        }
        Ok(())
    }
}

/// `HOST:PORT`, IPv6 in brackets.
fn split(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok().then_some(host)?,
        None => host,
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    let bare = server.starts_with('[') || !host.contains(':');
    (bare && !host.is_empty() && host.len() <= 253 && host.chars().all(named)).then_some((host, port))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::config::Config;

    fn read(mail: &str) -> Result<Config, String> {
        Config::parse(&format!("[hospital]\nname = \"A\"\n[mail]\n{mail}\n"), "/etc/sekimori".into())
    }

    #[test]
    fn clear_text_does_not_leave_this_machine() {
        let from = "from = \"gate@hospital.example\"\n";
        for fine in [
            "server = \"mail.example:587\"",
            "server = \"mail.example:465\"\ntls = \"implicit\"",
            "server = \"127.0.0.1:25\"\ntls = \"none\"",
            "server = \"[::1]:25\"\ntls = \"none\"",
        ] {
            assert!(read(&format!("{from}{fine}")).is_ok(), "{fine}");
        }
        for refused in ["mail.example:25", "localhost:25", "127.0.0.1.example:25", "192.0.2.1:25"] {
            let fault = read(&format!("{from}server = \"{refused}\"\ntls = \"none\"")).unwrap_err();
            assert!(fault.contains("mail.tls"), "{refused}: {fault}");
        }
    }

    #[test]
    fn a_server_is_whole_or_not_at_all() {
        let server = "server = \"mail.example:587\"\nfrom = \"gate@hospital.example\"\n";
        for (text, key) in [
            ("from = \"gate@hospital.example\"", "mail.server"),
            ("server = \"mail.example:587\"", "mail.from"),
            ("server = \"mail.example\"\nfrom = \"gate@hospital.example\"", "mail.server"),
            ("server = \"a b:25\"\nfrom = \"gate@hospital.example\"", "mail.server"),
            ("server = \"::1:25\"\nfrom = \"gate@hospital.example\"", "mail.server"),
            (&format!("{server}user = \"gate\""), "mail.password_file"),
            (&format!("{server}user = \"a\\nb\"\npassword_file = \"p\""), "mail.user"),
            ("from = \"gate@hospital.example\\r\\nBcc: x@y.example\"", "not a mail address"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(key), "{text}: {fault}");
        }
        let mail = read(&format!("{server}user = \"gate\"\npassword_file = \"p\"")).unwrap().mail();
        assert_eq!(mail.password_file.unwrap(), std::path::Path::new("/etc/sekimori/p"));
    }
}
