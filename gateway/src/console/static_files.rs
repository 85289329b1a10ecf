//! What pages load: one style sheet of our own, nothing from elsewhere.

use super::visit::Visit;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// The style sheet.
const STYLE: &str = include_str!("../../templates/style.css");

/// `GET /style.css`.
pub async fn style(_: Visit) -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=300")], STYLE).into_response()
}
