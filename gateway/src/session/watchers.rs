//! Lets those who watch a live session read along: its journal is encrypted, and the key is in this process only.
//!
//! `watch.sock` in the data directory is for the gateway's own user and root, who could read this process' memory anyway.
//! Who connects says which session, in its usual form and a line end; the answer is the recording's key, 32 bytes, or
//! nothing if the session is not live here. That somebody watches is an event, which the command writes before it asks.

use crate::config::Config;
use crate::gate::Gate;
use anyhow::Context;
use sekimori_audit::recording::SessionKey;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

/// How long one who asks may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The bytes of a session's name and the line end.
const QUESTION: u64 = 37;

/// Listens for those who watch.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(config: &Config) -> anyhow::Result<UnixListener> {
    let path = config.watch_socket();
    // What another process left: only one serves a data directory at a time.
    match std::fs::remove_file(&path) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => Err(fault),
        _ => UnixListener::bind(&path),
    }
    .with_context(|| format!("cannot listen on {}: choose a data_dir with a shorter path", path.display()))
}

/// Answers them, one after the other, until the gateway is gone.
pub async fn hand_out(gate: Arc<Gate>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(fault) = tokio::time::timeout(PATIENCE, answer(&gate, stream)).await {
                    tracing::debug!(%fault, "one who wanted to watch said nothing");
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, "nobody can begin to watch for a moment");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn answer(gate: &Gate, mut stream: UnixStream) {
    let own = rustix::process::geteuid().as_raw();
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
        return;
    }
    let mut line = String::new();
    let (read, mut write) = stream.split();
    let asked = BufReader::new(read.take(QUESTION)).read_line(&mut line).await;
    let session = asked.ok().and_then(|_| line.trim_end().parse::<Uuid>().ok());
    let Some(session) = session.and_then(|id| gate.live.one(id)) else {
        return;
    };
    // Who has gone away does not need it.
    let _ = write.write_all(session.recording.key().bytes()).await;
}

/// Asks the gateway that serves this data directory for the key of a live session; `None` if it is not live there.
///
/// # Errors
/// What the system says when no gateway answers.
pub async fn ask(socket: &Path, session: Uuid) -> std::io::Result<Option<SessionKey>> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{session}\n").as_bytes()).await?;
        let mut key = [0; 32];
        match stream.read_exact(&mut key).await {
            Ok(_) => Ok(Some(SessionKey::from(key))),
            Err(fault) if fault.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(fault) => Err(fault),
        }
    };
    tokio::time::timeout(PATIENCE * 4, asked).await?
}
