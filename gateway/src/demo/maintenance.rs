//! A piece of maintenance that plays by itself, so that there is somebody to watch: an engineer of the demonstration signs
//! in by SSH like any other, with key and password, and looks after a device, typing as people type. What the hospital
//! does meanwhile — watch, say something, pause, cut — meets a session like any other.

use anyhow::{Context as _, ensure};
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::ssh_key::{PrivateKey, PublicKey};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Who plays: an engineer who has other devices to show than the one that people try first.
pub const ENGINEER: &str = "eng2";
/// On which device.
pub const DEVICE: &str = "mri-01";

/// What is typed, and how long what comes is read.
const LINES: [(&str, Duration); 9] = [
    ("status", Duration::from_secs(8)),
    ("helium", Duration::from_secs(10)),
    ("log", Duration::from_secs(12)),
    ("errors", Duration::from_secs(10)),
    ("monitor", Duration::from_secs(30)),
    ("q", Duration::from_secs(4)),
    ("selftest", Duration::from_secs(15)),
    ("show version", Duration::from_secs(12)),
    ("date", Duration::from_secs(8)),
];
/// Between two keys.
const KEY: Duration = Duration::from_millis(140);
/// From one session to the next.
const BREAK: Duration = Duration::from_secs(90);

/// The one who plays.
pub struct Maintenance {
    /// Where the gateway listens for SSH.
    pub gateway: SocketAddr,
    /// Its host key.
    pub host_key: PublicKey,
    /// The engineer's password.
    pub password: String,
    /// The file of the engineer's key.
    pub key: PathBuf,
}

impl Maintenance {
    /// Plays again and again. A session that the hospital cut, or refused, is no fault: the next one is tried later.
    pub async fn go_on(self) {
        loop {
            if let Err(fault) = self.play().await {
                tracing::debug!(%fault, "the demonstration's maintenance ended early");
            }
            sleep(BREAK).await;
        }
    }

    async fn play(&self) -> anyhow::Result<()> {
        let connection = self.signed_in().await?;
        let mut channel = connection.channel_open_session().await?;
        channel.request_pty(false, "xterm-256color", 100, 30, 0, 0, &[]).await?;
        channel.request_shell(false).await?;
        for (line, reading) in LINES {
            for key in line.bytes().chain(*b"\r") {
                channel.data(&[key][..]).await?;
                ensure!(shows(&mut channel, KEY).await, "the session has ended");
            }
            ensure!(shows(&mut channel, reading).await, "the session has ended");
        }
        channel.data(&b"exit\r"[..]).await?;
        while channel.wait().await.is_some() {}
        Ok(connection.disconnect(Disconnect::ByApplication, "", "").await?)
    }

    async fn signed_in(&self) -> anyhow::Result<Handle<Known>> {
        let user = format!("{ENGINEER}+{DEVICE}");
        let pem = tokio::fs::read_to_string(&self.key).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(PrivateKey::from_openssh(&pem)?), None);
        let configuration = Arc::new(client::Config { nodelay: true, ..client::Config::default() });
        let mut connection = client::connect(configuration, self.gateway, Known(self.host_key.clone())).await?;
        let AuthResult::Failure { partial_success: true, .. } = connection.authenticate_publickey(&user, key).await?
        else {
            anyhow::bail!("the key is not enough, and is not taken as the first factor either");
        };
        let mut answer = connection.authenticate_keyboard_interactive_start(&user, None).await?;
        while let KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = answer {
            let answers = prompts.iter().map(|_| self.password.clone()).collect();
            answer = connection.authenticate_keyboard_interactive_respond(answers).await?;
        }
        let signed_in = matches!(answer, KeyboardInteractiveAuthResponse::Success);
        signed_in.then_some(connection).context("the password is not taken")
    }
}

/// Reads what comes for so long. `false`: the channel has ended.
async fn shows(channel: &mut russh::Channel<client::Msg>, so_long: Duration) -> bool {
    let until = sleep(so_long);
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => return true,
            message = channel.wait() => match message {
                None | Some(ChannelMsg::Close | ChannelMsg::Eof) => return false,
                Some(_) => {}
            },
        }
    }
}

/// Knows the gateway by its host key, and takes no other.
struct Known(PublicKey);

impl client::Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(matches!(presented, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()))
    }
}
