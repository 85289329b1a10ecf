//! The command line at its edges: what is malformed gets a clear error, and nothing half done.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    DEVICE, Database, ENGINEER, Gateway, Hospital, Input, PATIENCE, Silent, VENDOR, Window, free_port,
};
use std::fs;
use std::time::Instant;

#[test]
fn malformed_input_is_named_and_changes_nothing() -> Result<()> {
    let hospital = Hospital::closed(Database::Sqlite)?;
    let file = hospital.workstation.folder().join("rubbish");
    fs::write(&file, b"\x00\xffnot a key, not a ledger\n")?;
    let rubbish = file.display().to_string();
    let ssh_port = hospital.sshd.address.port().to_string();
    let times = ["--start", "2026-12-01T09:00:00", "--end", "2026-12-01T10:00:00"];
    let request = [
        "work",
        "request",
        "--vendor",
        VENDOR,
        "--person",
        ENGINEER,
        "--device",
        DEVICE,
        "--purpose",
        "p",
        "--plan",
        "p",
    ];
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (
            vec![
                "vendor",
                "add",
                "Not An Id",
                "--name",
                "n",
                "--contract-from",
                "2026-01-01",
                "--contract-until",
                "2027-01-01",
            ],
            "Not An Id",
        ),
        (vec!["vendor", "change", VENDOR, "--source", "10.0.0.0/33"], "10.0.0.0/33"),
        (vec!["vendor", "change", VENDOR, "--contract-until", "2027-13-01"], "2027-13-01"),
        (vec!["person", "show", "nobody-here"], "nobody-here"),
        (vec!["device", "change", DEVICE, "--forward", &ssh_port], "answered by the gateway"),
        // The port that clients take for SSH, although this device has its SSH elsewhere.
        (vec!["device", "change", DEVICE, "--forward", "22"], "answered by the gateway"),
        (
            vec!["device", "add", "new", "--name", "n", "--address", "h:2200", "--account", "a", "--forward", "22"],
            "answered by the gateway",
        ),
        (vec!["person", "key", "add", ENGINEER, &rubbish], "rubbish"),
        (vec!["device", "pin", DEVICE, "--fingerprint", "SHA256:nonsense"], "SHA256:nonsense"),
        (vec!["ledger", "import", &rubbish], "rubbish"),
        ([&request[..], &times, &["--zone", "Mars/Olympus"]].concat(), "Mars/Olympus"),
        ([&request[..], &times, &["--rrule", "FREQ=SOMETIMES;COUNT=3"]].concat(), "SOMETIMES"),
        ([&request[..], &["--start", "2026-12-01T10:00:00", "--end", "2026-12-01T09:00:00"]].concat(), ""),
        ([&request[..], &["--start", "soon", "--end", "later"]].concat(), "soon"),
    ];
    let before = hospital.events("work.transition")?.len();
    for (args, named) in cases {
        let said = hospital.gateway.refused(&hospital.administrator, &args)?;
        ensure!(said.contains(named), "{args:?}: the message does not name {named:?}: {said}");
    }
    ensure!(hospital.events("work.transition")?.len() == before, "a refused request left an event");
    Ok(())
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_by_name() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let good = fs::read_to_string(&gateway.demo.config)?;
    fs::write(&gateway.demo.config, format!("unheard_of = 1\n{good}"))?;
    let said = gateway.refused(&gateway.person("administrator")?.id, &["vendor", "list"])?;
    ensure!(said.contains("unheard_of"), "{said}");
    Ok(())
}

#[test]
fn options_may_stand_anywhere_and_the_doctor_is_content() -> Result<()> {
    let gateway = Gateway::start(None)?;
    let administrator = gateway.person("administrator")?.id.clone();
    for args in [["--json", "vendor", "list"], ["vendor", "--json", "list"], ["vendor", "list", "--json"]] {
        let output = gateway.command(&[&args[..], &["--as", &administrator]].concat(), Input::Nothing)?.success()?;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(listed.as_array().is_some_and(|vendors| vendors.len() == 3), "{listed}");
    }
    gateway.command(&["doctor"], Input::Nothing)?.success().context("the doctor finds fault with the demo")?;
    for shell in ["bash", "zsh", "fish"] {
        let completions = gateway.command(&["completions", shell], Input::Nothing)?.success()?;
        ensure!(completions.text().contains("sekimori"), "no completions for {shell}");
    }
    Ok(())
}

#[test]
fn a_device_that_is_silent_or_gone_is_told_of_and_holds_up_nobody() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let silent = Silent::start()?;
    let addresses = [silent.address.to_string(), format!("127.0.0.1:{}", free_port()?)];
    for address in addresses {
        let act = ["device", "change", DEVICE, "--address", &address];
        hospital.gateway.act(&hospital.administrator, &act)?;
        let begin = Instant::now();
        let output = hospital.exec(&certificate, "true", Input::Nothing)?;
        ensure!(output.code != Some(0) && begin.elapsed() < PATIENCE, "{address}: {output:?}");
        ensure!(output.stderr.contains(DEVICE), "{address}: the person is not told: {:?}", output.stderr);
    }
    let back = hospital.sshd.address.to_string();
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--address", &back])?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("with the device back")?;
    Ok(())
}

#[test]
fn requests_put_forward_at_the_same_moment_get_numbers_of_their_own() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let ids = std::thread::scope(|scope| {
        let request = || hospital.request(&hospital.engineer, DEVICE, Window::tomorrow());
        let requests: Vec<_> = (0..8).map(|_| scope.spawn(request)).collect();
        let join = |one: std::thread::ScopedJoinHandle<'_, Result<String>>| {
            one.join().map_err(|_| anyhow::anyhow!("panicked"))?
        };
        requests.into_iter().map(join).collect::<Result<std::collections::BTreeSet<_>>>()
    })?;
    ensure!(ids.len() == 8, "{ids:?}");
    Ok(())
}
