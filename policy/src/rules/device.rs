//! The device is known and in use.

use super::Judged;
use crate::facts::{Device, Facts, Status};
use crate::reason::Reason;

pub(crate) fn in_use(facts: &Facts) -> Judged<&Device> {
    let device = facts.device.as_ref().ok_or_else(|| vec![Reason::DeviceUnknown])?;
    if device.status != Status::Active {
        return Err(vec![Reason::DeviceInactive { device: device.id.clone(), status: device.status }]);
    }
    Ok(device)
}
