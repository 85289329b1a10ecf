//! `sekimori demo`: a small hospital on loopback, with equipment that this program simulates itself.
//!
//! What it does is real: the same store, the same gate, real SSH on both sides. Only the equipment is made up. Every
//! command works against its folder, also while it runs.

pub mod device;
mod hospital;
mod maintenance;

use crate::cli::init;
use crate::config::Config;
use crate::sandbox::Held;
use crate::serve;
use crate::store::Store;
use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use hospital::{DemoDevice, DemoPerson};
use maintenance::Maintenance;
use russh::keys::ssh_key::PublicKey;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What browsers call the console, on the machine that it runs on.
const NAME: &str = "localhost";

/// What the demonstration may be told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for everything; it must be empty or missing
    #[arg(long, default_value = "sekimori-demo")]
    pub dir: PathBuf,
    /// The address on which the gateway listens for SSH; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2222")]
    pub ssh: SocketAddr,
    /// The address on which the console listens for browsers; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8443")]
    pub console: SocketAddr,
    /// Use this PostgreSQL database, which must be empty, instead of a SQLite file
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Runs the demonstration until Ctrl-C or SIGTERM.
///
/// # Errors
/// What stood in the way of starting.
pub async fn run(args: Args, json: bool, held: Held) -> anyhow::Result<()> {
    let made = init::make(&plan(&args, json)).await?;
    let config = Config::read(&made.config)?;
    let database = config.database().map_err(anyhow::Error::msg)?;
    let store = Store::open(&database, serve::master_key(&config)?).await?;
    let (people, devices) = hospital::furnish(&store, &config).await.context("cannot furnish the demonstration")?;
    store.close().await;
    let serving = serve::start(config.clone(), held).await?;
    let (Some(ssh), Some(console)) = (serving.addresses.first(), serving.console.first()) else {
        bail!("the gateway listens nowhere")
    };
    let doors = (*ssh, *console);
    if json {
        println!("{}", ready(&config, &made, doors, &people, &devices)?);
    } else {
        print!("{}", greeting(&made, doors, &people, &devices, &config));
        tokio::spawn(maintenance(&config, doors.0, &people)?.go_on());
    }
    serving.until_stopped(&made.config).await
}

/// Somebody to watch. Scripts, to which the line of JSON speaks, have sessions of their own.
fn maintenance(config: &Config, gateway: SocketAddr, people: &[DemoPerson]) -> anyhow::Result<Maintenance> {
    let engineer = people.iter().find(|person| person.id.as_str() == maintenance::ENGINEER);
    let engineer = engineer.context("nobody plays the maintenance")?;
    let host_key = std::fs::read_to_string(config.keys_dir().join("ssh_host_ed25519_key.pub"))?;
    Ok(Maintenance {
        gateway,
        host_key: PublicKey::from_openssh(host_key.trim())?,
        password: engineer.password.clone(),
        key: engineer.key_file.clone().context("whoever plays the maintenance has no key")?,
    })
}

/// `json`: for scripts, which find the console by its address. Browsers know it by a name, without which no passkey works.
fn plan(args: &Args, json: bool) -> init::Plan {
    init::Plan {
        folder: args.dir.clone(),
        hospital: "関守記念病院（デモ）".into(),
        zone: chrono_tz::Asia::Tokyo,
        ssh: args.ssh,
        console: Some(args.console),
        console_names: if json { Vec::new() } else { vec![NAME.to_owned()] },
        database: args.database.clone(),
        administrator: hospital::administrator(),
        // The demonstration ends with its terminal: nobody waits a minute for sessions that are left.
        shutdown_grace_seconds: 2,
        // Nothing here is worth guessing, and everybody wants to see it start.
        work: 8,
    }
}

/// The one line of JSON that scripts wait for.
fn ready(
    config: &Config,
    made: &init::Made,
    (ssh, console): (SocketAddr, SocketAddr),
    people: &[DemoPerson],
    devices: &[DemoDevice],
) -> anyhow::Result<String> {
    let public = |name: &str| std::fs::read_to_string(config.keys_dir().join(name)).map(|line| line.trim().to_owned());
    let line = json!({
        "ssh": {
            "host": ssh.ip().to_string(),
            "port": ssh.port(),
            "host_key": public("ssh_host_ed25519_key.pub")?,
            "ca_key": public("user_ca.pub")?,
        },
        "console": { "url": format!("https://{console}"), "ca_file": ca_file(config)? },
        "data_dir": config.data_dir().canonicalize()?,
        "config": made.config.canonicalize()?,
        "recordings_passphrase": made.office_passphrase.as_str(),
        "recovery_sheet": made.recovery_sheet.as_str(),
        "people": people,
        "devices": devices.iter().map(DemoDevice::listing).collect::<Vec<_>>(),
    });
    Ok(line.to_string())
}

/// The certificate that a browser has to trust.
fn ca_file(config: &Config) -> std::io::Result<PathBuf> {
    config.keys_dir().join("web_ca.pem").canonicalize()
}

/// What to type, for each kind of user.
fn greeting(
    made: &init::Made,
    (ssh, console): (SocketAddr, SocketAddr),
    people: &[DemoPerson],
    devices: &[DemoDevice],
    config: &Config,
) -> String {
    let (host, port) = (ssh.ip(), ssh.port());
    let path = made.config.canonicalize().unwrap_or_else(|_| made.config.clone());
    let path = path.display();
    let program = std::env::current_exe().map_or_else(|_| "sekimori".to_owned(), |path| path.display().to_string());
    let zone = config.hospital.zone;
    let mut text = String::from("\n関守 Sekimori — demonstration. Ctrl-C ends it.\n\nEquipment (simulated):\n");
    for device in devices {
        let open = device.open_until.map_or_else(
            || "closed".into(),
            |until: DateTime<Utc>| format!("open until {}", until.with_timezone(&zone).format("%H:%M %Z")),
        );
        text.push_str(&format!("  {:<10} {:<24} {open}\n", device.id.to_string(), device.name));
    }
    text.push_str("\nPeople (password, then a one-time code from the secret):\n");
    for person in people {
        let role = person.vendor.as_ref().map_or_else(|| person.role.to_owned(), ToString::to_string);
        let (id, password, secret) = (person.id.as_str(), person.password.as_str(), person.totp_secret.as_str());
        text.push_str(&format!("  {id:<14} {role:<14} {password}   {secret}\n"));
    }
    let codes = "a code:        oathtool --totp -b SECRET       (or add the secret to any authenticator app)";
    let key = people.iter().find_map(|person| person.key_file.as_ref()).map_or_else(String::new, |key| {
        format!("  with a key:    ssh -p {port} -i {} eng1+ct-01@{host}     (key + password)\n", key.display())
    });
    text.push_str(&format!(
        "
In a browser, with one of these passwords and a code:  https://{NAME}:{console}
  the browser warns unless it trusts {ca}

As the vendor's engineer:
  a shell:       ssh -p {port} eng1+ct-01@{host}
{key}  the menu:      ssh -p {port} eng1@{host}
  files:         sftp -P {port} eng1+ct-01@{host}
  by ProxyJump:  ssh -J eng1@{host}:{port} service@ct-01     (see: sekimori ca known-hosts)
  a port:        ssh -N -L 8080:ct-01:{web} -p {port} eng1@{host}     then open http://127.0.0.1:8080/
  {codes}

In another terminal, once:
  alias sekimori='{program} --config {path}'

As the hospital, in the browser: what waits (承認待ち) and who is at work now (接続中: Maria Kanda plays a maintenance of mri-01,
again and again). Or here:
  sekimori session list
  sekimori session watch ID          sekimori session cut ID --reason \"…\"
  sekimori work list --as approver
  sekimori work approve pacs-update --as approver

As the auditor (recordings are sealed; the passphrase is {passphrase}):
  sekimori session replay ID --as auditor
  sekimori ledger list --as auditor
  sekimori log list --as auditor

",
        console = console.port(),
        ca = ca_file(config).unwrap_or_default().display(),
        passphrase = made.office_passphrase.as_str(),
        web = devices.first().and_then(|device| device.ports.first()).copied().unwrap_or_default(),
    ));
    text
}

/// When the demonstration's open windows end, counted from its start.
const OPEN_FOR: TimeDelta = TimeDelta::hours(8);
