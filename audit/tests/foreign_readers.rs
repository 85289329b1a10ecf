//! Other people's tools open what is recorded: tshark the captures, tar the export.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod common;

use common::{bytes, end, in_clear, inside, started};
use sekimori_audit::recording::{Forward, Output};
use sekimori_audit::replay::export;
use std::path::Path;
use std::process::Command;

/// Runs a tool that must be there; a test that is skipped in silence proves nothing.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| unreachable!("{program} is needed: install the Debian package of that name ({error})"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn forwarded(root: &Path, destination: &str, originator: &str, answer: &[u8]) -> tempfile::TempDir {
    let recording = started(root).await;
    let forward = Forward {
        destination: destination.to_owned(),
        destination_port: 3389,
        destination_address: None,
        originator: originator.parse().unwrap(),
    };
    let tap = recording.forward(1, forward).await.unwrap();
    tap.from_person(&bytes("GET / HTTP/1.0\r\n\r\n")).unwrap();
    tap.from_device(Output::Stdout, &bytes(answer)).unwrap();
    tap.from_person(&bytes("bye")).unwrap();
    recording.finish(end()).await.unwrap();
    in_clear(&recording)
}

const CHECKED: [&str; 6] =
    ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "tcp.analyze_sequence_numbers:TRUE"];

#[tokio::test]
async fn tshark_follows_a_forward_without_complaint() {
    for (destination, originator) in
        [("198.51.100.4", "127.0.0.1:50000"), ("2001:db8::4", "[::1]:50000"), ("ct-01", "[::1]:0")]
    {
        let root = tempfile::tempdir().unwrap();
        // More than one packet, of an odd length.
        let answer = b"0123456789abcde".repeat(10_001);
        let opened = forwarded(root.path(), destination, originator, &answer).await;
        let capture = inside(&opened).join("00001.pcapng").to_str().unwrap().to_owned();
        let faults = "tcp.checksum.status==0 || ip.checksum.status==0 || tcp.analysis.flags || _ws.malformed";
        let faulty = run("tshark", &[&["-r", &capture, "-Y", faults][..], &CHECKED].concat());
        assert_eq!(faulty, "", "{destination}");
        let good = run(
            "tshark",
            &[&["-r", &capture, "-Y", "tcp.checksum.status==1", "-T", "fields", "-e", "tcp.len"][..], &CHECKED]
                .concat(),
        );
        let lengths = good.lines().map(|length| length.parse::<usize>().unwrap()).collect::<Vec<_>>();
        assert_eq!(lengths.iter().sum::<usize>(), 18 + answer.len() + 3, "{destination}");
        let followed = run("tshark", &["-r", &capture, "-q", "-z", "follow,tcp,raw,0"]);
        let hex = |text: &[u8]| text.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // Lines of the device are indented.
        let person = followed.lines().filter(|line| is_hex(line)).collect::<String>();
        let device = followed.lines().filter_map(|line| line.strip_prefix('\t')).collect::<String>();
        assert!(person == hex(b"GET / HTTP/1.0\r\n\r\nbye"), "{destination}: the person's stream differs");
        assert!(device == hex(&answer), "{destination}: the stream differs");
    }
}

fn is_hex(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn tar_and_sha256sum_open_an_export() {
    let root = tempfile::tempdir().unwrap();
    let recording = started(root.path()).await;
    let exec = recording.stream(1, "scp -t /tmp/a".to_owned()).await.unwrap();
    exec.from_person(&bytes("C0644 5 a\nhello\0")).unwrap();
    let summary = recording.finish(end()).await.unwrap();
    let archive = root.path().join("export.tar");
    let exported = export(&recording, std::fs::File::create(&archive).unwrap()).unwrap();
    assert!(exported.verified);

    let folder = root.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    run("tar", &["-xf", archive.to_str().unwrap(), "-C", folder.to_str().unwrap()]);
    let folder = folder.join(recording.session().to_string());
    let sums = summary.manifest.members.iter().map(|member| format!("{}  {}\n", member.sha256, member.name));
    std::fs::write(root.path().join("sums"), sums.collect::<String>()).unwrap();
    let script = format!("cd {} && sha256sum -c --strict ../../sums", folder.display());
    let checked = run("sh", &["-c", &script]);
    assert_eq!(checked.lines().filter(|line| line.ends_with(": OK")).count(), exported.members - 1, "{checked}");
    assert!(checked.contains("files/00001-0001: OK"), "{checked}");
}
