//! Equipment that speaks telnet: the person comes by SSH, the gateway logs in, and what follows is recorded, cut and held
//! back like any other terminal.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sekimori_tests::{
    DEVICE, Database, Echo, Hospital, Input, PATIENCE, Running, Size, Telnetd, Terminal, Transcript, Window, at,
    await_disconnection, play, run,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A cut has taken effect by then.
const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_terminal_by_telnet_is_shown_recorded_and_replayed() -> Result<()> {
    let (hospital, device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, Telnetd::PASSWORD)?.open()?;
    let certificate = hospital.sign_in()?;
    let mut terminal = shell(&hospital, &certificate, 100, 30)?;
    terminal.ask("stty size; id -un; echo $TERM\r", "30 100")?;
    terminal.resize(120, 40)?;
    terminal.ask("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.05; done; echo RE''SIZED\r", "RESIZED")?;
    terminal.ask("printf '\\033[31m%s\\033[0m\\n' 関''守\r", "\u{1b}[31m関守\u{1b}[0m")?;
    terminal.type_in("exit\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(0), "{}", terminal.screen.text());
    let screen = terminal.screen.text();

    let session = hospital.closed_session()?;
    let played = play(&hospital.member(&session, ".cast")?)?;
    ensure!(
        played.size == Size { cols: 100, rows: 30 } && played.sizes == [Size { cols: 120, rows: 40 }],
        "{played:?}"
    );
    ensure!(played.output.contains("\u{1b}[31m関守\u{1b}[0m\r\n"), "{played:?}");
    let text = hospital.replayed(&session.id)?;
    ensure!(text.contains("RESIZED") && !text.contains('\u{1b}'), "{text}");
    nowhere(&hospital, Telnetd::PASSWORD, &screen)?;

    let event = hospital.events("session.legacy")?.pop().context("the use of telnet is no event")?;
    ensure!(at(&event, "/detail/classes") == &json!(["telnet"]), "{event}");
    ensure!(at(&event, "/detail/host_verified") == &json!(false), "{event}");
    ensure!(at(&event, "/detail/address") == device.address.to_string().as_str(), "{event}");
    Ok(())
}

#[test]
fn bytes_that_telnet_escapes_pass_both_ways() -> Result<()> {
    let (hospital, _device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, Telnetd::PASSWORD)?.open()?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    // All of it is typed before the device has even let the account in.
    let typed = b"stty -echo; od -An -tx1 -N3; printf '<\\377\\377\\r\\0>'; exit\r\xff\xff\r".to_vec();
    let output = run(ssh.args(["-tt", "gate"]), Input::Bytes(typed), PATIENCE)?.success()?;
    ensure!(output.text().contains("ff ff 0a"), "what is typed does not arrive: {:?}", output.text());
    let shown = output.stdout.windows(6).any(|bytes| bytes == b"<\xff\xff\r\0>");
    ensure!(shown, "what the device says does not arrive: {:?}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn a_device_that_shows_the_password_has_it_on_record_nowhere() -> Result<()> {
    let secret = "sh0wn-by-the-device";
    let login = "stty echo\nprintf 'Kennung> '; read -r name\nprintf 'Kennwort> '; read -r word\n\
                 echo \"You are $name with $word\"\nexec sh";
    let stage = Stage::with(Telnetd::with_login(login)?, "technik", secret)?;
    let prompts = ["--login-prompt", "Kennung>", "--password-prompt", "Kennwort>"];
    stage
        .hospital
        .gateway
        .act(&stage.hospital.administrator, &[&["device", "change", DEVICE][..], &prompts].concat())?;
    let (hospital, _device) = stage.open()?;
    let certificate = hospital.sign_in()?;
    let mut terminal = shell(&hospital, &certificate, 80, 24)?;
    terminal.ask("echo REA''DY\r", "READY")?;
    terminal.type_in("exit\r")?;
    terminal.end_within(PATIENCE)?;
    let screen = terminal.screen.text();
    ensure!(screen.contains("You are technik with ********"), "{screen}");
    hospital.closed_session()?;
    nowhere(&hospital, secret, &screen)
}

#[test]
fn a_password_that_the_device_refuses_is_told_truthfully() -> Result<()> {
    let (hospital, _device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, "not-the-pass-word")?.open()?;
    let certificate = hospital.sign_in()?;
    let (code, screen) = refused(&hospital, &certificate)?;
    ensure!(code == Some(77) && screen.contains("did not accept the credential"), "{screen}");
    ensure!(!screen.contains("Login incorrect"), "the device's own words are no business of the person: {screen}");
    let told = not_reached(&hospital)?;
    ensure!(told.contains("refused the stored credential"), "{told}");
    nowhere(&hospital, "not-the-pass-word", &screen)
}

#[test]
fn prompts_that_are_not_recognised_are_told_of_with_the_remedy() -> Result<()> {
    let login = "printf 'Kennung> '; read -r name; echo never";
    let (hospital, _device) = Stage::with(Telnetd::with_login(login)?, "technik", "secret-of-it")?.open()?;
    let certificate = hospital.sign_in()?;
    let (code, screen) = refused(&hospital, &certificate)?;
    ensure!(code == Some(77), "{screen}");
    let told = not_reached(&hospital)?;
    ensure!(told.contains("--login-prompt") && !told.contains("Kennung"), "{told}");
    Ok(())
}

#[test]
fn only_a_terminal_and_permitted_ports_are_there() -> Result<()> {
    let (hospital, _device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, Telnetd::PASSWORD)?.open()?;
    let certificate = hospital.sign_in()?;
    let output = hospital.exec(&certificate, "uname", Input::Nothing)?;
    ensure!(output.code == Some(77) && output.stdout.is_empty(), "a command: {output:?}");
    ensure!(output.stderr.contains("a terminal (ssh -t) is all there is"), "a command: {}", output.stderr);
    let mut copy = hospital.workstation.prepared("scp", &hospital.user(), hospital.carried(&certificate))?;
    let output = run(copy.args(["gate:/etc/hostname", "hostname"]), Input::Nothing, PATIENCE)?;
    ensure!(output.code != Some(0) && output.stderr.contains("a terminal (ssh -t)"), "a file: {output:?}");
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let output = run(ssh.args(["-T", "gate"]), Input::from("uname\n"), PATIENCE)?;
    ensure!(output.code == Some(77) && output.stderr.contains("a terminal (ssh -t)"), "no terminal: {output:?}");

    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(&certificate))?;
    let port = format!("localhost:{}", hospital.echo.address.port());
    let ssh = ssh.args(["-W", &port, "gate"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = ssh.stderr(Stdio::null()).spawn()?;
    let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
    let _ssh = Running::new(child);
    said.wait_for(Echo::GREETING, PATIENCE).context("a permitted port")?;
    Ok(())
}

#[test]
fn the_menu_and_a_jump_lead_to_it() -> Result<()> {
    let (hospital, _device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, Telnetd::PASSWORD)?.open()?;
    let certificate = hospital.sign_in()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    let mut menu = Terminal::start(ssh.args(["-tt", "gate"]), 80, 24)?;
    menu.screen.wait_for(DEVICE, PATIENCE)?;
    menu.type_in("1\r")?;
    menu.ask("echo THROUGH''-MENU\r", "THROUGH-MENU")?;
    menu.type_in("exit\r")?;
    menu.end_within(PATIENCE)?;

    let line = hospital.gateway.command(&["ca", "known-hosts"], Input::Nothing)?.success()?.text();
    hospital.workstation.knows(line.trim())?;
    let mut ssh = hospital.workstation.jumping("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    let target = format!("{}@{DEVICE}", Telnetd::ACCOUNT);
    let mut terminal = Terminal::start(ssh.args(["-tt", &target]), 80, 24)?;
    terminal.ask("echo THROUGH''-JUMP\r", "THROUGH-JUMP")?;
    terminal.type_in("exit\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(0));
    Ok(())
}

#[test]
fn a_flood_towards_a_stalled_reader_is_held_back_and_cut_within_a_second() -> Result<()> {
    let (hospital, device) = Stage::with(Telnetd::start()?, Telnetd::ACCOUNT, Telnetd::PASSWORD)?.open()?;
    let certificate = hospital.sign_in()?;
    let mut terminal = shell(&hospital, &certificate, 80, 24)?;
    let before = hospital.gateway.resident_kib()?;
    terminal.ask("yes fl''ooding-the-line\r", "flooding-the-line")?;
    terminal.program.signal(Signal::STOP)?;
    let session = hospital.await_session(|session| session.closed.is_none())?;
    standstill(&hospital.working_folder(&session.id)?.join("00001.cast.journal"))?;
    let grown = hospital.gateway.resident_kib()?.saturating_sub(before);
    ensure!(grown < 24 << 10, "the gateway has grown by {grown} KiB");

    hospital.gateway.act(&hospital.approver, &["session", "cut", &session.id, "--reason", "seen on the camera"])?;
    let towards_device = await_disconnection(device.address.port(), A_SECOND).context("towards the device")?;
    let person = await_disconnection(hospital.gateway.demo.ssh.port, A_SECOND).context("towards the person")?;
    ensure!(towards_device + person <= A_SECOND, "{towards_device:?} and {person:?}");
    let session = hospital.closed_session()?;
    ensure!(session.reason.is_some_and(|reason| reason.contains("seen on the camera")));
    Ok(())
}

#[test]
fn the_hospital_sees_what_telnet_is() -> Result<()> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let add = ["device", "add", "old-01", "--name", "Old", "--address", "192.0.2.9", "--protocol", "telnet"];
    let rest = ["--account", "service:shared", "--channel", "shell"];
    let added = [&["--as", &hospital.administrator][..], &add, &rest].concat();
    let said = hospital.gateway.command(&added, Input::Nothing)?.success()?.text();
    ensure!(said.contains("192.0.2.9:23") && said.contains("暗号化なし"), "{said}");
    let refusals: [(&[&str], &str); 5] = [
        (&["device", "scan-keys", "old-01"], "no host key"),
        (&["device", "change", "old-01", "--channel", "sftp"], "no sftp"),
        (&["device", "change", "old-01", "--channel", "shell", "--forward", "23"], "answered by the gateway"),
        (&["device", "credential", "old-01", "service", "--certificate"], "password only"),
        (&["device", "change", "old-01", "--protocol", "rlogin"], "no protocol"),
    ];
    for (args, why) in refusals {
        let refusal = hospital.gateway.refused(&hospital.administrator, args)?;
        ensure!(refusal.contains(why), "{args:?}: {refusal}");
    }
    let mismatches = hospital.gateway.act(&hospital.auditor, &["ledger", "mismatches"])?;
    let found = mismatches.as_array().context("no list")?.iter().any(|mismatch| {
        let sentence = at(mismatch, "/ja").as_str().unwrap_or_default();
        at(mismatch, "/code") == "unsafe-connection" && sentence.contains("old-01") && sentence.contains("telnet")
    });
    ensure!(found, "{mismatches}");
    Ok(())
}

/// A hospital whose [`DEVICE`] speaks telnet, before its window is open.
struct Stage {
    hospital: Hospital,
    device: Telnetd,
}

impl Stage {
    fn with(device: Telnetd, account: &str, password: &str) -> Result<Self> {
        let hospital = Hospital::closed(Database::Sqlite)?;
        let (address, port) = (device.address.to_string(), hospital.echo.address.port().to_string());
        let change = ["device", "change", DEVICE, "--address", &address, "--protocol", "telnet", "--account", account];
        let change = [&change[..], &["--channel", "shell", "--forward", &port]].concat();
        hospital.gateway.act(&hospital.administrator, &change)?;
        let store = ["device", "credential", DEVICE, account, "--password-stdin"];
        hospital.gateway.act_with(&hospital.administrator, &store, Input::from(password))?;
        Ok(Self { hospital, device })
    }

    fn open(self) -> Result<(Hospital, Telnetd)> {
        self.hospital.grant(Window::now())?;
        Ok((self.hospital, self.device))
    }
}

/// A terminal at the device, logged in.
fn shell(hospital: &Hospital, certificate: &Path, cols: u16, rows: u16) -> Result<Terminal> {
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), cols, rows)?;
    terminal.ask("echo LOGGED''-IN\r", "LOGGED-IN")?;
    Ok(terminal)
}

fn refused(hospital: &Hospital, certificate: &Path) -> Result<(Option<i32>, String)> {
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(certificate))?;
    let mut terminal = Terminal::start(ssh.args(["-tt", "gate"]), 80, 24)?;
    let code = terminal.end_within(PATIENCE)?.code();
    Ok((code, terminal.screen.text()))
}

fn not_reached(hospital: &Hospital) -> Result<String> {
    let events = hospital.events("session.channel")?;
    let told = events.iter().rev().find_map(|event| at(event, "/detail/not_reached").as_str());
    told.map(str::to_owned).with_context(|| format!("no event tells why: {events:?}"))
}

/// A secret is neither on the screen, nor in any file of the gateway, nor in its log, nor in an event.
fn nowhere(hospital: &Hospital, secret: &str, screen: &str) -> Result<()> {
    ensure!(!screen.contains(secret), "the person sees it: {screen}");
    let mut grep = Command::new("grep");
    grep.args(["-r", "-a", "-F", "-l", secret]).arg(&hospital.gateway.demo.data_dir);
    let output = run(&mut grep, Input::Nothing, PATIENCE)?;
    ensure!(output.code == Some(1), "it lies on the disk: {}", output.text());
    ensure!(!hospital.gateway.log.text().contains(secret), "it is logged");
    let events: Value = hospital.gateway.act(&hospital.auditor, &["log", "list"])?;
    ensure!(!events.to_string().contains(secret), "it is in an event");
    Ok(())
}

/// Waits until a recording grows no more: what it is fed from is held back.
fn standstill(file: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut before = 0;
    while Instant::now() < end {
        thread::sleep(A_SECOND);
        let now = std::fs::metadata(file)?.len();
        if now > 0 && now == before {
            return Ok(());
        }
        before = now;
    }
    anyhow::bail!("the flood is never held back: {before} bytes are on record")
}
