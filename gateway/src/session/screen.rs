//! The person's side of a channel, where they see what comes: what is shown, what is answered, and the gateway's own words.

use bytes::Bytes;
use russh::{ChannelId, ChannelWriteHalf, Sig, server};
use sekimori_audit::recording::Tap;
use std::time::Duration;

/// How long the gateway's own words wait for a person who does not read.
const PATIENCE: Duration = Duration::from_millis(200);

/// `EX_NOPERM` of sysexits.h: scripts can tell a refusal from a failed command.
const NO_PERMISSION: u32 = 77;

/// Where a person sees what comes.
pub struct Screen {
    /// The channel, as russh numbers it.
    id: ChannelId,
    /// The connection, for replies that are no data.
    handle: server::Handle,
    write: ChannelWriteHalf<server::Msg>,
    /// Whether notices may be written between the output (a terminal), or would damage a stream.
    pub terminal: bool,
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

impl Screen {
    /// A channel of SSH.
    #[must_use]
    pub fn of_channel(handle: server::Handle, write: ChannelWriteHalf<server::Msg>, terminal: bool) -> Self {
        Self { id: write.id(), handle, write, terminal }
    }

    /// Shows data, once there is room for it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn data(&self, data: Bytes) -> Result<(), Gone> {
        Ok(self.write.data_bytes(data).await?)
    }

    /// The same for extended data (RFC 4254 section 5.2).
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn extended(&self, kind: u32, data: Bytes) -> Result<(), Gone> {
        Ok(self.write.extended_data_bytes(kind, data).await?)
    }

    /// The request that waits is granted, or not.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn answer(&self, granted: bool) -> Result<(), Gone> {
        if granted {
            self.handle.channel_success(self.id).await?;
        } else {
            self.handle.channel_failure(self.id).await?;
        }
        Ok(())
    }

    /// How the command ended.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn exit_status(&self, status: u32) -> Result<(), Gone> {
        Ok(self.write.exit_status(status).await?)
    }

    /// The signal that ended the command.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn exit_signal(&self, name: Sig, core_dumped: bool, words: String, tag: String) -> Result<(), Gone> {
        Ok(self.handle.exit_signal_request(self.id, name, core_dumped, words, tag).await?)
    }

    /// Whether the client may do flow control by itself (RFC 4254 section 6.8).
    pub async fn xon_xoff(&self, client_can_do: bool) {
        self.handle.xon_xoff_request(self.id, client_can_do).await.ok();
    }

    /// Nothing more is shown.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn eof(&self) -> Result<(), Gone> {
        Ok(self.write.eof().await?)
    }

    /// The end of the channel.
    pub async fn close(&self) {
        self.write.close().await.ok();
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
