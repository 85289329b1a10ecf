//! One connection's shared state, and what its channels become: a device, the menu, a carried sign-in, a forward.
//!
//! Opening a channel never blocks the connection: each is served by a task of its own.

use super::line::Line;
use super::user_name::UserName;
use super::{door, forward, start};
use crate::gate::Gate;
use crate::session::backlog::Congestion;
use crate::session::{self, Caller, End, HangUp, Refusal, Session, Way};
use futures_util::FutureExt;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure, Disconnect};
use sekimori_policy::facts::{Language, Source};
use sekimori_policy::id::DeviceId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long a client may take to leave by itself once its last channel is closed; and again, once it is told to.
const LEAVING: Duration = Duration::from_millis(200);

/// One SSH connection of a person.
pub struct Connection {
    /// The gateway.
    pub gate: Arc<Gate>,
    /// Where from.
    pub source: Source,
    /// How many of its channels lag behind.
    pub congestion: Arc<Congestion>,
    /// What it runs on.
    pub line: Line,
    caller: OnceLock<SignedIn>,
    closed: CancellationToken,
    /// What serves its channels; the connection's thread ends after the last.
    pub tasks: TaskTracker,
    /// Its place at the door; the connection that runs within another has none.
    place: Weak<door::Place>,
    /// Its channels at once, with those of the connections within it.
    channels: Arc<AtomicUsize>,
    sessions: Mutex<Vec<Arc<Session>>>,
    /// Held while a session opens, so that two channels do not open two.
    opening: tokio::sync::Mutex<()>,
}

/// What is known once the factors were proved.
pub struct SignedIn {
    /// Who.
    pub caller: Caller,
    /// Where to.
    pub target: UserName,
    /// The connection, for replies.
    pub handle: Handle,
}

/// A channel's place among those at once; given back on drop.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// A connection that has yet to sign in.
    pub fn new(gate: Arc<Gate>, source: Source, line: Line, place: Weak<door::Place>) -> Arc<Self> {
        Self::counting(gate, source, line, place, Arc::default())
    }

    /// A connection within this one, on a channel that ends with the token.
    pub fn within(&self, cut: CancellationToken) -> Arc<Self> {
        Self::counting(self.gate.clone(), self.source, Line::Channel(cut), Weak::new(), self.channels.clone())
    }

    /// Whether it runs within another.
    pub fn is_within(&self) -> bool {
        matches!(self.line, Line::Channel(_))
    }

    fn counting(
        gate: Arc<Gate>,
        source: Source,
        line: Line,
        place: Weak<door::Place>,
        channels: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        let stall = Duration::from_secs(gate.config().ssh.stall_seconds);
        Arc::new(Self {
            gate,
            source,
            congestion: Arc::new(Congestion::new(stall)),
            line,
            caller: OnceLock::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            place,
            channels,
            sessions: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        })
    }

    /// The factors were proved. Only the first time counts: who a connection is never changes.
    pub fn sign_in(&self, caller: Caller, target: UserName, handle: Handle) {
        self.caller.set(SignedIn { caller, target, handle }).ok();
        if let Some(place) = self.place.upgrade() {
            place.keep();
        }
    }

    /// Whether the factors were proved.
    pub fn signed_in(&self) -> bool {
        self.caller.get().is_some()
    }

    /// The connection is over: its sessions end.
    pub fn closed(&self, end: &End) {
        self.closed.cancel();
        for session in self.sessions.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            session.end(end.clone());
        }
    }

    /// A `session` channel: what it becomes is told by the request that follows.
    pub async fn open_session(self: &Arc<Self>, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let Some(place) = self.place() else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        reply.accept().await;
        let connection = self.clone();
        self.tasks.spawn(async move {
            if let Some(signed_in) = connection.caller.get() {
                start::session_channel(&connection, signed_in, channel).await;
            }
            drop(place);
        });
    }

    /// A `direct-tcpip` channel: accepted when the device's port has answered.
    pub async fn open_forward(
        self: &Arc<Self>,
        channel: Channel<Msg>,
        host: String,
        port: u32,
        originator: String,
        reply: ChannelOpenHandle,
    ) {
        let Some(place) = self.place() else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let connection = self.clone();
        self.tasks.spawn(async move {
            if let Some(signed_in) = connection.caller.get() {
                let forward = forward::Forward { host, port, originator };
                forward::forward_channel(&connection, signed_in, channel, forward, reply).await;
            }
            drop(place);
        });
    }

    fn place(self: &Arc<Self>) -> Option<Place> {
        let limit = self.gate.config().ssh.max_channels;
        let place = Place(self.channels.clone());
        // The place counts itself before it is judged, so that two at once cannot both be the last.
        (self.channels.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }

    /// The session of this connection towards a device and account: the open one, or a new one.
    ///
    /// # Errors
    /// [`Refusal`] with every reason.
    pub async fn session(
        self: &Arc<Self>,
        caller: &Caller,
        device: &DeviceId,
        account: Option<&str>,
    ) -> Result<Arc<Session>, Refusal> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(open) = self
            .open_sessions()
            .into_iter()
            .find(|session| session.device() == device && account.is_none_or(|account| account == session.account()))
        {
            return Ok(open);
        }
        let session = session::open(&self.gate, caller, device, account, Way::Ssh, self.hang_up()).await?;
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session.clone());
        // The person may have left while it opened: then nobody else would end it.
        if self.closed.is_cancelled() {
            session.end(End::PersonLeft);
        }
        Ok(session)
    }

    fn open_sessions(&self) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| !session.has_ended());
        sessions.clone()
    }

    /// How a session of this connection ends it, when it was the last.
    fn hang_up(self: &Arc<Self>) -> HangUp {
        let connection = Arc::downgrade(self);
        Arc::new(move |session: Uuid, end: End| {
            let connection = connection.upgrade();
            async move {
                if let Some(connection) = connection
                    && connection.open_sessions().iter().all(|open| open.id == session)
                {
                    connection.bid_farewell(&end).await;
                }
            }
            .boxed()
        })
    }

    /// Lets the last words arrive: a client leaves by itself when its last channel is closed, and one that stays (it
    /// only forwards, or shares its connection) is told. Who does not listen is cut off.
    async fn bid_farewell(&self, end: &End) {
        if timeout(LEAVING, self.closed.cancelled()).await.is_ok() {
            return;
        }
        let told = async {
            if let Some(signed_in) = self.caller.get() {
                // RFC 4253 section 11.1; OpenSSH shows the description, but no Japanese in it.
                let why = end.sentence(Language::En);
                signed_in.handle.disconnect(Disconnect::ByApplication, why, "en".into()).await.ok();
            }
            self.closed.cancelled().await;
        };
        if timeout(LEAVING, told).await.is_err() {
            self.line.abort();
        }
    }
}
