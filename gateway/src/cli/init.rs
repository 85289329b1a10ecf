//! `sekimori init`: a data directory from nothing, with its first administrator and the recovery sheet.
//!
//! All or nothing: what was made is taken away again when a later step fails.

use super::context::ADMINISTRATOR;
use super::error::CliError;
use super::output;
use crate::config::Config;
use crate::people::password::{PasswordPolicy, Passwords};
use crate::store::Store;
use chrono::Utc;
use chrono_tz::Tz;
use sekimori_audit::event::{Actor, Event, Kind};
use sekimori_audit::keys;
use sekimori_certs::host_ca::HostCa;
use sekimori_certs::host_key::HostKeys;
use sekimori_certs::secret::MasterKey;
use sekimori_certs::ssh_ca::UserCa;
use sekimori_certs::tls::WebCa;
use sekimori_policy::facts::{HospitalRole, Language, Person, Status};
use sekimori_policy::id::PersonId;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What `init` may be told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for configuration, keys, database and recordings; it must be empty or missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The hospital's name
    #[arg(long)]
    hospital: String,
    /// The time zone of windows and reports
    #[arg(long, default_value = "Asia/Tokyo")]
    zone: Tz,
    /// The first administrator's ID
    #[arg(long, value_name = "PERSON", default_value = "administrator")]
    admin: PersonId,
    /// The first administrator's name
    #[arg(long, default_value = "システム運用担当者")]
    admin_name: String,
    /// Let the administrator approve work as well, where one person holds both roles (兼務)
    #[arg(long)]
    admin_approves: bool,
    /// The address on which the gateway will listen for SSH
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:2222")]
    ssh: SocketAddr,
    /// The address on which the console will listen for browsers; without it, there is no console
    #[arg(long, value_name = "ADDR:PORT")]
    console: Option<SocketAddr>,
    /// A host name or address under which people reach the console; repeat for more
    #[arg(long = "console-name", value_name = "NAME", requires = "console")]
    console_names: Vec<String>,
    /// Use this PostgreSQL database, which must be empty, instead of a SQLite file
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Read the administrator's password from standard input
    #[arg(long)]
    stdin: bool,
    /// Write the recovery sheet to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    recovery_sheet: Option<PathBuf>,
    /// Write the audit office's sheet, with the passphrase that opens recordings, to this file (mode 0600) instead of
    /// printing it
    #[arg(long, value_name = "FILE")]
    auditor_sheet: Option<PathBuf>,
}

/// What is to be made.
pub struct Plan {
    /// The folder, empty or missing.
    pub folder: PathBuf,
    /// The hospital's name.
    pub hospital: String,
    /// Its time zone.
    pub zone: Tz,
    /// Where the gateway will listen.
    pub ssh: SocketAddr,
    /// Where the console will listen; `None`: there is none.
    pub console: Option<SocketAddr>,
    /// The names under which it is reached.
    pub console_names: Vec<String>,
    /// A PostgreSQL URL; `None` makes a SQLite file.
    pub database: Option<String>,
    /// The first administrator.
    pub administrator: Person,
    /// How long SIGTERM leaves sessions to end by themselves, in seconds.
    pub shutdown_grace_seconds: u64,
    /// The work that guessing a passphrase of the audit office takes, as scrypt's log2(N).
    pub work: u8,
}

/// What was made.
pub struct Made {
    /// The configuration file.
    pub config: PathBuf,
    /// The recovery sheet: whoever has it can open the sealed secrets and the recordings.
    pub recovery_sheet: Zeroizing<String>,
    /// The passphrase of the audit office's identity.
    pub office_passphrase: Zeroizing<String>,
}

/// Asks for the password, makes everything, and hands over the recovery sheet.
pub async fn run(args: Args, json: bool) -> Result<(), CliError> {
    let password = output::choose_secret(&format!("Password of {}", args.admin), args.stdin)?;
    let policy = PasswordPolicy::new(&args.hospital);
    policy.check(&password, &args.admin, None).map_err(|fault| CliError::Usage(fault.to_string()))?;
    let mut roles = BTreeSet::from([HospitalRole::Administrator]);
    if args.admin_approves {
        roles.insert(HospitalRole::Approver);
    }
    let administrator = Person {
        id: args.admin.clone(),
        name: args.admin_name,
        vendor: None,
        status: Status::Active,
        sources: Vec::new(),
        roles,
        language: Language::Ja,
        mail: None,
    };
    let plan = Plan {
        folder: args.dir,
        hospital: args.hospital,
        zone: args.zone,
        ssh: args.ssh,
        console: args.console,
        console_names: args.console_names,
        database: args.database,
        administrator,
        shutdown_grace_seconds: 60,
        work: keys::WORK,
    };
    let made = make(&plan).await?;
    set_password(&made.config, &args.admin, password).await?;
    match &args.recovery_sheet {
        Some(path) => write_new(path, made.recovery_sheet.as_bytes())?,
        None if json => {}
        None => output::print_text(&made.recovery_sheet)?,
    }
    let sheet = auditor_sheet(&plan, &made);
    match &args.auditor_sheet {
        Some(path) => write_new(path, sheet.as_bytes())?,
        None if json => {}
        None => output::print_text(&sheet)?,
    }
    let config = made.config.display();
    if json {
        return output::print_json(&json!({
            "config": made.config, "recovery_sheet": args.recovery_sheet, "auditor_sheet": args.auditor_sheet,
        }));
    }
    output::print_text(&format!(
        "Made {config}.\nNext: sekimori --config {config} doctor\n      sekimori --config {config} serve\n"
    ))
}

async fn set_password(config: &Path, person: &PersonId, password: Zeroizing<String>) -> Result<(), CliError> {
    let config = Config::read(config)?;
    let database = config.database().map_err(CliError::Usage)?;
    let store = Store::open(&database, crate::serve::master_key(&config)?).await?;
    let hash = Passwords::new(1)?.hash(password).await?;
    let event = Event {
        person: Some(person.clone()),
        ..Event::new(Utc::now(), Kind::PasswordSet, Actor::person(person.clone()))
    };
    Ok(store.set_password(person, &hash, event).await?)
}

/// Makes the folder with everything in it, or nothing.
///
/// # Errors
/// When the folder is not empty, or something cannot be made.
pub async fn make(plan: &Plan) -> Result<Made, CliError> {
    let existed = plan.folder.exists();
    if existed && std::fs::read_dir(&plan.folder)?.next().is_some() {
        let folder = plan.folder.display();
        return Err(CliError::Conflict(format!("{folder} is not empty: name another folder, or move it away")));
    }
    let made = make_in(plan).await;
    if made.is_err() {
        // Nothing half done: the folder was empty or missing before.
        std::fs::remove_dir_all(&plan.folder).ok();
        if existed {
            make_folder(&plan.folder)?;
        }
    }
    made
}

async fn make_in(plan: &Plan) -> Result<Made, CliError> {
    make_folder(&plan.folder)?;
    let path = plan.folder.join("sekimori.toml");
    write_new(&path, configuration(plan)?.as_bytes())?;
    let config = Config::read(&path)?;
    make_folder(&config.keys_dir())?;
    let master_key = MasterKey::create(&config.master_key())?;
    let host_keys = HostKeys::create(&config.keys_dir())?;
    let user_ca = UserCa::create(&config.user_ca())?;
    let authorities = [user_ca.fingerprint(), HostCa::create(&config.host_ca())?.fingerprint()];
    WebCa::create(&config.web_ca(), Utc::now())?;
    let verifier = crate::seal::make_key(&config)?;
    let mut recovery_sheet = recovery_sheet(plan, &master_key, &host_keys, &authorities)?;
    // On paper from the first day: a verifier key that lies only on this machine proves nothing.
    recovery_sheet.push_str(&format!("記録の検証鍵 / verifier key of the log:\n    {verifier}\n\n"));
    let office_passphrase = make_recording_keys(&config, plan.work, &mut recovery_sheet)?;
    let database = config.database().map_err(CliError::Usage)?;
    let administrator = &plan.administrator;
    let actor = Actor::person(administrator.id.clone());
    let event = |kind| Event { person: Some(administrator.id.clone()), ..Event::new(Utc::now(), kind, actor.clone()) };
    let store = Store::create(&database, master_key, event(Kind::Init)).await?;
    store.add_person(administrator, event(Kind::PersonAdd)).await?;
    store.close().await;
    write_new(&config.data_dir().join(ADMINISTRATOR), format!("{}\n", administrator.id).as_bytes())?;
    Ok(Made { config: path, recovery_sheet, office_passphrase })
}

/// Makes the keys that recordings are sealed to. The recovery key's secret half goes on the sheet and nowhere else; the
/// office's lies under the passphrase that is returned.
///
/// # Errors
/// When a file cannot be made, as when there are keys already.
pub fn make_recording_keys(config: &Config, work: u8, sheet: &mut String) -> Result<Zeroizing<String>, CliError> {
    make_folder(&config.recording_keys_dir())?;
    let (made, passphrase) = (keys::make(), keys::passphrase()?);
    made.recipients.write(&config.recipients())?;
    made.office.write(&config.recording_keys_dir().join(OFFICE), &passphrase, work)?;
    sheet.push_str("操作記録の復旧鍵 / recovery key of the recordings (an age identity):\n\n    ");
    sheet.push_str(&made.recovery.to_text());
    sheet.push('\n');
    Ok(passphrase)
}

/// What the audit office keeps: who has it can open every recording.
fn auditor_sheet(plan: &Plan, made: &Made) -> Zeroizing<String> {
    let mut sheet = Zeroizing::new(String::with_capacity(SHEET_BYTES));
    sheet.push_str(&format!(
        "関守 Sekimori  監査担当者の控え / the audit office's sheet\n\n病院 / hospital: {}\n\n\
         操作記録を開くパスフレーズ / passphrase that opens recordings:\n\n    ",
        output::visible(&plan.hospital)
    ));
    sheet.push_str(&made.office_passphrase);
    sheet.push_str(
        "\n\n監査担当者だけに渡し、この機器には保存しないでください。紛失したときは復旧シートの復旧鍵で開けます。\n\
         For the auditors only, and not to be kept on this machine. If it is lost, the recovery key on the recovery sheet \
         opens recordings.\n\n",
    );
    sheet
}

/// The first identity file of the audit office.
pub const OFFICE: &str = "office.age";

fn configuration(plan: &Plan) -> Result<String, CliError> {
    let text = |value: &str| serde_json::to_string(value).map_err(|fault| CliError::Failed(fault.to_string()));
    let console = match plan.console {
        None => String::new(),
        Some(address) => {
            let names = plan.console_names.iter().map(|name| text(name)).collect::<Result<Vec<_>, _>>()?;
            format!("\n[console]\nlisten = [{}]\nnames = [{}]\n", text(&address.to_string())?, names.join(", "))
        }
    };
    Ok(format!(
        "# Sekimori's configuration. Every key is explained in sekimori.example.toml.\n\n\
         [hospital]\nname = {}\nzone = {}\nlanguage = \"ja\"\n\n\
         [storage]\ndata_dir = \"data\"\ndatabase = {}\n\n\
         [ssh]\nlisten = [{}]\nshutdown_grace_seconds = {}\n{console}",
        text(&plan.hospital)?,
        text(plan.zone.name())?,
        text(plan.database.as_deref().unwrap_or_default())?,
        text(&plan.ssh.to_string())?,
        plan.shutdown_grace_seconds,
    ))
}

/// More than a recovery sheet takes, with a hospital's name of any length that fits a line.
const SHEET_BYTES: usize = 8 * 1024;

fn recovery_sheet(
    plan: &Plan,
    master_key: &MasterKey,
    host_keys: &HostKeys,
    [user_ca, host_ca]: &[String; 2],
) -> Result<Zeroizing<String>, CliError> {
    // Room for all of it: a text that grows leaves its old content behind in freed memory.
    let mut sheet = Zeroizing::new(String::with_capacity(SHEET_BYTES));
    sheet.push_str(&format!(
        "関守 Sekimori  復旧シート / recovery sheet\n\n\
         病院 / hospital:        {}\n作成 / made:            {}\n管理者 / administrator: {}\n\n\
         マスターキー / master key (fingerprint {}):\n\n",
        output::visible(&plan.hospital),
        Utc::now().with_timezone(&plan.zone).format("%Y-%m-%d %H:%M %Z"),
        plan.administrator.id,
        master_key.fingerprint()?,
    ));
    for line in master_key.to_recovery_lines().iter() {
        sheet.push_str("    ");
        sheet.push_str(line);
        sheet.push('\n');
    }
    sheet.push_str("\nホスト鍵 / host keys:\n");
    for key in host_keys.public_keys() {
        sheet.push_str(&format!("    {}\n", sekimori_certs::host_key::fingerprint(key)));
    }
    sheet.push_str(&format!("認証局 / certificate authorities:\n    {user_ca} (user)\n    {host_ca} (host)\n\n"));
    sheet.push_str(
        "この紙があれば、封印された機器の認証情報を復元できます。金庫に保管し、複写しないでください。\n\
         Whoever has this sheet can open the sealed credentials. Keep it in a safe, and make no copies.\n\n",
    );
    Ok(sheet)
}

fn make_folder(path: &Path) -> Result<(), CliError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|fault| CliError::Failed(format!("cannot make {}: {fault}", path.display())))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    use std::io::Write;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|fault| CliError::Failed(format!("cannot write {}: {fault}", path.display())))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn plan(folder: &Path) -> Plan {
        Plan {
            folder: folder.to_owned(),
            hospital: "\"引用符\" 病院".into(),
            zone: chrono_tz::Asia::Tokyo,
            ssh: "127.0.0.1:0".parse().unwrap(),
            console: Some("127.0.0.1:0".parse().unwrap()),
            console_names: vec!["gate.example".into()],
            database: None,
            administrator: Person {
                id: "admin".parse().unwrap(),
                name: "運用".into(),
                vendor: None,
                status: Status::Active,
                sources: Vec::new(),
                roles: BTreeSet::from([HospitalRole::Administrator]),
                language: Language::Ja,
                mail: None,
            },
            shutdown_grace_seconds: 60,
            work: 2,
        }
    }

    #[tokio::test]
    async fn what_is_made_can_be_read_and_only_by_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let made = make(&plan(&dir.path().join("gate"))).await.unwrap();
        let config = Config::read(&made.config).unwrap();
        assert_eq!(config.hospital.name, "\"引用符\" 病院");
        assert_eq!(config.web_names(), ["gate.example", "localhost", "127.0.0.1"]);
        for path in [
            config.keys_dir(),
            config.master_key(),
            config.user_ca(),
            config.host_ca(),
            config.web_ca(),
            made.config.clone(),
        ] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
        assert!(made.recovery_sheet.contains("SHA256:"));
    }

    #[tokio::test]
    async fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "x").unwrap();
        assert!(matches!(make(&plan(dir.path())).await, Err(CliError::Conflict(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("gate");
        // Hangs up at once. A port that nobody listens on would be tried for ten seconds: the server may be starting.
        let hangs_up = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://{}/none", hangs_up.local_addr().unwrap());
        std::thread::spawn(move || hangs_up.incoming().for_each(drop));
        let unusable = Plan { database: Some(url), ..plan(&folder) };
        assert!(make(&unusable).await.is_err());
        assert!(!folder.exists());
    }
}
