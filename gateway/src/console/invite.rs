//! Inviting somebody to enrol: the link, once, and the sheet to print.

use super::fault::Fault;
use super::join;
use super::page::{self, Frame};
use super::people::known;
use super::texts::joining::Texts;
use super::visit::{Request, Visit};
use crate::people::invitation::{self, InvitationError, Made, Qr, in_japanese};
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use chrono::Utc;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{Person, Status};
use sekimori_policy::id::PersonId;
use serde_json::Value;
use zeroize::Zeroizing;

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage<'a> {
    frame: Frame,
    j: &'static Texts,
    id: &'a str,
    name: &'a str,
    why_not: Option<&'static str>,
    last: Option<Last>,
    sheet: Option<Sheet>,
    /// Where it can be mailed to.
    mail: Option<String>,
    /// Whether it was just mailed.
    mailed: bool,
    // What the sheet is about, in its reader's language.
    ja: bool,
    hospital: &'a str,
}

/// How the last invitation stands.
struct Last {
    made: String,
    expires: String,
    opened: Option<String>,
    attempts: u32,
    ended: Option<&'static str>,
}

/// What is handed over.
struct Sheet {
    link: Zeroizing<String>,
    expires: String,
    qr: Qr,
}

/// `GET /people/{id}/invite`.
pub async fn page(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let person = known(&visit, &id).await?;
    shown(&visit, &person, None, false).await
}

/// `POST /people/{id}/invite`.
pub async fn invite(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let person = known(&visit, &id).await?;
    visit.demand_second_factor().await?;
    if let Some(why) = why_not(&visit, &person).await? {
        return Err(Fault::Invalid(why.to_owned()));
    }
    match visit.form.one("by") {
        "mail" => by_mail(&visit, &person).await,
        _ => make(&visit, &person).await,
    }
}

/// Why nobody is invited as things stand: somebody who has factors loses them first, with a reason that stays on record,
/// and is invited in the same step.
async fn why_not(visit: &Request, person: &Person) -> Result<Option<&'static str>, Fault> {
    let j = Texts::of(visit.language);
    if person.status != Status::Active {
        return Ok(Some(j.not_invitable));
    }
    Ok(has_factors(visit, &person.id).await?.then_some(j.has_factors))
}

/// Whether anything proves a person.
pub async fn has_factors(visit: &Request, person: &PersonId) -> Result<bool, Fault> {
    let store = &visit.console.gate.store;
    let factors = store.factors_listing(person).await?;
    let (keys, passkeys) = (store.keys(person).await?, store.passkeys(person).await?);
    Ok(factors.password || factors.totp || !keys.is_empty() || !passkeys.is_empty())
}

/// Makes the invitation of somebody who has no factors, and shows it, this once.
pub async fn make(visit: &Visit, person: &Person) -> Result<Response, Fault> {
    let gate = &visit.console.gate;
    let event = visit.event(Kind::InvitationMade, Value::Null)?;
    // As the administrator's own browser found it: that works through whatever stands in between.
    let console = visit.origin.clone().or_else(|| gate.config().console.url()).unwrap_or_default();
    let made = Box::pin(invitation::make(&gate.store, person, &console, false, event)).await?;
    shown(visit, person, Some(made), false).await
}

/// Where an invitation of this person can be mailed to.
fn address(visit: &Request, person: &Person) -> Option<String> {
    let config = visit.console.gate.config();
    person.mail.as_ref().filter(|_| config.mail.is_on()).map(ToString::to_string)
}

/// Makes an invitation that is mailed to the person, and shown to nobody.
async fn by_mail(visit: &Visit, person: &Person) -> Result<Response, Fault> {
    if address(visit, person).is_none() {
        return Err(Fault::Invalid(Texts::of(visit.language).not_mailable.to_owned()));
    }
    let event = visit.event(Kind::InvitationMade, Value::Null)?;
    // What the link begins with is put before it when it is sent: the configured address, whatever this request names.
    Box::pin(invitation::make(&visit.console.gate.store, person, "", true, event)).await?;
    shown(visit, person, None, true).await
}

async fn shown(visit: &Visit, person: &Person, made: Option<Made>, mailed: bool) -> Result<Response, Fault> {
    let j = Texts::of(visit.language);
    let gate = &visit.console.gate;
    let now = Utc::now();
    let last = gate.store.invitation_of(&person.id).await?.map(|last| Last {
        made: visit.show(last.made),
        expires: visit.show(last.expires),
        opened: last.opened.map(|at| visit.show(at)),
        attempts: last.attempts,
        ended: last.ending(now).map(|ending| join::ended(ending, j)),
    });
    let sheet = match made {
        None => None,
        Some(made) => Some(Sheet { qr: Qr::of(&made.link)?, expires: visit.show(made.expires), link: made.link }),
    };
    page::shown(&InvitePage {
        frame: page::frame(visit, j.invite),
        j,
        id: person.id.as_str(),
        name: &person.name,
        why_not: why_not(visit, person).await?,
        last,
        sheet,
        mail: address(visit, person),
        mailed,
        ja: in_japanese(person),
        hospital: &gate.config().hospital.name,
    })
}

impl From<InvitationError> for Fault {
    fn from(fault: InvitationError) -> Self {
        match fault {
            InvitationError::Store(fault) => fault.into(),
            InvitationError::People(fault) => fault.into(),
        }
    }
}
