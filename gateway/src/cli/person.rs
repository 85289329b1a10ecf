//! Verbs about people: one human, one ID. Their factors are in `factors`.

mod factors;
mod invite;

use super::context::Context;
use super::error::CliError;
use super::output;
use super::vendor::{network, networks, status};
use crate::registry::{Switch, people};
use ipnet::IpNet;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::authority::{Act, may_act_for};
use sekimori_policy::facts::{Attestation, HospitalRole, Language, Person, Status};
use sekimori_policy::id::{PersonId, VendorId};
use sekimori_policy::mail::{InvalidMail, MailAddress};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Verbs about people.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a person: a vendor's (--vendor) or the hospital's own (--role)
    Add {
        /// The person's ID
        id: PersonId,
        /// The person's name
        #[arg(long)]
        name: String,
        /// The vendor they work for
        #[arg(long, conflicts_with = "roles")]
        vendor: Option<VendorId>,
        #[command(flatten)]
        details: Details,
    },
    /// List all people
    List,
    /// Show one person
    Show {
        /// The person's ID
        id: PersonId,
    },
    /// Change what is given; the rest stays
    Change {
        /// The person's ID
        id: PersonId,
        /// The person's name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Switch a person off for a time: their sessions end
    Suspend {
        /// The person's ID
        id: PersonId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch a suspended person on again
    Resume {
        /// The person's ID
        id: PersonId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Switch a person off for good: nobody switches them on again
    Retire {
        /// The person's ID
        id: PersonId,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Set a person's password, typed twice
    Password {
        /// The person's ID
        id: PersonId,
        /// Read it from standard input, one line
        #[arg(long)]
        stdin: bool,
    },
    /// Enrol a new authenticator: prints the QR code and the secret once
    Totp {
        /// The person's ID
        id: PersonId,
    },
    /// Invite a person to enrol in the browser: prints the link and its QR code once, or mails the link
    Invite {
        /// The person's ID
        id: PersonId,
        /// Write it also as a page to print, into a file that does not exist
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
        /// Mail the link to the person, and show it to nobody
        #[arg(long, conflicts_with = "page")]
        mail: bool,
    },
    /// Take all factors away: password, authenticator, recovery codes, passkeys, SSH keys; sign-ins and invitations end
    ResetFactors {
        /// The person's ID
        id: PersonId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Forgive a person's failed sign-ins, once it is sure who it is
    Unlock {
        /// The person's ID
        id: PersonId,
    },
    /// SSH keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Record that a person's terminal is safe (接続端末の安全確認)
    Attest {
        /// The person's ID
        id: PersonId,
        /// OS and software are supported and patched
        #[arg(long)]
        patched: bool,
        /// A malware scan found nothing
        #[arg(long)]
        scanned: bool,
        /// Until when it counts
        #[arg(long, value_name = "TIME")]
        until: String,
        /// What it rests on
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Verbs about SSH keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Add a public key from a file (`-` is standard input)
    Add {
        /// The person's ID
        id: PersonId,
        /// An OpenSSH public key file
        file: PathBuf,
    },
    /// List a person's keys
    List {
        /// The person's ID
        id: PersonId,
    },
    /// Remove a key
    Remove {
        /// The person's ID
        id: PersonId,
        /// `SHA256:…`
        fingerprint: String,
    },
}

/// What may be said of a person.
#[derive(Debug, clap::Args)]
pub struct Details {
    /// A role at the hospital; repeat for more
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<HospitalRole>,
    /// A network the person comes from; repeat for more
    #[arg(long = "source", value_name = "CIDR", value_parser = network)]
    sources: Vec<IpNet>,
    /// The language of prompts: ja or en
    #[arg(long, value_parser = language)]
    language: Option<Language>,
    /// Where they get mail, or `none`
    #[arg(long, value_name = "ADDRESS", value_parser = mail)]
    mail: Option<Mail>,
}

/// A mail address as it is typed, or none.
#[derive(Debug, Clone)]
struct Mail(Option<MailAddress>);

/// The roles as they are typed.
const ROLES: [(&str, HospitalRole); 5] = [
    ("approver", HospitalRole::Approver),
    ("safety_manager", HospitalRole::SafetyManager),
    ("administrator", HospitalRole::Administrator),
    ("auditor", HospitalRole::Auditor),
    ("management", HospitalRole::Management),
];

fn role(text: &str) -> Result<HospitalRole, String> {
    let found = ROLES.iter().find(|(name, _)| *name == text.replace('-', "_")).map(|(_, role)| *role);
    found.ok_or_else(|| format!("{text} is no role: {}", ROLES.map(|(name, _)| name).join(", ")))
}

fn language(text: &str) -> Result<Language, String> {
    match text {
        "ja" => Ok(Language::Ja),
        "en" => Ok(Language::En),
        _ => Err(format!("{text} is no language: ja or en")),
    }
}

fn mail(text: &str) -> Result<Mail, String> {
    match text {
        "none" => Ok(Mail(None)),
        text => text.parse().map(|address| Mail(Some(address))).map_err(|fault: InvalidMail| fault.to_string()),
    }
}

impl Details {
    fn apply(&self, person: &mut Person) {
        if !self.roles.is_empty() {
            person.roles = self.roles.iter().copied().collect();
        }
        if !self.sources.is_empty() {
            person.sources.clone_from(&self.sources);
        }
        if let Some(language) = self.language {
            person.language = language;
        }
        if let Some(Mail(mail)) = &self.mail {
            person.mail.clone_from(mail);
        }
    }
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Add { id, name, vendor, details } => add(id, name, vendor, &details, context).await,
        Command::List => list(context).await,
        Command::Show { id } => {
            context.authority(Act::ReadLedger).await?;
            let person = known(&id, context).await?;
            let attestations = context.store().await?.attestations(&id).await?;
            if context.json {
                return output::print_json(&json!({ "id": id, "person": person, "attestations": attestations }));
            }
            show(&person, context)?;
            for attestation in attestations {
                let safe = if attestation.patched && attestation.scanned { "確認済み" } else { "不足" };
                output::print_text(&format!("安全確認: {safe}  期限 {}\n", context.show(attestation.expires_at)))?;
            }
            Ok(())
        }
        Command::Change { id, name, details } => {
            let edit = |person: &mut Person| {
                details.apply(person);
                if let Some(name) = &name {
                    person.name.clone_from(name);
                }
            };
            let (by, event) = done_by(context).await?;
            show(&people::change(context.store().await?, &by, &id, None, event, edit).await?, context)
        }
        Command::Suspend { id, reason } => switch(&id, Switch::Suspend, &reason, context).await,
        Command::Resume { id, reason } => switch(&id, Switch::Resume, &reason, context).await,
        Command::Retire { id, reason } => switch(&id, Switch::Retire, &reason, context).await,
        Command::Password { id, stdin } => factors::password(&id, stdin, context).await,
        Command::Totp { id } => factors::totp(&id, context).await,
        Command::Invite { id, page, mail } => invite::invite(&id, page.as_deref(), mail, context).await,
        Command::ResetFactors { id, reason } => factors::reset(&id, &reason, context).await,
        Command::Unlock { id } => factors::unlock(&id, context).await,
        Command::Key(command) => factors::key(command, context).await,
        Command::Attest { id, patched, scanned, until, note } => {
            let expires_at = context.time(&until)?;
            attest(&id, (patched, scanned), expires_at, note, context).await
        }
    }
}

/// A person who is registered.
async fn known(id: &PersonId, context: &Context) -> Result<Person, CliError> {
    let person = context.store().await?.person(id).await?;
    person.ok_or_else(|| CliError::NotFound(format!("no person {id} is registered: see `sekimori person list`")))
}

async fn add(
    id: PersonId,
    name: String,
    vendor: Option<VendorId>,
    details: &Details,
    context: &Context,
) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    let mut person = Person {
        id,
        name,
        vendor,
        status: Status::Active,
        sources: Vec::new(),
        roles: std::collections::BTreeSet::new(),
        language: context.config.hospital.language,
        mail: None,
    };
    details.apply(&mut person);
    people::add(context.store().await?, &by, &person, event).await?;
    show(&person, context)
}

async fn switch(id: &PersonId, to: Switch, reason: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = done_by(context).await?;
    show(&people::switch(context.store().await?, &by, id, (to, reason), event).await?, context)
}

/// Who does it, and the event that the act completes.
async fn done_by(context: &Context) -> Result<(Person, Event), CliError> {
    let (by, actor) = context.person().await?;
    Ok((by, context.event(Kind::PersonChange, &actor, Value::Null)))
}

/// A vendor's people attest their own terminals; the hospital may do it for them.
async fn attest(
    id: &PersonId,
    (patched, scanned): (bool, bool),
    expires_at: chrono::DateTime<chrono::Utc>,
    note: String,
    context: &Context,
) -> Result<(), CliError> {
    let person = known(id, context).await?;
    let (by, actor) = context.person().await?;
    if by.id != *id {
        match &person.vendor {
            Some(vendor) => drop(may_act_for(&by, vendor)?),
            None => drop(sekimori_policy::authority::may(&by, Act::ManagePeople)?),
        }
    }
    let attestation =
        Attestation { person: id.clone(), made_at: chrono::Utc::now(), expires_at, patched, scanned, note };
    let detail = json!({ "attestation": attestation });
    let event =
        Event { person: Some(id.clone()), vendor: person.vendor, ..context.event(Kind::Attest, &actor, detail) };
    context.store().await?.add_attestation(&attestation, &[], event).await?;
    output::one(context, &attestation, || {
        let safe = if patched && scanned {
            "安全確認済み"
        } else {
            "確認が足りません（--patched と --scanned の両方が必要）"
        };
        format!("{id}: {safe}  有効期限 {}", context.show(expires_at))
    })
}

async fn list(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLedger).await?;
    let people = context.store().await?.persons().await?;
    output::list(
        context,
        &people,
        &[
            ("ID", |person| person.id.to_string()),
            ("氏名", |person| person.name.clone()),
            ("事業者", |person| person.vendor.as_ref().map_or("院内".into(), ToString::to_string)),
            ("役割", |person| roles(person)),
            ("状態", |person| status(person.status).into()),
            ("接続元", |person| networks(&person.sources)),
        ],
    )
}

fn roles(person: &Person) -> String {
    let mut labels: Vec<_> = person.roles.iter().map(|role| role.label(Language::Ja)).collect();
    if labels.is_empty() {
        labels.push("保守要員");
    }
    labels.join("・")
}

fn show(person: &Person, context: &Context) -> Result<(), CliError> {
    output::one(context, person, || {
        [
            format!("ID:       {}  {}", person.id, output::visible(&person.name)),
            format!("事業者:   {}", person.vendor.as_ref().map_or("院内".into(), ToString::to_string)),
            format!("役割:     {}", roles(person)),
            format!("状態:     {}", status(person.status)),
            format!("メール:   {}", person.mail.as_ref().map_or("なし".into(), ToString::to_string)),
            format!("接続元:   {}", networks(&person.sources)),
        ]
        .join("\n")
    })
}
