//! The devices against the clients people use: OpenSSH's `ssh`, `sftp` and `scp`, and a browser's request.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{DemoAccount, Kind, Personality, RunningDevice, SimulatedDevice};
use russh::ChannelMsg;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const PASSWORD: &str = "maintenance-demo";

/// A device and everything a client needs to reach it.
struct Place {
    folder: tempfile::TempDir,
    device: RunningDevice,
}

impl Place {
    async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "user", "ca", "other"] {
            let key = folder.path().join(name);
            succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key)).await;
        }
        let public = |name: &str| PublicKey::read_openssh_file(folder.path().join(format!("{name}.pub"))).unwrap();
        let account =
            |name: &str| DemoAccount { name: name.to_owned(), password: None, authorized: None, trusted_ca: None };
        let accounts = vec![
            DemoAccount { authorized: Some(public("user")), ..account("service") },
            DemoAccount { password: Some(PASSWORD.to_owned().into()), ..account("shared") },
            DemoAccount { trusted_ca: Some(public("ca")), ..account("certified") },
        ];
        let personality = Personality {
            id: "demo-01".parse().unwrap(),
            kind,
            name: "第1検査室".to_owned(),
            accounts,
            ports: vec![0, 0],
        };
        let host_key = PrivateKey::read_openssh_file(folder.path().join("host")).unwrap();
        let device = SimulatedDevice::start("127.0.0.1:0".parse().unwrap(), personality, host_key).await.unwrap();
        let host = format!("[127.0.0.1]:{} {}\n", device.address.port(), public("host").to_openssh().unwrap());
        std::fs::write(folder.path().join("known_hosts"), host).unwrap();
        Self { folder, device }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `program` with the options that `ssh`, `sftp` and `scp` share.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.path("known_hosts").display()));
        command.args(["-o", "StrictHostKeyChecking=yes", "-o", "NumberOfPasswordPrompts=1", "-o"]);
        command.arg(format!("Port={}", self.device.address.port()));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// `ssh` as `service`, with its key.
    fn ssh(&self, arguments: &[&str]) -> Command {
        let mut command = self.client("ssh");
        command.arg("-i").arg(self.path("user")).args(["-l", "service", "127.0.0.1"]).args(arguments);
        command
    }

    async fn run(&self, line: &str) -> Output {
        finish(&mut self.ssh(&[line])).await
    }
}

/// Runs a client to its end. A client that hangs fails its test.
async fn finish(command: &mut Command) -> Output {
    tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap()
}

async fn succeed(command: &mut Command) -> Output {
    let output = finish(command).await;
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An interactive session: what is typed, and what was shown so far.
struct Terminal {
    child: Child,
    /// Bytes, because a character may come in two pieces.
    shown: Vec<u8>,
}

impl Terminal {
    fn open(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.ssh(&[]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), shown: Vec::new() }
    }

    async fn type_in(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).await.unwrap();
    }

    /// Reads until `expected` is shown, and returns what was shown up to there.
    async fn see(&mut self, expected: &str) -> String {
        let mut seen = 0;
        loop {
            let fresh = self.shown.get(seen..).unwrap();
            if let Some(at) = fresh.windows(expected.len()).position(|bytes| bytes == expected.as_bytes()) {
                let rest = self.shown.split_off(seen + at + expected.len());
                return text(&std::mem::replace(&mut self.shown, rest));
            }
            seen = self.shown.len().saturating_sub(expected.len());
            self.shown.reserve(64 * 1024);
            let reading = self.child.stdout.as_mut().unwrap().read_buf(&mut self.shown);
            let Ok(read) = tokio::time::timeout(Duration::from_secs(20), reading).await else {
                panic!("{expected:?} did not come after {:?}", text(&self.shown));
            };
            assert!(read.unwrap() > 0, "the session ended before {expected:?}, after {:?}", text(&self.shown));
        }
    }

    async fn status(mut self) -> Option<i32> {
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.unwrap().unwrap().code()
    }
}

#[tokio::test]
async fn exec_tells_output_errors_and_status_apart() {
    let place = Place::new(Kind::Ct).await;
    let status = place.run("status").await;
    assert_eq!(status.status.code(), Some(0));
    assert!(text(&status.stdout).starts_with("第1検査室（CTスキャナ） "));
    assert_eq!(status.stderr, b"");

    let unknown = place.run("reboot").await;
    assert_eq!((unknown.status.code(), unknown.stdout.as_slice()), (Some(127), &b""[..]));
    assert!(text(&unknown.stderr).starts_with("reboot: コマンドが見つかりません"));

    assert_eq!(place.run("exit 3").await.status.code(), Some(3));
    assert_eq!(place.run("scp -t /tmp").await.status.code(), Some(1));
    assert_eq!(place.run("cat logs/system.log").await.stdout, place.run("log").await.stdout);
    let monitor = place.run("monitor").await;
    assert!(monitor.status.success() && !text(&monitor.stdout).contains('\u{1b}'));
}

#[tokio::test]
async fn each_credential_opens_its_own_account_only() {
    let place = Place::new(Kind::Records).await;
    let askpass = place.path("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho \"$SECRET\"\n").unwrap();
    succeed(Command::new("chmod").arg("700").arg(&askpass)).await;
    let with_password = async |account: &str, secret: &str| {
        let mut command = place.client("ssh");
        command.args(["-o", "PubkeyAuthentication=no", "-l", account, "127.0.0.1", "whoami"]);
        command.env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force").env("SECRET", secret);
        finish(&mut command).await
    };
    assert_eq!(with_password("shared", PASSWORD).await.stdout, b"shared\n");
    assert_eq!(with_password("shared", "maintenance-dem").await.status.code(), Some(255));
    assert_eq!(with_password("shared", "").await.status.code(), Some(255));
    assert_eq!(with_password("service", PASSWORD).await.status.code(), Some(255));
    assert_eq!(with_password("service", "").await.status.code(), Some(255));
    assert_eq!(with_password("nobody", PASSWORD).await.status.code(), Some(255));

    let with_key = async |account: &str, key: &str| {
        let mut command = place.client("ssh");
        command.args(["-o", "PasswordAuthentication=no", "-i"]).arg(place.path(key));
        finish(command.args(["-l", account, "127.0.0.1", "whoami"])).await
    };
    assert_eq!(with_key("service", "user").await.stdout, b"service\n");
    assert_eq!(with_key("service", "other").await.status.code(), Some(255));
    assert_eq!(with_key("shared", "user").await.status.code(), Some(255));
    assert_eq!(with_key("certified", "ca").await.status.code(), Some(255));
}

#[tokio::test]
async fn a_certificate_opens_by_authority_principal_dates_and_options() {
    let place = Place::new(Kind::Archive).await;
    let attempt = async |authority: &str, arguments: &[&str]| {
        let mut signing = Command::new("ssh-keygen");
        signing.args(["-q", "-I", "test", "-s"]).arg(place.path(authority)).args(arguments);
        succeed(signing.arg(place.path("user.pub"))).await;
        let mut command = place.client("ssh");
        command.args(["-o", "PasswordAuthentication=no", "-i"]).arg(place.path("user"));
        finish(command.args(["-l", "certified", "127.0.0.1", "whoami"])).await.status.code()
    };
    assert_eq!(attempt("ca", &["-n", "certified", "-V", "-1m:+5m"]).await, Some(0));
    assert_eq!(attempt("ca", &["-n", "other,certified", "-O", "source-address=10.0.0.0/8,127.0.0.0/8"]).await, Some(0));
    assert_eq!(attempt("other", &["-n", "certified"]).await, Some(255));
    assert_eq!(attempt("ca", &["-n", "service"]).await, Some(255));
    assert_eq!(attempt("ca", &[]).await, Some(255));
    assert_eq!(attempt("ca", &["-n", "certified", "-V", "-2h:-1h"]).await, Some(255));
    assert_eq!(attempt("ca", &["-n", "certified", "-O", "source-address=10.0.0.0/8"]).await, Some(255));
    assert_eq!(attempt("ca", &["-n", "certified", "-O", "force-command=ls"]).await, Some(255));
}

#[tokio::test]
async fn bulk_data_flows_both_ways_to_its_last_byte() {
    const AMOUNT: usize = 16 * 1024 * 1024;
    let place = Place::new(Kind::Laboratory).await;
    let zeros = place.run("head -c 16M /dev/zero").await;
    assert_eq!((zeros.status.code(), zeros.stdout.len()), (Some(0), AMOUNT));

    let content: Vec<u8> = (0..AMOUNT).map(|index| u8::try_from(index % 251).unwrap()).collect();
    std::fs::write(place.path("content"), &content).unwrap();
    let input = || Stdio::from(std::fs::File::open(place.path("content")).unwrap());
    let echo = succeed(place.ssh(&["cat"]).stdin(input())).await;
    assert!(echo.stdout == content, "{} of {AMOUNT} bytes came back, or not the same", echo.stdout.len());
    assert_eq!(succeed(place.ssh(&["wc", "-c"]).stdin(input())).await.stdout, format!("{AMOUNT}\n").as_bytes());
    // Input that nobody asked for must not stop what goes out.
    assert_eq!(succeed(place.ssh(&["head -c 16M /dev/zero"]).stdin(input())).await.stdout.len(), AMOUNT);
}

#[tokio::test]
async fn a_terminal_edits_lines_remembers_them_and_hides_passwords() {
    let place = Place::new(Kind::Ct).await;
    let mut terminal = Terminal::open(&place, &["-tt"]);
    assert!(terminal.see("service@demo-01:/data$ ").await.contains("模擬機器です"));
    terminal.type_in("echo 検査室X\x7f\r").await;
    terminal.see("\r\n検査室\r\n").await;
    terminal.see("$ ").await;
    terminal.type_in("cd logs\r").await;
    terminal.see("service@demo-01:/data/logs$ ").await;
    terminal.type_in("\x1b[A\x1b[A\r").await;
    terminal.see("\r\n検査室\r\n").await;
    terminal.type_in("passwd\r").await;
    for (prompt, secret) in
        [("現在のパスワード: ", "old"), ("新しいパスワード: ", "Hidden"), ("（再入力）: ", "Hidden")]
    {
        terminal.see(prompt).await;
        terminal.type_in(&format!("{secret}\r")).await;
    }
    assert!(!terminal.see("変更しません").await.contains("Hidden"));
    terminal.see("$ ").await;
    terminal.type_in("nonsense\r").await;
    terminal.see("nonsense: コマンドが見つかりません").await;
    terminal.type_in("\x04").await;
    assert_eq!(terminal.status().await, Some(127));
}

#[tokio::test]
async fn control_c_ends_the_program_and_keeps_the_shell() {
    let place = Place::new(Kind::Mri).await;
    let mut terminal = Terminal::open(&place, &["-tt"]);
    for (command, running) in
        [("sleep 1000", "1000\r\n"), ("selftest", "静磁場 ["), ("head -c 900G /dev/zero", "\0"), ("cat", "cat\r\n")]
    {
        terminal.see("$ ").await;
        terminal.type_in(&format!("{command}\r")).await;
        terminal.see(running).await;
        terminal.type_in("\x03").await;
        terminal.see("^C\r\n").await;
    }
    terminal.see("$ ").await;
    terminal.type_in("exit\r").await;
    assert_eq!(terminal.status().await, Some(130));
}

#[tokio::test]
async fn the_monitor_takes_the_alternate_screen_and_gives_it_back() {
    let place = Place::new(Kind::Switch).await;
    let mut terminal = Terminal::open(&place, &["-tt", "monitor"]);
    terminal.see("\x1b[?1049h").await;
    terminal.see("q で終了").await;
    terminal.see("q で終了").await;
    terminal.type_in("xq").await;
    terminal.see("\x1b[?1049l").await;
    assert_eq!(terminal.status().await, Some(0));
}

/// All that a channel says until it is closed; window adjustments come when they like and are left out.
async fn hear(channel: &mut russh::Channel<russh::client::Msg>) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(message) = tokio::time::timeout(Duration::from_secs(20), channel.wait()).await.unwrap() {
        match message {
            ChannelMsg::Data { data } => heard.push(text(&data)),
            ChannelMsg::WindowAdjusted { .. } => {}
            other => heard.push(format!("{other:?}")),
        }
    }
    heard
}

/// A client that asks for everything at once, as libraries do, and hears the end in its order.
#[tokio::test]
async fn sizes_and_signals_reach_the_program() {
    struct Trusting;
    impl russh::client::Handler for Trusting {
        type Error = russh::Error;
        async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }
    let place = Place::new(Kind::Ct).await;
    let mut session = russh::client::connect(Arc::default(), place.device.address, Trusting).await.unwrap();
    let key = PrivateKey::read_openssh_file(place.path("user")).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    assert!(session.authenticate_publickey("service", key).await.unwrap().success());
    let mut channel = session.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 30, 2, 0, 0, &[]).await.unwrap();
    channel.exec(true, "monitor").await.unwrap();
    let mut shown = String::new();
    let mut heard = Vec::new();
    while let Some(message) = tokio::time::timeout(Duration::from_secs(20), channel.wait()).await.unwrap() {
        match message {
            ChannelMsg::Data { data } => shown.push_str(&text(&data)),
            ChannelMsg::WindowAdjusted { .. } => continue,
            ChannelMsg::ExitSignal { signal_name, .. } => heard.push(format!("{signal_name:?}")),
            other => heard.push(format!("{other:?}")),
        }
        assert!(shown.len() < 50_000, "the new size did not reach the monitor");
        if shown.ends_with("\x1b[K\x1b[J") && !shown.contains("CPU") {
            channel.window_change(100, 40, 0, 0).await.unwrap();
        }
        if shown.contains("CPU") {
            channel.signal(russh::Sig::TERM).await.unwrap();
            shown.clear();
        }
    }
    assert_eq!(heard, ["Success", "Success", "TERM", "Eof", "Close"]);

    let mut channel = session.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "netconf").await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    channel.exec(true, "hostname").await.unwrap();
    channel.data_bytes("検査").await.unwrap();
    channel.eof().await.unwrap();
    let heard: Vec<String> = hear(&mut channel).await;
    let [failed, started, again, rest @ ..] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!([failed, started, again], ["Failure", "Success", "Failure"]);
    assert_eq!(rest, ["検査", "ExitStatus { exit_status: 0 }", "Eof", "Close"]);
}

#[tokio::test]
async fn without_a_terminal_the_shell_reads_a_script() {
    let place = Place::new(Kind::Ct).await;
    let mut script = Terminal::open(&place, &["-T"]);
    script.type_in("echo one\ncat logs/none\nwhoami").await;
    drop(script.child.stdin.take());
    assert_eq!(script.see("service\n").await, "one\nservice\n");
    assert_eq!(script.status().await, Some(0));
}

#[tokio::test]
async fn files_go_in_and_out_by_sftp_and_scp() {
    let place = Place::new(Kind::Ct).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|index| u8::try_from(index % 253).unwrap()).collect();
    std::fs::write(place.path("content"), &content).unwrap();
    let batch = place.path("batch");
    std::fs::write(
        &batch,
        "pwd\nput content incoming/修正.bin\nrename incoming/修正.bin incoming/b\nget incoming/b back\nget images/phantom-ct.dcm\n\
         mkdir incoming/f\n-rm incoming/f\nrmdir incoming/f\nls -l incoming\n",
    )
    .unwrap();
    let sftp = |batch: &Path| {
        let mut command = place.client("sftp");
        command.arg("-i").arg(place.path("user")).arg("-b").arg(batch).arg("service@127.0.0.1");
        command.current_dir(place.folder.path());
        command
    };
    let listing = text(&succeed(&mut sftp(&batch)).await.stdout);
    assert!(listing.contains("Remote working directory: /data") && listing.contains("3000000"), "{listing}");
    assert!(std::fs::read(place.path("back")).unwrap() == content);
    assert_eq!(std::fs::read(place.path("phantom-ct.dcm")).unwrap().get(128..132), Some(&b"DICM"[..]));
    assert!(place.run("ls incoming").await.stdout == b"b\n");

    for (line, expected) in [
        ("put content logs/x", "Permission denied"),
        ("get ../../../../etc/passwd", "not found"),
        ("put content /etc/x", "Permission denied"),
        ("get incoming/none", "not found"),
    ] {
        std::fs::write(&batch, line).unwrap();
        let refused = finish(&mut sftp(&batch)).await;
        let told = format!("{}{}", text(&refused.stdout), text(&refused.stderr));
        assert!(!refused.status.success() && told.contains(expected), "{line}: {told}");
    }

    let mut scp = place.client("scp");
    scp.arg("-pqi").arg(place.path("user")).arg(place.path("content")).arg("service@127.0.0.1:incoming/c");
    succeed(&mut scp).await;
    let mut scp = place.client("scp");
    scp.arg("-pqi").arg(place.path("user")).arg("service@127.0.0.1:incoming/c").arg(place.path("again"));
    succeed(&mut scp).await;
    assert!(std::fs::read(place.path("again")).unwrap() == content);
}

#[tokio::test]
async fn the_status_page_answers_http_and_nothing_else() {
    let place = Place::new(Kind::Archive).await;
    let [first, second] = place.device.ports.as_slice() else { panic!("two ports were asked for") };
    assert_ne!(first, second);
    for port in [*first, *second] {
        let ask = async |request: &[u8]| {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            socket.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            let reading = socket.read_to_end(&mut answer);
            tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
            text(&answer)
        };
        let page = ask(b"GET / HTTP/1.1\r\nHost: demo-01\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.0 200 OK\r\n") && page.contains("<h1>第1検査室</h1>"), "{page}");
        assert!(!ask(b"HEAD / HTTP/1.0\r\n\r\n").await.contains("<h1>"));
        assert_eq!(ask(b"\x16\x03").await, "");
    }
}

#[tokio::test]
async fn several_callers_work_at_once_and_all_end_with_the_device() {
    let mut place = Place::new(Kind::Records).await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let mut terminal = Terminal::open(&place, &["-tt"]);
        terminal.see("$ ").await;
        callers.push(terminal);
    }
    for terminal in &mut callers {
        terminal.type_in("sleep 1000\r").await;
        terminal.see("1000\r\n").await;
    }
    assert!(place.run("status").await.status.success());
    let other = Place::new(Kind::Records).await;
    let address = place.device.address;
    drop(std::mem::replace(&mut place.device, other.device));
    for terminal in callers {
        assert_eq!(terminal.status().await, Some(255));
    }
    let refused = TcpStream::connect(address).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
