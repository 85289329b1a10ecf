//! The demo, as somebody meets it who has just cloned the repository.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{Codes, Engineer, Gateway, Input, PATIENCE, Proof, Terminal, Workstation, at, run, sekimori};
use serde_json::Value;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_demo_lets_its_engineer_work_in_a_simulated_device() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let demo = &gateway.demo;
    ensure!(demo.people.len() >= 5 && demo.devices.len() == 6, "{demo:?}");
    let engineer = gateway.person("vendor")?;
    let known =
        |what: &Option<String>| what.clone().with_context(|| format!("not all factors are printed: {engineer:?}"));
    let person = Engineer {
        id: engineer.id.clone(),
        password: known(&engineer.password)?,
        codes: Codes::new(&known(&engineer.totp_secret)?),
        key: engineer.key_file.clone().context("no key file is printed")?,
    };
    let station = Workstation::new(&demo.ssh)?;
    let certificate = station.sign_in(&person)?;
    let proof = Proof::Certificate(&person.key, &certificate);

    let mut reached = Vec::new();
    // Which of the open devices are this vendor's, connecting tells.
    for device in &demo.devices {
        let user = format!("{}+{}", person.id, device.id);
        let output = station.exec(&user, proof, "echo reached", Input::Nothing, PATIENCE)?;
        if output.code == Some(0) {
            ensure!(output.text() == "reached\n", "{output:?}");
            ensure!(device.open_until.is_some(), "{} was reached, and is said to be closed", device.id);
            reached.push(&device.id);
        }
    }
    ensure!(!reached.is_empty(), "{} reaches no device", person.id);
    Ok(())
}

#[test]
fn without_json_it_prints_what_to_type() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = sekimori()?;
    command
        .args(["demo", "--ssh", "127.0.0.1:0", "--console", "127.0.0.1:0", "--dir"])
        .arg(folder.path().join("hospital"));
    let mut terminal = Terminal::start(&command, 120, 50)?;
    terminal.screen.wait_for("ssh -p ", PATIENCE)?;
    let said = terminal.screen.wait_for("log list", PATIENCE)?;
    // What is printed works as it stands, in any folder.
    let alias = said.split("alias sekimori='").nth(1).and_then(|rest| rest.split('\'').next()).context("no alias")?;
    let mut listing = Command::new("sh");
    listing.current_dir("/").args(["-c", &format!("{alias} ledger list --as auditor --json")]);
    let listed = run(&mut listing, Input::Nothing, PATIENCE)?.success()?.text();
    ensure!(listed.contains("ct-01"), "{listed}");
    // Somebody is at work, and what they see can be watched.
    let end = Instant::now() + PATIENCE;
    let session = loop {
        let mut listing = Command::new("sh");
        listing.current_dir("/").args(["-c", &format!("{alias} session list --as auditor --json")]);
        let sessions: Value = serde_json::from_slice(&run(&mut listing, Input::Nothing, PATIENCE)?.success()?.stdout)?;
        let of = |session: &&Value| at(session, "/person") == "eng2" && at(session, "/device") == "mri-01";
        if let Some(session) = sessions.as_array().into_iter().flatten().find(of) {
            break at(session, "/id").as_str().context("no id")?.to_owned();
        }
        ensure!(Instant::now() < end, "nobody plays a maintenance: {sessions}");
        thread::sleep(Duration::from_millis(200));
    };
    let mut watch = Command::new("sh");
    watch.current_dir("/").args(["-c", &format!("exec {alias} session watch {session} --as approver")]);
    let mut watching = Terminal::start(&watch, 120, 50)?;
    watching.screen.wait_for("helium", PATIENCE * 2).context("nothing is typed")?;
    watching.type_in("\u{3}")?;
    watching.end_within(PATIENCE)?;
    terminal.type_in("\u{3}")?;
    terminal.end_within(PATIENCE).context("it does not end at Ctrl-C")?;
    Ok(())
}
