//! Looking at recordings: replay, export, watch. Each is an event before anything is shown.

use super::unlock::Unlock;
use super::{folder, note_viewing};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output;
use crate::session;
use crate::store::SessionRow;
use sekimori_audit::event::Kind;
use sekimori_audit::recording::{ChannelKind, sealed_path};
use sekimori_audit::replay::{self, Exported, Happening, Index, SafeOutput, Seen, Source};
use sekimori_policy::authority::Act;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How to replay.
pub struct How {
    /// The channel, where there are several.
    pub channel: Option<u32>,
    /// How many times as fast.
    pub speed: f64,
    /// Seconds that pauses are cut down to.
    pub idle_limit: Option<f64>,
    /// The second to begin at.
    pub at: f64,
    /// Whether to print text with times instead.
    pub text: bool,
}

/// Plays a terminal, or prints everything as text.
pub async fn replay(id: &str, how: How, unlock: &Unlock, context: &Context) -> Result<(), CliError> {
    let row = context.store().await?.session(id).await?;
    note_viewing(&row, Kind::RecordingViewed, "replay", context, Act::ReadRecordings).await?;
    let index = replay::open(source(&row, unlock, context).await?)?;
    if how.text {
        return text(&index, context);
    }
    let channel = match how.channel {
        Some(channel) => channel,
        None => match terminals(&index).as_slice() {
            [only] => *only,
            // Commands and transfers have no screen: their text is what there is to see.
            [] => return text(&index, context),
            several => {
                let several = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(CliError::Usage(format!("this session has several terminals: add --channel ({several})")));
            }
        },
    };
    let cast = index.cast_of(channel).ok_or_else(|| {
        CliError::Usage(format!("channel {channel} was no terminal: use --text, or export the session"))
    })?;
    let options = replay::Options {
        speed: how.speed,
        idle_limit: how.idle_limit.map(seconds).transpose()?,
        start_at: seconds(how.at)?,
    };
    if std::io::stdout().is_terminal() {
        // On standard error: what is shown of the recording stays apart.
        eprintln!(
            "[space pauses, arrows seek 5 s, [ and ] a minute, 0 to 9 tenths, . steps, q ends; time in the title]"
        );
    }
    let played = tokio::task::spawn_blocking(move || replay::play(&cast, options)).await;
    Ok(played.map_err(|fault| CliError::Failed(fault.to_string()))??)
}

fn seconds(seconds: f64) -> Result<Duration, CliError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| CliError::Usage(format!("{seconds} is no number of seconds: it must not be negative")))
}

fn terminals(index: &Index) -> Vec<u32> {
    let terminals = index.channels.iter().filter(|channel| channel.kind == ChannelKind::Terminal);
    terminals.map(|channel| channel.channel).collect()
}

fn text(index: &Index, context: &Context) -> Result<(), CliError> {
    let zone = context.zone();
    let mut out = std::io::stdout().lock();
    let mut closed = false;
    replay::transcript(index, |line| {
        if !closed {
            let at = line.at.with_timezone(&zone).format("%H:%M:%S");
            // A reader that has seen enough (`| head`) is no failure.
            closed = writeln!(out, "{at}  [{}] {}", line.channel, output::visible(&line.text)).is_err();
        }
        Ok(())
    })?;
    Ok(())
}

/// The recording, sealed or not yet.
pub(super) async fn source(row: &SessionRow, unlock: &Unlock, context: &Context) -> Result<Source, CliError> {
    let (person, _) = context.person().await?;
    Source::of(&folder(row, context), || unlock.identities(&person.id, context))
}

/// Writes the tar as it is stored. Nobody's key is needed, and nothing in it can be read without one.
pub async fn export(id: &str, out: &Path, context: &Context) -> Result<(), CliError> {
    let row = context.store().await?.session(id).await?;
    note_viewing(&row, Kind::RecordingExported, "sealed", context, Act::ExportEvidence).await?;
    let folder = folder(&row, context);
    let sealed = sealed_path(&folder);
    if !sealed.exists() {
        let id = row.opening.id;
        return Err(CliError::Conflict(format!(
            "session {id} is not sealed yet: wait for its end, or add --opened and unlock what there is so far"
        )));
    }
    write_export(&row, out, move |out| replay::export_sealed(&sealed, out), context).await
}

/// Writes a tar of what was recorded, in clear.
pub async fn export_opened(id: &str, out: &Path, unlock: &Unlock, context: &Context) -> Result<(), CliError> {
    let row = context.store().await?.session(id).await?;
    note_viewing(&row, Kind::RecordingExported, "opened", context, Act::ExportEvidence).await?;
    let source = source(&row, unlock, context).await?;
    write_export(&row, out, move |out| replay::export(&source, out), context).await
}

/// Writes an export; a file that turns out not to agree with the manifest or index is taken away again.
pub(super) async fn write_export<E: Into<CliError> + 'static>(
    row: &SessionRow,
    out: &Path,
    write: impl FnOnce(BufWriter<&File>) -> Result<Exported, E> + Send + 'static,
    context: &Context,
) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let file = file.map_err(|fault| CliError::Conflict(format!("cannot write {}: {fault}", out.display())))?;
    let exported = tokio::task::spawn_blocking(move || {
        let exported = write(BufWriter::new(&file)).map_err(Into::into)?;
        file.sync_all().map(|()| exported).map_err(CliError::from)
    });
    let exported = match exported.await {
        Ok(Ok(exported)) => exported,
        Ok(Err(fault)) => {
            std::fs::remove_file(out).ok();
            return Err(fault);
        }
        Err(fault) => return Err(CliError::Failed(fault.to_string())),
    };
    let value = json!({
        "session": row.opening.id, "out": out, "members": exported.members, "bytes": exported.bytes,
        "verified": exported.verified,
    });
    output::one(context, &value, || {
        let verified =
            if exported.verified { "every member is as it was recorded" } else { "no manifest: live, or torn off" };
        format!("{}: {} members, {} bytes; {verified}", out.display(), exported.members, exported.bytes)
    })
}

/// Follows a live session on this terminal.
pub async fn watch(id: &str, context: &Context) -> Result<(), CliError> {
    let row = context.store().await?.session(id).await?;
    note_viewing(&row, Kind::RecordingViewed, "watch", context, Act::ReadRecordings).await?;
    let (id, socket) = (row.opening.id, context.config.watch_socket());
    let (person, _) = context.person().await?;
    let key = session::watchers::ask(&socket, id, &person.id).await.map_err(|fault| {
        CliError::Conflict(format!("no gateway answers at {}: {fault}; is it serving?", socket.display()))
    })?;
    let Some((key, attending)) = key else {
        return Err(CliError::Conflict(format!("session {id} is not live here: sekimori session replay {id}")));
    };
    let source = Source::working(&folder(&row, context), key);
    let watched = tokio::task::spawn_blocking(move || {
        let mut screen = SafeOutput::default();
        let mut out = std::io::stdout().lock();
        replay::follow(&source, |seen| match show(seen, &mut screen, &mut out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    });
    let watched = watched.await.map_err(|fault| CliError::Failed(fault.to_string()));
    drop(attending);
    Ok(watched??)
}

/// One thing that happened, as a watcher sees it.
fn show(seen: Seen, screen: &mut SafeOutput, out: &mut impl Write) -> std::io::Result<()> {
    match seen {
        Seen::Terminal(channel, cols, rows) => writeln!(out, "\r\n[channel {channel}: terminal {cols}x{rows}]\r")?,
        Seen::Event(_, event) => {
            if let Happening::Output(text) = event.what {
                out.write_all(screen.filter(&text).as_bytes())?;
            }
        }
        Seen::Bytes(_, _, bytes) => {
            out.write_all(screen.filter(&String::from_utf8_lossy(&bytes)).as_bytes())?;
        }
        Seen::Line(channel, line) => {
            let line = serde_json::to_string(&line).unwrap_or_default();
            writeln!(out, "[channel {channel}] {}\r", output::visible(&line))?;
        }
        Seen::Sealed => writeln!(out, "\r\n[ended, and sealed]\r")?,
        Seen::Ended(manifest) => writeln!(out, "\r\n[ended: {}]\r", output::visible(&manifest.reason))?,
    }
    out.flush()
}
