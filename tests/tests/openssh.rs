//! OpenSSH's client, in the ways that engineers use it beyond a shell and a copy: one test a use.

use anyhow::{Context, Result, ensure};
use sekimori_tests::{
    DEVICE, Database, Echo, Hospital, Input, Output, PATIENCE, Running, Surroundings, Transcript, Window, free_port,
    on_both_databases, run,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// More channels than an sshd lets sign in at the same time (`MaxStartups`, at ten).
const CHANNELS: usize = 40;

#[test]
fn one_connection_is_shared_by_many_commands_at_once() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let shared = hospital.shared(&certificate, &hospital.user(), &[])?;

    let mut children = Vec::new();
    for number in 0..CHANNELS {
        let mut ssh = shared.command(&[]);
        ssh.arg(format!("echo number {number}"));
        children.push(ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    }
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == format!("number {number}\n"), "{number}: {said:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    // All of it is one session of one connection.
    ensure!(hospital.sessions()?.len() == 1);
    Ok(())
}

on_both_databases!(many_connections_come_at_the_moment_a_window_opens);

fn many_connections_come_at_the_moment_a_window_opens(database: Database) -> Result<()> {
    let hospital = Hospital::open(database)?;
    let certificate = hospital.sign_in()?;
    let mut children = Vec::new();
    for number in 0..16 {
        let mut ssh = prepared(&hospital, &certificate)?;
        ssh.args(["gate", &format!("echo number {number}")]);
        children.push(ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    }
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == format!("number {number}\n"), "{number}: {said:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    ensure!(hospital.sessions()?.len() == 16);
    Ok(())
}

#[test]
fn keys_are_exchanged_again_under_way() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let sent = hospital.bulk_file("sent", 32)?;
    let input = Input::File(std::fs::File::open(&sent)?);
    let output = ssh_with(&hospital, &certificate, &["-o", "RekeyLimit=1M"], "cat", input)?.success()?;
    ensure!(output.stdout == std::fs::read(&sent)?, "{} bytes came back, other than were sent", output.stdout.len());
    Ok(())
}

#[test]
fn compression_is_there_for_slow_lines() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let output = ssh_with(&hospital, &certificate, &["-C", "-v"], "head -c 3000000 /dev/zero", Input::Nothing)?;
    ensure!(output.stdout == vec![0; 3_000_000] && output.stderr.contains("zlib"), "{}", output.stderr);
    Ok(())
}

#[test]
fn the_environment_arrives() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let set = ["-o", "SetEnv=LC_SEKIMORI=\"a value\""];
    let output = ssh_with(&hospital, &certificate, &set, "echo \"<$LC_SEKIMORI>\"", Input::Nothing)?.success()?;
    ensure!(output.text() == "<a value>\n", "{output:?}");
    Ok(())
}

#[test]
fn x11_and_agents_are_refused_and_the_session_goes_on() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let agent = Agent::start(hospital.workstation.folder())?;
    let mut ssh = prepared(&hospital, &certificate)?;
    ssh.env("DISPLAY", ":99").env("SSH_AUTH_SOCK", &agent.socket).args(["-X", "-A", "gate"]);
    let output = run(ssh.arg("echo \"<$DISPLAY><$SSH_AUTH_SOCK>\""), Input::Nothing, PATIENCE)?.success()?;
    ensure!(output.text() == "<><>\n", "{output:?}");
    Ok(())
}

#[test]
fn a_remote_forward_is_refused_and_the_session_goes_on() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let forward = format!("127.0.0.1:{}:localhost:22", free_port()?);
    let output = ssh_with(&hospital, &certificate, &["-R", &forward], "echo on", Input::Nothing)?;
    ensure!(output.text() == "on\n" && output.stderr.contains("remote port forwarding failed"), "{output:?}");
    let strict = ["-o", "ExitOnForwardFailure=yes", "-R", &forward];
    ensure!(ssh_with(&hospital, &certificate, &strict, "echo on", Input::Nothing)?.code == Some(255));
    Ok(())
}

#[test]
fn a_dynamic_forward_reaches_what_the_permit_names() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let socks = free_port()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args(["-N", "-v", "-D", &format!("127.0.0.1:{socks}"), "gate"]);
    let mut child = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let log = child.stderr.take().map(Transcript::of).context("no standard error")?;
    let _ssh = Running::new(child);
    log.wait_for("Entering interactive session", PATIENCE)?;
    // The echo's greeting is no HTTP, and that is what curl then says; a refused port is told otherwise.
    let asked = |port: u16| -> Result<Output> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--http0.9", "--max-time", "5", "--socks5-hostname", &format!("127.0.0.1:{socks}")]);
        run(curl.arg(format!("http://{DEVICE}:{port}/")), Input::Nothing, PATIENCE)
    };
    let permitted = asked(hospital.echo.address.port())?;
    ensure!(permitted.text().starts_with(Echo::GREETING.trim_end()), "{permitted:?}");
    let other = asked(Echo::start()?.address.port())?;
    ensure!(other.code == Some(97) && other.stdout.is_empty(), "{other:?}");
    Ok(())
}

#[test]
fn standard_input_and_output_are_forwarded() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let mut ssh = hospital.workstation.prepared("ssh", &hospital.engineer.id, hospital.carried(&certificate))?;
    ssh.args(["-W", &format!("{DEVICE}:{}", hospital.echo.address.port()), "gate"]);
    let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
    let stdin = child.stdin.take();
    let _ssh = Running::new(child);
    said.wait_for(Echo::GREETING, PATIENCE)?;
    std::io::Write::write_all(&mut stdin.context("no standard input")?, b"there and back\n")?;
    said.wait_for("there and back\n", PATIENCE)?;
    Ok(())
}

#[test]
fn keepalives_are_answered() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let every_second = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"];
    let output = ssh_with(&hospital, &certificate, &every_second, "sleep 4; echo alive", Input::Nothing)?.success()?;
    ensure!(output.text() == "alive\n", "{output:?}");
    Ok(())
}

#[test]
fn a_subsystem_that_is_not_offered_is_refused_by_name() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let output = ssh_with(&hospital, &certificate, &["-s"], "netconf", Input::Nothing)?;
    ensure!(output.code != Some(0) && output.stderr.contains("netconf"), "{output:?}");
    Ok(())
}

#[test]
fn it_comes_by_ipv6() -> Result<()> {
    let hospital =
        Hospital::closed_in(Surroundings { address: "[::1]:0", ..Surroundings::default() }, Database::Sqlite)?;
    hospital.grant(Window::now())?;
    let certificate = hospital.sign_in()?;
    let output = hospital.exec(&certificate, "echo reached", Input::Nothing)?.success()?;
    ensure!(output.text() == "reached\n", "{output:?}");
    let opened = hospital.events("session.open")?;
    let named =
        |event| [sekimori_tests::at(event, "/source"), sekimori_tests::at(event, "/detail/way")] == ["::1", "ssh"];
    ensure!(!opened.is_empty() && opened.iter().all(named), "{opened:?}");
    Ok(())
}

#[test]
fn rsync_copies_a_tree_both_ways() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let tree = tree(&hospital)?;
    let shell = format!("ssh -F {}", config(&hospital, &certificate)?.display());
    let (there, back) = (hospital.sshd.folder().join("there"), hospital.workstation.folder().join("back"));
    for (from, to) in [
        (format!("{}/", tree.display()), format!("gate:{}/", there.display())),
        (format!("gate:{}/", there.display()), format!("{}/", back.display())),
    ] {
        run(Command::new("rsync").args(["-a", "-e", &shell, &from, &to]), Input::Nothing, PATIENCE)?.success()?;
    }
    same(&tree, &back)
}

#[test]
fn git_pushes_and_clones() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let tree = tree(&hospital)?;
    let shell = format!("ssh -F {}", config(&hospital, &certificate)?.display());
    let (there, back) = (hospital.sshd.folder().join("there.git"), hospital.workstation.folder().join("back"));
    let git = |folder: &Path, arguments: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_SSH_COMMAND", &shell).env("GIT_CONFIG_GLOBAL", "/dev/null").arg("-C").arg(folder);
        git.args(["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"]);
        run(git.args(arguments), Input::Nothing, PATIENCE)?.success()
    };
    git(hospital.sshd.folder(), &["init", "-q", "--bare", "there.git"])?;
    git(&tree, &["init", "-q"])?;
    git(&tree, &["add", "-A"])?;
    git(&tree, &["commit", "-q", "-m", "one"])?;
    let remote = format!("gate:{}", there.display());
    git(&tree, &["push", "-q", &remote, "HEAD:main"])?;
    git(hospital.workstation.folder(), &["clone", "-q", "-b", "main", &remote, &back.display().to_string()])?;
    same(&tree, &back)
}

#[test]
fn ansible_runs_modules() -> Result<()> {
    let (hospital, certificate) = stage()?;
    ansible(&hospital, "gate", &config(&hospital, &certificate)?)
}

#[test]
fn ansible_runs_modules_by_proxy_jump() -> Result<()> {
    let (hospital, certificate) = stage()?;
    let shown = hospital.gateway.act(&hospital.administrator, &["ca", "known-hosts"])?;
    hospital.workstation.knows(sekimori_tests::at(&shown, "/line").as_str().context("no line")?)?;
    let config = hospital.workstation.config(&hospital.engineer.id, hospital.carried(&certificate))?;
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("Host {DEVICE}\n User {}\n ProxyJump gate\n{text}", hospital.sshd.account))?;
    ansible(&hospital, DEVICE, &config)
}

/// Pings, then copies a file: Ansible brings its modules along, and shares one connection.
fn ansible(hospital: &Hospital, host: &str, config: &Path) -> Result<()> {
    let folder = hospital.workstation.folder();
    let sent = hospital.bulk_file("sent", 1)?;
    let there = hospital.sshd.folder().join("there");
    let inventory = format!(
        "{host} ansible_ssh_common_args=\"-F {}\" ansible_python_interpreter=/usr/bin/python3\n",
        config.display()
    );
    std::fs::write(folder.join("inventory"), inventory)?;
    let module = |module: &str, arguments: &str| {
        let mut ansible = Command::new("ansible");
        ansible.env("ANSIBLE_LOCAL_TEMP", folder.join("ansible")).env("ANSIBLE_HOME", folder.join("home"));
        ansible.env("ANSIBLE_SSH_CONTROL_PATH_DIR", folder.join("cp")).arg("-i").arg(folder.join("inventory"));
        run(ansible.args([host, "-m", module, "-a", arguments]), Input::Nothing, PATIENCE)?.success()
    };
    ensure!(module("ping", "")?.text().contains("pong"));
    module("copy", &format!("src={} dest={}", sent.display(), there.display()))?;
    ensure!(std::fs::read(&there)? == std::fs::read(&sent)?);
    Ok(())
}

fn stage() -> Result<(Hospital, PathBuf)> {
    let hospital = Hospital::open(Database::Sqlite)?;
    let certificate = hospital.sign_in()?;
    Ok((hospital, certificate))
}

fn config(hospital: &Hospital, certificate: &Path) -> Result<PathBuf> {
    hospital.workstation.config(&hospital.user(), hospital.carried(certificate))
}

fn prepared(hospital: &Hospital, certificate: &Path) -> Result<Command> {
    hospital.workstation.prepared("ssh", &hospital.user(), hospital.carried(certificate))
}

fn ssh_with(hospital: &Hospital, certificate: &Path, options: &[&str], remote: &str, input: Input) -> Result<Output> {
    run(prepared(hospital, certificate)?.args(options).args(["gate", remote]), input, PATIENCE)
}

/// Some files of the workstation, in two folders.
fn tree(hospital: &Hospital) -> Result<PathBuf> {
    let tree = hospital.workstation.folder().join("tree");
    std::fs::create_dir_all(tree.join("日本語"))?;
    for number in 0..40_usize {
        std::fs::write(tree.join(format!("{number}")), vec![b'a'; number * 997])?;
        std::fs::write(tree.join(format!("日本語/{number}")), number.to_string())?;
    }
    Ok(tree)
}

fn same(one: &Path, other: &Path) -> Result<()> {
    let mut diff = Command::new("diff");
    run(diff.args(["-r", "-x", ".git"]).args([one, other]), Input::Nothing, PATIENCE)?.success()?;
    Ok(())
}

/// An `ssh-agent` of the test's own.
struct Agent {
    socket: PathBuf,
    _agent: Running,
}

impl Agent {
    fn start(folder: &Path) -> Result<Self> {
        let socket = folder.join("agent");
        let mut child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().map(Transcript::of).context("no standard output")?;
        let agent = Running::new(child);
        said.wait_for("SSH_AUTH_SOCK", PATIENCE)?;
        Ok(Self { socket, _agent: agent })
    }
}
