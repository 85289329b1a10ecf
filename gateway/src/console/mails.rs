//! Mail that waits and what became of the last (通知メール): whoever relies on being told sees here that they are not.

use super::fault::Fault;
use super::page::{self, Frame};
use super::texts::mails::Texts;
use super::visit::{Request, Visit};
use crate::mail::{LATELY, WAITS};
use crate::store::{Mail, Outcome, What};
use askama::Template;
use axum::response::Response;
use chrono::Utc;
use sekimori_policy::authority::Act;
use sekimori_policy::notice::Notice;

/// The most of what waits, and of what is over, on the page.
const MOST: u32 = 100;

struct Row {
    made: String,
    person: String,
    what: &'static str,
    /// The piece of work that it tells of.
    work: Option<String>,
    tone: &'static str,
    state: &'static str,
    at: String,
    said: String,
}

#[derive(Template)]
#[template(path = "mails.html")]
struct MailsPage {
    frame: Frame,
    x: &'static Texts,
    on: bool,
    trouble: Option<&'static str>,
    rows: Vec<Row>,
}

/// `GET /mails`.
pub async fn mails(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let mails = visit.console.gate.store.mails(MOST).await?;
    page::shown(&MailsPage {
        frame: page::frame(&visit, visit.t().mails),
        x: Texts::of(visit.language),
        on: visit.console.gate.config().mail().is_on(),
        trouble: trouble(&visit).await?,
        rows: mails.iter().map(|mail| row(&visit, mail)).collect(),
    })
}

/// What keeps people from being told, if anything does.
///
/// # Errors
/// The database's own failure.
pub async fn trouble(visit: &Request) -> Result<Option<&'static str>, Fault> {
    let gate = &visit.console.gate;
    if !gate.config().mail().is_on() {
        return Ok(None);
    }
    let (x, now) = (Texts::of(visit.language), Utc::now());
    let standing = gate.store.mail_standing(now - LATELY).await?;
    let late = standing.oldest.is_some_and(|oldest| now - oldest > WAITS);
    Ok(if late { Some(x.late) } else { (standing.given_up > 0).then_some(x.given_up_lately) })
}

fn row(visit: &Request, mail: &Mail) -> Row {
    let x = Texts::of(visit.language);
    let (tone, state, at) = match (mail.outcome, mail.ended) {
        (Some(Outcome::Sent), Some(at)) => ("good", x.sent, at),
        (Some(Outcome::GivenUp), Some(at)) => ("bad", x.given_up, at),
        _ if mail.tries > 0 => ("warn", x.tried_again, mail.due),
        _ => ("", x.waits, mail.due),
    };
    Row {
        made: visit.show_short(mail.made),
        person: mail.person.to_string(),
        what: what(x, mail.what),
        work: matches!(mail.what, What::Work(_)).then(|| mail.about.clone()),
        tone,
        state,
        at: visit.show_short(at),
        said: mail.said.clone().unwrap_or_default(),
    }
}

fn what(x: &'static Texts, what: What) -> &'static str {
    match what {
        What::Invitation => x.invitation,
        What::Work(Notice::Requested) => x.requested,
        What::Work(Notice::Emergency) => x.emergency,
        What::Work(Notice::Decided) => x.decided,
        What::Work(Notice::ApprovalOverdue) => x.approval_overdue,
        What::Work(Notice::ReviewOverdue) => x.review_overdue,
    }
}
