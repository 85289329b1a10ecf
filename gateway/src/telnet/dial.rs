//! Dials a device's telnet service and logs in. There is no host key: the network address is all that speaks for the
//! device, and the event of the session says so before the password is sent.

use super::codec::Codec;
use super::login::{Asked, asked, says_something, sounds_like_a_refusal, without};
use crate::gate::Gate;
use crate::session::Session;
use crate::session::backlog::Cuttable;
use crate::ssh::equipment::{DialError, connect, turn};
use crate::ssh::record::note;
use crate::store::{Credential, DeviceRecord};
use bytes::Bytes;
use rustix::net::sockopt;
use sekimori_audit::event::Kind;
use sekimori_policy::decide::Permit;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

/// A person's terminal, as the device is told of it.
#[derive(Debug, Clone)]
pub struct Size {
    /// Its type.
    pub term: String,
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A device's terminal at which the account is logged in. Dropping it ends it.
pub struct Line {
    /// The connection.
    pub socket: TcpStream,
    /// Its protocol's state.
    pub codec: Codec,
    /// What the device said while the gateway logged in, without the password: to be recorded and shown first.
    pub said: Bytes,
    /// Shuts the socket down when this is dropped.
    pub cuttable: Arc<Cuttable>,
}

/// Nothing more comes for so long: a prompt is one, and is no part of a longer line.
const SETTLED: Duration = Duration::from_millis(400);

/// What a device may say before it has let the account in.
const SAID: usize = 64 << 10;

/// Dials the device of a permit and logs in, while its recording runs. `session` keeps the socket, to cut it.
///
/// # Errors
/// [`DialError`], after the configured timeout at the latest.
pub async fn dial(
    gate: &Gate,
    session: &Session,
    permit: &Permit,
    record: &DeviceRecord,
    size: Size,
) -> Result<Line, DialError> {
    let (device, account) = (permit.device().to_string(), permit.account().to_owned());
    let password = match gate.store.credential(permit.device(), permit.account()).await? {
        Some(Credential::Password(password)) => password,
        Some(Credential::PrivateKey(_) | Credential::Certificate) => {
            return Err(DialError::NoPassword { device, account });
        }
        None => return Err(DialError::NoCredential { device, account }),
    };
    let limit = Duration::from_secs(gate.config().ssh.dial_timeout_seconds);
    let address = format!("{}:{}", record.host, record.port);
    let silent = DialError::Silent { device: device.clone(), address: address.clone() };
    let lost = |fault: std::io::Error| DialError::Protocol { device: device.clone(), cause: fault.to_string() };
    let _turn = turn(gate, permit, record).await?;
    let end = Instant::now() + limit;
    let connected = async {
        let socket = connect(record, record.port).await?;
        // A data mark comes as urgent data (RFC 854): out of line, its command would lose its last byte.
        sockopt::set_socket_oobinline(&socket, true).map_err(|errno| lost(errno.into()))?;
        let (socket, cuttable) = Cuttable::new(socket).map_err(lost)?;
        session.keep_socket(&cuttable);
        let detail = json!({ "classes": ["telnet"], "address": address, "host_verified": false });
        note(gate, session, Kind::SessionLegacy, detail).await;
        if session.has_ended() {
            return Err(lost(std::io::ErrorKind::ConnectionAborted.into()));
        }
        Ok((socket, cuttable))
    };
    let (socket, cuttable) = timeout_at(end, connected).await.unwrap_or(Err(silent))?;
    let mut talk =
        Talk { socket, codec: Codec::new(&size.term, size.columns, size.rows), heard: Vec::new(), proved: false };
    let logged_in = timeout_at(end, talk.log_in(record, &account, &password)).await;
    match logged_in {
        Ok(said) => Ok(Line { socket: talk.socket, codec: talk.codec, said: said?.into(), cuttable }),
        Err(_) if talk.proved => Err(DialError::CredentialRefused { device, account, hint: String::new() }),
        // It waits for something, or takes long: either way the hospital knows its prompts best.
        Err(_) if says_something(&talk.heard) => Err(DialError::NoPrompt { device }),
        Err(_) => Err(DialError::Silent { device, address }),
    }
}

struct Talk {
    socket: TcpStream,
    codec: Codec,
    /// What the device said, from the last thing on that it was told.
    heard: Vec<u8>,
    /// Whether it was told the password.
    proved: bool,
}

impl Talk {
    /// Answers what is asked, once each, and returns what may be shown of it all.
    async fn log_in(
        &mut self,
        record: &DeviceRecord,
        account: &str,
        password: &Zeroizing<String>,
    ) -> Result<Vec<u8>, DialError> {
        let device = record.device.id.to_string();
        let refused = || DialError::CredentialRefused {
            device: device.clone(),
            account: account.to_owned(),
            hint: String::new(),
        };
        let lost = |fault: std::io::Error| DialError::Protocol { device: device.clone(), cause: fault.to_string() };
        let mut shown = Vec::new();
        let mut named = false;
        loop {
            // A device that hangs up after the password has refused it.
            if !self.settle().await.map_err(lost)? {
                return Err(if self.proved { refused() } else { lost(std::io::ErrorKind::UnexpectedEof.into()) });
            }
            let asked = asked(&self.heard, &record.dialect.prompts);
            match asked {
                Some(Asked::Account) if !named && !self.proved => {
                    shown.append(&mut self.heard);
                    named = true;
                    self.answer(account.as_bytes()).await.map_err(lost)?;
                }
                Some(Asked::Password) if !self.proved => {
                    shown.append(&mut self.heard);
                    self.proved = true;
                    self.answer(password.as_bytes()).await.map_err(lost)?;
                }
                Some(_) => return Err(refused()),
                None if self.proved => {
                    let unseen = without(&self.heard, password);
                    // A refusal is followed by the next prompt, or by the end.
                    if says_something(&unseen) && !sounds_like_a_refusal(&unseen) {
                        shown.extend(unseen);
                        return Ok(shown);
                    }
                }
                None => {}
            }
            if self.heard.len() > SAID {
                return Err(DialError::NoPrompt { device });
            }
        }
    }

    async fn answer(&mut self, line: &[u8]) -> std::io::Result<()> {
        // Made in one piece, so that no copy is left behind.
        let mut out = Zeroizing::new(Vec::with_capacity(2 * line.len() + 2));
        self.codec.send(line, &mut out);
        self.codec.send(b"\r", &mut out);
        self.socket.write_all(&out).await
    }

    /// Hears until something was said and nothing more comes. `false`: the device hung up.
    async fn settle(&mut self) -> std::io::Result<bool> {
        let before = self.heard.len();
        let mut buffer = [0; 4096];
        loop {
            let read = self.socket.read(&mut buffer);
            let count = if self.heard.len() == before {
                read.await?
            } else {
                match timeout(SETTLED, read).await {
                    Ok(count) => count?,
                    Err(_) => return Ok(true),
                }
            };
            if count == 0 {
                return Ok(false);
            }
            let mut replies = Vec::new();
            self.codec.receive(buffer.get(..count).unwrap_or_default(), &mut self.heard, &mut replies);
            self.socket.write_all(&replies).await?;
            if self.heard.len() > SAID {
                return Ok(true);
            }
        }
    }
}
