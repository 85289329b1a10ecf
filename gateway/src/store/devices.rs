//! Devices (機器): what deciding needs, where to dial, the ledger's row, and the pinned host keys.

use super::Store;
use super::change::{Change, Read, document};
use super::db::{Row, args};
use super::dialect::Dialect;
use super::error::StoreError;
use chrono::{DateTime, Utc};
use sekimori_audit::event::Event;
use sekimori_policy::facts::Device;
use sekimori_policy::id::DeviceId;
use serde_json::Value;

/// One device with all that is kept of it but its secrets and keys.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DeviceRecord {
    /// What deciding needs.
    pub device: Device,
    /// The name that people know it by.
    pub name: String,
    /// The address or host name that the gateway dials.
    pub host: String,
    /// The TCP port of its SSH server.
    pub port: u16,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Its row of the ledger, as `sekimori_audit::ledger` writes it.
    pub ledger: Value,
}

/// The document that is stored: what deciding needs, and how the device is spoken to, side by side.
#[derive(serde::Serialize, serde::Deserialize)]
struct Document<Facts, Speech> {
    #[serde(flatten)]
    device: Facts,
    #[serde(flatten)]
    dialect: Speech,
}

/// A host key that the hospital has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostKey {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// The OpenSSH public key line.
    pub public_key: String,
    /// When it was pinned.
    pub pinned: DateTime<Utc>,
}

impl Store {
    /// Adds a device, without host keys or credentials yet.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Invalid`] (an address that cannot be dialled).
    pub async fn add_device(&self, record: &DeviceRecord, event: Event) -> Result<(), StoreError> {
        check(record)?;
        let mut change = self.change().await?;
        if find(change.read(), &record.device.id).await?.is_some() {
            return Err(StoreError::exists("device", &record.device.id));
        }
        let sql = "INSERT INTO device (id, name, host, port, document, ledger) VALUES ($1, $2, $3, $4, $5, $6)";
        write(&mut change, sql, record).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Edits a device as stored now: two edits at once both count. Returns what is stored. Whoever edits completes the
    /// event, which then tells of what was there at this very moment, and may refuse.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Invalid`], or the edit's own: nothing was changed.
    pub async fn update_device<E: From<StoreError>>(
        &self,
        id: &DeviceId,
        mut event: Event,
        edit: impl FnOnce(&mut DeviceRecord, &mut Event) -> Result<(), E> + Send,
    ) -> Result<DeviceRecord, E> {
        let mut change = self.change().await?;
        let mut record = find(change.read(), id).await?.ok_or_else(|| StoreError::unknown("device", id))?;
        edit(&mut record, &mut event)?;
        record.device.id = id.clone();
        check(&record)?;
        let sql = "UPDATE device SET name = $2, host = $3, port = $4, document = $5, ledger = $6 WHERE id = $1";
        write(&mut change, sql, &record).await?;
        change.commit(&event).await?;
        Ok(record)
    }

    /// Sets the ledger rows of several devices, all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] device.
    pub async fn import_ledger(&self, rows: Vec<(DeviceId, Value)>, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        for (id, ledger) in rows {
            let sql = "UPDATE device SET ledger = $2 WHERE id = $1";
            if change.run(sql, args![id.as_str(), ledger.to_string()]).await? != 1 {
                return Err(StoreError::unknown("device", id));
            }
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// One device.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<DeviceRecord>, StoreError> {
        find(&mut self.read().await?, id).await
    }

    /// Every device, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn devices(&self) -> Result<Vec<DeviceRecord>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT id, name, host, port, document, ledger FROM device ORDER BY id";
        read.rows(sql, Vec::new()).await?.iter().map(record).collect()
    }

    /// Pins a host key that a person of the hospital has confirmed.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] device, [`StoreError::Exists`].
    pub async fn pin_host_key(
        &self,
        device: &DeviceId,
        public_key: &str,
        fingerprint: &str,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        require_device(&mut change, device).await?;
        let sql = "INSERT INTO device_host_key (device, fingerprint, public_key, pinned)
                   VALUES ($1, $2, $3, $4) ON CONFLICT (device, fingerprint) DO NOTHING";
        if change.run(sql, args![device.as_str(), fingerprint, public_key, event.at]).await? != 1 {
            return Err(StoreError::exists("host key", fingerprint));
        }
        change.commit(&event).await?;
        Ok(())
    }

    /// The pinned host keys; none means that the device cannot be dialled.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn host_keys(&self, device: &DeviceId) -> Result<Vec<HostKey>, StoreError> {
        let mut read = self.read().await?;
        let sql = "SELECT fingerprint, public_key, pinned FROM device_host_key WHERE device = $1 ORDER BY pinned, fingerprint";
        let rows = read.rows(sql, args![device.as_str()]).await?;
        rows.iter()
            .map(|row| {
                Ok(HostKey {
                    fingerprint: row.text("fingerprint")?,
                    public_key: row.text("public_key")?,
                    pinned: row.time("pinned")?,
                })
            })
            .collect()
    }

    /// Removes a pinned host key.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] host key.
    pub async fn remove_host_key(&self, device: &DeviceId, fingerprint: &str, event: Event) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let sql = "DELETE FROM device_host_key WHERE device = $1 AND fingerprint = $2";
        if change.run(sql, args![device.as_str(), fingerprint]).await? != 1 {
            return Err(StoreError::unknown("host key", fingerprint));
        }
        change.commit(&event).await?;
        Ok(())
    }
}

pub(super) async fn find(read: &mut Read, id: &DeviceId) -> Result<Option<DeviceRecord>, StoreError> {
    let sql = "SELECT id, name, host, port, document, ledger FROM device WHERE id = $1";
    read.row(sql, args![id.as_str()]).await?.as_ref().map(record).transpose()
}

pub(super) async fn require_device(change: &mut Change, id: &DeviceId) -> Result<DeviceRecord, StoreError> {
    find(change.read(), id).await?.ok_or_else(|| StoreError::unknown("device", id))
}

async fn write(change: &mut Change, sql: &'static str, record: &DeviceRecord) -> Result<(), StoreError> {
    let id = &record.device.id;
    let device = document("device", id, &Document { device: &record.device, dialect: &record.dialect })?;
    let ledger = document("device", id, &record.ledger)?;
    let port = i64::from(record.port);
    change.run(sql, args![id.as_str(), record.name.clone(), record.host.clone(), port, device, ledger]).await?;
    Ok(())
}

pub(super) fn record(row: &Row) -> Result<DeviceRecord, StoreError> {
    let port = row.integer("port")?;
    let Document { device, dialect } = row.document("device", "document")?;
    Ok(DeviceRecord {
        device,
        dialect,
        name: row.text("name")?,
        host: row.text("host")?,
        port: u16::try_from(port).map_err(|fault| StoreError::damaged("port", port, fault))?,
        ledger: row.document("device", "ledger")?,
    })
}

fn check(record: &DeviceRecord) -> Result<(), StoreError> {
    let host = &record.host;
    let speakable = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c));
    if host.is_empty() || host.starts_with('-') || !speakable {
        let why = format!("{host:?} is no address or host name: give one such as 10.0.0.5, fd00::5 or ct-01.hospital");
        return Err(StoreError::invalid("device", &record.device.id, why));
    }
    if record.port == 0 {
        return Err(StoreError::invalid("device", &record.device.id, "its port is 0: give 1 to 65535, usually 22"));
    }
    Ok(())
}
