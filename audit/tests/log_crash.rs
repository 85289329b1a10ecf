//! A writer that is killed while it appends leaves a log that verifies and goes on, every time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod logs;

use logs::{key, keys, life};
use sekimori_audit::log::{Anchor, Checkpoint, Writer};
use sekimori_audit::verify::{Options, Verdict, verify};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the folder in the child's environment.
const FOLDER: &str = "SEKIMORI_TEST_CHILD_FOLDER";
/// Times that a writer is killed; set `SEKIMORI_KILLS` for a long run.
const KILLS: u64 = 30;

/// Goes on with the story from where the log ends, and says each checkpoint when it is durable.
fn append_until_killed(root: &Path) {
    let story = life(60_000);
    let mut writer = Writer::open(root, vec![key(1)], None).unwrap();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\nopened").unwrap();
    for batch in 0.. {
        let from = usize::try_from(writer.size()).unwrap();
        let leaves = &story.leaves[from..(from + 1 + batch * 7 % 90).min(story.leaves.len())];
        let checkpoint = writer.append(leaves).unwrap();
        writeln!(stdout, "sealed {} {}", checkpoint.size, checkpoint.root).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_a_log_that_verifies_and_goes_on() {
    if let Some(root) = std::env::var_os(FOLDER).map(PathBuf::from) {
        return append_until_killed(&root);
    }
    let kills = std::env::var("SEKIMORI_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let keys = keys([key(1).verifier()]);
    let mut anchors = Vec::<Anchor>::new();
    for round in 1..=kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_killed_writer_leaves_a_log_that_verifies_and_goes_on", "--exact", "--nocapture"])
            .env(FOLDER, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "opened"), "round {round}: nothing had to be repaired");
        // The moment of the kill is what is tried out here, so it comes by time: some place within the next batches.
        std::thread::sleep(Duration::from_micros(round * 7919 % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        // A line is one write(2), so none is torn.
        let sealed = lines.filter_map(|line| line.strip_prefix("sealed ").map(str::to_owned)).last();
        if let Some((size, sealed_root)) = sealed.as_deref().and_then(|sealed| sealed.split_once(' ')) {
            let text = format!("{}\n{size}\n{sealed_root}\n", logs::ORIGIN);
            let checkpoint = Checkpoint::parse_text(&text).unwrap();
            anchors.push(Anchor { label: format!("round {round}"), checkpoint, note: None });
        }
        let report = verify(root.path(), &keys, &anchors, &Options::default()).unwrap();
        assert_ne!(report.verdict, Verdict::Altered, "round {round}: {:#?}", report.faults);
        assert!(report.anchors.iter().all(|anchor| anchor.agrees), "round {round}: what was sealed is there");
    }
    assert!(anchors.len() as u64 > kills / 3, "most rounds sealed something before the kill");
    let (first, last) = (&anchors[0].checkpoint, &anchors[anchors.len() - 1].checkpoint);
    assert!(last.size > first.size, "each life went on where the one before had ended");
}
