//! Enrolment in the browser: an invited person opens the link, and sets a password and an authenticator, all in one go.
//!
//! The link's token leaves the address at once for a cookie that lasts an hour; the browser that opened the link last
//! goes on, no other. What is wrong is counted where it could be guessing, and ends the invitation.

use super::fault::Fault;
use super::guard::same;
use super::page::{self, Frame, Message};
use super::texts::joining::Texts;
use super::visit::{Request, Visit};
use super::ways;
use crate::people::invitation::{MOST_ATTEMPTS, PURPOSE, Qr};
use crate::people::password::PasswordPolicy;
use crate::people::proving::{Proving, Way};
use crate::people::{recovery, token, totp};
use crate::store::{Ending, Enrolling, Invitation, StoreError};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeDelta, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::facts::{Method, Person, Status};
use serde_json::json;
use zeroize::Zeroizing;

/// The route of a link.
pub const LINK: &str = "/join/{id}";
/// Where it leads.
pub const PAGE: &str = "/join";
/// The cookie of a browser that opened an invitation.
pub const COOKIE_NAME: &str = "__Host-sekimori-join";

/// How long an opened page counts; the link can be opened again.
const PAGE_TIME: TimeDelta = TimeDelta::hours(1);
/// What the hash of the cookie is for.
const PAGE_PURPOSE: &str = "enrolment";
/// What the token of the form is for.
const FORM_PURPOSE: &str = "enrolment form";

/// An invited person on the page of their invitation.
struct Invited {
    invitation: Invitation,
    person: Person,
    /// The hash of what the browser holds.
    page: String,
    /// What the form carries.
    form: String,
}

/// Why somebody does not get on.
enum Dead {
    /// No such link, or not from here.
    Unknown,
    /// It has ended.
    Ended(Ending),
    /// The page is over, or was never opened here.
    Page,
}

#[derive(Template)]
#[template(path = "join.html")]
struct JoinPage<'a> {
    frame: Frame,
    j: &'static Texts,
    id: &'a str,
    name: &'a str,
    form: &'a str,
    qr: Qr,
    secret: Zeroizing<String>,
    key_needed: bool,
    key: &'a str,
    faults: Faults,
}

/// What is wrong with each part, in the person's words.
#[derive(Default)]
struct Faults {
    password: Option<String>,
    again: Option<String>,
    code: Option<String>,
    key: Option<String>,
}

impl Faults {
    fn any(&self) -> bool {
        [&self.password, &self.again, &self.code, &self.key].into_iter().any(Option::is_some)
    }
}

#[derive(Template)]
#[template(path = "joined.html")]
struct JoinedPage<'a> {
    frame: Frame,
    j: &'static Texts,
    id: &'a str,
    codes: Vec<Zeroizing<String>>,
    ssh: String,
}

/// `GET /join/{id}`: the link.
pub async fn open(visit: Visit, Path(link): Path<String>) -> Result<Response, Fault> {
    let gate = &visit.console.gate;
    let hash = token::hash(PURPOSE, &link);
    let mut proving = Proving::new(gate.clone(), visit.source, Way::Console);
    let admitted = Box::pin(proving.admit_stranger(&hash)).await?;
    let found = gate.store.invitation_of_token(&hash).await?.filter(|_| admitted);
    let Some(invitation) = found else { return dead(&visit, None, &Dead::Unknown).await };
    proving.was_no_stranger(&hash);
    let person = match usable(&visit, &invitation).await? {
        Ok(person) => person,
        Err(why) => return dead(&visit, Some(&invitation), &why).await,
    };
    // The browser that has it open already keeps its page, and the seed on it.
    if let Ok(invited) = invited(&visit).await?
        && invited.invitation.id == invitation.id
    {
        return Ok(Redirect::to(PAGE).into_response());
    }
    let (page, seed) = (token::random()?, totp::new_seed()?);
    let event = event(&visit, &person, Kind::InvitationOpened, json!({ "invitation": invitation.id }));
    let until = event.at + PAGE_TIME;
    let page_hash = token::hash(PAGE_PURPOSE, &page);
    match gate.store.open_invitation(invitation.id, &page_hash, until, &seed, event).await {
        Err(StoreError::Conflict { .. }) => dead(&visit, Some(&invitation), &Dead::Page).await,
        Err(fault) => Err(fault.into()),
        Ok(()) => {
            let age = PAGE_TIME.num_seconds();
            let cookie = format!("{COOKIE_NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={age}", *page);
            let headers = [(SET_COOKIE, cookie), (REFERRER_POLICY, "no-referrer".to_owned())];
            Ok((headers, Redirect::to(PAGE)).into_response())
        }
    }
}

/// `GET /join`.
pub async fn page(visit: Visit) -> Result<Response, Fault> {
    match invited(&visit).await? {
        Ok(invited) => shown(&visit, &invited, StatusCode::OK, "", Faults::default()).await,
        Err(why) => dead(&visit, None, &why).await,
    }
}

/// `POST /join/password`: whether a password would be taken, in words; nothing: it would.
pub async fn password(visit: Visit) -> Result<Response, Fault> {
    let fault = match invited(&visit).await? {
        Ok(invited) if same(visit.form.one("join"), &invited.form) => password_fault(&visit, &invited.person),
        _ => Some(Texts::of(visit.language).dead_page.to_owned()),
    };
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], fault.unwrap_or_default()).into_response())
}

/// `POST /join`: everything at once, or nothing.
pub async fn enrol(visit: Visit) -> Result<Response, Fault> {
    let invited = match invited(&visit).await? {
        Ok(invited) if same(visit.form.one("join"), &invited.form) => invited,
        Ok(_) => return dead(&visit, None, &Dead::Page).await,
        Err(why) => return dead(&visit, None, &why).await,
    };
    let store = &visit.console.gate.store;
    let j = Texts::of(visit.language);
    let mut faults = Faults { password: password_fault(&visit, &invited.person), ..Faults::default() };
    if visit.form.raw("password") != visit.form.raw("password_again") {
        faults.again = Some(j.passwords_differ.to_owned());
    }
    let typed = visit.form.one("ssh_key");
    let key = match key(typed, key_needed(&visit), j) {
        Ok(key) => key,
        Err(fault) => {
            faults.key = Some(fault.to_owned());
            None
        }
    };
    let seed = store.invitation_seed(invited.invitation.id).await?;
    let step = totp::matching_step(&seed, visit.form.one("code"), Utc::now());
    let Some(step) = step else {
        faults.code = Some(j.code_wrong.to_owned());
        refused(&visit, &invited, "wrong-code").await?;
        return again(&visit, invited, typed, faults).await;
    };
    if faults.any() {
        return again(&visit, invited, typed, faults).await;
    }
    let codes = recovery::new_codes()?;
    let chosen = Zeroizing::new(visit.form.raw("password").to_owned());
    let brought = Enrolling {
        password_hash: Box::pin(visit.console.gate.passwords.hash(chosen)).await?,
        step,
        key,
        recovery: codes.iter().filter_map(|code| recovery::read(code)).collect(),
    };
    let event = event(&visit, &invited.person, Kind::InvitationUsed, json!({ "invitation": invited.invitation.id }));
    match Box::pin(store.enrol(&invited.invitation, &invited.page, &brought, event)).await {
        Ok(()) => joined(&visit, &invited.person, codes),
        Err(StoreError::Exists { .. }) => {
            faults.key = Some(j.key_taken.to_owned());
            again(&visit, invited, typed, faults).await
        }
        Err(StoreError::Conflict { .. } | StoreError::Invalid { .. } | StoreError::Unknown { .. }) => {
            dead(&visit, Some(&invited.invitation), &Dead::Page).await
        }
        Err(fault) => Err(fault.into()),
    }
}

/// The recovery codes, shown this once.
fn joined(visit: &Visit, person: &Person, codes: Vec<Zeroizing<String>>) -> Result<Response, Fault> {
    let j = Texts::of(visit.language);
    let ssh = format!("ssh -p {} {}@{}", visit.console.ssh.port(), person.id, ways::host(visit));
    let page = JoinedPage { frame: page::frame(visit, j.enrolled), j, id: person.id.as_str(), codes, ssh };
    let cookie = format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(([(SET_COOKIE, cookie)], page::render(StatusCode::OK, &page)).into_response())
}

/// The page once more, unless what was wrong was one too many.
async fn again(visit: &Visit, invited: Invited, key: &str, faults: Faults) -> Result<Response, Fault> {
    match self::invited(visit).await? {
        Ok(_) => shown(visit, &invited, StatusCode::UNPROCESSABLE_ENTITY, key, faults).await,
        Err(why) => dead(visit, None, &why).await,
    }
}

async fn shown(
    visit: &Visit,
    invited: &Invited,
    status: StatusCode,
    key: &str,
    faults: Faults,
) -> Result<Response, Fault> {
    let gate = &visit.console.gate;
    let seed = gate.store.invitation_seed(invited.invitation.id).await?;
    let enrolment = totp::enrolment(&seed, &invited.person.id, &gate.config().hospital.name)?;
    let j = Texts::of(visit.language);
    let page = JoinPage {
        frame: page::frame(visit, j.join),
        j,
        id: invited.person.id.as_str(),
        name: &invited.person.name,
        form: &invited.form,
        qr: Qr::of(&enrolment.uri)?,
        secret: grouped(&enrolment.secret),
        key_needed: key_needed(visit),
        key,
        faults,
    };
    Ok(page::scripted(status, &page))
}

/// In groups of four, as people type it.
fn grouped(secret: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(secret.len() * 2));
    for (at, c) in secret.chars().enumerate() {
        if at > 0 && at.is_multiple_of(4) {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// Whoever holds the page of an invitation that counts.
async fn invited(visit: &Request) -> Result<Result<Invited, Dead>, Fault> {
    let Some(held) = &visit.joining else { return Ok(Err(Dead::Page)) };
    let page = token::hash(PAGE_PURPOSE, held);
    let Some(invitation) = visit.console.gate.store.invitation_of_page(&page).await? else {
        return Ok(Err(Dead::Page));
    };
    if invitation.ending(Utc::now()).is_none() && invitation.page_until.is_none_or(|until| until <= Utc::now()) {
        return Ok(Err(Dead::Page));
    }
    let form = token::hash(FORM_PURPOSE, held);
    Ok(usable(visit, &invitation).await?.map(|person| Invited { invitation, person, page, form }))
}

/// The person, if the invitation counts and they may come from here.
async fn usable(visit: &Request, invitation: &Invitation) -> Result<Result<Person, Dead>, Fault> {
    if let Some(ending) = invitation.ending(Utc::now()) {
        return Ok(Err(Dead::Ended(ending)));
    }
    let store = &visit.console.gate.store;
    let person = store.person(&invitation.person).await?.filter(|person| person.status == Status::Active);
    match person {
        Some(person) if store.source_is_allowed_for(&person, visit.source).await? => Ok(Ok(person)),
        _ => Ok(Err(Dead::Unknown)),
    }
}

/// Says why nobody gets on from here, and writes down whose link it was.
async fn dead(visit: &Visit, invitation: Option<&Invitation>, why: &Dead) -> Result<Response, Fault> {
    let j = Texts::of(visit.language);
    let (status, detail, code) = match why {
        Dead::Unknown => (StatusCode::NOT_FOUND, j.dead_unknown, "unknown, inactive or not allowed from here"),
        Dead::Page => (StatusCode::GONE, j.dead_page, "page"),
        Dead::Ended(ending) => (StatusCode::GONE, ended(*ending, j), ending.code()),
    };
    // A page without its cookie is no attempt at anything.
    if !matches!(why, Dead::Page) {
        let event = Event {
            person: invitation.map(|invitation| invitation.person.clone()),
            source: Some(visit.source.address()),
            detail: json!({ "invitation": invitation.map(|invitation| invitation.id), "why": code }),
            ..Event::new(Utc::now(), Kind::InvitationRefused, Actor::gateway())
        };
        visit.console.gate.store.record(event).await?;
    }
    let message = Message { frame: page::frame(visit, j.dead), text: j.dead_text, detail, form: &[] };
    Ok(page::render(status, &message))
}

/// Why an invitation has ended, in words.
pub fn ended(ending: Ending, j: &'static Texts) -> &'static str {
    match ending {
        Ending::Used => j.used,
        Ending::Replaced => j.replaced,
        Ending::Failed => j.too_often,
        Ending::TakenBack => j.taken_back,
        Ending::Expired => j.expired,
    }
}

async fn refused(visit: &Visit, invited: &Invited, why: &str) -> Result<(), Fault> {
    let id = invited.invitation.id;
    let event = event(visit, &invited.person, Kind::InvitationRefused, json!({ "invitation": id, "why": why }));
    Ok(visit.console.gate.store.enrolment_failed(id, MOST_ATTEMPTS, event).await?)
}

/// An event about the person, done by whoever holds the invitation.
fn event(visit: &Request, person: &Person, kind: Kind, detail: serde_json::Value) -> Event {
    Event {
        person: Some(person.id.clone()),
        vendor: person.vendor.clone(),
        source: Some(visit.source.address()),
        detail,
        ..Event::new(Utc::now(), kind, Actor::person(person.id.clone()))
    }
}

fn password_fault(visit: &Request, person: &Person) -> Option<String> {
    let password = visit.form.raw("password");
    if password.trim() != password {
        return Some(Texts::of(visit.language).password_blanks.to_owned());
    }
    let policy = PasswordPolicy::new(&visit.console.gate.config().hospital.name);
    policy.check(password, &person.id, person.vendor.as_ref()).err().map(|fault| fault.sentence(visit.language))
}

fn key_needed(visit: &Request) -> bool {
    visit.console.gate.config().demands.methods.contains(&Method::SshKey)
}

/// The line and the fingerprint of a key, if one was given.
fn key(typed: &str, needed: bool, j: &'static Texts) -> Result<Option<(String, String)>, &'static str> {
    if typed.is_empty() && !needed {
        return Ok(None);
    }
    super::ssh_keys::typed(typed, j).map(Some)
}
