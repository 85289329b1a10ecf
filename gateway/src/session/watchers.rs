//! Lets those who watch a live session read along: its journal is encrypted, and the key is in this process only.
//!
//! `watch.sock` in the data directory is for the gateway's own user and root, who could read this process' memory anyway.
//! Who connects says which session, in its usual form, and after a space the ID of the person who watches, and a line
//! end; the answer is the recording's key, 32 bytes, or nothing if the session is not live here. That somebody watches
//! is an event, which the command writes before it asks. Where the session is to be attended and the person may, they
//! attend it for as long as they stay connected.

use super::Session;
use super::attended::{Attending, attend};
use crate::config::Config;
use crate::gate::Gate;
use anyhow::Context;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::recording::SessionKey;
use sekimori_policy::authority::{Act, may};
use sekimori_policy::id::PersonId;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

/// How long one who asks may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of a question.
const QUESTION: u64 = 128;

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

/// Answers them until the gateway is gone: the questions one after the other, and who attends stays.
pub async fn hand_out(gate: Arc<Gate>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match tokio::time::timeout(PATIENCE, answer(&gate, stream)).await {
                Ok(Some(stays)) => drop(tokio::spawn(stays)),
                Ok(None) => {}
                Err(fault) => tracing::debug!(%fault, "one who wanted to watch said nothing"),
            },
            Err(fault) => {
                tracing::warn!(%fault, "nobody can begin to watch for a moment");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

/// Hands the key out; what is left to do is the attending.
async fn answer(gate: &Arc<Gate>, mut stream: UnixStream) -> Option<impl Future<Output = ()> + Send + 'static> {
    let own = rustix::process::geteuid().as_raw();
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
        return None;
    }
    let mut line = String::new();
    BufReader::new((&mut stream).take(QUESTION)).read_line(&mut line).await.ok()?;
    let (session, person) = line.trim_end().split_once(' ')?;
    let session = gate.live.one(session.parse().ok()?)?;
    let attending = attending(gate, &session, person).await;
    // Who has gone away does not need it.
    stream.write_all(session.recording.key().bytes()).await.ok()?;
    let attending = attending?;
    Some(async move {
        tokio::select! {
            // Nothing more is said: it ends when the command does.
            _ = stream.read_u8() => {}
            () = session.ended() => {}
        }
        drop(attending);
    })
}

/// The one who watches attends, where that is wanted and they may.
async fn attending(gate: &Arc<Gate>, session: &Arc<Session>, person: &str) -> Option<Attending> {
    if !session.permit().attendance() {
        return None;
    }
    let person = gate.store.person(&person.parse().ok()?).await.ok()??;
    may(&person, Act::CutOff).ok()?;
    let event = Event::new(Utc::now(), Kind::SessionAttended, Actor::person(person.id.clone()));
    attend(gate, session, person, event).await.ok()
}

/// Asks the gateway that serves this data directory for the key of a live session; `None` if it is not live there. The
/// person attends it for as long as what is returned beside the key is kept.
///
/// # Errors
/// What the system says when no gateway answers.
pub async fn ask(socket: &Path, session: Uuid, person: &PersonId) -> std::io::Result<Option<(SessionKey, UnixStream)>> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{session} {person}\n").as_bytes()).await?;
        let mut key = [0; 32];
        match stream.read_exact(&mut key).await {
            Ok(_) => Ok(Some((SessionKey::from(key), stream))),
            Err(fault) if fault.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(fault) => Err(fault),
        }
    };
    tokio::time::timeout(PATIENCE * 4, asked).await?
}
