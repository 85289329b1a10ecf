//! The credentials that the gateway injects towards equipment: sealed at rest, never shown, never in an event.

use super::Store;
use super::db::args;
use super::devices;
use super::error::StoreError;
use sekimori_audit::event::Event;
use sekimori_policy::id::DeviceId;
use std::fmt;
use zeroize::Zeroizing;

/// How the gateway signs in to an account of a device.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A password.
    Password(Zeroizing<String>),
    /// An OpenSSH private key in PEM.
    PrivateKey(Zeroizing<String>),
    /// A short-lived certificate of the gateway's CA, made for each session: nothing is stored.
    Certificate,
}

impl Credential {
    /// The kind's stable name, as stored and shown: `password`, `key` or `certificate`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::PrivateKey(_) => "key",
            Self::Certificate => "certificate",
        }
    }

    fn secret(&self) -> Option<&[u8]> {
        match self {
            Self::Password(text) | Self::PrivateKey(text) => Some(text.as_bytes()),
            Self::Certificate => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.kind())
    }
}

/// What may be told of a credential.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CredentialListing {
    /// The account on the device.
    pub account: String,
    /// `password`, `key` or `certificate`.
    pub kind: String,
}

impl Store {
    /// Stores a credential in place of any earlier one.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] device or account, [`StoreError::Sealed`].
    pub async fn set_credential(
        &self,
        device: &DeviceId,
        account: &str,
        credential: &Credential,
        event: Event,
    ) -> Result<(), StoreError> {
        let context = context(device, account);
        let seal = |secret| self.inner.key.seal(&context, secret);
        let sealed = credential
            .secret()
            .map(seal)
            .transpose()
            .map_err(|source| StoreError::Sealed { what: context.clone(), source })?;
        let mut change = self.change().await?;
        let record = devices::require_device(&mut change, device).await?;
        if !record.device.accounts.iter().any(|known| known.name == account) {
            return Err(StoreError::unknown("account", format!("{account} on {device}")));
        }
        let sql = "INSERT INTO device_credential (device, account, kind, sealed) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (device, account) DO UPDATE SET kind = excluded.kind, sealed = excluded.sealed";
        change.run(sql, args![device.as_str(), account, credential.kind(), sealed]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// The credential for an account, opened.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if it does not open, [`StoreError::Damaged`].
    pub async fn credential(&self, device: &DeviceId, account: &str) -> Result<Option<Credential>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT kind, sealed FROM device_credential WHERE device = $1 AND account = $2";
        let Some(row) = read.row(sql, args![device.as_str(), account]).await? else { return Ok(None) };
        let context = context(device, account);
        let kind = row.text("kind")?;
        let sealed = row.bytes_or_none("sealed")?;
        match (kind.as_str(), sealed) {
            ("certificate", None) => Ok(Some(Credential::Certificate)),
            ("password", Some(sealed)) => Ok(Some(Credential::Password(self.opened(context, &sealed)?))),
            ("key", Some(sealed)) => Ok(Some(Credential::PrivateKey(self.opened(context, &sealed)?))),
            _ => Err(StoreError::damaged("credential", context, format!("its kind is {kind:?}"))),
        }
    }

    /// Which accounts of a device have a credential, and of which kind.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn credentials(&self, device: &DeviceId) -> Result<Vec<CredentialListing>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT account, kind FROM device_credential WHERE device = $1 ORDER BY account";
        let rows = read.rows(sql, args![device.as_str()]).await?;
        rows.iter()
            .map(|row| Ok(CredentialListing { account: row.text("account")?, kind: row.text("kind")? }))
            .collect()
    }

    /// Removes a credential.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none.
    pub async fn remove_credential(&self, device: &DeviceId, account: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "DELETE FROM device_credential WHERE device = $1 AND account = $2";
        if change.run(sql, args![device.as_str(), account]).await? != 1 {
            return Err(StoreError::unknown("credential", format!("for {account} on {device}")));
        }
        change.commit(&event).await?;
        Ok(())
    }

    fn opened(&self, context: String, sealed: &[u8]) -> Result<Zeroizing<String>, StoreError> {
        let secret = match self.inner.key.open(&context, sealed) {
            Ok(secret) => secret,
            Err(source) => return Err(StoreError::Sealed { what: context, source }),
        };
        let text = std::str::from_utf8(&secret).map_err(|fault| StoreError::damaged("credential", context, fault))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Binds the sealed secret to its row: moved to another device or account it does not open.
fn context(device: &DeviceId, account: &str) -> String {
    format!("device/{device}/{account}")
}
