//! Acts on devices (機器): where they are, what may be opened, and how they are spoken to. Their host keys and credentials
//! are in `keys`.

use super::typed::{self, ENTRIES, LINE, NAME, line, name};
use super::{Flaw, Problem, RegistryFault, Switch, sound};
use crate::ssh::jump;
use crate::store::{DeviceRecord, Protocol, Store, StoreError};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::{Act, may};
use sekimori_policy::facts::{Channel, Person};
use sekimori_policy::id::DeviceId;
use serde_json::json;
use std::collections::BTreeSet;

/// Adds a device, without host keys or credentials yet. The event names actor and source; the rest is filled in.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field.
pub async fn add(store: &Store, by: &Person, record: &DeviceRecord, event: Event) -> Result<(), RegistryFault> {
    let _authority = may(by, Act::ManageDevices)?;
    sound(flaws(record))?;
    let id = &record.device.id;
    let event = Event { kind: Kind::DeviceAdd, device: Some(id.clone()), detail: json!({ "device": record }), ..event };
    match store.add_device(record, event).await {
        Err(StoreError::Exists { id, .. }) => sound(vec![Flaw::new("id", Problem::Taken(id))]),
        other => Ok(other?),
    }
}

/// Changes what is said of a device; its status has acts of its own.
///
/// # Errors
/// [`RegistryFault`], each flaw with its field; [`RegistryFault::Changed`] where it is not what was `seen` any more.
pub async fn change(
    store: &Store,
    by: &Person,
    id: &DeviceId,
    seen: Option<&str>,
    event: Event,
    edit: impl FnOnce(&mut DeviceRecord) + Send,
) -> Result<DeviceRecord, RegistryFault> {
    let _authority = may(by, Act::ManageDevices)?;
    let event = Event { kind: Kind::DeviceChange, device: Some(id.clone()), ..event };
    let changing = |record: &mut DeviceRecord, event: &mut Event| {
        if seen.is_some_and(|seen| seen != revision(record)) {
            return Err(RegistryFault::Changed { id: id.to_string() });
        }
        let before = record.clone();
        edit(record);
        sound(flaws(record))?;
        event.detail = json!({ "change": "change", "before": before, "after": record });
        Ok(())
    };
    store.update_device(id, event, changing).await
}

/// Suspends, resumes or retires a device.
///
/// # Errors
/// As [`change`].
pub async fn switch(
    store: &Store,
    by: &Person,
    id: &DeviceId,
    (to, reason): (Switch, &str),
    event: Event,
) -> Result<DeviceRecord, RegistryFault> {
    let _authority = may(by, Act::ManageDevices)?;
    sound(line("reason", reason, LINE).into_iter().collect())?;
    let event = Event { kind: Kind::DeviceChange, device: Some(id.clone()), ..event };
    let switching = |record: &mut DeviceRecord, event: &mut Event| {
        to.check(id, record.device.status)?;
        let before = record.clone();
        record.device.status = to.status();
        event.detail = json!({ "change": to.code(), "reason": reason, "before": before, "after": record });
        Ok(())
    };
    store.update_device(id, event, switching).await
}

/// What a form on a device was made from. The ledger's row is none of it: it is changed elsewhere.
#[must_use]
pub fn revision(record: &DeviceRecord) -> String {
    super::revision(&(&record.device, &record.name, &record.host, record.port, &record.dialect))
}

/// What is wrong with a device as it would be kept. What it is permitted has to be possible with its protocol, and
/// recordable.
fn flaws(record: &DeviceRecord) -> Vec<Flaw> {
    let device = &record.device;
    let many = (device.sources.len() > ENTRIES).then(|| Flaw::new("sources", Problem::TooMany { most: ENTRIES }));
    let address = typed::address(&record.host).err().map(|problem| Flaw::new("address", problem));
    let channels = channels(record).map(|problem| Flaw::new("channels", problem));
    let prompts =
        [("login_prompts", &record.dialect.prompts.account), ("password_prompts", &record.dialect.prompts.password)];
    let prompts =
        prompts.into_iter().flat_map(|(field, list)| list.iter().filter_map(move |one| line(field, one, NAME)));
    let found = [name("name", &record.name), address, accounts(record), channels, many];
    found.into_iter().flatten().chain(prompts).collect()
}

fn accounts(record: &DeviceRecord) -> Option<Flaw> {
    let accounts = &record.device.accounts;
    let names: BTreeSet<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    let problem = if accounts.is_empty() {
        Problem::NoAccount
    } else if accounts.len() > ENTRIES {
        Problem::TooMany { most: ENTRIES }
    } else if names.len() < accounts.len() {
        Problem::Twice
    } else {
        return None;
    };
    Some(Flaw::new("accounts", problem))
}

fn channels(record: &DeviceRecord) -> Option<Problem> {
    let channels = &record.device.channels;
    if channels.len() > ENTRIES {
        return Some(Problem::TooMany { most: ENTRIES });
    }
    // What went through a forward to it would pass the recording by, and the injected credential.
    let answered = channels.iter().find_map(|channel| match channel {
        Channel::Forward(port) if jump::is_ssh(record, *port) => Some(*port),
        _ => None,
    });
    if let Some(port) = answered {
        return Some(Problem::Answered { port });
    }
    let telnet = record.dialect.protocol == Protocol::Telnet;
    let beyond = channels.iter().find(|channel| !matches!(channel, Channel::Shell | Channel::Forward(_)));
    beyond.filter(|_| telnet).map(|channel| Problem::BeyondTelnet(*channel))
}
