//! `sekimori log carry`: a closed network asks its witness through a folder that somebody carries to and fro.

use super::super::context::Context;
use super::super::error::CliError;
use super::super::output;
use crate::carried;
use crate::config::{Config, Witness};
use crate::seal::witnesses;
use anyhow::Context as _;
use sekimori_audit::log::note::LONGEST;
use sekimori_audit::log::witness::{Witnessed, read_answer};
use sekimori_audit::log::{Checkpoint, Reader, VerifierKey};
use sekimori_policy::authority::Act;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What became of one witness's files.
#[derive(Serialize)]
struct Carried {
    witness: String,
    /// The size that the witness cosigned, where an answer was there.
    cosigned: Option<u64>,
    /// Why an answer was not taken.
    refused: Option<String>,
    /// The size that the witness is asked for now.
    asked: u64,
}

/// Takes in the answers that came back, and leaves a request for each witness.
pub(super) async fn run(folder: &Path, context: &Context) -> Result<(), CliError> {
    context.authority(Act::RunService).await?;
    let config = &context.config;
    if config.log.witnesses.is_empty() {
        return Err(CliError::Usage("no witness is configured: name one in log.witnesses".into()));
    }
    let mut rows = Vec::new();
    for witness in &config.log.witnesses {
        rows.push(carry(config, witness, folder).await?);
    }
    output::list(
        context,
        &rows,
        &[
            ("立会者 witness", |row| row.witness.clone()),
            ("封印 cosigned", |row| row.cosigned.map_or_else(|| "-".into(), |size| size.to_string())),
            ("依頼 asked", |row| row.asked.to_string()),
            ("拒否 refused", |row| row.refused.clone().unwrap_or_default()),
        ],
    )
}

async fn carry(config: &Config, witness: &Witness, folder: &Path) -> anyhow::Result<Carried> {
    let base = folder.join(format!("sekimori-{}", witnesses::file_name(witness)?));
    let (request, answer) = (base.with_extension("request"), base.with_extension("answer"));
    let mut row = Carried { witness: witness.name().to_owned(), cosigned: None, refused: None, asked: 0 };
    let mut stands = None;
    if let Some(told) = carried::read(&answer, LONGEST)? {
        let asked = carried::read(&request, 2 * LONGEST)?;
        let asked = asked.with_context(|| format!("{} is gone, and its answer is there", request.display()))?;
        let note = asked.split_once("\n\n").map_or("", |(_, note)| note);
        let (status, body) = told.split_once('\n').unwrap_or((&told, ""));
        let key = VerifierKey::parse(&witness.key)?;
        match read_answer(status.trim().parse().unwrap_or(0), body.as_bytes(), note, &[key]) {
            Witnessed::Cosigned { note, .. } => {
                row.cosigned = Some(witnesses::take_in(config, witness, &note)?.size);
            }
            Witnessed::Stands(size) => {
                (stands, row.refused) = (Some(size), Some(format!("it stands at {size} entries: carry it again")));
            }
            Witnessed::Refused(reason) => row.refused = Some(reason),
        }
        fs::remove_file(&answer).with_context(|| format!("cannot remove {}", answer.display()))?;
    }
    let reader = Reader::open(&config.log_dir())?;
    let checkpoint: Checkpoint = reader.checkpoint().clone();
    let known = witnesses::kept(config, witness).map_or(0, |kept| kept.checkpoint.size);
    let old = stands.unwrap_or(known);
    anyhow::ensure!(
        old <= checkpoint.size,
        "{} has seen {old} entries, and the log holds {}: it was rolled back; keep it as it is, and verify it",
        witness.name(),
        checkpoint.size
    );
    let body = witnesses::proposal(config, old, &checkpoint, reader.note()).await?;
    carried::put(&request, &body)?;
    row.asked = checkpoint.size;
    Ok(row)
}
