//! Towards the device: the host key that the hospital pinned, and the credential that nobody sees.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    DEVICE, Database, Hospital, Input, PATIENCE, Running, Sshd, Terminal, Transcript, at, keygen, run,
};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[test]
fn a_device_with_another_host_key_gets_nothing() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    let other = Sshd::start(Some(&hospital.gateway.demo.ssh.ca_key))?;
    let address = other.address.to_string();
    hospital.gateway.act(&hospital.administrator, &["device", "change", DEVICE, "--address", &address])?;

    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?;
    ensure!(
        output.code == Some(77) && output.stdout.is_empty(),
        "another machine was taken for the device: {output:?}"
    );
    ensure!(output.stderr.contains("host key"), "the person is not told why: {}", output.stderr);
    let log = other.log.text();
    ensure!(!log.contains("Accepted") && !log.contains("Failed") && !log.contains("user"), "it got more: {log}");
    let events = hospital.events("session.channel")?;
    let told = events.iter().filter_map(|event| at(event, "/detail/not_reached").as_str()).next_back();
    ensure!(told.is_some_and(|told| told.contains("not pinned")), "{events:?}");

    // The hospital, and nobody else, says that the machine was replaced.
    for fingerprint in other.fingerprints()? {
        hospital.gateway.act(&hospital.administrator, &["device", "pin", DEVICE, "--fingerprint", &fingerprint])?;
    }
    trust_the_authority(&hospital, &other.account)?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success().context("pinned again")?;
    Ok(())
}

#[test]
fn a_device_may_trust_the_gateways_certificates() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    trust_the_authority(&hospital, &hospital.sshd.account)?;
    let certificate = hospital.sign_in()?;
    hospital.exec(&certificate, "true", Input::Nothing)?.success()?;
    // The device's own log names the person and the session.
    let session = hospital.closed_session()?;
    let id = format!("ID {}/{}", session.person, session.id);
    hospital.sshd.log.wait_for(&id, PATIENCE)?;
    Ok(())
}

#[test]
fn a_credential_that_the_device_refuses_is_told_of_without_showing_it() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let (administrator, account) = (&hospital.administrator, &hospital.sshd.account);
    let secret = "a-service-password-of-nobody";
    let args = ["device", "credential", DEVICE, account, "--password-stdin"];
    hospital.gateway.act_with(administrator, &args, Input::from(secret))?;
    let certificate = hospital.sign_in()?;
    let output = hospital.exec(&certificate, "true", Input::Nothing)?;
    ensure!(output.code == Some(77) && output.stderr.contains("credential"), "{output:?}");
    let everything = format!(
        "{} {} {}",
        output.stderr,
        hospital.gateway.log.text(),
        hospital.gateway.act(&hospital.auditor, &["log", "list"])?
    );
    ensure!(!everything.contains(secret), "the credential is shown");
    Ok(())
}

#[test]
fn a_device_takes_an_ed25519_key() -> Result<()> {
    a_device_takes_a_key("ed25519", "PubkeyAcceptedAlgorithms ssh-ed25519")
}

#[test]
fn a_device_takes_an_ecdsa_key() -> Result<()> {
    a_device_takes_a_key("ecdsa", "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256")
}

#[test]
fn a_device_takes_an_rsa_key_with_sha2() -> Result<()> {
    a_device_takes_a_key("rsa", "PubkeyAcceptedAlgorithms rsa-sha2-512,rsa-sha2-256")
}

fn a_device_takes_a_key(kind: &str, line: &str) -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let device = Sshd::configured(&["ed25519"], &format!("{line}\nAuthorizedKeysFile {{}}/injected.pub"))?;
    let key = device.folder().join("injected");
    keygen(kind, &key)?;
    hospital.replace_device(&device.address.to_string())?;
    hospital.pin(&device.fingerprints()?)?;
    hospital.inject_key(&device.account, &key)?;
    let certificate = hospital.sign_in()?;
    ensure!(hospital.exec(&certificate, "echo reached", Input::Nothing)?.success()?.text() == "reached\n");
    let log = device.log.wait_for("Accepted publickey", PATIENCE)?;
    ensure!(log.to_lowercase().contains(kind), "{log}");
    ensure!(hospital.events("session.legacy")?.is_empty(), "something outdated was used");
    Ok(())
}

#[test]
fn a_device_takes_the_password_by_password() -> Result<()> {
    a_device_takes_the_password("password")
}

#[test]
fn a_device_takes_the_password_by_keyboard_interactive() -> Result<()> {
    a_device_takes_the_password("keyboard-interactive")
}

fn a_device_takes_the_password(method: &str) -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let account = hospital.sshd.account.clone();
    let secret = "a-service-password-7431";
    let device = AsyncsshDevice::start(method, &account, secret)?;
    hospital.replace_device(&device.address)?;
    hospital.pin(&device.fingerprints)?;
    let store = |password: &str| {
        let args = ["device", "credential", DEVICE, &account, "--password-stdin"];
        hospital.gateway.act_with(&hospital.administrator, &args, Input::from(password))
    };
    store("not-the-service-password")?;
    let certificate = hospital.sign_in()?;
    let refused = hospital.exec(&certificate, "what is it", Input::Nothing)?;
    ensure!(refused.code == Some(77) && refused.stderr.contains("credential"), "a wrong password: {refused:?}");
    store(secret)?;
    let output = hospital.exec(&certificate, "what is it", Input::Nothing)?.success()?;
    ensure!(output.text() == format!("{account} asked: what is it\n"), "{output:?}");
    ensure!(!output.stderr.contains("Service"), "the device's prompt reaches the person: {output:?}");
    Ok(())
}

#[test]
fn a_device_with_a_menu_instead_of_a_shell() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let device = Sshd::configured(&["ed25519"], "ForceCommand /bin/sh {}/menu.sh")?;
    std::fs::write(device.folder().join("menu.sh"), MENU)?;
    hospital.replace_device(&device.address.to_string())?;
    hospital.pin(&device.fingerprints()?)?;
    hospital.inject_key(&device.account, &device.service_key)?;
    let certificate = hospital.sign_in()?;

    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), 80, 24)?;
    terminal.screen.wait_for("Choose: ", PATIENCE)?;
    terminal.ask("1\r", "tube temperature normal")?;
    terminal.ask("9\r", "no such item 9")?;
    terminal.type_in("0\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(4), "the menu's own exit code: {}", terminal.screen.text());

    // A command is passed on as it is, and what the device makes of it comes back.
    let output = hospital.exec(&certificate, "show version", Input::Nothing)?;
    ensure!(output.code == Some(3) && output.text() == "menu only, not show version\n", "{output:?}");

    hospital.await_session(|session| session.closed.is_some())?;
    let sessions = hospital.sessions()?;
    let first = sessions.last().context("no session")?;
    let text = hospital.replayed(&first.id)?;
    ensure!(text.contains("tube temperature normal"), "{text}");
    Ok(())
}

/// A service menu as devices have them.
const MENU: &str = r#"
if [ -n "$SSH_ORIGINAL_COMMAND" ]; then
    echo "menu only, not $SSH_ORIGINAL_COMMAND"
    exit 3
fi
while :; do
    printf '\n1) Status\n2) Log\n0) Leave\nChoose: '
    read -r item || exit 1
    case $item in
    1) echo "tube temperature normal" ;;
    0) exit 4 ;;
    *) echo "no such item $item" ;;
    esac
done
"#;

/// asyncssh's server (tests/clients/serve_asyncssh.py): a device that signs people in by one method only.
struct AsyncsshDevice {
    address: String,
    fingerprints: Vec<String>,
    _folder: TempDir,
    _server: Running,
}

impl AsyncsshDevice {
    fn start(method: &str, account: &str, password: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekimori-asyncssh-").tempdir()?;
        let (host_key, secret) = (folder.path().join("host_key"), folder.path().join("password"));
        keygen("ed25519", &host_key)?;
        std::fs::write(&secret, password)?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = repository.join("../target/clients/venv/bin/python");
        ensure!(python.is_file(), "asyncssh is not installed: sh tests/setup.sh test");
        let mut server = Command::new(python);
        server.arg(repository.join("clients/serve_asyncssh.py")).args([method, account]).args([&secret, &host_key]);
        let mut child = server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let server = Running::new(child);
        let address = format!("127.0.0.1:{}", said.wait_for("\n", PATIENCE)?.trim());
        let mut shown = Command::new("ssh-keygen");
        let shown = run(shown.arg("-lf").arg(host_key.with_extension("pub")), Input::Nothing, PATIENCE)?.success()?;
        let fingerprints = shown.text().split_whitespace().nth(1).map(str::to_owned).into_iter().collect();
        Ok(Self { address, fingerprints, _folder: folder, _server: server })
    }
}

fn trust_the_authority(hospital: &Hospital, account: &str) -> Result<()> {
    let args = ["device", "credential", DEVICE, account, "--certificate"];
    hospital.gateway.act(&hospital.administrator, &args)?;
    Ok(())
}
