//! Vendors (事業者).

use super::Store;
use super::change::{Read, document};
use super::db::args;
use super::error::StoreError;
use sekimori_audit::event::Event;
use sekimori_policy::facts::Vendor;
use sekimori_policy::id::VendorId;

impl Store {
    /// Adds a vendor.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Invalid`] (a contract that ends before it begins).
    pub async fn add_vendor(&self, vendor: &Vendor, event: Event) -> Result<(), StoreError> {
        check(vendor)?;
        let mut change = self.change().await?;
        if find(change.read(), &vendor.id).await?.is_some() {
            return Err(StoreError::exists("vendor", &vendor.id));
        }
        let text = document("vendor", &vendor.id, vendor)?;
        change.run("INSERT INTO vendor (id, document) VALUES ($1, $2)", args![vendor.id.as_str(), text]).await?;
        change.commit(&event).await?;
        Ok(())
    }

    /// Edits a vendor as it is now: two edits at once both count. Returns what is stored. Whoever edits completes the
    /// event, which then tells of what was there at this very moment, and may refuse.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Invalid`], or the edit's own: nothing was changed.
    pub async fn update_vendor<E: From<StoreError>>(
        &self,
        id: &VendorId,
        mut event: Event,
        edit: impl FnOnce(&mut Vendor, &mut Event) -> Result<(), E> + Send,
    ) -> Result<Vendor, E> {
        let mut change = self.change().await?;
        let mut vendor = find(change.read(), id).await?.ok_or_else(|| StoreError::unknown("vendor", id))?;
        edit(&mut vendor, &mut event)?;
        vendor.id = id.clone();
        check(&vendor)?;
        let text = document("vendor", id, &vendor)?;
        change.run("UPDATE vendor SET document = $2 WHERE id = $1", args![id.as_str(), text]).await?;
        change.commit(&event).await?;
        Ok(vendor)
    }

    /// One vendor.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn vendor(&self, id: &VendorId) -> Result<Option<Vendor>, StoreError> {
        find(&mut self.read().await?, id).await
    }

    /// Every vendor, by id.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's own failure.
    pub async fn vendors(&self) -> Result<Vec<Vendor>, StoreError> {
        all(&mut self.read().await?).await
    }
}

pub(super) async fn find(read: &mut Read, id: &VendorId) -> Result<Option<Vendor>, StoreError> {
    let row = read.row("SELECT id, document FROM vendor WHERE id = $1", args![id.as_str()]).await?;
    row.map(|row| row.document("vendor", "document")).transpose()
}

pub(super) async fn all(read: &mut Read) -> Result<Vec<Vendor>, StoreError> {
    let rows = read.rows("SELECT id, document FROM vendor ORDER BY id", Vec::new()).await?;
    rows.iter().map(|row| row.document("vendor", "document")).collect()
}

fn check(vendor: &Vendor) -> Result<(), StoreError> {
    match vendor.contract {
        Some(contract) if contract.until <= contract.from => Err(StoreError::invalid(
            "vendor",
            &vendor.id,
            "its contract ends before it begins: give an end after the beginning",
        )),
        _ => Ok(()),
    }
}
