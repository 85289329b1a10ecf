//! Whether mail goes: the server lets the gateway in, and nothing has waited for long or was given up.

use super::{Check, fail, ok, warn};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::mail::{LATELY, WAITS, smtp};
use chrono::Utc;

/// The server.
pub(super) async fn server(context: &Context) -> Check {
    let mail = context.config.mail();
    let Some(server) = &mail.server else {
        return ok("mail", "no server is configured: people are told in the console alone".into());
    };
    match smtp::greet(&mail).await {
        Ok(()) if context.config.console.url().is_none() => {
            warn("mail", format!("{server} takes it, but there is no console that its links could lead to"))
        }
        Ok(()) => ok("mail", format!("{server} takes it")),
        Err(fault) => fail("mail", format!("{server}: {fault}; see [mail] of the configuration")),
    }
}

/// What waits.
pub(super) async fn waiting(context: &Context) -> Result<Option<Check>, CliError> {
    if !context.config.mail.is_on() {
        return Ok(None);
    }
    let now = Utc::now();
    let standing = context.store().await?.mail_standing(now - LATELY).await?;
    let waiting = standing.waiting;
    let remedy = "see `sekimori mail list`";
    Ok(Some(match standing.oldest {
        Some(oldest) if oldest < now - WAITS => {
            let since = context.show(oldest);
            fail(
                "mail that waits",
                format!("{waiting}, the oldest since {since}: {remedy}, and whether the gateway serves"),
            )
        }
        _ if standing.given_up > 0 => warn(
            "mail that waits",
            format!("{waiting}; {} were given up in the last 7 days: {remedy}", standing.given_up),
        ),
        _ => ok("mail that waits", waiting.to_string()),
    }))
}
