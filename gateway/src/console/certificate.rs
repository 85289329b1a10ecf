//! The certificate that browsers see: the hospital's, read again when its files change, or one of the internal
//! authority, replaced in time. Both without a restart; what cannot be used leaves the old one in force.

use super::Console;
use crate::config::Config;
use chrono::{DateTime, Utc};
use sekimori_certs::CertsError;
use sekimori_certs::tls::{self, WebCa};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::ServerConfig;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// What is in force.
pub struct Certificate(RwLock<Current>);

struct Current {
    configuration: Arc<ServerConfig>,
    origin: Origin,
    /// When it is replaced in any case.
    until: Option<DateTime<Utc>>,
}

/// Where it comes from: where that differs, another one is due.
#[derive(PartialEq)]
enum Origin {
    Given([(std::path::PathBuf, Option<SystemTime>, u64); 2]),
    Issued(Vec<String>),
}

impl Certificate {
    /// The certificate that the configuration asks for. The internal authority is made where there is none yet.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn load(config: &Config) -> Result<Self, CertsError> {
        Ok(Self(RwLock::new(Current::load(config, Origin::wanted(config))?)))
    }

    pub(super) fn configuration(&self) -> Arc<ServerConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).configuration.clone()
    }

    /// Replaces it where that is due. `true`: it was replaced.
    fn refresh(&self, config: &Config) -> Result<bool, CertsError> {
        let wanted = Origin::wanted(config);
        {
            let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if current.origin == wanted && current.until.is_none_or(|until| Utc::now() < until) {
                return Ok(false);
            }
        }
        let fresh = Current::load(config, wanted)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }
}

impl Current {
    fn load(config: &Config, origin: Origin) -> Result<Self, CertsError> {
        if let Some((certificate, key)) = config.console_certificate() {
            return Ok(Self { configuration: tls::given(&certificate, &key)?, origin, until: None });
        }
        let (configuration, until) = authority(config)?.issue(&config.console.all_names(), Utc::now())?;
        Ok(Self { configuration, origin, until: Some(until) })
    }
}

/// The internal authority, made where there is none yet: gateways older than the console have none.
fn authority(config: &Config) -> Result<WebCa, CertsError> {
    let (path, now) = (config.web_ca(), Utc::now());
    if path.exists() { WebCa::load(&path, now) } else { WebCa::create(&path, now) }
}

impl Origin {
    fn wanted(config: &Config) -> Self {
        let seen = |path: &Path| {
            let file = std::fs::metadata(path).ok();
            let changed = file.as_ref().and_then(|file| file.modified().ok());
            (path.to_owned(), changed, file.map_or(0, |file| file.len()))
        };
        match config.console_certificate() {
            Some((certificate, key)) => Self::Given([seen(&certificate), seen(&key)]),
            None => Self::Issued(config.console.all_names()),
        }
    }
}

/// Looks at it until the gateway stops.
pub async fn keep_fresh(console: Arc<Console>) {
    let mut told = None;
    while tokio::time::timeout(INTERVAL, console.gate.stop_asked()).await.is_err() {
        match console.certificate.refresh(&console.gate.config()) {
            Ok(true) => {
                tracing::info!("the console has a new certificate");
                told = None;
            }
            Ok(false) => told = None,
            Err(fault) => {
                // Once each: half of a pair is replaced before the other.
                let fault = fault.to_string();
                if told.as_ref() != Some(&fault) {
                    tracing::error!(fault, "the console's certificate was not read again; the old one stays in force");
                }
                told = Some(fault);
            }
        }
    }
}
