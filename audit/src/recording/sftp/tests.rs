//! Both directions of SFTP, packet by packet.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::recording::values::Direction;
use crate::recording::{Durability, Lengths, SessionKey};
use proptest::prelude::*;

/// Which side sends a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

/// Packets in the order of their sending.
type Dialogue = Vec<(Side, Vec<u8>)>;

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len() + 1).unwrap().to_be_bytes()[..], &[kind], &body].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

fn n(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn open(id: u32, path: &str, flags: u32) -> (Side, Vec<u8>) {
    (Client, packet(3, &[&n(id), &string(path.as_bytes()), &n(flags), &n(4), &n(0o644)]))
}

fn handle(id: u32, handle: &str) -> (Side, Vec<u8>) {
    (Server, packet(HANDLE, &[&n(id), &string(handle.as_bytes())]))
}

fn write(id: u32, handle: &str, offset: u64, data: &[u8]) -> (Side, Vec<u8>) {
    (Client, packet(WRITE, &[&n(id), &string(handle.as_bytes()), &offset.to_be_bytes(), &string(data)]))
}

fn read(id: u32, handle: &str, offset: u64, length: u32) -> (Side, Vec<u8>) {
    (Client, packet(5, &[&n(id), &string(handle.as_bytes()), &offset.to_be_bytes(), &n(length)]))
}

fn data(id: u32, data: &[u8]) -> (Side, Vec<u8>) {
    (Server, packet(DATA, &[&n(id), &string(data)]))
}

fn status(id: u32, code: u32) -> (Side, Vec<u8>) {
    (Server, packet(STATUS, &[&n(id), &n(code), &string(b""), &string(b"")]))
}

fn close(id: u32, handle: &str) -> (Side, Vec<u8>) {
    (Client, packet(4, &[&n(id), &string(handle.as_bytes())]))
}

struct Played {
    transfers: Vec<Transfer>,
    copies: Vec<Option<Vec<u8>>>,
    log: String,
}

/// Plays a dialogue in chunks of the given lengths, round and round.
fn play(dialogue: &[(Side, Vec<u8>)], chunks: &[usize]) -> Result<Played, RecordingError> {
    let folder = tempfile::tempdir().unwrap();
    let at = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
    let place = Folder {
        path: folder.path().to_owned(),
        key: SessionKey::from([7; 32]),
        lengths: Lengths::default(),
        durability: Durability::Process,
    };
    let mut channel = SftpChannel::create(&place, 3, at)?;
    let mut lengths = chunks.iter().copied().cycle();
    let mut transfers = Vec::new();
    for (side, bytes) in dialogue {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(lengths.next().unwrap().clamp(1, rest.len()));
            rest = after;
            transfers.extend(match side {
                Client => channel.person_sent(at, chunk)?,
                Server => channel.device_sent(at, chunk)?,
            });
        }
    }
    transfers.extend(channel.close(at, Entry::Close { reason: None, bytes_to_device: 0, bytes_from_device: 0 })?);
    let stored = |transfer: &Transfer| {
        let name = transfer.kept_copy.as_ref()?;
        Some(place.read(name))
    };
    let copies = transfers.iter().map(stored).collect();
    let log = String::from_utf8(place.read("00003.sftp.jsonl")).unwrap();
    Ok(Played { transfers, copies, log })
}

fn whole(dialogue: &[(Side, Vec<u8>)]) -> Played {
    play(dialogue, &[usize::MAX]).unwrap()
}

fn upload() -> Dialogue {
    vec![
        (Client, packet(INIT, &[&n(3)])),
        (Server, packet(VERSION, &[&n(3), &string(b"limits@openssh.com"), &string(b"1")])),
        open(1, "/tmp/a", 2 | 8 | 16),
        handle(1, "h"),
        write(2, "h", 0, b"one "),
        write(3, "h", 8, b"three"),
        write(4, "h", 4, b"two "),
        status(3, 0),
        status(2, 0),
        status(4, 0),
        close(5, "h"),
        status(5, 0),
    ]
}

fn download() -> Dialogue {
    vec![
        open(1, "/var/log/b", 1),
        handle(1, "h"),
        read(2, "h", 0, 4),
        read(3, "h", 4, 4),
        read(4, "h", 8, 4),
        data(3, b"two "),
        data(2, b"one "),
        data(4, b"3"),
        read(5, "h", 9, 4),
        status(5, 1),
        close(6, "h"),
        status(6, 0),
    ]
}

#[test]
fn a_handle_longer_than_any_is_refused() {
    for (length, sound) in [(256, true), (257, false), (200_000, false)] {
        let long = "h".repeat(length);
        let played = play(&[open(1, "/a", 1), handle(1, &long)], &[4096]);
        assert_eq!(played.is_ok(), sound, "{length}");
    }
}

#[test]
fn an_upload_out_of_order_is_put_together() {
    let played = whole(&upload());
    assert_eq!(played.copies, [Some(b"one two three".to_vec())]);
    let transfer = &played.transfers[0];
    assert_eq!((transfer.path.as_str(), transfer.direction), ("/tmp/a", Direction::ToDevice));
    assert_eq!((transfer.offset, transfer.size, transfer.complete), (0, 13, true));
    assert_eq!(transfer.kept_copy.as_deref(), Some("files/00003-0001"));
    assert_eq!(transfer.sha256, sha256(b"one two three"));
}

fn sha256(bytes: &[u8]) -> String {
    crate::hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

#[test]
fn golden_sftp() {
    let played = whole(&[upload(), download()].concat());
    crate::recording::golden::same_bytes(played.log.as_bytes(), "sftp-1.jsonl");
}

#[test]
fn a_download_answered_out_of_order_is_put_together() {
    let played = whole(&download());
    assert_eq!(played.copies, [Some(b"one two 3".to_vec())]);
    let transfer = &played.transfers[0];
    assert_eq!((transfer.path.as_str(), transfer.direction), ("/var/log/b", Direction::FromDevice));
    assert_eq!((transfer.size, transfer.complete, &transfer.sha256), (9, true, &sha256(b"one two 3")));
}

#[test]
fn what_is_not_whole_is_incomplete() {
    let without = |skip: &[usize]| {
        let dialogue = download().into_iter().enumerate().filter(|(at, _)| !skip.contains(at));
        whole(&dialogue.map(|(_, packet)| packet).collect::<Vec<_>>()).transfers[0].complete
    };
    assert!(!without(&[8, 9]), "the end of the file was not seen");
    assert!(!without(&[10, 11]), "it was not closed");
    assert!(!without(&[3, 5]), "a gap");
    let mut failed = upload();
    failed[7] = status(3, 4);
    assert!(!whole(&failed).transfers[0].complete, "the device refused a write");
    let mut early = upload();
    early.truncate(7);
    let played = whole(&early);
    assert_eq!((played.transfers[0].size, played.transfers[0].complete), (13, false), "cut");
}

#[test]
fn a_size_that_was_stated_ends_a_download_as_well() {
    let attrs = |id| (Server, packet(ATTRS, &[&n(id), &n(1), &4_u64.to_be_bytes()]));
    let stat = (Client, packet(17, &[&n(9), &string(b"/b")]));
    let fstat = (Client, packet(8, &[&n(9), &string(b"h")]));
    let rest = [read(2, "h", 0, 100), data(2, b"four"), close(6, "h"), status(6, 0)];
    let by_path = [&[stat, attrs(9), open(1, "/b", 1), handle(1, "h")], &rest[..]].concat();
    assert!(whole(&by_path).transfers[0].complete);
    let by_handle = [&[open(1, "/b", 1), handle(1, "h"), fstat, attrs(9)], &rest[..]].concat();
    assert!(whole(&by_handle).transfers[0].complete);
}

#[test]
fn what_went_through_cannot_be_overwritten_in_its_copy() {
    let dialogue = [
        open(1, "/a", 2),
        handle(1, "h"),
        write(2, "h", 0, b"evil"),
        status(2, 0),
        write(3, "h", 0, b"good"),
        status(3, 0),
        write(4, "h", u64::MAX - 4, b"far"),
        status(4, 0),
        close(5, "h"),
        status(5, 0),
    ];
    let played = whole(&dialogue);
    assert_eq!(played.copies, [b"evil", b"good", &b"far"[..]].map(|copy| Some(copy.to_vec())));
    assert_eq!(played.transfers[2].offset, u64::MAX - 4);
}

#[test]
fn a_file_that_is_read_and_written_is_two_transfers() {
    let dialogue = [
        open(1, "/a", 3),
        handle(1, "h"),
        read(2, "h", 0, 10),
        data(2, b"old"),
        write(3, "h", 3, b"new"),
        status(3, 0),
        close(4, "h"),
        status(4, 0),
    ];
    let played = whole(&dialogue);
    assert_eq!(played.copies, [Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(played.transfers[1].offset, 3);
}

#[test]
fn data_that_comes_after_the_close_is_kept() {
    let dialogue = [
        open(1, "/a", 1),
        handle(1, "h"),
        read(2, "h", 0, 10),
        close(3, "h"),
        status(3, 0),
        open(4, "/b", 1),
        handle(4, "h"),
        data(2, b"late"),
        close(5, "h"),
        status(5, 0),
    ];
    let played = whole(&dialogue);
    assert_eq!((played.transfers[0].path.as_str(), &played.copies[0]), ("/a", &Some(b"late".to_vec())));
}

#[test]
fn acts_are_noted_by_name_with_their_paths() {
    let two = |kind, a: &str, b: &str| (Client, packet(kind, &[&n(1), &string(a.as_bytes()), &string(b.as_bytes())]));
    let extended = |name: &str, rest: &[u8]| (Client, packet(200, &[&n(1), &string(name.as_bytes()), rest]));
    let posix = [string(b"/x"), string(b"/y")].concat();
    let acts = [
        two(18, "/a", "/b"),
        two(20, "/target", "/link"),
        (Client, packet(13, &[&n(1), &string(b"/gone\xff")])),
        (Client, packet(9, &[&n(1), &string(b"/a"), &n(1 | 4), &0_u64.to_be_bytes(), &n(0o4755)])),
        extended("posix-rename@openssh.com", &posix),
        extended("unknown@example.com", b"anything"),
        (Client, packet(42, &[&n(1), b"whatever"])),
    ];
    let dialogue = acts.into_iter().flat_map(|act| [act, status(1, 3)]).collect::<Vec<_>>();
    let log = whole(&dialogue).log;
    for expected in [
        r#""request":"rename","path":"/a","to":"/b""#,
        r#""request":"symlink","path":"/target","to":"/link""#,
        r#""request":"remove","path":"/gone�","path_hex":"2f676f6e65ff""#,
        r#""request":"setstat","path":"/a","detail":"size=0 mode=4755""#,
        r#""request":"posix-rename@openssh.com","path":"/x","to":"/y""#,
        r#""request":"unknown@example.com""#,
        r#""request":"type 42""#,
        r#""status":"permission denied""#,
    ] {
        assert!(log.contains(expected), "{expected} is not in\n{log}");
    }
}

#[test]
fn what_cannot_be_paired_is_refused() {
    let opened = [open(1, "/a", 3), handle(1, "h")];
    let after = |more: &[(Side, Vec<u8>)]| play(&[&opened[..], more].concat(), &[usize::MAX]).err();
    let cases: [(&str, Dialogue); 9] = [
        ("a number used twice", vec![read(2, "h", 0, 1), read(2, "h", 1, 1)]),
        ("a write to no file", vec![write(2, "other", 0, b"x")]),
        ("data of no file", vec![read(2, "other", 0, 9), data(2, b"x")]),
        ("an answer to nothing", vec![status(7, 0)]),
        ("too much data", vec![read(2, "h", 0, 1), data(2, b"xx")]),
        ("the wrong side", vec![(Server, write(2, "h", 0, b"x").1)]),
        ("another version", vec![(Server, packet(VERSION, &[&n(6)]))]),
        ("a huge packet", vec![(Client, [n(300_000), n(0)].concat())]),
        ("a handle twice", vec![open(2, "/b", 1), handle(2, "h")]),
    ];
    for (what, more) in cases {
        assert!(after(&more).is_some_and(|error| error.is_malformed()), "{what}");
    }
}

/// One byte here and one there would cost what lies between them.
fn scattered(count: u64, apart: u64) -> Dialogue {
    let mut dialogue = vec![open(1, "/a", 2), handle(1, "h")];
    for number in 0..count {
        let id = u32::try_from(number).unwrap() + 2;
        dialogue.extend([write(id, "h", number * apart, &[b'a' + (number % 26) as u8]), status(id, 0)]);
    }
    dialogue.extend([close(1, "h"), status(1, 0)]);
    dialogue
}

#[test]
fn what_gaps_and_copies_cost_is_bounded_and_no_byte_is_lost() {
    const MIB: u64 = 1 << 20;
    let at = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
    for apart in [2, 5 * MIB, 64 * MIB, 70 * MIB] {
        let folder = tempfile::tempdir().unwrap();
        let (path, key, durability) = (folder.path().to_owned(), SessionKey::from([7; 32]), Durability::Process);
        let place = Folder { path, key, lengths: Lengths::default(), durability };
        let mut channel = SftpChannel::create(&place, 3, at).unwrap();
        let mut transfers = Vec::new();
        for (side, bytes) in scattered(3000, apart) {
            transfers.extend(match side {
                Client => channel.person_sent(at, &bytes).unwrap(),
                Server => channel.device_sent(at, &bytes).unwrap(),
            });
        }
        let copies = channel.entries().split_off(1);
        let kept: u64 = copies.iter().map(|copy| copy.size).sum();
        assert!(kept <= 3000 + 256 * MIB, "{kept} bytes are kept of 3000, {apart} apart");
        assert!(copies.len() <= 1026, "{} copies", copies.len());
        assert_eq!(transfers.iter().map(|transfer| transfer.size).sum::<u64>(), 3000);
        assert!(transfers.iter().all(|transfer| !transfer.complete || transfers.len() == 1), "{apart}");
        if let Some(last) = transfers.last().filter(|last| last.unplaced) {
            let bytes = place.read(last.kept_copy.as_ref().unwrap());
            let from = 3000 - bytes.len() as u64;
            assert!(bytes == (from..3000).map(|number| b'a' + (number % 26) as u8).collect::<Vec<_>>());
            assert_eq!(last.sha256, sha256(&bytes));
        } else {
            assert!(apart < 64 * MIB, "{apart}");
        }
        // No two frames of a journal are encrypted alike.
        for copy in copies {
            let heads = crate::recording::journal::heads(&crate::recording::journal::path_of(&place.path, &copy.name));
            let distinct = heads.iter().collect::<std::collections::HashSet<_>>();
            assert_eq!(distinct.len(), heads.len(), "{}", copy.name);
        }
    }
}

/// Windows of some MiB in any order, as WinSCP, psftp and `sftp -R 256` have them under way.
#[test]
fn what_clients_do_out_of_order_is_one_whole_copy() {
    let block = 32 * 1024_u64;
    let mut dialogue = vec![open(1, "/a", 2), handle(1, "h")];
    let mut expected = Vec::new();
    for window in 0..4_u64 {
        for turn in 0..256_u64 {
            // Backwards in every second window.
            let number = window * 256 + if window % 2 == 0 { (turn * 97) % 256 } else { 255 - turn };
            let id = u32::try_from(window * 256 + turn).unwrap() + 2;
            dialogue.push(write(id, "h", number * block, &vec![(number % 251) as u8; 32 * 1024]));
            dialogue.push(status(id, 0));
        }
        expected.extend((window * 256..window * 256 + 256).flat_map(|number| vec![(number % 251) as u8; 32 * 1024]));
    }
    dialogue.extend([close(1, "h"), status(1, 0)]);
    let played = whole(&dialogue);
    assert_eq!(played.transfers.len(), 1);
    assert!(played.transfers[0].complete && played.copies == [Some(expected)]);
}

proptest! {
    #[test]
    fn any_split_tells_the_same(chunks in prop::collection::vec(1_usize..40, 1..20)) {
        for dialogue in [upload(), download()] {
            let (one, other) = (whole(&dialogue), play(&dialogue, &chunks).unwrap());
            prop_assert_eq!(one.transfers, other.transfers);
            prop_assert_eq!(one.copies, other.copies);
            prop_assert_eq!(one.log, other.log);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        pieces in prop::collection::vec((any::<bool>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 1..12),
        framed in any::<bool>(),
    ) {
        let dialogue = pieces.iter().map(|(client, kind, body)| {
            let bytes = if framed { packet(*kind % 21, &[body]) } else { body.clone() };
            (if *client { Client } else { Server }, bytes)
        });
        let dialogue = [upload(), dialogue.collect(), download()].concat();
        // Refused or not: it returns.
        drop(play(&dialogue, &[7, 1, 30]));
    }
}
