//! `sekimori log rebuild`: the log's folder anew from the database, where it was lost or damaged.

use super::super::context::Context;
use super::super::error::CliError;
use super::super::output;
use super::super::verify::read_anchors;
use crate::seal::{self, Rebuilt};
use sekimori_audit::event::Kind;
use sekimori_audit::log::LogKeys;
use sekimori_policy::authority::Act;
use std::path::PathBuf;

/// Rebuilds it, and says with what it agrees.
pub(super) async fn run(paths: &[PathBuf], trusts: bool, context: &Context) -> Result<(), CliError> {
    let (_, actor) = context.authority(Act::RunService).await?;
    let mut anchors = Vec::new();
    if !paths.is_empty() {
        let keys = LogKeys::read(&context.config.log_keys())?;
        for path in paths {
            read_anchors(path, keys.origin(), &mut anchors)?;
        }
    }
    let event = context.event(Kind::LogRebuilt, &actor, serde_json::Value::Null);
    let rebuilt = seal::rebuild(&context.config, context.store().await?, &anchors, trusts, event).await?;
    output::one(context, &rebuilt, || told(&rebuilt))
}

fn told(rebuilt: &Rebuilt) -> String {
    let Rebuilt { checkpoint, agrees_with, unproved_from, unusable, kept } = rebuilt;
    let mut lines = vec![format!(
        "再構築済み / rebuilt: {} entries, root {}; the next start of the gateway goes on from there",
        checkpoint.size, checkpoint.root
    )];
    for known in agrees_with {
        lines.push(format!("agrees      {} entries, by {}", known.checkpoint.size, output::visible(&known.from)));
    }
    if let Some(from) = unproved_from {
        lines.push(format!("unproved    entries from {from} on are the database's word, and no checkpoint's"));
    }
    lines.extend(unusable.iter().map(|file| format!("unsigned    {}", output::visible(file))));
    lines.extend(kept.iter().map(|folder| format!("kept        {}", folder.display())));
    lines.join("\n")
}
