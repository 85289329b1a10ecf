//! ProxyJump: `ssh -J person@gate account@device`. The client asks its outer connection for the device's SSH port; the
//! gateway answers the inner SSH itself, so that what runs in it is decided, recorded and cut like any other session.
//!
//! The inner SSH is shown under a host certificate for the device's name. Nobody signs in again: it is the outer
//! connection's person, on the outer connection's sign-in.

use super::channels::{Connection, SignedIn};
use super::nested::Nested;
use super::server::{self, Entry};
use super::user_name::UserName;
use crate::session::Caller;
use crate::session::backlog::Backlog;
use crate::store::DeviceRecord;
use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use russh::server::{Auth, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure, MethodKind, MethodSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The port that `ssh -J` asks for unless it is told another.
const SSH_PORT: u16 = 22;

/// Whether this port of a device is its SSH: its own port, or the one that clients take by default. Neither is ever
/// forwarded, since what went through would be encrypted past the recording.
pub fn is_ssh(device: &DeviceRecord, port: u16) -> bool {
    port == SSH_PORT || port == device.port
}

/// Answers the inner SSH on this channel, until it ends. (Boxed, since an inner connection has channels too.)
pub fn jump<'a>(
    outer: &'a Arc<Connection>,
    signed_in: &'a SignedIn,
    device: DeviceRecord,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) -> BoxFuture<'a, ()> {
    async move {
        let gate = &outer.gate;
        let mut configuration = server::configuration(gate);
        configuration.methods = MethodSet::from(&[MethodKind::None][..]);
        for key in configuration.keys.clone() {
            match gate.host_ca.issue(key.public_key(), device.device.id.as_str(), Utc::now()) {
                Ok(certificate) => configuration.certificates.push(certificate),
                Err(fault) => {
                    tracing::error!(%fault, device = %device.device.id, "a device's name cannot be certified");
                    return reply.reject(ChannelOpenFailure::ResourceShortage).await;
                }
            }
        }
        reply.accept().await;
        let (read, write) = channel.split();
        let cut = CancellationToken::new();
        let backlog = Backlog::of_connection(outer.congestion.clone());
        let (stream, feed) = Nested::new(&write, backlog, &cut);
        let draining = tokio::spawn(feed.drain(read));
        let inner = outer.within(cut.clone());
        let jumped = Jumped { caller: signed_in.caller.clone(), device, target: None };
        server::speak(Arc::new(configuration), stream, Entry::Jumped(jumped), &inner).await;
        cut.cancel();
        draining.abort();
        write.close().await.ok();
    }
    .boxed()
}

/// The sign-in of an inner SSH: the outer one's person, whatever the client offers.
pub struct Jumped {
    caller: Caller,
    device: DeviceRecord,
    target: Option<UserName>,
}

impl Jumped {
    /// Takes the user name for the device's account. The person's own ID, which clients send when nobody names an
    /// account, stands for the first one, unless the device has an account of that name.
    pub fn accept(&mut self, user: &str) -> Auth {
        let person = &self.caller.person.id;
        let accounts = &self.device.device.accounts;
        let named = accounts.iter().any(|account| account.name == user);
        let account = (named || user != person.as_str()).then_some(user);
        self.target = UserName::within(person, &self.device.device.id, account);
        if self.target.is_some() { Auth::Accept } else { Auth::reject() }
    }

    /// The result, once.
    pub fn take(&mut self) -> Option<(Caller, UserName)> {
        Some((self.caller.clone(), self.target.take()?))
    }
}
