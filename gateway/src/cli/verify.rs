//! `sekimori verify`: judges a log offline, with keys and anchors that were kept elsewhere. Needs no gateway.

use super::error::CliError;
use super::output;
use sekimori_audit::log::{Anchor, LogKeys};
use sekimori_audit::verify::{Limits, Options, Recordings, Report, Verdict, verify};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is verified, and against what.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log's folder, or a copy of it
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// The file of verifier keys that was kept outside of the log
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// An older checkpoint that was kept elsewhere, its text typed from paper, or a witness's folder; may be repeated
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// The folder of the recordings, or a copy of it: every byte of them is compared with the log
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// So many witnesses among the keys must have cosigned
    #[arg(long, value_name = "N", default_value_t = 0)]
    quorum: usize,
    /// No recording may have been removed sooner than so many days after its session's end
    #[arg(long, value_name = "DAYS")]
    retention: Option<u32>,
}

/// Verifies and prints the report. Exit codes beyond the usual: 6 questions, 7 altered.
pub fn run(args: &Args, json: bool) -> Result<(), CliError> {
    let keys = LogKeys::read(&args.keys)?;
    let mut anchors = Vec::new();
    for path in &args.anchor {
        read_anchors(path, keys.origin(), &mut anchors)?;
    }
    let shown = std::io::stderr().is_terminal() && !json;
    let progress = |done: u64, of: u64| {
        if shown {
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(std::io::stderr(), "\r{done} / {of} ");
        }
    };
    let recordings = args.recordings.as_ref().map(|folder| {
        Recordings::below(folder).map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", folder.display())))
    });
    let recordings = recordings.transpose()?;
    let limits = Limits { quorum: args.quorum, retention: args.retention.map(days), ..Limits::default() };
    let options = Options { limits, recordings: recordings.as_ref(), progress: Some(&progress), ..Options::default() };
    let report = verify(&args.log, &keys, &anchors, &options)?;
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    if json {
        output::print_json(&report)?;
    } else {
        output::print_text(&told(&report))?;
    }
    match report.verdict {
        Verdict::Intact => Ok(()),
        Verdict::Questions => Err(CliError::Verdict { code: 6 }),
        Verdict::Altered => Err(CliError::Verdict { code: 7 }),
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

/// Reads an anchor, or those of this log in a folder: a witness's, in which there may be others' too.
pub(super) fn read_anchors(path: &Path, origin: &str, anchors: &mut Vec<Anchor>) -> Result<(), CliError> {
    let unreadable = |fault: std::io::Error| CliError::Usage(format!("cannot read {}: {fault}", path.display()));
    let parsed = |path: &Path| {
        let bytes =
            std::fs::read(path).map_err(|fault| CliError::Usage(format!("cannot read {}: {fault}", path.display())))?;
        Ok::<_, CliError>(Anchor::parse(&path.display().to_string(), &bytes)?)
    };
    if !path.is_dir() {
        anchors.push(parsed(path)?);
        return Ok(());
    }
    let before = anchors.len();
    for file in std::fs::read_dir(path).map_err(unreadable)? {
        let file = file.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "checkpoint") {
            anchors.extend(Some(parsed(&file)?).filter(|anchor| anchor.checkpoint.origin == origin));
        }
    }
    if anchors.len() == before {
        return Err(CliError::Usage(format!("{} holds no checkpoint of the log {origin}", path.display())));
    }
    Ok(())
}

fn told(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Intact => "INTACT 改ざんなし",
        Verdict::Questions => "QUESTIONS 要確認",
        Verdict::Altered => "ALTERED 改ざんあり",
    };
    let entries = report.entries.unwrap_or(0);
    let mut text = format!(
        "{verdict}: {}, {entries} entries, {} sessions, {} still open\n",
        output::visible(&report.origin),
        report.sessions,
        report.still_open
    );
    for anchor in &report.anchors {
        let agrees = if anchor.agrees { "agrees" } else { "DOES NOT AGREE" };
        text += &format!("anchor {} ({} entries): {agrees}\n", output::visible(&anchor.label), anchor.size);
    }
    for cosigned in &report.cosignatures {
        text += &format!("cosigned by {} at {} entries\n", output::visible(&cosigned.witness), cosigned.size);
    }
    if let Some(compared) = &report.recordings {
        text += &format!("{} recordings, {} bytes of them read\n", compared.recordings, compared.bytes);
    }
    let after = entries.saturating_sub(report.anchored);
    if after > 0 {
        text += &format!("{after} entries lie after the last anchor: whoever holds the key could rewrite them\n");
    }
    for fault in &report.faults {
        text += &format!("{}\n", output::visible(&fault.to_string()));
    }
    if report.more_faults > 0 {
        text += &format!("and {} findings more\n", report.more_faults);
    }
    text
}
