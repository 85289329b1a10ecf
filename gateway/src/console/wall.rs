//! The wall: every session that lives, each with its screen as it is now. One answer tells of all of them, whatever
//! their number, and of a screen only when it is otherwise than it was told last.

use super::fault::Fault;
use super::guard::Loads;
use super::page::{self, Frame};
use super::sessions::{Row, unattended};
use super::stream::{self, Next, Tell};
use super::texts::Texts;
use super::visit::{Request, Visit};
use super::watch::{doing, viewing};
use super::works::ROWS;
use crate::session::views::View;
use crate::store::SessionRow;
use askama::Template;
use axum::Extension;
use axum::http::HeaderMap;
use axum::response::Response;
use sekimori_audit::replay::{LiveScreen, Run};
use sekimori_policy::authority::Act;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most sessions on the wall, the newest.
const TILES: u32 = ROWS * 4;
/// How often the wall is looked at.
const ROUND: Duration = Duration::from_millis(700);
/// What of a large screen is shown on it.
const COLUMNS: usize = 250;
const LINES: usize = 80;

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage {
    frame: Frame,
    rows: Vec<Row>,
    may_cut: bool,
    may_watch: bool,
}

/// `GET /live`.
pub async fn live(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReadLog)?;
    let rows = visit.console.gate.store.live_sessions(TILES).await?;
    let page = LivePage {
        frame: page::frame(&visit, visit.t().live),
        rows: rows.into_iter().map(|row| Row::new(row, &visit)).collect(),
        may_cut: visit.authority(Act::CutOff).is_ok(),
        may_watch: visit.authority(Act::ReadRecordings).is_ok(),
    };
    Ok(page::with(Extension(Loads::Scripts), page::shown(&page)?))
}

/// `GET /live/stream`: that somebody looks at a session is on record before its screen is told.
pub async fn stream(visit: Visit, headers: HeaderMap) -> Result<Response, Fault> {
    let told = stream::begin(visit.clone(), "/live/stream", Act::ReadRecordings, &headers)?;
    Ok(stream::answer(told, Wall::default()))
}

/// One who looks at the wall.
#[derive(Default)]
struct Wall {
    /// The sessions that were told of, as they stood.
    list: Value,
    /// Those that live here.
    tiles: HashMap<Uuid, Tile>,
}

struct Tile {
    view: Arc<View>,
    /// The terminal that was told of, and up to where.
    screen: Option<(u32, u64)>,
    doing: Vec<String>,
}

impl Wall {
    /// Takes sessions up that are new here, on record first, and forgets those that are over.
    async fn take_up(&mut self, rows: &[SessionRow], told: &Request) -> Result<(), Fault> {
        let gate = &told.console.gate;
        self.tiles.retain(|id, _| rows.iter().any(|row| row.opening.id == *id));
        let (mut events, mut views) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| !self.tiles.contains_key(&row.opening.id)) {
            if let Some(view) = gate.views.of(gate, row.opening.id) {
                events.push(viewing(told, row, "wall")?);
                views.push(view);
            }
        }
        if !events.is_empty() {
            Box::pin(gate.store.record_all(&events)).await?;
        }
        for view in views {
            self.tiles.insert(view.session.id, Tile { view, screen: None, doing: Vec::new() });
        }
        Ok(())
    }
}

impl Tell for Wall {
    async fn next(&mut self, told: &Request) -> Result<Next, Fault> {
        let rows = told.console.gate.store.live_sessions(TILES).await?;
        self.take_up(&rows, told).await?;
        let mut lines = Vec::new();
        let list = json!(rows.iter().map(|row| (row.opening.id, stands(row, told))).collect::<Vec<_>>());
        if list != self.list {
            lines.push(json!({ "sessions": list }));
            self.list = list;
        }
        for row in &rows {
            if let Some(tile) = self.tiles.get_mut(&row.opening.id) {
                lines.extend(tile.news(told.t()));
            }
        }
        Ok(Next::Lines(lines))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(ROUND).await;
    }
}

/// How a session stands: where that is otherwise, its tile is made anew.
fn stands(row: &SessionRow, told: &Request) -> &'static str {
    match (&row.cut, &row.pause) {
        (Some(_), _) => "cut",
        (None, Some(_)) => "paused",
        (None, None) if unattended(told, row.opening.id) => "unattended",
        (None, None) => "",
    }
}

impl Tile {
    /// What is otherwise than it was told last.
    fn news(&mut self, t: &Texts) -> Vec<Value> {
        let mut lines = Vec::new();
        let screens = self.view.screens();
        let newest = screens.newest().and_then(|channel| Some((channel, screens.screen(channel)?)));
        let place = newest.map(|(channel, screen)| (channel, screen.place()));
        if let Some((_, screen)) = newest
            && self.screen != place
        {
            self.screen = place;
            lines.push(json!({ "screen": picture(screen), "of": self.view.session.id }));
        }
        let doing = doing(t, screens.activity());
        if doing != self.doing {
            lines.push(json!({ "doing": doing, "of": self.view.session.id }));
            self.doing = doing;
        }
        lines
    }
}

/// A screen as the page draws it: its columns, and its rows, each of characters with the classes of how they look.
fn picture(screen: &LiveScreen) -> Value {
    let (cols, _) = screen.size();
    let row = |runs: Vec<Run>| {
        let mut left = COLUMNS;
        let mut drawn = Vec::new();
        for run in runs {
            let text: String = run.text.chars().take(left).collect();
            left -= text.chars().count();
            drawn.push((text, classes(&run)));
        }
        drawn
    };
    let rows: Vec<_> = screen.rows().into_iter().take(LINES).map(row).collect();
    json!({ "cols": usize::from(cols).min(COLUMNS), "rows": rows })
}

fn classes(run: &Run) -> String {
    let look = run.look;
    let mut classes = Vec::new();
    classes.extend(look.ink.map(|color| format!("i{color}")));
    classes.extend(look.ground.map(|color| format!("g{color}")));
    classes.extend(look.bold.then(|| "bold".to_owned()));
    classes.extend(look.underlined.then(|| "under".to_owned()));
    classes.join(" ")
}
