//! The simulated equipment of the demonstration: SSH servers on loopback that behave like a CT scanner, an MRI, a
//! laboratory system, an electronic records server, an image archive or a network switch.
//!
//! A device here is a peer of the gateway, not a part of it: it speaks real SSH and HTTP over real sockets and knows
//! nothing of persons, windows or recordings. Which devices exist and with which accounts is the demonstration's to say.

mod channel;
mod commands;
mod editor;
mod files;
mod folders;
mod programs;
mod seat;
mod server;
mod sftp;
mod shell;
mod sign_in;
mod terminal;
#[cfg(test)]
mod tests;
mod texts;
mod web;

use self::files::FileTree;
use chrono::{DateTime, Utc};
use russh::keys::{PrivateKey, PublicKey};
use sekimori_policy::id::DeviceId;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use zeroize::Zeroizing;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CT scanner.
    Ct,
    /// Magnetic resonance imaging.
    Mri,
    /// Laboratory system (検査部門システム).
    Laboratory,
    /// Electronic records server (電子カルテサーバ).
    Records,
    /// Image archive (PACS).
    Archive,
    /// Network switch.
    Switch,
}

/// One account on the device, and what signs in to it. Any one of the credentials is enough.
pub struct DemoAccount {
    /// The login name.
    pub name: String,
    /// The password, if it has one.
    pub password: Option<Zeroizing<String>>,
    /// The one public key it accepts.
    pub authorized: Option<PublicKey>,
    /// The certificate authority whose user certificates for this name it accepts.
    pub trusted_ca: Option<PublicKey>,
}

/// One device, as the demonstration describes it.
pub struct Personality {
    /// Its name on the network, shown in its prompt.
    pub id: DeviceId,
    /// What it is.
    pub kind: Kind,
    /// Its name for people, in Japanese.
    pub name: String,
    /// Who can sign in.
    pub accounts: Vec<DemoAccount>,
    /// TCP ports of its status page; 0 takes any free one.
    pub ports: Vec<u16>,
}

/// A device while it runs: what all of its connections share.
pub struct SimulatedDevice {
    personality: Personality,
    files: FileTree,
    booted: DateTime<Utc>,
}

/// A running device. Dropping it stops the device and cuts its connections.
#[must_use = "a device stops when this is dropped"]
pub struct RunningDevice {
    /// Where its SSH server listens.
    pub address: SocketAddr,
    /// The ports of its status page, in the order in which they were asked for.
    pub ports: Vec<u16>,
    _stop: DropGuard,
}

impl SimulatedDevice {
    /// Starts a device: its SSH server on `listen` (port 0 takes any free one), its status pages on the same address.
    ///
    /// # Errors
    /// When one of the sockets cannot be bound; then nothing of the device runs.
    pub async fn start(
        listen: SocketAddr,
        personality: Personality,
        host_key: PrivateKey,
    ) -> io::Result<RunningDevice> {
        let listener = bind(listen, &personality.id).await?;
        let address = listener.local_addr()?;
        let mut pages = Vec::new();
        for port in &personality.ports {
            pages.push(bind(SocketAddr::new(listen.ip(), *port), &personality.id).await?);
        }
        let ports = pages.iter().map(|page| Ok(page.local_addr()?.port())).collect::<io::Result<_>>()?;

        let booted = Utc::now();
        let files = FileTree::new(folders::furnish(&personality, booted));
        let device = Arc::new(Self { personality, files, booted });
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, device.clone(), host_key, stop.clone()));
        for page in pages {
            tokio::spawn(web::serve(page, device.clone(), stop.clone()));
        }
        Ok(RunningDevice { address, ports, _stop: stop.drop_guard() })
    }
}

async fn bind(address: SocketAddr, id: &DeviceId) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let told = format!("the simulated device {id} cannot listen on {address}: {error}; choose another port");
        io::Error::new(error.kind(), told)
    })
}

impl Kind {
    /// The kind's name for people.
    fn label(self) -> &'static str {
        match self {
            Self::Ct => "CTスキャナ",
            Self::Mri => "MRI装置",
            Self::Laboratory => "検査部門システム",
            Self::Records => "電子カルテサーバ",
            Self::Archive => "画像保管サーバ（PACS）",
            Self::Switch => "ネットワークスイッチ",
        }
    }
}
