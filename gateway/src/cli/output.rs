//! How outcomes are printed: tables that line up with Japanese in them, JSON for programs, nothing that could act.
//!
//! Names, reasons and paths come from other people and from equipment. Control characters in them are made visible,
//! so that they cannot move a cursor, set a title or answer a terminal's question.

use super::context::Context;
use super::error::CliError;
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Write};
use zeroize::Zeroizing;

/// A column of a listing: its heading, and what stands in it.
pub type Column<'a, T> = (&'a str, fn(&T) -> String);

/// Prints rows: a table, or a JSON array.
///
/// # Errors
/// When a row cannot be written as JSON, or standard output is closed.
pub fn list<T: Serialize>(context: &Context, rows: &[T], columns: &[Column<'_, T>]) -> Result<(), CliError> {
    if context.json {
        return print_json(rows);
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| columns.iter().map(|(_, text)| text(row)).collect()).collect();
    table(&heads, &cells)
}

/// Prints a table for people.
///
/// # Errors
/// When standard output cannot be written.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    print_text(&layout(&heads, &rows))
}

/// Prints one thing: as `human` writes it, or as JSON.
///
/// # Errors
/// When it cannot be written as JSON, or standard output is closed.
pub fn one<T: Serialize + ?Sized>(
    context: &Context,
    value: &T,
    human: impl FnOnce() -> String,
) -> Result<(), CliError> {
    if context.json { print_json(value) } else { print_text(&format!("{}\n", human())) }
}

/// Prints JSON on a line.
///
/// # Errors
/// When it cannot be written as JSON, or standard output is closed.
pub fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<(), CliError> {
    let json = serde_json::to_string(value).map_err(|fault| CliError::Failed(fault.to_string()))?;
    print_text(&format!("{json}\n"))
}

/// Prints text as it is. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_text(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// The text with every control character made visible.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().flat_map(shown).collect()
}

/// The same for a text whose line breaks are ours.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// C0, DEL, C1 and the marks that reorder text are written out.
fn shown(c: char) -> Vec<char> {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || reorders { c.escape_unicode().collect() } else { vec![c] }
}

/// Columns a text takes in a terminal: East Asian wide and fullwidth characters take two (UAX #11).
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x0300..=0x036f | 0x3099..=0x309a => 0,
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
            0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

fn layout(heads: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let lines = rows.iter().map(Vec::as_slice).chain(std::iter::once(heads));
            lines.filter_map(|line| line.get(column)).map(|cell| width(cell)).max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for row in std::iter::once(heads).chain(rows.iter().map(Vec::as_slice)) {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wide.saturating_sub(width(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A secret, typed unseen at the terminal, or one line of standard input. Never an argument, never the environment.
///
/// # Errors
/// When there is no terminal to ask at, or nothing came.
pub fn read_secret(prompt: &str, from_stdin: bool) -> Result<Zeroizing<String>, CliError> {
    let nothing =
        || CliError::Usage("no secret came: type one, or send one line with the flag for standard input".into());
    if from_stdin {
        // Room for a long one: a text that grows leaves its old content behind in freed memory.
        let mut line = Zeroizing::new(String::with_capacity(4096));
        std::io::stdin().lock().read_line(&mut line)?;
        let secret = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
        return if secret.is_empty() { Err(nothing()) } else { Ok(secret) };
    }
    if !std::io::stdin().is_terminal() {
        return Err(nothing());
    }
    let typed = dialoguer::Password::new().with_prompt(prompt).interact();
    typed.map(Zeroizing::new).map_err(|fault| CliError::Failed(format!("nothing was typed: {fault}")))
}

/// The same, twice, for a secret that is being chosen.
///
/// # Errors
/// As [`read_secret`], or when the two differ.
pub fn choose_secret(prompt: &str, from_stdin: bool) -> Result<Zeroizing<String>, CliError> {
    let first = read_secret(prompt, from_stdin)?;
    if !from_stdin && *first != *read_secret("Again", false)? {
        return Err(CliError::Usage("the two do not agree: nothing was changed".into()));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_does_nothing() {
        assert_eq!(visible("a\x1b]0;owned\x07b\u{9b}2Jc"), "a\\u{1b}]0;owned\\u{7}b\\u{9b}2Jc");
        assert_eq!(visible("x\u{202e}gpj.exe"), "x\\u{202e}gpj.exe");
        assert_eq!(visible("CT室 関守"), "CT室 関守");
    }

    #[test]
    fn tables_line_up_with_japanese_in_them() {
        let rows = vec![vec!["CT室".to_owned(), "a".to_owned()], vec!["x".to_owned(), "b".to_owned()]];
        let text = layout(&["機器".to_owned(), "id".to_owned()], &rows);
        assert_eq!(text, "機器  id\nCT室  a\nx     b\n");
    }
}
