//! Verbs about sign-ins that certificates carry.

use super::context::Context;
use super::error::CliError;
use super::output;
use chrono::Utc;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::{Act, may};
use serde_json::json;
use uuid::Uuid;

/// Verbs about carried sign-ins.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the certificates that hold now
    List,
    /// Revoke one: sessions that stand on it end
    Revoke {
        /// The sign-in's ID
        id: Uuid,
    },
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List => {
            context.authority(Act::ReadLog).await?;
            let carried = context.store().await?.carried_sign_ins(Utc::now()).await?;
            output::list(
                context,
                &carried,
                &[
                    ("ID", |sign_in| sign_in.id.to_string()),
                    ("保守要員", |sign_in| sign_in.person.to_string()),
                    ("接続元", |sign_in| sign_in.source.to_string()),
                    ("期限", |sign_in| sign_in.expires.map_or_else(String::new, |at| at.to_rfc3339())),
                    ("鍵", |sign_in| sign_in.key_fingerprint.clone().unwrap_or_default()),
                ],
            )
        }
        Command::Revoke { id } => {
            let store = context.store().await?;
            let sign_in = store.sign_in(id).await?;
            let sign_in =
                sign_in.ok_or_else(|| CliError::NotFound(format!("no sign-in {id}: see `sekimori sign-in list`")))?;
            let (by, actor) = context.person().await?;
            // Whoever thinks that their own certificate was taken may revoke it themselves.
            if by.id != sign_in.person {
                let _authority = may(&by, Act::ManageCredentials)?;
            }
            let event = Event {
                person: Some(sign_in.person),
                sign_in: Some(id),
                ..context.event(Kind::SignInRevoked, &actor, json!({}))
            };
            store.revoke_sign_in(id, event).await?;
            output::one(context, &json!({ "id": id }), || format!("sign-in {id} is revoked"))
        }
    }
}
