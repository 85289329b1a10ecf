//! What is done to a live session beside cutting it: words for its person, a pause.

use super::super::context::Context;
use super::super::error::CliError;
use super::super::output;
use crate::registry::{RegistryFault, typed};
use crate::store::SessionRow;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use serde_json::json;

/// Says something on the terminals of a session.
pub(super) async fn message(id: &str, text: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::CutOff).await?;
    check("text", text)?;
    let row = live(id, context).await?;
    let session = row.opening.id;
    let event = context.event(Kind::SessionMessage, &actor, json!({ "text": text }));
    context.store().await?.tell_session(session, event).await?;
    output::one(context, &json!({ "id": session }), || {
        format!("shown within a second on each open terminal of session {session}")
    })
}

/// Has held what the person of a session sends.
pub(super) async fn pause(id: &str, reason: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::CutOff).await?;
    check("--reason", reason)?;
    let row = live(id, context).await?;
    let session = row.opening.id;
    if let Some(pause) = row.pause {
        let (at, by) = (context.show(pause.at), pause.by);
        return Err(CliError::Conflict(format!("session {session} is paused already, by {by} since {at}")));
    }
    let event = context.event(Kind::SessionPaused, &actor, json!({ "reason": reason }));
    context.store().await?.pause_session(session, reason, event).await?;
    output::one(context, &json!({ "id": session }), || {
        format!(
            "within a second, what is sent in session {session} is held; go on with: sekimori session resume {session}"
        )
    })
}

/// Lets it go on.
pub(super) async fn resume(id: &str, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::CutOff).await?;
    let row = live(id, context).await?;
    let session = row.opening.id;
    if row.pause.is_none() {
        return Err(CliError::Conflict(format!("session {session} is not paused")));
    }
    let event = context.event(Kind::SessionResumed, &actor, json!({}));
    context.store().await?.resume_session(session, event).await?;
    output::one(context, &json!({ "id": session }), || format!("session {session} goes on within a second"))
}

/// The person reads it on a terminal, and the record needs it.
pub(super) fn check(field: &'static str, text: &str) -> Result<(), CliError> {
    typed::words(field, text).map_or(Ok(()), |flaw| Err(RegistryFault::Flaws(vec![flaw]).into()))
}

async fn live(id: &str, context: &Context) -> Result<SessionRow, CliError> {
    let row = context.store().await?.session(id).await?;
    match row.closing {
        None => Ok(row),
        Some(_) => Err(CliError::Conflict(format!("session {} has ended already", row.opening.id))),
    }
}
