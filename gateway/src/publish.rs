//! The transparency log for whoever wants to read it: its files over HTTPS, at the paths of C2SP tlog-tiles.
//!
//! Nobody is asked who they are, since there is no name in it. A path is read into a [`Resource`] first, and a log has no
//! others: what strangers write never becomes a file's name. All of it runs on one thread of its own, so that whoever
//! floods it takes no time from sessions.

use crate::certificate::{self, Certificate};
use crate::gate::Gate;
use crate::web;
use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, HeaderValue};
use hyper::{Method, Request, StatusCode};
use sekimori_audit::log::{LogError, Reader, Resource};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PLAIN: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// What changes each second is not kept longer than that by a cache.
const A_MOMENT: &str = "public, max-age=1";
/// A year is the longest that a cache is told.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// What is not there yet may come.
const NOT_AT_ALL: &str = "no-store";
/// Files that are read at once.
const READING: usize = 8;

/// Serves the log on this socket until the gateway stops, and keeps the certificate fresh.
///
/// # Errors
/// The system gives no thread.
pub fn serve(gate: Arc<Gate>, certificate: Certificate, listener: TcpListener) -> anyhow::Result<()> {
    let certificate = Arc::new(certificate);
    tokio::spawn(certificate::keep_fresh(gate.clone(), certificate.clone(), "log"));
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READING).build();
    let runtime = runtime.context("cannot serve the log")?;
    let serving = move || {
        let done = runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            let tls = || Some(TlsAcceptor::from(certificate.configuration()));
            let folder = gate.config().log_dir();
            web::serve(listener, tls, move |request| answered(folder.clone(), request), gate.stop_asked()).await;
            std::io::Result::Ok(())
        });
        if let Err(fault) = done {
            tracing::error!(%fault, "the log is not served");
        }
        // A disk that does not answer is not waited for.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("log".into()).spawn(serving).context("cannot serve the log")?;
    Ok(())
}

async fn answered(folder: PathBuf, request: Request<Incoming>) -> web::Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = spoken(StatusCode::METHOD_NOT_ALLOWED, PLAIN, NOT_AT_ALL, "a log is read: GET or HEAD\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    // With its query: a log's addresses have none.
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let Some(resource) = path.strip_prefix('/').and_then(Resource::parse) else {
        return spoken(
            StatusCode::NOT_FOUND,
            PLAIN,
            NOT_AT_ALL,
            "no file of a log has this name: see c2sp.org/tlog-tiles\n",
        );
    };
    let found = tokio::task::spawn_blocking(move || held(&folder, resource)).await;
    match found.map_err(anyhow::Error::from).and_then(|found| Ok(found?)) {
        Ok(Some(bytes)) => {
            let (content_type, kept) = shape(resource);
            spoken(StatusCode::OK, content_type, kept, bytes)
        }
        Ok(None) => spoken(StatusCode::NOT_FOUND, PLAIN, NOT_AT_ALL, "the log has no such file now\n"),
        Err(fault) => {
            tracing::error!(fault = format!("{fault:#}"), "a file of the log could not be handed out");
            spoken(StatusCode::SERVICE_UNAVAILABLE, PLAIN, NOT_AT_ALL, "the log cannot be read now\n")
        }
    }
}

fn held(folder: &Path, resource: Resource) -> Result<Option<Vec<u8>>, LogError> {
    Reader::open(folder)?.resource(resource)
}

fn shape(resource: Resource) -> (&'static str, &'static str) {
    match resource {
        Resource::Checkpoint | Resource::Cosigned => (PLAIN, A_MOMENT),
        Resource::Rotation { .. } => (PLAIN, FOR_EVER),
        Resource::Tile { .. } | Resource::Entries { .. } => (BYTES, FOR_EVER),
    }
}

fn spoken(
    status: StatusCode,
    content_type: &'static str,
    kept: &'static str,
    body: impl Into<bytes::Bytes>,
) -> web::Answer {
    let mut answer = web::answer(status, content_type, body);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    answer
}
