//! The command line: what is typed, who it is done as, and how an outcome becomes an exit code.
//!
//! Every verb that changes something checks the authority of the person it is done as, and writes an event that names
//! that person and the system user at the keyboard. Exit codes: 0 done, 1 failed, 2 misused, 3 refused, 4 not found,
//! 5 in conflict; `verify` also says 6 questions and 7 altered.

mod backup;
pub mod context;
mod device;
mod doctor;
pub mod error;
mod explain;
pub mod init;
mod ledger;
mod lock;
mod log;
mod mail;
pub mod output;
mod paperwork;
mod person;
mod recording_key;
mod retention;
mod session;
mod sign_in;
mod vendor;
mod verify;
mod work;

pub use output::print_text;

use crate::config::{Config, Sandbox};
use crate::sandbox::reach::Reach;
use crate::{demo, sandbox, serve, witness};
use clap::{CommandFactory, Parser, Subcommand};
use context::Context;
use error::CliError;
use sekimori_policy::id::PersonId;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sekimori (関守): the one door through which vendors maintain a hospital's equipment from far away.
#[derive(Debug, Parser)]
#[command(name = "sekimori", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        env = "SEKIMORI_CONFIG",
        value_name = "FILE",
        default_value = "/etc/sekimori/sekimori.toml"
    )]
    config: PathBuf,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
    /// The person this is done as; without it, the administrator whom `init` made
    #[arg(long = "as", global = true, value_name = "PERSON")]
    as_person: Option<PersonId>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data directory: keys, database, first administrator, recovery sheet
    Init(init::Args),
    /// Serve until SIGTERM; SIGHUP reads the configuration again
    Serve,
    /// Check a backup, or make a gateway of it where none is: the configuration comes from the backup if there is none
    Restore(backup::RestoreArgs),
    /// Start a small hospital on loopback, with simulated equipment, to try everything
    Demo(demo::Args),
    #[command(flatten)]
    Verb(Verb),
    /// Verify a log offline: exit code 0 intact, 6 questions, 7 altered
    Verify(verify::Args),
    /// Remember on another machine how far logs were, and cosign what continues them (C2SP tlog-witness)
    Witness(witness::Args),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder; it must exist
        folder: PathBuf,
    },
}

/// What works on a data directory that is there.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Check configuration, keys, database, disk, clock, sandbox and mail, and say what to do
    Doctor,
    /// Say whether a person may reach a device, and every reason why not
    Explain(explain::Args),
    /// Vendors (事業者) under contract
    #[command(subcommand)]
    Vendor(vendor::Command),
    /// People and their factors
    #[command(subcommand)]
    Person(person::Command),
    /// Devices (機器), their host keys and credentials
    #[command(subcommand)]
    Device(device::Command),
    /// Pieces of work (作業), from the request to the review
    #[command(subcommand)]
    Work(work::Command),
    /// Incident locks (非常時遮断)
    #[command(subcommand)]
    Lock(lock::Command),
    /// Sign-ins carried by certificates
    #[command(subcommand)]
    SignIn(sign_in::Command),
    /// Sessions: list, replay, watch, cut
    #[command(subcommand)]
    Session(session::Command),
    /// The keys that open recordings
    #[command(subcommand)]
    RecordingKey(recording_key::Command),
    /// How long recordings are kept, held (保全) and removed (廃棄)
    #[command(subcommand)]
    Retention(retention::Command),
    /// The device ledger (機器台帳)
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// The log of events
    #[command(subcommand)]
    Log(log::Command),
    /// Mail to people: whether it goes, and what waits
    #[command(subcommand)]
    Mail(mail::Command),
    /// Copy everything into a folder or a bucket while the gateway serves; what never changes is copied once
    Backup(backup::Args),
    /// The certificate authorities: for sign-ins, and for devices' names
    #[command(subcommand)]
    Ca(paperwork::Ca),
}

/// Parses the command line, does what it says, and maps the outcome to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => error::report(&fault, json),
    }
}

/// What has to be done while there is one thread comes first: what it gives up, those that follow never had.
fn start(cli: Cli) -> Result<(), CliError> {
    sandbox::renounce()?;
    // Counted outside of the sandbox: how many processors a container may use stands in files that it closes.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let Cli { config, json, as_person, command } = cli;
    match command {
        Command::Serve => {
            diagnostics();
            let read = Config::read(&config)?;
            let reach = Reach::of_gateway(&read, &config).map_err(CliError::Failed)?;
            let held = sandbox::enter(read.process.sandbox, &reach)?;
            on_threads(threads, async { Ok(serve::run(read, &config, held).await?) })
        }
        Command::Demo(args) => {
            diagnostics();
            let reach = Reach::of_demo(&args.dir, [args.ssh.port(), args.console.port()]).map_err(CliError::Failed)?;
            let held = sandbox::enter(Sandbox::BestEffort, &reach)?;
            on_threads(threads, async { Ok(demo::run(args, json, held).await?) })
        }
        Command::Init(args) => on_threads(threads, init::run(args, json)),
        Command::Restore(args) => on_threads(threads, backup::restore(args, config, json, as_person)),
        Command::Verify(args) => verify::run(&args, json),
        Command::Witness(args) => {
            diagnostics();
            let reach = args.reach().map_err(CliError::Failed)?;
            let held = sandbox::enter(Sandbox::BestEffort, &reach)?;
            on_threads(threads, witness::run(args, held))
        }
        Command::Completions { shell } => paperwork::completions(shell, &mut Cli::command()),
        Command::Man { folder } => paperwork::manual(&folder, Cli::command()),
        Command::Verb(verb) => {
            let context = Context::new(Config::read(&config)?, config, json, as_person);
            on_threads(threads, act(verb, &context))
        }
    }
}

fn on_threads(count: usize, act: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build();
    runtime.map_err(|fault| CliError::Failed(format!("cannot start: {fault}")))?.block_on(act)
}

async fn act(verb: Verb, context: &Context) -> Result<(), CliError> {
    match verb {
        Verb::Doctor => doctor::run(context).await,
        Verb::Explain(args) => explain::run(args, context).await,
        Verb::Vendor(command) => vendor::run(command, context).await,
        Verb::Person(command) => person::run(command, context).await,
        Verb::Device(command) => device::run(command, context).await,
        Verb::Work(command) => work::run(command, context).await,
        Verb::Lock(command) => lock::run(command, context).await,
        Verb::SignIn(command) => sign_in::run(command, context).await,
        Verb::Session(command) => session::run(command, context).await,
        Verb::RecordingKey(command) => recording_key::run(command, context).await,
        Verb::Retention(command) => retention::run(command, context).await,
        Verb::Ledger(command) => ledger::run(command, context).await,
        Verb::Log(command) => log::run(command, context).await,
        Verb::Mail(command) => mail::run(command, context).await,
        Verb::Backup(args) => backup::run(args, context).await,
        Verb::Ca(command) => paperwork::ca(command, context).await,
    }
}

/// Diagnostics of the running program go to standard error; events never go this way.
fn diagnostics() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SEKIMORI_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,sekimori=info"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
}
