//! A person's factors: password, authenticator, SSH keys. Secrets are typed or shown once, and stand in no log.

use super::{KeyCommand, known};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output;
use crate::people::password::{PasswordPolicy, Passwords};
use crate::people::totp as codes;
use crate::registry::people;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_policy::authority::{Act, may};
use sekimori_policy::facts::Person;
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// A public key file is far shorter.
const KEY_FILE_LIMIT: u64 = 64 << 10;

/// Everybody may set their own password; the administrator sets anybody's.
pub async fn password(id: &PersonId, stdin: bool, context: &Context) -> Result<(), CliError> {
    let person = known(id, context).await?;
    let actor = own_or_managed(&person, context).await?;
    let chosen = output::choose_secret(&format!("New password of {id}"), stdin)?;
    let policy = PasswordPolicy::new(&context.config.hospital.name);
    let language = context.config.hospital.language;
    policy.check(&chosen, id, person.vendor.as_ref()).map_err(|fault| CliError::Usage(fault.sentence(language)))?;
    let hash = Passwords::new(1)?.hash(chosen).await?;
    let event = event(&person, Kind::PasswordSet, &actor, Value::Null, context);
    context.store().await?.set_password(id, &hash, event).await?;
    output::one(context, &json!({ "id": id }), || format!("the password of {id} is set"))
}

/// Enrols a new seed; the old one no longer counts.
pub async fn totp(id: &PersonId, context: &Context) -> Result<(), CliError> {
    let person = known(id, context).await?;
    let actor = own_or_managed(&person, context).await?;
    let seed = codes::new_seed()?;
    let enrolment = codes::enrolment(&seed, id, &context.config.hospital.name)?;
    let qr = codes::qr_in_terminal(&enrolment.uri)?;
    let event = event(&person, Kind::TotpEnrol, &actor, Value::Null, context);
    context.store().await?.enrol_totp(id, &seed, event).await?;
    let value = json!({ "id": id, "secret": *enrolment.secret, "uri": *enrolment.uri });
    output::one(context, &value, || {
        format!("{}\nsecret of {id} (shown once): {}", qr.as_str(), enrolment.secret.as_str())
    })
}

/// Takes everything away: the person proves who they are to the hospital, and starts over.
pub async fn reset(id: &PersonId, reason: &str, context: &Context) -> Result<(), CliError> {
    let (by, event) = super::done_by(context).await?;
    let person = known(id, context).await?;
    people::reset_factors(context.store().await?, &by, &person, reason, event).await?;
    output::one(context, &json!({ "id": id }), || format!("{id} has no password and no authenticator any more"))
}

/// Forgives failures.
pub async fn unlock(id: &PersonId, context: &Context) -> Result<(), CliError> {
    let (by, event) = super::done_by(context).await?;
    let person = known(id, context).await?;
    people::unlock(context.store().await?, &by, &person, event).await?;
    output::one(context, &json!({ "id": id }), || format!("the failed sign-ins of {id} are forgiven"))
}

/// Keys.
pub async fn key(command: KeyCommand, context: &Context) -> Result<(), CliError> {
    match command {
        KeyCommand::Add { id, file } => add(&id, &file, context).await,
        KeyCommand::List { id } => {
            context.authority(Act::ReadLedger).await?;
            known(&id, context).await?;
            let keys = context.store().await?.keys(&id).await?;
            output::list(
                context,
                &keys,
                &[("指紋", |key| key.fingerprint.clone()), ("公開鍵", |key| key.public_key.clone())],
            )
        }
        KeyCommand::Remove { id, fingerprint } => {
            let person = known(&id, context).await?;
            let actor = own_or_managed(&person, context).await?;
            let event = event(&person, Kind::KeyRemove, &actor, json!({ "key": fingerprint }), context);
            context.store().await?.remove_key(&id, &fingerprint, event).await?;
            output::one(context, &json!({ "id": id, "fingerprint": fingerprint }), || {
                format!("{fingerprint} is removed")
            })
        }
    }
}

async fn add(id: &PersonId, file: &Path, context: &Context) -> Result<(), CliError> {
    let person = known(id, context).await?;
    let actor = own_or_managed(&person, context).await?;
    let text = read_limited(file)?;
    let key = PublicKey::from_openssh(text.trim()).map_err(|fault| {
        CliError::Usage(format!("{} holds no OpenSSH public key ({fault}): give the .pub file", file.display()))
    })?;
    let line = key.to_openssh().map_err(|fault| CliError::Usage(fault.to_string()))?;
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let event = event(&person, Kind::KeyAdd, &actor, json!({ "key": fingerprint }), context);
    context.store().await?.add_key(id, &line, &fingerprint, event).await?;
    output::one(context, &json!({ "id": id, "fingerprint": fingerprint }), || format!("{fingerprint} belongs to {id}"))
}

fn read_limited(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(KEY_FILE_LIMIT).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(KEY_FILE_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", file.display())))?;
    Ok(text)
}

async fn own_or_managed(person: &Person, context: &Context) -> Result<Actor, CliError> {
    let (by, actor) = context.person().await?;
    if by.id != person.id {
        let _authority = may(&by, Act::ManageCredentials)?;
    }
    Ok(actor)
}

fn event(person: &Person, kind: Kind, actor: &Actor, detail: Value, context: &Context) -> Event {
    Event { person: Some(person.id.clone()), vendor: person.vendor.clone(), ..context.event(kind, actor, detail) }
}
