//! What every part of the running gateway shares: configuration, store, keys, recordings, the open sessions.

use crate::config::Config;
use crate::people::password::Passwords;
use crate::people::throttle::Throttle;
use crate::seal::Sealing;
use crate::seal::progress::Stall;
use crate::session::live::Live;
use crate::session::segments::Segments;
use crate::session::views::Views;
use crate::session::{Caller, End};
use crate::ssh::turns::Turns;
use crate::store::{Store, StoreError};
use russh::keys::PrivateKey;
use sekimori_audit::recording::Recordings;
use sekimori_certs::host_ca::HostCa;
use sekimori_certs::ssh_ca::UserCa;
use sekimori_policy::facts::Facts;
use sekimori_policy::id::DeviceId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running gateway.
pub struct Gate {
    /// The runtime of what outlives a person's connection; each connection has one of its own.
    pub home: Handle,
    config: watch::Sender<Arc<Config>>,
    reconfigured: AtomicBool,
    /// State and events.
    pub store: Store,
    /// Where recordings are written.
    pub recordings: Recordings,
    /// The CA that carries sign-ins, and that equipment may trust.
    pub user_ca: UserCa,
    /// The CA that vouches for devices' names towards clients that jump.
    pub host_ca: HostCa,
    /// The gateway's own host keys.
    pub host_keys: Vec<PrivateKey>,
    /// Failures, counted after the source check.
    pub throttle: Mutex<Throttle>,
    /// Looks at passwords, a bounded number at a time.
    pub passwords: Passwords,
    /// This gateway's name among those that share a database; the same when it starts again.
    pub instance: String,
    /// The open sessions.
    pub live: Live,
    /// What is seen of them in browsers.
    pub views: Views,
    /// Sign-ins at devices.
    pub turns: Turns,
    /// Supervisors of sessions, and what else has a last word: the gateway stops after the last.
    pub sessions: TaskTracker,
    /// Seals events into the transparency log.
    pub sealing: Sealing,
    /// Seals recordings whose sessions have ended.
    pub segments: Segments,
    stopping: CancellationToken,
    killed: CancellationToken,
}

/// What a gateway is put together from.
pub struct Parts {
    /// State and events.
    pub store: Store,
    /// Where recordings are written.
    pub recordings: Recordings,
    /// The CA that carries sign-ins.
    pub user_ca: UserCa,
    /// The CA that vouches for devices' names towards clients that jump.
    pub host_ca: HostCa,
    /// The gateway's own host keys.
    pub host_keys: Vec<PrivateKey>,
    /// Looks at passwords.
    pub passwords: Passwords,
    /// This gateway's name.
    pub instance: String,
}

impl Gate {
    /// Puts the parts together, within the runtime that is to outlive all connections.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Self {
        let Parts { store, recordings, user_ca, host_ca, host_keys, passwords, instance } = parts;
        Self {
            home: Handle::current(),
            config: watch::Sender::new(Arc::new(config)),
            reconfigured: AtomicBool::new(false),
            store,
            recordings,
            user_ca,
            host_ca,
            host_keys,
            throttle: Mutex::default(),
            passwords,
            instance,
            live: Live::default(),
            views: Views::default(),
            turns: Turns::default(),
            sessions: TaskTracker::new(),
            sealing: Sealing::default(),
            segments: Segments::default(),
            stopping: CancellationToken::new(),
            killed: CancellationToken::new(),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }

    /// The configuration in force, and each that is put in force after it.
    #[must_use]
    pub fn configs(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Puts another configuration in force (SIGHUP), and has every open session decided again on it.
    pub fn reconfigure(&self, config: Config) {
        self.config.send_replace(Arc::new(config));
        self.reconfigured.store(true, Ordering::Release);
    }

    /// Whether the configuration changed since this was asked last.
    pub(crate) fn take_reconfigured(&self) -> bool {
        self.reconfigured.swap(false, Ordering::AcqRel)
    }

    /// What was taken could not be acted on: it is asked for again.
    pub(crate) fn keep_reconfigured(&self) {
        self.reconfigured.store(true, Ordering::Release);
    }

    /// All that a decision about this caller and device rests on.
    ///
    /// # Errors
    /// When the database does not answer; nothing is decided on half of the facts.
    pub async fn facts(&self, caller: &Caller, device: &DeviceId, account: Option<&str>) -> Result<Facts, StoreError> {
        let demands = self.config().demands.clone();
        let person = &caller.person.id;
        self.store.facts(person, Some(device), account, caller.source, caller.factors.clone(), demands).await
    }

    /// Whether a sign-in still counts: it is on record, and nobody revoked it. Taking a person's factors away revokes
    /// theirs, carried or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_in_stands(&self, id: uuid::Uuid) -> Result<bool, StoreError> {
        Ok(self.store.sign_in(id).await?.is_some_and(|sign_in| sign_in.revoked.is_none()))
    }

    /// Whether events wait too long to be sealed: then nothing may happen that would have to be told of.
    #[must_use]
    pub fn log_stalled(&self) -> Option<Stall> {
        self.sealing.progress.stalled(Duration::from_secs(self.config().log.stall_seconds))
    }

    /// Whether the gateway takes no new sessions any more.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Whether the time to end by itself is over, and what cannot be written now is left to the next start.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.killed.is_cancelled()
    }

    /// Takes no new sessions, lets the open ones end by themselves for the configured time, then ends them.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.sessions.close();
        let grace = Duration::from_secs(self.config().ssh.shutdown_grace_seconds);
        if tokio::time::timeout(grace, self.sessions.wait()).await.is_err() {
            self.stop_now().await;
        }
    }

    /// Ends the open sessions; what the database does not take in time is left to the next start.
    pub async fn stop_now(&self) {
        self.live.end_all(&End::Shutdown);
        if tokio::time::timeout(Duration::from_secs(10), self.sessions.wait()).await.is_err() {
            self.killed.cancel();
            tokio::time::timeout(Duration::from_secs(2), self.sessions.wait()).await.ok();
        }
    }

    /// Resolves when the gateway begins to stop.
    pub async fn stop_asked(&self) {
        self.stopping.cancelled().await;
    }
}
