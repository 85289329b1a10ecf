//! A look at a device's host keys, for people to compare. Nothing but the key exchange takes place, so everything that is
//! outdated may be used for it; what of that a later connection would need is told beside each key.

use super::error::{DialError, allowing};
use super::offer::{self, Lacking, Offer};
use super::{configuration, connect};
use crate::store::{DeviceRecord, Legacy};
use russh::client;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, PublicKey};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A host key as presented.
pub struct Presented {
    /// The key.
    pub key: PublicKey,
    /// The classes of outdated algorithms that a connection under this key needs, and the hospital does not allow yet.
    pub needs: BTreeSet<Legacy>,
}

impl Presented {
    /// The command that allows what the key needs; `None` if it needs nothing.
    #[must_use]
    pub fn command(&self, record: &DeviceRecord) -> Option<String> {
        let classes = &record.dialect.legacy | &self.needs;
        (!self.needs.is_empty()).then(|| allowing(record.device.id.as_str(), &classes))
    }
}

/// Asks for a key of each kind, on a connection each: a server presents one key, of the kind that is asked for.
///
/// # Errors
/// [`DialError`], each step within `limit`; without any key [`DialError::Protocol`] with what the device offers.
pub async fn scan(record: &DeviceRecord, limit: Duration) -> Result<Vec<Presented>, DialError> {
    let (device, address) = (record.device.id.to_string(), format!("{}:{}", record.host, record.port));
    let silent = || DialError::Silent { device: device.clone(), address: address.clone() };
    let offered = async {
        let socket = connect(record, record.port).await?;
        let protocol = |fault: std::io::Error| DialError::Protocol { device: device.clone(), cause: fault.to_string() };
        offer::ask(socket).await.map_err(protocol)
    };
    let offer = tokio::time::timeout(limit, offered).await.map_err(|_| silent())??;
    let mut found = Vec::new();
    for kind in kinds() {
        let looked = tokio::time::timeout(limit, look(record, &kind)).await.map_err(|_| silent())??;
        if let Some(key) = looked {
            found.push(Presented { needs: needs(&offer, &kind, &record.dialect.legacy), key });
        }
    }
    if found.is_empty() {
        let cause = format!("no host key can be had; it offers {}", offer.told());
        return Err(DialError::Protocol { device, cause });
    }
    Ok(found)
}

fn kinds() -> Vec<Algorithm> {
    let curves = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];
    let ecdsa = curves.map(|curve| Algorithm::Ecdsa { curve });
    [&[Algorithm::Ed25519], &ecdsa[..], &[Algorithm::Rsa { hash: None }, Algorithm::Dsa]].concat()
}

fn needs(offer: &Offer, kind: &Algorithm, allowed: &BTreeSet<Legacy>) -> BTreeSet<Legacy> {
    match offer.lacking(std::slice::from_ref(kind), allowed) {
        Lacking::Permission(classes) => classes,
        Lacking::Nothing | Lacking::Everything(_) => BTreeSet::new(),
    }
}

/// The key of a kind, if the device has one that is usable.
async fn look(record: &DeviceRecord, kind: &Algorithm) -> Result<Option<PublicKey>, DialError> {
    let socket = connect(record, record.port).await?;
    let presented = Arc::new(Mutex::new(None));
    let everything = Legacy::ALL.into_iter().collect();
    let configuration = configuration(std::slice::from_ref(kind), &everything);
    // It ends with a refusal, which is ours.
    client::connect_stream(configuration, socket, Curious { presented: presented.clone() }).await.ok();
    Ok(presented.lock().unwrap_or_else(PoisonError::into_inner).take())
}

/// Looks at the key and hangs up.
struct Curious {
    presented: Arc<Mutex<Option<PublicKey>>>,
}

impl client::Handler for Curious {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = presented {
            *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        }
        Ok(false)
    }
}
