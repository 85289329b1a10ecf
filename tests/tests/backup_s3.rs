//! A backup in a bucket of an S3-compatible store: what is locked there, what somebody with the store's keys can do to it,
//! and a gateway made of it on a machine that has nothing.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Database, Hospital, Input, PATIENCE, Store, Surroundings, Window, at, free_port, run};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// More than a store is sent in one piece.
const LARGE: &str = "head -c 20000000 /dev/urandom";

#[test]
fn a_backup_under_lock_outlives_who_holds_the_keys_and_becomes_a_gateway_again() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let surroundings = Surroundings { address: &address, ..Surroundings::default() };
    let mut hospital = Hospital::closed_in(surroundings, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, LARGE, Input::Nothing)?.success()?;
    hospital.sealed(&hospital.closed_session()?.id)?;
    hospital.exec(&certificate, "echo before-the-backup", Input::Nothing)?.success()?;
    let session = hospital.closed_session()?;
    hospital.sealed(&session.id)?;
    let kept = Kept::of(&hospital, 30)?;
    kept.store.act("create_bucket", &json!({ "Bucket": "keep", "ObjectLockEnabledForBucket": true }))?;
    // What an upload left that broke off counts for nothing, and goes.
    let begun = json!({ "Bucket": "keep", "Key": "gate/recordings/torn.tar" });
    kept.store.act("create_multipart_upload", &begun)?;
    kept.backup(&hospital, BUCKET)?;
    let left = kept.store.act("list_multipart_uploads", &json!({ "Bucket": "keep" }))?;
    ensure!(at(&left, "/Uploads").as_array().is_none_or(Vec::is_empty), "{left}");
    let older = kept.versions_of("gate/taken/", "backup.note")?;

    // The second puts only what is new; what the first alone needed stays under its lock, which it says.
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.sealed(&hospital.closed_session()?.id)?;
    let made = kept.backup(&hospital, BUCKET)?;
    ensure!(at(&made, "/stays/locked").as_u64() > Some(0) && at(&made, "/stays/refused") == 0, "{made}");
    let recordings = kept.store.versions("keep", "gate/recordings/")?;
    let mut names: HashMap<&str, usize> = HashMap::new();
    for version in recordings.iter().filter_map(|version| at(version, "/Key").as_str()) {
        *names.entry(version).or_default() += 1;
    }
    ensure!(names.len() == 3 && names.values().all(|count| *count == 1), "put again: {names:?}");
    let large = recordings.iter().find(|version| at(version, "/Size").as_u64() > Some(16 << 20));
    let large = large.context("the large recording is not there")?;
    let (key, version) = (at(large, "/Key"), at(large, "/VersionId"));
    let (code, drill) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/sound") == true, "{drill}");
    ensure!(at(&drill, "/checked/report/recordings/recordings") == 3, "{drill}");

    // Whoever has the store's keys cannot remove it, nor shorten its lock; what they put on top, and a mark that it is
    // deleted, hide nothing; nor does an older note that they copy to a later time.
    let said = kept.store.refused("delete_object", &json!({ "Bucket": "keep", "Key": key, "VersionId": version }))?;
    ensure!(said.contains("AccessDenied"), "{said}");
    let held = kept.store.act("head_object", &json!({ "Bucket": "keep", "Key": key, "VersionId": version }))?;
    ensure!(at(&held, "/ObjectLockMode") == "COMPLIANCE", "{held}");
    kept.store.act("put_object", &json!({ "Bucket": "keep", "Key": key, "Body": "garbage" }))?;
    kept.store.act("delete_object", &json!({ "Bucket": "keep", "Key": key }))?;
    for note in kept.versions_of("gate/taken/", "backup.note")? {
        kept.store.act("delete_object", &json!({ "Bucket": "keep", "Key": at(&note, "/Key") }))?;
    }
    kept.store.act("delete_object", &json!({ "Bucket": "keep", "Key": "gate/sekimori-backup" }))?;
    let older = older.first().context("no note of the first")?;
    let source = json!({ "Bucket": "keep", "Key": at(older, "/Key"), "VersionId": at(older, "/VersionId") });
    let later =
        json!({ "Bucket": "keep", "Key": "gate/taken/29990101T000000.000000Z/backup.note", "CopySource": source });
    kept.store.act("copy_object", &later)?;
    let (code, drill) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/sound") == true, "{drill}");
    ensure!(at(&drill, "/checked/backup/entries") == at(&made, "/entries"), "an older one was taken: {drill}");
    ensure!(at(&drill, "/checked/passed_over/0").to_string().contains("copied there"), "{drill}");

    // Nor does what they put over the keys that lie with it, where none were kept elsewhere.
    for keys in kept.versions_of("gate/taken/", "log.keys")? {
        kept.store.act("put_object", &json!({ "Bucket": "keep", "Key": at(&keys, "/Key"), "Body": "garbage" }))?;
        kept.store.act("delete_object", &json!({ "Bucket": "keep", "Key": at(&keys, "/Key") }))?;
    }
    let (code, drill) = kept.restore_by_its_own_keys(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/checked/backup/entries") == at(&made, "/entries"), "{drill}");

    // And the next backup goes there as before.
    kept.backup(&hospital, BUCKET)?;
    let (code, drill) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/checked/report/recordings/recordings") == 3, "{drill}");

    // The machine is lost. On one that has nothing, the store is described in a file.
    hospital.gateway.kill()?;
    let (data, config) = (hospital.gateway.demo.data_dir.clone(), hospital.gateway.demo.config.clone());
    fs::rename(&data, data.with_extension("lost"))?;
    fs::remove_file(&config)?;
    let (code, said) = kept.restore(&hospital, &kept.recovery, &[])?;
    ensure!(code == Some(2) && said.to_string().contains("--store"), "{said}");
    let store = config.with_file_name("store.toml");
    fs::write(&store, kept.store.lines(0))?;
    let (code, said) = kept.restore(&hospital, &kept.recovery, &["--store", &store.display().to_string()])?;
    ensure!(code == Some(0), "{said}");
    let _gateway = hospital.gateway.serve_again()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with the certificate of before")?;
    ensure!(hospital.replayed(&session.id)?.contains("before-the-backup"));
    ensure!(hospital.events("gateway.restored")?.len() == 1);
    Ok(())
}

#[test]
fn what_was_done_to_a_bucket_is_found_and_what_broke_off_is_gone_on_with() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    hospital.sealed(&hospital.closed_session()?.id)?;
    let kept = Kept::of(&hospital, 0)?;
    kept.store.act("create_bucket", &json!({ "Bucket": "keep" }))?;
    // What is read last cannot be read: log, database and recordings were put by then, and are not put again.
    let unreadable = hospital.gateway.demo.data_dir.join("administrator");
    fs::rename(&unreadable, unreadable.with_extension("aside"))?;
    fs::create_dir(&unreadable)?;
    let said = hospital.gateway.refused(&hospital.administrator, &["backup", BUCKET])?;
    ensure!(said.contains("administrator"), "{said}");
    let (code, said) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains("backup.note"), "half a backup counts: {said}");
    fs::remove_dir(&unreadable)?;
    fs::rename(unreadable.with_extension("aside"), &unreadable)?;
    kept.backup(&hospital, BUCKET)?;
    let recording = kept.versions_of("gate/recordings/", ".tar")?;
    let recording = at(recording.first().context("no recording in it")?, "/Key");
    let path = format!("PUT /keep/{}", recording.as_str().unwrap_or_default());
    ensure!(kept.store.log().matches(&path).count() == 1, "it was put again: {}", kept.store.log());
    let (code, drill) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0) && at(&drill, "/sound") == true, "{drill}");

    // Without a lock what was altered or removed is lost, and named.
    kept.store.act("put_object", &json!({ "Bucket": "keep", "Key": recording, "Body": "garbage" }))?;
    let (code, said) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    let named = recording.as_str().context("no name")?;
    ensure!(code == Some(1) && said.to_string().contains(&format!("{named}: is not the one")), "{said}");
    kept.store.act("delete_object", &json!({ "Bucket": "keep", "Key": recording }))?;
    let (code, said) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(1) && said.to_string().contains(&format!("{named}: is missing")), "{said}");
    // The next backup puts it back, as long as the gateway has it.
    kept.backup(&hospital, BUCKET)?;
    let (code, drill) = kept.restore(&hospital, &kept.office, &["--drill"])?;
    ensure!(code == Some(0), "{drill}");
    let notes = kept.versions_of("gate/taken/", "backup.note")?;
    ensure!(notes.len() == 1, "the first backup's files are there still: {notes:?}");
    Ok(())
}

#[test]
fn a_store_that_is_not_as_it_was_meant_is_refused_in_words() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let refused = |place: &str, words: &str| -> Result<()> {
        let said = hospital.gateway.refused(&hospital.administrator, &["backup", place])?;
        ensure!(said.contains(words), "{place}: {said}");
        Ok(())
    };
    refused(BUCKET, "backup.endpoint is not configured")?;
    let kept = Kept::of(&hospital, 30)?;
    refused(BUCKET, "make the bucket first")?;
    kept.store.act("create_bucket", &json!({ "Bucket": "keep" }))?;
    refused(BUCKET, "no object lock")?;
    refused("s3://keep/../gate", "s3://BUCKET/PREFIX")?;
    kept.store.act("create_bucket", &json!({ "Bucket": "locked", "ObjectLockEnabledForBucket": true }))?;
    kept.store.act("put_object", &json!({ "Bucket": "locked", "Key": "photos/sea.jpg", "Body": "sea" }))?;
    refused("s3://locked/photos", "it is not empty")?;
    let marker = json!({ "Bucket": "locked", "Key": "other/sekimori-backup", "Body": "backups of another\n" });
    kept.store.act("put_object", &marker)?;
    refused("s3://locked/other", "those of another")?;
    kept.store.write_credentials("not-the-secret")?;
    refused("s3://locked/gate", "SignatureDoesNotMatch")?;
    refused("s3://locked/gate", "backup.credentials")?;
    kept.store.write_credentials(kept.store.secret())?;
    fs::set_permissions(&kept.store.credentials, fs::Permissions::from_mode(0o644))?;
    refused("s3://locked/gate", "chmod 600")?;
    fs::set_permissions(&kept.store.credentials, fs::Permissions::from_mode(0o600))?;
    // Somebody else's machine, with a certificate that nobody vouches for.
    let elsewhere = tempfile::tempdir()?;
    let other = Store::start(elsewhere.path())?;
    let text = fs::read_to_string(&hospital.gateway.demo.config)?;
    let aside = text.replace(&kept.store.endpoint, &other.endpoint);
    ensure!(text != aside, "{text}");
    fs::write(&hospital.gateway.demo.config, aside)?;
    refused("s3://locked/gate", "certificate")?;
    ensure!(!other.log().contains("/locked"), "something was asked there");
    fs::write(&hospital.gateway.demo.config, text)?;
    kept.backup(&hospital, "s3://locked/gate")?;
    refused("s3://locked/gate/below", "lies within s3://locked/gate/")?;
    ensure!(kept.store.versions("locked", "photos/")?.len() == 1, "what is not ours was touched");
    Ok(())
}

const BUCKET: &str = "s3://keep/gate";

/// A store that the gateway is configured for, and what was kept elsewhere to use a backup.
struct Kept {
    store: Store,
    keys: PathBuf,
    office: PathBuf,
    recovery: PathBuf,
}

impl Kept {
    fn of(hospital: &Hospital, lock_days: u32) -> Result<Self> {
        let aside = hospital.workstation.folder();
        let store = Store::start(aside)?;
        let (config, data) = (&hospital.gateway.demo.config, &hospital.gateway.demo.data_dir);
        let text = fs::read_to_string(config)?;
        fs::write(config, format!("{text}\n[backup]\n{}", store.lines(lock_days)))?;
        let [keys, office, recovery] = ["kept.keys", "office.age", "recovery.key"].map(|name| aside.join(name));
        fs::copy(data.join("log.keys"), &keys)?;
        fs::copy(data.join("keys/recordings/office.age"), &office)?;
        let mut sheet = hospital.gateway.demo.recovery_sheet.lines().map(str::trim);
        fs::write(&recovery, sheet.find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("no key on the sheet")?)?;
        Ok(Self { store, keys, office, recovery })
    }

    fn backup(&self, hospital: &Hospital, place: &str) -> Result<Value> {
        let said = hospital.gateway.act(&hospital.administrator, &["backup", place]);
        said.with_context(|| format!("the store's log:\n{}", self.store.log()))
    }

    fn versions_of(&self, prefix: &str, ending: &str) -> Result<Vec<Value>> {
        let mut versions = self.store.versions("keep", prefix)?;
        versions.retain(|version| at(version, "/Key").as_str().is_some_and(|key| key.ends_with(ending)));
        Ok(versions)
    }

    fn restore(&self, hospital: &Hospital, identity: &Path, more: &[&str]) -> Result<(Option<i32>, Value)> {
        let keys = self.keys.display().to_string();
        self.restore_by_its_own_keys(hospital, identity, &[&["--keys", &keys], more].concat())
    }

    fn restore_by_its_own_keys(
        &self,
        hospital: &Hospital,
        identity: &Path,
        more: &[&str],
    ) -> Result<(Option<i32>, Value)> {
        let (identity, passphrase) = (identity.display().to_string(), hospital.gateway.passphrase_file());
        let mut restore: Command = hospital.gateway.prepared(&["--json", "--as", &hospital.administrator, "restore"]);
        restore.args([BUCKET, "--identity", &identity, "--passphrase-file", &passphrase]).args(more);
        let said = run(&mut restore, Input::Nothing, PATIENCE)?;
        let value = serde_json::from_str(&said.text()).unwrap_or_else(|_| Value::String(said.stderr.clone()));
        Ok((said.code, value))
    }
}
