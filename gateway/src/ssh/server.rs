//! The listener: who may speak to us at all, and one connection's russh handler.
//!
//! The source is checked before a single byte is sent, so a stranger learns nothing, not even that this is SSH. Whoever
//! is admitted gets a thread, which serves that connection and no other.
//! The handler only translates: signing in is [`super::login`]'s, channels are [`super::channels`]'s.

use super::algorithms;
use super::channels::Connection;
use super::door::{Door, Place};
use super::jump::Jumped;
use super::line::Line;
use super::login::Login;
use super::{proxy_protocol, texts};
use crate::gate::Gate;
use crate::people::proving::ProvingError;
use crate::session::End;
use crate::session::backlog::Cuttable;
use crate::session::read_ahead::ReadAhead;
use crate::store::StoreError;
use crate::thread;
use russh::keys::Certificate;
use russh::keys::ssh_key::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Limits, MethodKind, MethodSet, Pty, SshId};
use rustix::net::sockopt;
use sekimori_policy::facts::Source;
use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections until the gateway stops.
pub async fn serve(gate: Arc<Gate>, door: Arc<Door>, listener: TcpListener) {
    let configuration = Arc::new(configuration(&gate));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gate.stop_asked() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (gate, door, configuration) = (gate.clone(), door.clone(), configuration.clone());
                tokio::spawn(async move {
                    if let Some(admitted) = admit(&gate, &door, socket, peer).await {
                        admitted.on_a_thread_of_its_own(gate, configuration);
                    }
                });
            }
            Err(fault) => {
                // Out of file descriptors, most likely: wait for some to be closed.
                tracing::error!(%fault, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Messages that wait between the tasks of one connection.
pub const QUEUE: usize = 16;

/// How SSH is spoken towards people.
pub fn configuration(gate: &Gate) -> russh::server::Config {
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Sekimori")),
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]),
        // Failures are throttled by ourselves, per person and source; this would delay the second factor as well.
        auth_rejection_time: Duration::from_millis(1),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 20,
        keys: algorithms::host_keys(gate.config().ssh.algorithms, &gate.host_keys),
        preferred: algorithms::towards_people(gate.config().ssh.algorithms),
        limits: Limits::new(1 << 30, 1 << 30, Duration::from_secs(3600)),
        // Messages, not bytes. The pumps drain at once; short queues keep what passes through in the processor's cache.
        channel_buffer_size: QUEUE,
        event_buffer_size: QUEUE,
        // Answers to keepalives reset it, so that nobody idle is hit: it ends who said goodbye and never hung up.
        inactivity_timeout: Some(Duration::from_secs(300)),
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 4,
        nodelay: true,
        ..russh::server::Config::default()
    }
}

/// A connection whose source may speak to us.
struct Admitted {
    socket: std::net::TcpStream,
    source: Source,
    place: Arc<Place>,
}

/// Asks whether this source may speak to us at all, before a byte is sent. `None`: turned away.
async fn admit(gate: &Gate, door: &Arc<Door>, mut socket: TcpStream, peer: SocketAddr) -> Option<Admitted> {
    let grace = Duration::from_secs(gate.config().ssh.login_grace_seconds);
    let source = tokio::time::timeout(grace, source(gate, &mut socket, peer)).await.ok()??;
    match gate.store.source_is_allowed_by_anybody(source).await {
        Ok(true) => {}
        Ok(false) => {
            door.turn_away(gate, source).await;
            return None;
        }
        Err(fault) => {
            tracing::error!(%fault, "a connection was refused: the database does not answer");
            return None;
        }
    }
    let place = Arc::new(door.enter(&gate.config().ssh, source)?);
    socket.set_nodelay(true).ok()?;
    watched_by_the_kernel(&socket, Duration::from_secs(gate.config().ssh.gone_seconds)).ok()?;
    Some(Admitted { socket: socket.into_std().ok()?, source, place })
}

/// A machine that is gone without a word (a cable, a power cut) is noticed in this time, whether or not bytes are on
/// their way to it: russh's own keepalives wait while it is writing.
pub fn watched_by_the_kernel(socket: &TcpStream, gone: Duration) -> rustix::io::Result<()> {
    sockopt::set_tcp_user_timeout(socket, u32::try_from(gone.as_millis()).unwrap_or(u32::MAX))?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, (gone / 2).max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepintvl(socket, (gone / 8).max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepcnt(socket, 4)
}

impl Admitted {
    /// Serves the connection on a thread of its own.
    fn on_a_thread_of_its_own(self, gate: Arc<Gate>, configuration: Arc<russh::server::Config>) {
        let source = self.source;
        if let Err(fault) = thread::begin("connection", move || self.serve(gate, configuration)) {
            tracing::error!(%source, %fault, "a connection was refused: no thread for it");
        }
    }

    async fn serve(self, gate: Arc<Gate>, configuration: Arc<russh::server::Config>) {
        let Ok(socket) = TcpStream::from_std(self.socket) else { return };
        let Ok((socket, cuttable)) = Cuttable::new(socket) else { return };
        let login = Login::new(gate.clone(), self.source);
        let connection = Connection::new(gate, self.source, Line::Socket(cuttable), Arc::downgrade(&self.place));
        tokio::select! {
            () = speak(configuration, ReadAhead::new(socket), Entry::Factors(login), &connection) => {}
            () = self.place.lost() => {
                tracing::warn!(source = %self.source, "a connection that had not signed in made room for one from elsewhere");
                connection.line.abort();
            }
        }
    }
}

/// Speaks SSH on a stream until it ends and its channels are done. Who has not signed in within the grace time is cut
/// off.
pub async fn speak<S>(configuration: Arc<russh::server::Config>, stream: S, entry: Entry, connection: &Arc<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let grace = Duration::from_secs(connection.gate.config().ssh.login_grace_seconds);
    // However this ends, the connection's sessions end with it.
    let mut over = Over { connection, end: End::PersonLeft };
    let handler = Gatekeeper { entry, shared: connection.clone() };
    let running = tokio::time::timeout(grace, russh::server::run_stream(configuration, stream, handler)).await;
    let Ok(Ok(mut running)) = running else { return };
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = tokio::time::sleep(grace) => {
            if !connection.signed_in() {
                connection.line.cut();
            }
            running.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a connection ended");
        if fault.is_silence() {
            over.end = End::PersonLost;
        }
    }
    drop(over);
    // Each channel still has its end to write down.
    connection.tasks.close();
    connection.tasks.wait().await;
}

/// Tells a connection that it is over, when it is dropped.
struct Over<'a> {
    connection: &'a Connection,
    end: End,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.connection.closed(&self.end);
    }
}

/// The address that counts: the socket's, or a configured proxy's word, and nothing else.
async fn source(gate: &Gate, socket: &mut TcpStream, peer: SocketAddr) -> Option<Source> {
    let direct = Source::from(peer.ip());
    let trusted = &gate.config().ssh.trusted_proxies;
    if !trusted.iter().any(|net| net.contains(&direct.address())) {
        return Some(direct);
    }
    match proxy_protocol::read(socket).await {
        Ok(Some(address)) => Some(Source::from(address)),
        Ok(None) => Some(direct),
        Err(fault) => {
            tracing::warn!(proxy = %direct, %fault, "a connection through a proxy was refused");
            None
        }
    }
}

/// What ends a connection from the inside.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The protocol.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// The database: nobody signs in without it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Factors could not be judged.
    #[error(transparent)]
    Proving(#[from] ProvingError),
}

impl Fault {
    /// Whether the peer's machine gave no sign any more, rather than hanging up.
    fn is_silence(&self) -> bool {
        match self {
            Self::Ssh(russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout) => true,
            Self::Ssh(russh::Error::IO(fault)) => {
                matches!(fault.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
            }
            _ => false,
        }
    }
}

/// How it becomes known who a connection is.
pub enum Entry {
    /// By factors.
    Factors(Login),
    /// By the connection that it runs in.
    Jumped(Jumped),
}

/// The russh handler of one connection.
struct Gatekeeper {
    entry: Entry,
    shared: Arc<Connection>,
}

/// While a channel of the connection lags behind, each packet of the trickle waits this long: without it, two bytes
/// a packet would be sent as fast as the wire turns around.
const TRICKLE_PAUSE: Duration = Duration::from_millis(2);

/// The window target of the trickle: russh grants again when less than half of it is left.
const TRICKLE: u32 = 2;

impl Handler for Gatekeeper {
    type Error = Fault;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Fault> {
        match &self.entry {
            Entry::Factors(_) => Ok(Some(texts::banner(&self.shared.gate.config().hospital.name, self.shared.source))),
            // It was read a moment ago, on the outer connection.
            Entry::Jumped(_) => Ok(None),
        }
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Fault> {
        match &mut self.entry {
            Entry::Factors(_) => Ok(Auth::reject()),
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Fault> {
        match &mut self.entry {
            Entry::Factors(login) => login.key_offered(user, offer.public_key).await,
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Fault> {
        let key: &PublicKey = key.public_key;
        match &mut self.entry {
            Entry::Factors(login) => login.key_proved(user, key).await,
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Fault> {
        match &mut self.entry {
            Entry::Factors(login) => login.certificate(user, certificate).await,
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Fault> {
        match &mut self.entry {
            Entry::Factors(login) => login.password(user, password).await,
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Fault> {
        let answers = response.map(|response| response.collect::<Vec<_>>());
        match &mut self.entry {
            Entry::Factors(login) => login.interactive(user, answers).await,
            Entry::Jumped(jumped) => Ok(jumped.accept(user)),
        }
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Fault> {
        let entered = match &mut self.entry {
            Entry::Factors(login) => login.take(),
            Entry::Jumped(jumped) => jumped.take(),
        };
        // Without a caller russh would have no reason to be here; fail closed all the same.
        match entered {
            Some((caller, target)) => {
                self.shared.sign_in(caller, target, session.handle());
                Ok(())
            }
            None => Err(russh::Error::NotAuthenticated.into()),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Fault> {
        self.shared.open_session(channel, reply).await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Fault> {
        let originator = format!("{originator_address}:{originator_port}");
        self.shared.open_forward(channel, host.to_owned(), port, originator, reply).await;
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        if self.shared.congestion.any() { TRICKLE } else { russh::server::Config::default().window_size }
    }

    async fn data(&mut self, _channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Fault> {
        if data.len() <= TRICKLE as usize && self.shared.congestion.any() {
            tokio::time::sleep(TRICKLE_PAUSE).await;
        }
        Ok(())
    }

    // russh keeps one pending reply a channel, so these are answered when they come; the shell, command or
    // subsystem that follows is answered when the device has answered.
    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Fault> {
        Ok(session.channel_success(channel)?)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Fault> {
        Ok(session.channel_success(channel)?)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Fault> {
        Ok(session.channel_failure(channel)?)
    }
}
