//! What the verifier finds in logs that were well signed and are wrong otherwise: sessions, beat, keys, purges, anchors.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod logs;

use logs::{ORIGIN, Story, key, keys, keys_text, life, session, spoil, witness_key, write};
use sekimori_audit::log::leaf::{BEAT, CLOSE, HELD, OPEN, PURGED, RELEASED, SEALED, SEGMENT, START, STOP};
use sekimori_audit::log::{Anchor, Checkpoint, Leaf, LogError, LogKeys, Writer, note, paper, rotation_leaf, sha256};
use sekimori_audit::verify::{Body, Code, Limits, Options, Recordings, Report, Verdict, verify};
use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

fn judged(root: &Path, anchors: &[Anchor]) -> Report {
    verify(root, &keys([key(1).verifier()]), anchors, &Options::default()).unwrap()
}

/// Codes with their entries, of a story that was sealed as it is.
fn found(leaves: &[Leaf]) -> Vec<(&'static str, Option<u64>)> {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), leaves, 1000, 1);
    let report = judged(root.path(), &[]);
    report.faults.iter().map(|fault| (fault.code.code(), fault.entry)).collect()
}

fn story(tell: impl FnOnce(&mut Story)) -> Vec<Leaf> {
    let mut story = Story::default();
    tell(&mut story);
    story.leaves
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.faults.iter().map(|fault| fault.code.code()).collect()
}

#[test]
fn a_sound_log_passes_and_says_what_it_holds() {
    let root = tempfile::tempdir().unwrap();
    let story = life(3000);
    let checkpoints = write(root.path(), &story.leaves, 700, 1);
    let anchor = |checkpoint: &Checkpoint| Anchor::parse("kept", checkpoint.signed(&[&key(1)]).as_bytes()).unwrap();
    let anchors = [anchor(&checkpoints[0]), anchor(&checkpoints[2])];
    let told = RefCell::new(Vec::new());
    let progress = |done, of| told.borrow_mut().push((done, of));
    for threads in [1, 2, 5] {
        let options = Options { progress: Some(&progress), threads, ..Options::default() };
        let report = verify(root.path(), &keys([key(1).verifier()]), &anchors, &options).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{:#?}", report.faults);
        let size = story.leaves.len() as u64;
        assert_eq!((report.entries, report.anchored, report.still_open), (Some(size), 2100, 0));
        let opens = story.leaves.iter().filter(|leaf| leaf.kind == OPEN).count() as u64;
        assert_eq!(report.sessions, opens);
        let told = told.take();
        assert!(told.is_sorted() && told.last() == Some(&(size, size)), "{told:?}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["verdict"], "intact");
        assert_eq!(json["first"], "2026-11-01T00:00:00.000000Z");
    }
    // An empty log is sound too.
    let empty = tempfile::tempdir().unwrap();
    drop(Writer::open(empty.path(), vec![key(1)], None).unwrap());
    assert_eq!(judged(empty.path(), &[]).verdict, Verdict::Intact);
}

#[test]
fn numbers_of_a_session_are_contiguous_and_it_opens_and_closes_once() {
    let id = Some(session(1));
    assert_eq!(found(&story(|story| _ = story.visit(session(1), 2).visit(session(2), 0))), []);
    // An event was left out before it was sealed.
    let mut leaves = story(|story| _ = story.visit(session(1), 2));
    leaves.remove(3);
    assert_eq!(found(&leaves), [("session-gap", Some(3))]);
    // Two were swapped, one was told twice.
    let mut leaves = story(|story| _ = story.visit(session(1), 2));
    leaves.swap(2, 3);
    assert_eq!(found(&leaves)[..2], [("session-gap", Some(2)), ("session-gap", Some(3))]);
    let mut leaves = story(|story| _ = story.tell(BEAT, None).tell(BEAT, None));
    leaves.insert(1, leaves[1].clone());
    assert_eq!(found(&leaves), [("session-gap", Some(2))]);
    // The first is missing.
    let mut leaves = story(|story| _ = story.visit(session(1), 2));
    leaves.remove(0);
    assert_eq!(found(&leaves), [("session-gap", Some(0)), ("session-unopened", Some(0))]);
    let leaves = story(|story| {
        _ = story.tell("session.channel", id).tell(OPEN, id).tell(OPEN, id).tell(CLOSE, id).tell(CLOSE, id)
    });
    let repeated = [("session-unopened", Some(0)), ("session-repeated", Some(2)), ("session-repeated", Some(4))];
    assert_eq!(found(&leaves), repeated);
    // Open at the end is usual, open for days is not.
    assert_eq!(found(&story(|story| _ = story.tell(OPEN, id).wait(600).tell("session.channel", id))), []);
    let leaves = story(|story| _ = story.tell(OPEN, id).wait(1500).tell("session.channel", id));
    assert_eq!(found(&leaves), [("session-unclosed", Some(0))]);
    let leaves = story(|story| _ = story.tell(OPEN, id).tell(SEGMENT, id).tell(CLOSE, id));
    assert_eq!(found(&leaves), [("session-unsealed", Some(0))]);
    // While a gateway serves the rest may be under way for a while; once it has stopped nobody is at it.
    let ended = |rest: &dyn Fn(&mut Story)| {
        found(&story(|story| {
            story.tell(START, None).tell(OPEN, id).tell(SEGMENT, id).tell(CLOSE, id);
            rest(story);
        }))
    };
    assert_eq!(ended(&|_| {}), []);
    assert_eq!(ended(&|story| _ = story.tell(STOP, None)), [("session-unsealed", Some(1))]);
    assert_eq!(
        ended(&|story| _ = story.wait(50).tell(BEAT, None).wait(50).tell(BEAT, None)),
        [("session-unsealed", Some(1))]
    );
    // Where recordings are sealed, one of which nothing ever was is missed as well, once there was time for it.
    let without = |minutes: u64| {
        story(|story| {
            story.tell(START, None).visit(session(1), 1).tell(OPEN, Some(session(2))).tell(CLOSE, Some(session(2)));
            story.wait(minutes / 2).tell(BEAT, None).wait(minutes / 2).tell(BEAT, None);
        })
    };
    assert_eq!(found(&without(10)), []);
    assert_eq!(found(&without(110)), [("session-unsealed", Some(6))]);
}

#[test]
fn silence_and_a_clock_that_goes_back_are_questions() {
    let sound = story(|story| _ = story.tell(START, None).hours(5, 1).tell(STOP, None).wait(3000).tell(START, None));
    assert_eq!(found(&sound), []);
    let silent = story(|story| _ = story.tell(START, None).hours(2, 1).wait(120).tell(BEAT, None));
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &silent, 100, 1);
    let report = judged(root.path(), &[]);
    assert_eq!((codes(&report), report.verdict), (vec!["beat-gap"], Verdict::Questions));
    assert_eq!(report.faults[0].entry, Some(silent.len() as u64 - 1));
    // A start without a stop before it does not excuse the silence; nor does silence at the end.
    let crashed = story(|story| _ = story.tell(START, None).tell(BEAT, None).wait(180).tell(START, None));
    assert_eq!(found(&crashed), [("beat-gap", Some(2))]);
    let silent = story(|story| _ = story.tell(START, None).wait(180).visit(session(1), 0));
    assert_eq!(found(&silent), [("beat-gap", Some(4))]);
    let mut back = story(|story| _ = story.tell(BEAT, None).wait(10).tell(BEAT, None).tell(BEAT, None));
    back[2].time = back[0].time;
    assert_eq!(found(&back), [("time-backwards", Some(2))]);
}

#[test]
fn a_ruined_log_fills_no_memory_and_hides_nothing_behind_questions() {
    let mut leaves = story(|story| (0..3000).for_each(|_| _ = story.wait(120).tell(BEAT, None)));
    leaves[2990].number = 7;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &leaves, 3000, 1);
    let report = judged(root.path(), &[]);
    assert_eq!((report.verdict, report.faults.len(), report.more_faults), (Verdict::Altered, 1000, 2001));
    assert_eq!(codes(&report)[..3], ["session-gap", "session-gap", "beat-gap"]);
}

#[test]
fn entries_that_are_no_leaves_are_named() {
    let leaves = story(|story| _ = story.tell(BEAT, None).tell("Gateway Beat", None));
    assert_eq!(found(&leaves), [("leaf-malformed", Some(1))]);
}

#[test]
fn keys_are_followed_along_their_leaves() {
    let root = tempfile::tempdir().unwrap();
    let mut story = Story::default();
    story.tell(BEAT, None).visit(session(1), 2);
    let mut writer = Writer::open(root.path(), vec![key(1)], None).unwrap();
    let before = writer.append(&story.leaves).unwrap();
    let mut sealed = story.leaves.len();
    for next in [2, 3] {
        let number = story.next_number(None);
        let leaf = rotation_leaf(&key(next), number, story.time());
        story.leaves.push(leaf.clone());
        writer.rotate(&leaf, key(next)).unwrap();
        sealed += 1;
        story.visit(session(u64::from(next)), 1);
        writer.append(&story.leaves[sealed..]).unwrap();
        sealed = story.leaves.len();
    }
    let newest = writer.checkpoint();
    drop(writer);
    let verifiers = [1, 2, 3].map(|seed| key(seed).verifier().clone());
    let judge = |verifiers: &[_]| verify(root.path(), &keys(verifiers), &[], &Options::default()).unwrap();
    assert_eq!(judge(&verifiers).verdict, Verdict::Intact, "{:#?}", judge(&verifiers).faults);
    // A file of keys that does not know the last, one that has another, one that has one more, one in another order.
    assert_eq!(codes(&judge(&verifiers[..2])), ["signature-unknown", "key-unknown"]);
    let [one, two, three] = verifiers.clone();
    let four = key(4).verifier().clone();
    assert!(codes(&judge(&[one.clone(), two.clone(), four.clone()])).contains(&"key-unknown"));
    assert_eq!(codes(&judge(&[one.clone(), two.clone(), three.clone(), four])), ["key-not-introduced"]);
    let swapped = codes(&judge(&[two, one, three]));
    assert!(swapped.contains(&"key-unknown") && swapped.contains(&"rotation-unsealed"), "{swapped:?}");

    // A retired key is stolen: what it signs after its time does not count.
    let checkpoint = root.path().join("checkpoint");
    let good = std::fs::read(&checkpoint).unwrap();
    for retired in [1, 2] {
        std::fs::write(&checkpoint, newest.signed(&[&key(retired)])).unwrap();
        assert_eq!(codes(&judge(&verifiers)), ["signature-not-in-force"], "{retired}");
    }
    // Nor does a key before its time.
    std::fs::write(&checkpoint, before.signed(&[&key(3)])).unwrap();
    assert!(codes(&judge(&verifiers)).contains(&"signature-not-in-force"));
    // Rolled back to before the keys changed, with the old key's own checkpoint.
    std::fs::write(&checkpoint, before.signed(&[&key(1)])).unwrap();
    assert_eq!(codes(&judge(&verifiers)), ["key-not-introduced", "key-not-introduced"]);
    std::fs::write(&checkpoint, good).unwrap();
    // The seal of a rotation is missing, or only the new key made it.
    let rotation = format!("rotation/{}", before.size + 1);
    let sealed = std::fs::read(root.path().join(&rotation)).unwrap();
    let (at_rotation, _) = Checkpoint::parse(&sealed).unwrap();
    std::fs::write(root.path().join(&rotation), at_rotation.signed(&[&key(2)])).unwrap();
    assert_eq!(codes(&judge(&verifiers)), ["rotation-unsealed"]);
    std::fs::remove_file(root.path().join(&rotation)).unwrap();
    assert_eq!(codes(&judge(&verifiers)), ["rotation-unsealed"]);
}

#[test]
fn bytes_are_compared_with_their_leaves_and_purges_account_for_what_is_gone() {
    let told = |ending: &dyn Fn(&mut Story)| {
        let mut story = Story::default();
        story.tell(BEAT, None).visit(session(1), 2);
        ending(&mut story);
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &story.leaves, 100, 1);
        (root, story)
    };
    let judge = |(root, story): &(tempfile::TempDir, Story), gone: &[u64], spoilt: Option<u64>| {
        let bodies = |entry: u64, _: &Leaf| {
            let stored = story.bodies[usize::try_from(entry).unwrap()].clone();
            match entry {
                _ if gone.contains(&entry) => Body::Gone,
                _ if spoilt == Some(entry) => Body::Stored([&stored[..], b" "].concat()),
                0 => Body::Elsewhere,
                1 => Body::Measured { length: stored.len() as u64, hash: sha256(&stored) },
                _ => Body::Stored(stored),
            }
        };
        let options = Options { bodies: Some(&bodies), ..Options::default() };
        let report = verify(root.path(), &keys([key(1).verifier()]), &[], &options).unwrap();
        report.faults.iter().map(|fault| (fault.code.code(), fault.entry, fault.session)).collect::<Vec<_>>()
    };
    let id = Some(session(1));
    let plain = told(&|_| {});
    assert_eq!(judge(&plain, &[], None), []);
    assert_eq!(judge(&plain, &[], Some(4)), [("body-differs", Some(4), id)]);
    assert_eq!(judge(&plain, &[3, 4], None), [("body-missing", Some(3), id)]);
    let purged = told(&|story| _ = story.tell(PURGED, id));
    assert_eq!(judge(&purged, &[3, 4], None), []);
    assert_eq!(judge(&purged, &[3], None), [("purge-incomplete", Some(4), id)]);
    // Events are never purged, least of all the one that tells of it.
    assert_eq!(judge(&purged, &[2, 3, 4], None), [("body-missing", Some(2), id)]);
    assert_eq!(judge(&purged, &[3, 4, 7], None), [("body-missing", Some(7), id)]);
    // A purge of another session accounts for nothing; a purge of a session that never was is unfounded.
    let other = Some(session(2));
    let forged = told(&|story| _ = story.tell(PURGED, other));
    let expected =
        [("body-missing", Some(3), id), ("session-unopened", Some(7), other), ("purge-unfounded", Some(7), other)];
    assert_eq!(judge(&forged, &[3, 4], None), expected);
}

#[test]
fn a_purge_is_for_what_has_ended_is_sealed_is_not_held_and_is_old_enough() {
    let id = session(1);
    let judge = |story: &Story, retention: Option<u64>| {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &story.leaves, 100, 1);
        let retention = retention.map(|hours| Duration::from_secs(hours * 3600));
        let beat = Duration::from_secs(1_000_000);
        let options = Options { limits: Limits { retention, beat, ..Limits::default() }, ..Options::default() };
        let report = verify(root.path(), &keys([key(1).verifier()]), &[], &options).unwrap();
        report.faults.iter().map(|fault| fault.code.code()).collect::<Vec<_>>()
    };
    let told = |acts: &[&str]| {
        let mut story = Story::default();
        story.tell(BEAT, None).visit(id, 1).wait(600);
        acts.iter().for_each(|kind| _ = story.tell(kind, Some(id)));
        story
    };
    assert_eq!(judge(&told(&[PURGED]), Some(10)), [""; 0]);
    assert_eq!(judge(&told(&[PURGED]), Some(11)), ["purge-early"]);
    assert_eq!(judge(&told(&[HELD, PURGED]), None), ["purge-held"]);
    assert_eq!(judge(&told(&[HELD, HELD, RELEASED, PURGED]), None), ["purge-held"]);
    assert_eq!(judge(&told(&[HELD, RELEASED, PURGED]), None), [""; 0]);
    assert_eq!(judge(&told(&[PURGED, PURGED]), None), ["purge-unfounded"]);
    let mut open = Story::default();
    open.tell(BEAT, None).tell(OPEN, Some(id)).tell(PURGED, Some(id)).tell(CLOSE, Some(id));
    assert_eq!(judge(&open, None), ["purge-unfounded"]);
    let mut unsealed = Story::default();
    unsealed.tell(BEAT, None).tell(OPEN, Some(id)).tell(SEGMENT, Some(id)).tell(CLOSE, Some(id)).tell(PURGED, Some(id));
    assert!(judge(&unsealed, None).contains(&"purge-unfounded"));
}

#[test]
fn of_a_session_that_goes_on_what_was_sealed_has_to_be_there() {
    let id = session(1);
    let mut story = Story::default();
    story.tell(BEAT, None).tell(OPEN, Some(id));
    for piece in ["first piece", "second piece"] {
        let (number, time) = (story.next_number(Some(id)), story.time());
        story.leaves.push(Leaf::of_bytes(SEGMENT, Some(id), number, time, piece.as_bytes()));
    }
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("log");
    write(&log, &story.leaves, 100, 1);
    let below = root.path().join("recordings");
    let put = |day: &str, pieces: &[&str]| {
        let folder = below.join(day);
        std::fs::create_dir_all(&folder).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for piece in pieces {
            let mut header = tar::Header::new_ustar();
            header.set_size(piece.len() as u64);
            tar.append_data(&mut header, format!("{id}/{piece}"), piece.as_bytes()).unwrap();
        }
        // As it lies while it grows: nothing stands behind the last file.
        std::fs::write(folder.join(format!("{id}.tar.partial")), tar.get_ref()).unwrap();
    };
    let judge = || {
        let recordings = Recordings::below(&below).unwrap();
        let options = Options { recordings: Some(&recordings), ..Options::default() };
        let report = verify(&log, &keys([key(1).verifier()]), &[], &options).unwrap();
        report.faults.iter().map(|fault| (fault.code.code(), fault.entry)).collect::<Vec<_>>()
    };
    put("2026/11/01", &["first piece", "second piece", "told of later"]);
    assert_eq!(judge(), []);
    put("2026/11/01", &["first piece"]);
    assert_eq!(judge(), [("body-missing", Some(3))]);
    // Two that go by one name cannot both be it.
    put("2026/11/01", &["first piece", "second piece"]);
    put("2026/11/02", &["first piece", "second piece"]);
    assert_eq!(judge(), [("recording-differs", None)]);
}

#[test]
fn anchors_are_compared_however_they_were_kept() {
    let root = tempfile::tempdir().unwrap();
    let checkpoints = write(root.path(), &life(900).leaves, 300, 1);
    let then = &checkpoints[0];
    let judge = |text: &str| {
        let report = judged(root.path(), &[Anchor::parse("kept", text.as_bytes()).unwrap()]);
        assert_eq!(report.anchors[0].agrees, report.verdict == Verdict::Intact);
        codes(&report)
    };
    assert_eq!(judge(&then.signed(&[&key(1)])), [""; 0]);
    assert_eq!(judge(&paper(then)), [""; 0]);
    let other = Checkpoint { root: sha256(b"other"), ..then.clone() };
    assert_eq!(judge(&other.signed(&[&key(1)])), ["anchor-differs"]);
    assert_eq!(judge(&paper(&other)), ["anchor-differs"]);
    let beyond = Checkpoint { size: 5000, ..then.clone() };
    assert_eq!(judge(&beyond.signed(&[&key(1)])), ["anchor-beyond"]);
    assert_eq!(judge(&paper(&beyond)), ["anchor-beyond"]);
    assert_eq!(judge(&then.signed(&[&key(2)])), ["anchor-unsigned"]);
    assert_eq!(judge(&then.signed(&[&key(1)]).replacen("300", "301", 1)), ["anchor-unsigned"]);
    assert_eq!(judge(&paper(&Checkpoint { origin: "other.example".to_owned(), ..then.clone() })), ["anchor-foreign"]);
}

#[test]
fn cosignatures_count_when_the_log_still_contains_what_was_cosigned() {
    let root = tempfile::tempdir().unwrap();
    let checkpoints = write(root.path(), &life(900).leaves, 300, 1);
    let (log, witness) = (key(1), witness_key(9));
    let keys = keys([log.verifier(), witness.verifier()]);
    let judge = |anchors: &[Anchor], quorum| {
        let options = Options { limits: Limits { quorum, ..Limits::default() }, ..Options::default() };
        verify(root.path(), &keys, anchors, &options).unwrap()
    };
    assert_eq!(codes(&judge(&[], 1)), ["cosignatures-missing"]);
    let text = checkpoints[1].text();
    let cosigned = note::join(&text, &[log.sign(&text), witness.cosign(&text, 1_793_500_000)]);
    let anchor = Anchor::parse("from the witness", cosigned.as_bytes()).unwrap();
    let report = judge(&[anchor], 1);
    assert_eq!((report.verdict, report.cosignatures[0].time), (Verdict::Intact, 1_793_500_000));
    Writer::open(root.path(), vec![key(1)], None).unwrap().keep_cosigned(&cosigned).unwrap();
    let report = judge(&[], 1);
    assert_eq!((report.verdict, report.anchored, report.cosignatures.len()), (Verdict::Intact, 600, 1));
    assert_eq!(codes(&judge(&[], 2)), ["cosignatures-missing"]);
    // Another text under the same cosignature.
    let other = Checkpoint { root: sha256(b"other"), ..checkpoints[1].clone() }.text();
    let forged = note::join(&other, &[log.sign(&other), witness.cosign(&text, 1_793_500_000)]);
    std::fs::write(root.path().join("cosigned"), forged).unwrap();
    assert_eq!(codes(&judge(&[], 0)), ["anchor-differs"]);
    let forged = note::join(&text, &[log.sign(&text), witness.cosign(&other, 1_793_500_000)]);
    std::fs::write(root.path().join("cosigned"), forged).unwrap();
    assert_eq!(codes(&judge(&[], 0)), ["cosignature-bad"]);
}

#[test]
fn keys_inside_the_log_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("log");
    write(&log, &life(40).leaves, 100, 1);
    let text = keys_text([key(1).verifier()]);
    let outside = root.path().join("keys");
    std::fs::write(&outside, &text).unwrap();
    std::fs::write(log.join("keys"), &text).unwrap();
    let link = root.path().join("link");
    std::os::unix::fs::symlink(log.join("keys"), &link).unwrap();
    let judge = |path: &Path| verify(&log, &LogKeys::read(path).unwrap(), &[], &Options::default());
    assert_eq!(judge(&outside).unwrap().verdict, Verdict::Intact);
    for inside in [log.join("keys"), link, log.join("../log/keys")] {
        let fault = judge(&inside).unwrap_err();
        assert!(matches!(fault, LogError::KeysInsideLog { .. }), "{fault}");
    }
}

#[test]
fn a_checkpoint_that_is_gone_or_unreadable_is_a_finding() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &life(40).leaves, 100, 1);
    spoil(root.path(), "checkpoint", |bytes| bytes.truncate(30));
    assert_eq!(codes(&judged(root.path(), &[])), ["checkpoint-malformed"]);
    std::fs::remove_file(root.path().join("checkpoint")).unwrap();
    assert_eq!(codes(&judged(root.path(), &[])), ["checkpoint-missing"]);
    // A size that is absurd ends at the first tile that is not there.
    let huge = Checkpoint { origin: ORIGIN.to_owned(), size: 1 << 60, root: sha256(b"x") };
    std::fs::write(root.path().join("checkpoint"), huge.signed(&[&key(1)])).unwrap();
    let report = judged(root.path(), &[]);
    assert_eq!((report.verdict, codes(&report).contains(&"root-differs")), (Verdict::Altered, true));
    assert!(Code::ALL.iter().all(|code| !code.code().is_empty()) && report.faults.len() < 100);
    let leaf_of_seal = story(|story| _ = story.tell(SEALED, Some(session(3))));
    assert_eq!(found(&leaf_of_seal), [("session-unopened", Some(0))]);
}
