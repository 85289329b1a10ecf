//! The archive for an outsider: what the database and the configuration give to it. What is in one, and how it is checked, is
//! [`sekimori_audit::bundle`]'s.

use super::unlock::Unlock;
use super::{folder, note_viewing, viewing};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use sekimori_audit::bundle::{self, Evidence, Told};
use sekimori_audit::event::Kind;
use sekimori_audit::recording::sealed_path;
use sekimori_policy::authority::Act;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes the archive; with what opens the recording, its members as well.
pub(super) async fn export(id: &str, out: &Path, unlock: Option<&Unlock>, context: &Context) -> Result<(), CliError> {
    let row = context.store().await?.session(id).await?;
    let how = if unlock.is_some() { "bundle, opened" } else { "bundle" };
    note_viewing(&row, Kind::RecordingExported, how, context, Act::ExportEvidence).await?;
    let session = row.opening.id;
    let sealed = sealed_path(&folder(&row, context));
    if !sealed.exists() {
        return Err(CliError::Conflict(format!(
            "the recording of session {session} is not sealed: it is when the session has ended and `sekimori serve` runs"
        )));
    }
    let opened = match unlock {
        Some(unlock) => Some(viewing::source(&row, unlock, context).await?),
        None => None,
    };
    let events = context.store().await?.events_of_session(session).await?;
    let events = events.into_iter().map(|event| {
        // Numbers begin with 1, entries with 0.
        let index = u64::try_from(event.seq - 1).map_err(anyhow::Error::from)?;
        Ok(Told { index, salt: event.salt, body: event.body })
    });
    let events = events.collect::<Result<Vec<_>, CliError>>()?;
    let (log, keys) = (context.config.log_dir(), keys(context)?);
    let write = move |out: BufWriter<&File>| {
        let (opened, sealed) = (opened.as_ref(), sealed.as_path());
        bundle::write(&Evidence { session, log: &log, keys: &keys, events: &events, sealed, opened }, out)
    };
    viewing::write_export(&row, out, write, context).await
}

/// The keys of the log as they are handed to its auditors, and those of the witnesses.
fn keys(context: &Context) -> Result<String, CliError> {
    let path = context.config.log_keys();
    let read = std::fs::read_to_string(&path);
    let mut keys = read.map_err(|fault| CliError::Failed(format!("cannot read {}: {fault}", path.display())))?;
    for witness in &context.config.log.witnesses {
        // A text has always room.
        let _ = writeln!(keys, "{}", witness.key);
    }
    Ok(keys)
}
