//! How the gateway knows a device, and what it signs in with there. A host key is pinned because a person compared it; a
//! credential is sealed, and never shown again.

use super::{Flaw, Problem, RegistryFault, sound};
use crate::store::{Credential, DeviceRecord, Protocol, Store};
use russh::keys::ssh_key::{PrivateKey, PublicKey};
use sekimori_audit::event::{Event, Kind};
use sekimori_certs::host_key::fingerprint;
use sekimori_policy::authority::{Act, may};
use sekimori_policy::facts::Person;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The most characters of a password.
const PASSWORD: usize = 1000;

/// Fails for a device that has no host keys: telnet knows none.
///
/// # Errors
/// [`Problem::NoHostKeys`].
pub fn must_have_host_keys(record: &DeviceRecord) -> Result<(), RegistryFault> {
    let telnet = record.dialect.protocol == Protocol::Telnet;
    sound(telnet.then(|| Flaw::new("fingerprint", Problem::NoHostKeys)).into_iter().collect())
}

/// Pins keys that somebody compared; those that are pinned already stay. Each is an event of its own.
///
/// # Errors
/// [`RegistryFault`].
pub async fn pin(
    store: &Store,
    by: &Person,
    record: &DeviceRecord,
    keys: &[PublicKey],
    event: &Event,
) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageDevices)?;
    must_have_host_keys(record)?;
    let id = &record.device.id;
    for key in keys {
        let (pinned, fingerprint) = (fingerprints(store, record).await?, fingerprint(key));
        if pinned.contains(&fingerprint) {
            continue;
        }
        let unusable = |_| RegistryFault::Flaws(vec![Flaw::new("fingerprint", Problem::NotPresented)]);
        let line = key.to_openssh().map_err(unusable)?;
        let after = [&pinned[..], std::slice::from_ref(&fingerprint)].concat();
        let detail = json!({ "pinned": fingerprint, "before": pinned, "after": after });
        store.pin_host_key(id, &line, &fingerprint, about(record, Kind::DeviceHostKey, detail, event.clone())).await?;
    }
    Ok(())
}

/// Removes a pinned key.
///
/// # Errors
/// [`RegistryFault`].
pub async fn unpin(
    store: &Store,
    by: &Person,
    record: &DeviceRecord,
    fingerprint: &str,
    event: Event,
) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageDevices)?;
    let pinned = fingerprints(store, record).await?;
    let after: Vec<&String> = pinned.iter().filter(|one| *one != fingerprint).collect();
    let detail = json!({ "removed": fingerprint, "before": pinned, "after": after });
    let event = about(record, Kind::DeviceHostKey, detail, event);
    Ok(store.remove_host_key(&record.device.id, fingerprint, event).await?)
}

/// Stores a credential in place of any earlier one, sealed.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field.
pub async fn store_credential(
    store: &Store,
    by: &Person,
    record: &DeviceRecord,
    (account, credential): (&str, &Credential),
    event: Event,
) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageCredentials)?;
    sound(flaws(record, account, credential))?;
    let before = kind(store, record, account).await?;
    let detail = json!({ "account": account, "kind": credential.kind(), "before": before, "after": credential.kind() });
    let event = about(record, Kind::DeviceCredential, detail, event);
    Ok(store.set_credential(&record.device.id, account, credential, event).await?)
}

/// Removes a credential.
///
/// # Errors
/// [`RegistryFault`].
pub async fn remove_credential(
    store: &Store,
    by: &Person,
    record: &DeviceRecord,
    account: &str,
    event: Event,
) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageCredentials)?;
    let before = kind(store, record, account).await?;
    let detail = json!({ "account": account, "removed": true, "before": before, "after": null });
    let event = about(record, Kind::DeviceCredential, detail, event);
    Ok(store.remove_credential(&record.device.id, account, event).await?)
}

fn flaws(record: &DeviceRecord, account: &str, credential: &Credential) -> Vec<Flaw> {
    let known = record.device.accounts.iter().any(|known| known.name == account);
    let account = (!known).then(|| Flaw::new("account", Problem::Unknown(super::typed::short(account))));
    let telnet = record.dialect.protocol == Protocol::Telnet && !matches!(credential, Credential::Password(_));
    let telnet = telnet.then(|| Flaw::new("kind", Problem::TelnetTakesAPassword));
    let secret = match credential {
        Credential::Certificate => None,
        Credential::Password(text) if text.is_empty() => Some(Flaw::new("password", Problem::Missing)),
        Credential::Password(text) if text.chars().count() > PASSWORD => {
            Some(Flaw::new("password", Problem::TooLong { most: PASSWORD }))
        }
        // Whatever it is, a device would take it for the end of the line.
        Credential::Password(text) if text.contains(['\r', '\n', '\0']) => Some(Flaw::new("password", Problem::Unseen)),
        Credential::Password(_) => None,
        Credential::PrivateKey(pem) => private_key(pem).map(|problem| Flaw::new("private_key", problem)),
    };
    [account, telnet, secret].into_iter().flatten().collect()
}

fn private_key(pem: &Zeroizing<String>) -> Option<Problem> {
    match PrivateKey::from_openssh(pem.as_bytes()) {
        Err(fault) => Some(Problem::NoPrivateKey(fault.to_string())),
        Ok(key) if key.is_encrypted() => Some(Problem::KeyHasPassphrase),
        Ok(_) => None,
    }
}

async fn fingerprints(store: &Store, record: &DeviceRecord) -> Result<Vec<String>, RegistryFault> {
    let keys = store.host_keys(&record.device.id).await?;
    Ok(keys.into_iter().map(|key| key.fingerprint).collect())
}

async fn kind(store: &Store, record: &DeviceRecord, account: &str) -> Result<Option<String>, RegistryFault> {
    let listed = store.credentials(&record.device.id).await?;
    Ok(listed.into_iter().find(|one| one.account == account).map(|one| one.kind))
}

fn about(record: &DeviceRecord, kind: Kind, detail: Value, event: Event) -> Event {
    Event { kind, device: Some(record.device.id.clone()), detail, ..event }
}
