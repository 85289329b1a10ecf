//! The gateway's end of a device's connection: takes the pinned host keys and nothing else, and opens nothing for the
//! device.

use crate::ssh::algorithms::{authenticates_itself, legacy_class};
use crate::store::Legacy;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use russh::{Names, client};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What both sides agreed upon, by the names of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Negotiated {
    /// The key exchange.
    pub kex: String,
    /// What the host key signs with.
    pub host_key: String,
    /// The cipher.
    pub cipher: String,
    /// Message authentication; `None` where the cipher does it.
    pub mac: Option<String>,
    /// What the injected key signs with, if it is a key.
    pub sign_in: Option<String>,
}

impl Negotiated {
    /// The outdated classes among it.
    pub fn legacy(&self) -> BTreeSet<Legacy> {
        let names =
            [Some(&self.kex), Some(&self.host_key), Some(&self.cipher), self.mac.as_ref(), self.sign_in.as_ref()];
        names.into_iter().flatten().filter_map(|name| legacy_class(name)).collect()
    }
}

/// What is known of a connection from its key exchange.
#[derive(Debug, Default)]
pub struct Seen {
    /// The fingerprint of a key that is not pinned.
    pub stranger: Option<String>,
    /// What was agreed upon.
    pub negotiated: Option<Negotiated>,
}

/// Accepts the pinned host keys and nothing else.
pub struct Pinned {
    keys: Vec<PublicKey>,
    seen: Arc<Mutex<Seen>>,
}

impl Pinned {
    /// Accepts these keys. What it sees can be read beside it.
    pub fn new(keys: Vec<PublicKey>) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::default();
        (Self { keys, seen: Arc::clone(&seen) }, seen)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = presented else { return Ok(false) };
        let known = self.keys.iter().any(|pinned| pinned.key_data() == key.key_data());
        if !known {
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            self.seen().stranger = Some(fingerprint);
        }
        Ok(known)
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        let cipher = names.cipher.as_ref().to_owned();
        let mac = (!authenticates_itself(&cipher)).then(|| names.client_mac.as_ref().to_owned());
        let (kex, host_key) = (names.kex.as_ref().to_owned(), names.key.as_str().to_owned());
        self.seen().negotiated = Some(Negotiated { kex, host_key, cipher, mac, sign_in: None });
        Ok(())
    }

    // A device has no business opening channels towards the gateway; russh's defaults would accept each of these.
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Opened,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Opened,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Opened,
        _originator_address: &str,
        _originator_port: u32,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Opened,
        _socket_path: &str,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Opened,
        _socket_path: &str,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Opened,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Opened,
        reply: client::ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        refuse(reply).await
    }
}

/// A channel that a device opens.
type Opened = russh::Channel<client::Msg>;

async fn refuse(reply: client::ChannelOpenHandle) -> Result<(), russh::Error> {
    reply.reject(russh::ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}
