//! What every request goes through: who this is, whether the matrix lets them call the route, whether a form came from
//! a page of ours. A page is reached by no other way.

use super::fault::{self, Fault};
use super::matrix;
use super::server::Peer;
use super::upload::{self, Uploads};
use super::visit::{Fields, Request, SignedIn, Visit};
use super::{Console, join, page};
use crate::config::Config;
use crate::people::token::hash;
use crate::store::ConsoleSignIn;
use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN,
    REFERRER_POLICY, USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::Kind;
use sekimori_policy::facts::{Language, Person, Source, Status};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The cookie of a sign-in. The prefix binds it to this host, over TLS, whatever other hosts say.
pub const COOKIE_NAME: &str = "__Host-sekimori";
/// The cookie of a language that was chosen.
pub const LANGUAGE_COOKIE: &str = "__Host-language";

/// The largest form.
const FORM_BYTES: usize = 64 << 10;
/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(30);
/// How long an answer may take: the throttle makes somebody who guesses wait for up to a minute.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// What a page may load and do, where it says nothing else ([`Loads`]): our own style sheet; no script, no frame, no form
/// to elsewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page loads beyond [`POLICY`]: an answer carries it to the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// Scripts of ours, which ask this host.
    Scripts,
    /// Those, and xterm.js, which writes styles into the page.
    Terminal,
}

impl Loads {
    fn policy(self) -> &'static str {
        match self {
            Self::Scripts => {
                "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
                 form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            }
            Self::Terminal => {
                "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; \
                 img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            }
        }
    }
}

/// Lets a request through to its page, or answers in its place.
pub async fn guard(
    State(console): State<Arc<Console>>,
    Extension(peer): Extension<Peer>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let path = match route.as_deref() {
        // The token of an invitation stands in no page and no log.
        Some(join::LINK) => join::PAGE.to_owned(),
        _ => parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
    };
    let mut asked = Request {
        language: language(&parts.headers, console.gate.config().hospital.language),
        console,
        who: None,
        source: peer.source,
        path,
        query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
        form: Fields::default(),
        uploads: Uploads::default(),
        agent: agent(&parts.headers),
        origin: origin(&parts.headers),
        joining: cookie(&parts.headers, join::COOKIE_NAME).map(|token| Zeroizing::new(token.to_owned())),
    };
    let admitted = admit(&mut asked, &parts.method, route.as_deref(), &parts.headers, body, &peer).await;
    let asked = Arc::new(asked);
    let response = match admitted {
        Err(fault) => fault::answer(&fault, &asked),
        Ok(()) => {
            parts.extensions.insert(Visit(asked.clone()));
            let served = next.run(axum::extract::Request::from_parts(parts, Body::empty()));
            match tokio::time::timeout(ANSWER_TIME, served).await {
                Err(_) => fault::answer(&Fault::Failed("it took too long".into()), &asked),
                Ok(response) => match response.extensions().get::<Arc<Fault>>().cloned() {
                    Some(fault) => fault::answer(&fault, &asked),
                    None => response,
                },
            }
        }
    };
    with_headers(response)
}

/// Whether the route may be called. What the request says of itself is added to `asked`.
async fn admit(
    asked: &mut Request,
    method: &Method,
    route: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    peer: &Peer,
) -> Result<(), Fault> {
    let console = asked.console.clone();
    if let Some(token) = cookie(headers, COOKIE_NAME) {
        asked.who = Box::pin(signed_in(&console, token, asked.source)).await?;
    }
    if let Some(who) = &asked.who {
        peer.place.keep();
        if cookie(headers, LANGUAGE_COOKIE).is_none() {
            asked.language = who.person.language;
        }
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let asked_as = if reads { "GET" } else { method.as_str() };
    let row = route.and_then(|route| console.matrix.row(asked_as, route)).ok_or(Fault::NotFound)?;
    let columns = matrix::columns(asked.who.as_ref().map(|who| &who.person));
    let listed = columns.iter().any(|column| row.contains(column));
    if !reads {
        from_a_page_of_ours(headers)?;
        if route.is_some_and(|route| upload::ROUTES.contains(&route)) && !is_plain(headers) {
            (asked.form, asked.uploads) = with_files(&console, headers, body, listed).await?;
        } else {
            asked.form = form(headers, body).await?;
        }
    }
    if !listed {
        if asked.who.is_none() {
            return Err(Fault::SignIn);
        }
        let event = asked.event(Kind::AccessDenied, json!({ "console": route, "reasons": ["role-missing"] }))?;
        let event = sekimori_audit::event::Event { person: event.actor.person.clone(), ..event };
        console.gate.store.record(event).await?;
        return Err(Fault::Role);
    }
    match &asked.who {
        // The sign-in's own forms have no token: there is no sign-in yet. Where they came from was checked.
        _ if route.is_some_and(|route| route == "/sign-in" || route.starts_with("/sign-in/")) => Ok(()),
        Some(who) if !reads && !same(asked.form.one("token"), &who.token) => Err(Fault::OldForm),
        _ => Ok(()),
    }
}

/// Whoever holds this token, if the sign-in stands: the person is active and may come from here, it was made from here,
/// nobody ended it, and neither limit has passed.
async fn signed_in(console: &Console, token: &str, source: Source) -> Result<Option<SignedIn>, Fault> {
    let key = hash("sign-in", token);
    let Some((sign_in, person)) = holder(console, &key, source).await? else { return Ok(None) };
    let now = Utc::now();
    if now - sign_in.seen >= TimeDelta::minutes(1) {
        console.gate.store.saw_console_sign_in(sign_in.sign_in.id, now).await?;
    }
    Ok(Some(SignedIn { person, sign_in, key, token: hash("form", token) }))
}

/// The same by what the store knows the token by. It does not count as a use.
///
/// # Errors
/// When the database does not answer.
pub async fn holder(console: &Console, key: &str, source: Source) -> Result<Option<(ConsoleSignIn, Person)>, Fault> {
    let store = &console.gate.store;
    let Some((sign_in, person)) = store.console_sign_in(key).await? else { return Ok(None) };
    let now = Utc::now();
    let stands = sign_in.sign_in.revoked.is_none()
        && sign_in.sign_in.source == source
        && person.status == Status::Active
        && now < ends(&console.gate.config(), sign_in.sign_in.proved_at, sign_in.seen);
    if !stands || !store.source_is_allowed_for(&person, source).await? {
        return Ok(None);
    }
    Ok(Some((sign_in, person)))
}

/// When a sign-in ends, as things stand: idle, in any case, or with the age that the hospital lets factors have.
fn ends(config: &Config, proved: DateTime<Utc>, seen: DateTime<Utc>) -> DateTime<Utc> {
    let idle = seen + TimeDelta::minutes(i64::from(config.console.idle_minutes));
    let whole = whole(config, proved);
    let aged = config.demands.factors_max_age_minutes.map(|minutes| proved + TimeDelta::minutes(i64::from(minutes)));
    idle.min(whole).min(aged.unwrap_or(whole))
}

/// When a sign-in ends in any case.
#[must_use]
pub fn whole(config: &Config, proved: DateTime<Utc>) -> DateTime<Utc> {
    proved + TimeDelta::hours(i64::from(config.console.sign_in_hours))
}

pub fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Browsers say where a form was sent from, and which page opens a WebSocket; whoever does not is none.
///
/// # Errors
/// [`Fault::Elsewhere`].
pub fn from_a_page_of_ours(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = text(HOST).is_some_and(|host| text(ORIGIN) == Some(&format!("https://{host}")));
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if ours && site { Ok(()) } else { Err(Fault::Elsewhere) }
}

fn kind(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

/// Whether a form is one without files.
fn is_plain(headers: &HeaderMap) -> bool {
    kind(headers).split(';').next().map(str::trim) == Some("application/x-www-form-urlencoded")
}

/// A form with files, when it is its turn: the files of many at once do not fit into memory. Whoever may not send it takes
/// nobody's turn, and their files are kept nowhere.
async fn with_files(
    console: &Console,
    headers: &HeaderMap,
    body: Body,
    keep: bool,
) -> Result<(Fields, Uploads), Fault> {
    let time = if keep { upload::TIME } else { FORM_TIME };
    let read = async {
        let room = if keep { console.uploads.clone().acquire_owned().await.ok() } else { None };
        let (fields, files) = upload::read(kind(headers), body, keep && room.is_some()).await?;
        Ok((fields, Uploads { files, _room: room }))
    };
    tokio::time::timeout(time, read).await.map_err(|_| Fault::TooMuch)?
}

async fn form(headers: &HeaderMap, body: Body) -> Result<Fields, Fault> {
    if !is_plain(headers) {
        return Err(Fault::Elsewhere);
    }
    let read = tokio::time::timeout(FORM_TIME, axum::body::to_bytes(body, FORM_BYTES)).await;
    let Ok(Ok(bytes)) = read else { return Err(Fault::TooMuch) };
    Ok(Fields::parse(&bytes))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The language that was chosen here, else the one that the browser asks for first, else the hospital's.
fn language(headers: &HeaderMap, hospital: Language) -> Language {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|asked| asked.to_str().ok()).unwrap_or_default();
    let mut wanted = cookie(headers, LANGUAGE_COOKIE).into_iter().chain(asked.split([',', ';']));
    wanted.find_map(|tag| page::language_of(tag.trim())).unwrap_or(hospital)
}

fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.chars().take(200).collect()
}

/// `https://` and the host that the browser asked for, if it looks like one.
fn origin(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok())?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    (!host.is_empty() && host.len() <= 260 && host.chars().all(plain)).then(|| format!("https://{host}"))
}

fn with_headers(mut response: Response) -> Response {
    let policy = response.extensions().get().map_or(POLICY, |loads: &Loads| loads.policy());
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Not "no-referrer": browsers would then not say where a form came from.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_from_elsewhere_is_not_taken() {
        let ours = |pairs: &[(&'static str, &str)]| from_a_page_of_ours(&headers(pairs)).is_ok();
        assert!(ours(&[("host", "gate:8443"), ("origin", "https://gate:8443"), ("sec-fetch-site", "same-origin")]));
        assert!(!ours(&[("host", "gate:8443"), ("origin", "https://evil.example")]));
        assert!(!ours(&[("host", "gate:8443"), ("origin", "https://gate:8443"), ("sec-fetch-site", "same-site")]));
        assert!(!ours(&[("host", "gate:8443"), ("origin", "null")]));
        assert!(!ours(&[("host", "gate:8443")]));
    }

    #[test]
    fn the_language_is_the_chosen_one_then_the_browsers_then_the_hospitals() {
        let of = |pairs: &[(&'static str, &str)]| language(&headers(pairs), Language::Ja);
        assert_eq!(of(&[]), Language::Ja);
        assert_eq!(of(&[("accept-language", "fr,en-US;q=0.8,ja;q=0.5")]), Language::En);
        assert_eq!(of(&[("accept-language", "en"), ("cookie", "a=b; __Host-language=ja")]), Language::Ja);
    }

    #[test]
    fn a_sign_in_ends_when_idle_in_any_case_and_with_the_age_of_its_factors() {
        let read = |more: &str| Config::parse(&format!("[hospital]\nname = \"A\"\n{more}"), "/x".into()).unwrap();
        let (proved, minutes) = (DateTime::from_timestamp(1_800_000_000, 0).unwrap(), TimeDelta::minutes);
        let usual = read("");
        assert_eq!(ends(&usual, proved, proved + minutes(10)), proved + minutes(40));
        assert_eq!(ends(&usual, proved, proved + minutes(719)), proved + minutes(720));
        let strict = read("[demands]\nfactors_max_age_minutes = 15\n");
        assert_eq!(ends(&strict, proved, proved + minutes(10)), proved + minutes(15));
    }

    #[test]
    fn forms_of_another_sign_in_are_told_apart() {
        assert!(same("ab", "ab") && !same("ab", "ac") && !same("", "ab"));
    }
}
