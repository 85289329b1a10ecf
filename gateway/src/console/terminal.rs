//! A terminal in the browser, for a vendor's person and a device: a session like one by `ssh`, on the sign-in of this
//! browser. The page says what it is about; a form opens the terminal, with the second factor where that was proved long
//! ago; the page that it leads to connects once ([`line`]).

mod line;
mod seat;
mod tickets;

pub use tickets::{Seats, Tickets};

use super::fault::Fault;
use super::guard::{self, Loads};
use super::page::{self, Frame};
use super::server::Peer;
use super::texts::terminal::Texts;
use super::visit::{Request, Visit};
use crate::session::Caller;
use crate::ssh::texts;
use crate::web::encoded;
use askama::Template;
use axum::Extension;
use axum::extract::Path;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::Utc;
use sekimori_policy::decide::{Decision, decide};
use sekimori_policy::facts::{Channel, Factors};
use tickets::Target;

#[derive(Template)]
#[template(path = "terminal.html")]
struct TerminalPage {
    frame: Frame,
    x: &'static Texts,
    device: String,
    account: String,
    name: String,
    person: String,
    source: String,
    /// What SSH shows before anybody is known.
    banner: String,
    /// The work, until when, and why it ends then; where it is permitted now.
    open: Option<(String, String, String)>,
    emergency: bool,
    reasons: Vec<String>,
    /// The address of the terminal, and of its connection.
    path: String,
    /// What opens it, once.
    ticket: Option<String>,
    largest: usize,
}

/// `GET /terminal/{id}/{account}`.
pub async fn page(visit: Visit, Path(to): Path<(String, String)>) -> Result<Response, Fault> {
    let to = target(to)?;
    page::shown(&Box::pin(described(&visit, &to)).await?)
}

/// `POST /terminal/{id}/{account}`: the page that connects.
pub async fn open(visit: Visit, Path(to): Path<(String, String)>) -> Result<Response, Fault> {
    let to = target(to)?;
    visit.demand_second_factor().await?;
    let mut page = Box::pin(described(&visit, &to)).await?;
    let ticket = visit.console.tickets.issue(visit.signed_in()?.sign_in.sign_in.id, to)?;
    // Whether it is permitted is decided when it connects, and on record then.
    page.ticket = Some(ticket.to_string());
    Ok(page::with(Extension(Loads::Terminal), page::shown(&page)?))
}

/// `GET /terminal/{id}/{account}/line`: the page's connection.
pub async fn line(
    visit: Visit,
    Path(to): Path<(String, String)>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Fault> {
    let to = target(to)?;
    // The cookie comes with every request of this browser's, whichever page makes it.
    guard::from_a_page_of_ours(&headers)?;
    let caller = caller(&visit)?;
    let upgrade = upgrade.map_err(|_| Fault::NotFound)?;
    let upgrade = upgrade
        .max_message_size(line::MESSAGE)
        .max_frame_size(line::MESSAGE)
        .read_buffer_size(line::MESSAGE / 4)
        .write_buffer_size(0)
        .max_write_buffer_size(line::MESSAGE * 4);
    Ok(upgrade.on_upgrade(move |socket| line::serve(visit, caller, to, peer.place, socket)))
}

fn target((device, account): (String, String)) -> Result<Target, Fault> {
    let device = device.parse().map_err(|_| Fault::NotFound)?;
    Ok(Target { device, account })
}

/// Where a person's terminal at a device is.
#[must_use]
pub fn address(device: &str, account: &str) -> String {
    format!("/terminal/{device}/{}", encoded(account, false))
}

/// Whoever has signed in here, as one who opens sessions: the factors are as old as the sign-in, and end with it.
fn caller(visit: &Request) -> Result<Caller, Fault> {
    let who = visit.signed_in()?;
    let sign_in = &who.sign_in.sign_in;
    let until = guard::whole(&visit.console.gate.config(), sign_in.proved_at);
    let factors = Factors { methods: sign_in.methods.clone(), proved_at: sign_in.proved_at, until: Some(until) };
    let person = who.person.clone();
    Ok(Caller { person, factors, sign_in: sign_in.id, source: visit.source, carried: false })
}

/// The page, with what would be decided now.
async fn described(visit: &Request, to: &Target) -> Result<TerminalPage, Fault> {
    let gate = &visit.console.gate;
    let caller = caller(visit)?;
    let x = Texts::of(visit.language);
    let mut page = TerminalPage {
        frame: page::frame(visit, x.title),
        x,
        device: to.device.to_string(),
        account: to.account.clone(),
        name: String::new(),
        person: format!("{} ({})", caller.person.name, caller.person.id),
        source: visit.source.to_string(),
        banner: texts::banner(&gate.config().hospital.name, visit.source).trim().to_owned(),
        open: None,
        emergency: false,
        reasons: Vec::new(),
        path: address(to.device.as_str(), &to.account),
        ticket: None,
        largest: line::MESSAGE,
    };
    let facts = gate.facts(&caller, &to.device, Some(&to.account)).await?;
    match decide(&facts, Utc::now()) {
        Decision::Denial(denial) => {
            page.reasons = denial.reasons().iter().map(|reason| reason.sentence(visit.language)).collect();
        }
        Decision::Permit(permit) if !permit.allows(Channel::Shell) => {
            let shell = Channel::Shell.to_string();
            page.reasons = vec![texts::not_permitted(visit.language, &shell, permit.work().as_str())];
        }
        Decision::Permit(permit) => {
            page.name = gate.store.device(&to.device).await?.map(|record| record.name).unwrap_or_default();
            page.emergency = permit.awaiting_retrospective_approval();
            let because = permit.until_because().sentence(visit.language).to_owned();
            page.open = Some((permit.work().to_string(), visit.show(permit.until()), because));
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_account_of_any_name_has_an_address() {
        assert_eq!(address("ct-01", "service"), "/terminal/ct-01/service");
        assert_eq!(address("ct-01", "a b/../c?#保守"), "/terminal/ct-01/a%20b%2F..%2Fc%3F%23%E4%BF%9D%E5%AE%88");
    }
}
