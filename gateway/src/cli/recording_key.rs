//! Verbs about the keys that open recordings: who of the audit office has one, each under a passphrase of their own.
//!
//! All of them hold the same key of the office, so that no recording is touched when somebody comes or goes. Whoever
//! has had it may have kept it: when somebody leaves in anger, make new keys; they count for what is recorded from then on.

use super::context::Context;
use super::error::CliError;
use super::init::{self, OFFICE};
use super::output;
use super::session::unlock::passphrase;
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::keys::{Identities, Recipients, WORK};
use sekimori_policy::authority::Act;
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Verbs about the keys that open recordings.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say whom recordings are sealed to, and who has an identity file here
    List,
    /// Give a person an identity file of their own, under a passphrase that they type
    Add {
        /// Whose
        person: PersonId,
        /// The identity file that is there
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        /// Read its passphrase from this file
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Read the new passphrase from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Take a person's identity file away
    Remove {
        /// Whose
        person: PersonId,
    },
    /// Make keys for a data directory that has none, and print the recovery key and the office's passphrase
    Make,
}

/// Does what the verb says.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List => list(context).await,
        Command::Add { person, identity, passphrase_file, stdin } => {
            let identity = identity.unwrap_or_else(|| context.config.recording_keys_dir().join(OFFICE));
            add(&person, &identity, passphrase_file.as_deref(), stdin, context).await
        }
        Command::Remove { person } => remove(&person, context).await,
        Command::Make => make(context).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    context.authority(Act::ReadLog).await?;
    let recipients = Recipients::read(&context.config.recipients())?;
    let folder = context.config.recording_keys_dir();
    let mut files: Vec<String> = std::fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".age"))
        .collect();
    files.sort();
    let value = json!({
        "office": recipients.office(), "recovery": recipients.recovery(), "folder": folder, "identities": files,
    });
    output::one(context, &value, || {
        format!(
            "監査担当 / office:   {}\n復旧鍵 / recovery:   {}\n{}: {}",
            recipients.office(),
            recipients.recovery(),
            folder.display(),
            files.join(", ")
        )
    })
}

async fn add(
    person: &PersonId,
    identity: &Path,
    passphrase_file: Option<&Path>,
    stdin: bool,
    context: &Context,
) -> Result<(), CliError> {
    let event = event(person, "add", context).await?;
    let office = Identities::read(identity, || passphrase(identity, passphrase_file))?;
    let recipients = Recipients::read(&context.config.recipients())?;
    if !office.open_what_is_sealed_to(&recipients) {
        return Err(CliError::Conflict(format!("{} does not open today's recordings", identity.display())));
    }
    let path = file_of(person, context);
    let chosen = output::choose_secret(&format!("New passphrase of {person}"), stdin)?;
    if chosen.chars().count() < SHORTEST {
        return Err(CliError::Usage(format!(
            "a passphrase that guards every recording has {SHORTEST} characters or more"
        )));
    }
    if path.exists() {
        return Err(CliError::Conflict(format!("{} is there already: remove it first", path.display())));
    }
    context.store().await?.record(event).await?;
    office.write(&path, &chosen, WORK)?;
    output::one(context, &json!({ "identity": path }), || format!("made {}", path.display()))
}

/// Guessed at without a limit by whoever copies the file.
const SHORTEST: usize = 16;

async fn remove(person: &PersonId, context: &Context) -> Result<(), CliError> {
    let event = event(person, "remove", context).await?;
    let path = file_of(person, context);
    if !path.exists() {
        return Err(CliError::NotFound(format!("{} is not there", path.display())));
    }
    context.store().await?.record(event).await?;
    std::fs::remove_file(&path)?;
    output::one(context, &json!({ "removed": path }), || {
        format!("removed {}; who has kept a copy and its passphrase can still open recordings", path.display())
    })
}

async fn make(context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::ManageCredentials).await?;
    let path = context.config.recipients();
    if path.exists() {
        return Err(CliError::Conflict(format!("{} is there already: nothing was made", path.display())));
    }
    context.store().await?.record(context.event(Kind::RecordingKey, &actor, json!({ "act": "make" }))).await?;
    let mut sheet = Zeroizing::new(String::with_capacity(4096));
    let passphrase = init::make_recording_keys(&context.config, WORK, &mut sheet)?;
    if context.json {
        let value: Value = json!({ "recipients": path, "sheet": sheet.as_str(), "passphrase": passphrase.as_str() });
        return output::print_json(&value);
    }
    output::print_text(&sheet)?;
    output::print_text(&format!(
        "操作記録を開くパスフレーズ / passphrase that opens recordings:\n\n    {}\n",
        passphrase.as_str()
    ))
}

fn file_of(person: &PersonId, context: &Context) -> PathBuf {
    context.config.recording_keys_dir().join(format!("{person}.age"))
}

async fn event(person: &PersonId, act: &str, context: &Context) -> Result<Event, CliError> {
    let (_, actor) = context.authority(Act::ManageCredentials).await?;
    let event = context.event(Kind::RecordingKey, &actor, json!({ "act": act }));
    Ok(Event { person: Some(person.clone()), ..event })
}
