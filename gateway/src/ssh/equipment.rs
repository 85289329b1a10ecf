//! The way to a device: its pinned host key, the injected credential, one connection for each channel.
//!
//! Nothing is accepted on the vendor's word: without a pinned key, or with another key than the pinned, there is no
//! connection. The person never sees the credential.

use super::algorithms::CIPHERS;
use crate::gate::Gate;
use crate::session::Session;
use crate::session::backlog::{Backlog, Cuttable, Gated};
use crate::session::read_ahead::ReadAhead;
use crate::store::{Credential, DeviceRecord, StoreError};
use chrono::Utc;
use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred, compression};
use rustix::net::sockopt;
use sekimori_audit::recording::Recording;
use sekimori_policy::decide::Permit;
use sekimori_policy::facts::Language;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Why a device was not reached. The person is told in words; the hospital reads the detail in the event.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection, or none in time.
    #[error("{device} at {address} cannot be reached: {cause}")]
    Unreachable {
        /// The device.
        device: String,
        /// Host and port.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// It accepted and then said nothing in time.
    #[error("{device} at {address} accepted the connection and did not answer in time")]
    Silent {
        /// The device.
        device: String,
        /// Host and port.
        address: String,
    },
    /// The SSH protocol failed.
    #[error("{device} does not speak usable SSH: {cause}")]
    Protocol {
        /// The device.
        device: String,
        /// What russh said.
        cause: String,
    },
    /// The hospital has pinned no host key yet.
    #[error("no host key of {device} is pinned: run `sekimori device scan-keys {device}`, compare, and `device pin`")]
    NotPinned {
        /// The device.
        device: String,
    },
    /// It presented another key than the pinned ones.
    #[error(
        "{device} presented the host key {presented}, which is not pinned: the device was replaced, or somebody stands between"
    )]
    HostKeyChanged {
        /// The device.
        device: String,
        /// The fingerprint that was presented.
        presented: String,
    },
    /// No credential is stored for the account.
    #[error("no credential of {account} on {device} is stored: run `sekimori device credential {device} {account}`")]
    NoCredential {
        /// The device.
        device: String,
        /// The account.
        account: String,
    },
    /// The device refused the stored credential.
    #[error("{device} refused the stored credential of {account}")]
    CredentialRefused {
        /// The device.
        device: String,
        /// The account.
        account: String,
    },
    /// It was taken out of the register between the decision and now.
    #[error("{device} is no longer registered")]
    Unregistered {
        /// The device.
        device: String,
    },
    /// The database did not answer, or a sealed secret did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key or certificate could not be made or read.
    #[error(transparent)]
    Certs(#[from] sekimori_certs::CertsError),
}

impl DialError {
    /// What the person reads: no addresses, no credentials, and whom to ask.
    #[must_use]
    pub fn sentence(&self, language: Language) -> &'static str {
        let ja = language == Language::Ja;
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } if ja => {
                "機器が応答しません。電源とネットワークを病院に確認してください。"
            }
            Self::Unreachable { .. } | Self::Silent { .. } => {
                "The device does not answer. Ask the hospital to check its power and network."
            }
            Self::HostKeyChanged { .. } | Self::NotPinned { .. } if ja => {
                "機器のホスト鍵が登録されたものと一致しません。接続しません。病院に連絡してください。"
            }
            Self::HostKeyChanged { .. } | Self::NotPinned { .. } => {
                "The device's host key is not the one that the hospital registered. Nothing was sent. Tell the hospital."
            }
            Self::NoCredential { .. } | Self::CredentialRefused { .. } if ja => {
                "機器が、登録された認証情報を受け付けません。病院に連絡してください。"
            }
            Self::NoCredential { .. } | Self::CredentialRefused { .. } => {
                "The device did not accept the credential that the hospital registered. Tell the hospital."
            }
            Self::Protocol { .. } | Self::Unregistered { .. } | Self::Store(_) | Self::Certs(_) if ja => {
                "機器への接続に失敗しました。病院に連絡してください。"
            }
            Self::Protocol { .. } | Self::Unregistered { .. } | Self::Store(_) | Self::Certs(_) => {
                "The connection to the device failed. Tell the hospital."
            }
        }
    }
}

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
    recording: &Recording,
) -> Result<Equipment, DialError> {
    let timeout = Duration::from_secs(gate.config().ssh.dial_timeout_seconds);
    let record = record(gate, permit).await?;
    let silent = DialError::Silent { device: permit.device().to_string(), address: address(&record) };
    let dialled = dial_without_limit(gate, session, permit, recording, &record);
    tokio::time::timeout(timeout, dialled).await.unwrap_or(Err(silent))
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
    let _turn = gate.turns.take(permit.device()).await.map_err(|fault| protocol(fault.to_string()))?;
    let socket = connect(record, record.port).await?;
    let backlog = Arc::new(Backlog::default());
    let (socket, cuttable) = Gated::new(socket, backlog.clone()).map_err(|fault| protocol(fault.to_string()))?;
    session.keep_socket(&cuttable);
    let presented = Arc::new(Mutex::new(None));
    let handler = Pinned { keys: pinned, presented: presented.clone() };
    let connected = client::connect_stream(configuration(&handler.keys), ReadAhead::new(socket), handler).await;
    let mut connection = connected.map_err(|fault| match fault {
        russh::Error::UnknownKey => DialError::HostKeyChanged {
            device: device.clone(),
            presented: presented.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default(),
        },
        // Only the pinned keys' algorithms are offered: nothing in common means that the key is another.
        russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. } => {
            DialError::HostKeyChanged { device: device.clone(), presented: "of another type".into() }
        }
        fault => protocol(fault.to_string()),
    })?;
    let key_id = format!("{}/{}", session.caller.person.id, recording.session());
    let signed_in = sign_in(gate, &mut connection, permit.account(), credential, &key_id).await;
    if signed_in.map_err(|fault| fault.into_dial(&device))? {
        Ok(Equipment { connection, backlog, _socket: cuttable })
    } else {
        Err(DialError::CredentialRefused { device, account: permit.account().to_owned() })
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

fn configuration(pinned: &[PublicKey]) -> Arc<client::Config> {
    let mut keys = Vec::new();
    for key in pinned {
        match key.algorithm() {
            Algorithm::Rsa { .. } => keys.extend([
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ]),
            other => keys.push(other),
        }
    }
    Arc::new(client::Config {
        preferred: Preferred {
            key: Cow::Owned(keys),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        },
        channel_buffer_size: 256,
        // Never counted: while a slow person holds the reading back, answers wait in the socket unread. Whether the
        // device is gone is the kernel's to find out (see `connect`).
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 0,
        nodelay: true,
        ..client::Config::default()
    })
}

/// A certificate towards equipment is used at once; some minutes allow for clocks that differ.
const EQUIPMENT_CERTIFICATE_MINUTES: u32 = 5;

/// Accepts the pinned host keys and nothing else.
pub struct Pinned {
    keys: Vec<PublicKey>,
    presented: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = presented else { return Ok(false) };
        let known = self.keys.iter().any(|pinned| pinned.key_data() == key.key_data());
        if !known {
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        }
        Ok(known)
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

/// What can go wrong while signing in, before a device's name is put to it.
enum SignInError {
    Protocol(russh::Error),
    Certs(sekimori_certs::CertsError),
}

impl SignInError {
    fn into_dial(self, device: &str) -> DialError {
        match self {
            Self::Protocol(fault) => DialError::Protocol { device: device.to_owned(), cause: fault.to_string() },
            Self::Certs(fault) => DialError::Certs(fault),
        }
    }
}

impl From<russh::Error> for SignInError {
    fn from(fault: russh::Error) -> Self {
        Self::Protocol(fault)
    }
}

impl From<sekimori_certs::CertsError> for SignInError {
    fn from(fault: sekimori_certs::CertsError) -> Self {
        Self::Certs(fault)
    }
}

async fn sign_in(
    gate: &Gate,
    connection: &mut client::Handle<Pinned>,
    account: &str,
    credential: Credential,
    key_id: &str,
) -> Result<bool, SignInError> {
    let result = match credential {
        Credential::Password(password) => return with_password(connection, account, &password).await,
        Credential::PrivateKey(pem) => {
            let key = PrivateKey::from_openssh(pem.as_bytes()).map_err(russh::keys::Error::from);
            let key = Arc::new(key.map_err(russh::Error::from)?);
            let hash = connection.best_supported_rsa_hash().await?.flatten();
            connection.authenticate_publickey(account, PrivateKeyWithHashAlg::new(key, hash)).await?
        }
        Credential::Certificate => {
            let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(russh::keys::Error::from);
            let key = key.map_err(russh::Error::from)?;
            let minutes = EQUIPMENT_CERTIFICATE_MINUTES;
            let certificate =
                gate.user_ca.issue_for_equipment(key.public_key(), account, key_id, Utc::now(), minutes)?;
            connection.authenticate_openssh_cert(account, Arc::new(key), certificate).await?
        }
    };
    Ok(matches!(result, AuthResult::Success))
}

/// Password sign-in, or the keyboard-interactive form of it that many devices want: every prompt gets the password.
async fn with_password(
    connection: &mut client::Handle<Pinned>,
    account: &str,
    password: &str,
) -> Result<bool, SignInError> {
    let AuthResult::Failure { remaining_methods, .. } = connection.authenticate_password(account, password).await?
    else {
        return Ok(true);
    };
    if !remaining_methods.contains(&russh::MethodKind::KeyboardInteractive) {
        return Ok(false);
    }
    let mut answer = connection.authenticate_keyboard_interactive_start(account, None).await?;
    for _round in 0..4 {
        answer = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts.iter().map(|_| password.to_owned()).collect();
                connection.authenticate_keyboard_interactive_respond(answers).await?
            }
        };
    }
    Ok(false)
}
