//! Answers that go on: lines of JSON, each when there is something to tell, for as long as whoever asked may know it.
//!
//! The guard decided once, when the answer began; here it is decided again every second, without counting as a use of the
//! sign-in. What a browser does not read is not made: hyper asks for the next line when the last one is on its way, and
//! what happened meanwhile is told together then, or anew.

use super::fault::Fault;
use super::guard;
use super::visit::{Request, Visit};
use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use sekimori_policy::authority::{Act, may};
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// What a script of ours asks for: nobody gets an answer that goes on by opening its address.
pub const LINES: &str = "application/x-ndjson";

/// How often it is asked whether somebody may still know.
const AGAIN: Duration = Duration::from_secs(1);
/// After so much silence an empty line says that the gateway is there.
const SILENCE: Duration = Duration::from_secs(10);

/// Who is told, and by what right.
pub struct Told {
    visit: Visit,
    route: &'static str,
    act: Act,
    asked: Instant,
    said: Instant,
}

/// What is told: lines until there is nothing more.
pub trait Tell: Send + 'static {
    /// What is new, if anything; [`Next::End`] ends the answer.
    fn next(&mut self, told: &Request) -> impl Future<Output = Result<Next, Fault>> + Send;

    /// Resolves when there may be something new.
    fn wait(&mut self) -> impl Future<Output = ()> + Send;
}

/// What is told next.
pub enum Next {
    /// Nothing yet.
    Nothing,
    /// These lines.
    Lines(Vec<Value>),
    /// These, and then nothing more.
    End(Vec<Value>),
}

/// Begins the answer.
///
/// # Errors
/// The roles do not allow the act, or no script of ours asks.
pub fn begin(visit: Visit, route: &'static str, act: Act, headers: &HeaderMap) -> Result<Told, Fault> {
    visit.authority(act)?;
    if headers.get(ACCEPT).is_none_or(|accepted| accepted != LINES) {
        return Err(Fault::NotFound);
    }
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Fault::Elsewhere);
    }
    let now = Instant::now();
    Ok(Told { visit, route, act, asked: now, said: now })
}

/// The answer.
pub fn answer(told: Told, tell: impl Tell) -> Response {
    let lines = stream::unfold(Some((told, tell)), |going| async {
        let (mut told, mut tell) = going?;
        let (lines, goes_on) = told.next(&mut tell).await;
        let mut text = String::new();
        for line in &lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        if lines.is_empty() {
            text.push('\n');
        }
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), goes_on.then_some((told, tell))))
    });
    ([(CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response()
}

impl Told {
    /// The next lines, none for a sign of life; and whether others may follow.
    async fn next(&mut self, tell: &mut impl Tell) -> (Vec<Value>, bool) {
        let end = |words: &str| (vec![json!({ "end": words })], false);
        let t = self.visit.t();
        let gate = self.visit.console.gate.clone();
        loop {
            if self.asked.elapsed() >= AGAIN {
                match self.may_still().await {
                    Ok(true) => self.asked = Instant::now(),
                    Ok(false) => return end(t.watch_not_allowed),
                    Err(fault) => {
                        tracing::error!(%fault, "whether somebody may still watch is not known");
                        return end(t.watch_lost);
                    }
                }
            }
            match tell.next(&self.visit).await {
                Ok(Next::Lines(lines)) if !lines.is_empty() => return self.say(lines, true),
                Ok(Next::End(lines)) => return self.say(lines, false),
                Ok(Next::Lines(_) | Next::Nothing) => {}
                Err(fault) => {
                    tracing::error!(%fault, "what is watched cannot be told");
                    return end(t.watch_lost);
                }
            }
            if self.said.elapsed() >= SILENCE {
                return self.say(Vec::new(), true);
            }
            tokio::select! {
                () = tell.wait() => {}
                () = tokio::time::sleep_until(self.asked + AGAIN) => {}
                () = gate.stop_asked() => return end(t.watch_lost),
            }
        }
    }

    fn say(&mut self, lines: Vec<Value>, goes_on: bool) -> (Vec<Value>, bool) {
        self.said = Instant::now();
        (lines, goes_on)
    }

    /// Whether the sign-in stands, and its person may still be told.
    async fn may_still(&self) -> Result<bool, Fault> {
        let who = self.visit.signed_in()?;
        let console = &self.visit.console;
        let Some((_, person)) = Box::pin(guard::holder(console, &who.key, self.visit.source)).await? else {
            return Ok(false);
        };
        Ok(console.matrix.allows("GET", self.route, Some(&person)) && may(&person, self.act).is_ok())
    }
}
