//! The log's keys as the gateway holds them: seeds in private files, and the file of verifier keys for the auditor.

use crate::config::Config;
use anyhow::Context as _;
use sekimori_audit::log::{LogError, LogKeys, Role, SigningKey};
use sekimori_certs::log_key::LogKey;
use std::os::unix::fs::{MetadataExt, chown};
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

/// The key that the log is signed with now: the last one that was introduced.
///
/// # Errors
/// When it cannot be read.
pub fn in_force(config: &Config) -> anyhow::Result<SigningKey> {
    let introduced = LogKeys::read(&config.log_keys())?;
    let keys = load(config)?.iter().map(signing).collect::<Result<Vec<_>, _>>()?;
    let found = keys.into_iter().find(|key| introduced.log().last() == Some(key.verifier()));
    found.with_context(|| format!("the log's key is not in {}: restore it", config.keys_dir().display()))
}

/// Makes the first key of the log, and the file of verifier keys for the auditor; returns the verifier key.
///
/// # Errors
/// When a file cannot be written.
pub fn make_key(config: &Config) -> anyhow::Result<String> {
    let id = Uuid::now_v7().simple().to_string();
    // A name of its own for each log: two hospitals' logs must never be taken for each other.
    let key = LogKey::create(&config.keys_dir(), 1, &format!("sekimori/{id}"))?;
    let verifier = signing(&key)?.verifier().to_string();
    hand_over(config, std::slice::from_ref(&key))?;
    Ok(verifier)
}

/// Writes the file of verifier keys: those that were introduced, in their order.
pub(super) fn hand_over(config: &Config, introduced: &[LogKey]) -> anyhow::Result<()> {
    let path = config.log_keys();
    let mut text =
        "# The keys that verify this gateway's log. Keep a copy elsewhere: only that proves anything.\n".to_owned();
    for key in introduced {
        text.push_str(&format!("{}\n", signing(key)?.verifier()));
    }
    if std::fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    // Beside its place first: a copy that is taken meanwhile is the old file or the new one.
    let beside = path.with_extension("keys.new");
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The key that succeeds `introduced` of this folder's keys: one that an earlier attempt left behind, or a new one.
pub(super) fn next(config: &Config, introduced: usize) -> anyhow::Result<LogKey> {
    let folder = config.keys_dir();
    let mut keys = LogKey::load_all(&folder)?;
    if keys.len() > introduced {
        return Ok(keys.swap_remove(introduced));
    }
    let name = keys.first().map(|key| key.name.clone()).context("the log has no first key")?;
    let key = LogKey::create(&folder, u32::try_from(introduced + 1)?, &name)?;
    // Made by root at the command line, it has to be readable for the gateway, whose folder this is.
    let owner = std::fs::metadata(&folder)?;
    for file in std::fs::read_dir(&folder)?.flatten() {
        let found = file.metadata()?;
        if found.uid() == 0 && owner.uid() != 0 && file.file_name().to_string_lossy().starts_with("log-") {
            chown(file.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(key)
}
