//! The way to a device: its pinned host key, the injected credential, one connection for each channel.
//!
//! Nothing is accepted on the vendor's word: without a pinned key, or with another key than the pinned, there is no
//! connection. The person never sees the credential.

mod error;
mod offer;
mod pinned;
mod scan;
mod sign_in;

pub use error::DialError;
pub use scan::{Presented, scan};

use super::algorithms::towards_equipment;
use super::record::note;
use crate::gate::Gate;
use crate::session::Session;
use crate::session::backlog::{Backlog, Cuttable, Gated};
use crate::session::read_ahead::ReadAhead;
use crate::store::{DeviceRecord, Legacy, Protocol};
use offer::Lacking;
use pinned::{Negotiated, Pinned};
use russh::client::{self, GexParams};
use russh::keys::ssh_key::{Algorithm, PublicKey};
use russh::{AlgorithmKind, Disconnect};
use rustix::net::sockopt;
use sekimori_audit::event::Kind;
use sekimori_audit::recording::Recording;
use sekimori_policy::decide::Permit;
use serde_json::json;
use sign_in::Attempts;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// A signed-in connection to a device. Dropping it ends it.
pub struct Equipment {
    /// The connection; a channel lives as long as it does.
    pub connection: client::Handle<Pinned>,
    /// What gates the reading of its socket.
    pub backlog: Arc<Backlog>,
    /// Shuts the socket down when this is dropped.
    _socket: Arc<Cuttable>,
}

impl Equipment {
    /// Lets what the person sent last leave before the socket is shut down: it is on record as sent.
    pub async fn finish(self) {
        let Self { connection, _socket, .. } = self;
        let goodbye = async {
            connection.disconnect(Disconnect::ByApplication, "", "").await.ok();
            connection.await.ok();
        };
        tokio::time::timeout(GOODBYE, goodbye).await.ok();
    }
}

/// How long a device may take to hear the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Dials the device of a permit while its recording runs. `session` keeps a duplicate of the socket, to cut it.
///
/// # Errors
/// [`DialError`], after the configured timeout at the latest.
pub async fn dial(
    gate: &Gate,
    session: &Session,
    permit: &Permit,
    record: &DeviceRecord,
    recording: &Recording,
) -> Result<Equipment, DialError> {
    let timeout = Duration::from_secs(gate.config().ssh.dial_timeout_seconds);
    let silent = DialError::Silent { device: permit.device().to_string(), address: address(record) };
    let _turn = turn(gate, permit, record).await?;
    let dialled = dial_without_limit(gate, session, permit, recording, record);
    tokio::time::timeout(timeout, dialled).await.unwrap_or(Err(silent))
}

/// How long a sign-in may wait for those before it at the same device.
const TURN: Duration = Duration::from_secs(60);

/// Waits for a turn to sign in at a device; it ends when it is dropped. The device has its time from then on: waiting for
/// others is not its silence.
///
/// # Errors
/// [`DialError::Silent`] when those before it take too long.
pub async fn turn(gate: &Gate, permit: &Permit, record: &DeviceRecord) -> Result<OwnedSemaphorePermit, DialError> {
    let device = permit.device().to_string();
    match tokio::time::timeout(TURN, gate.turns.take(permit.device())).await {
        Ok(turn) => turn.map_err(|fault| DialError::Protocol { device, cause: fault.to_string() }),
        Err(_) => Err(DialError::Silent { device, address: address(record) }),
    }
}

async fn dial_without_limit(
    gate: &Gate,
    session: &Session,
    permit: &Permit,
    recording: &Recording,
    record: &DeviceRecord,
) -> Result<Equipment, DialError> {
    let device = permit.device().to_string();
    let protocol = |cause: String| DialError::Protocol { device: device.clone(), cause };
    let mut pinned = Vec::new();
    for key in gate.store.host_keys(permit.device()).await? {
        pinned.push(
            PublicKey::from_openssh(&key.public_key)
                .map_err(russh::keys::Error::from)
                .map_err(russh::Error::from)
                .map_err(|fault| protocol(fault.to_string()))?,
        );
    }
    if pinned.is_empty() {
        return Err(DialError::NotPinned { device });
    }
    let no_credential = || DialError::NoCredential { device: device.clone(), account: permit.account().to_owned() };
    let credential = gate.store.credential(permit.device(), permit.account()).await?.ok_or_else(no_credential)?;
    let socket = connect(record, record.port).await?;
    let backlog = Arc::new(Backlog::default());
    let (socket, cuttable) = Gated::new(socket, backlog.clone()).map_err(|fault| protocol(fault.to_string()))?;
    session.keep_socket(&cuttable);
    let kinds: Vec<Algorithm> = pinned.iter().map(PublicKey::algorithm).collect();
    let allowed = &record.dialect.legacy;
    let (handler, seen) = Pinned::new(pinned);
    let mut connection = match client::connect_stream(configuration(&kinds, allowed), ReadAhead::new(socket), handler)
        .await
    {
        Ok(connection) => connection,
        Err(russh::Error::UnknownKey) => {
            let presented = seen.lock().unwrap_or_else(PoisonError::into_inner).stranger.clone().unwrap_or_default();
            return Err(DialError::HostKeyChanged { device, presented });
        }
        Err(russh::Error::NoCommonAlgo { kind, .. }) => return Err(nothing_in_common(record, kind, &kinds).await),
        Err(fault) => return Err(protocol(fault.to_string())),
    };
    let negotiated = seen.lock().unwrap_or_else(PoisonError::into_inner).negotiated.clone();
    let negotiated = negotiated.ok_or_else(|| protocol("the key exchange told nothing".into()))?;
    let key_id = format!("{}/{}", session.caller.person.id, recording.session());
    let account = permit.account();
    let agreed = (&negotiated, allowed);
    let attempts = sign_in::attempts(gate, &connection, (&device, account), credential, &key_id, agreed).await?;
    for attempt in attempts.ways {
        let negotiated = Negotiated { sign_in: attempt.algorithm(), ..negotiated.clone() };
        note_legacy(gate, session, &negotiated).await?;
        if attempt.make(&mut connection, account).await.map_err(|fault| protocol(fault.to_string()))? {
            return Ok(Equipment { connection, backlog, _socket: cuttable });
        }
    }
    let hint = Attempts::hint(attempts.withheld, &device, allowed);
    Err(DialError::CredentialRefused { device, account: account.to_owned(), hint })
}

/// Each use of what is outdated is on record before a credential is sent.
async fn note_legacy(gate: &Gate, session: &Session, negotiated: &Negotiated) -> Result<(), DialError> {
    let classes = negotiated.legacy();
    if classes.is_empty() {
        return Ok(());
    }
    let detail = json!({ "classes": classes, "algorithms": negotiated });
    note(gate, session, Kind::SessionLegacy, detail).await;
    if session.has_ended() {
        return Err(DialError::Protocol { device: session.device().to_string(), cause: "the session ended".into() });
    }
    Ok(())
}

/// Finds out why: what the device offers is asked for once more, since russh tells of one list only.
async fn nothing_in_common(record: &DeviceRecord, kind: AlgorithmKind, host_keys: &[Algorithm]) -> DialError {
    let device = record.device.id.to_string();
    let offer = match connect(record, record.port).await {
        Ok(socket) => offer::ask(socket).await,
        Err(fault) => return fault,
    };
    let offer = match offer {
        Ok(offer) => offer,
        Err(fault) => return DialError::Protocol { device, cause: fault.to_string() },
    };
    let allowed = &record.dialect.legacy;
    match offer.lacking(host_keys, allowed) {
        Lacking::Permission(classes) => DialError::outdated(&device, offer.told(), &(allowed | &classes)),
        // Only the pinned keys' algorithms are offered: nothing in common means that the key is another.
        Lacking::Nothing | Lacking::Everything(_) if matches!(kind, AlgorithmKind::Key) => {
            DialError::HostKeyChanged { device, presented: "of another type".into() }
        }
        Lacking::Nothing => DialError::Protocol { device, cause: "it changes what it offers".into() },
        Lacking::Everything(theirs) => {
            DialError::Protocol { device, cause: format!("the gateway knows none of {}", theirs.join(",")) }
        }
    }
}

/// What the hospital registered of a permit's device.
///
/// # Errors
/// When the database does not answer, or the device is gone.
pub async fn record(gate: &Gate, permit: &Permit) -> Result<DeviceRecord, DialError> {
    let gone = || DialError::Unregistered { device: permit.device().to_string() };
    gate.store.device(permit.device()).await?.ok_or_else(gone)
}

/// Whether a permit's device speaks telnet; not, if that cannot be found out.
pub async fn speaks_telnet(gate: &Gate, permit: &Permit) -> bool {
    record(gate, permit).await.is_ok_and(|record| record.dialect.protocol == Protocol::Telnet)
}

fn address(record: &DeviceRecord) -> String {
    format!("{}:{}", record.host, record.port)
}

/// A TCP connection to a port of the device, within the caller's time limit.
///
/// # Errors
/// [`DialError::Unreachable`] with what the system said.
pub async fn connect(record: &DeviceRecord, port: u16) -> Result<TcpStream, DialError> {
    let unreachable = |fault: std::io::Error| DialError::Unreachable {
        device: record.device.id.to_string(),
        address: format!("{}:{port}", record.host),
        cause: fault.to_string(),
    };
    let socket = TcpStream::connect((record.host.as_str(), port)).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    watched_by_the_kernel(&socket).map_err(|errno| unreachable(errno.into()))?;
    Ok(socket)
}

/// A device that is gone without a word is noticed after two minutes, whether or not its data is being read.
fn watched_by_the_kernel(socket: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(socket, 4)
}

fn configuration(host_keys: &[Algorithm], legacy: &BTreeSet<Legacy>) -> Arc<client::Config> {
    Arc::new(client::Config {
        preferred: towards_equipment(host_keys, legacy),
        // russh takes no smaller groups than 2048 bits.
        gex: GexParams::new(2048, 3072, 8192).unwrap_or_default(),
        channel_buffer_size: super::server::QUEUE,
        // Never counted: while a slow person holds the reading back, answers wait in the socket unread. Whether the
        // device is gone is the kernel's to find out (see `connect`).
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 0,
        nodelay: true,
        ..client::Config::default()
    })
}
