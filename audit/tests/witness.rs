//! The witness: each status of C2SP tlog-witness, and a log that follows its answers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod logs;

use logs::{ORIGIN, key, life, witness_key, write};
use sekimori_audit::log::witness::{Answer, Watched, Witnessed, decide, read_answer, request};
use sekimori_audit::log::{Checkpoint, Note, Reader, Signed, sha256};

const NOW: u64 = 1_793_500_000;

/// A witness that keeps what it is told to keep.
struct Witness {
    latest: Option<Checkpoint>,
}

impl Witness {
    fn ask(&mut self, body: &str) -> Answer {
        let latest = self.latest.clone();
        let watched = |origin: &str| {
            (origin == ORIGIN)
                .then(|| Watched { keys: vec![key(1).verifier().clone(), key(2).verifier().clone()], latest })
        };
        let answer = decide(body.as_bytes(), watched, &witness_key(9), NOW);
        assert_eq!(answer.keep.is_some(), answer.status == 200);
        if let Some(keep) = &answer.keep {
            // It is read again as what was verified alone, and all of that was there.
            let known = [key(1).verifier().clone(), key(2).verifier().clone(), witness_key(9).verifier().clone()];
            let (latest, note) = Checkpoint::parse(keep.note.as_bytes()).unwrap();
            assert_eq!((keep.origin.as_str(), note.lines_of(&known).concat()), (ORIGIN, note.lines()));
            self.latest = Some(latest);
        }
        answer
    }
}

#[test]
fn each_status_of_the_specification() {
    let root = tempfile::tempdir().unwrap();
    let checkpoints = write(root.path(), &life(900).leaves, 300, 1);
    let mut reader = Reader::open(root.path()).unwrap();
    let [first, second, third] = [0, 1, 2].map(|at| checkpoints[at].clone());
    let signed = |checkpoint: &Checkpoint| checkpoint.signed(&[&key(1)]);
    let path = reader.consistency(first.size, second.size).unwrap();
    let mut witness = Witness { latest: None };

    assert_eq!(witness.ask(&request(0, &path, &signed(&first))).status, 422, "from nothing the proof is empty");
    let stands = witness.ask(&request(300, &[], &signed(&first)));
    assert_eq!((stands.status, stands.body.as_str(), stands.content_type), (409, "0\n", "text/x.tlog.size"));
    let answer = witness.ask(&request(0, &[], &signed(&first)));
    assert_eq!(answer.status, 200);
    let note = Note::parse(format!("{}\n{}", first.text(), answer.body).as_bytes()).unwrap();
    assert_eq!(note.verify([witness_key(9).verifier()]).unwrap()[0].signed, Signed::At(NOW));

    assert_eq!(witness.ask(&request(300, &path, &signed(&second).replace(ORIGIN, "other"))).status, 404);
    assert_eq!(witness.ask(&request(300, &path, &second.signed(&[&key(3)]))).status, 403);
    assert_eq!(witness.ask(&request(300, &path, &signed(&second).replacen("600", "601", 1))).status, 403);
    assert_eq!(witness.ask(&request(601, &path, &signed(&second))).status, 400, "old above new");
    assert_eq!(witness.ask(&request(300, &path[1..], &signed(&second))).status, 422);
    assert_eq!(
        witness.ask(&request(300, &path, &signed(&Checkpoint { root: sha256(b"x"), ..second.clone() }))).status,
        422
    );
    assert_eq!(witness.ask(&request(0, &[], &signed(&second))).body, "300\n");
    for malformed in ["", "old 300\n", "old 0300\n\n", "old -1\n\n", "old 300\nAAAA\n\n", "new 300\n\n"] {
        let body =
            if malformed.ends_with("\n\n") { format!("{malformed}{}", signed(&second)) } else { malformed.to_owned() };
        assert_eq!(witness.ask(&body).status, 400, "{malformed:?}");
    }
    let long = vec![sha256(b"x"); 64];
    assert_eq!(witness.ask(&request(300, &long, &signed(&second))).status, 400, "64 hashes");

    assert_eq!(witness.ask(&request(300, &path, &signed(&second))).status, 200);
    // The same again is cosigned again; another root at the same size never is; nor is what was before.
    assert_eq!(witness.ask(&request(600, &[], &signed(&second))).status, 200);
    assert_eq!(witness.ask(&request(600, &path, &signed(&second))).status, 422);
    let forked = witness.ask(&request(600, &[], &signed(&Checkpoint { root: sha256(b"x"), ..second.clone() })));
    assert_eq!((forked.status, forked.body.as_str()), (409, "600\n"));
    assert_eq!(witness.ask(&request(300, &[], &signed(&first))).status, 409);
    // Lines that somebody put beside the log's own are nobody's: that of another key, those that the witness's name and
    // identifier stand before, and more of the log's own than a note may have with one more.
    let junk = witness_key(9).cosign("another text\n", NOW);
    for beside in [key(3).sign(&second.text()), junk.clone(), junk.repeat(63), key(1).sign(&second.text()).repeat(63)] {
        let answer = witness.ask(&request(600, &[], &format!("{}{beside}", signed(&second))));
        assert_eq!(answer.status, 200, "{beside}");
    }
    let path = reader.consistency(second.size, third.size).unwrap();
    // The log's next key, which this witness trusts already.
    assert_eq!(witness.ask(&request(600, &path, &third.signed(&[&key(2)]))).status, 200);
    assert_eq!(witness.latest.unwrap(), third);
}

#[test]
fn a_log_follows_the_answers() {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 300, root: sha256(b"x") };
    let (signed, text) = (checkpoint.signed(&[&key(1)]), checkpoint.text());
    let known = [witness_key(9).verifier().clone()];
    let read = |status, body: &str| read_answer(status, body.as_bytes(), &signed, &known);
    let line = witness_key(9).cosign(&text, NOW);
    let Witnessed::Cosigned { note, times } = read(200, &format!("{}{line}", witness_key(8).cosign(&text, NOW))) else {
        panic!("cosigned")
    };
    assert_eq!((note, times), (format!("{signed}{line}"), vec![("witness.example.jp".to_owned(), NOW)]));
    for (status, body) in [(200, witness_key(8).cosign(&text, NOW)), (200, String::new()), (403, "no".to_owned())] {
        assert!(matches!(read(status, &body), Witnessed::Refused(_)), "{status} {body}");
    }
    assert!(matches!(read(200, &witness_key(9).cosign("other\n", NOW)), Witnessed::Refused(_)));
    // However many a witness signs, the note stays one that can be read.
    let Witnessed::Cosigned { note, .. } = read(200, &line.repeat(64)) else { panic!("cosigned") };
    assert_eq!(note, format!("{signed}{line}"));
    assert_eq!(read(409, "250\n"), Witnessed::Stands(250));
    assert!(matches!(read(409, "soon\n"), Witnessed::Refused(_)));
}
