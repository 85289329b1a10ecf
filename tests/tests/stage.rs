//! The stage itself, before the gateway stands on it: the foreign programs work as the other tests take for granted.

use anyhow::{Result, ensure};
use sekimori_tests::{
    Codes, Echo, Input, PATIENCE, Postgres, Proof, Size, SshDoor, Sshd, Terminal, Workstation, current_user, play, run,
};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

#[test]
fn sshd_takes_its_service_key_and_runs_commands() -> Result<()> {
    let sshd = Sshd::start(None)?;
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    ssh.args(["-o", "BatchMode=yes", "-p", &sshd.address.port().to_string(), "-i"]).arg(&sshd.service_key);
    ssh.args(["-l", &sshd.account, "127.0.0.1", "cat; exit 3"]);
    let output = run(&mut ssh, Input::from("through"), PATIENCE)?;
    ensure!(output.code == Some(3), "{output:?}");
    ensure!(output.stdout == b"through", "{output:?}");
    ensure!(sshd.account == current_user()?);
    ensure!(sshd.fingerprints()?.len() == 3);
    Ok(())
}

/// The client's side of every other test, without a gateway in between.
#[test]
fn the_workstation_works_against_a_plain_sshd() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let keygen =
        |args: &[&str]| run(Command::new("ssh-keygen").current_dir(&folder).args(args), Input::Nothing, PATIENCE);
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "ca"])?.success()?;
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "key"])?.success()?;
    let user = current_user()?;
    keygen(&["-q", "-s", "ca", "-I", "test", "-n", &user, "-V", "+1h", "key.pub"])?.success()?;
    let sshd = Sshd::start(Some(fs::read_to_string(at("ca.pub"))?.trim()))?;
    let door = SshDoor {
        host: sshd.address.ip().to_string(),
        port: sshd.address.port(),
        host_key: fs::read_to_string(sshd.host_key("ed25519"))?,
        ca_key: String::new(),
    };
    let station = Workstation::new(&door)?;
    let (key, certificate) = (at("key"), at("key-cert.pub"));
    let proof = Proof::Certificate(&key, &certificate);
    ensure!(station.exec(&user, proof, "exit 3", Input::Nothing, PATIENCE)?.code == Some(3));

    fs::write(at("sent"), "a file")?;
    let (sent, there) = (at("sent").display().to_string(), format!("gate:{}", at("there").display()));
    for how in [&["-q"][..], &["-q", "-O"]] {
        run(station.prepared("scp", &user, proof)?.args(how).args([&sent, &there]), Input::Nothing, PATIENCE)?
            .success()?;
        ensure!(fs::read(at("there"))? == b"a file");
        fs::remove_file(at("there"))?;
    }
    let put = format!("put {sent} {}\n", at("there").display());
    let mut sftp = station.prepared("sftp", &user, proof)?;
    run(sftp.args(["-b", "-", "gate"]), Input::from(put.as_str()), PATIENCE)?.success()?;
    ensure!(fs::read(at("there"))? == b"a file");

    let mut terminal = Terminal::start(station.prepared("ssh", &user, proof)?.args(["-tt", "gate"]), 90, 33)?;
    terminal.ask("stty size\r", "33 90")?;
    terminal.type_in("exit 4\r")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(4));
    Ok(())
}

#[test]
fn postgres_starts_and_answers() -> Result<()> {
    let postgres = Postgres::start()?;
    let address = postgres.url.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    TcpStream::connect(address)?;
    Ok(())
}

#[test]
fn oathtool_makes_the_codes_of_rfc_6238_and_none_twice() -> Result<()> {
    // The RFC's seed "12345678901234567890" in base32.
    let codes = Codes::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let fresh = [codes.fresh()?, codes.fresh()?];
    ensure!(fresh[0] != fresh[1], "{fresh:?}");
    ensure!(!fresh.contains(&codes.stale(40)?));
    Ok(())
}

#[test]
fn a_terminal_shows_takes_keys_and_changes_its_size() -> Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "stty size; read line; stty size; echo \"said $line\"; read line || exit 5"]);
    let mut terminal = Terminal::start(&shell, 90, 33)?;
    terminal.screen.wait_for("33 90", PATIENCE)?;
    terminal.resize(120, 40)?;
    let screen = terminal.ask("hello\r", "said hello")?;
    ensure!(screen.contains("40 120"), "{screen}");
    terminal.type_in("\u{4}")?;
    ensure!(terminal.end_within(PATIENCE)?.code() == Some(5));
    Ok(())
}

#[test]
fn an_echo_greets_first() -> Result<()> {
    let echo = Echo::start()?;
    let mut greeting = vec![0; Echo::GREETING.len()];
    TcpStream::connect(echo.address)?.read_exact(&mut greeting)?;
    ensure!(greeting == Echo::GREETING.as_bytes());
    Ok(())
}

#[test]
fn the_stock_player_plays_what_the_format_asks_for_and_refuses_what_is_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cast = folder.path().join("a.cast");
    let lines = [
        r#"{"version":3,"term":{"cols":80,"rows":24}}"#,
        "# a comment",
        r#"[0.5,"o","one "]"#,
        r#"[0.1,"z","a code of somebody's own"]"#,
        r#"[0.2,"r","100x40"]"#,
        r#"[1.0,"o","two\r\n"]"#,
        r#"[0.0,"x","0"]"#,
    ];
    fs::write(&cast, lines.join("\n") + "\n")?;
    let played = play(&cast)?;
    ensure!(played.output == "one two\r\n", "{played:?}");
    ensure!(played.sizes == [Size { cols: 100, rows: 40 }], "{played:?}");
    ensure!((played.duration - 1.8).abs() < 0.001, "{played:?}");

    fs::write(&cast, "not a recording\n")?;
    ensure!(play(&cast).is_err());
    Ok(())
}
