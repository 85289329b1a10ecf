//! `sekimori serve`: puts the parts together, closes what a crash left open, and serves until it is told to stop.

use crate::certificate::Certificate;
use crate::config::Config;
use crate::console::Console;
use crate::gate::{Gate, Parts};
use crate::mail::post;
use crate::people::password::Passwords;
use crate::publish;
use crate::retention;
use crate::sandbox::Held;
use crate::seal::{Sealer, progress, witnesses};
use crate::session::{live, watchers};
use crate::ssh::door::Door;
use crate::ssh::server;
use crate::store::{Closing, Counts, Store};
use anyhow::Context as _;
use chrono::Utc;
use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::keys::Recipients;
use sekimori_audit::recording::{Limits, Recordings};
use sekimori_certs::host_ca::HostCa;
use sekimori_certs::host_key::HostKeys;
use sekimori_certs::secret::MasterKey;
use sekimori_certs::ssh_ca::UserCa;
use serde_json::json;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Passwords looked at at once: each takes 19 MiB and a core for some tens of milliseconds.
const PASSWORDS_AT_ONCE: usize = 4;

/// How often, and how long apart, the lock of a data directory is tried for.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(50);

/// A gateway that accepts connections.
pub struct Serving {
    /// The running gateway.
    pub gate: Arc<Gate>,
    /// The addresses that it listens on, with the ports that the system chose where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    /// The same of the console.
    pub console: Vec<SocketAddr>,
    /// The same of the log.
    pub log: Option<SocketAddr>,
    signals: Signals,
    /// Held for as long as it serves.
    _lock: File,
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// What stood in the way of starting, with its place and remedy.
pub async fn run(config: Config, config_path: &Path, held: Held) -> anyhow::Result<()> {
    let serving = start(config, held).await?;
    for address in &serving.addresses {
        tracing::info!(%address, "listening for SSH");
    }
    for address in &serving.console {
        tracing::info!(%address, "listening for browsers");
    }
    if let Some(address) = serving.log {
        tracing::info!(%address, "listening for readers of the log");
    }
    serving.until_stopped(config_path).await
}

/// Starts everything; returns when connections are accepted.
///
/// # Errors
/// What stood in the way, with its place and remedy.
pub async fn start(config: Config, held: Held) -> anyhow::Result<Serving> {
    if held.whole() {
        tracing::info!("the kernel holds this gateway to its own files: {held}");
    } else {
        tracing::warn!("the kernel does not hold all of this gateway: {held}; see `sekimori doctor`");
    }
    open_as_many_files_as_may_be();
    // Who cannot serve must not touch the sessions of a gateway that does.
    let lock = lock(&config)?;
    let parts = parts(&config).await?;
    let (listeners, addresses) = listening(&config.ssh.listen).await?;
    let (browsers, console) = listening(&config.console.listen).await?;
    let certificate = match browsers.as_slice() {
        [] => None,
        _ => Some(Certificate::load(&config, Config::console_certificate).context("the console has no certificate")?),
    };
    let (mut readers, log) = listening(config.log.listen.as_slice()).await?;
    let readers = match readers.pop() {
        None => None,
        Some(listener) => {
            let certificate = Certificate::load(&config, Config::log_certificate);
            Some((listener, certificate.context("there is no certificate to serve the log with")?))
        }
    };
    let log = log.first().copied();
    close_what_a_crash_left_open(&parts).await?;
    let sealer = Sealer::open(&config, &parts.store).await?;
    let socket = watchers::listen(&config)?;
    // Nobody is let in yet: what is there was left behind.
    let unsealed = parts.recordings.unsealed()?;
    let detail = json!({
        "version": env!("CARGO_PKG_VERSION"), "addresses": addresses, "console": console, "instance": parts.instance,
        "sandbox": held, "log": sealer.checkpoint(), "log_listen": log,
    });
    let seen = parts
        .store
        .record(Event { detail, ..Event::new(Utc::now(), Kind::Start, Actor::gateway()) })
        .await
        .context("cannot record the start")?;
    let signals = Signals::heard().context("cannot listen for signals")?;
    let gate = Arc::new(Gate::new(config, parts));
    gate.sealing.spawn(gate.store.clone(), sealer);
    gate.segments.spawn(gate.clone(), unsealed);
    tokio::spawn(sweep(gate.clone()));
    tokio::spawn(watchers::hand_out(gate.clone(), socket));
    tokio::spawn(live::watch(gate.clone(), seen));
    tokio::spawn(progress::watch(gate.clone()));
    tokio::spawn(witnesses::ask(gate.clone()));
    tokio::spawn(post::carry(gate.clone()));
    let door = Arc::new(Door::default());
    gate.sessions.spawn(door.clone().tell_of_strangers(gate.clone()));
    for listener in listeners {
        tokio::spawn(server::serve(gate.clone(), door.clone(), listener));
    }
    if let (Some(certificate), Some(ssh)) = (certificate, addresses.first()) {
        Console::new(gate.clone(), certificate, *ssh).serve(browsers);
    }
    if let Some((listener, certificate)) = readers {
        publish::serve(gate.clone(), certificate, listener)?;
    }
    Ok(Serving { gate, addresses, console, log, signals, _lock: lock })
}

/// The sockets, and their addresses with the ports that the system chose.
async fn listening(on: &[SocketAddr]) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let mut listeners = Vec::new();
    for address in on {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.with_context(|| format!("cannot listen on {address}: is another program there?"))?);
    }
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    Ok((listeners, addresses))
}

/// What the system and people tell a running gateway. Heard from before it serves on, so that none ends it untold.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn heard() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Serving {
    /// Serves what was started until SIGTERM or Ctrl-C; SIGHUP reads the configuration again.
    ///
    /// # Errors
    /// When the stop cannot be recorded.
    pub async fn until_stopped(self, config_path: &Path) -> anyhow::Result<()> {
        let Self { gate, signals: Signals { mut terminate, mut interrupt, mut hang_up }, _lock, .. } = self;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => reload(&gate, config_path).await,
            }
        }
        tracing::info!("stopping: new sessions are refused, open ones may end by themselves");
        // A second signal does not wait for them any longer.
        tokio::select! {
            () = gate.stop() => {}
            _ = terminate.recv() => gate.stop_now().await,
            _ = interrupt.recv() => gate.stop_now().await,
        }
        gate.segments.finish().await;
        gate.store
            .record(Event {
                detail: gate.sealing.progress.standing(),
                ..Event::new(Utc::now(), Kind::Stop, Actor::gateway())
            })
            .await
            .context("cannot record the stop")?;
        gate.sealing.finish().await;
        gate.store.close().await;
        Ok(())
    }
}

/// Removes what was approved for removal when this was interrupted.
async fn sweep(gate: Arc<Gate>) {
    let folder = gate.config().recordings_dir();
    match retention::sweep(&gate.store, &folder).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "recordings were removed whose purge had been approved"),
        Err(fault) => tracing::error!(%fault, "recordings whose purge was approved are not removed yet"),
    }
}

async fn reload(gate: &Gate, config_path: &Path) {
    let config = match Config::read(config_path) {
        Ok(config) => config,
        Err(fault) if fault.is_denied() => {
            let fault = format!("{fault}; the sandbox opens the folder in which it lay at the start, and no other");
            return tracing::error!(fault, "the configuration was not read again; the old one stays in force");
        }
        Err(fault) => {
            return tracing::error!(%fault, "the configuration was not read again; the old one stays in force");
        }
    };
    let event =
        Event { detail: json!({ "path": config_path }), ..Event::new(Utc::now(), Kind::Reload, Actor::gateway()) };
    match gate.store.record(event).await {
        Ok(_) => {
            gate.reconfigure(config);
            tracing::info!("the configuration was read again; addresses and storage change at the next start");
        }
        Err(fault) => tracing::error!(%fault, "the configuration was not read again; the old one stays in force"),
    }
}

/// A connection takes two descriptors, a session some more; shells and service managers leave programs at 1,024 unless
/// these ask for what they may have.
fn open_as_many_files_as_may_be() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(fault) = raised {
        tracing::warn!(%fault, "the limit on open files stays as it was");
    }
}

/// One gateway serves a data directory; the lock goes with the process, however that ends.
///
/// # Errors
/// When another gateway serves it, or the lock cannot be made.
pub fn lock(config: &Config) -> anyhow::Result<File> {
    let path = config.data_dir().join("serving.lock");
    let open = File::options().create(true).append(true).mode(0o600).open(&path);
    let lock = open.with_context(|| format!("cannot open {}", path.display()))?;
    let mut taken = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
    for _ in 0..LOOKS {
        if taken.is_ok() {
            break;
        }
        // Who only looks holds it for a moment.
        std::thread::sleep(LOOK);
        taken = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
    }
    taken.with_context(|| format!("another gateway serves {}: stop it first", config.data_dir().display()))?;
    Ok(lock)
}

/// Whether a gateway serves a data directory now.
#[must_use]
pub fn is_served(config: &Config) -> bool {
    let Ok(lock) = File::open(config.data_dir().join("serving.lock")) else { return false };
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
}

async fn parts(config: &Config) -> anyhow::Result<Parts> {
    let master_key = master_key(config)?;
    let database = config.database().map_err(anyhow::Error::msg)?;
    let limits = Limits { reserve_bytes: config.recording.reserve_mib << 20, durability: config.recording.durability };
    let store = Store::open(&database, master_key).await?;
    store.take_mail(config.mail.is_on());
    Ok(Parts {
        store,
        recordings: Recordings::open(config.recordings_dir(), limits, recipients(config)?)?,
        user_ca: UserCa::load(&config.user_ca())?,
        host_ca: HostCa::load(&config.host_ca())?,
        host_keys: HostKeys::load(&config.keys_dir())?.private_keys(),
        passwords: Passwords::new(PASSWORDS_AT_ONCE)?,
        instance: instance(),
    })
}

/// Whom recordings are sealed to.
fn recipients(config: &Config) -> anyhow::Result<Recipients> {
    let path = config.recipients();
    Recipients::read(&path).with_context(|| {
        let file = path.display();
        format!(
            "without {file} no recording can be sealed: restore it, or make new keys with `sekimori recording-key make`"
        )
    })
}

/// The master key: the systemd credential where there is one, else the file.
///
/// # Errors
/// When it cannot be read, or others can.
pub fn master_key(config: &Config) -> Result<MasterKey, sekimori_certs::CertsError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    MasterKey::load(&config.master_key(), credentials.as_deref().map(Path::new))
}

/// The machine's name: gateways that share a database run on machines of their own.
fn instance() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    if name.is_empty() { "sekimori".to_owned() } else { name.into_owned() }
}

/// After a crash sessions stand open in the database that nobody serves any more.
async fn close_what_a_crash_left_open(parts: &Parts) -> anyhow::Result<()> {
    for row in parts.store.sessions_left_open_by(&parts.instance).await? {
        let opening = &row.opening;
        let now = Utc::now();
        let event = Event {
            person: Some(opening.person.clone()),
            vendor: Some(opening.vendor.clone()),
            device: Some(opening.device.clone()),
            work: Some(opening.work.clone()),
            session: Some(opening.id),
            sign_in: Some(opening.sign_in),
            source: Some(opening.source.address()),
            detail: json!({ "reason": "crash" }),
            ..Event::new(now, Kind::SessionClose, Actor::gateway())
        };
        let closing = Closing {
            at: now,
            code: "crash".into(),
            reason: "ゲートウェイが異常終了しました。 / The gateway had ended without closing this session.".into(),
            counts: Counts::default(),
        };
        parts.store.close_session(opening.id, &closing, event).await?;
        tracing::warn!(session = %opening.id, "closed a session that an earlier crash had left open");
    }
    Ok(())
}
