//! Verbs about mail: whether it goes, and what waits.

use super::context::Context;
use super::error::CliError;
use super::output;
use crate::mail::{letter, smtp};
use crate::store::Outcome;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::mail::MailAddress;
use serde_json::json;

/// The most that is listed of what waits, and of what is over.
const LISTED: u32 = 200;

/// Verbs about mail.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send a test mail, and say what the mail server answered
    Test {
        /// Where to
        address: MailAddress,
    },
    /// List the mail that waits, and what became of the last
    List,
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Test { address } => test(address, context).await,
        Command::List => list(context).await,
    }
}

async fn test(address: MailAddress, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::RunService).await?;
    let mail = context.config.mail();
    if !mail.is_on() {
        return Err(CliError::Usage("no mail server is configured: set mail.server and mail.from".into()));
    }
    let answer = smtp::send(&mail, &letter::trial(&context.config, address)).await;
    let detail = json!({ "sent": answer.is_ok() });
    context.store().await?.record(context.event(Kind::MailTried, &actor, detail)).await?;
    let answer = answer.map_err(|fault| CliError::Failed(format!("it was not sent: {fault}")))?;
    output::one(context, &json!({ "answer": answer }), || {
        format!("the mail server took it, and answered: {}", output::visible(&answer))
    })
}

async fn list(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let mails = context.store().await?.mails(LISTED).await?;
    if context.json {
        return output::print_json(&mails);
    }
    let rows: Vec<[String; 6]> = mails
        .iter()
        .map(|mail| {
            let state = match (mail.outcome, mail.ended) {
                (Some(Outcome::Sent), Some(at)) => format!("送信済み {}", context.show(at)),
                (Some(Outcome::GivenUp), Some(at)) => format!("断念 {}", context.show(at)),
                _ => format!("待機中 次回 {}", context.show(mail.due)),
            };
            let said = mail.said.clone().unwrap_or_default();
            let about = mail.about.clone();
            [context.show(mail.made), mail.person.to_string(), mail.what.code().into(), about, state, said]
        })
        .collect();
    output::list(
        context,
        &rows,
        &[
            ("作成", |[made, ..]| made.clone()),
            ("宛先", |[_, person, ..]| person.clone()),
            ("種類", |[_, _, what, ..]| what.clone()),
            ("対象", |[_, _, _, about, ..]| about.clone()),
            ("状態", |[.., state, _]| state.clone()),
            ("サーバの応答", |[.., said]| said.clone()),
        ],
    )
}
