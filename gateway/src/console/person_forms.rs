//! The forms that add and change a person. Nobody sets another's password here.

use super::fault::Fault;
use super::forms::{Choice, Field, Flaws, Form, Input};
use super::people::known;
use super::vendors::lines;
use super::visit::{Fields, Request, Visit};
use crate::registry::{Problem, people, revision, typed};
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use ipnet::IpNet;
use sekimori_audit::event::Kind;
use sekimori_policy::authority::Act;
use sekimori_policy::facts::{HospitalRole, Language, Person, Status};
use sekimori_policy::id::{PersonId, VendorId};
use sekimori_policy::mail::MailAddress;
use serde_json::Value;
use std::collections::BTreeSet;

/// `GET /people/_new`.
pub async fn new(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let language = code(visit.console.gate.config().hospital.language);
    let values = Fields::of(&[("language", language), ("vendor", visit.query.one("vendor"))]);
    form(&visit, None).await?.shown(&visit, visit.r().add_person, &values)
}

/// `POST /people/_new`.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    match try_add(&visit).await {
        Ok(id) => Ok(Redirect::to(&format!("/people/{id}")).into_response()),
        Err(Fault::Registry(fault)) => form(&visit, None).await?.again(&visit, visit.r().add_person, fault, None),
        Err(other) => Err(other),
    }
}

async fn try_add(visit: &Request) -> Result<PersonId, Fault> {
    let mut flaws = Flaws::default();
    let id = flaws.read("id", typed::id::<PersonId>(visit.form.one("id")));
    let said = said(visit, &mut flaws);
    let (id, said) = flaws.sound(id.zip(said))?;
    visit.demand_second_factor().await?;
    let mut person = Person {
        id,
        name: String::new(),
        vendor: None,
        status: Status::Active,
        sources: Vec::new(),
        roles: BTreeSet::new(),
        language: Language::Ja,
        mail: None,
    };
    said.write(&mut person);
    let by = &visit.signed_in()?.person;
    people::add(&visit.console.gate.store, by, &person, visit.event(Kind::PersonAdd, Value::Null)?).await?;
    Ok(person.id)
}

/// `GET /people/{id}/change`.
pub async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let person = known(&visit, &id).await?;
    form(&visit, Some(&person)).await?.shown(&visit, visit.r().change_person, &values(&person))
}

/// `POST /people/{id}/change`.
pub async fn change(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ManagePeople)?;
    let person = known(&visit, &id).await?;
    match try_change(&visit, &person.id).await {
        Ok(()) => Ok(Redirect::to(&format!("/people/{id}")).into_response()),
        Err(Fault::Registry(fault)) => {
            let kept = known(&visit, &id).await?;
            let kept = (values(&kept), revision(&kept));
            form(&visit, Some(&person)).await?.again(&visit, visit.r().change_person, fault, Some(kept))
        }
        Err(other) => Err(other),
    }
}

async fn try_change(visit: &Request, id: &PersonId) -> Result<(), Fault> {
    let mut flaws = Flaws::default();
    let said = said(visit, &mut flaws);
    let said = flaws.sound(said)?;
    visit.demand_second_factor().await?;
    let by = &visit.signed_in()?.person;
    let (store, event) = (&visit.console.gate.store, visit.event(Kind::PersonChange, Value::Null)?);
    let edit = |person: &mut Person| said.write(person);
    people::change(store, by, id, Some(visit.form.one("seen")), event, edit).await?;
    Ok(())
}

/// What the form says of a person.
struct Said {
    name: String,
    vendor: Option<VendorId>,
    roles: BTreeSet<HospitalRole>,
    sources: Vec<IpNet>,
    language: Language,
    mail: Option<MailAddress>,
}

impl Said {
    fn write(self, person: &mut Person) {
        person.name = self.name;
        person.vendor = self.vendor;
        person.roles = self.roles;
        person.sources = self.sources;
        person.language = self.language;
        person.mail = self.mail;
    }
}

fn said(visit: &Request, flaws: &mut Flaws) -> Option<Said> {
    let form = &visit.form;
    let vendor = match form.one("vendor") {
        "" => Some(None),
        text => flaws.read("vendor", typed::id(text)).map(Some),
    };
    let role = |word: &str| {
        let found = HospitalRole::ALL.into_iter().find(|role| role_code(*role) == word);
        found.ok_or_else(|| Problem::Unknown(typed::short(word)))
    };
    let roles = flaws.read("roles", form.all("roles").map(role).collect::<Result<BTreeSet<_>, _>>());
    let sources = flaws.read("sources", typed::networks(form.one("sources")));
    let language = match form.one("language") {
        "ja" => Ok(Language::Ja),
        "en" => Ok(Language::En),
        _ => Err(Problem::Missing),
    };
    let language = flaws.read("language", language);
    let mail = flaws.read("mail", typed::mail(form.one("mail")));
    Some(Said {
        name: form.one("name").to_owned(),
        vendor: vendor?,
        roles: roles?,
        sources: sources?,
        language: language?,
        mail: mail?,
    })
}

/// A role, as forms have it.
fn role_code(role: HospitalRole) -> &'static str {
    match role {
        HospitalRole::Approver => "approver",
        HospitalRole::SafetyManager => "safety-manager",
        HospitalRole::Administrator => "administrator",
        HospitalRole::Auditor => "auditor",
        HospitalRole::Management => "management",
    }
}

fn code(language: Language) -> &'static str {
    match language {
        Language::Ja => "ja",
        Language::En => "en",
    }
}

/// A person as the form has them.
fn values(person: &Person) -> Fields {
    let fields = vec![
        ("name", person.name.clone()),
        ("vendor", person.vendor.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("sources", lines(&person.sources)),
        ("language", code(person.language).to_owned()),
        ("mail", person.mail.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    let roles = person.roles.iter().map(|role| ("roles", role_code(*role).to_owned()));
    Fields::owned(fields.into_iter().chain(roles).collect())
}

async fn form(visit: &Request, person: Option<&Person>) -> Result<Form, Fault> {
    let (t, r) = (visit.t(), visit.r());
    let current = person.and_then(|person| person.vendor.as_ref());
    let vendors = visit.console.gate.store.vendors().await?;
    let vendors = vendors.into_iter().filter(|one| one.status != Status::Retired || current == Some(&one.id));
    let vendors = vendors.map(|one| Choice::new(&one.id, format!("{} ({})", one.name, one.id)));
    let vendors = std::iter::once(Choice::new("", r.of_the_hospital)).chain(vendors).collect();
    let roles = HospitalRole::ALL.map(|role| Choice::new(role_code(role), role.label(visit.language))).into();
    let languages = vec![Choice::new("ja", r.japanese), Choice::new("en", r.english)];
    let id = || Field::new("id", r.id, r.id_hint, Input::Code).required();
    let fields = [
        Field::new("name", t.name, "", Input::Line).required(),
        Field::new("vendor", t.vendor, r.vendor_hint, Input::Pick(vendors)),
        Field::new("roles", t.roles, r.roles_hint, Input::Any(roles)),
        Field::new("sources", t.source, r.own_sources_hint, Input::Codes),
        Field::new("mail", r.mail, r.mail_hint, Input::Code),
        Field::new("language", r.language, r.language_hint, Input::One(languages)).required(),
    ];
    let (action, back) = match person {
        None => ("/people/_new".to_owned(), "/people".to_owned()),
        Some(person) => (format!("/people/{}/change", person.id), format!("/people/{}", person.id)),
    };
    Ok(Form {
        action,
        back,
        lead: if person.is_none() { r.person_lead } else { r.person_change_lead },
        submit: r.save,
        seen: person.map(revision).unwrap_or_default(),
        fields: person.is_none().then(id).into_iter().chain(fields).collect(),
    })
}
