//! A little HTTP/1.1, both sides, over TLS where there is a certificate: what the witness and the log speak with other
//! machines. Every wait has an end, every body a limit.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connections at once; who comes later waits to be accepted.
const CONNECTIONS: usize = 256;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// The most bytes of a head.
const HEAD_BYTES: usize = 16 << 10;
/// How long a connection may last, however slowly somebody reads or writes.
const CONNECTION: Duration = Duration::from_secs(60);
/// How long a question may take from the dialling to the end of the answer.
const QUESTION: Duration = Duration::from_secs(20);
/// The most bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// A text as a part of an address, all but the unreserved characters as `%XX` (RFC 3986, section 2.3); slashes of a path
/// stay. So names stand in headers as well (RFC 8187).
#[must_use]
pub fn encoded(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if is_path => encoded.push('/'),
            _ => {
                // A String takes everything.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// An answer whose body is in memory.
pub type Answer = Response<Full<Bytes>>;

/// An answer.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// It is longer, or breaks off.
pub async fn body(incoming: Incoming, limit: usize) -> anyhow::Result<Bytes> {
    match Limited::new(incoming, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(fault) => bail!("the body is longer than {limit} bytes, or breaks off: {fault}"),
    }
}

/// Answers requests until `stop`. `tls` is asked for each connection: certificates are renewed.
pub async fn serve<T, H, F>(listener: TcpListener, tls: T, handle: H, stop: impl Future<Output = ()>)
where
    T: Fn() -> Option<TlsAcceptor>,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.as_mut() => return,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (tls, handle) = (tls(), handle.clone());
        tokio::spawn(async move {
            let _place = place;
            let served = async move {
                socket.set_nodelay(true).ok();
                match tls {
                    None => connection(socket, handle).await,
                    Some(tls) => {
                        // Who does not finish the handshake is gone without a word.
                        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await {
                            connection(stream, handle).await;
                        }
                    }
                }
            };
            // Whoever is slower comes again.
            let _ = tokio::time::timeout(CONNECTION, served).await;
        });
    }
}

async fn connection<H, F>(stream: impl AsyncRead + AsyncWrite + Unpin + Send, handle: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(move |request| {
        let answering = handle(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let speaking = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(fault) = speaking.await {
        tracing::debug!(%fault, "a connection ended");
    }
}

/// TLS towards a machine whose certificate chains to one of the authorities of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn connector(authority: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(authority).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for certificate in read.with_context(|| format!("cannot read the authority {}", authority.display()))? {
        roots.add(certificate)?;
    }
    anyhow::ensure!(!roots.is_empty(), "{} holds no certificate", authority.display());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Posts a text, and returns status and body of the answer. `authority` is the PEM file that an `https` address's
/// certificate must chain to.
///
/// # Errors
/// The address is none, nobody answers in time, or the certificate is not to be believed.
pub async fn post(address: &str, authority: Option<&Path>, text: String) -> anyhow::Result<(u16, Bytes)> {
    let asked = tokio::time::timeout(QUESTION, posted(address, authority, text)).await;
    asked.with_context(|| format!("{address} does not answer within {} s", QUESTION.as_secs()))?
}

/// Bytes to and from another machine, in clear or by TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the machine of an address. `authority` is the PEM file that an `https` address's certificate must chain to.
///
/// # Errors
/// The address is none, nobody is there, or the certificate is not to be believed.
pub async fn dial(uri: &Uri, authority: Option<&Path>) -> anyhow::Result<Box<dyn Stream>> {
    let host = uri.host().with_context(|| format!("{uri} names no host"))?.trim_matches(['[', ']']).to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let dialled = TcpStream::connect((host.as_str(), port)).await;
    let socket = dialled.with_context(|| format!("cannot connect to {host} port {port}"))?;
    if !secure {
        return Ok(Box::new(socket));
    }
    let authority = authority.with_context(|| format!("{uri} needs `ca`: the authority behind its certificate"))?;
    let name = ServerName::try_from(host).context("its name is none that a certificate could bear")?;
    let stream = connector(authority)?.connect(name, socket).await.context("its certificate is not to be believed")?;
    Ok(Box::new(stream))
}

async fn posted(address: &str, authority: Option<&Path>, text: String) -> anyhow::Result<(u16, Bytes)> {
    let uri: Uri = address.parse().with_context(|| format!("{address} is no address"))?;
    exchange(dial(&uri, authority).await?, &uri, text).await
}

async fn exchange(stream: impl Stream + 'static, uri: &Uri, text: String) -> anyhow::Result<(u16, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let speaking = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Full::new(Bytes::from(text)))?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, body(answer.into_body(), ANSWER_BYTES).await?))
    };
    let answered = answered.await;
    speaking.abort();
    answered
}
