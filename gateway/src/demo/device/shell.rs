//! The interactive shell: a prompt, a line, what it asks for, and again. Without a terminal it reads a script.

use super::commands::{self, Command};
use super::editor::{Echo, LONGEST, LineEditor};
use super::seat::{Asked, Seat};
use super::terminal::Exit;
use super::{Kind, programs};

/// Runs until `exit`, the end of input, a signal, or the caller's leaving.
pub async fn run(seat: &mut Seat) -> Result<Exit, russh::Error> {
    let mut editor = LineEditor::new();
    let mut last = 0;
    if seat.console.is_terminal() {
        seat.console.print(&welcome(seat)).await?;
    }
    loop {
        let line = match seat.ask(&mut editor, &prompt(seat), Echo::Shown).await? {
            Asked::Line(line) => line,
            Asked::TooLong => {
                seat.console.error(&format!("入力が長すぎます（{LONGEST}文字まで）。実行していません。\n")).await?;
                last = 2;
                continue;
            }
            Asked::Interrupted => {
                last = 130;
                continue;
            }
            Asked::End => {
                if seat.console.is_terminal() {
                    seat.console.print("exit\n").await?;
                }
                return Ok(Exit::Status(last));
            }
            Asked::Over(exit) => return Ok(exit),
        };
        match commands::interpret(&line, &seat.surroundings()) {
            Command::Exit(status) => return Ok(Exit::Status(status.unwrap_or(last))),
            command => match programs::run(command, seat).await? {
                Exit::Status(status) => last = status,
                other => return Ok(other),
            },
        }
    }
}

fn welcome(seat: &Seat) -> String {
    let personality = &seat.device.personality;
    format!(
        "{}（{}） {} 保守コンソール\nデモ用の模擬機器です。help でコマンド一覧、exit で終了します。\n\n",
        personality.name,
        personality.kind.label(),
        personality.id
    )
}

fn prompt(seat: &Seat) -> String {
    let personality = &seat.device.personality;
    match personality.kind {
        Kind::Switch => format!("{}# ", personality.id),
        _ => format!("{}@{}:{}$ ", seat.account, personality.id, seat.folder),
    }
}
