//! A client of S3-compatible stores: signed requests over one connection at a time, tried again where the network or the
//! store failed. What an answer means is [`super::bucket`]'s affair. Every wait has an end, every answer a limit.

mod sign;
pub mod xml;

use crate::config;
use crate::web;
use anyhow::Context as _;
use bytes::Bytes;
use chrono::Utc;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use sekimori_audit::log::sha256;
use sekimori_certs::read_private;
use serde::Deserialize;
use sign::{KeyPair, Signable};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How often a request is made before its failure counts.
const ATTEMPTS: u32 = 4;
/// How long it may take to connect.
const DIAL: Duration = Duration::from_secs(20);
/// How long one may take until its answer begins.
const ANSWER: Duration = Duration::from_secs(300);
/// How long an answer may stand still.
const STALL: Duration = Duration::from_secs(60);
/// How many bytes a second are the least that an answer brings, beyond what its beginning may take.
const SLOWEST: u64 = 16 << 10;
/// The most bytes of an answer that is kept in memory: a page of a list has a thousand names.
const ANSWER_BYTES: usize = 8 << 20;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There was no answer.
    #[error("{0:#}")]
    Unanswered(anyhow::Error),
    /// The store refused.
    #[error("the store said {status}{}{}", [code, message].map(|word| format!(" {word}")).concat().trim_end(), remedy(code))]
    Refused {
        /// The status of its answer.
        status: u16,
        /// Its code for the reason.
        code: String,
        /// Its words for it.
        message: String,
    },
}

impl Fault {
    /// Whether the store says that there is no such thing.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code, .. } if code != "NoSuchBucket")
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => ": see the file that backup.credentials names",
        "RequestTimeTooSkewed" => ": set this machine's clock",
        "AccessDenied" => ": these keys may not do that there",
        "NoSuchBucket" => ": make the bucket first",
        _ => "",
    }
}

/// What the file of credentials holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key: String,
    secret_key: String,
}

/// A request.
pub struct Question<'a> {
    /// What is asked.
    pub method: Method,
    /// The path below the address, encoded.
    pub path: &'a str,
    /// The parts of the query.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers beyond those of the signature, by their names in small letters.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

/// The client.
pub struct Client {
    address: Uri,
    region: String,
    ca: Option<PathBuf>,
    keys: KeyPair,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client of the store that is configured; nobody is asked yet.
    ///
    /// # Errors
    /// What is missing in the configuration, or why its credentials cannot be used.
    pub fn new(store: &config::Backup) -> Result<Self, String> {
        let missing = |key: &str| format!("backup.{key} is not configured (for a restore: nor in the file of --store)");
        let endpoint = store.endpoint.as_deref().ok_or_else(|| missing("endpoint"))?;
        let address = endpoint.parse().map_err(|fault| format!("backup.endpoint {endpoint} is no address: {fault}"))?;
        let path = store.credentials.as_deref().ok_or_else(|| missing("credentials"))?;
        let text = read_private(path).map_err(|fault| fault.to_string())?;
        // What the parser says would show the line at fault, and a secret stands there.
        let read: Credentials = toml::from_str(&text).map_err(|_| {
            format!("{} is not usable: it holds the lines access_key = \"…\" and secret_key = \"…\"", path.display())
        })?;
        let keys = KeyPair { access_key: read.access_key, secret_key: Zeroizing::new(read.secret_key) };
        let region = store.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        Ok(Self { address, region, ca: store.ca.clone(), keys, connection: Mutex::new(None) })
    }

    /// Asks, and reads the answer's head. The same may be asked twice: at worst there is a version too many, which the next
    /// backup removes, or the second finds done what the first was not told of, which the next backup sees.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn ask(&self, question: &Question<'_>) -> Result<Response<Incoming>, Fault> {
        let mut attempt = 1;
        loop {
            let fault = match self.attempt(question).await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => refusal(answer).await,
                Err(fault) => Fault::Unanswered(fault),
            };
            let passes = match &fault {
                Fault::Unanswered(_) => true,
                Fault::Refused { status, .. } => *status >= 500 || *status == StatusCode::TOO_MANY_REQUESTS.as_u16(),
            };
            if !passes || attempt == ATTEMPTS {
                return Err(fault);
            }
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            attempt += 1;
        }
    }

    /// Asks, and reads the whole answer as text.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn text(&self, question: &Question<'_>) -> Result<(HeaderMap, String), Fault> {
        let (head, body) = self.ask(question).await?.into_parts();
        let text = async {
            let bytes =
                timeout(ANSWER, web::body(body, ANSWER_BYTES)).await.context("the store's answer stands still")??;
            Ok(String::from_utf8(bytes.to_vec())?)
        };
        let text = text.await.map_err(Fault::Unanswered)?;
        // An answer that took its time may have begun as if all were well.
        match xml::text(&text, "Code").filter(|_| xml::elements(&text, "Error").len() == 1) {
            Some(code) => {
                Err(Fault::Refused { status: 200, code, message: xml::text(&text, "Message").unwrap_or_default() })
            }
            None => Ok((head.headers, text)),
        }
    }

    async fn attempt(&self, question: &Question<'_>) -> anyhow::Result<Response<Incoming>> {
        let request = self.request(question)?;
        let mut connection = self.connection.lock().await;
        let asked = async {
            let mut kept = connection.take();
            let ready = match &mut kept {
                Some(sender) => sender.ready().await.is_ok(),
                None => false,
            };
            let mut sender = match kept.filter(|_| ready) {
                Some(sender) => sender,
                None => {
                    let stream = timeout(DIAL, web::dial(&self.address, self.ca.as_deref()))
                        .await
                        .context("nobody answers there")??;
                    let (sender, speaking) = handshake(TokioIo::new(stream)).await?;
                    tokio::spawn(speaking);
                    sender
                }
            };
            let answer = sender.send_request(request).await?;
            *connection = Some(sender);
            Ok(answer)
        };
        let within = timeout(ANSWER, asked).await;
        within.with_context(|| format!("{} does not answer within {} s", self.address, ANSWER.as_secs()))?
    }

    fn request(&self, question: &Question<'_>) -> anyhow::Result<Request<Full<Bytes>>> {
        let (at, body) = (Utc::now(), sha256(&question.body).hex());
        let host = self.address.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let given = question.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut headers: BTreeMap<String, String> = given.collect();
        headers.insert("host".to_owned(), host.to_owned());
        headers.insert("x-amz-date".to_owned(), sign::timestamp(at));
        headers.insert("x-amz-content-sha256".to_owned(), body.clone());
        let (method, path, query) = (question.method.as_str(), question.path, question.query);
        let signed =
            Signable { method, path, query, headers: &headers, body: &body }.signed(&self.keys, &self.region, at);
        let address = match sign::query(query) {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let mut request = Request::builder().method(question.method.clone()).uri(address);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Ok(request.header("authorization", signed).body(Full::new(question.body.clone()))?)
    }
}

/// Writes what an answer brings, of which there may be at most `most` bytes: what is beyond is left.
///
/// # Errors
/// It breaks off, comes too slowly, or cannot be written.
pub async fn poured(mut answer: Incoming, most: u64, out: &mut dyn Write) -> io::Result<()> {
    let (mut left, begin) = (most, Instant::now());
    while left > 0 {
        let patience = ANSWER + Duration::from_secs((most - left) / SLOWEST);
        let frame = timeout(STALL.min(patience.saturating_sub(begin.elapsed())), answer.frame()).await;
        let Some(frame) = frame.map_err(|_| io::Error::other("the store's answer stands still"))? else { break };
        let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() else { continue };
        let bytes = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(&bytes);
        out.write_all(bytes)?;
        left -= bytes.len() as u64;
    }
    Ok(())
}

async fn refusal(answer: Response<Incoming>) -> Fault {
    let status = answer.status().as_u16();
    let body = timeout(STALL, web::body(answer.into_body(), ANSWER_BYTES)).await;
    let text =
        body.ok().and_then(Result::ok).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let of =
        |name: &str| xml::text(&text, name).unwrap_or_default().chars().filter(|c| !c.is_control()).take(300).collect();
    Fault::Refused { status, code: of("Code"), message: of("Message") }
}
