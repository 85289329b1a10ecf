//! Witnesses of the log: over HTTPS each round, and carried on a folder; what they refuse, and what the gateway makes of
//! a silent one and of one that has seen more than the log holds.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{
    Bundle, Database, Hospital, Input, PATIENCE, Running, SealedLog, Transcript, at, free_port, run, sekimori,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_witness_cosigns_over_https_and_a_log_that_is_behind_it_raises_the_alarm() -> Result<()> {
    let mut hospital = Hospital::open(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    let certificate = hospital.sign_in()?;
    let mut witness = Witness::new(&sealed)?;
    let folder = hospital.gateway.demo.config.parent().context("no folder")?.to_owned();
    let (pem, key) = (folder.join("witness.pem"), folder.join("witness.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=witness", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key).arg("-out").arg(&pem);
    run(&mut openssl, Input::Nothing, PATIENCE)?.success()?;

    // Wanted, and not there: no session starts, and it is told of.
    let url = format!("https://127.0.0.1:{}", witness.port);
    witness.is_configured(&hospital, &format!("url = \"{url}\", ca = \"witness.pem\","), 1)?;
    let refused = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(refused.code == Some(77) && refused.stderr.contains("No witness confirms"), "{refused:?}");
    let silent = await_event(&hospital, "log.witness-silent", "")?;
    ensure!(at(&silent, "/detail/witness") == NAME, "{silent}");
    let doctor = hospital.gateway.command(&["doctor"], Input::Nothing)?.text();
    ensure!(doctor.contains(&format!("FAIL  witness {NAME}: ")), "{doctor}");

    // A reload is acted upon at once, however long the pause would last that it ends.
    let mark = hospital.gateway.log.mark();
    Witness::is_asked_every(&hospital, 3600)?;
    hospital.gateway.log.wait_after(mark, "a witness did not cosign", PATIENCE)?;
    witness.listens(&["--tls-certificate", &pem.display().to_string(), "--tls-key", &key.display().to_string()])?;
    Witness::is_asked_every(&hospital, 1)?;
    await_event(&hospital, "log.witness-back", "")?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    await_event(&hospital, "recording.sealed", "")?;
    sealed.await_newest(&hospital)?;
    let size = sealed.size()?;
    witness.await_size(&hospital, size)?;
    // The witness's own folder is an anchor, and its signature counts for who knows its key.
    let report = sealed.is_intact(&hospital, &[&witness.state])?;
    ensure!(at(&report, "/anchored").as_u64() >= Some(size), "{report:#}");
    let keys = fs::read_to_string(&sealed.keys)?;
    fs::write(&sealed.keys, format!("{keys}{}\n", witness.key))?;
    let (log, keys) = (sealed.log.display().to_string(), sealed.keys.display().to_string());
    let verify = ["verify", "--log", &log, "--keys", &keys, "--quorum", "1"];
    hospital.gateway.command(&verify, Input::Nothing)?.success().context("its cosignature does not count")?;
    // An outsider sees it as well, in the evidence of a session.
    let bundle = Bundle::of(&hospital, &hospital.closed_session()?, &[])?;
    let said = bundle.verified(&["--keys", &keys])?.success()?.text();
    ensure!(said.contains(&format!("cosigned by {NAME} at ")), "{said}");

    // The whole data directory is put back to an earlier state, database and all: nothing on this machine shows it.
    hospital.gateway.kill()?;
    let (data, snapshot) = (hospital.gateway.demo.data_dir.clone(), folder.join("snapshot"));
    let copy = |from: &Path, to: &Path| run(Command::new("cp").arg("-a").args([from, to]), Input::Nothing, PATIENCE);
    copy(&data, &snapshot)?.success()?;
    let serving = hospital.gateway.serve_again()?;
    for number in 0..5 {
        let id = format!("later{number}");
        let add = ["person", "add", &id, "--name", "Later", "--role", "approver"];
        hospital.gateway.act(&hospital.administrator, &add)?;
    }
    sealed.await_newest(&hospital)?;
    witness.await_size(&hospital, sealed.size()?)?;
    drop(serving);
    fs::remove_dir_all(&data)?;
    fs::rename(&snapshot, &data)?;
    let _serving = hospital.gateway.serve_again()?;
    await_event(&hospital, "log.witness-silent", "it has seen")?;
    Ok(())
}

#[test]
fn a_witness_refuses_as_the_specification_says_and_answers_what_is_carried() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    let mut witness = Witness::new(&sealed)?;
    witness.listens(&[])?;
    witness.is_configured(&hospital, "", 0)?;
    let stick = tempfile::tempdir()?;
    let carry = || -> Result<(String, Value)> {
        sealed.await_newest(&hospital)?;
        let told =
            hospital.gateway.act(&hospital.administrator, &["log", "carry", &stick.path().display().to_string()])?;
        Ok((fs::read_to_string(file(stick.path(), "request")?)?, told))
    };
    let (first, _) = carry()?;
    let size = sealed.size()?;
    let (status, body) = witness.post(&first)?;
    ensure!(
        status == "200 text/plain; charset=utf-8" && body.starts_with(&format!("\u{2014} {NAME} ")),
        "{status} {body}"
    );
    ensure!(witness.post(&first)? == ("409 text/x.tlog.size".into(), format!("{size}\n")), "a replay");
    lines_of_others_change_nothing(&witness, &first, size, &body)?;

    // The gateway did not hear of that one: it is told where the witness stands, and proves its way from there.
    hospital.gateway.act(&hospital.administrator, &["person", "add", "one", "--name", "One", "--role", "approver"])?;
    carry()?;
    witness.carried(stick.path())?;
    let (second, told) = carry()?;
    ensure!(at(&told, "/0/refused").as_str().is_some_and(|reason| reason.contains("carry it again")), "{told}");
    let proof = second.lines().nth(1).filter(|line| line.len() == 44).context("no proof")?;
    let other = format!("{}{}", if proof.starts_with('A') { "B" } else { "A" }, proof.get(1..).unwrap_or_default());
    let origin = second.lines().find(|line| line.starts_with("sekimori/")).context("no origin")?;
    let (text, signature) = second.trim_end().rsplit_once(' ').context("no signature")?;
    let mut forged = signature.to_owned();
    forged.replace_range(20..21, if forged.get(20..21) == Some("x") { "y" } else { "x" });
    for (request, expected) in [
        (second.replacen(proof, &other, 1), "422"),
        (second.replace(origin, "sekimori/another"), "404"),
        (format!("{text} {forged}\n"), "403"),
        (second.replacen(&format!("old {size}"), "old 999999", 1), "400"),
        (second.replacen("old ", "new ", 1), "400"),
        (second.replacen(&format!("old {size}"), &format!("old {}", size - 1), 1), "409"),
        ("x".repeat(2 << 20), "400"),
    ] {
        let (status, body) = witness.post(&request)?;
        ensure!(status.starts_with(expected), "{expected}: {status} {body}");
    }

    // Nothing of that moved it, and neither did kill -9.
    witness.kill()?;
    witness.carried(stick.path())?;
    let before = sealed.size()?;
    let (_, told) = carry()?;
    ensure!(at(&told, "/0/cosigned").as_u64() == Some(before), "{told}");
    let anchored = sealed.is_intact(&hospital, &[&witness.state])?;
    ensure!(at(&anchored, "/anchored").as_u64() == Some(before), "{anchored:#}");

    // The next key speaks for the log when the witness was handed it, and from then on the first one does not.
    hospital.gateway.act(&hospital.administrator, &["log", "rotate-key"])?;
    hospital.gateway.act(&hospital.administrator, &["person", "add", "two", "--name", "Two", "--role", "approver"])?;
    carry()?;
    witness.carried(stick.path())?;
    let (_, told) = carry()?;
    ensure!(at(&told, "/0/refused").as_str().is_some_and(|reason| reason.contains("403")), "{told}");
    sealed.copy_keys()?;
    witness.carried(stick.path())?;
    let (_, told) = carry()?;
    ensure!(at(&told, "/0/cosigned").as_u64() == Some(sealed.size()?), "{told}");
    Ok(())
}

/// Whoever reaches a witness can put lines beside a genuine checkpoint. It answers, and stands where it stood; and so it does
/// with a record of before, in which such lines were kept.
fn lines_of_others_change_nothing(witness: &Witness, first: &str, size: u64, own: &str) -> Result<()> {
    let again = first.replacen("old 0\n", &format!("old {size}\n"), 1);
    // Its own line, with its name, its identifier and a time, and another signature.
    let mut junk = own.to_owned();
    let at = junk.len() - 50;
    junk.replace_range(at..at + 1, if junk.get(at..at + 1) == Some("x") { "y" } else { "x" });
    let record = file(&witness.state, "checkpoint")?;
    let sound = || -> Result<()> {
        let (status, body) = witness.post(&again)?;
        ensure!(status.starts_with("200 "), "{status} {body}");
        let kept = fs::read_to_string(&record)?;
        ensure!(kept.matches('\u{2014}').count() == 2 && !kept.contains(&junk), "{kept}");
        Ok(())
    };
    for beside in [junk.clone(), junk.repeat(63)] {
        let (status, body) = witness.post(&format!("{again}{beside}"))?;
        ensure!(status.starts_with("200 "), "{status} {body}");
        sound()?;
    }
    let kept = fs::read_to_string(&record)?;
    let (text, lines) = kept.split_once("\n\n").context("no signatures")?;
    for beside in [junk.clone(), junk.repeat(90)] {
        fs::write(&record, format!("{text}\n\n{beside}{lines}"))?;
        ensure!(witness.post(first)?.0.starts_with("409 "), "it is where it was");
        sound()?;
    }
    // Without its own cosignature nothing says that this is how far the log was: it answers nobody before somebody looked.
    let (log, _) = lines.split_once('\n').context("one signature")?;
    fs::write(&record, format!("{text}\n\n{log}\n{junk}"))?;
    for request in [first, &again] {
        ensure!(witness.post(request)?.0.starts_with("500 "), "it believes what it did not sign");
    }
    ensure!(fs::read_to_string(&record)?.contains(&junk), "it was written over");
    fs::write(&record, kept)?;
    sound()
}

#[test]
fn what_is_carried_leads_nowhere_else() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let sealed = SealedLog::of(&hospital)?;
    let witness = Witness::new(&sealed)?;
    witness.is_configured(&hospital, "", 0)?;
    let (stick, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "precious")?;
    let carry = || {
        let folder = stick.path().display().to_string();
        hospital.gateway.command(&["--as", &hospital.administrator, "log", "carry", &folder], Input::Nothing)
    };
    sealed.await_newest(&hospital)?;
    carry()?.success()?;
    let request = file(stick.path(), "request")?;
    let answer = request.with_extension("answer");

    // Who had the stick made links of the names that are written next: the files that they lead to stay as they are.
    let is_link = |path: &Path| -> Result<()> {
        fs::remove_file(path).ok();
        Ok(std::os::unix::fs::symlink(&precious, path)?)
    };
    is_link(&request)?;
    is_link(&request.with_added_extension("new"))?;
    carry()?.success()?;
    ensure!(fs::read_to_string(&precious)? == "precious", "overwritten");
    ensure!(
        fs::symlink_metadata(&request)?.is_file() && fs::read_to_string(&request)?.starts_with("old 0\n"),
        "a link"
    );
    is_link(&answer)?;
    is_link(&answer.with_added_extension("new"))?;
    witness.carried(stick.path())?;
    ensure!(fs::read_to_string(&precious)? == "precious", "overwritten");
    ensure!(fs::read_to_string(&answer)?.starts_with("200\n"), "no answer");

    // Nor is read what is no file of the stick's, or has no end.
    let refused = |output: sekimori_tests::Output, why: &str| -> Result<()> {
        ensure!(output.code != Some(0) && output.stderr.contains(why), "{output:?}");
        Ok(())
    };
    let witnessed = || run(witness.command()?.arg("--carry").arg(stick.path()), Input::Nothing, PATIENCE);
    is_link(&answer)?;
    refused(carry()?, "is a link")?;
    fs::remove_file(&answer)?;
    is_link(&request)?;
    refused(witnessed()?, "is a link")?;
    fs::remove_file(&request)?;
    run(Command::new("mkfifo").arg(&request), Input::Nothing, PATIENCE)?.success()?;
    refused(witnessed()?, "is no file")?;
    fs::remove_file(&request)?;
    fs::File::create(&request)?.set_len(1 << 40)?;
    refused(witnessed()?, "has more than")?;
    fs::rename(&request, &answer)?;
    refused(carry()?, "has more than")?;
    Ok(())
}

/// The witness's name.
const NAME: &str = "witness.example";

/// Another machine, as far as it goes: a witness with a state of its own.
struct Witness {
    state: PathBuf,
    keys: PathBuf,
    key: String,
    port: u16,
    serving: Option<Running>,
    _folder: tempfile::TempDir,
}

impl Witness {
    /// Makes its key.
    fn new(sealed: &SealedLog) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-witness-").tempdir()?;
        let (state, keys) = (folder.path().join("state"), sealed.keys.clone());
        let (port, key) = (free_port()?, String::new());
        let mut witness = Self { state, keys, key, port, serving: None, _folder: folder };
        // It refuses to carry from an empty folder, and says its key before.
        let empty = tempfile::tempdir()?;
        let said = run(witness.command()?.arg("--carry").arg(empty.path()), Input::Nothing, PATIENCE)?;
        let key = said.text().lines().find_map(|line| line.strip_prefix("witness key: ").map(str::to_owned));
        witness.key = key.with_context(|| format!("no key: {said:?}"))?;
        Ok(witness)
    }

    fn command(&self) -> Result<Command> {
        let mut command = sekimori()?;
        command.args(["witness", "--name", NAME, "--state"]).arg(&self.state).arg("--keys").arg(&self.keys);
        Ok(command)
    }

    /// Lets it listen for as long as the witness lives.
    fn listens(&mut self, more: &[&str]) -> Result<()> {
        let mut command = self.command()?;
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
        self.serving = Some(Running::new(child));
        log.wait_for("listening for logs", PATIENCE)?;
        Ok(())
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) -> Result<()> {
        let mut serving = self.serving.take().context("it does not listen")?;
        serving.signal(Signal::KILL)?;
        serving.end_within(PATIENCE)?;
        Ok(())
    }

    /// Names it in the gateway's configuration.
    fn is_configured(&self, hospital: &Hospital, reached: &str, required: u64) -> Result<()> {
        let gateway = &hospital.gateway;
        let text = fs::read_to_string(&gateway.demo.config)?;
        let witness = format!("witnesses = [{{ {reached} key = \"{}\" }}]", self.key);
        let log = format!("[log]\n{witness}\nwitness_seconds = 1\nwitness_required_minutes = {required}\n");
        fs::write(&gateway.demo.config, format!("{text}\n{log}"))?;
        reload(hospital)
    }

    /// Has the gateway ask at another pace.
    fn is_asked_every(hospital: &Hospital, seconds: u64) -> Result<()> {
        let config = &hospital.gateway.demo.config;
        let text = fs::read_to_string(config)?;
        let (before, after) = text.split_once("witness_seconds = ").context("no pace")?;
        let after = after.split_once('\n').map_or("", |(_, after)| after);
        fs::write(config, format!("{before}witness_seconds = {seconds}\n{after}"))?;
        reload(hospital)
    }

    /// Posts a request as `curl` does; returns status with type, and body.
    fn post(&self, request: &str) -> Result<(String, String)> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--data-binary", "@-", "-H", "Content-Type: text/plain"]);
        curl.args(["-H", "Expect:", "-w", "\n%{http_code} %{content_type}"]);
        curl.arg(format!("http://127.0.0.1:{}/add-checkpoint", self.port));
        let said = run(&mut curl, Input::from(request), PATIENCE)?.text();
        let (body, status) = said.rsplit_once('\n').context("no status")?;
        Ok((status.to_owned(), body.to_owned()))
    }

    /// Answers what lies in a folder.
    fn carried(&self, folder: &Path) -> Result<()> {
        run(self.command()?.arg("--carry").arg(folder), Input::Nothing, PATIENCE)?.success()?;
        Ok(())
    }

    /// Waits until it has cosigned so many events.
    fn await_size(&self, hospital: &Hospital, wanted: u64) -> Result<()> {
        let started = Instant::now();
        loop {
            let output = hospital.gateway.command(&["--json", "log", "status"], Input::Nothing)?;
            let status: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
            if at(&status, "/witnesses/0/size").as_u64() >= Some(wanted) {
                ensure!(at(&status, "/witnesses/0/silent") == false, "{status}");
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "it does not cosign {wanted} events: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Has the configuration read again.
fn reload(hospital: &Hospital) -> Result<()> {
    let gateway = &hospital.gateway;
    let mark = gateway.log.mark();
    gateway.signal(Signal::HUP)?;
    gateway.log.wait_after(mark, "was read again", PATIENCE)?;
    Ok(())
}

/// The one file of a folder with this extension.
fn file(folder: &Path, extension: &str) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.flatten().map(|file| file.path());
    files.find(|path| path.extension().is_some_and(|found| found == extension)).context("nothing was left to carry")
}

/// Waits until the newest event of a kind has this in its reason; returns it.
fn await_event(hospital: &Hospital, kind: &str, reason: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        let events = hospital.gateway.act(&hospital.auditor, &["log", "list", "--kind", kind])?;
        let newest = events.as_array().and_then(|events| events.last());
        if let Some(event) = newest.filter(|event| at(event, "/detail/reason").to_string().contains(reason)) {
            return Ok(event.clone());
        }
        ensure!(started.elapsed() < PATIENCE, "no {kind} with {reason:?}: {newest:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
