//! OpenSSH's own `sftp`, `scp`, `sftp-server` and `scp -t`/`-f` talk through a tap, as they do through the gateway.
//!
//! The clients run a bridge instead of `ssh`: a socket leads to this test, which runs the far end and pumps both ways.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{end, member, started};
use sekimori_audit::recording::{Direction, Output, Recording, Tap, Transfer};
use sekimori_audit::replay::{self, export};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

/// A folder for the person's side, one for the device's, and a bridge in place of ssh.
struct Bench {
    root: tempfile::TempDir,
    listener: TcpListener,
}

impl Bench {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // The last argument is the command (scp) or `sftp`; it goes first, on a line of its own.
        // As ssh does, it ends when either side ends.
        let bridge = format!(
            "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port} 4<&0\nprintf '%s\\n' \"${{@: -1}}\" >&3\n\
             cat <&3 &\ncat <&4 >&3 &\nwait -n\nkill $(jobs -p) 2>/dev/null\nexit 0\n"
        );
        std::fs::write(root.path().join("bridge"), bridge).unwrap();
        std::fs::set_permissions(root.path().join("bridge"), PermissionsExt::from_mode(0o755)).unwrap();
        for side in ["person", "device", "recordings"] {
            std::fs::create_dir(root.path().join(side)).unwrap();
        }
        Self { root, listener }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    async fn recording(&self) -> Recording {
        started(&self.path("recordings")).await
    }

    /// Runs the client, with its far end behind a tap; returns the transfers.
    async fn run(&self, recording: &Recording, program: &str, arguments: &[&str]) -> Vec<Transfer> {
        let mut client = Command::new(program)
            .arg("-S")
            .arg(self.path("bridge"))
            .args(arguments)
            .current_dir(self.path("person"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("openssh-client must be installed");
        let (mut socket, _) = self.listener.accept().await.unwrap();
        let mut command = Vec::new();
        loop {
            match socket.read_u8().await.unwrap() {
                b'\n' => break,
                byte => command.push(byte),
            }
        }
        let command = String::from_utf8(command).unwrap();
        let (tap, mut far_end) = if command.starts_with("scp ") {
            let mut far_end = Command::new("sh");
            far_end.args(["-c", &command]);
            (recording.stream(1, command).await.unwrap(), far_end)
        } else {
            (recording.sftp(1).await.unwrap(), Command::new("/usr/lib/openssh/sftp-server"))
        };
        let mut far_end = far_end
            .current_dir(self.path("device"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("openssh-sftp-server must be installed");
        let (from_person, to_person) = socket.into_split();
        let up = pump(from_person, far_end.stdin.take().unwrap(), tap.clone(), false);
        let down = pump(far_end.stdout.take().unwrap(), to_person, tap.clone(), true);
        let up = tokio::spawn(up);
        down.await;
        assert!(client.wait().await.unwrap().success(), "{program} {arguments:?}");
        up.abort();
        tap.close(None).await.unwrap()
    }
}

async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, tap: Tap, down: bool) {
    // An odd size, so that packets are cut everywhere.
    let mut buffer = vec![0; 9_973];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        let data = [bytes::Bytes::copy_from_slice(&buffer[..count])];
        if down { tap.from_device(Output::Stdout, &data) } else { tap.from_person(&data) }.unwrap();
        if to.write_all(&data[0]).await.is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown().await;
}

/// Contents that differ everywhere.
fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The transfer is told truly: size, way, hash and copy.
fn check(recording: &Recording, transfer: &Transfer, direction: Direction, path: &Path, original: &Path) {
    let original = std::fs::read(original).unwrap();
    assert_eq!(Path::new(&transfer.path), path);
    assert_eq!((transfer.direction, transfer.complete), (direction, true), "{transfer:?}");
    assert_eq!(transfer.size, original.len() as u64);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &original);
    let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(transfer.sha256, sha256);
    if let Some(copy) = &transfer.kept_copy {
        assert!(member(recording, copy) == original, "the kept copy differs");
    } else {
        assert!(original.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_sftp_puts_and_gets() {
    let bench = Bench::new().await;
    let recording = bench.recording().await;
    std::fs::write(bench.path("person/up.bin"), contents(3_000_001)).unwrap();
    std::fs::write(bench.path("person/空.txt"), "").unwrap();
    std::fs::write(bench.path("device/down.bin"), contents(2_500_003)).unwrap();
    let batch = "put up.bin new.bin\nput 空.txt\nget down.bin\nmkdir d\nrename new.bin d/moved.bin\nls -l\n";
    std::fs::write(bench.path("batch"), batch).unwrap();
    let batch = bench.path("batch");
    let mut transfers = bench.run(&recording, "sftp", &["-q", "-b", batch.to_str().unwrap(), "device"]).await;
    transfers.sort_by(|one, other| {
        one.kept_copy.is_none().cmp(&other.kept_copy.is_none()).then(one.started.cmp(&other.started))
    });
    assert_eq!(transfers.len(), 3, "{transfers:?}");
    let to = |name: &str| bench.path("device").join(name);
    check(&recording, &transfers[0], Direction::ToDevice, &to("new.bin"), &bench.path("person/up.bin"));
    check(&recording, &transfers[1], Direction::FromDevice, &to("down.bin"), &bench.path("person/down.bin"));
    check(&recording, &transfers[2], Direction::ToDevice, &to("空.txt"), &bench.path("person/空.txt"));
    recording.finish(end()).await.unwrap();
    assert!(export(&recording, std::io::sink()).unwrap().verified);
    let log = String::from_utf8(member(&recording, "00001.sftp.jsonl")).unwrap();
    assert!(log.contains("\"request\":\"mkdir\"") && log.contains("rename"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_sftp_resumes() {
    let bench = Bench::new().await;
    let recording = bench.recording().await;
    let all = contents(1_000_000);
    std::fs::write(bench.path("person/up.bin"), &all).unwrap();
    std::fs::write(bench.path("device/up.bin"), &all[..400_000]).unwrap();
    std::fs::write(bench.path("batch"), "reput up.bin\n").unwrap();
    let batch = bench.path("batch");
    let transfers = bench.run(&recording, "sftp", &["-q", "-b", batch.to_str().unwrap(), "device"]).await;
    let written = transfers.iter().find(|transfer| transfer.direction == Direction::ToDevice).unwrap();
    assert_eq!((written.offset, written.size, written.complete), (400_000, 600_000, true));
    assert!(member(&recording, written.kept_copy.as_ref().unwrap()) == all[400_000..]);
    assert!(std::fs::read(bench.path("device/up.bin")).unwrap() == all);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_scp_goes_over_sftp() {
    let bench = Bench::new().await;
    let recording = bench.recording().await;
    std::fs::write(bench.path("person/a.bin"), contents(777_777)).unwrap();
    let target = bench.path("device/b.bin");
    let remote = format!("device:{}", target.display());
    let transfers = bench.run(&recording, "scp", &["-q", "a.bin", &remote]).await;
    assert_eq!(transfers.len(), 1);
    check(&recording, &transfers[0], Direction::ToDevice, &target, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_scp_o_sends_a_file() {
    let bench = Bench::new().await;
    let recording = bench.recording().await;
    std::fs::write(bench.path("person/a.bin"), contents(777_777)).unwrap();
    let target = bench.path("device/b.bin");
    let remote = format!("device:{}", target.display());
    let transfers = bench.run(&recording, "scp", &["-q", "-O", "-p", "a.bin", &remote]).await;
    assert_eq!(transfers.len(), 1);
    check(&recording, &transfers[0], Direction::ToDevice, &target, &target);
    assert_eq!(transfers[0].name.as_deref(), Some("a.bin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_scp_o_fetches_a_tree() {
    let bench = Bench::new().await;
    let recording = bench.recording().await;
    std::fs::create_dir_all(bench.path("device/tree/deep")).unwrap();
    std::fs::write(bench.path("device/tree/one.bin"), contents(70_001)).unwrap();
    std::fs::write(bench.path("device/tree/deep/empty"), "").unwrap();
    std::fs::write(bench.path("device/tree/deep/two.bin"), contents(123_457)).unwrap();
    let remote = format!("device:{}", bench.path("device/tree").display());
    let mut transfers = bench.run(&recording, "scp", &["-q", "-O", "-r", &remote, "."]).await;
    transfers.sort_by(|one, other| one.path.cmp(&other.path));
    assert_eq!(transfers.len(), 3, "{transfers:?}");
    for (transfer, name) in transfers.iter().zip(["tree/deep/empty", "tree/deep/two.bin", "tree/one.bin"]) {
        let fetched = bench.path("person").join(name);
        check(&recording, transfer, Direction::FromDevice, &bench.path("device").join(name), &fetched);
    }
    recording.finish(end()).await.unwrap();
    assert_eq!(replay::open(&recording).unwrap().transfers.len(), 3);
    assert!(export(&recording, std::io::sink()).unwrap().verified);
}
