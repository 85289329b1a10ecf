//! A backup is taken while the gateway serves, proves itself elsewhere, and becomes a gateway again where none is.

use anyhow::{Context, Result, bail, ensure};
use sekimori_tests::{
    Database, Hospital, Input, PATIENCE, Postgres, SealedLog, Surroundings, Window, at, free_port, run,
};
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
    // A second one into the same folder brings it up to date, and clears away what the first alone needed.
    live.ask("exit\r", "")?;
    let made = hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    ensure!(at(&made, "/entries").as_u64().is_some_and(|entries| entries > 10), "{made}");
    ensure!(fs::read_dir(place.folder.join("taken"))?.count() == 1, "the first backup's files are there still");
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
    ensure!(hospital.events("backup.started")?.len() == 2 && hospital.events("backup.made")?.len() == 1);
    Ok(())
}

#[test]
fn a_gateway_on_postgresql_is_backed_up_and_restored_into_an_empty_database() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, Database::Postgres)?;
    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "echo on-postgresql", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    let mut live = hospital.shell(hospital.carried(&certificate))?;
    live.ask("echo going''-on\r", "going-on")?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    live.ask("exit\r", "")?;
    // What came after it is not in it.
    let late = ["vendor", "add", "too-late", "--name", "Late", "--contract-from", "2026-01-01", "--contract-until"];
    let late = [&late[..], &["2027-01-01", "--source", "203.0.113.0/24"]].concat();
    hospital.gateway.act(&hospital.administrator, &late)?;
    let (code, drill) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/checked/database/differ") == 0, "{drill}");
    ensure!(at(&drill, "/checked/database/events").as_u64() > Some(10), "{drill}");

    hospital.gateway.kill()?;
    let data = hospital.gateway.demo.data_dir.clone();
    fs::rename(&data, data.with_extension("lost"))?;
    // The lost gateway's database is no empty one.
    let (code, said) = place.restore(&hospital, &place.recovery, &[])?;
    ensure!(code == Some(5) && !data.exists(), "a gateway's database was written over: {said}");
    let empty = Postgres::start()?;
    let config = fs::read_to_string(&hospital.gateway.demo.config)?;
    let lost = &hospital.database.as_ref().context("no database")?.url;
    ensure!(config.contains(lost.as_str()), "{config}");
    fs::write(&hospital.gateway.demo.config, config.replace(lost.as_str(), &empty.url))?;
    let (code, said) = place.restore(&hospital, &place.recovery, &[])?;
    ensure!(code == Some(0), "{said}");
    hospital.database = Some(empty);
    let _gateway = hospital.gateway.serve_again()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with the certificate of before")?;
    ensure!(hospital.replayed(&session.id)?.contains("on-postgresql"));
    ensure!(hospital.events("gateway.restored")?.len() == 1);
    let compared = hospital.gateway.act(&hospital.auditor, &["log", "compare"])?;
    ensure!(at(&compared, "/differ") == 0 && at(&compared, "/events").as_u64() > Some(10), "{compared}");
    let vendors = hospital.gateway.act(&hospital.administrator, &["vendor", "list"])?.to_string();
    ensure!(vendors.contains("ishida-medical") && !vendors.contains("too-late"), "{vendors}");
    Ok(())
}

#[test]
fn a_backup_that_breaks_off_leaves_the_one_before_it_whole() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    let first = hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.sealed(&hospital.closed_session()?.id)?;
    // What is read last cannot be read: log, database and recordings were put by then.
    let unreadable = hospital.gateway.demo.data_dir.join("administrator");
    fs::rename(&unreadable, unreadable.with_extension("aside"))?;
    fs::create_dir(&unreadable)?;
    let said = hospital.gateway.refused(&hospital.administrator, &["backup", &backup])?;
    ensure!(said.contains("administrator"), "{said}");
    fs::remove_dir(&unreadable)?;
    fs::rename(unreadable.with_extension("aside"), &unreadable)?;
    let (code, drill) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/checked/backup/entries") == at(&first, "/entries"), "{drill}");
    ensure!(hospital.events("backup.failed")?.len() == 1 && hospital.events("backup.started")?.len() == 2);
    // The next one is whole again.
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let (code, drill) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/checked/report/recordings/recordings") == 1, "{drill}");
    Ok(())
}

#[test]
fn a_folder_that_is_not_kept_for_backups_is_not_written_to() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let aside = hospital.workstation.folder();
    let data = &hospital.gateway.demo.data_dir;
    let strange = aside.join("nas");
    let photo = strange.join("recordings/holiday.jpg");
    fs::create_dir_all(strange.join("recordings"))?;
    fs::write(&photo, "sea")?;
    let above = data.parent().context("no folder above")?;
    for folder in [data.as_path(), &data.join("recordings/2026"), above, &strange] {
        let said = hospital.gateway.refused(&hospital.administrator, &["backup", &folder.display().to_string()])?;
        ensure!(said.contains("cannot take backups"), "{}: {said}", folder.display());
    }
    ensure!(fs::read_to_string(&photo)? == "sea" && fs::read_dir(&strange)?.count() == 1, "something was put there");
    // Nor where a link leads to.
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    fs::remove_dir_all(place.folder.join("log"))?;
    let elsewhere = aside.join("elsewhere");
    fs::create_dir(&elsewhere)?;
    std::os::unix::fs::symlink(&elsewhere, place.folder.join("log"))?;
    let said = hospital.gateway.refused(&hospital.administrator, &["backup", &backup])?;
    ensure!(said.contains("a link"), "{said}");
    ensure!(fs::read_dir(&elsewhere)?.next().is_none(), "it was written through a link");
    Ok(())
}

#[test]
fn a_key_that_was_succeeded_signs_for_no_backup() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let before = place.keys.with_extension("before");
    fs::copy(&place.keys, &before)?;
    hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
    SealedLog::of(&hospital)?.await_newest(&hospital)?;
    fs::copy(hospital.gateway.demo.data_dir.join("log.keys"), &place.keys)?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains("succeeded"), "{said}");
    let older = Place { keys: before, ..place.clone() };
    ensure!(older.restore(&hospital, &place.office, &["--drill"])?.0 == Some(0), "as it was then");
    // One of after the succession is signed by the next key.
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

#[test]
fn a_drill_asks_who_does_it_and_is_on_record_however_it_ends() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let place = Place::of(&hospital)?;
    let backup = place.folder.display().to_string();
    hospital.gateway.act(&hospital.administrator, &["backup", &backup])?;
    let nobody = Place { person: hospital.engineer.id.clone(), ..place.clone() };
    let (code, said) = nobody.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(3) && at(&said, "/sound").is_null(), "{said}");
    ensure!(hospital.events("backup.drilled")?.is_empty(), "what was refused was done");
    fs::remove_dir_all(place.folder.join("log/tile"))?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains("log/tile/entries"), "{said}");
    let told = hospital.events("backup.drilled")?;
    let [only] = told.as_slice() else { bail!("{told:?}") };
    ensure!(only.to_string().contains("\"sound\":false"), "{only}");
    // Nothing of it stays, though it broke off.
    let left = hospital.gateway.demo.data_dir.with_file_name(".sekimori-restoring");
    ensure!(!left.exists(), "{} is there still", left.display());
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
    let taken = |name: &str| find(&place.folder.join("taken"), name)?.with_context(|| format!("no {name} in it"));
    let files = [taken("database.age")?, taken("keys.tar.age")?, taken("log.keys")?, taken("files")?];
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
    let note = taken("backup.note")?;
    let original = fs::read_to_string(&note)?;
    let entries = format!("\"entries\":{}", at(&made, "/entries"));
    fs::write(&note, original.replacen(&entries, "\"entries\":7", 1))?;
    let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains("backup.note"), "a forged note passes: {said}");
    fs::write(&note, original)?;
    // Whole folders that are gone are missed.
    for part in ["recordings", "log/tile/entries"] {
        let aside = place.folder.with_extension("aside");
        fs::rename(place.folder.join(part), &aside)?;
        let (code, said) = place.restore(&hospital, &place.office, &["--drill"])?;
        ensure!(code == Some(1) && said.to_string().contains(part), "{part} is gone: {said}");
        fs::rename(&aside, place.folder.join(part))?;
    }
    // An older state of all of it agrees with itself, and not with a checkpoint that was kept elsewhere.
    let older = place.folder.with_extension("older");
    run(Command::new("cp").arg("-a").arg(&place.folder).arg(&older), Input::Nothing, PATIENCE)?.success()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    SealedLog::of(&hospital)?.await_newest(&hospital)?;
    let anchor = place.folder.with_extension("checkpoint");
    fs::copy(hospital.gateway.demo.data_dir.join("log/checkpoint"), &anchor)?;
    let anchored = ["--drill", "--anchor", &anchor.display().to_string()];
    let (code, said) = Place { folder: older, ..place.clone() }.restore(&hospital, &place.office, &anchored)?;
    ensure!(code == Some(7), "a backup that was rolled back passes: {said}");
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
#[derive(Clone)]
struct Place {
    person: String,
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
        let person = hospital.administrator.clone();
        Ok(Self { person, folder: aside.join("backup"), keys, office, recovery })
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
        let command = ["--json", "--as", &self.person, "restore", &folder, "--identity", &identity];
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
