//! One request, with everything that a page needs of it: who, from where, in which language, and what was sent.

use super::Console;
use super::fault::Fault;
use super::passkeys;
use super::registry_texts;
use super::texts::Texts;
use super::upload::Uploads;
use crate::people::proving::{Proving, Way};
use crate::store::ConsoleSignIn;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, TimeDelta, Utc};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::authority::{Act, Authority, may};
use sekimori_policy::facts::{Language, Person, Source};
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A person who has signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The person, as kept now.
    pub person: Person,
    /// The sign-in.
    pub sign_in: ConsoleSignIn,
    /// What the store knows the browser's token by.
    pub key: String,
    /// What forms of ours carry, so that no other page can send them.
    pub token: String,
}

/// Names and values of a form or a query, in the order in which they were sent.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `name=value&…`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of a name, without blanks around it; empty where there is none.
    #[must_use]
    pub fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.trim())
    }

    /// The same with the blanks around it: a secret is what it is.
    #[must_use]
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }

    /// Fields as if they had been sent.
    #[must_use]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Fields as they were sent.
    #[must_use]
    pub fn sent(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// The same with values of their own.
    #[must_use]
    pub fn owned(fields: Vec<(&str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// All values of a name that are not empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    #[must_use]
    pub fn ticked(&self, name: &str) -> bool {
        !self.one(name).is_empty()
    }

    /// What may be sent once more: everything but secrets and the token.
    #[must_use]
    pub fn kept(&self) -> Vec<(String, String)> {
        let dropped = |name: &str| {
            let secret = name.starts_with("password") || name.starts_with("passkey_");
            secret || ["private_key", "code", "token"].contains(&name)
        };
        // A private key that went into the wrong field is one all the same.
        let kept = |(name, value): &&(String, String)| !dropped(name) && !value.contains("PRIVATE KEY-----");
        self.0.iter().filter(kept).cloned().collect()
    }
}

/// One request.
pub struct Request {
    /// The console.
    pub console: Arc<Console>,
    /// Who, if anybody has signed in.
    pub who: Option<SignedIn>,
    /// The language of the answer.
    pub language: Language,
    /// Where from.
    pub source: Source,
    /// The path asked for.
    pub path: String,
    /// What stands behind its question mark.
    pub query: Fields,
    /// The form.
    pub form: Fields,
    /// The files that came with it.
    pub uploads: Uploads,
    /// What the browser calls itself, shortened.
    pub agent: String,
    /// The address under which the browser found the console, as it says.
    pub origin: Option<String>,
    /// What a browser holds that opened an invitation.
    pub joining: Option<Zeroizing<String>>,
}

/// A request that the guard let through.
#[derive(Clone)]
pub struct Visit(pub Arc<Request>);

impl std::ops::Deref for Visit {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        // Without the guard there is none, and nothing is served.
        parts.extensions.get::<Self>().cloned().ok_or(Fault::NotFound)
    }
}

impl Request {
    /// The texts in the answer's language.
    #[must_use]
    pub fn t(&self) -> &'static Texts {
        Texts::of(self.language)
    }

    /// Those of the pages on vendors, people and devices.
    #[must_use]
    pub fn r(&self) -> &'static registry_texts::Texts {
        registry_texts::Texts::of(self.language)
    }

    /// Who has signed in.
    ///
    /// # Errors
    /// Nobody has: then the matrix lets nobody through to whoever asks.
    pub fn signed_in(&self) -> Result<&SignedIn, Fault> {
        self.who.as_ref().ok_or(Fault::NotFound)
    }

    /// The person, if their roles allow the act.
    ///
    /// # Errors
    /// [`Fault::Refused`] with the reason.
    pub fn authority(&self, act: Act) -> Result<Authority, Fault> {
        Ok(may(&self.signed_in()?.person, act)?)
    }

    /// Demands that the second factor was proved a moment ago; a code that the form carries proves it.
    ///
    /// # Errors
    /// [`Fault::CodeWanted`]: the form is shown once more, with a field for the code.
    pub async fn demand_second_factor(&self) -> Result<(), Fault> {
        let who = self.signed_in()?;
        let config = self.console.gate.config();
        let now = Utc::now();
        let fresh = TimeDelta::minutes(i64::from(config.console.step_up_minutes));
        if (TimeDelta::zero()..fresh).contains(&(now - who.sign_in.proved_again)) {
            return Ok(());
        }
        let code = self.form.one("code");
        let (proved, factor) = match Box::pin(passkeys::proved_again(self)).await? {
            Some(proved) => (proved, "passkey"),
            None if code.is_empty() => {
                return Err(Fault::CodeWanted { wrong: false, passkey: passkeys::usable(self).await? });
            }
            None => {
                let mut proving = Proving::new(self.console.gate.clone(), self.source, Way::Console);
                (Box::pin(proving.judge_code(&who.person, code)).await?, "totp")
            }
        };
        if !proved {
            return Err(Fault::CodeWanted { wrong: true, passkey: passkeys::usable(self).await? });
        }
        let event = self.event(Kind::SignInAgain, json!({ "factors": [factor] }))?;
        self.console.gate.store.prove_console_sign_in_again(who.sign_in.sign_in.id, event).await?;
        Ok(())
    }

    /// Who acts, for events.
    ///
    /// # Errors
    /// Nobody has signed in.
    pub fn actor(&self) -> Result<Actor, Fault> {
        Ok(Actor::person(self.signed_in()?.person.id.clone()))
    }

    /// An event of now, done by whoever has signed in.
    ///
    /// # Errors
    /// Nobody has.
    pub fn event(&self, kind: Kind, detail: Value) -> Result<Event, Fault> {
        Ok(Event {
            source: Some(self.source.address()),
            sign_in: Some(self.signed_in()?.sign_in.sign_in.id),
            detail,
            ..Event::new(Utc::now(), kind, self.actor()?)
        })
    }

    /// A time as people read it, in the hospital's zone, with the zone.
    #[must_use]
    pub fn show(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.console.gate.config().hospital.zone).format("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// The same without the year and the zone, for tables: the foot of the page names the zone.
    #[must_use]
    pub fn show_short(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.console.gate.config().hospital.zone).format("%m-%d %H:%M").to_string()
    }

    /// The same as a field for times holds it.
    #[must_use]
    pub fn show_local(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.console.gate.config().hospital.zone).format("%Y-%m-%dT%H:%M").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_sent_back_and_everything_else_is() {
        let fields = Fields::parse(
            "purpose=%E7%82%B9%E6%A4%9C+1&device=a&device=b&device=&code=123456&password=+x&password_again=+x\
             &private_key=k&token=t&ssh_key=-----BEGIN+PRIVATE+KEY-----"
                .as_bytes(),
        );
        assert_eq!(fields.one("purpose"), "点検 1");
        assert_eq!((fields.one("password"), fields.raw("password")), ("x", " x"));
        assert_eq!(fields.all("device").collect::<Vec<_>>(), ["a", "b"]);
        let kept: Vec<_> = fields.kept().into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["purpose", "device", "device", "device"]);
    }
}
