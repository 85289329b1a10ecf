//! The console's part of the configuration.

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The console, for browsers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Addresses to listen on; none: there is no console. Counts from the next start.
    pub listen: Vec<SocketAddr>,
    /// Host names and addresses under which people reach it, the usual one first: what the internal authority's
    /// certificate is for.
    pub names: Vec<String>,
    /// The certificate chain (PEM) that the hospital gives; without one, the internal authority issues one.
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// Minutes without a request until a sign-in ends.
    pub idle_minutes: u32,
    /// Hours until a sign-in ends in any case; never over 12.
    pub sign_in_hours: u32,
    /// Minutes for which a code counts for acts that ask for one; 0: each of them asks for a new one.
    pub step_up_minutes: u32,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            names: Vec::new(),
            certificate: None,
            key: None,
            idle_minutes: 30,
            sign_in_hours: 12,
            step_up_minutes: 10,
        }
    }
}

impl Console {
    /// Whether the values make sense together.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("console.certificate and console.key go together: give both, or neither".into());
        }
        let bounds = [
            ("idle_minutes", self.idle_minutes, 1..=720),
            ("sign_in_hours", self.sign_in_hours, 1..=12),
            ("step_up_minutes", self.step_up_minutes, 0..=60),
        ];
        match bounds.iter().find(|(_, value, bounds)| !bounds.contains(value)) {
            Some((key, _, bounds)) => {
                Err(format!("console.{key} must lie between {} and {}", bounds.start(), bounds.end()))
            }
            None => Ok(()),
        }
    }

    /// The address that people type, without a path; `None` where there is no console.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let listen = self.listen.first()?;
        let name = match self.names.first() {
            Some(name) => name.clone(),
            None if listen.ip().is_unspecified() => "localhost".to_owned(),
            None => listen.ip().to_string(),
        };
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        Some(if listen.port() == 443 { format!("https://{name}") } else { format!("https://{name}:{}", listen.port()) })
    }

    /// The names that a certificate is for: those configured, and the addresses that are listened on, here and for
    /// readers of the log.
    pub(super) fn all_names(&self, log: Option<SocketAddr>) -> Vec<String> {
        let mut names = self.names.clone();
        for address in self.listen.iter().chain(&log).map(SocketAddr::ip) {
            if address.is_loopback() {
                names.push("localhost".into());
            }
            if !address.is_unspecified() {
                names.push(address.to_string());
            }
        }
        if names.is_empty() {
            names.push("localhost".into());
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::config::Config;

    fn read(console: &str) -> Result<Config, String> {
        Config::parse(&format!("[hospital]\nname = \"A\"\n[console]\n{console}\n"), "/etc/sekimori".into())
    }

    #[test]
    fn a_certificate_and_its_key_go_together_and_limits_are_limits() {
        assert!(read("certificate = \"a.pem\"").unwrap_err().contains("console.key"));
        let given = read("certificate = \"a.pem\"\nkey = \"/k/b.pem\"").unwrap().console_certificate().unwrap();
        assert_eq!(given, ("/etc/sekimori/a.pem".into(), "/k/b.pem".into()));
        assert!(read("idle_minutes = 0").unwrap_err().contains("idle_minutes"));
        assert!(read("sign_in_hours = 13").unwrap_err().contains("sign_in_hours"));
    }

    #[test]
    fn people_type_the_first_name_and_the_port() {
        let url = |text| read(text).unwrap().console.url();
        assert_eq!(url(""), None);
        assert_eq!(url("listen = [\"[::1]:8443\"]").unwrap(), "https://[::1]:8443");
        assert_eq!(
            url("listen = [\"0.0.0.0:8443\"]\nnames = [\"gate.example\"]").unwrap(),
            "https://gate.example:8443"
        );
        assert_eq!(url("listen = [\"127.0.0.1:443\"]").unwrap(), "https://127.0.0.1");
    }

    #[test]
    fn a_certificate_is_for_every_name_under_which_it_is_reached() {
        let names = |text| read(text).unwrap().web_names();
        assert_eq!(names("listen = [\"127.0.0.1:8443\", \"[::1]:8443\"]"), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(names("[log]\nlisten = \"192.0.2.1:8444\""), ["192.0.2.1"]);
        assert_eq!(names("listen = [\"0.0.0.0:443\"]\nnames = [\"gate.example\"]"), ["gate.example"]);
    }
}
