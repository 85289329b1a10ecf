//! What the log costs: appending with fsync in batches, and verifying a log of 200,000 entries. Prints a table.
//!
//! `cargo run --release -p sekimori-audit --example log_speed -- FOLDER`, with a folder on the disk that is to be measured.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement, for people")]

use sekimori_audit::log::leaf::{BEAT, CLOSE, OPEN, SEALED, SEGMENT};
use sekimori_audit::log::{Leaf, LogKeys, Role, SigningKey, Writer};
use sekimori_audit::verify::{Options, Verdict, verify};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ORIGIN: &str = "gate.example.jp/log";
const ENTRIES: u64 = 200_000;

fn main() {
    let folder = std::env::args().nth(1).expect("the folder to write to");
    let folder = Path::new(&folder);
    let leaves = (0..ENTRIES).map(leaf).collect::<Vec<_>>();
    for batch in [1, 100, 1000] {
        let root = folder.join(format!("log-{batch}"));
        let mut writer = Writer::open(&root, vec![key()], None).unwrap();
        let started = Instant::now();
        let (mut done, mut slowest) = (0, Duration::ZERO);
        for batch in leaves.chunks(batch).take_while(|_| started.elapsed() < Duration::from_secs(5)) {
            let begun = Instant::now();
            writer.append(batch).unwrap();
            slowest = slowest.max(begun.elapsed());
            done += batch.len();
        }
        let rate = done as f64 / started.elapsed().as_secs_f64();
        println!("append, {batch:>5} a batch   {rate:>9.0} entries/s   slowest batch {slowest:?}");
    }
    let root = folder.join("log-whole");
    Writer::open(&root, vec![key()], None).unwrap().append(&leaves).unwrap();
    let keys = LogKeys::parse(format!("{}\n", key().verifier()).as_bytes()).unwrap();
    for threads in [1, 0] {
        let started = Instant::now();
        let report = verify(&root, &keys, &[], &Options { threads, ..Options::default() }).unwrap();
        assert_eq!(report.verdict, Verdict::Intact, "{:?}", report.faults.first());
        let threads = if threads == 0 { "all cores".to_owned() } else { format!("{threads} thread") };
        println!("verify {ENTRIES} entries, {threads:<9}   {:?}", started.elapsed());
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, Role::Log, &[1; 32]).unwrap()
}

/// Sessions of nine leaves each, a beat between them.
fn leaf(at: u64) -> Leaf {
    let kinds = [OPEN, "session.channel", SEGMENT, SEGMENT, SEGMENT, "session.transfer", SEGMENT, CLOSE, SEALED, BEAT];
    let (visit, step) = (at / 10, at % 10);
    let kind = kinds.get(usize::try_from(step).unwrap()).unwrap();
    let session = (step < 9).then(|| Uuid::from_u128(u128::from(visit) + 1));
    let number = if step < 9 { step + 1 } else { visit + 1 };
    Leaf::of_event(kind, session, number, 1_793_491_200_000_000 + at * 1_000_000, &[7; 16], r#"{"an":"event"}"#)
}
