//! The person's half of a channel: where they see what comes, and what they send. It is a channel of SSH, or a terminal in
//! a browser, which knows data and sizes only.

use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, server};
use sekimori_audit::recording::Tap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the gateway's own words wait for a person who does not read.
const PATIENCE: Duration = Duration::from_millis(200);

/// `EX_NOPERM` of sysexits.h: scripts can tell a refusal from a failed command.
const NO_PERMISSION: u32 = 77;

/// Pieces that wait for a browser, each as large as a packet of the device's at most.
const PIECES: usize = 16;

/// Where a person sees what comes.
pub struct Screen {
    front: Front,
    /// Whether notices may be written between the output (a terminal), or would damage a stream.
    pub terminal: bool,
}

enum Front {
    Channel { id: ChannelId, handle: server::Handle, write: ChannelWriteHalf<server::Msg> },
    Browser(mpsc::Sender<Bytes>),
}

/// Nobody is there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl From<russh::Error> for Gone {
    fn from(_: russh::Error) -> Self {
        Self
    }
}

impl From<()> for Gone {
    fn from((): ()) -> Self {
        Self
    }
}

/// What a person's side sends, or a device's.
pub enum Sent {
    /// A channel of SSH.
    Channel(ChannelReadHalf),
    /// A browser.
    Browser(mpsc::Receiver<ChannelMsg>),
}

impl Sent {
    /// The next message; `None`: there are no more.
    pub async fn wait(&mut self) -> Option<ChannelMsg> {
        match self {
            Self::Channel(read) => read.wait().await,
            Self::Browser(read) => read.recv().await,
        }
    }
}

impl Screen {
    /// A channel of SSH.
    #[must_use]
    pub fn of_channel(handle: server::Handle, write: ChannelWriteHalf<server::Msg>, terminal: bool) -> Self {
        Self { front: Front::Channel { id: write.id(), handle, write }, terminal }
    }

    /// A terminal in a browser, and what comes out for it: the device waits when nobody takes it.
    #[must_use]
    pub fn in_a_browser() -> (Self, mpsc::Receiver<Bytes>) {
        let (browser, shown) = mpsc::channel(PIECES);
        (Self { front: Front::Browser(browser), terminal: true }, shown)
    }

    /// Shows data, once there is room for it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn data(&self, data: Bytes) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { write, .. } => Ok(write.data_bytes(data).await?),
            Front::Browser(browser) => browser.send(data).await.map_err(|_| Gone),
        }
    }

    /// The same for extended data (RFC 4254 section 5.2); a browser's terminal has one stream.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn extended(&self, kind: u32, data: Bytes) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { write, .. } => Ok(write.extended_data_bytes(kind, data).await?),
            Front::Browser(_) => self.data(data).await,
        }
    }

    /// The request that waits is granted, or not. A browser asked for nothing else, and learns it by what it shows.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn answer(&self, granted: bool) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { id, handle, .. } if granted => Ok(handle.channel_success(*id).await?),
            Front::Channel { id, handle, .. } => Ok(handle.channel_failure(*id).await?),
            Front::Browser(_) => Ok(()),
        }
    }

    /// How the command ended.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn exit_status(&self, status: u32) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { write, .. } => Ok(write.exit_status(status).await?),
            Front::Browser(_) => Ok(()),
        }
    }

    /// The signal that ended the command.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn exit_signal(&self, name: Sig, core_dumped: bool, words: String, tag: String) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { id, handle, .. } => {
                Ok(handle.exit_signal_request(*id, name, core_dumped, words, tag).await?)
            }
            Front::Browser(_) => Ok(()),
        }
    }

    /// Whether the client may do flow control by itself (RFC 4254 section 6.8).
    pub async fn xon_xoff(&self, client_can_do: bool) {
        if let Front::Channel { id, handle, .. } = &self.front {
            handle.xon_xoff_request(*id, client_can_do).await.ok();
        }
    }

    /// Nothing more is shown.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn eof(&self) -> Result<(), Gone> {
        match &self.front {
            Front::Channel { write, .. } => Ok(write.eof().await?),
            Front::Browser(_) => Ok(()),
        }
    }

    /// The end of the channel; a browser's is when this is dropped.
    pub async fn close(&self) {
        if let Front::Channel { write, .. } = &self.front {
            write.close().await.ok();
        }
    }

    /// Shows lines of the gateway's own, which are on record as such, and gives up when the person does not read: on a
    /// terminal as output, beside a stream on standard error.
    pub async fn tell(&self, tap: &Tap, text: &str) {
        let shown = Bytes::from(format!("\r\n{text}\r\n"));
        let told = async {
            // The reason why recording failed is told although it cannot be recorded.
            tap.notice(&String::from_utf8_lossy(&shown)).await.ok();
            if self.terminal { self.data(shown.clone()).await } else { self.extended(1, shown.clone()).await }
        };
        tokio::time::timeout(PATIENCE, told).await.ok();
    }

    /// Answers the request that waits with words of the gateway's own, an exit status and the end of the channel.
    pub async fn refuse(&self, text: &str) {
        let told = async {
            self.answer(true).await.ok();
            self.extended(1, Bytes::from(text.to_owned())).await.ok();
            self.finish(Some(NO_PERMISSION)).await;
        };
        tokio::time::timeout(PATIENCE, told).await.ok();
    }

    /// The end of the channel, with an exit status where the gateway itself has one to give.
    pub async fn finish(&self, status: Option<u32>) {
        if let Some(status) = status {
            self.exit_status(status).await.ok();
        }
        self.eof().await.ok();
        self.close().await;
    }
}
