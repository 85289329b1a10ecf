//! Mail to people: invitations, and news of work. It is written into the database with the change that it tells of
//! ([`crate::store`]), put into words when it is sent ([`letter`]), handed to the hospital's own mail server ([`smtp`]) by
//! one task ([`post`]), and tells of nothing that its reader would not see in the console after signing in.

pub mod letter;
pub mod post;
pub mod smtp;
pub mod words;

use crate::store::{Mail, Outcome};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use serde_json::json;

/// How long a mail may wait before somebody should look.
pub const WAITS: TimeDelta = TimeDelta::minutes(10);
/// For how long it is told that mail was given up.
pub const LATELY: TimeDelta = TimeDelta::days(7);

/// The event of what became of a mail. No address stands in it, nor what the server said: that may repeat it.
#[must_use]
pub fn told(mail: &Mail, outcome: Outcome, why: Option<&str>, code: Option<u16>) -> Event {
    let kind = match outcome {
        Outcome::Sent => Kind::MailSent,
        Outcome::GivenUp => Kind::MailGivenUp,
    };
    let detail = json!({
        "mail": mail.id, "what": mail.what, "about": mail.about, "tries": mail.tries, "why": why, "code": code,
    });
    Event { person: Some(mail.person.clone()), detail, ..Event::new(Utc::now(), kind, Actor::gateway()) }
}
