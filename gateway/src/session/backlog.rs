//! Backpressure without freezing: how far a channel's pump lags behind, and who is held back by it.
//!
//! russh grants window when data arrives and waits for a channel's buffer inside the connection's loop, so a pump
//! that stops draining freezes the whole connection, window adjustments included. Hence the pumps here always
//! drain, and what holds the sender back is one of two other things:
//!
//! - towards the device, [`Gated`] stops *reading the socket* of the channel's own upstream connection; what the
//!   person sends still goes out;
//! - towards the person, whose connection carries many channels, the window target shrinks to a trickle
//!   (`ssh::server::Handler::adjust_window`), so that window adjustments of the other direction still get through.

use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream as StdTcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that a pump may hold before its sender is held back.
pub const SOFT_LIMIT: usize = 1 << 20;

/// Bytes that a pump never exceeds: a peer which sends past its window ends its channel.
pub const HARD_LIMIT: usize = 16 << 20;

/// Bytes that all pumps of the process may hold before those which lag behind are ended.
pub const PROCESS_LIMIT: usize = 512 << 20;

/// Bytes that all pumps hold now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What the channels of one connection do to each other.
#[derive(Debug)]
pub struct Congestion {
    channels: AtomicUsize,
    lagging: AtomicUsize,
    stall: Duration,
}

impl Congestion {
    /// None yet. `stall`: how long a channel may stand still at the cost of the others.
    #[must_use]
    pub fn new(stall: Duration) -> Self {
        Self { channels: AtomicUsize::new(0), lagging: AtomicUsize::new(0), stall }
    }

    /// Whether any channel lags behind.
    #[must_use]
    pub fn any(&self) -> bool {
        self.lagging.load(Ordering::Relaxed) > 0
    }
}

/// The bytes that one pump holds.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: AtomicUsize,
    waker: AtomicWaker,
    connection: Option<Arc<Congestion>>,
}

impl Backlog {
    /// A backlog that also counts towards a connection's congestion.
    #[must_use]
    pub fn of_connection(connection: Arc<Congestion>) -> Self {
        connection.channels.fetch_add(1, Ordering::Relaxed);
        Self { bytes: AtomicUsize::new(0), waker: AtomicWaker::new(), connection: Some(connection) }
    }

    /// Takes note of bytes that arrived. `false`: more than flow control allows, of this channel, or of all of them
    /// together while this one lags behind.
    #[must_use]
    pub fn arrived(&self, bytes: usize) -> bool {
        let held_by_all = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if before < SOFT_LIMIT && before + bytes >= SOFT_LIMIT {
            self.congest(true);
        }
        before + bytes <= HARD_LIMIT && (held_by_all <= PROCESS_LIMIT || !self.full())
    }

    /// Takes note of bytes that were passed on.
    pub fn left(&self, bytes: usize) {
        HELD.fetch_sub(bytes, Ordering::Relaxed);
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= SOFT_LIMIT && before - bytes < SOFT_LIMIT {
            self.congest(false);
            self.waker.wake();
        }
    }

    /// Takes note that everything held was thrown away.
    pub fn emptied(&self) {
        self.left(self.bytes.load(Ordering::Acquire));
    }

    /// Resolves when the pump keeps up: for who reads a socket of one sender only, and holds that one back.
    pub async fn keeps_up(&self) {
        poll_fn(|context| {
            if self.full() {
                self.waker.register(context.waker());
                // It may have been emptied meanwhile.
                if self.full() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether this pump, lagging behind, slows other channels of its connection down.
    #[must_use]
    pub fn holds_up_others(&self) -> bool {
        self.full()
            && self.connection.as_ref().is_some_and(|connection| connection.channels.load(Ordering::Relaxed) > 1)
    }

    /// How long it may do that without passing anything on.
    #[must_use]
    pub fn stall(&self) -> Duration {
        self.connection.as_ref().map_or(Duration::MAX, |connection| connection.stall)
    }

    fn congest(&self, begins: bool) {
        if let Some(connection) = &self.connection {
            if begins {
                connection.lagging.fetch_add(1, Ordering::Relaxed);
            } else {
                connection.lagging.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) >= SOFT_LIMIT
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        // A pump that ended with a full backlog must not leave its connection throttled for good.
        self.emptied();
        if let Some(connection) = &self.connection {
            connection.channels.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A socket that is read only while the pump behind it keeps up; writing is never held back.
pub struct Gated {
    socket: TcpStream,
    backlog: Arc<Backlog>,
}

impl Gated {
    /// Wraps the socket. The second value cuts it, at any time and at the latest when it is dropped.
    ///
    /// # Errors
    /// When the socket cannot be duplicated (out of file descriptors).
    pub fn new(socket: TcpStream, backlog: Arc<Backlog>) -> io::Result<(Self, Arc<Cuttable>)> {
        let (socket, cuttable) = Cuttable::new(socket)?;
        Ok((Self { socket, backlog }, cuttable))
    }
}

/// A second handle of a socket, which shuts it down from outside of whatever holds the first.
#[derive(Debug)]
pub struct Cuttable(StdTcpStream);

impl Cuttable {
    /// Splits a handle off.
    ///
    /// # Errors
    /// When the socket cannot be duplicated (out of file descriptors).
    pub fn new(socket: TcpStream) -> io::Result<(TcpStream, Arc<Self>)> {
        let socket = socket.into_std()?;
        let duplicate = socket.try_clone()?;
        Ok((TcpStream::from_std(socket)?, Arc::new(Self(duplicate))))
    }

    /// Cuts, and has what the peer did not read thrown away: without that a peer which has stopped reading would stay
    /// connected until it does. Never at a normal end, where the last bytes still have to arrive.
    ///
    /// # Errors
    /// What the system said; the connection may still stand.
    pub fn abort(&self) -> io::Result<()> {
        rustix::net::sockopt::set_socket_linger(&self.0, Some(Duration::ZERO))?;
        self.cut()
    }

    /// Shuts the socket down in both directions. `Ok` also when it already was.
    ///
    /// # Errors
    /// What the system said; the connection may still stand.
    pub fn cut(&self) -> io::Result<()> {
        match self.0.shutdown(std::net::Shutdown::Both) {
            Err(fault) if fault.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        self.cut().ok();
    }
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.backlog.full() {
            self.backlog.waker.register(cx.waker());
            // The pump may have caught up between the question and the registration.
            if self.backlog.full() {
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_full_backlog_stops_reading_and_not_writing() {
        let (near, mut far) = pair().await;
        let backlog = Arc::new(Backlog::default());
        let (mut gated, _cut) = Gated::new(near, backlog.clone()).unwrap();
        assert!(backlog.arrived(SOFT_LIMIT));
        far.write_all(b"held").await.unwrap();
        gated.write_all(b"goes").await.unwrap();
        let mut went = [0; 4];
        far.read_exact(&mut went).await.unwrap();
        let mut held = [0; 4];
        let read = gated.read_exact(&mut held);
        tokio::pin!(read);
        assert!((&mut read).now_or_never().is_none());
        backlog.left(1);
        read.await.unwrap();
        assert_eq!((&went, &held), (b"goes", b"held"));
    }

    #[test]
    fn congestion_ends_with_the_pump_that_caused_it() {
        let congestion = Arc::new(Congestion::new(Duration::MAX));
        let backlog = Backlog::of_connection(congestion.clone());
        assert!(backlog.arrived(SOFT_LIMIT));
        assert!(congestion.any());
        drop(backlog);
        assert!(!congestion.any());
    }

    #[test]
    fn only_a_full_backlog_beside_other_channels_holds_them_up() {
        let connection = Arc::new(Congestion::new(Duration::MAX));
        let first = Backlog::of_connection(connection.clone());
        assert!(first.arrived(SOFT_LIMIT));
        assert!(!first.holds_up_others());
        let second = Backlog::of_connection(connection.clone());
        assert!(first.holds_up_others() && !second.holds_up_others());
        drop(second);
        assert!(!first.holds_up_others());
    }

    #[tokio::test]
    async fn cutting_ends_a_read_that_waits() {
        let (near, mut far) = pair().await;
        let (mut gated, cuttable) = Gated::new(near, Arc::default()).unwrap();
        cuttable.cut().unwrap();
        assert_eq!(gated.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
