//! Who sees what: a log is spoilt in every way we know, and our verifier, the Python script, Go's own implementation and
//! `aics-tlog` judge the same folders, without an anchor and with one. The table is the test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod logs;

use logs::{ORIGIN, copy, key, keys_text, life, session, spoil};
use sekimori_audit::log::tile::{decode_bundle, push_entry};
use sekimori_audit::log::{
    Anchor, COSIGNED, Checkpoint, Leaf, LogKeys, Reader, Role, SigningKey, Writer, rotation_leaf,
};
use sekimori_audit::verify::{Options, Severity, verify};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A mark for each verifier, in the order ours, Python, Go, aics-tlog: `x` sees it, `?` asks about it, `.` passes.
/// First without an anchor, then with the checkpoint that was kept at two thirds of the log. The README shows it.
const TABLE: &str = "
untouched                                           ....  ....
an entry is flipped                                 xxx.  xxx.
an entry is deleted from its bundle                 xxx.  xxx.
an entry is inserted into its bundle                xxx.  xxx.
two entries change places                           xxx.  xxx.
a bundle is cut short                               xxx.  xxx.
a bundle is deleted                                 xxx.  xxx.
bytes stand behind the last entry of a bundle       xxx.  xxx.
a hash in a tile is flipped                         xxx.  xxxx
a tile is deleted                                   xxx.  xxxx
a hash in an upper tile is flipped                  x.xx  x.xx
the root in the checkpoint is flipped               xxxx  xxxx
the signature is flipped                            xxxx  xxxx
signed anew with a stranger's key                   xxxx  xxxx
the seal of a change of keys is deleted             xx..  xx..
signed with the key that was retired                xx.x  xx.x
rewritten and signed: an event is left out          xx..  xxxx
rewritten and signed: a session is left out         ....  xxxx
rewritten and signed: another body                  ....  xxxx
rewritten and signed: a purge of what is live       xx..  xxxx
rewritten and signed: a purge of what is held       xx..  xxxx
rewritten and signed: hours are left out            ?...  xxxx
rolled back to a checkpoint of before               ....  xxxx
the end is cut off and continued otherwise          ....  xxxx
";

/// A log under several keys, with what was kept of it.
struct Subject {
    /// The seeds of its keys, in their order.
    seeds: Vec<[u8; 32]>,
    leaves: Vec<Leaf>,
    log: PathBuf,
    keys: PathBuf,
    anchor: PathBuf,
    /// Entries under the anchor.
    anchored: usize,
    /// The newest checkpoint before the anchor and after the last change of keys, as it lay in the folder.
    before: String,
    /// Entries under that.
    earlier: usize,
}

const BEFORE: usize = 500;
const ANCHOR: usize = 600;

/// Writes the log that `leaves` tell, with the changes of keys where they were; returns the checkpoints at `stops`.
fn sealed(root: &Path, leaves: &[Leaf], keys: Vec<SigningKey>, stops: &[usize]) -> Vec<Checkpoint> {
    let mut keys = keys.into_iter();
    let mut writer = Writer::open(root, vec![keys.next().unwrap()], None).unwrap();
    let (mut kept, mut begin) = (Vec::new(), 0);
    for at in 0..=leaves.len() {
        let rotates = leaves.get(at).is_some_and(|leaf| leaf.kind == ROTATED);
        if rotates || stops.contains(&at) || at == leaves.len() {
            writer.append(&leaves[begin..at]).unwrap();
            begin = at;
        }
        if stops.contains(&at) {
            kept.push(writer.checkpoint());
        }
        if rotates {
            writer.rotate(&leaves[at], keys.next().unwrap()).unwrap();
            begin = at + 1;
        }
    }
    kept
}

const ROTATED: &str = "log.key-rotated";

fn subject(root: &Path) -> Subject {
    let mut leaves = life(320).leaves;
    let number = leaves.iter().filter(|leaf| leaf.session.is_none()).count() as u64 + 1;
    let at = leaves.last().unwrap().time + 1;
    leaves.push(rotation_leaf(&key(2), number, at));
    // Life goes on: the same days again, later, as other sessions.
    let later = life(700).leaves;
    let offset = at - later[0].time + 1;
    leaves.extend(later.into_iter().map(|leaf| Leaf {
        session: leaf.session.map(|id| session(100_000 + id.as_u128() as u64 % 100_000)),
        number: if leaf.session.is_none() { leaf.number + number } else { leaf.number },
        time: leaf.time + offset,
        ..leaf
    }));
    let log = root.join("log");
    let seeds = vec![[1; 32], [2; 32]];
    let stops = sealed(&log, &leaves, vec![key(1), key(2)], &[BEFORE, ANCHOR]);
    let (keys, kept) = (root.join("keys"), root.join("anchor"));
    std::fs::write(&keys, format!("# {ORIGIN}\n{}", keys_text([key(1).verifier(), key(2).verifier()]))).unwrap();
    std::fs::write(&kept, stops[1].signed(&[&key(2)])).unwrap();
    let before = stops[0].signed(&[&key(2)]);
    Subject { seeds, leaves, log, keys, anchor: kept, anchored: ANCHOR, before, earlier: BEFORE }
}

/// What `make week` left: a log of the gateway's own, its keys, and checkpoints that were kept of it.
fn week(folder: &Path) -> Subject {
    let seed = |text: &str| -> [u8; 32] {
        let digits = text.trim_end().lines().last().unwrap();
        std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
    };
    let files = (1..).map(|number| folder.join(format!("keys/log-{number:04}.key")));
    let seeds = files.map_while(|file| std::fs::read_to_string(file).ok()).map(|text| seed(&text)).collect();
    let (log, keys, anchor) = (folder.join("log"), folder.join("log.keys"), folder.join("anchor"));
    let before = std::fs::read_to_string(folder.join("before")).unwrap();
    let size = |note: &[u8]| usize::try_from(Checkpoint::parse(note).unwrap().0.size).unwrap();
    let (anchored, earlier) = (size(&std::fs::read(&anchor).unwrap()), size(before.as_bytes()));
    let reader = Reader::open(&log).unwrap();
    let bundles = 0..reader.checkpoint().size.div_ceil(256);
    let entries = bundles.flat_map(|bundle| reader.entries(bundle).unwrap());
    let leaves = entries.map(|entry| Leaf::parse(&entry).unwrap()).collect();
    Subject { seeds, leaves, log, keys, anchor, anchored, before, earlier }
}

impl Subject {
    /// The log's name.
    fn origin(&self) -> String {
        LogKeys::read(&self.keys).unwrap().origin().to_owned()
    }

    fn signing(&self) -> Vec<SigningKey> {
        let key = |seed: &[u8; 32]| SigningKey::from_seed(&self.origin(), Role::Log, seed).unwrap();
        self.seeds.iter().map(key).collect()
    }

    /// Entries before and after the last change of keys, of which checkpoints were kept.
    fn after_the_keys(&self) -> std::ops::Range<usize> {
        let rotated = self.leaves.iter().rposition(|leaf| leaf.kind == ROTATED).unwrap();
        assert!(rotated + 30 < self.earlier && self.earlier < self.anchored, "{rotated} {}", self.earlier);
        rotated + 30..self.earlier
    }

    /// A copy of the log, spoilt in the way that a line of the table names.
    fn spoilt(&self, way: &str, root: &Path) {
        // Below the anchor, and full.
        let tile = format!("{:03}", self.anchored / 256 - 1);
        let (entries, hashes) = (format!("tile/entries/{tile}"), format!("tile/0/{tile}"));
        let bundle = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            spoil(root, &entries, |bytes| {
                let mut entries = decode_bundle(bytes, 256).unwrap().into_iter().map(<[u8]>::to_vec).collect();
                change(&mut entries);
                bytes.clear();
                entries.iter().for_each(|entry| push_entry(bytes, entry).unwrap());
            });
        };
        let rewritten = |change: &dyn Fn(&mut Vec<Leaf>)| {
            std::fs::remove_dir_all(root).unwrap();
            let mut leaves = self.leaves.clone();
            change(&mut leaves);
            sealed(root, &leaves, self.signing(), &[]);
        };
        let checkpoint = |sign: &dyn Fn(Checkpoint) -> String| {
            spoil(root, "checkpoint", |bytes| *bytes = sign(Checkpoint::parse(bytes).unwrap().0).into_bytes());
        };
        match way {
            "untouched" => {}
            "an entry is flipped" => bundle(&|entries| entries[7][90] ^= 1),
            "an entry is deleted from its bundle" => bundle(&|entries| _ = entries.remove(7)),
            "an entry is inserted into its bundle" => bundle(&|entries| entries.insert(7, entries[8].clone())),
            "two entries change places" => bundle(&|entries| entries.swap(7, 8)),
            "a bundle is cut short" => spoil(root, &entries, |bytes| bytes.truncate(9000)),
            "bytes stand behind the last entry of a bundle" => {
                spoil(root, &entries, |bytes| bytes.extend(b"\0\x02{}"));
            }
            "a bundle is deleted" => std::fs::remove_file(root.join(&entries)).unwrap(),
            "a hash in a tile is flipped" => spoil(root, &hashes, |bytes| bytes[40] ^= 1),
            "a tile is deleted" => std::fs::remove_file(root.join(&hashes)).unwrap(),
            "a hash in an upper tile is flipped" => {
                let path = format!("tile/1/000.p/{}", self.leaves.len() / 256);
                spoil(root, &path, |bytes| bytes[40] ^= 1);
            }
            "the root in the checkpoint is flipped" => spoil(root, "checkpoint", |bytes| bytes[30] ^= 1),
            "the signature is flipped" => spoil(root, "checkpoint", |bytes| {
                let at = bytes.len() - 20;
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            }),
            "signed anew with a stranger's key" => {
                let stranger = SigningKey::from_seed(&self.origin(), Role::Log, &[7; 32]).unwrap();
                checkpoint(&|at| at.signed(&[&stranger]));
            }
            "the seal of a change of keys is deleted" => std::fs::remove_dir_all(root.join("rotation")).unwrap(),
            "signed with the key that was retired" => checkpoint(&|at| at.signed(&[&self.signing()[0]])),
            "rewritten and signed: an event is left out" => {
                rewritten(&|leaves| _ = leaves.remove(self.inside_a_session()))
            }
            "rewritten and signed: a session is left out" => {
                let id = self.leaves[self.inside_a_session()].session;
                rewritten(&|leaves| leaves.retain(|leaf| leaf.session != id));
            }
            "rewritten and signed: another body" => rewritten(&|leaves| {
                let at = self.inside_a_session();
                leaves[at].hash = sekimori_audit::log::sha256(b"what did not happen");
            }),
            // Nothing else is wrong with it: it stands where the last event of a session stood.
            "rewritten and signed: a purge of what is live" => rewritten(&|leaves| {
                let at = self.inside_a_session();
                "recording.purged".clone_into(&mut leaves[at].kind);
            }),
            "rewritten and signed: a purge of what is held" => rewritten(&|leaves| {
                let id = leaves[self.inside_a_session()].session;
                let channel = self.inside_a_session();
                "recording.held".clone_into(&mut leaves[channel].kind);
                let sealed = leaves.iter_mut().rfind(|leaf| leaf.session == id).unwrap();
                assert_eq!(sealed.kind, "recording.sealed");
                "recording.purged".clone_into(&mut sealed.kind);
            }),
            "rewritten and signed: hours are left out" => rewritten(&|leaves| {
                // Whole hours with all their sessions, and the numbers of the rest made to fit.
                let range = self.after_the_keys();
                let from = self.leaves[usize::midpoint(range.start, range.end)].time;
                let to = from + 5 * 3_600_000_000;
                let mut first = HashMap::new();
                for leaf in self.leaves.iter().filter(|leaf| leaf.session.is_some()) {
                    first.entry(leaf.session).or_insert(leaf.time);
                }
                let opened = |leaf: &Leaf| first.get(&leaf.session).copied().unwrap_or(leaf.time);
                leaves.retain(|leaf| !(from..to).contains(&opened(leaf)));
                let unattached = leaves.iter_mut().filter(|leaf| leaf.session.is_none());
                unattached.zip(1..).for_each(|(leaf, number)| leaf.number = number);
            }),
            "rolled back to a checkpoint of before" => {
                std::fs::write(root.join("checkpoint"), &self.before).unwrap();
                // Whoever does that leaves nothing newer beside it.
                let cosigned = root.join(COSIGNED);
                assert!(!cosigned.exists() || std::fs::remove_file(cosigned).is_ok());
            }
            "the end is cut off and continued otherwise" => rewritten(&|leaves| {
                let lost = leaves[self.earlier..].iter().filter_map(|leaf| leaf.session).collect::<HashSet<_>>();
                leaves.truncate(self.earlier);
                let cut = |leaf: &Leaf| leaf.session.is_some_and(|id| lost.contains(&id));
                leaves.retain(|leaf| !cut(leaf));
                let (mut number, mut time) =
                    (leaves.iter().filter(|leaf| leaf.session.is_none()).count() as u64, leaves.last().unwrap().time);
                while leaves.len() < self.leaves.len() {
                    (number, time) = (number + 1, time + 1_000_000);
                    leaves.push(Leaf::of_event("gateway.beat", None, number, time, &[0; 16], "{}"));
                }
            }),
            other => panic!("no such way: {other}"),
        }
    }

    /// An event in the midst of a session, between the change of keys and the anchor, that is no segment.
    fn inside_a_session(&self) -> usize {
        let sealed = |session| {
            let last = self.leaves[..self.anchored].iter().rfind(|leaf| leaf.session == session);
            last.is_some_and(|leaf| leaf.kind == "recording.sealed")
        };
        let inside = |at: &usize| self.leaves[*at].kind == "session.channel" && sealed(self.leaves[*at].session);
        self.after_the_keys().find(inside).unwrap()
    }

    fn ours(&self, log: &Path, anchors: &[&Path]) -> (char, String) {
        let anchors = anchors.iter().map(|path| Anchor::parse("anchor", &std::fs::read(path).unwrap()).unwrap());
        let keys = LogKeys::read(&self.keys).unwrap();
        let report = verify(log, &keys, &anchors.collect::<Vec<_>>(), &Options::default()).unwrap();
        let mark = match report.faults.first().map(|fault| fault.severity) {
            None => '.',
            Some(Severity::Question) => '?',
            Some(Severity::Altered) => 'x',
        };
        (mark, report.faults.iter().map(|fault| format!("{fault}\n")).collect())
    }
}

/// The folder of the workspace, where tests/setup.sh installed the others.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs a verifier; the mark is by its exit status.
fn run(command: &mut Command) -> (char, String) {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?} ({fault}): run sh tests/setup.sh test"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Anything else than "agrees" and "does not" is a fault of the test bed, not a finding.
    match output.status.code() {
        Some(0) => ('.', told),
        Some(1) => ('x', told),
        other => panic!("{command:?} ended with {other:?}: {told}"),
    }
}

fn python(keys: &Path, log: &Path, anchors: &[&Path]) -> (char, String) {
    let mut command = Command::new(workspace().join("target/clients/venv/bin/python"));
    run(command.arg(workspace().join("tests/verifiers/verify_log.py")).args([log, keys]).args(anchors))
}

fn go(keys: &Path, log: &Path, anchors: &[&Path]) -> (char, String) {
    run(Command::new(workspace().join("target/verifiers/verify_log")).args([log, keys]).args(anchors))
}

/// `None` where there is no Python 3.12 for it, which tests/setup.sh noted.
fn aics(keys: &Path, log: &Path, origin: &str, anchors: &[&Path]) -> Option<(char, String)> {
    let folder = workspace().join("target/verifiers");
    if folder.join("no-aics-tlog").exists() {
        return None;
    }
    // It knows one key a log: the one in force.
    let text = std::fs::read_to_string(keys).unwrap();
    let newest = text.lines().last().unwrap();
    let base = |verb| {
        let mut command = Command::new(folder.join("aics-tlog/bin/aics-tlog"));
        command.args([verb, "--log-key", newest, "--origin", origin, "--tiles"]).arg(log);
        command
    };
    let (checkpoint, told) = run(&mut base("verify-checkpoint"));
    // Without an anchor it is given the log's own checkpoint, so that it reads the tiles at all.
    let own = log.join("checkpoint");
    let old = anchors.first().copied().unwrap_or(&own);
    let (consistency, more) = run(base("verify-consistency").arg("--old-checkpoint").arg(old));
    let mark = if checkpoint == '.' { consistency } else { checkpoint };
    Some((mark, told + &more))
}

#[test]
fn who_sees_what() {
    assert!(include_str!("../../README.md").contains(TABLE.trim()), "the README shows another table");
    let bed = tempfile::tempdir().unwrap();
    judged(&subject(bed.path()));
}

/// The same on a log that a gateway wrote in a week of its own clock: `make week` says where, and how it was made.
#[test]
#[ignore = "it takes what `make week` makes"]
fn who_sees_what_in_a_week() {
    let folder = std::env::var_os("SEKIMORI_WEEK").unwrap();
    let subject = week(Path::new(&folder));
    let (first, last) = (subject.leaves.first().unwrap().time, subject.leaves.last().unwrap().time);
    let sessions = subject.leaves.iter().filter_map(|leaf| leaf.session).collect::<HashSet<_>>().len();
    println!(
        "{} entries, {sessions} sessions, {} keys, {:.1} days; the anchor is at {}",
        subject.leaves.len(),
        subject.seeds.len(),
        (last - first) as f64 / 86.4e9,
        subject.anchored
    );
    assert!(last - first >= 7 * 86_400_000_000 && subject.leaves.len() > 10_000, "that is no week");
    judged(&subject);
}

/// Every verifier on every line of the table.
fn judged(subject: &Subject) {
    let origin = subject.origin();
    let (mut table, mut details, mut left_out) = (String::new(), String::new(), false);
    let mut took = [0.0; 4];
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let way = line[..52].trim();
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("log");
        copy(&subject.log, &log);
        subject.spoilt(way, &log);
        let mut marks = String::new();
        for anchors in [&[][..], &[subject.anchor.as_path()]] {
            let mut timed = |who: usize, judge: &dyn Fn() -> Option<(char, String)>| {
                let begin = Instant::now();
                let said = judge();
                took[who] += begin.elapsed().as_secs_f64();
                said
            };
            // Where it is left out, it is taken at the table's word.
            let expected = line.chars().nth(if anchors.is_empty() { 55 } else { 61 }).unwrap();
            let word = || (expected, "left out".to_owned());
            let judged = [
                timed(0, &|| Some(subject.ours(&log, anchors))),
                timed(1, &|| Some(python(&subject.keys, &log, anchors))),
                timed(2, &|| Some(go(&subject.keys, &log, anchors))),
                timed(3, &|| aics(&subject.keys, &log, &origin, anchors)),
            ];
            left_out |= judged[3].is_none();
            let judged = judged.map(|said| said.unwrap_or_else(word));
            let separator = if anchors.is_empty() { "" } else { "  " };
            write!(marks, "{separator}{}", judged.iter().map(|(mark, _)| mark).collect::<String>()).unwrap();
            for (who, (_, told)) in WHO.iter().zip(&judged) {
                writeln!(details, "--- {way}, {} anchors, {who}\n{told}", anchors.len()).unwrap();
            }
        }
        writeln!(table, "{way:<52}{marks}").unwrap();
    }
    println!("{}{table}", if left_out { "aics-tlog is left out: there is no Python 3.12 here\n" } else { "" });
    let runs = 2.0 * table.lines().count() as f64;
    let seconds = WHO.iter().zip(took).map(|(who, took)| format!("{who} {:.2} s", took / runs)).collect::<Vec<_>>();
    println!("a judgement took {} on average", seconds.join(", "));
    assert_eq!(table.trim(), TABLE.trim(), "the table differs; what each said:\n{details}");
}

const WHO: [&str; 4] = ["ours", "python", "go", "aics-tlog"];

#[test]
fn the_others_pass_the_golden_log_and_judge_our_proofs() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-1");
    let bed = tempfile::tempdir().unwrap();
    let keys = bed.path().join("keys");
    // Witnesses' keys in the same file trouble nobody.
    let witness = SigningKey::from_seed("witness.example.jp", Role::Witness, &[9; 32]).unwrap();
    let text = keys_text([witness.verifier(), key(1).verifier(), key(2).verifier()]);
    std::fs::write(&keys, &text).unwrap();
    assert_eq!(python(&keys, &golden, &[]).0, '.', "{}", python(&keys, &golden, &[]).1);
    assert_eq!(go(&keys, &golden, &[]).0, '.', "{}", go(&keys, &golden, &[]).1);
    assert_eq!(aics(&keys, &golden, ORIGIN, &[]).map_or('.', |(mark, _)| mark), '.');
    let inside = bed.path().join("log");
    copy(&golden, &inside);
    std::fs::write(inside.join("keys"), text).unwrap();
    assert_eq!(python(&inside.join("keys"), &inside, &[]).0, 'x', "keys inside the log are refused");
}
