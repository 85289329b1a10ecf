//! Each format as it is stored, byte for byte. A change here is a change of the format: it needs a new version.
//!
//! `SEKIMORI_WRITE_GOLDEN=1 cargo nextest run -p sekimori-audit golden` writes the files anew.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::channel::Channel;
use super::member::Member;
use super::values::HeadFile;
use super::*;
use std::net::IpAddr;

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_000_000 + micros).unwrap()
}

fn head() -> SessionHead {
    SessionHead {
        session: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001),
        opened: at(0),
        person: "eng1".parse().unwrap(),
        vendor: Some("acme".parse().unwrap()),
        device: "ct-01".parse().unwrap(),
        account: "service".to_owned(),
        work: "w-1".parse().unwrap(),
        source: IpAddr::from([192, 0, 2, 7]),
        gateway: "gate".to_owned(),
    }
}

/// A folder for members, whose journals have a key of the tests'.
fn in_folder(path: &Path) -> Folder {
    Folder {
        path: path.to_owned(),
        key: SessionKey::from([7; 32]),
        lengths: Lengths::default(),
        durability: Durability::Process,
    }
}

fn same(folder: &Folder, member: &str, golden: &str) {
    same_bytes(&folder.read(member), golden);
}

/// Compares with the golden file, or writes it.
pub(super) fn same_bytes(written: &[u8], golden: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    if std::env::var_os("SEKIMORI_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, written).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    assert_eq!(String::from_utf8_lossy(written), String::from_utf8_lossy(&expected), "{golden}");
    assert_eq!(written, expected, "{golden}");
}

#[test]
fn golden_terminal() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = in_folder(temporary.path());
    let terminal = Terminal { cols: 80, rows: 24, term: "xterm".to_owned(), command: Some("top".to_owned()) };
    let mut channel = Channel::terminal(&folder, 1, &terminal, at(0)).unwrap();
    channel.person_sent(at(250_000), b"q").unwrap();
    channel.device_sent(at(333_333), Output::Stdout, b"\x1b[1mhello \xe6\xbc").unwrap();
    channel.device_sent(at(666_666), Output::Stdout, b"\xa2\r\n").unwrap();
    channel.device_sent(at(999_999), Output::Stderr, b"\x83\x65").unwrap();
    channel.notice(at(1_000_000), "10 minutes left\r\n").unwrap();
    channel.resize(at(2_000_001), 100, 30).unwrap();
    channel.exit(at(61_000_000), ExitStatus::Signal("TERM".to_owned())).unwrap();
    channel.exit(at(61_000_001), ExitStatus::Code(0)).unwrap();
    channel.close(at(61_500_000), Some("the window ended".to_owned())).unwrap();
    same(&folder, "00001.cast", "terminal-1.cast");
}

#[test]
fn golden_exec() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = in_folder(temporary.path());
    let mut channel = Channel::exec(&folder, 2, "scp -t /tmp/a".to_owned(), at(0)).unwrap();
    channel.device_sent(at(1000), Output::Stdout, b"\0").unwrap();
    channel.person_sent(at(2000), b"C0644 2 a\n").unwrap();
    channel.device_sent(at(3000), Output::Stdout, b"\0").unwrap();
    channel.person_sent(at(4000), b"hi").unwrap();
    channel.person_sent(at(90_000), b"\0").unwrap();
    channel.device_sent(at(300_000), Output::Stdout, b"\0").unwrap();
    channel.device_sent(at(301_000), Output::Stderr, b"bye\n").unwrap();
    channel.notice(at(302_000), "1 minute left").unwrap();
    channel.exit(at(303_000), ExitStatus::Code(0)).unwrap();
    channel.close(at(304_000), None).unwrap();
    same(&folder, "00002.exec.jsonl", "exec-1.jsonl");
}

#[test]
fn golden_forward() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = in_folder(temporary.path());
    let forward = Forward {
        destination: "ct-01".to_owned(),
        destination_port: 3389,
        destination_address: Some(IpAddr::from([198, 51, 100, 4])),
        originator: "127.0.0.1:50000".parse().unwrap(),
    };
    let mut channel = Channel::forward(&folder, 4, &forward, at(0)).unwrap();
    channel.person_sent(at(1000), b"ping").unwrap();
    channel.device_sent(at(2000), Output::Stdout, b"pong!").unwrap();
    channel.close(at(3000), None).unwrap();
    same(&folder, "00004.forward.jsonl", "forward-1.jsonl");
    same(&folder, "00004.pcapng", "forward-1.pcapng");
}

#[test]
fn golden_journal() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = in_folder(temporary.path());
    let mut member = Member::create(&folder, "00001.cast".to_owned(), "a member").unwrap();
    member.append(b"two ").unwrap();
    member.append(b"frames\n").unwrap();
    assert_eq!(folder.read("00001.cast"), b"two frames\n");
    same_bytes(&std::fs::read(journal::path_of(&folder.path, "00001.cast")).unwrap(), "journal-1.journal");
}

#[test]
fn golden_head_and_manifest() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = in_folder(temporary.path());
    let mut channel = Channel::sftp(&folder, 3, at(0)).unwrap();
    channel.close(at(5_000_000), None).unwrap();
    let manifest = Manifest {
        version: FORMAT_VERSION,
        session: head().session,
        opened: at(0),
        ended: at(6_000_000),
        reason: "the person left".to_owned(),
        failure: None,
        channels: vec![channel.entry().clone()],
        members: channel.members(),
    };
    for (name, json) in [
        ("session-1.json", json_of(&HeadFile::of(&head()), temporary.path()).unwrap()),
        ("manifest-1.json", json_of(&manifest, temporary.path()).unwrap()),
    ] {
        folder.write_whole(name, &json).unwrap();
        same(&folder, name, name);
    }
}
