//! A backup is taken while the gateway serves, proves itself elsewhere, and becomes a gateway again where none is.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, SealedLog, Surroundings, Window, at, free_port, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_backup_proves_itself_and_becomes_a_gateway_again() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "echo before-the-backup", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    // One that goes on meanwhile is in it as far as it went.
    let mut live = hospital.shell(hospital.carried(&certificate))?;
    live.ask("echo going''-on\r", "going-on")?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    // A second one into the same folder brings it up to date.
    live.ask("exit\r", "")?;
    let made = hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    ensure!(at(&made, "/entries").as_u64().is_some_and(|entries| entries > 10), "{made}");
    for word in ["before-the-backup", "eng1", "AGE-SECRET-KEY", "sekimori master key"] {
        let mut grep = Command::new("grep");
        let found = run(grep.args(["-rqaF", word]).arg(&place.folder), Input::Nothing, PATIENCE)?;
        ensure!(found.code == Some(1), "{word} stands in the backup in clear");
    }

    // A drill with an auditor's key, by the keys that were kept elsewhere.
    let (code, drill) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/sound") == true, "{drill}");
    ensure!(at(&drill, "/checked/database/differ") == 0 && at(&drill, "/checked/own_keys") == false, "{drill}");
    ensure!(at(&drill, "/checked/report/recordings/recordings").as_u64() >= Some(1), "{drill}");
    // The auditor's key is not the gateway's, and nothing is put where a gateway is.
    let elsewhere = hospital.workstation.folder().join("elsewhere/sekimori.toml");
    fs::create_dir(elsewhere.parent().context("no folder")?)?;
    let (code, said) = place.restore_with(&hospital, &elsewhere, &place.office, &[])?;
    ensure!(code == Some(1) && !elsewhere.exists(), "the office's key opened the gateway's: {said}");
    let (code, said) = place.restore(&hospital, &place.recovery, &[])?;
    ensure!(code == Some(5), "a gateway was written over: {said}");

    // The machine is lost; on another one the backup is a gateway again, with the same people, keys and recordings.
    hospital.gateway.kill()?;
    let data = &hospital.gateway.demo.data_dir;
    fs::rename(data, data.with_extension("lost"))?;
    let (code, said) = place.restore(&hospital, &place.recovery, &[])?;
    ensure!(code == Some(0), "{said}");
    let _gateway = hospital.gateway.serve_again()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with the certificate of before")?;
    ensure!(hospital.replayed(&session.id)?.contains("before-the-backup"));
    ensure!(hospital.events("gateway.restored")?.len() == 1);
    let compared = hospital.gateway.act(&hospital.auditor, &["log", "compare"])?;
    ensure!(at(&compared, "/differ") == 0, "{compared}");
    Ok(())
}

#[test]
fn what_was_done_to_a_backup_is_found() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    SealedLog::of(&hospital)?.await_newest(&hospital)?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    // An event that somebody altered in the database is in the backup as it is, and differs from the log.
    let made = hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    ensure!(place.restore(&hospital, &place.office, &["--drill"])?.0 == Some(0));
    let files = ["database.age", "keys.tar.age"].map(|name| place.folder.join(name));
    let recording = find(&place.folder.join("recordings"), ".tar")?.context("no recording in it")?;
    // Fewer entries than a full bundle holds.
    let entries = place.folder.join(format!("log/tile/entries/000.p/{}", at(&made, "/entries")));
    for path in files.into_iter().chain([recording, entries]) {
        let original = fs::read(&path)?;
        let mut changed = original.clone();
        *changed.get_mut(original.len() / 2).context("it is empty")? ^= 1;
        fs::write(&path, changed)?;
        let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
        ensure!(code != Some(0), "{} was changed: {said}", path.display());
        fs::write(&path, original)?;
    }
    // Whoever holds the backup can seal another database to the same public keys, but not sign for it.
    let note = place.folder.join("backup.note");
    let original = fs::read_to_string(&note)?;
    let entries = format!("\"entries\":{}", at(&made, "/entries"));
    fs::write(&note, original.replacen(&entries, "\"entries\":7", 1))?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains("backup.note"), "a forged note passes: {said}");
    fs::write(&note, original)?;
    let script = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); \
                  base.execute(\"UPDATE event SET body = body || ' ' WHERE seq = 5\"); base.commit()";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(hospital.gateway.demo.data_dir.join("sekimori.db"));
    run(&mut python, Input::Nothing, PATIENCE)?.success()?;
    let compared =
        hospital.gateway.command(&["--as", &hospital.auditor, "--json", "log", "compare"], Input::Nothing)?;
    let told: Value = serde_json::from_str(&compared.text())?;
    ensure!(compared.code == Some(7) && at(&told, "/differing/0") == 5, "{compared:?}");
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(7) && at(&said, "/checked/database/differing/0") == 5, "{said}");
    Ok(())
}

/// Where a backup lies, and what was kept elsewhere to use it.
struct Place {
    folder: PathBuf,
    keys: PathBuf,
    office: PathBuf,
    recovery: PathBuf,
}

impl Place {
    fn of(hospital: &Hospital) -> Result<Self> {
        let aside = hospital.workstation.folder();
        let data = &hospital.gateway.demo.data_dir;
        let [keys, office, recovery] = ["kept.keys", "office.age", "recovery.key"].map(|name| aside.join(name));
        fs::copy(data.join("log.keys"), &keys)?;
        fs::copy(data.join("keys/recordings/office.age"), &office)?;
        let mut sheet = hospital.gateway.demo.recovery_sheet.lines().map(str::trim);
        let key = sheet.find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("no key on the sheet")?;
        fs::write(&recovery, key)?;
        Ok(Self { folder: aside.join("backup"), keys, office, recovery })
    }

    fn restore(&self, hospital: &Hospital, identity: &Path, more: &[&str]) -> Result<(Option<i32>, Value)> {
        self.restore_with(hospital, &hospital.gateway.demo.config, identity, more)
    }

    fn restore_with(
        &self,
        hospital: &Hospital,
        config: &Path,
        identity: &Path,
        more: &[&str],
    ) -> Result<(Option<i32>, Value)> {
        let text = |path: &Path| path.display().to_string();
        let (folder, identity, keys) = (text(&self.folder), text(identity), text(&self.keys));
        let passphrase = hospital.gateway.passphrase_file();
        let command = ["--json", "--as", &hospital.administrator, "restore", &folder, "--identity", &identity];
        let with = ["--keys", &keys, "--passphrase-file", &passphrase];
        let mut restore = Command::new(hospital.gateway.prepared(&[]).get_program());
        restore.arg("--config").arg(config).args(command).args(with).args(more);
        let said = run(&mut restore, Input::Nothing, PATIENCE)?;
        let value = serde_json::from_str(&said.text()).unwrap_or_else(|_| Value::String(said.stderr.clone()));
        Ok((said.code, value))
    }
}

/// A file below a folder whose name ends so.
fn find(folder: &Path, ending: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() { find(&path, ending)? } else { Some(path) };
        if let Some(path) = found.filter(|path| path.to_string_lossy().ends_with(ending)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
