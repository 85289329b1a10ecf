//! Forms of many fields: each knows its label, what was typed and what is wrong with it. A form that cannot be taken comes
//! back with all that was typed, but secrets; one that was overtaken shows beside each field what is there now.

use super::fault::Fault;
use super::page::{self, Frame};
use super::registry_texts;
use super::visit::{Fields, Request};
use crate::registry::{Flaw, Problem, RegistryFault};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

/// How a field is filled in.
pub enum Input {
    /// One line.
    Line,
    /// One line of something that is typed exactly.
    Code,
    /// Several lines of such.
    Codes,
    /// A day.
    Day,
    /// A secret: never sent back.
    Secret,
    /// A secret of several lines, likewise.
    SecretLines,
    /// One of many.
    Pick(Vec<Choice>),
    /// One of these.
    One(Vec<Choice>),
    /// Any of these.
    Any(Vec<Choice>),
}

/// Something to choose.
pub struct Choice {
    /// As it is sent.
    pub value: String,
    /// As it is called.
    pub label: String,
    chosen: bool,
}

impl Choice {
    /// A choice, nothing chosen yet.
    pub fn new(value: impl ToString, label: impl ToString) -> Self {
        Self { value: value.to_string(), label: label.to_string(), chosen: false }
    }
}

/// One field.
pub struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    input: Input,
    required: bool,
    most: usize,
    value: String,
    error: Option<String>,
    /// What is kept now, where that is not what was typed.
    now: Option<String>,
}

impl Field {
    /// A field with its name, label and hint.
    pub fn new(name: &'static str, label: &'static str, hint: &'static str, input: Input) -> Self {
        let most = if matches!(input, Input::Codes | Input::SecretLines) { 8000 } else { 500 };
        Self { name, label, hint, input, required: false, most, value: String::new(), error: None, now: None }
    }

    /// The same, to be filled in.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn fill(&mut self, values: &Fields) {
        match &mut self.input {
            Input::Secret | Input::SecretLines => {}
            Input::Pick(choices) => {
                choices.iter_mut().for_each(|choice| choice.chosen = choice.value == values.one(self.name));
            }
            Input::One(choices) | Input::Any(choices) => {
                for choice in choices {
                    choice.chosen = values.all(self.name).any(|value| value == choice.value);
                }
            }
            Input::Line | Input::Code | Input::Codes | Input::Day => self.value = values.one(self.name).to_owned(),
        }
    }

    /// What is kept now, in the words of the form.
    fn beside(&mut self, kept: &Fields, nothing: &str) {
        let now = match &self.input {
            Input::Secret | Input::SecretLines => return,
            Input::Pick(choices) => {
                let is = |choice: &&Choice| choice.value == kept.one(self.name);
                if choices.iter().all(|choice| is(&choice) == choice.chosen) {
                    return;
                }
                choices.iter().find(is).map(|choice| choice.label.clone()).unwrap_or_default()
            }
            Input::One(choices) | Input::Any(choices) => {
                let is = |choice: &&Choice| kept.all(self.name).any(|value| value == choice.value);
                if choices.iter().all(|choice| is(&choice) == choice.chosen) {
                    return;
                }
                choices.iter().filter(is).map(|choice| choice.label.clone()).collect::<Vec<_>>().join(", ")
            }
            Input::Line | Input::Code | Input::Codes | Input::Day => {
                if same(kept.one(self.name), &self.value) {
                    return;
                }
                kept.one(self.name).to_owned()
            }
        };
        self.now = Some(if now.is_empty() { nothing.to_owned() } else { now });
    }

    fn is_choice(&self) -> bool {
        matches!(self.input, Input::One(_) | Input::Any(_))
    }

    fn described(&self) -> bool {
        !self.hint.is_empty() || self.error.is_some() || self.now.is_some()
    }
}

/// Browsers send lines with another end than they got.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// A form.
pub struct Form {
    /// Where it is sent.
    pub action: String,
    /// Where one goes without sending it.
    pub back: String,
    /// What it is about.
    pub lead: &'static str,
    /// The word on the button.
    pub submit: &'static str,
    /// What its page was made from.
    pub seen: String,
    /// The fields.
    pub fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    frame: Frame,
    r: &'static registry_texts::Texts,
    form: Form,
    /// What is wrong with no field in particular.
    notice: Option<String>,
}

impl Form {
    /// The form with these values, to be filled in.
    ///
    /// # Errors
    /// Never; so that pages end with it.
    pub fn shown(mut self, visit: &Request, title: &str, values: &Fields) -> Result<Response, Fault> {
        self.fill(values);
        page::shown(&FormPage { frame: page::frame(visit, title), r: visit.r(), form: self, notice: None })
    }

    /// The form once more, with what was typed and what is wrong with it. `kept` is what is there now, and its revision.
    ///
    /// # Errors
    /// What no field is to blame for.
    pub fn again(
        mut self,
        visit: &Request,
        title: &str,
        fault: RegistryFault,
        kept: Option<(Fields, String)>,
    ) -> Result<Response, Fault> {
        self.fill(&visit.form);
        visit.form.one("seen").clone_into(&mut self.seen);
        let (status, notice) = match fault {
            RegistryFault::Flaws(flaws) => (StatusCode::UNPROCESSABLE_ENTITY, self.blame(visit, flaws)),
            RegistryFault::Changed { .. } => {
                let (kept, seen) = kept.unwrap_or_default();
                self.seen = seen;
                self.fields.iter_mut().for_each(|field| field.beside(&kept, visit.t().none));
                (StatusCode::CONFLICT, Some(visit.r().overtaken.to_owned()))
            }
            other => return Err(other.into()),
        };
        Ok(page::render(status, &FormPage { frame: page::frame(visit, title), r: visit.r(), form: self, notice }))
    }

    fn fill(&mut self, values: &Fields) {
        self.fields.iter_mut().for_each(|field| field.fill(values));
    }

    /// Writes each flaw beside its field; what belongs to none is returned.
    fn blame(&mut self, visit: &Request, flaws: Vec<Flaw>) -> Option<String> {
        let mut rest = Vec::new();
        for flaw in flaws {
            let sentence = flaw.problem.sentence(visit.language);
            match self.fields.iter_mut().find(|field| field.name == flaw.field) {
                Some(field) => _ = field.error.get_or_insert(sentence),
                None => rest.push(sentence),
            }
        }
        (!rest.is_empty()).then(|| rest.join(" "))
    }

    fn flawed(&self) -> bool {
        self.fields.iter().any(|field| field.error.is_some())
    }
}

/// Collects what is wrong while values are read, so that all of it is told at once.
#[derive(Default)]
pub struct Flaws(Vec<Flaw>);

impl Flaws {
    /// The value, or its flaw noted.
    pub fn read<T>(&mut self, field: &'static str, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.0.push(Flaw::new(field, problem))).ok()
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn sound<T>(self, read: Option<T>) -> Result<T, RegistryFault> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(RegistryFault::Flaws(self.0)),
        }
    }
}
