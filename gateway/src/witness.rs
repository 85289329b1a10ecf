//! `sekimori witness`: a second machine that remembers how far logs were, and puts its name under what continues them.
//!
//! C2SP tlog-witness: `POST /add-checkpoint`, `cosignature/v1`. It keeps one small file for each log, the last checkpoint
//! that it cosigned, which is an anchor for `verify`. What to answer is decided in `sekimori_audit::log::witness`; here
//! are the network, the clock and the disk.

mod state;

use crate::carried;
use crate::cli::error::CliError;
use crate::sandbox::{self, reach::Reach};
use crate::web;
use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use sekimori_audit::log::note::LONGEST;
use sekimori_certs::tls;
use state::State;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A request carries a checkpoint and a proof.
const LONGEST_REQUEST: usize = 2 * LONGEST;
/// What a request of a closed network is called in the folder that is carried, and its answer.
const REQUEST: &str = "request";
const ANSWER: &str = "answer";

/// What a witness is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the witness's key and of what it cosigned last
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// A log's file of verifier keys, as its gateway hands it over; may be repeated. Read again for each request
    #[arg(long, value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// The witness's name, when its key is made at the first start
    #[arg(long, value_name = "NAME", default_value = "sekimori-witness")]
    name: String,
    /// The address to listen on
    #[arg(long, value_name = "ADDR:PORT", required_unless_present = "carry")]
    listen: Option<SocketAddr>,
    /// The certificate (PEM) for HTTPS; without one it is HTTP, which serves as well: all that is said is signed
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Answer the requests that `sekimori log carry` left in this folder, and end
    #[arg(long, value_name = "DIR", conflicts_with = "listen")]
    carry: Option<PathBuf>,
}

impl Args {
    /// What the process may reach from then on.
    ///
    /// # Errors
    /// When the folder of the state cannot be made.
    pub fn reach(&self) -> Result<Reach, String> {
        let files = self.keys.iter().chain(&self.tls_certificate).chain(&self.tls_key);
        Reach::of_witness(&self.state, self.carry.as_deref(), files, self.listen.map(|address| address.port()))
    }
}

/// Answers until SIGTERM or Ctrl-C, or what lies in a folder.
///
/// # Errors
/// What stood in the way.
pub async fn run(args: Args, held: sandbox::Held) -> Result<(), CliError> {
    let state = Arc::new(State::open(&args.state, args.keys.clone(), &args.name)?);
    crate::cli::print_text(&format!("witness key: {}\n", state.verifier()))?;
    match (&args.carry, args.listen) {
        (Some(folder), _) => Ok(answer_carried(&state, folder)?),
        (None, Some(address)) => {
            tracing::info!("the kernel holds this witness to its own files: {held}");
            Ok(listen(&args, state, address).await?)
        }
        (None, None) => Err(CliError::Usage("give --listen or --carry".into())),
    }
}

async fn listen(args: &Args, state: Arc<State>, address: SocketAddr) -> anyhow::Result<()> {
    let tls = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsAcceptor::from(tls::given(certificate, key)?)),
        _ => None,
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}: is another program there?"))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let address = listener.local_addr()?;
    tracing::info!(%address, tls = tls.is_some(), "listening for logs");
    let stop = CancellationToken::new();
    let handle = move |request| answered(state.clone(), request);
    let serving = tokio::spawn(web::serve(listener, move || tls.clone(), handle, stop.clone().cancelled_owned()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    serving.await?;
    Ok(())
}

async fn answered(state: Arc<State>, request: Request<Incoming>) -> web::Answer {
    let plain = "text/plain; charset=utf-8";
    if request.uri().path() != "/add-checkpoint" {
        return web::answer(StatusCode::NOT_FOUND, plain, "a witness answers POST /add-checkpoint\n");
    }
    if request.method() != Method::POST {
        return web::answer(StatusCode::METHOD_NOT_ALLOWED, plain, "POST it\n");
    }
    let body = match web::body(request.into_body(), LONGEST_REQUEST).await {
        Ok(body) => body,
        Err(fault) => return web::answer(StatusCode::BAD_REQUEST, plain, format!("{fault}\n")),
    };
    let judged = tokio::task::spawn_blocking(move || state.judge(&body)).await;
    match judged.map_err(anyhow::Error::from).and_then(|judged| judged) {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            web::answer(status, answer.content_type, answer.body)
        }
        Err(fault) => {
            // Nothing is cosigned that is not on the disk.
            tracing::error!(fault = format!("{fault:#}"), "a request could not be answered");
            web::answer(StatusCode::INTERNAL_SERVER_ERROR, plain, "the witness cannot keep its state\n")
        }
    }
}

/// Answers what lies in a folder: beside each `….request` its `….answer`, status first.
fn answer_carried(state: &State, folder: &Path) -> anyhow::Result<()> {
    let mut answered = 0;
    let files = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for path in files.flatten().map(|file| file.path()) {
        if path.extension().is_none_or(|extension| extension != REQUEST) {
            continue;
        }
        let Some(text) = carried::read(&path, LONGEST_REQUEST)? else { continue };
        let answer = state.judge(text.as_bytes())?;
        carried::put(&path.with_extension(ANSWER), &format!("{}\n{}", answer.status, answer.body))?;
        crate::cli::print_text(&format!("{}: {}\n", path.display(), answer.status))?;
        answered += 1;
    }
    anyhow::ensure!(answered > 0, "{} holds no request: `sekimori log carry` leaves one there", folder.display());
    Ok(())
}
