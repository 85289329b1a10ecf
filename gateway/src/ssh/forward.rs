//! `ssh -L`: a `direct-tcpip` channel to a port of a device, accepted when the port has answered; and `ssh -J`, which
//! asks for the device's SSH in the same way.

use super::channels::{Connection, SignedIn};
use super::equipment::{self, DialError};
use super::jump;
use super::record::{close_tap, note, note_channel};
use super::texts;
use super::user_name::UserName;
use crate::session::attended::to_be_attended;
use crate::session::backlog::{Backlog, Cuttable};
use crate::session::relay::Outcome;
use crate::session::screen::{Screen, Sent};
use crate::session::{End, Session, forward};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use sekimori_audit::event::Kind;
use sekimori_audit::recording;
use sekimori_policy::facts::Channel as Permission;
use sekimori_policy::id::DeviceId;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A forward as the client asked for it.
pub struct Forward {
    /// The host, as the client names it.
    pub host: String,
    /// The port.
    pub port: u32,
    /// Where it began on the client's machine, as the client says.
    pub originator: String,
}

/// Serves one `direct-tcpip` channel to its end.
pub async fn forward_channel(
    connection: &Arc<Connection>,
    signed_in: &SignedIn,
    channel: Channel<Msg>,
    forward: Forward,
    reply: ChannelOpenHandle,
) {
    let caller = &signed_in.caller;
    let language = caller.language();
    let UserName { device, account, .. } = &signed_in.target;
    let Ok(port) = u16::try_from(forward.port) else { return reject(reply, "there is no such port").await };
    // Without a device in the user name, the host names it; with one, the host is the device itself.
    let device = match device {
        Some(device) if is_itself(&forward.host, device) => device.clone(),
        Some(_) => return reject(reply, "this connection reaches one device only: name it, or localhost").await,
        None => match forward.host.parse() {
            Ok(device) => device,
            Err(_) => return reject(reply, "name the device as the hospital does").await,
        },
    };
    match connection.gate.store.device(&device).await {
        Ok(Some(record)) if jump::is_ssh(&record, port) => {
            if connection.is_within() {
                return reject(reply, "this connection is at the device already").await;
            }
            return jump::jump(connection, signed_in, record, channel, reply).await;
        }
        // What is unknown, or cannot be looked up, is refused with its reasons below.
        _ => {}
    }
    let session = match connection.session(caller, &device, account.as_deref()).await {
        Ok(session) => session,
        Err(refusal) => return reject(reply, &refusal.sentences(language).join(" ")).await,
    };
    let handle = signed_in.handle.clone();
    session.track(forward_in(connection, &session, channel, handle, forward, port, reply)).await;
}

fn is_itself(host: &str, device: &DeviceId) -> bool {
    host == device.as_str() || matches!(host, "localhost" | "127.0.0.1" | "::1")
}

async fn reject(reply: ChannelOpenHandle, reason: &str) {
    // RFC 4254 section 5.1: 1 is SSH_OPEN_ADMINISTRATIVELY_PROHIBITED; the text is what OpenSSH shows.
    reply.reject(ChannelOpenFailure::Other { code: 1, reason: reason.to_owned() }).await;
}

async fn forward_in(
    connection: &Arc<Connection>,
    session: &Arc<Session>,
    channel: Channel<Msg>,
    handle: Handle,
    asked: Forward,
    port: u16,
    reply: ChannelOpenHandle,
) {
    let (gate, permit) = (&connection.gate, session.permit());
    let language = session.caller.language();
    let held = session.held();
    if let Some(pause) = held.pause {
        note(gate, session, Kind::AccessDenied, json!({ "reasons": ["session-paused"], "port": port })).await;
        return reject(reply, &texts::paused(language, &pause.reason)).await;
    }
    if held.unattended {
        // A client shows nothing of a forward that waits: it is told to come again.
        note(gate, session, Kind::AccessDenied, json!({ "reasons": ["session-unattended"], "port": port })).await;
        return reject(reply, to_be_attended(language)).await;
    }
    let permission = Permission::Forward(port);
    let Some(_in_use) = session.take_into_use(permission) else {
        note(gate, session, Kind::AccessDenied, json!({ "reasons": ["channel-not-permitted"], "port": port })).await;
        let sentence = texts::not_permitted(language, &permission.to_string(), permit.work().as_str());
        return reject(reply, &sentence).await;
    };
    let number = session.next_channel();
    let tap = match note_channel(gate, session, number, permission).await {
        Ok(()) => {
            let originator = asked.originator.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            let described = recording::Forward {
                destination: asked.host.clone(),
                destination_port: port,
                destination_address: None,
                originator,
            };
            session.recording.forward(number, described).await.map_err(|fault| fault.to_string())
        }
        Err(fault) => Err(fault),
    };
    let tap = match tap {
        Ok(tap) => tap,
        Err(fault) => {
            let end = End::RecordingFailed(fault);
            reject(reply, &end.sentence(language)).await;
            return session.end(end);
        }
    };
    let timeout = Duration::from_secs(gate.config().ssh.dial_timeout_seconds);
    let dialled = async {
        let record = equipment::record(gate, &permit).await?;
        equipment::connect(&record, port).await
    };
    let dialled = tokio::select! {
        dialled = tokio::time::timeout(timeout, dialled) => dialled,
        () = session.ended() => return close_tap(gate, session, number, &tap, Some("session-ended")).await,
    };
    match dialled {
        Ok(Ok(socket)) => {
            if let Ok((socket, cuttable)) = Cuttable::new(socket) {
                session.keep_socket(&cuttable);
                let (read, write) = channel.split();
                reply.accept().await;
                let screen = Screen::of_channel(handle, write, false);
                let backlog = Backlog::of_connection(connection.congestion.clone());
                let outcome = tokio::select! {
                    outcome = forward(Sent::Channel(read), &backlog, &screen, socket, &tap, session) => Some(outcome),
                    () = session.ended() => None,
                };
                if let Some(end) = outcome.as_ref().and_then(Outcome::end_of_session) {
                    session.end(end);
                }
                screen.close().await;
            }
        }
        Ok(Err(fault)) => {
            tracing::warn!(session = %session.id, %fault, "a forward did not reach its port");
            reject(reply, fault.sentence(language)).await;
        }
        Err(_) => {
            let silent = DialError::Silent { device: permit.device().to_string(), address: port.to_string() };
            reject(reply, silent.sentence(language)).await;
        }
    }
    close_tap(gate, session, number, &tap, None).await;
}
