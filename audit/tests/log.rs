//! The log as it is written and read back: known vectors, proofs against a naive tree, a golden folder, refusals.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod logs;

use logs::{ORIGIN, Story, copy, files, key, life, spoil, write};
use proptest::prelude::*;
use sekimori_audit::log::leaf::BEAT;
use sekimori_audit::log::proof::{self, verify_consistency, verify_inclusion};
use sekimori_audit::log::{
    Checkpoint, EntryProof, Hash, Leaf, LogError, Reader, Resource, Writer, leaf_hash, node_hash, root_of,
    rotation_leaf, sha256,
};
use std::convert::Infallible;
use std::path::Path;

/// RFC 6962 section 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// Section 2.1.1, word for word.
fn naive_path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match at.checked_sub(left.len()) {
        None => (naive_path(at, left), right),
        Some(at) => (naive_path(at, right), left),
    };
    path.push(naive_root(sibling));
    path
}

/// Section 2.1.2, word for word.
fn naive_subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match old.checked_sub(left.len()) {
        None | Some(0) => (naive_subproof(old, left, known), right),
        Some(old) => (naive_subproof(old, right, false), left),
    };
    path.push(naive_root(sibling));
    path
}

fn hashes(count: usize) -> Vec<Hash> {
    (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

fn nodes(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> {
    |height, index| {
        let first = usize::try_from(index << height).unwrap();
        Ok(naive_root(&leaves[first..first + (1 << height)]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn inclusion_proofs_are_those_of_the_naive_tree(size in 1_usize..700, at in any::<proptest::sample::Index>(), flip in any::<proptest::sample::Index>()) {
        let (leaves, at) = (hashes(size), at.index(size));
        let root = naive_root(&leaves);
        prop_assert_eq!(root_of(&leaves), root);
        let Ok(path) = proof::inclusion(at as u64, size as u64, &mut nodes(&leaves));
        let path = path.unwrap();
        prop_assert_eq!(&path, &naive_path(at, &leaves));
        let check = |at: usize, size: usize, leaf: &Hash, path: &[Hash], root: &Hash| verify_inclusion(at as u64, size as u64, leaf, path, root).is_ok();
        prop_assert!(check(at, size, &leaves[at], &path, &root));
        // What is one off anywhere proves nothing.
        let other = leaf_hash(b"other");
        prop_assert!(!check(at, size, &other, &path, &root));
        prop_assert!(!check(at, size, &leaves[at], &path, &other));
        prop_assert!(!check(at + 1, size, &leaves[at], &path, &root));
        prop_assert!(!check(size, size, &leaves[at], &path, &root));
        // The path is too short for a larger tree, though it ends at the right hash.
        prop_assert!(!check(at, 2 * size + 1, &leaves[at], &path, &root));
        prop_assert!(!check(at, size, &leaves[at], &[&path[..], &[other]].concat(), &root));
        if !path.is_empty() {
            let mut bent = path.clone();
            bent[flip.index(path.len())] = other;
            prop_assert!(!check(at, size, &leaves[at], &bent, &root));
            prop_assert!(!check(at, size, &leaves[at], &path[1..], &root));
        }
    }

    #[test]
    fn consistency_proofs_are_those_of_the_naive_tree(new in 1_usize..700, old in any::<proptest::sample::Index>(), flip in any::<proptest::sample::Index>()) {
        let (leaves, old) = (hashes(new), old.index(new + 1));
        let (old_root, new_root) = (naive_root(&leaves[..old]), naive_root(&leaves));
        let Ok(path) = proof::consistency(old as u64, new as u64, &mut nodes(&leaves));
        let path = path.unwrap();
        let naive = if old == 0 { Vec::new() } else { naive_subproof(old, &leaves, true) };
        prop_assert_eq!(&path, &naive);
        let check = |old: usize, new: usize, old_root: &Hash, path: &[Hash], new_root: &Hash| verify_consistency(old as u64, new as u64, old_root, new_root, path).is_ok();
        prop_assert!(check(old, new, &old_root, &path, &new_root));
        let other = leaf_hash(b"other");
        prop_assert!(!check(old, new, &other, &path, &new_root));
        prop_assert!(!check(old, new, &old_root, &[&path[..], &[other]].concat(), &new_root));
        if old > 0 {
            prop_assert!(!check(old, new, &old_root, &path, &other));
        }
        if old > 0 && old < new {
            prop_assert!(!check(new, old, &old_root, &path, &new_root));
            let mut bent = path.clone();
            bent[flip.index(path.len())] = other;
            prop_assert!(!check(old, new, &old_root, &bent, &new_root));
            prop_assert!(!check(old, new, &old_root, &path[1..], &new_root));
        }
    }

    #[test]
    fn parsers_of_foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), seed in any::<proptest::sample::Index>()) {
        parse_all(&bytes);
        // The same bytes inside something that is right otherwise.
        let mut note = Checkpoint { origin: ORIGIN.to_owned(), size: 7, root: sha256(b"x") }.signed(&[&key(1)]).into_bytes();
        let at = seed.index(note.len());
        note.splice(at..at, bytes.iter().copied().take(3));
        parse_all(&note);
        parse_all(&[b"old 3\n\n", &note[..]].concat());
        parse_all(&[b"c2sp.org/tlog-proof@v1\nindex 3\n\n", &note[..]].concat());
    }
}

fn parse_all(bytes: &[u8]) {
    use sekimori_audit::log::{AddCheckpoint, Anchor, LogKeys, Note, Resource, tile};
    let _ = (Note::parse(bytes), Checkpoint::parse(bytes), EntryProof::parse(bytes), AddCheckpoint::parse(bytes));
    let _ = (Anchor::parse("", bytes), LogKeys::parse(bytes), Leaf::parse(bytes));
    let _ = (tile::decode_bundle(bytes, 3), tile::decode_tile(bytes, 3));
    let _ = std::str::from_utf8(bytes).map(Resource::parse);
}

/// What the folder of a log has to hold, made the naive way.
fn check_tiles(root: &Path, leaves: &[Leaf]) {
    let entries = leaves.iter().map(Leaf::encode).collect::<Vec<_>>();
    let mut level = entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>();
    let expected_root = naive_root(&level);
    let (checkpoint, _) = Checkpoint::parse(&std::fs::read(root.join("checkpoint")).unwrap()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (leaves.len() as u64, expected_root));
    for (index, run) in entries.chunks(256).enumerate() {
        let bundle =
            run.iter().flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat());
        let suffix = if run.len() < 256 { format!(".p/{}", run.len()) } else { String::new() };
        assert_eq!(
            std::fs::read(root.join(format!("tile/entries/{index:03}{suffix}"))).unwrap(),
            bundle.collect::<Vec<_>>()
        );
    }
    for number in 0.. {
        for (index, run) in level.chunks(256).enumerate() {
            let suffix = if run.len() < 256 { format!(".p/{}", run.len()) } else { String::new() };
            let tile = run.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>();
            assert_eq!(
                std::fs::read(root.join(format!("tile/{number}/{index:03}{suffix}"))).unwrap(),
                tile,
                "{number}/{index}"
            );
        }
        level = level.chunks_exact(256).map(naive_root).collect();
        if level.is_empty() {
            assert!(!root.join(format!("tile/{}", number + 1)).exists(), "no empty tile");
            break;
        }
    }
}

#[test]
fn batches_of_any_size_make_the_same_log() {
    let story = life(1100);
    for batch in [1_usize, 7, 255, 256, 257, 2000] {
        let root = tempfile::tempdir().unwrap();
        // One leaf at a time is slow on a real disk; the edges of a tile are what matters.
        let leaves = &story.leaves[..if batch == 1 { 259 } else { story.leaves.len() }];
        let checkpoints = write(root.path(), leaves, batch, 1);
        check_tiles(root.path(), leaves);
        assert!(!files(root.path()).iter().any(|(path, _)| path.ends_with(".new")), "nothing is left beside");
        assert!(!root.path().join("tile/0/000.p").exists(), "parts of a full tile are swept");
        // Every state that was signed can be proved from the last.
        let mut reader = Reader::open(root.path()).unwrap();
        let newest = reader.checkpoint().clone();
        for checkpoint in checkpoints.iter().step_by(checkpoints.len().div_ceil(20)) {
            assert_eq!(reader.root_at(checkpoint.size).unwrap(), checkpoint.root);
            let path = reader.consistency(checkpoint.size, newest.size).unwrap();
            verify_consistency(checkpoint.size, newest.size, &checkpoint.root, &newest.root, &path).unwrap();
        }
        for index in (0..newest.size).step_by(101) {
            let entry = reader.entry(index).unwrap().unwrap();
            assert_eq!(entry, leaves[usize::try_from(index).unwrap()].encode());
            let proof = reader.inclusion(index).unwrap();
            let proof = EntryProof::parse(proof.text().as_bytes()).unwrap();
            assert_eq!(proof.verify(&entry, &[key(1).verifier().clone()]).unwrap().0, newest);
            assert!(proof.verify(b"other", &[key(1).verifier().clone()]).is_err());
            assert!(proof.verify(&entry, &[key(2).verifier().clone()]).is_err());
            assert!(EntryProof { index: index + 1, ..proof }.verify(&entry, &[key(1).verifier().clone()]).is_err());
        }
        assert_eq!(reader.entry(newest.size).unwrap(), None);
        assert!(reader.root_at(newest.size + 1).is_err() && reader.inclusion(newest.size).is_err());
    }
}

#[test]
fn the_golden_log_is_written_byte_for_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-1");
    let root = tempfile::tempdir().unwrap();
    let mut story = life(300);
    write(root.path(), &story.leaves, 150, 1);
    let mut writer = Writer::open(root.path(), vec![key(1)], None).unwrap();
    let leaf = rotation_leaf(&key(2), story.next_number(None), story.time());
    writer.rotate(&leaf, key(2)).unwrap();
    story.leaves.push(leaf);
    writer.append(&[story.tell(BEAT, None).leaves.pop().unwrap()]).unwrap();
    if std::env::var_os("SEKIMORI_WRITE_GOLDEN").is_some() {
        copy(root.path(), &golden);
    }
    let (written, golden) = (files(root.path()), files(&golden));
    assert_eq!(
        written.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        golden.iter().map(|(path, _)| path).collect::<Vec<_>>()
    );
    for ((path, written), (_, golden)) in written.iter().zip(&golden) {
        assert!(written == golden, "{path} differs: logs that exist could no longer be continued");
    }
}

#[test]
fn a_log_that_was_copied_while_a_tile_of_it_grew_full_goes_on_from_its_checkpoint() {
    let story = life(600);
    let root = tempfile::tempdir().unwrap();
    let checkpoints = write(root.path(), &story.leaves, 300, 1);
    let (early, newest) = (&checkpoints[0], checkpoints.last().unwrap());
    std::fs::write(root.path().join("checkpoint"), early.signed(&[&key(1)])).unwrap();
    for part in ["tile/0/001.p/44", "tile/entries/001.p/44"] {
        assert!(!root.path().join(part).exists(), "{part} was swept when the tile was full");
    }
    let mut writer = Writer::open(root.path(), vec![key(1)], Some(early)).unwrap();
    assert_eq!(writer.append(&story.leaves[300..]).unwrap(), *newest);
}

#[test]
fn a_folder_that_contradicts_its_checkpoint_is_not_continued() {
    let story = life(600);
    let sound = tempfile::tempdir().unwrap();
    let checkpoints = write(sound.path(), &story.leaves, 300, 1);
    let newest = checkpoints.last().unwrap();
    let width = newest.size % 256;
    let part = format!("tile/0/002.p/{width}");
    let entries = format!("tile/entries/002.p/{width}");
    let refuse = |what: &str, spoil: &dyn Fn(&Path), known: Option<&Checkpoint>| {
        let root = tempfile::tempdir().unwrap();
        copy(sound.path(), root.path());
        spoil(root.path());
        let before = files(root.path());
        let fault = Writer::open(root.path(), vec![key(1)], known).expect_err(what);
        assert!(matches!(fault, LogError::Contradiction { .. }), "{what}: {fault}");
        assert_eq!(files(root.path()), before, "{what}: the evidence stays as it is");
    };
    let flip = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    refuse("a tile", &|root| spoil(root, &part, flip), None);
    refuse("an upper tile", &|root| spoil(root, "tile/1/000.p/2", flip), None);
    refuse("an entry", &|root| spoil(root, &entries, flip), None);
    refuse("a short tile", &|root| spoil(root, &part, |bytes| bytes.truncate(64)), None);
    refuse("no tile", &|root| std::fs::remove_file(root.join(&part)).unwrap(), None);
    refuse("no checkpoint", &|root| std::fs::remove_file(root.join("checkpoint")).unwrap(), None);
    refuse("half a checkpoint", &|root| spoil(root, "checkpoint", |bytes| bytes.truncate(50)), None);
    // Rolled back, and rewritten with the same key: only what is known from elsewhere tells.
    let old = checkpoints[0].signed(&[&key(1)]);
    let roll_back = |root: &Path| std::fs::write(root.join("checkpoint"), &old).unwrap();
    refuse("rolled back", &|root| roll_back(root), Some(newest));
    let other = Checkpoint { root: sha256(b"other"), ..checkpoints[0].clone() };
    refuse("rewritten", &|_| {}, Some(&other));
    refuse("another log", &|_| {}, Some(&Checkpoint { origin: "other".to_owned(), ..newest.clone() }));

    let root = tempfile::tempdir().unwrap();
    copy(sound.path(), root.path());
    let fault = Writer::open(root.path(), vec![key(2)], None).unwrap_err();
    assert!(matches!(fault, LogError::KeyNotInForce { .. }), "{fault}");
    let writer = Writer::open(root.path(), vec![key(2), key(1)], Some(&checkpoints[0])).unwrap();
    assert_eq!(writer.checkpoint(), *newest);
    let fault = Writer::open(root.path(), vec![key(1)], None).unwrap_err();
    assert!(matches!(fault, LogError::Busy { .. }), "{fault}");
}

#[test]
fn a_failed_append_stops_the_writer_and_the_next_life_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let story = life(600);
    write(root.path(), &story.leaves[..250], 250, 1);
    let mut writer = Writer::open(root.path(), vec![key(1)], None).unwrap();
    // The last file before the checkpoint cannot be made.
    let obstacle = root.path().join("tile/entries/001.p/44.new");
    std::fs::create_dir_all(&obstacle).unwrap();
    let fault = writer.append(&story.leaves[250..300]).unwrap_err();
    assert!(matches!(&fault, LogError::Storage { path, .. } if path.ends_with("tile/entries/001.p/44")), "{fault}");
    std::fs::remove_dir(&obstacle).unwrap();
    let fault = writer.append(&story.leaves[250..300]).unwrap_err();
    assert!(matches!(fault, LogError::Failed { .. }), "{fault}");
    drop(writer);
    // Files lie there that no checkpoint covers: nobody is handed what may be written again.
    let behind = [Resource::Tile { level: 0, index: 0, width: 256 }, Resource::Entries { index: 0, width: 256 }];
    let held = |resource: Resource| Reader::open(root.path()).unwrap().resource(resource).unwrap();
    assert!(behind.iter().all(|resource| root.path().join(resource.path()).is_file() && held(*resource).is_none()));
    assert_eq!(held(Resource::Tile { level: 0, index: 0, width: 250 }).map(|tile| tile.len()), Some(250 * Hash::SIZE));
    // Another batch than the one that failed: what lies behind the checkpoint is written over.
    let mut writer = Writer::open(root.path(), vec![key(1)], None).unwrap();
    assert_eq!(writer.size(), 250);
    writer.append(&story.leaves[250..]).unwrap();
    check_tiles(root.path(), &story.leaves);
    assert!(behind.iter().all(|resource| held(*resource).is_some()));
}

#[test]
fn a_key_is_introduced_by_a_leaf_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let mut story = Story::default();
    story.tell(BEAT, None);
    write(root.path(), &story.leaves, 1, 1);
    let mut writer = Writer::open(root.path(), vec![key(1)], None).unwrap();
    let (number, time) = (story.next_number(None), story.time());
    let leaf = rotation_leaf(&key(2), number, time);
    assert!(writer.append(std::slice::from_ref(&leaf)).is_err(), "not in a batch");
    assert!(writer.rotate(&leaf, key(3)).is_err(), "not another key");
    assert!(writer.rotate(&story.leaves[0].clone(), key(2)).is_err(), "not another leaf");
    let rotated = writer.rotate(&leaf, key(2)).unwrap();
    assert_eq!((rotated.size, writer.key().verifier().clone()), (2, key(2).verifier().clone()));
    let sealed = std::fs::read(root.path().join("rotation/2")).unwrap();
    assert_eq!(sealed, rotated.signed(&[&key(1), &key(2)]).into_bytes());
    drop(writer);
    // A crash just before the checkpoint: the old key is in force still, and rotating again is no harm.
    std::fs::write(root.path().join("checkpoint"), {
        let before = Checkpoint { origin: ORIGIN.to_owned(), size: 1, root: leaf_hash(&story.leaves[0].encode()) };
        before.signed(&[&key(1)])
    })
    .unwrap();
    let held = || Reader::open(root.path()).unwrap().resource(Resource::Rotation { size: 2 }).unwrap();
    assert_eq!(held(), None);
    let mut writer = Writer::open(root.path(), vec![key(1), key(2)], None).unwrap();
    assert_eq!(writer.key().verifier(), key(1).verifier());
    assert_eq!(writer.rotate(&leaf, key(2)).unwrap(), rotated);
    assert_eq!(held(), Some(sealed));
    drop(writer);
    let writer = Writer::open(root.path(), vec![key(1), key(2)], None).unwrap();
    assert_eq!(writer.key().verifier(), key(2).verifier());
}
