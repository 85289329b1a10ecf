//! `sekimori backup` and `sekimori restore`.

use super::context::Context;
use super::error::CliError;
use super::output;
use super::session::unlock::passphrase;
use super::verify::read_anchors;
use crate::backup::{self, BackupError, Checked};
use crate::config::Config;
use crate::serve;
use crate::store::Store;
use chrono::Utc;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::keys::Identities;
use sekimori_audit::log::LogKeys;
use sekimori_policy::authority::Act;
use sekimori_policy::id::PersonId;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder: a new one, or that of an earlier backup of this gateway
    folder: PathBuf,
    /// The database is PostgreSQL, and was dumped with its own tools just now
    #[arg(long)]
    without_database: bool,
}

/// Takes a backup.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::RunService).await?;
    let store = context.store().await?;
    let made = backup::make(&context.config, &context.config_path, store, &args.folder, args.without_database).await?;
    let detail = json!({ "entries": made.entries, "database": made.database, "keys": made.keys });
    store.record(context.event(Kind::BackupMade, &actor, detail)).await?;
    output::one(context, &made, || {
        let database = if made.database.is_some() { "the database" } else { "no database" };
        format!("{}: {} entries of the log, {database}, recordings, keys", args.folder.display(), made.entries)
    })
}

/// What to restore, and with what.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup
    folder: PathBuf,
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
    let RestoreArgs { folder, identity, passphrase_file, keys, anchor, drill } = args;
    let begin = std::time::Instant::now();
    let identities = Identities::read(&identity, || passphrase(&identity, passphrase_file.as_deref()))?;
    let origin = LogKeys::read(keys.as_deref().unwrap_or(&folder.join("log.keys")))?.origin().to_owned();
    let mut anchors = Vec::new();
    for path in &anchor {
        read_anchors(path, &origin, &mut anchors)?;
    }
    let opened = tempfile_beside(&config)?;
    let checked = backup::check(&folder, keys.as_deref(), &anchors, &identities, &opened.path).await?;
    let sound = checked.is_sound();
    let value =
        json!({ "sound": sound, "drill": drill, "seconds": begin.elapsed().as_secs_f64(), "checked": &checked });
    if json {
        output::print_json(&value)?
    } else {
        output::print_text(&told(&checked))?
    }
    if !sound {
        return Err(CliError::Verdict { code: 7 });
    }
    if drill {
        // On the gateway's own machine it is on record that it was rehearsed; elsewhere the output is.
        if config.exists() {
            let context = Context::new(Config::read(&config)?, config, json, as_person);
            let (_, actor) = context.authority(Act::RunService).await?;
            let detail = json!({ "of": checked.backup.at, "entries": checked.backup.entries });
            context.store().await?.record(context.event(Kind::BackupDrilled, &actor, detail)).await?;
        }
        return Ok(());
    }
    if !config.exists() {
        let bytes = backup::unpacked_configuration(&folder, &identities)?;
        std::fs::write(&config, bytes)
            .map_err(|fault| CliError::Failed(format!("cannot write {}: {fault}", config.display())))?;
    }
    let read = Config::read(&config)?;
    backup::place(&folder, &read, &identities, &opened.path)?;
    note(&read, &checked).await?;
    if !json {
        let place = read.data_dir();
        output::print_text(&format!(
            "restored into {}: give it to the user that the gateway runs as, and start it\n",
            place.display()
        ))?;
    }
    Ok(())
}

/// The first event of the new life.
async fn note(config: &Config, checked: &Checked) -> Result<(), CliError> {
    if checked.database.is_none() {
        return Ok(());
    }
    let database = config.database().map_err(CliError::Usage)?;
    let store = Store::open(&database, serve::master_key(config)?).await?;
    let detail = json!({ "of": checked.backup.at, "entries": checked.backup.entries });
    store.record(Event { detail, ..Event::new(Utc::now(), Kind::Restored, Actor::gateway()) }).await?;
    store.close().await;
    Ok(())
}

/// The opened database while it is looked at; it goes with this.
struct Opened {
    path: PathBuf,
}

/// Beside the configuration, where the machine's administrator writes, and not in a folder that all share.
fn tempfile_beside(config: &Path) -> Result<Opened, CliError> {
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened = Opened { path: folder.join(format!(".restoring-{}.db", std::process::id())) };
    opened.remove();
    Ok(opened)
}

impl Opened {
    /// With what SQLite puts beside it.
    fn remove(&self) {
        for end in ["", "-wal", "-shm"] {
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.remove();
    }
}

fn told(checked: &Checked) -> String {
    let Checked { backup, own_keys, report, database } = checked;
    let mut text =
        format!("backup of {}, taken {}\n", output::visible(&backup.hospital), backup.at.format("%F %T UTC"));
    text += &format!("log: {} entries, {} sessions: {:?}\n", backup.entries, report.sessions, report.verdict);
    if let Some(recordings) = &report.recordings {
        text += &format!("recordings: {}, {} bytes compared\n", recordings.recordings, recordings.bytes);
    }
    match database {
        Some(compared) if compared.agrees() => {
            text += &format!("database: {} events, each as the log sealed it\n", compared.events);
        }
        Some(compared) => {
            text += &format!("database: {} events DIFFER from the log: {:?}\n", compared.differ, compared.differing);
        }
        None => text += "database: not in the backup; restore the dump of the same day\n",
    }
    for anchor in &report.anchors {
        let agrees = if anchor.agrees { "agrees" } else { "DOES NOT AGREE" };
        text += &format!("anchor {} ({} entries): {agrees}\n", output::visible(&anchor.label), anchor.size);
    }
    for fault in &report.faults {
        text += &format!("{}\n", output::visible(&fault.to_string()));
    }
    if *own_keys {
        text += "verified with the backup's own keys, which proves only that it agrees with itself: use --keys\n";
    }
    text
}

impl From<BackupError> for CliError {
    fn from(fault: BackupError) -> Self {
        match fault {
            BackupError::Occupied(_) => Self::Conflict(fault.to_string()),
            BackupError::Postgres => Self::Usage(fault.to_string()),
            _ => Self::Failed(fault.to_string()),
        }
    }
}
