//! The certificate that browsers and readers of the log see: the hospital's, read again when its files change, or one of
//! the internal authority, replaced in time. Both without a restart; what cannot be used leaves the old one in force.

use crate::config::Config;
use crate::gate::Gate;
use chrono::{DateTime, Utc};
use sekimori_certs::CertsError;
use sekimori_certs::tls::{self, WebCa};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::ServerConfig;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Where a configuration has the chain and the key that the hospital gives, if it does.
pub type Files = fn(&Config) -> Option<(PathBuf, PathBuf)>;

/// What is in force.
pub struct Certificate {
    files: Files,
    current: RwLock<Current>,
}

struct Current {
    configuration: Arc<ServerConfig>,
    origin: Origin,
    /// When it is replaced in any case.
    until: Option<DateTime<Utc>>,
}

/// Where it comes from: where that differs, another one is due.
#[derive(PartialEq)]
enum Origin {
    Given([(PathBuf, Option<SystemTime>, u64); 2]),
    Issued(Vec<String>),
}

impl Certificate {
    /// The certificate that the configuration asks for. The internal authority is made where there is none yet.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn load(config: &Config, files: Files) -> Result<Self, CertsError> {
        Ok(Self { files, current: RwLock::new(Current::load(config, files)?) })
    }

    /// For the next connection.
    #[must_use]
    pub fn configuration(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).configuration.clone()
    }

    /// Replaces it where that is due. `true`: it was replaced.
    fn refresh(&self, config: &Config) -> Result<bool, CertsError> {
        let wanted = Origin::wanted(config, self.files);
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.origin == wanted && current.until.is_none_or(|until| Utc::now() < until) {
                return Ok(false);
            }
        }
        let fresh = Current::load(config, self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }
}

impl Current {
    fn load(config: &Config, files: Files) -> Result<Self, CertsError> {
        // Before the files are read: what is put in their place meanwhile is another origin.
        let origin = Origin::wanted(config, files);
        if let Some((certificate, key)) = files(config) {
            return Ok(Self { configuration: tls::given(&certificate, &key)?, origin, until: None });
        }
        let (configuration, until) = authority(config)?.issue(&config.web_names(), Utc::now())?;
        Ok(Self { configuration, origin, until: Some(until) })
    }
}

/// The internal authority, made where there is none yet: gateways older than the console have none.
fn authority(config: &Config) -> Result<WebCa, CertsError> {
    let (path, now) = (config.web_ca(), Utc::now());
    if path.exists() { WebCa::load(&path, now) } else { WebCa::create(&path, now) }
}

impl Origin {
    fn wanted(config: &Config, files: Files) -> Self {
        let seen = |path: &Path| {
            let file = std::fs::metadata(path).ok();
            let changed = file.as_ref().and_then(|file| file.modified().ok());
            (path.to_owned(), changed, file.map_or(0, |file| file.len()))
        };
        match files(config) {
            Some((certificate, key)) => Self::Given([seen(&certificate), seen(&key)]),
            None => Self::Issued(config.web_names()),
        }
    }
}

/// Looks at it until the gateway stops. `of` says whose it is.
pub async fn keep_fresh(gate: Arc<Gate>, certificate: Arc<Certificate>, of: &'static str) {
    let mut told = None;
    while tokio::time::timeout(INTERVAL, gate.stop_asked()).await.is_err() {
        match certificate.refresh(&gate.config()) {
            Ok(true) => {
                tracing::info!("the {of} has a new certificate");
                told = None;
            }
            Ok(false) => told = None,
            Err(fault) => {
                // Once each: half of a pair is replaced before the other.
                let fault = fault.to_string();
                if told.as_ref() != Some(&fault) {
                    tracing::error!(fault, "the {of}'s certificate was not read again; the old one stays in force");
                }
                told = Some(fault);
            }
        }
    }
}
