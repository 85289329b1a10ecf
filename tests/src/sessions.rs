//! What `sekimori session …` tells of the sessions that were, and the folders their recordings lie in.

use crate::hospital::Hospital;
use crate::process::{Input, run};
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A session, as `session list --json` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Who.
    pub person: String,
    /// Where to.
    pub device: String,
    /// When it ended; nothing while it is live.
    pub closed: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
}

impl Hospital {
    /// All sessions, newest first.
    ///
    /// # Errors
    /// The command fails.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let listed = self.gateway.act(&self.auditor, &["session", "list", "--limit", "1000000"])?;
        let mut sessions: Vec<Session> = serde_json::from_value(listed)?;
        // Session ids sort by time.
        sessions.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(sessions)
    }

    /// The newest session, once it has been closed on record.
    ///
    /// # Errors
    /// There is none, or it stays open.
    pub fn closed_session(&self) -> Result<Session> {
        self.await_session(|session| session.closed.is_some())
    }

    /// The newest session, once it fulfils `condition`. The command line is asked again and again, since it is the only
    /// way to know from outside.
    ///
    /// # Errors
    /// It does not in time.
    pub fn await_session(&self, condition: impl Fn(&Session) -> bool) -> Result<Session> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let newest = self.sessions()?.into_iter().next();
            match newest {
                Some(session) if condition(&session) => return Ok(session),
                other if Instant::now() > end => bail!("the newest session did not get there: {other:?}"),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// All sessions, newest first, once none is open any more.
    ///
    /// # Errors
    /// One stays open.
    pub fn all_closed(&self) -> Result<Vec<Session>> {
        let end = Instant::now() + crate::PATIENCE;
        loop {
            let sessions = self.sessions()?;
            let open: Vec<_> = sessions.iter().filter(|session| session.closed.is_none()).collect();
            if open.is_empty() {
                return Ok(sessions);
            }
            if Instant::now() > end {
                bail!("sessions stay open though everybody has left: {open:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until nothing more is recorded of a session: what flows has come to a standstill.
    ///
    /// # Errors
    /// It goes on.
    pub fn stops_growing(&self, session: &Session) -> Result<()> {
        let end = Instant::now() + crate::PATIENCE;
        let mut before = None;
        while Instant::now() < end {
            let sizes: Vec<u64> = entries(&self.working_folder(&session.id)?)?
                .iter()
                .map(|file| Ok(fs::metadata(file)?.len()))
                .collect::<Result<_>>()?;
            if before.as_ref() == Some(&sizes) && sizes.iter().sum::<u64>() > 1 << 20 {
                return Ok(());
            }
            before = Some(sizes);
            thread::sleep(Duration::from_millis(700));
        }
        bail!("session {} goes on being recorded: {before:?}", session.id)
    }

    /// `session show --json`.
    ///
    /// # Errors
    /// The command fails.
    pub fn show(&self, session: &Session) -> Result<Value> {
        self.gateway.act(&self.auditor, &["session", "show", &session.id])
    }

    /// Waits until the log tells of so many events of a kind: what lies on the disk is told of a moment later.
    ///
    /// # Errors
    /// They do not come in time.
    pub fn await_events(&self, kind: &str, count: usize) -> Result<()> {
        let end = Instant::now() + crate::PATIENCE;
        while self.events(kind)?.len() < count {
            anyhow::ensure!(Instant::now() < end, "there are no {count} events {kind}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The events of a kind (`session.open`), oldest first, as `log list --json` shows them.
    ///
    /// # Errors
    /// The command fails.
    pub fn events(&self, kind: &str) -> Result<Vec<Value>> {
        let listed = self.gateway.act(&self.auditor, &["log", "list"])?;
        let events = listed.as_array().with_context(|| format!("log list printed no list: {listed}"))?;
        Ok(events.iter().filter(|event| event.get("kind").and_then(Value::as_str) == Some(kind)).cloned().collect())
    }

    /// The folder that a live session's recording lies in: `recordings/YYYY/MM/DD/ID`.
    ///
    /// # Errors
    /// There is none.
    pub fn working_folder(&self, id: &str) -> Result<PathBuf> {
        self.find(id).with_context(|| format!("no recording of session {id} in {}", self.recordings().display()))
    }

    /// The sealed recording of a session that has ended: `recordings/YYYY/MM/DD/ID.tar`.
    ///
    /// # Errors
    /// There is none in time.
    pub fn sealed(&self, id: &str) -> Result<PathBuf> {
        let end = Instant::now() + crate::PATIENCE;
        let name = format!("{id}.tar");
        loop {
            match self.find(&name) {
                Ok(path) => return Ok(path),
                Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
                Err(fault) => return Err(fault.context(format!("session {id} is not sealed"))),
            }
        }
    }

    /// A folder with what was recorded: of a session that has ended, its sealed recording opened and unpacked; of a live
    /// one, its working folder.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn recording(&self, session: &Session) -> Result<PathBuf> {
        if session.closed.is_none() && self.find(&format!("{}.tar", session.id)).is_err() {
            return self.working_folder(&session.id);
        }
        let opened = self.workstation.folder().join("opened");
        let folder = opened.join(&session.id);
        if !folder.is_dir() {
            self.sealed(&session.id)?;
            fs::create_dir_all(&opened)?;
            let archive = opened.join(format!("{}.tar", session.id)).display().to_string();
            self.open_recording(&session.id, &archive)?;
            let mut tar = Command::new("tar");
            tar.arg("-xf").arg(&archive).arg("-C").arg(&opened);
            run(&mut tar, Input::Nothing, crate::PATIENCE)?.success()?;
        }
        Ok(folder)
    }

    /// `session export --opened`, with the passphrase that opens recordings.
    ///
    /// # Errors
    /// The command fails.
    pub fn open_recording(&self, id: &str, archive: &str) -> Result<()> {
        let passphrase = self.gateway.passphrase_file();
        let export = ["session", "export", id, "--opened", "--out", archive, "--passphrase-file", &passphrase];
        self.gateway.act(&self.auditor, &export)?;
        Ok(())
    }

    /// `session replay --text`, with the passphrase that opens recordings.
    ///
    /// # Errors
    /// The command fails.
    pub fn replayed(&self, id: &str) -> Result<String> {
        let passphrase = self.gateway.passphrase_file();
        let replay = ["--as", &self.auditor, "session", "replay", id, "--text", "--passphrase-file", &passphrase];
        Ok(self.gateway.command(&replay, Input::Nothing)?.success()?.text())
    }

    /// A member of a working folder, opened by the stock `age` and a page of Python, with nothing of ours.
    ///
    /// # Errors
    /// It does not open.
    pub fn opened_by_hand(&self, folder: &Path, member: &str) -> Result<Vec<u8>> {
        let key = self.workstation.folder().join("session-key");
        let mut age = Command::new("sh");
        age.args(["-c", r#"age -d -i "$0" "$1" > "$2" && echo DO''NE"#]);
        age.arg(self.gateway.demo.data_dir.join("keys/recordings/office.age")).arg(folder.join("key.age")).arg(&key);
        let mut typing = Terminal::start(&age, 80, 24)?;
        typing.screen.wait_for("passphrase", crate::PATIENCE).context("is age installed? tests/setup.sh does it")?;
        typing.type_in(&format!("{}\r", self.gateway.demo.recordings_passphrase))?;
        typing.screen.wait_for("DONE", crate::PATIENCE)?;
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new(tests.with_file_name("target").join("clients/venv/bin/python"));
        let out = tempfile::NamedTempFile::new()?;
        python.arg(tests.join("verifiers/open_journal.py")).arg(&key).arg(member).arg(out.path());
        python.arg(folder.join(format!("{member}.journal")));
        run(&mut python, Input::Nothing, crate::PATIENCE)?.success()?;
        Ok(fs::read(out.path())?)
    }

    fn find(&self, name: &str) -> Result<PathBuf> {
        let all = self.recording_folders()?;
        let found = all.iter().find(|path| path.file_name().is_some_and(|found| found == name));
        found.cloned().with_context(|| format!("no {name} among {all:?}"))
    }

    /// Where recordings lie.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.gateway.demo.data_dir.join("recordings")
    }

    /// All recordings: folders of live sessions, and sealed ones.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn recording_folders(&self) -> Result<Vec<PathBuf>> {
        let mut folders = vec![self.recordings()];
        // Years, months, days, sessions.
        for _ in 0..4 {
            folders = folders.iter().map(|folder| entries(folder)).collect::<Result<Vec<_>>>()?.concat();
        }
        Ok(folders)
    }

    /// The one member of a recording whose name ends with `ending` (`.cast`, `.stdout`).
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn member(&self, session: &Session, ending: &str) -> Result<PathBuf> {
        let folder = self.recording(session)?;
        let all = entries(&folder)?;
        let mut found = all.iter().filter(|path| path.to_string_lossy().ends_with(ending));
        match (found.next(), found.next()) {
            (Some(member), None) => Ok(member.clone()),
            _ => bail!("not just one {ending} in {all:?}"),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}
