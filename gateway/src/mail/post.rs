//! Sending what waits, one mail after the other. A server that is away is asked again after a while, and longer each time;
//! a mail that it does not take now waits alone; one that it never takes, or that has become moot, is given up. Of several
//! gateways on one database the one sends a mail that claims it, for longer than an exchange lasts.

use super::letter::compose;
use super::smtp::{self, Fault};
use super::told;
use crate::config::Config;
use crate::gate::Gate;
use crate::store::{Mail, Outcome, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the database is asked for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How long a mail is claimed.
const CLAIM: TimeDelta = TimeDelta::seconds(3 * smtp::EXCHANGE.as_secs().cast_signed());
/// How long a server that was away is left alone, at first and at most.
const AWAY: Duration = Duration::from_secs(5);
const LONGEST_AWAY: Duration = Duration::from_secs(300);
/// How long a mail waits that the server did not take, at first and at most, in seconds.
const LATER: i64 = 30;
const LONGEST_LATER: i64 = 3600;
/// How often it is asked what is overdue.
const OVERDUE: Duration = Duration::from_secs(30);
/// How long it is kept what became of a mail.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How often what is older is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

/// Sends mail until the gateway stops.
pub async fn carry(gate: Arc<Gate>) {
    let mut configs = gate.configs();
    let (mut away, mut forgotten, mut asked) = (Duration::ZERO, None, None);
    if let Err(fault) = gate.store.release_mails(&gate.instance).await {
        tracing::warn!(%fault, "what an earlier run was sending waits until its claim is over");
    }
    while !gate.stopping() {
        let config = configs.borrow_and_update().clone();
        gate.store.take_mail(config.mail.is_on());
        if config.mail.is_on() {
            if due(&mut asked, OVERDUE)
                && let Err(fault) = gate.store.tell_overdue(Utc::now()).await
            {
                tracing::warn!(%fault, "nobody is told of what is overdue yet");
            }
            away = match round(&gate, &config).await {
                Ok(()) => Duration::ZERO,
                Err(fault) => {
                    tracing::warn!(fault, "mail does not go");
                    (away * 2).clamp(AWAY, LONGEST_AWAY)
                }
            };
        }
        if due(&mut forgotten, FORGET)
            && let Err(fault) = gate.store.forget_mails(Utc::now() - KEPT, Utc::now()).await
        {
            tracing::warn!(%fault, "mail that was over long ago is not forgotten yet");
        }
        // After a reload everything is looked at anew: it may name another server.
        tokio::select! {
            () = gate.stop_asked() => {}
            _ = configs.changed() => (away, asked) = (Duration::ZERO, None),
            () = tokio::time::sleep(away.max(LOOK)) => {}
        }
    }
}

/// Whether it is time again for what is done this often.
fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let now = Instant::now();
    let again = last.is_none_or(|last| now.duration_since(last) >= every);
    if again {
        *last = Some(now);
    }
    again
}

/// Sends all that is due. `Err` says what keeps all of it from going.
async fn round(gate: &Gate, config: &Config) -> Result<(), String> {
    let failed = |fault: StoreError| format!("the database: {fault}");
    while !gate.stopping() {
        let now = Utc::now();
        let Some(mail) = gate.store.due_mail(now).await.map_err(failed)? else { return Ok(()) };
        if !gate.store.claim_mail(mail.id, &gate.instance, now, now + CLAIM).await.map_err(failed)? {
            // Another gateway was faster.
            continue;
        }
        let mail = Mail { tries: mail.tries.saturating_add(1), ..mail };
        one(gate, config, &mail, now).await?;
    }
    Ok(())
}

/// Sends one that was claimed.
async fn one(gate: &Gate, config: &Config, mail: &Mail, now: DateTime<Utc>) -> Result<(), String> {
    let store = &gate.store;
    let failed = |fault: StoreError| format!("the database: {fault}");
    let letter = match compose(store, config, mail, now).await.map_err(failed)? {
        Ok(letter) => letter,
        Err(moot) => return over(gate, mail, Outcome::GivenUp, moot.code(), Some(moot.code()), None).await,
    };
    match smtp::send(&config.mail(), &letter).await {
        Ok(answer) => over(gate, mail, Outcome::Sent, &answer, None, None).await,
        Err(Fault::Refused { said, code }) => over(gate, mail, Outcome::GivenUp, &said, Some("refused"), code).await,
        Err(Fault::Later(said)) => {
            let wait = LATER.saturating_mul(1_i64 << mail.tries.min(8)).min(LONGEST_LATER);
            store.postpone_mail(mail.id, now + TimeDelta::seconds(wait), &said).await.map_err(failed)
        }
        Err(Fault::Server(said)) => {
            // Behind the others: it may be this one that the server breaks off at.
            store.postpone_mail(mail.id, now, &said).await.map_err(failed)?;
            Err(said)
        }
    }
}

async fn over(
    gate: &Gate,
    mail: &Mail,
    outcome: Outcome,
    said: &str,
    why: Option<&str>,
    code: Option<u16>,
) -> Result<(), String> {
    match gate.store.end_mail(mail.id, outcome, said, told(mail, outcome, why, code)).await {
        // Somebody else's claim came after ours: it was told of already.
        Err(StoreError::Conflict { .. }) | Ok(()) => Ok(()),
        Err(fault) => Err(format!("the database: {fault}")),
    }
}
