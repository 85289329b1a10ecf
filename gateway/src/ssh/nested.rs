//! A channel of one SSH connection as the stream that another SSH runs on (ProxyJump).
//!
//! The channel is always drained, as every channel is (see [`crate::session::backlog`]): otherwise an inner SSH that
//! waits for window to write would stop the outer connection, and with it the window that it waits for.

use crate::session::backlog::Backlog;
use bytes::Bytes;
use futures_util::FutureExt;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The stream. Ends, and fails to write, as soon as its token is cancelled.
pub struct Nested {
    // Bounded by the backlog, in bytes.
    arrived: UnboundedReceiver<Bytes>,
    current: Bytes,
    backlog: Arc<Backlog>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    // One each, since reading and writing may wait at the same time.
    cut_for_reader: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_for_writer: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What fills the stream.
pub struct Feed {
    arrived: UnboundedSender<Bytes>,
    backlog: Arc<Backlog>,
    cut: CancellationToken,
}

impl Nested {
    /// A stream that writes to the channel; [`Feed::drain`] has to run beside it.
    pub fn new(write: &ChannelWriteHalf<Msg>, backlog: Backlog, cut: &CancellationToken) -> (Self, Feed) {
        let (sender, arrived) = unbounded_channel();
        let backlog = Arc::new(backlog);
        let stream = Self {
            arrived,
            current: Bytes::new(),
            backlog: backlog.clone(),
            writer: Box::pin(write.make_writer()),
            cut_for_reader: Box::pin(cut.clone().cancelled_owned()),
            cut_for_writer: Box::pin(cut.clone().cancelled_owned()),
        };
        (stream, Feed { arrived: sender, backlog, cut: cut.clone() })
    }
}

impl Feed {
    /// Drains the channel until its end, or until nobody reads the stream any more.
    pub async fn drain(self, mut read: ChannelReadHalf) {
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if !self.backlog.arrived(data.len()) {
                        // More than flow control allows.
                        return self.cut.cancel();
                    }
                    if self.arrived.send(data).is_err() {
                        return;
                    }
                }
                ChannelMsg::Eof | ChannelMsg::Close => return,
                _ => {}
            }
        }
    }
}

impl AsyncRead for Nested {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut_for_reader.poll_unpin(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.current.is_empty() {
            match ready!(self.arrived.poll_recv(cx)) {
                Some(data) => self.current = data,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.current.len().min(buf.remaining());
        buf.put_slice(&self.current.split_to(taken));
        self.backlog.left(taken);
        Poll::Ready(Ok(()))
    }
}

impl Nested {
    fn cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut_for_writer.poll_unpin(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::BrokenPipe.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncWrite for Nested {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.cut(cx)?;
        self.writer.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut(cx)?;
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut(cx)?;
        self.writer.as_mut().poll_shutdown(cx)
    }
}
