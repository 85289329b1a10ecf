//! `sekimori log checkpoint`: the newest checkpoint for the paper that management signs, as text to type back and as a QR.

use super::super::context::Context;
use super::super::error::CliError;
use super::super::output;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sekimori_audit::log::{Reader, paper};
use serde_json::json;
use std::io::IsTerminal;

/// Prints it. The QR holds the signed note itself, byte for byte; the text is for whoever has no camera.
pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let reader = Reader::open(&context.config.log_dir())?;
    let (text, note) = (paper(reader.checkpoint()), reader.note());
    let code = QrCode::new(note).map_err(|fault| CliError::Failed(format!("the checkpoint fits no QR: {fault}")))?;
    let json = json!({ "checkpoint": note, "paper": text });
    output::one(context, &json, || {
        let code = code.render::<Dense1x2>().quiet_zone(true).build();
        // A printer's ink is dark; a terminal's letters mostly are not.
        let code = match std::io::stdout().is_terminal() {
            true => code.lines().map(|line| format!("\x1b[30;107m{line}\x1b[0m\n")).collect(),
            false => code,
        };
        format!(
            "{}\n{text}\n{code}\n印刷して署名し、金庫で保管してください。照合: 上の文字を打ち込んだファイルを sekimori verify --anchor に渡す。\n\
             Print it, have it signed, lock it away. To compare: sekimori verify --anchor FILE, with the text typed back, or \
             with what the QR says.",
            context.show(chrono::Utc::now())
        )
    })
}
