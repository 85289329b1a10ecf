//! A small hospital on disk whose people type commands: the whole command line, against a real store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::init::{Plan, make};
use crate::cli::{Cli, Command, act as run};
use crate::config::Config;
use crate::serve::master_key;
use crate::store::Store;
use clap::Parser;
use sekimori_audit::event::{Event, Kind};
use sekimori_policy::facts::{HospitalRole, Language, Person, Status};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;

/// The hospital: `admin` administers, `chief` approves, `safety` reviews, `auditor` reads; `eng1` of `acme` maintains
/// `ct-01`, which offers a shell and SFTP, and `mri-01`, which offers a shell.
pub struct Office {
    folder: TempDir,
}

impl Office {
    pub async fn new() -> Self {
        let office = Self { folder: tempfile::tempdir().unwrap() };
        let administrator = Person {
            id: "admin".parse().unwrap(),
            name: "運用 花子".to_owned(),
            vendor: None,
            status: Status::Active,
            sources: Vec::new(),
            roles: BTreeSet::from([HospitalRole::Administrator]),
            language: Language::Ja,
            mail: None,
        };
        let plan = Plan {
            folder: office.folder.path().join("gate"),
            hospital: "試験病院".to_owned(),
            zone: chrono_tz::Asia::Tokyo,
            ssh: "127.0.0.1:0".parse().unwrap(),
            console: None,
            console_names: Vec::new(),
            database: None,
            administrator,
            shutdown_grace_seconds: 1,
            work: 2,
        };
        make(&plan).await.unwrap();
        office.furnish().await;
        office
    }

    async fn furnish(&self) {
        let contract = ["--contract-from", "2025-04-01", "--contract-until", "2099-03-31"];
        for vendor in ["acme", "beta"] {
            let source = ["--source", "203.0.113.0/24"];
            self.done("admin", &[&["vendor", "add", vendor, "--name", "アクメ"][..], &contract, &source].concat())
                .await;
        }
        for (id, role) in [("chief", "approver"), ("safety", "safety_manager"), ("auditor", "auditor")] {
            self.done("admin", &["person", "add", id, "--name", id, "--role", role]).await;
        }
        for (id, vendor) in [("eng1", "acme"), ("eng9", "beta")] {
            self.done("admin", &["person", "add", id, "--name", "保守 太郎", "--vendor", vendor]).await;
        }
        for (id, channels) in
            [("ct-01", &["--channel", "shell", "--channel", "sftp"][..]), ("mri-01", &["--channel", "shell"])]
        {
            let device = ["device", "add", id, "--name", id, "--address", "127.0.0.1:22", "--account", "service"];
            self.done("admin", &[&device[..], channels].concat()).await;
        }
    }

    /// One command, typed by somebody.
    pub async fn act(&self, by: &str, args: &[&str]) -> Result<(), CliError> {
        let config = self.config().display().to_string();
        let line = [&["sekimori", "--config", &config, "--json", "--as", by][..], args].concat();
        let cli = Cli::try_parse_from(line).map_err(|fault| CliError::Usage(fault.to_string()))?;
        let Cli { config, json, as_person, command: Command::Verb(verb) } = cli else { panic!("no verb: {args:?}") };
        let context = Context::new(Config::read(&config)?, config, json, as_person);
        // One future for all verbs is too large for a test's stack.
        Box::pin(run(verb, &context)).await
    }

    /// One command that has to succeed.
    pub async fn done(&self, by: &str, args: &[&str]) {
        self.act(by, args).await.unwrap_or_else(|fault| panic!("{by}: {args:?}: {fault}"));
    }

    /// A request by `eng1` for `ct-01`, from a minute ago for two hours.
    pub async fn requested(&self, id: &str) {
        self.done("eng1", &self.request(id)).await;
    }

    /// The words of such a request.
    pub fn request<'a>(&self, id: &'a str) -> Vec<&'a str> {
        let who = ["work", "request", id, "--vendor", "acme", "--person", "eng1", "--device", "ct-01"];
        let what = ["--purpose", "定期点検", "--plan", "1. ログの確認"];
        [&who[..], &what, &["--start", "+0m", "--end", "+2h"]].concat()
    }

    /// The store, as another process sees it.
    pub async fn store(&self) -> Store {
        let config = Config::read(&self.config()).unwrap();
        Store::open(&config.database().unwrap(), master_key(&config).unwrap()).await.unwrap()
    }

    /// All events of a kind.
    pub async fn events(&self, kind: Kind) -> Vec<Event> {
        let stored = self.store().await.events_since(0, 10_000).await.unwrap();
        stored.iter().map(|event| event.event().unwrap()).filter(|event| event.kind == kind).collect()
    }

    /// A path in the hospital's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("gate/sekimori.toml")
    }
}
