//! The log's keys as the gateway holds them: seeds in private files, and the file of verifier keys for the auditor.

use crate::config::Config;
use anyhow::Context as _;
use sekimori_audit::log::{LogError, Role, SigningKey};
use sekimori_certs::log_key::LogKey;
use uuid::Uuid;

/// The keys of the log. A data directory of before the log had none: then the first is made, if there is no log yet.
pub(super) fn load(config: &Config) -> anyhow::Result<Vec<LogKey>> {
    let folder = config.keys_dir();
    let keys = LogKey::load_all(&folder)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let log = config.log_dir();
    anyhow::ensure!(
        !log.exists(),
        "there is a log in {} and no key for it in {}: restore the key",
        log.display(),
        folder.display()
    );
    make_key(config)?;
    Ok(LogKey::load_all(&folder)?)
}

/// A key as it signs.
pub(super) fn signing(key: &LogKey) -> Result<SigningKey, LogError> {
    SigningKey::from_seed(&key.name, Role::Log, &key.seed)
}

/// Makes the first key of the log, and the file of verifier keys for the auditor; returns the verifier key.
///
/// # Errors
/// When a file cannot be written.
pub fn make_key(config: &Config) -> anyhow::Result<String> {
    let id = Uuid::now_v7().simple().to_string();
    // A name of its own for each log: two hospitals' logs must never be taken for each other.
    let key = LogKey::create_first(&config.keys_dir(), &format!("sekimori/{id}"))?;
    let verifier = signing(&key)?.verifier().to_string();
    let path = config.log_keys();
    let text = format!(
        "# The keys that verify this gateway's log. Keep a copy elsewhere: only that proves anything.\n{verifier}\n"
    );
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(verifier)
}
