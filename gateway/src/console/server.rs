//! The console's listener: the source is checked before a byte is answered, as with SSH; then TLS, then HTTP/1.1 with
//! limits on everything that a browser could drag out.

use super::Console;
use crate::ssh::door::Place;
use crate::ssh::server::watched_by_the_kernel;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sekimori_policy::facts::Source;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEAD: Duration = Duration::from_secs(30);
/// The most bytes of a head.
const HEAD_BYTES: usize = 32 << 10;
/// How long a machine may give no sign until it counts as gone.
const GONE: Duration = Duration::from_secs(60);

/// Where a request comes from, and the place that its connection holds.
#[derive(Clone)]
pub struct Peer {
    /// The source.
    pub source: Source,
    /// Kept once somebody has signed in.
    pub place: Arc<Place>,
}

/// Accepts connections until the gateway stops.
pub async fn serve(console: Arc<Console>, router: Router, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = console.gate.stop_asked() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                tokio::spawn(connection(console.clone(), router.clone(), socket, peer));
            }
            Err(fault) => {
                tracing::error!(%fault, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(console: Arc<Console>, router: Router, socket: TcpStream, peer: SocketAddr) {
    let source = Source::from(peer.ip());
    match console.gate.store.source_is_allowed_by_anybody(source).await {
        Ok(true) => {}
        Ok(false) => return console.door.turn_away(&console.gate, source).await,
        Err(fault) => return tracing::error!(%fault, "a connection was refused: the database does not answer"),
    }
    let Some(place) = console.door.enter(&console.gate.config().ssh, source) else { return };
    let place = Arc::new(place);
    if socket.set_nodelay(true).is_err() || watched_by_the_kernel(&socket, GONE).is_err() {
        return;
    }
    let acceptor = TlsAcceptor::from(console.certificate.configuration());
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await else { return };
    let service = TowerToHyperService::new(router.layer(Extension(Peer { source, place: place.clone() })));
    let mut speaking = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            // A terminal goes on where the page's request was.
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = speaking.as_mut() => ended,
        () = place.lost() => return,
        () = console.gate.stop_asked() => {
            speaking.as_mut().graceful_shutdown();
            match tokio::time::timeout(Duration::from_secs(5), speaking).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a browser's connection ended");
    }
}
