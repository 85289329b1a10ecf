//! Why a page is not shown, and what is shown instead.

use super::page::{self, Again, Message};
use super::visit::Request;
use crate::people::PeopleError;
use crate::people::proving::ProvingError;
use crate::registry::RegistryFault;
use crate::store::StoreError;
use crate::work::WorkFault;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use sekimori_policy::authority::Refusal;
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::Language;
use std::sync::Arc;

/// Why a page is not shown. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no such page, or nothing of that name.
    #[error("not found")]
    NotFound,
    /// Nobody has signed in.
    #[error("nobody has signed in")]
    SignIn,
    /// The roles do not allow it; whom to ask is said.
    #[error("the roles do not allow this page")]
    Role,
    /// The roles, or whose request it is, do not allow the act.
    #[error("{0}")]
    Refused(Refusal),
    /// It was not sent by a page of ours.
    #[error("the form came from elsewhere")]
    Elsewhere,
    /// The form is older than the sign-in: it is shown once more, to be confirmed.
    #[error("the form is of another sign-in")]
    OldForm,
    /// The act asks for the second factor.
    #[error("a code is wanted")]
    CodeWanted {
        /// One was given and was wrong.
        wrong: bool,
        /// A passkey would do as well.
        passkey: bool,
    },
    /// What was sent cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else was faster, or the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The rules of work and windows do not allow it.
    #[error(transparent)]
    Policy(Box<PolicyError>),
    /// Something that work names is not there, or cannot be asked for.
    #[error(transparent)]
    Work(Box<WorkFault>),
    /// What was to be registered cannot be, or not by this person.
    #[error(transparent)]
    Registry(RegistryFault),
    /// The database has another state than the act rests on.
    #[error(transparent)]
    Kept(Box<StoreError>),
    /// Too much, or too slowly.
    #[error("the form is too large or came too slowly")]
    TooMuch,
    /// The database, or another part of the gateway, failed.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for Fault {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Unknown { .. } | StoreError::Ambiguous { .. } => Self::NotFound,
            StoreError::Exists { .. } | StoreError::Conflict { .. } | StoreError::LastAdministrator { .. } => {
                Self::Kept(Box::new(fault))
            }
            StoreError::Invalid { .. } => Self::Invalid(fault.to_string()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}

impl From<ProvingError> for Fault {
    fn from(fault: ProvingError) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<PeopleError> for Fault {
    fn from(fault: PeopleError) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RegistryFault> for Fault {
    fn from(fault: RegistryFault) -> Self {
        match fault {
            RegistryFault::Store(fault) => (*fault).into(),
            RegistryFault::Refused(refusal) => refusal.into(),
            RegistryFault::Flaws(_) | RegistryFault::Changed { .. } => Self::Registry(fault),
        }
    }
}

impl From<PolicyError> for Fault {
    fn from(fault: PolicyError) -> Self {
        match fault {
            PolicyError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Policy(Box::new(other)),
        }
    }
}

/// Carried to the guard, which knows the language and the form.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// What is served where no route is.
pub async fn not_found() -> Fault {
    Fault::NotFound
}

/// The page that says it.
pub fn answer(fault: &Fault, request: &Request) -> Response {
    let t = request.t();
    let (status, title, text, detail) = match fault {
        Fault::SignIn if request.form.kept().is_empty() => {
            let next: String = form_urlencoded::byte_serialize(request.path.as_bytes()).collect();
            return Redirect::to(&format!("/sign-in?next={next}")).into_response();
        }
        Fault::SignIn => return again(request, StatusCode::UNAUTHORIZED, Again::SignedOut),
        Fault::OldForm => return again(request, StatusCode::FORBIDDEN, Again::Confirm),
        Fault::CodeWanted { wrong, passkey } => {
            return again(request, StatusCode::FORBIDDEN, Again::Code { wrong: *wrong, passkey: *passkey });
        }
        Fault::NotFound => (StatusCode::NOT_FOUND, t.not_found, t.not_found_text, String::new()),
        Fault::Role => (StatusCode::FORBIDDEN, t.forbidden, t.forbidden_text, String::new()),
        Fault::Refused(refusal) => {
            (StatusCode::FORBIDDEN, t.forbidden, t.refused_text, refusal.sentence(request.language))
        }
        Fault::Elsewhere => (StatusCode::FORBIDDEN, t.elsewhere, t.elsewhere_text, String::new()),
        Fault::Invalid(why) => (StatusCode::UNPROCESSABLE_ENTITY, t.invalid, t.invalid_text, why.clone()),
        Fault::Conflict(why) => (StatusCode::CONFLICT, t.conflict, t.conflict_text, why.clone()),
        Fault::Policy(why) => {
            let (status, title, text) = match **why {
                PolicyError::WrongState { .. } => (StatusCode::CONFLICT, t.conflict, t.conflict_text),
                _ => (StatusCode::UNPROCESSABLE_ENTITY, t.invalid, t.invalid_text),
            };
            (status, title, text, why.sentence(request.language))
        }
        Fault::Work(why) => {
            let (status, title, text) = match **why {
                WorkFault::Busy => (StatusCode::CONFLICT, t.conflict, t.conflict_text),
                _ => (StatusCode::UNPROCESSABLE_ENTITY, t.invalid, t.invalid_text),
            };
            (status, title, text, why.sentence(request.language))
        }
        Fault::Registry(RegistryFault::Flaws(flaws)) => {
            let sentences: Vec<_> = flaws.iter().map(|flaw| flaw.problem.sentence(request.language)).collect();
            (StatusCode::UNPROCESSABLE_ENTITY, t.invalid, t.invalid_text, sentences.join(" "))
        }
        Fault::Registry(RegistryFault::Changed { id }) => {
            (StatusCode::CONFLICT, t.conflict, t.conflict_text, id.clone())
        }
        Fault::Registry(fault) => (StatusCode::CONFLICT, t.conflict, t.conflict_text, fault.to_string()),
        Fault::Kept(fault) => {
            (StatusCode::CONFLICT, t.conflict, t.conflict_text, kept_sentence(fault, request.language))
        }
        Fault::TooMuch => (StatusCode::PAYLOAD_TOO_LARGE, t.too_much, t.too_much_text, String::new()),
        Fault::Failed(why) => {
            tracing::error!(path = request.path, fault = why, "a page could not be shown");
            (StatusCode::INTERNAL_SERVER_ERROR, t.failed, t.failed_text, String::new())
        }
    };
    let message = Message { frame: page::frame(request, title), text, detail: &detail, form: &request.form.kept() };
    page::render(status, &message)
}

fn again(request: &Request, status: StatusCode, why: Again) -> Response {
    let page = page::AgainPage::new(request, why);
    if matches!(why, Again::Code { passkey: true, .. }) {
        page::scripted(status, &page)
    } else {
        page::render(status, &page)
    }
}

/// What the database has against it, in the page's language.
fn kept_sentence(fault: &StoreError, language: Language) -> String {
    match (language, fault) {
        (Language::Ja, StoreError::Exists { id, .. }) => format!("「{id}」はすでに登録されています。"),
        (Language::Ja, StoreError::Conflict { id, .. }) => format!("「{id}」は、ほかの人が先に変更しました。"),
        (Language::Ja, StoreError::LastAdministrator { person }) => format!(
            "「{person}」は利用者を管理できる最後の人です。先に、ほかの人にシステム運用担当者の役割を与えてください。"
        ),
        _ => fault.to_string(),
    }
}

/// A language, as HTML and HTTP name it.
#[must_use]
pub fn language_tag(language: Language) -> &'static str {
    match language {
        Language::Ja => "ja",
        Language::En => "en",
    }
}
