//! Sign-ins at one device take turns. A client may start many channels at once, each is a connection of its own towards
//! the device, and servers drop connections when too many have not signed in yet (OpenSSH's `MaxStartups`: at ten;
//! Dropbear: at five from one address).

use sekimori_policy::id::DeviceId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Sign-ins at one device at the same time.
const AT_ONCE: usize = 4;

/// Whose turn it is, at each device.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<DeviceId, Arc<Semaphore>>>);

impl Turns {
    /// Waits for a turn at the device; it lasts until the value is dropped.
    ///
    /// # Errors
    /// Never: turns are not closed.
    pub async fn take(&self, device: &DeviceId) -> Result<OwnedSemaphorePermit, AcquireError> {
        let turns = {
            let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            devices.entry(device.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        turns.acquire_owned().await
    }
}
