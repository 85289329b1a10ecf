//! What all pages share: the frame around them, and the pages that say why another one is not shown.

use super::fault::{Fault, language_tag};
use super::guard::Loads;
use super::matrix::{Column, columns};
use super::texts::{Texts, passkeys};
use super::visit::Request;
use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, IntoResponseParts, Response};
use sekimori_policy::facts::Language;

/// The frame: hospital, navigation, who has signed in, language.
pub struct Frame {
    /// The texts.
    pub t: &'static Texts,
    /// The language, as HTML says it.
    pub lang: &'static str,
    /// The page's title.
    pub title: String,
    /// The hospital's name.
    pub hospital: String,
    /// Where somebody may go from here.
    pub nav: Vec<Place>,
    /// The person who has signed in.
    pub person: Option<String>,
    /// What forms carry.
    pub token: String,
    /// The page, to come back to when the language was changed.
    pub path: String,
    /// The zone of every time on the page.
    pub zone: String,
}

/// An entry of the navigation.
pub struct Place {
    /// Where it leads.
    pub href: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// Whether the page is it, or below it.
    pub current: bool,
}

/// The frame of a page.
#[must_use]
pub fn frame(request: &Request, title: &str) -> Frame {
    let hospital = request.console.gate.config().hospital.clone();
    Frame {
        t: request.t(),
        lang: language_tag(request.language),
        title: title.to_owned(),
        hospital: hospital.name,
        nav: nav(request),
        person: request.who.as_ref().map(|who| who.person.name.clone()),
        token: request.who.as_ref().map_or_else(String::new, |who| who.token.clone()),
        path: request.path.clone(),
        zone: hospital.zone.name().to_owned(),
    }
}

/// The places, of those that the matrix lets the person go to.
fn nav(request: &Request) -> Vec<Place> {
    let Some(who) = &request.who else { return Vec::new() };
    let mine: Vec<Column> = columns(Some(&who.person));
    let path = request.path.split('?').next().unwrap_or_default();
    let below = |href: &str| path == href || path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
    let allowed = |href: &str| {
        request.console.matrix.row("GET", href).is_some_and(|row| mine.iter().any(|column| row.contains(column)))
    };
    let places = request.t().places();
    places
        .into_iter()
        .filter(|(href, _)| allowed(href))
        .map(|(href, label)| Place { href, label, current: below(href) })
        .collect()
}

/// A page, or the plain word that it could not be made.
#[must_use]
pub fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(fault) => {
            tracing::error!(%fault, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that is shown.
///
/// # Errors
/// Never; so that pages end with it.
pub fn shown(page: &impl Template) -> Result<Response, Fault> {
    Ok(render(StatusCode::OK, page))
}

/// An answer, with what the guard is to know of it.
pub fn with(known: impl IntoResponseParts, page: Response) -> Response {
    (known, page).into_response()
}

/// A page with scripts of ours.
pub fn scripted(status: StatusCode, page: &impl Template) -> Response {
    with(Extension(Loads::Scripts), render(status, page))
}

/// The language that a tag such as `en-US` names.
#[must_use]
pub fn language_of(tag: &str) -> Option<Language> {
    match tag.split('-').next()?.to_ascii_lowercase().as_str() {
        "ja" => Some(Language::Ja),
        "en" => Some(Language::En),
        _ => None,
    }
}

/// Something to be said in place of a page.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// The frame.
    pub frame: Frame,
    /// What happened, and what to do.
    pub text: &'static str,
    /// What exactly, where that is known; English where it comes from below.
    pub detail: &'a str,
    /// What was typed, so that nothing is lost.
    pub form: &'a [(String, String)],
}

/// Why a form is shown once more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The sign-in has ended meanwhile.
    SignedOut,
    /// Somebody signed in anew since it was opened.
    Confirm,
    /// It asks for a code.
    Code {
        /// One was given and was wrong.
        wrong: bool,
        /// A passkey would do as well.
        passkey: bool,
    },
}

/// A form that was sent, to be sent once more: nothing that was typed is lost.
#[derive(Template)]
#[template(path = "again.html")]
pub struct AgainPage {
    frame: Frame,
    p: &'static passkeys::Texts,
    why: Again,
    text: &'static str,
    fields: Vec<(String, String)>,
}

impl AgainPage {
    /// The page for a form that could not be taken yet.
    #[must_use]
    pub fn new(request: &Request, why: Again) -> Self {
        let t = request.t();
        let (title, text) = match why {
            Again::SignedOut => (t.signed_out, t.signed_out_text),
            Again::Confirm => (t.confirm, t.confirm_text),
            Again::Code { wrong: false, .. } => (t.code_wanted, t.code_wanted_text),
            Again::Code { wrong: true, .. } => (t.code_wanted, t.code_wrong),
        };
        Self {
            frame: frame(request, title),
            p: passkeys::Texts::of(request.language),
            why,
            text,
            fields: request.form.kept(),
        }
    }

    fn wants_code(&self) -> bool {
        matches!(self.why, Again::Code { .. })
    }

    fn wants_passkey(&self) -> bool {
        matches!(self.why, Again::Code { passkey: true, .. })
    }

    fn wrong(&self) -> bool {
        matches!(self.why, Again::Code { wrong: true, .. })
    }

    fn signed_out(&self) -> bool {
        self.why == Again::SignedOut
    }
}
