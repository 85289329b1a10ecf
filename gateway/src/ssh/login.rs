//! Who is this? Factors in the order that stock clients bring them: a key first or not, then password and code.
//!
//! Unknown names, wrong passwords and wrong codes look alike: the same prompts, the same answer. The judgement itself
//! is [`crate::people::proving`]'s, which the console shares.

use super::server::Fault;
use super::texts;
use super::user_name::UserName;
use crate::gate::Gate;
use crate::people::proving::{Answers, Proving, Way};
use crate::session::Caller;
use crate::store::SignIn;
use chrono::Utc;
use russh::keys::Certificate;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use russh::server::Auth;
use russh::{MethodKind, MethodSet};
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{Factors, Method, Person, Source};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// One connection's sign-in, until it succeeds.
pub struct Login {
    gate: Arc<Gate>,
    source: Source,
    /// Everything below belongs to this user name; another one starts over.
    user: String,
    key: Option<String>,
    password: Option<Zeroizing<String>>,
    asked: Vec<Asked>,
    proving: Proving,
    done: Option<(Caller, UserName)>,
}

/// What the last prompts asked for, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Password,
    Code,
}

impl Login {
    /// A sign-in from this source, with nothing proved.
    pub fn new(gate: Arc<Gate>, source: Source) -> Self {
        let proving = Proving::new(gate.clone(), source, Way::Ssh);
        Self { gate, source, user: String::new(), key: None, password: None, asked: Vec::new(), proving, done: None }
    }

    /// The result, once.
    pub fn take(&mut self) -> Option<(Caller, UserName)> {
        self.done.take()
    }

    /// Binds what was proved to one user name.
    fn bind(&mut self, user: &str) {
        if self.user != user {
            self.user = user.to_owned();
            (self.key, self.password, self.done) = (None, None, None);
            self.asked.clear();
            self.proving.start_over();
        }
    }

    /// A key that the client could prove: a person's own, or one that carries a sign-in. Saying no spares a
    /// passphrase or a touch for keys that are of no use here, as OpenSSH does.
    pub async fn key_offered(&mut self, user: &str, key: &PublicKey) -> Result<Auth, Fault> {
        self.bind(user);
        let Some(person) = self.known_person().await? else { return Ok(Auth::reject()) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let welcome = self.owns(&person, &fingerprint).await? || self.carries(&person, &fingerprint).await?;
        Ok(if welcome { Auth::Accept } else { Auth::reject() })
    }

    async fn owns(&self, person: &Person, fingerprint: &str) -> Result<bool, Fault> {
        Ok(self.gate.store.keys(&person.id).await?.iter().any(|key| key.fingerprint == fingerprint))
    }

    /// Whether a certificate for this key, from here, carries a sign-in now.
    async fn carries(&self, person: &Person, fingerprint: &str) -> Result<bool, Fault> {
        let carried = self.gate.store.carried_sign_ins(Utc::now()).await?;
        Ok(carried.iter().any(|sign_in| {
            sign_in.person == person.id
                && sign_in.source == self.source
                && sign_in.key_fingerprint.as_deref() == Some(fingerprint)
        }))
    }

    /// A key that was proved: possession. A factor of another kind has to follow.
    pub async fn key_proved(&mut self, user: &str, key: &PublicKey) -> Result<Auth, Fault> {
        self.bind(user);
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let Some(person) = self.known_person().await? else { return Ok(Auth::reject()) };
        if !self.owns(&person, &fingerprint).await? {
            return Ok(Auth::reject());
        }
        // OpenSSH tries a key before the certificate that lies beside it. While one carries a sign-in, the client is
        // asked for a key once more, and then moves on to the certificate; without one the password is next.
        let carried = self.carries(&person, &fingerprint).await?;
        let methods = [MethodKind::KeyboardInteractive, MethodKind::PublicKey];
        match self.key.replace(fingerprint) {
            None if carried => Ok(proceed(&methods)),
            Some(_) if carried => {
                Ok(Auth::Reject { proceed_with_methods: Some(MethodSet::from(&methods[..])), partial_success: false })
            }
            _ => Ok(proceed(&[MethodKind::KeyboardInteractive])),
        }
    }

    /// The `password` method: not advertised, so that OpenSSH does not ask the same thing again under another name, and
    /// answered for clients that know no other. With a key it completes the sign-in; without, the code is asked for
    /// next, whatever was typed: nothing is said about the password alone.
    pub async fn password(&mut self, user: &str, typed: &str) -> Result<Auth, Fault> {
        self.bind(user);
        let typed = Zeroizing::new(typed.to_owned());
        if self.wants_code() {
            self.password = Some(typed);
            return Ok(proceed(&[MethodKind::KeyboardInteractive]));
        }
        self.judge(typed, None).await
    }

    /// The `keyboard-interactive` method (RFC 4256): prompts, then answers.
    pub async fn interactive(&mut self, user: &str, answers: Option<Vec<bytes::Bytes>>) -> Result<Auth, Fault> {
        self.bind(user);
        let Some(answers) = answers else { return Ok(self.ask()) };
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() || answers.len() != asked.len() {
            return Ok(Auth::reject());
        }
        let mut password = self.password.take();
        let mut code = None;
        for (asked, answer) in asked.into_iter().zip(answers) {
            match asked {
                Asked::Password => password = Some(typed(answer)),
                Asked::Code => code = Some(typed(answer)),
            }
        }
        self.judge(password.unwrap_or_default(), code).await
    }

    fn ask(&mut self) -> Auth {
        self.asked.clear();
        let mut prompts = Vec::new();
        if self.password.is_none() {
            self.asked.push(Asked::Password);
            prompts.push((Cow::Borrowed(texts::PASSWORD), false));
        }
        if self.wants_code() {
            self.asked.push(Asked::Code);
            prompts.push((Cow::Borrowed(texts::CODE), false));
        }
        Auth::Partial { name: Cow::Borrowed(""), instructions: Cow::Borrowed(""), prompts: Cow::Owned(prompts) }
    }

    /// A code follows the password unless a key was proved and the hospital does not demand the code on top.
    fn wants_code(&self) -> bool {
        self.key.is_none() || self.gate.config().demands.methods.contains(&Method::Totp)
    }

    /// The person, if this is one who may sign in at all from here: everybody else is treated alike.
    async fn known_person(&self) -> Result<Option<Person>, Fault> {
        let target = UserName::parse(&self.user);
        Ok(self.proving.person(target.as_ref().map(|target| &target.person)).await?)
    }

    /// Judges password and code together.
    async fn judge(&mut self, password: Zeroizing<String>, code: Option<Zeroizing<String>>) -> Result<Auth, Fault> {
        let target = UserName::parse(&self.user);
        let name = self.user.split('+').next().unwrap_or_default();
        let answers = Answers { password, code, key: self.key.is_some() };
        match self.proving.judge(target.as_ref().map(|target| &target.person), name, answers).await? {
            Some((person, methods)) => self.succeed(person, methods).await,
            None => Ok(Auth::reject()),
        }
    }

    async fn succeed(&mut self, person: Person, methods: BTreeSet<Method>) -> Result<Auth, Fault> {
        let Some(target) = UserName::parse(&self.user) else { return Ok(Auth::reject()) };
        let id = Uuid::now_v7();
        let proved_at = Utc::now();
        let sign_in = SignIn {
            id,
            person: person.id.clone(),
            source: self.source,
            methods: methods.clone(),
            proved_at,
            key_fingerprint: self.key.clone(),
            certificate_serial: None,
            expires: None,
            revoked: None,
        };
        let event = Event {
            sign_in: Some(id),
            detail: json!({ "factors": methods, "key": self.key }),
            ..self.proving.event(&person, Kind::SignIn)
        };
        self.gate.store.open_sign_in(&sign_in, event).await?;
        let factors = Factors { methods, proved_at, until: None };
        let caller = Caller { person, factors, sign_in: id, source: self.source, carried: false };
        self.done = Some((caller, target));
        Ok(Auth::Accept)
    }

    /// A certificate of ours: the factors were proved when it was issued.
    pub async fn certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Fault> {
        self.bind(user);
        let Some(target) = UserName::parse(user) else { return Ok(Auth::reject()) };
        let Some(person) = self.known_person().await? else { return Ok(Auth::reject()) };
        let now = Utc::now();
        let checked = self.gate.user_ca.check(certificate, person.id.as_str(), self.source.address(), now);
        let checked = match checked {
            Ok(checked) => checked,
            Err(fault) => {
                tracing::info!(person = %person.id, %fault, "a certificate was refused");
                let event = Event {
                    detail: json!({ "certificate": fault.to_string() }),
                    ..self.proving.event(&person, Kind::SignInFailed)
                };
                self.gate.store.record(event).await?;
                return Ok(Auth::reject());
            }
        };
        let serial = i64::try_from(checked.serial).unwrap_or(-1);
        let Some(sign_in) = self.gate.store.sign_in_of_certificate(serial).await? else { return Ok(Auth::reject()) };
        let bound = sign_in.person == person.id
            && sign_in.source == self.source
            && sign_in.key_fingerprint.as_deref() == Some(&checked.fingerprint)
            && sign_in.revoked.is_none();
        if !bound {
            return Ok(Auth::reject());
        }
        let factors = Factors { methods: sign_in.methods, proved_at: sign_in.proved_at, until: sign_in.expires };
        let caller = Caller { person, factors, sign_in: sign_in.id, source: self.source, carried: true };
        self.done = Some((caller, target));
        Ok(Auth::Accept)
    }
}

/// What was typed. The bytes that it came in are erased. A text that is no UTF-8 is no password of ours; it is judged
/// like any wrong one.
fn typed(answer: bytes::Bytes) -> Zeroizing<String> {
    let text = Zeroizing::new(String::from_utf8_lossy(&answer).into_owned());
    if let Ok(mut bytes) = answer.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    text
}

fn proceed(methods: &[MethodKind]) -> Auth {
    Auth::Reject { proceed_with_methods: Some(MethodSet::from(methods)), partial_success: true }
}
