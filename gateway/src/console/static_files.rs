//! What pages load: a style sheet and scripts of our own, and xterm.js, all of it part of the binary. Nothing comes from
//! elsewhere.

use super::visit::Visit;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("../../templates/style.css");
const JOIN: &str = include_str!("../../browser/join.js");
const PASSKEY: &str = include_str!("../../browser/passkey.js");
const WALL: &str = include_str!("../../browser/wall.js");
const WATCH: &str = include_str!("../../browser/watch.js");
const TERMINAL: &str = include_str!("../../browser/terminal.js");
const LINES: &str = include_str!("../../browser/lines.js");
const XTERM: &str = include_str!(concat!(env!("OUT_DIR"), "/xterm.mjs"));
const XTERM_STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/xterm.css"));

fn served(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// `GET /style.css`.
pub async fn style(_: Visit) -> Response {
    served("text/css; charset=utf-8", STYLE)
}

/// `GET /wall.js`.
pub async fn wall(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", WALL)
}

/// `GET /watch.js`.
pub async fn watch(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", WATCH)
}

/// `GET /terminal.js`.
pub async fn terminal(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", TERMINAL)
}

/// `GET /lines.js`.
pub async fn lines(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", LINES)
}

/// `GET /xterm.js`.
pub async fn xterm(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", XTERM)
}

/// `GET /xterm.css`.
pub async fn xterm_style(_: Visit) -> Response {
    served("text/css; charset=utf-8", XTERM_STYLE)
}

/// `GET /join.js`.
pub async fn join(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", JOIN)
}

/// `GET /passkey.js`.
pub async fn passkey(_: Visit) -> Response {
    served("text/javascript; charset=utf-8", PASSKEY)
}
