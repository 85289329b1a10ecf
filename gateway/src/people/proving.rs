//! The judgement on passwords and codes, for SSH and the console alike: who is asked about, the throttle, the work that
//! is the same for everybody, and the event of a failure. What is asked for, and what follows, is each door's own.
//!
//! Unknown names, wrong passwords and wrong codes look alike and take alike. Failures count against a person only from
//! a source that is allowed for that person, so that strangers lock nobody out.

use super::PeopleError;
use super::passkey::{Assertion, Here, PasskeyFault};
use super::password::Verdict;
use super::throttle::{Admission, Throttle};
use super::{recovery, totp};
use crate::gate::Gate;
use crate::store::{Passkey, StoreError};
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::facts::{Method, Person, Source, Status};
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;
use zeroize::Zeroizing;

/// Why nothing could be judged. Whoever asked is to deny.
#[derive(Debug, thiserror::Error)]
pub enum ProvingError {
    /// The database: nobody signs in without it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password or code could not be looked at.
    #[error(transparent)]
    People(#[from] PeopleError),
}

/// Through which door somebody comes; events of the console say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// SSH.
    Ssh,
    /// The console.
    Console,
}

/// One caller's attempts to prove who they are, from one source.
pub struct Proving {
    gate: Arc<Gate>,
    source: Source,
    way: Way,
    attempts: u32,
}

/// What was answered.
pub struct Answers {
    /// The password.
    pub password: Zeroizing<String>,
    /// The one-time code, or a recovery code in its place, where one was asked for.
    pub code: Option<Zeroizing<String>>,
    /// Whether a key of the person's was proved before.
    pub key: bool,
}

/// For a person who has no seed: the same work. `spend_totp_step` would refuse it in any case.
const NOBODYS_SEED: [u8; 20] = [0; 20];

/// Adds the fields of one object to another's.
fn add(detail: &mut Value, more: Value) {
    if detail.is_null() {
        *detail = more;
    } else if let (Some(fields), Value::Object(more)) = (detail.as_object_mut(), more) {
        fields.extend(more);
    }
}

/// The name under which attempts count that are nobody's.
fn stranger(source: Source, with: &str) -> String {
    format!("? {source} {with}")
}

impl Proving {
    /// Nothing attempted yet.
    pub fn new(gate: Arc<Gate>, source: Source, way: Way) -> Self {
        Self { gate, source, way, attempts: 0 }
    }

    /// Another name is tried: attempts at one are not taken back by proving another.
    pub fn start_over(&mut self) {
        self.attempts = 0;
    }

    /// The person, if this is one who may sign in at all from here: everybody else is treated alike.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn person(&self, id: Option<&PersonId>) -> Result<Option<Person>, ProvingError> {
        let Some(id) = id else { return Ok(None) };
        let Some(person) = self.gate.store.person(id).await? else { return Ok(None) };
        let allowed = self.gate.store.source_is_allowed_for(&person, self.source).await?;
        Ok((person.status == Status::Active && allowed).then_some(person))
    }

    /// Judges all answers together. The same work is done for a person who does not exist; `typed` is the name as it was
    /// typed, which a stranger's attempts count under. `None`: not proved, and that is on record.
    ///
    /// # Errors
    /// When the database does not answer, or a password cannot be looked at.
    pub async fn judge(
        &mut self,
        id: Option<&PersonId>,
        typed: &str,
        answers: Answers,
    ) -> Result<Option<(Person, BTreeSet<Method>)>, ProvingError> {
        let person = self.person(id).await?;
        // Failures of strangers to this name count under a name of their own: nobody is locked out by others.
        let name = match &person {
            Some(person) => person.id.to_string(),
            None => stranger(self.source, typed),
        };
        let admitted = self.admitted(person.as_ref(), &name).await?;
        let proved = self.prove(person.as_ref(), answers).await?;
        match (person, proved) {
            (Some(person), Some(methods)) if admitted => {
                self.throttle().proved(self.source, &name, self.attempts);
                Ok(Some((person, methods)))
            }
            (person, _) => {
                self.fail(person).await?;
                Ok(None)
            }
        }
    }

    /// Judges one more code of a person who has signed in already. `false`: not proved, and that is on record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn judge_code(&mut self, person: &Person, code: &str) -> Result<bool, ProvingError> {
        let admitted = self.admitted(Some(person), person.id.as_str()).await?;
        let seed = self.gate.store.totp_seed(&person.id).await?;
        let step = seed.and_then(|seed| totp::matching_step(&seed, code, Utc::now()));
        let proved = match step {
            Some(step) if admitted => self.gate.store.spend_totp_step(&person.id, step).await?,
            _ => false,
        };
        if proved {
            self.throttle().proved(self.source, person.id.as_str(), self.attempts);
        } else {
            self.fail(Some(person.clone())).await?;
        }
        Ok(proved)
    }

    /// Judges a passkey's answer to a challenge that was open for `purpose`, of `who` where that is settled already.
    /// The challenge is spent whatever comes of it. `None`: not proved, and that is on record, with the reason.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn judge_passkey(
        &mut self,
        here: &Here,
        answer: Result<Assertion, PasskeyFault>,
        purpose: &str,
        who: Option<&PersonId>,
    ) -> Result<Option<(Person, Passkey)>, ProvingError> {
        let store = self.gate.store.clone();
        let passkey = match &answer {
            Ok(answer) => store.passkey(&answer.id).await?,
            Err(_) => None,
        };
        let person = match &passkey {
            Some(passkey) if who.is_none_or(|who| *who == passkey.person) => self.person(Some(&passkey.person)).await?,
            _ => None,
        };
        let name = match &person {
            Some(person) => person.id.to_string(),
            None => stranger(self.source, "passkey"),
        };
        let admitted = self.admitted(person.as_ref(), &name).await?;
        let open = match &answer {
            Err(fault) => Err(*fault),
            Ok(answer) => match answer.challenge() {
                Ok(id) if store.spend_challenge(&id, purpose, self.source, Utc::now()).await? => Ok(answer),
                Ok(_) => Err(PasskeyFault::Challenge),
                Err(fault) => Err(fault),
            },
        };
        let proved = match (open, &person, &passkey) {
            (Err(fault), _, _) => Err(fault),
            (Ok(answer), Some(_), Some(passkey)) if admitted => match answer.check(here, &passkey.key) {
                // Two answers with the same count prove nothing twice.
                Ok(counter) if store.count_passkey(&passkey.id, counter, Utc::now()).await? => Ok(()),
                Ok(_) => Err(PasskeyFault::Counter),
                Err(fault) => Err(fault),
            },
            _ => Err(PasskeyFault::Unknown),
        };
        match (person, passkey, proved) {
            (Some(person), Some(passkey), Ok(())) => {
                self.throttle().proved(self.source, &name, self.attempts);
                Ok(Some((person, passkey)))
            }
            (person, passkey, proved) => {
                let why = proved.err().unwrap_or(PasskeyFault::Unknown);
                let known = passkey.filter(|_| person.is_some()).map(|passkey| passkey.id);
                self.fail_with(person, json!({ "passkey": known, "why": why.to_string() })).await?;
                Ok(None)
            }
        }
    }

    /// Waits until an attempt at something that names its person itself is let through: it counts as a stranger's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn admit_stranger(&mut self, with: &str) -> Result<bool, ProvingError> {
        self.admitted(None, &stranger(self.source, with)).await
    }

    /// What was [admitted](Self::admit_stranger) was no guess.
    pub fn was_no_stranger(&self, with: &str) {
        self.throttle().proved(self.source, &stranger(self.source, with), self.attempts);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.gate.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the throttle lets this attempt through. `false`: locked until the hospital forgives the failures.
    async fn admitted(&mut self, person: Option<&Person>, name: &str) -> Result<bool, ProvingError> {
        let failures = match person {
            Some(person) => self.gate.store.failures(&person.id).await?,
            None => 0,
        };
        self.attempts += 1;
        loop {
            let admission = self.throttle().attempt(self.source, name, failures, Instant::now());
            match admission {
                Admission::Now => return Ok(true),
                Admission::Locked => return Ok(false),
                Admission::Later(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// The methods proved, if every one that was asked for was.
    async fn prove(&self, person: Option<&Person>, answers: Answers) -> Result<Option<BTreeSet<Method>>, ProvingError> {
        let Answers { password, code, key } = answers;
        let store = &self.gate.store;
        let (hash, seed) = match person {
            Some(person) => (store.password_hash(&person.id).await?, store.totp_seed(&person.id).await?),
            None => (None, None),
        };
        let verdict = self.gate.passwords.verify(password, hash).await?;
        let seed = seed.unwrap_or_else(|| Zeroizing::new(NOBODYS_SEED.to_vec()));
        let step = code.as_ref().and_then(|code| totp::matching_step(&seed, code, Utc::now()));
        let recovery = code.as_ref().and_then(|code| recovery::read(code));
        let Some(person) = person else { return Ok(None) };
        if verdict != Verdict::Proved || (code.is_some() && step.is_none() && recovery.is_none()) {
            return Ok(None);
        }
        let mut methods = BTreeSet::from([Method::Password]);
        if let Some(step) = step {
            if !store.spend_totp_step(&person.id, step).await? {
                return Ok(None);
            }
            methods.insert(Method::Totp);
        }
        if let Some(code) = recovery {
            let event = self.event(person, Kind::RecoveryCodeSpent);
            if !store.spend_recovery_code(&person.id, &code, event).await? {
                return Ok(None);
            }
            methods.insert(Method::RecoveryCode);
        }
        if key {
            methods.insert(Method::SshKey);
        }
        Ok(Some(methods))
    }

    async fn fail(&self, person: Option<Person>) -> Result<(), ProvingError> {
        self.fail_with(person, Value::Null).await
    }

    /// The same, with what is known of the reason.
    async fn fail_with(&self, person: Option<Person>, why: Value) -> Result<(), ProvingError> {
        match person {
            Some(person) => {
                let mut event = self.event(&person, Kind::SignInFailed);
                add(&mut event.detail, why);
                self.gate.store.sign_in_failed(&person.id, event).await?;
            }
            None => {
                // What was typed as a name may be a password typed too early: it is not written down.
                let mut detail = json!({ "person": "unknown, inactive or not allowed from here" });
                if self.way == Way::Console {
                    add(&mut detail, json!({ "console": true }));
                }
                add(&mut detail, why);
                let event = Event {
                    source: Some(self.source.address()),
                    detail,
                    ..Event::new(Utc::now(), Kind::SignInFailed, Actor::gateway())
                };
                self.gate.store.record(event).await?;
            }
        }
        Ok(())
    }

    /// An event about this person, from here.
    #[must_use]
    pub fn event(&self, person: &Person, kind: Kind) -> Event {
        let event = Event {
            person: Some(person.id.clone()),
            vendor: person.vendor.clone(),
            source: Some(self.source.address()),
            ..Event::new(Utc::now(), kind, Actor::person(person.id.clone()))
        };
        match self.way {
            Way::Ssh => event,
            Way::Console => Event { detail: json!({ "console": true }), ..event },
        }
    }
}
