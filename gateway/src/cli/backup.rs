//! `sekimori backup` and `sekimori restore`.

mod scratch;

use super::context::Context;
use super::error::CliError;
use super::output;
use super::session::unlock::passphrase;
use super::verify::read_anchors;
use crate::backup::{self, BackupError, Checked, Made, Place, Staged};
use crate::config::{self, Config};
use crate::serve;
use crate::store::Store;
use chrono::Utc;
use scratch::Scratch;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::keys::Identities;
use sekimori_policy::authority::Act;
use sekimori_policy::id::PersonId;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder, or s3://BUCKET/PREFIX in the store that is configured: a new one, or that of earlier backups of this gateway
    #[arg(value_name = "PLACE")]
    place: PathBuf,
}

/// Takes a backup. That it was begun is on record before anything is copied.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::RunService).await?;
    let store = context.store().await?;
    let to = args.place;
    store.record(context.event(Kind::BackupStarted, &actor, json!({ "to": &to }))).await?;
    let made = backup::make(&context.config, &context.config_path, store, &to).await;
    let (kind, detail) = match &made {
        Ok(made) => (Kind::BackupMade, {
            json!({ "to": &to, "entries": made.manifest.entries, "files": made.manifest.files, "stays": made.stays })
        }),
        Err(fault) => (Kind::BackupFailed, json!({ "to": &to, "why": fault.to_string() })),
    };
    store.record(context.event(kind, &actor, detail)).await?;
    let made = made?;
    output::one(context, &made, || {
        let place = output::visible(&to.display().to_string());
        let entries = made.manifest.entries;
        format!("{place}: {entries} entries of the log, the database, recordings, keys{}", staying(&made))
    })
}

/// What of earlier backups is there still, though none needs it.
fn staying(made: &Made) -> String {
    let (stays, mut text) = (&made.stays, String::new());
    if let Some(until) = stays.until {
        let recordings = match stays.recordings {
            0 => String::new(),
            count => format!(", {count} recordings that were removed among them"),
        };
        text += &format!(
            "\n{} objects that no backup needs stay until their lock ends{recordings}; the last on {}",
            stays.locked,
            until.format("%F")
        );
    }
    if stays.refused > 0 {
        text += &format!("\n{} objects that no backup needs stay: the store's keys may not remove them", stays.refused);
    }
    text
}

/// What to restore, and with what.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The folder of the backups, or s3://BUCKET/PREFIX: the newest counts
    #[arg(value_name = "PLACE")]
    place: PathBuf,
    /// The store of the bucket, where there is no configuration yet: a file with the lines of its section [backup]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The recovery key in a file; for a drill, an auditor's identity does as well
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Read the identity's passphrase from this file instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The file of verifier keys that was kept elsewhere; without it the backup only agrees with itself
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere, its text typed from paper, or a witness's folder; may be repeated
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// Where files are laid out while they are checked; beside the data directory, or the configuration, if not given
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Only prove that it could be done, and say what was proved
    #[arg(long)]
    drill: bool,
}

/// Checks a backup, and makes a gateway of it.
pub async fn restore(
    args: RestoreArgs,
    config: PathBuf,
    json: bool,
    as_person: Option<PersonId>,
) -> Result<(), CliError> {
    let rehearsed = match args.drill {
        true => Rehearsed::begin(&config, json, as_person).await?,
        false => None,
    };
    let checked = checked(&args, &config, json).await;
    if let Some(rehearsed) = rehearsed {
        rehearsed.told_of(&args.place, &checked).await?;
    }
    let Ready { scratch: _scratch, staged, checked, identities } = checked?;
    if !checked.is_sound() {
        return Err(CliError::Verdict { code: 7 });
    }
    if args.drill {
        return Ok(());
    }
    let read = match config.exists() {
        true => Config::read(&config)?,
        false => unpacked(&config, &staged, &identities).await?,
    };
    backup::revive(&staged, &checked, &read, &identities).await?;
    note(&read, &checked).await?;
    if !json {
        let (place, config) = (read.data_dir(), config.display());
        output::print_text(&format!(
            "restored into {}: give it, and {config}, to the user that the gateway runs as, and start it\n",
            place.display()
        ))?;
    }
    Ok(())
}

/// A backup that was checked.
struct Ready {
    scratch: Scratch,
    staged: Staged,
    checked: Checked,
    identities: Identities,
}

/// Checks a backup, and says what was found.
async fn checked(args: &RestoreArgs, config: &Path, json: bool) -> Result<Ready, CliError> {
    let RestoreArgs { identity, passphrase_file, keys, drill, .. } = args;
    let begin = std::time::Instant::now();
    let identities = Identities::read(identity, || passphrase(identity, passphrase_file.as_deref()))?;
    let found = backup::find(Place::at(&args.place, &store_of(args, config)?)?, keys.as_deref())?;
    let mut anchors = Vec::new();
    for path in &args.anchor {
        read_anchors(path, found.keys.origin(), &mut anchors)?;
    }
    let scratch = Scratch::beside(args.scratch.as_deref(), config)?;
    let staged = backup::stage(&found, scratch.path())?;
    let checked = backup::check(&found, &staged, &anchors, &identities).await?;
    let sound = checked.is_sound();
    let value =
        json!({ "sound": sound, "drill": drill, "seconds": begin.elapsed().as_secs_f64(), "checked": &checked });
    if json {
        output::print_json(&value)?
    } else {
        output::print_text(&told(&checked))?
    }
    Ok(Ready { scratch, staged, checked, identities })
}

/// The store that a bucket would be in.
fn store_of(args: &RestoreArgs, config: &Path) -> Result<config::Backup, CliError> {
    match &args.store {
        Some(file) => config::Backup::read(file).map_err(CliError::Usage),
        None if config.exists() => Ok(Config::read(config)?.backup_store()),
        None => Ok(config::Backup::default()),
    }
}

/// A drill on the machine of a gateway, where it is on record that and how it was rehearsed; elsewhere the output is.
struct Rehearsed {
    context: Context,
    actor: Actor,
}

impl Rehearsed {
    /// Asks for the authority, before anything is opened or shown.
    async fn begin(config: &Path, json: bool, as_person: Option<PersonId>) -> Result<Option<Self>, CliError> {
        if !config.exists() {
            return Ok(None);
        }
        let read = Config::read(config)?;
        if Store::is_vacant(&read.database().map_err(CliError::Usage)?).await? {
            return Ok(None);
        }
        let context = Context::new(read, config.to_owned(), json, as_person);
        let (_, actor) = context.authority(Act::RunService).await?;
        Ok(Some(Self { context, actor }))
    }

    async fn told_of(&self, place: &Path, outcome: &Result<Ready, CliError>) -> Result<(), CliError> {
        let detail: Value = match outcome {
            Ok(Ready { checked, .. }) => {
                let (of, entries) = (checked.backup.at, checked.backup.entries);
                json!({ "from": place, "of": of, "entries": entries, "sound": checked.is_sound() })
            }
            Err(fault) => json!({ "from": place, "sound": false, "why": fault.to_string() }),
        };
        let event = self.context.event(Kind::BackupDrilled, &self.actor, detail);
        self.context.store().await?.record(event).await?;
        Ok(())
    }
}

/// The configuration of the backup, put where there is none: only once there is room for what it names, and for its owner
/// alone, since the database's password may stand in it.
async fn unpacked(config: &Path, staged: &Staged, identities: &Identities) -> Result<Config, CliError> {
    let bytes = backup::unpacked_configuration(staged, identities)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliError::Failed("the backup's configuration is no text".into()))?;
    let folder = config.parent().map(Path::to_owned).unwrap_or_default();
    backup::check_room(&Config::parse(&text, folder).map_err(CliError::Failed)?).await?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(config).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|fault| CliError::Failed(format!("cannot write {}: {fault}", config.display())))?;
    Ok(Config::read(config)?)
}

/// The first event of the new life.
async fn note(config: &Config, checked: &Checked) -> Result<(), CliError> {
    let database = config.database().map_err(CliError::Usage)?;
    let store = Store::open(&database, serve::master_key(config)?).await?;
    let detail = json!({ "of": checked.backup.at, "entries": checked.backup.entries });
    store.record(Event { detail, ..Event::new(Utc::now(), Kind::Restored, Actor::gateway()) }).await?;
    store.close().await;
    Ok(())
}

fn told(checked: &Checked) -> String {
    let Checked { backup, own_keys, passed_over, report, database, .. } = checked;
    let mut text =
        format!("backup of {}, taken {}\n", output::visible(&backup.hospital), backup.at.format("%F %T UTC"));
    text += &format!("log: {} entries, {} sessions: {:?}\n", backup.entries, report.sessions, report.verdict);
    if let Some(recordings) = &report.recordings {
        text += &format!("recordings: {}, {} bytes compared\n", recordings.recordings, recordings.bytes);
    }
    text += &match database.agrees() {
        true => format!("database: {} events, each as the log sealed it\n", database.events),
        false => format!("database: {} events DIFFER from the log: {:?}\n", database.differ, database.differing),
    };
    for anchor in &report.anchors {
        let agrees = if anchor.agrees { "agrees" } else { "DOES NOT AGREE" };
        text += &format!("anchor {} ({} entries): {agrees}\n", output::visible(&anchor.label), anchor.size);
    }
    for fault in &report.faults {
        text += &format!("{}\n", output::visible(&fault.to_string()));
    }
    for note in passed_over {
        text += &format!("passed over: {}\n", output::visible(note));
    }
    if *own_keys {
        text += "verified with the backup's own keys, which proves only that it agrees with itself: use --keys\n";
    }
    text
}

impl From<BackupError> for CliError {
    fn from(fault: BackupError) -> Self {
        match fault {
            BackupError::Occupied(_) | BackupError::Busy(_) => Self::Conflict(fault.to_string()),
            BackupError::Unfit { .. } => Self::Usage(fault.to_string()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}
