//! One live session: its terminal as it stands and goes on, or what else it does; and the acts of whoever watches.

use super::fault::Fault;
use super::guard::Loads;
use super::page::{self, Frame};
use super::sessions::{Row, paused};
use super::stream::{self, Next, Tell};
use super::texts::Texts;
use super::visit::{Request, Visit};
use crate::cli::output::visible;
use crate::session::attended::{Attending, attend};
use crate::session::views::{Closely, View};
use crate::store::SessionRow;
use askama::Template;
use axum::Extension;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use sekimori_audit::event::{Event, Kind};
use sekimori_audit::recording::{Activity, ChannelKind};
use sekimori_audit::replay::Since;
use sekimori_policy::authority::Act;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Template)]
#[template(path = "watch.html")]
struct WatchPage {
    frame: Frame,
    row: Row,
    person: String,
    /// Where the session lives, if not here: nothing of it can be seen.
    elsewhere: Option<String>,
    may_cut: bool,
}

/// `GET /sessions/{id}/live`.
pub async fn page(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    visit.authority(Act::ReadRecordings)?;
    let row = live(&visit, &id).await?;
    let gate = &visit.console.gate;
    let person = gate.store.person(&row.opening.person).await?.map(|person| person.name).unwrap_or_default();
    let page = WatchPage {
        frame: page::frame(&visit, visit.t().watch),
        person,
        elsewhere: (row.opening.instance != gate.instance).then(|| row.opening.instance.clone()),
        may_cut: visit.authority(Act::CutOff).is_ok(),
        row: Row::new(row, &visit),
    };
    Ok(page::with(Extension(Loads::Terminal), page::shown(&page)?))
}

/// The session of exactly this id, while it lives.
pub async fn live(visit: &Request, id: &str) -> Result<SessionRow, Fault> {
    let id: Uuid = id.parse().map_err(|_| Fault::NotFound)?;
    let row = visit.console.gate.store.session(&id.to_string()).await?;
    match row.closing {
        None => Ok(row),
        Some(_) => Err(Fault::Conflict(visit.t().watch_ended.into())),
    }
}

/// `GET /sessions/{id}/live/stream`: that somebody looks is on record before the first line.
pub async fn stream(visit: Visit, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Fault> {
    visit.authority(Act::ReadRecordings)?;
    let row = live(&visit, &id).await?;
    let gate = &visit.console.gate;
    let view = gate.views.of(gate, row.opening.id).ok_or(Fault::NotFound)?;
    let attends = view.session.permit().attendance() && visit.authority(Act::CutOff).is_ok();
    // Who may no longer cut attends no longer, and so is told no more.
    let act = if attends { Act::CutOff } else { Act::ReadRecordings };
    let told = stream::begin(visit.clone(), "/sessions/{id}/live/stream", act, &headers)?;
    gate.store.record(viewing(&visit, &row, "watch")?).await?;
    let mut watching = Watching::new(&view, visit.query.one("channel").parse().ok());
    if attends {
        let observer = visit.signed_in()?.person.clone();
        let event = visit.event(Kind::SessionAttended, json!({}))?;
        watching.attending = Some(attend(gate, &view.session, observer, event).await?);
    }
    Ok(stream::answer(told, watching))
}

/// The event of somebody who looks at a session.
///
/// # Errors
/// Nobody has signed in.
pub fn viewing(visit: &Request, row: &SessionRow, how: &str) -> Result<Event, Fault> {
    Ok(about(row, visit.event(Kind::RecordingViewed, json!({ "how": how, "console": true }))?))
}

/// An event, with the session that it is about.
pub fn about(row: &SessionRow, event: Event) -> Event {
    Event {
        session: Some(row.opening.id),
        person: Some(row.opening.person.clone()),
        vendor: Some(row.opening.vendor.clone()),
        device: Some(row.opening.device.clone()),
        work: Some(row.opening.work.clone()),
        ..event
    }
}

/// One who watches one session.
struct Watching {
    close: Closely,
    changes: watch::Receiver<u64>,
    /// The terminal that was chosen; without one it is the newest.
    chosen: Option<u32>,
    /// The terminal that is shown, and up to where.
    shown: Option<u32>,
    place: Option<u64>,
    /// What was said of the session last.
    state: Value,
    /// That they attend, where it is to be attended and they may.
    attending: Option<Attending>,
}

impl Watching {
    fn new(view: &Arc<View>, chosen: Option<u32>) -> Self {
        let (changes, close) = (view.changes(), view.closely());
        Self { changes, close, chosen, shown: None, place: None, state: Value::Null, attending: None }
    }

    /// What whoever looks has to know of the attendance, if it is to be attended.
    fn attendance(&self, t: &Texts, unattended: bool) -> Option<&'static str> {
        match (&self.attending, unattended) {
            (Some(_), _) => Some(t.you_attend),
            (None, true) => Some(t.unattended),
            (None, false) => None,
        }
    }

    /// What the terminal showed since, or its screen.
    fn terminal(&mut self, lines: &mut Vec<Value>) -> Vec<Activity> {
        let screens = self.close.0.screens();
        let chosen = self.chosen.filter(|chosen| screens.screen(*chosen).is_some()).or_else(|| screens.newest());
        if chosen != self.shown {
            (self.shown, self.place) = (chosen, None);
        }
        if let Some(screen) = chosen.and_then(|channel| screens.screen(channel)) {
            let (since, place) = screen.since(self.place);
            self.place = Some(place);
            match since {
                Since::Nothing => {}
                Since::More(text) => lines.push(json!({ "more": text })),
                Since::Anew(cols, rows, text) => {
                    lines.push(json!({ "screen": { "cols": cols, "rows": rows, "text": text } }));
                }
            }
        }
        screens.activity().to_vec()
    }
}

impl Tell for Watching {
    async fn next(&mut self, told: &Request) -> Result<Next, Fault> {
        // Asked first: what was there by then is told.
        let over = self.close.0.is_over();
        if *self.changes.borrow_and_update() == 0 {
            return Ok(Next::Nothing);
        }
        let mut lines = Vec::new();
        let activity = self.terminal(&mut lines);
        let t = told.t();
        let terminals: Vec<u32> = activity
            .iter()
            .filter(|channel| channel.kind == ChannelKind::Terminal && channel.open)
            .map(|channel| channel.channel)
            .collect();
        let held = self.close.0.session.held();
        let state = json!({
            "terminals": terminals,
            "shown": self.shown,
            "paused": held.pause.map(|pause| paused(told, &pause)),
            "attendance": self.attendance(t, held.unattended),
            "doing": doing(t, &activity),
        });
        if state != self.state {
            lines.push(json!({ "state": state }));
            self.state = state;
        }
        if over {
            let reason = self.close.0.session.reason().map(|end| end.sentence(told.language));
            lines.push(json!({ "end": format!("{} {}", t.watch_ended, reason.unwrap_or_default()) }));
            return Ok(Next::End(lines));
        }
        Ok(Next::Lines(lines))
    }

    async fn wait(&mut self) {
        // The view outlives this, so it does not close.
        let _ = self.changes.changed().await;
    }
}

/// What the channels do that have no screen, the last ones of them.
pub fn doing(t: &Texts, activity: &[Activity]) -> Vec<String> {
    const LAST: usize = 6;
    let without = activity.iter().filter(|channel| channel.kind != ChannelKind::Terminal);
    let mut lines: Vec<String> = without.rev().take(LAST).map(|channel| describe(t, channel)).collect();
    lines.reverse();
    lines
}

fn describe(t: &Texts, channel: &Activity) -> String {
    let what = match channel.kind {
        ChannelKind::Terminal => t.way_shell,
        ChannelKind::Exec => t.way_exec,
        ChannelKind::Sftp => t.way_files,
        ChannelKind::Forward => t.way_port,
    };
    let mut words = what.to_owned();
    if let Some(command) = &channel.command {
        // A command may be as long as a client likes.
        let command: String = command.chars().take(200).collect();
        words.push_str(&format!(" {}", visible(&command)));
    }
    if let Some(file) = &channel.file {
        let file: String = file.chars().take(200).collect();
        words.push_str(&format!(" – {}: {}", t.files, visible(&file)));
        if channel.transfers > 1 {
            words.push_str(&format!(" ({})", channel.transfers));
        }
    }
    let (up, down) = (size(channel.bytes_to_device), size(channel.bytes_from_device));
    words.push_str(&format!(" – {} {up}, {} {down}", t.to_device, t.from_device));
    if !channel.open {
        words.push_str(&format!(" – {}", t.over));
    }
    words
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let mut scale = bytes;
    let mut rest = 0;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if scale < 1024 {
            break;
        }
        (rest, scale, unit) = (scale % 1024, scale / 1024, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{scale}.{} {unit}", rest * 10 / 1024) }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn bytes_are_told_in_the_largest_unit_of_which_there_is_one() {
        let told: Vec<_> = [0, 1023, 1024, 1536, 10 << 20, u64::MAX].map(size).into();
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10.0 MiB", "16777215.9 TiB"]);
    }
}
