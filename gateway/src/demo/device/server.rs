//! The device's SSH server: accepts connections, signs accounts in, and gives each session channel a task of its own.
//!
//! Requests are answered here, at once and in order; what they start runs in `channel`.

use super::{SimulatedDevice, channel, sign_in};
use russh::keys::{Certificate, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodSet, Pty, Sig, SshId};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Session channels at once on one connection; OpenSSH's `MaxSessions` is 10 as well.
const CHANNELS: usize = 10;
/// How long a caller may take to name its version.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves SSH until `stop`, which also cuts the connections that are open.
pub async fn serve(listener: TcpListener, device: Arc<SimulatedDevice>, host_key: PrivateKey, stop: CancellationToken) {
    let config = Arc::new(config(&device, host_key));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((socket, source)) = listener.accept().await else {
                // Out of file descriptors, most likely: trying again at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (config, device, stop) = (config.clone(), device.clone(), stop.clone());
            tokio::spawn(async move {
                if let Err(error) = connection(socket, source, config, device, stop).await {
                    tracing::debug!(%source, %error, "a connection to a simulated device ended");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

fn config(device: &SimulatedDevice, host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard("SSH-2.0-SekimoriDemoDevice".into()),
        methods: MethodSet::from(sign_in::methods(&device.personality.accounts).as_slice()),
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key],
        // Work on a device may pause for as long as its window lasts.
        inactivity_timeout: None,
        ..Config::default()
    }
}

async fn connection(
    socket: TcpStream,
    source: SocketAddr,
    config: Arc<Config>,
    device: Arc<SimulatedDevice>,
    stop: CancellationToken,
) -> Result<(), russh::Error> {
    socket.set_nodelay(true)?;
    // Dropping a russh session only detaches it; shutting a duplicate of the socket down ends it.
    let socket = socket.into_std()?;
    let duplicate = socket.try_clone()?;
    let socket = TcpStream::from_std(socket)?;

    let caller = Caller {
        device,
        source: source.ip().to_canonical(),
        account: String::new(),
        channels: HashMap::new(),
        gone: CancellationToken::new(),
    };
    let opening = tokio::time::timeout(PATIENCE, russh::server::run_stream(config, socket, caller));
    let session = match stop.run_until_cancelled(opening).await {
        Some(Ok(session)) => session?,
        Some(Err(_)) => return Err(russh::Error::ConnectionTimeout),
        None => return Ok(()),
    };
    match stop.run_until_cancelled(session).await {
        Some(end) => end,
        None => match duplicate.shutdown(Shutdown::Both) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// One connection: who signed in, and which channels are open.
struct Caller {
    device: Arc<SimulatedDevice>,
    source: IpAddr,
    account: String,
    channels: HashMap<ChannelId, OpenChannel>,
    /// Cancelled when the connection has ended: what still runs for it would wait for its window for ever.
    gone: CancellationToken,
}

struct OpenChannel {
    /// Whether its one shell, command or subsystem was asked for (RFC 4254 §6.5).
    started: bool,
    /// Cancelled when the client has closed it.
    closed: CancellationToken,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Caller {
    fn judge(&mut self, user: &str, opens: bool) -> Auth {
        if !opens {
            return Auth::reject();
        }
        user.clone_into(&mut self.account);
        Auth::Accept
    }

    /// Answers a request that would start something: the first of its channel succeeds if the device knows how.
    fn start(&mut self, id: ChannelId, known: bool, session: &mut Session) -> Result<(), russh::Error> {
        match self.channels.get_mut(&id) {
            Some(channel) if known && !channel.started => {
                channel.started = true;
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }
}

impl Handler for Caller {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let opens = sign_in::password_opens(&self.device.personality.accounts, user, password);
        Ok(self.judge(user, opens))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let key: &PublicKey = offer.public_key;
        let useful = sign_in::key_may_open(&self.device.personality.accounts, user, key);
        Ok(if useful { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let opens = sign_in::key_opens(&self.device.personality.accounts, user, key.public_key);
        Ok(self.judge(user, opens))
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        let accounts = &self.device.personality.accounts;
        let opens = sign_in::certificate_opens(accounts, user, certificate, self.source);
        Ok(self.judge(user, opens))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let closed = self.gone.child_token();
        self.channels.insert(channel.id(), OpenChannel { started: false, closed: closed.clone() });
        let serving = channel::serve(self.device.clone(), self.account.clone(), channel, session.handle());
        tokio::spawn(closed.run_until_cancelled_owned(serving));
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        if let Some(channel) = self.channels.remove(&id) {
            channel.closed.cancel();
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // The device speaks Japanese whatever the locale is; what is not a locale is refused, as sshd refuses it.
        if name == "LANG" || name.starts_with("LC_") {
            session.channel_success(id)
        } else {
            session.channel_failure(id)
        }
    }

    async fn signal(&mut self, id: ChannelId, _: Sig, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, true, session)
    }

    async fn exec_request(&mut self, id: ChannelId, _: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, true, session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        self.start(id, name == "sftp", session)
    }
}
