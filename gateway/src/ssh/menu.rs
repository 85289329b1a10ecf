//! `ssh person@gate`: the devices open to this person now, how long each stays open, and the way to one of them.

use super::channels::{Connection, SignedIn};
use super::texts;
use crate::gate::Gate;
use crate::session::Caller;
use crate::session::channel::Incoming;
use crate::session::pump::weight;
use crate::session::screen::Screen;
use crate::store::StoreError;
use bytes::Bytes;
use chrono::Utc;
use russh::ChannelMsg;
use sekimori_policy::decide::{Decision, Permit, decide};
use sekimori_policy::facts::Language;
use sekimori_policy::id::DeviceId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A device that is open to a person now.
pub struct OpenDevice {
    /// Its id.
    pub id: DeviceId,
    /// The name that the hospital gave it.
    pub name: String,
    /// On what terms.
    pub permit: Permit,
}

/// The devices open to a caller now, each decided by itself.
///
/// # Errors
/// When the database does not answer.
pub async fn open_devices(gate: &Gate, caller: &Caller) -> Result<Vec<OpenDevice>, StoreError> {
    let Some(vendor) = &caller.person.vendor else { return Ok(Vec::new()) };
    let works = gate.store.works_of_vendor(vendor).await?;
    let named: BTreeSet<_> = works
        .iter()
        .filter(|work| work.request().persons.contains(&caller.person.id))
        .flat_map(|work| work.request().devices.iter().cloned())
        .collect();
    let mut open = Vec::new();
    for id in named {
        let facts = gate.facts(caller, &id, None).await?;
        if let Decision::Permit(permit) = decide(&facts, Utc::now()) {
            let name = gate.store.device(&id).await?.map(|record| record.name).unwrap_or_default();
            open.push(OpenDevice { id, name, permit });
        }
    }
    Ok(open)
}

/// Shows the menu and reads the choice. `None`: there is nothing to choose, or the person left.
pub async fn choose(
    connection: &Arc<Connection>,
    signed_in: &SignedIn,
    screen: &Screen,
    incoming: &mut Incoming,
) -> Option<DeviceId> {
    let language = signed_in.caller.language();
    let open = match open_devices(&connection.gate, &signed_in.caller).await {
        Ok(open) => open,
        Err(fault) => {
            tracing::error!(%fault, "the menu cannot be shown");
            let refusal = crate::session::Refusal::Store(fault);
            screen.refuse(&texts::refusal(language, &refusal.sentences(language))).await;
            return None;
        }
    };
    if open.is_empty() {
        screen.refuse(&texts::refusal(language, &[nothing_open(language).into()])).await;
        return None;
    }
    let list = listing(language, &open);
    if !screen.terminal {
        screen.answer(true).await.ok();
        screen.data(Bytes::from(list.replace("\r\n", "\n"))).await.ok();
        screen.finish(Some(0)).await;
        return None;
    }
    screen.answer(true).await.ok();
    screen.data(Bytes::from(format!("{list}{}", prompt(language)))).await.ok();
    let chosen = read_choice(language, &open, screen, incoming).await;
    if chosen.is_none() {
        screen.finish(Some(0)).await;
    }
    chosen
}

async fn read_choice(
    language: Language,
    open: &[OpenDevice],
    screen: &Screen,
    incoming: &mut Incoming,
) -> Option<DeviceId> {
    let mut line = Line::default();
    loop {
        let data = match incoming.read.wait().await? {
            ChannelMsg::Data { data } => data,
            ChannelMsg::Eof | ChannelMsg::Close => return None,
            _ => continue,
        };
        let typed = line.type_in(&data);
        screen.data(Bytes::from(typed.echo)).await.ok()?;
        match typed.done {
            Done::No => {}
            Done::Left => return None,
            Done::Line(text) => {
                if let Some(device) = pick(open, &text) {
                    // What was typed ahead is for the device.
                    if typed.used < data.len() {
                        let ahead = ChannelMsg::Data { data: data.slice(typed.used..) };
                        if incoming.backlog.arrived(weight(&ahead)) {
                            incoming.early.push_back(ahead);
                        }
                    }
                    return Some(device);
                }
                screen.data(Bytes::from(format!("{}{}", unknown(language), prompt(language)))).await.ok()?;
            }
        }
    }
}

fn pick(open: &[OpenDevice], text: &str) -> Option<DeviceId> {
    let by_number = text.parse::<usize>().ok().and_then(|number| open.get(number.checked_sub(1)?));
    by_number.or_else(|| open.iter().find(|device| device.id.as_str() == text)).map(|device| device.id.clone())
}

/// The line being typed: ASCII, with backspace; anything longer is not taken.
#[derive(Default)]
struct Line(String);

struct Typed {
    echo: String,
    /// How many bytes were taken.
    used: usize,
    done: Done,
}

#[derive(Debug, PartialEq, Eq)]
enum Done {
    No,
    Line(String),
    Left,
}

impl Line {
    const LIMIT: usize = 64;

    fn type_in(&mut self, data: &[u8]) -> Typed {
        let mut echo = String::new();
        for (used, byte) in (1..).zip(data) {
            match byte {
                b'\r' | b'\n' => {
                    echo.push_str("\r\n");
                    return Typed { echo, used, done: Done::Line(std::mem::take(&mut self.0)) };
                }
                3 | 4 => return Typed { echo: "\r\n".into(), used, done: Done::Left },
                8 | 127 if self.0.pop().is_some() => echo.push_str("\u{8} \u{8}"),
                byte if byte.is_ascii_graphic() && self.0.len() < Self::LIMIT => {
                    self.0.push(char::from(*byte));
                    echo.push(char::from(*byte));
                }
                _ => {}
            }
        }
        Typed { echo, used: data.len(), done: Done::No }
    }
}

fn listing(language: Language, open: &[OpenDevice]) -> String {
    let head = match language {
        Language::Ja => "いま接続できる機器:",
        Language::En => "Devices open to you now:",
    };
    let mut text = format!("{head}\r\n\r\n");
    for (number, device) in (1..).zip(open) {
        let left = texts::remaining(language, device.permit.until());
        let (id, name, work) = (&device.id, &device.name, device.permit.work());
        text.push_str(&format!("  {number}  {id}  {name}  [{work}]  {left}\r\n"));
    }
    text.push_str("\r\n");
    text
}

fn prompt(language: Language) -> &'static str {
    match language {
        Language::Ja => "番号または機器名（Ctrl-C で終了）: ",
        Language::En => "Number or name (Ctrl-C to leave): ",
    }
}

fn unknown(language: Language) -> &'static str {
    match language {
        Language::Ja => "その機器は一覧にありません。\r\n",
        Language::En => "That device is not on the list.\r\n",
    }
}

/// What the person reads when nothing is open to them.
pub fn nothing_open(language: Language) -> &'static str {
    match language {
        Language::Ja => "いま接続できる機器はありません。作業申請と承認、作業時間帯を確認してください。",
        Language::En => "No device is open to you now. Check your request, its approval and its window.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_with_corrections() {
        let mut line = Line::default();
        assert_eq!(line.type_in(b"cx").done, Done::No);
        let typed = line.type_in(b"\x7ft-01\r");
        assert_eq!(typed.done, Done::Line("ct-01".into()));
        assert_eq!(typed.echo, "\u{8} \u{8}t-01\r\n");
    }

    #[test]
    fn control_characters_leave_or_count_for_nothing() {
        assert_eq!(Line::default().type_in(b"\x1b[A1\n").done, Done::Line("[A1".into()));
        assert_eq!(Line::default().type_in(b"1\x03").done, Done::Left);
        let mut line = Line::default();
        line.type_in(&[b'a'; 100]);
        assert_eq!(line.type_in(b"\r").done, Done::Line("a".repeat(64)));
    }
}
