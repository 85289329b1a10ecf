//! Handing a mail to the hospital's mail server, with lettre. Every exchange has an end, every answer a limit; without the
//! protection that is configured nothing is said, no password either.

use super::letter::Letter;
use super::words::shown;
use crate::config::{self, Tls};
use crate::web;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use sekimori_certs::read_private;
use sekimori_policy::mail::MailAddress;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// How long the whole exchange may take, however slowly the server speaks.
pub const EXCHANGE: Duration = Duration::from_secs(40);
/// How long its goodbye is waited for.
const GOODBYE: Duration = Duration::from_secs(2);
/// The most bytes that a server says in one exchange.
const SAID: u64 = 256 << 10;
/// The most characters of what it says that are kept.
const KEPT: usize = 200;

/// Why a mail did not go.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server is away, or not to be believed, or does not let the gateway in: no other mail would go either.
    #[error("{0}")]
    Server(String),
    /// The server does not take this one now.
    #[error("{0}")]
    Later(String),
    /// The server does not take this one, now or ever.
    #[error("{said}")]
    Refused {
        /// What it said.
        said: String,
        /// Its code.
        code: Option<u16>,
    },
}

/// Sends a mail; returns what the server answered.
///
/// # Errors
/// [`Fault`].
pub async fn send(mail: &config::Mail, letter: &Letter) -> Result<String, Fault> {
    let (envelope, message) = written(mail, letter).map_err(|said| Fault::Refused { said, code: None })?;
    let exchange = async {
        let mut connection = connected(mail).await?;
        let answer = connection.send(&envelope, &message).await.map_err(|fault| of_mail(&fault))?;
        Ok((connection, answer))
    };
    let (connection, answer) = within(mail, exchange).await?;
    leave(connection).await;
    let lines: Vec<&str> = answer.message().collect();
    Ok(shown(&format!("{} {}", answer.code(), lines.join(" ")), KEPT))
}

/// Greets the server, signs in and leaves: for the doctor.
///
/// # Errors
/// [`Fault::Server`].
pub async fn greet(mail: &config::Mail) -> Result<(), Fault> {
    leave(within(mail, connected(mail)).await?).await;
    Ok(())
}

/// Says goodbye. Whatever comes of that changes nothing: a mail that the server took is not sent again for it.
async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
}

async fn within<T>(mail: &config::Mail, exchange: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let server = mail.server.as_deref().unwrap_or_default();
    let slow = |_| Fault::Server(format!("{server} does not get through an exchange within {} s", EXCHANGE.as_secs()));
    tokio::time::timeout(EXCHANGE, exchange).await.unwrap_or_else(|late| Err(slow(late)))
}

/// A connection that is protected as configured, and signed in.
async fn connected(mail: &config::Mail) -> Result<AsyncSmtpConnection, Fault> {
    let ours = |fault: &dyn std::fmt::Display| Fault::Server(format!("{fault}"));
    let (host, port) = mail.host_and_port().ok_or_else(|| ours(&"mail.server is not configured"))?;
    // Read each time, so that a new password or authority counts at once.
    let password = mail.password_file.as_deref().map(read_private).transpose();
    let password = password.map_err(|fault| ours(&format!("mail.password_file: {fault}")))?;
    let dialled = TcpStream::connect((host, port)).await;
    let socket = dialled.map_err(|fault| ours(&format!("cannot connect to {host} port {port}: {fault}")))?;
    let peer = socket.peer_addr().map_err(|fault| ours(&fault))?;
    let name = ClientId::Domain(mail.from.as_ref().map_or("localhost", MailAddress::domain).to_owned());
    let greeted = match mail.tls {
        Tls::None | Tls::Starttls => AsyncSmtpConnection::connect_with_transport(bounded(socket, peer), &name).await,
        Tls::Implicit => {
            let connector = web::connector(mail.authorities()).map_err(|fault| ours(&format!("mail.ca: {fault:#}")))?;
            let named =
                ServerName::try_from(host.to_owned()).map_err(|fault| ours(&format!("mail.server: {fault}")))?;
            let secured = connector.connect(named, socket).await;
            let secured = secured.map_err(|fault| ours(&format!("{host} is not to be believed: {fault}")))?;
            AsyncSmtpConnection::connect_with_transport(bounded(secured, peer), &name).await
        }
    };
    let mut connection = greeted.map_err(|fault| of_server("it does not greet as a mail server does", &fault))?;
    if mail.tls == Tls::Starttls {
        let begun = connection.starttls(protection(mail, host)?, &name).await;
        begun.map_err(|fault| of_server("STARTTLS fails, and nothing was sent", &fault))?;
    }
    if let (Some(user), Some(password)) = (&mail.user, password) {
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        let credentials = Credentials::new(user.clone(), password);
        let known = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        known.map_err(|fault| of_server("it does not take mail.user with that password", &fault))?;
    }
    Ok(connection)
}

/// What STARTTLS begins: TLS against the configured authorities alone.
fn protection(mail: &config::Mail, host: &str) -> Result<TlsParameters, Fault> {
    let path = mail.authorities();
    let unusable = |fault: String| Fault::Server(format!("mail.ca {}: {fault}", path.display()));
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let authorities = read.map_err(|fault| unusable(fault.to_string()))?;
    if authorities.is_empty() {
        return Err(unusable("it holds no certificate".into()));
    }
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for authority in authorities {
        let authority = Certificate::from_der(authority.to_vec()).map_err(|fault| unusable(fault.to_string()))?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(|fault| unusable(fault.to_string()))
}

/// The mail as it travels: plain text, from and to one address each.
fn written(mail: &config::Mail, letter: &Letter) -> Result<(Envelope, Zeroizing<Vec<u8>>), String> {
    let from = mail.from.as_ref().ok_or("mail.from is not configured")?;
    let address = |address: &MailAddress| address.as_str().parse::<Address>().map_err(|fault| fault.to_string());
    let (sender, receiver) = (address(from)?, address(&letter.to)?);
    let message = Message::builder()
        .from(Mailbox::new(Some("Sekimori".into()), sender.clone()))
        .to(Mailbox::new(None, receiver.clone()))
        // The same at each try: who gets it twice sees it once.
        .message_id(Some(format!("<{}@{}>", letter.id, from.domain())))
        .date(letter.made.into())
        .header(Automatic)
        .subject(letter.subject.clone())
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        .body(letter.body.to_string())
        .map_err(|fault| fault.to_string())?;
    let envelope = Envelope::new(Some(sender), vec![receiver]).map_err(|fault| fault.to_string())?;
    Ok((envelope, Zeroizing::new(message.formatted())))
}

/// `Auto-Submitted` (RFC 3834): no machine answers it, and no absence note comes back.
#[derive(Clone)]
struct Automatic;

impl Header for Automatic {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

type SmtpError = lettre::transport::smtp::Error;

/// What was said, by the server or below it.
fn said(fault: &SmtpError) -> String {
    let mut text = fault.to_string();
    let mut below = fault.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        below = cause.source();
    }
    shown(&text, KEPT)
}

fn of_server(what: &str, fault: &SmtpError) -> Fault {
    Fault::Server(format!("{what}: {}", said(fault)))
}

/// Whose fault it is when the server does not take a mail.
fn of_mail(fault: &SmtpError) -> Fault {
    let (said, code) = (said(fault), fault.status().map(u16::from));
    match code {
        // It goes away, or wants a sign-in: that is not about this mail.
        Some(421 | 530 | 534 | 535 | 538) => Fault::Server(said),
        Some(500..) => Fault::Refused { said, code },
        Some(_) => Fault::Later(said),
        None => Fault::Server(said),
    }
}

/// A server's bytes, up to [`SAID`] of them.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    peer: SocketAddr,
    left: u64,
}

fn bounded<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static>(
    stream: S,
    peer: SocketAddr,
) -> Box<dyn AsyncTokioStream> {
    Box::new(Bounded { stream, peer, left: SAID })
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server talks without end")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let new = buffer.filled().len().saturating_sub(before) as u64;
        self.left = self.left.saturating_sub(new);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
