//! The lines that an engineer pastes: the ways in to a device, for exactly what the work permits.

use super::visit::Request;
use crate::store::DeviceRecord;
use sekimori_policy::facts::Channel;
use sekimori_policy::id::PersonId;
use sekimori_policy::work;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The ways to one device.
pub struct Ways {
    /// The device.
    pub device: String,
    /// Its name.
    pub name: String,
    /// What each is called, and the line.
    pub lines: Vec<(&'static str, String)>,
}

/// The lines for a person and a device, for what both the work and the device allow. An account is named where the work
/// names one.
pub fn to(visit: &Request, person: &PersonId, record: &DeviceRecord, request: &work::Request) -> Ways {
    let device = &record.device.id;
    let channels: BTreeSet<Channel> = request.channels.intersection(&record.device.channels).copied().collect();
    let account = request.accounts.as_ref().and_then(|accounts| accounts.iter().next()).map(String::as_str);
    let first = record.device.accounts.first().map_or("service", |account| account.name.as_str());
    let t = visit.t();
    let gate = visit.console.ssh;
    let host = host(visit);
    let user = account.map_or_else(|| format!("{person}+{device}"), |account| format!("{person}+{device}+{account}"));
    // An account has any name that the device gives it: a shell must not read more into it.
    let user = if plain(&user) { user } else { format!("'{}'", user.replace('\'', "'\\''")) };
    let mut lines = Vec::new();
    if channels.contains(&Channel::Shell) {
        lines.push((t.way_shell, format!("ssh -p {} {user}@{host}", gate.port())));
        lines.push((
            t.way_jump,
            format!("ssh -J {person}@{host}:{} {}@{device}", gate.port(), account.unwrap_or(first)),
        ));
    } else if channels.contains(&Channel::Exec) {
        lines.push((t.way_exec, format!("ssh -p {} {user}@{host} COMMAND", gate.port())));
    }
    if channels.contains(&Channel::Sftp) {
        lines.push((t.way_files, format!("sftp -P {} {user}@{host}", gate.port())));
    }
    for port in channels.iter().filter_map(|channel| match channel {
        Channel::Forward(port) => Some(*port),
        _ => None,
    }) {
        let local = if port < 1024 { u32::from(port) + 10_000 } else { u32::from(port) };
        lines.push((t.way_port, format!("ssh -N -L {local}:{device}:{port} -p {} {person}@{host}", gate.port())));
    }
    Ways { device: device.to_string(), name: record.name.clone(), lines }
}

fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// The name under which people reach the gateway.
pub fn host(visit: &Request) -> String {
    let config = visit.console.gate.config();
    let named = config.console.names.first().cloned();
    named.unwrap_or_else(|| match visit.console.ssh {
        SocketAddr::V4(address) if !address.ip().is_unspecified() => address.ip().to_string(),
        SocketAddr::V6(address) if !address.ip().is_unspecified() => address.ip().to_string(),
        _ => "gate".to_owned(),
    })
}
