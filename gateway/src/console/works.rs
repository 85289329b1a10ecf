//! Pieces of work: the list, the inbox of what waits for a decision, the queue of reviews, and one piece of work with
//! what its viewer may do with it now. Doing it is in `acts`.

use super::evidence::{self, Terminal};
use super::fault::Fault;
use super::page::{self, Frame};
use super::texts::evidence::Texts;
use super::visit::{Request, Visit};
use super::ways::{self, Ways};
use crate::session::Session;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use chrono::{NaiveDateTime, TimeDelta, Utc};
use sekimori_policy::authority::Act;
use sekimori_policy::error::PolicyError;
use sekimori_policy::facts::Language;
use sekimori_policy::id::WorkId;
use sekimori_policy::work::{By, Round, Stage, State, Transition, Work};
use std::sync::Arc;

/// How many earlier pieces of work a decision is shown with.
const EARLIER: u32 = 6;

/// How long emergency access waits for its approval after the fact.
pub const EMERGENCY: TimeDelta = TimeDelta::hours(24);

/// Rows of a page.
pub const ROWS: u32 = 50;

/// A piece of work in a list.
pub struct Row {
    /// Its ID.
    pub id: String,
    /// Its state, in words.
    pub state: &'static str,
    /// The colour of that.
    pub tone: &'static str,
    /// Whose it is.
    pub vendor: String,
    /// Where.
    pub devices: String,
    /// Who.
    pub persons: String,
    /// The window that is, or comes next.
    pub when: String,
    /// What for.
    pub purpose: String,
}

impl Row {
    /// The row as of now.
    pub fn new(work: &Work, visit: &Request) -> Self {
        let now = Utc::now();
        let request = work.request();
        let next = work.occurrence_containing(now).or_else(|| request.window.next_after(now));
        let next = next.or_else(|| request.window.occurrences().last().copied());
        Self {
            id: work.id().to_string(),
            state: work.state_at(now).label(visit.language),
            tone: tone(work.state_at(now)),
            vendor: work.vendor().to_string(),
            devices: names(&request.devices),
            persons: names(&request.persons),
            when: next.map_or_else(String::new, |span| {
                format!("{} – {}", visit.show_short(span.from), visit.show_short(span.until))
            }),
            purpose: request.purpose.clone(),
        }
    }
}

/// The colour of a state, beside its word.
pub fn tone(state: State) -> &'static str {
    match state {
        State::Open | State::Working | State::Approved => "good",
        State::Requested | State::Ended | State::Reported | State::AwaitingRetrospectiveApproval => "warn",
        State::Rejected | State::CutOff => "bad",
        State::Draft | State::Reviewed | State::Withdrawn | State::Expired => "",
    }
}

/// Names, separated by commas.
pub fn names<T: ToString>(names: &std::collections::BTreeSet<T>) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[derive(Template)]
#[template(path = "works.html")]
struct ListPage {
    frame: Frame,
    lead: &'static str,
    empty: &'static str,
    rows: Vec<Row>,
    /// What the next page begins below.
    more: Option<String>,
    may_request: bool,
    /// Sessions that wait for somebody to attend.
    unattended: Vec<(String, String)>,
}

/// `GET /works`: a vendor's person sees the vendor's, the hospital all.
pub async fn list(visit: Visit) -> Result<Response, Fault> {
    let person = &visit.signed_in()?.person;
    if person.vendor.is_none() {
        visit.authority(Act::ReadLog)?;
    }
    let before = visit.query.one("before").parse::<WorkId>().ok();
    let mut works = visit.console.gate.store.works_page(person.vendor.as_ref(), before.as_ref(), ROWS + 1).await?;
    let more = works.len() > ROWS as usize;
    works.truncate(ROWS as usize);
    page::shown(&ListPage {
        frame: page::frame(&visit, visit.t().works),
        lead: visit.t().works_lead,
        empty: visit.t().no_works,
        more: works.last().filter(|_| more).map(|work| work.id().to_string()),
        rows: works.iter().map(|work| Row::new(work, &visit)).collect(),
        may_request: person.vendor.is_some(),
        unattended: Vec::new(),
    })
}

/// `GET /inbox`: what waits for a decision of the hospital.
pub async fn inbox(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ApproveWork)?;
    let now = Utc::now();
    let works = visit.console.gate.store.works_to_decide(ROWS).await?;
    let waiting = works.iter().filter(|work| work.state_at(now) != State::Expired);
    page::shown(&ListPage {
        frame: page::frame(&visit, visit.t().inbox),
        lead: visit.t().inbox_lead,
        empty: visit.t().inbox_empty,
        rows: waiting.map(|work| Row::new(work, &visit)).collect(),
        more: None,
        may_request: false,
        unattended: if visit.authority(Act::CutOff).is_ok() { waiting_for_somebody(&visit) } else { Vec::new() },
    })
}

/// The sessions here that wait for somebody to attend: who at which device.
fn waiting_for_somebody(visit: &Request) -> Vec<(String, String)> {
    let sessions = visit.console.gate.live.all().into_iter().filter(|session| session.held().unattended);
    let told = |session: Arc<Session>| {
        (session.id.to_string(), format!("{} → {}", session.caller.person.id, session.device()))
    };
    sessions.take(ROWS as usize).map(told).collect()
}

/// `GET /reviews`: work that was done and not reviewed yet.
pub async fn reviews(visit: Visit) -> Result<Response, Fault> {
    visit.authority(Act::ReviewWork)?;
    let now = Utc::now();
    let works = visit.console.gate.store.works_to_review(ROWS).await?;
    page::shown(&ListPage {
        frame: page::frame(&visit, visit.t().reviews),
        lead: visit.t().reviews_lead,
        empty: visit.t().reviews_empty,
        rows: works
            .iter()
            .filter(|work| work.pending_round(now).is_some())
            .map(|work| Row::new(work, &visit))
            .collect(),
        more: None,
        may_request: false,
        unattended: Vec::new(),
    })
}

/// A round, plan beside what happened.
struct RoundRow {
    planned: String,
    begun: String,
    ended: String,
    operators: String,
    unplanned_operators: String,
    report: Option<ReportRow>,
    review: Option<String>,
    sent_back: Option<String>,
    sessions: Vec<SessionRow>,
}

struct ReportRow {
    by: String,
    text: String,
    personal_data: Option<String>,
    unplanned_personal_data: bool,
    files: String,
}

struct SessionRow {
    id: String,
    person: String,
    device: String,
    when: String,
    files: u32,
    end: String,
}

struct Entry {
    at: String,
    by: String,
    act: String,
    note: String,
}

/// What the viewer may do now. Asked of the policy itself.
#[derive(Default)]
struct Can {
    approve: bool,
    reject: bool,
    approve_after: bool,
    reject_after: bool,
    emergency: bool,
    withdraw: bool,
    cut_off: bool,
    extend: bool,
    report: bool,
    confirm: bool,
    /// Why they may not approve, where it waits for that.
    not_approve: Option<String>,
}

#[derive(Template)]
#[template(path = "work.html")]
struct WorkPage {
    frame: Frame,
    row: Row,
    revision: usize,
    version: u32,
    requested_by: String,
    plan: String,
    channels: String,
    accounts: String,
    personal_data: bool,
    attendance: bool,
    occurrences: Vec<String>,
    more_occurrences: usize,
    decision: Option<(&'static str, String)>,
    emergency: Option<String>,
    rounds: Vec<RoundRow>,
    history: Vec<Entry>,
    can: Can,
    ways: Vec<Ways>,
    may_copy: bool,
    extend_from: String,
    e: &'static Texts,
    /// The terminals of those who come.
    terminals: Vec<Terminal>,
    /// What this vendor did last, for those who decide.
    earlier: Vec<Row>,
    /// Of that, what should have been reviewed by now: until it is, this window stays shut.
    overdue: Vec<String>,
}

/// `GET /works/{id}`.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let work = Box::pin(known(&visit, &id)).await?;
    let now = Utc::now();
    let person = &visit.signed_in()?.person;
    let request = work.request();
    let mut ways = Vec::new();
    let state = work.state_at(now);
    let ahead = matches!(state, State::Approved | State::Open | State::Working | State::AwaitingRetrospectiveApproval);
    for device in request.devices.iter().filter(|_| ahead && request.persons.contains(&person.id)) {
        if let Some(record) = visit.console.gate.store.device(device).await? {
            ways.push(ways::to(&visit, &person.id, &record, request));
        }
    }
    let occurrences = request.window.occurrences();
    let mut rounds = Vec::new();
    for round in work.rounds() {
        rounds.push(Box::pin(round_row(&visit, &work, round)).await?);
    }
    let open = work.occurrence_containing(now);
    let earlier = if visit.authority(Act::ApproveWork).is_ok() {
        visit.console.gate.store.works_page(Some(work.vendor()), None, EARLIER).await?
    } else {
        Vec::new()
    };
    let others = || earlier.iter().filter(|other| other.id() != work.id());
    let terminals = Box::pin(evidence::terminals(&visit, &request.persons)).await?;
    page::shown(&WorkPage {
        e: Texts::of(visit.language),
        terminals,
        frame: page::frame(&visit, &format!("{} {}", visit.t().work, work.id())),
        row: Row::new(&work, &visit),
        revision: work.revision(),
        version: work.version(),
        requested_by: work.requested_by().to_string(),
        plan: request.plan.clone(),
        channels: names(&request.channels),
        accounts: request.accounts.as_ref().map(names).unwrap_or_default(),
        personal_data: request.personal_data_expected,
        attendance: work.is_to_be_attended(),
        occurrences: occurrences
            .iter()
            .take(5)
            .map(|span| format!("{} – {}", visit.show(span.from), visit.show(span.until)))
            .collect(),
        more_occurrences: occurrences.len().saturating_sub(5),
        decision: decision(&work, &visit),
        emergency: work
            .awaiting_retrospective_approval()
            .map(|access| format!("{} – {}: {}", visit.show(access.opened_at), access.opened_by, access.reason)),
        rounds,
        history: work
            .history()
            .iter()
            .rev()
            .map(|entry| Entry {
                at: visit.show(entry.at),
                by: entry.by.as_ref().map_or_else(|| visit.t().product.to_owned(), ToString::to_string),
                act: act_label(visit.language, &entry.act).to_owned(),
                note: entry.note.clone().unwrap_or_default(),
            })
            .collect(),
        can: can(&work, &visit)?,
        ways,
        earlier: others().map(|other| Row::new(other, &visit)).collect(),
        overdue: others()
            .filter(|other| other.unreviewed_past_deadline(now))
            .map(|other| other.id().to_string())
            .collect(),
        may_copy: person.vendor.is_some(),
        extend_from: open.map_or_else(String::new, |span| visit.show_local(span.until + TimeDelta::hours(1))),
    })
}

/// The work, if its viewer may see it: a vendor's person sees no other vendor's, not even that it is there.
pub async fn known(visit: &Request, id: &str) -> Result<Work, Fault> {
    let id: WorkId = id.parse().map_err(|_| Fault::NotFound)?;
    let person = &visit.signed_in()?.person;
    let work = visit.console.gate.store.work(&id).await?.ok_or(Fault::NotFound)?;
    match &person.vendor {
        Some(vendor) if vendor == work.vendor() => Ok(work),
        Some(_) => Err(Fault::NotFound),
        None => visit.authority(Act::ReadLog).map(|_| work),
    }
}

async fn round_row(visit: &Request, work: &Work, round: &Round) -> Result<RoundRow, Fault> {
    let now = Utc::now();
    let span = round.occurrence();
    let unplanned = round.operators().difference(&work.request().persons).cloned().collect();
    let sessions = visit.console.gate.store.sessions_of_work(work.id(), span.from, span.until, ROWS).await?;
    Ok(RoundRow {
        planned: format!("{} – {}", visit.show(span.from), visit.show(span.until)),
        begun: visit.show(round.begun_at()),
        ended: round.ended_at(now).map_or_else(|| "–".to_owned(), |at| visit.show(at)),
        operators: names(round.operators()),
        unplanned_operators: names(&unplanned),
        report: round.report().map(|report| ReportRow {
            by: format!("{} ({})", report.by, visit.show(report.at)),
            text: report.text.clone(),
            personal_data: report.personal_data.clone(),
            unplanned_personal_data: report.personal_data.is_some() && !work.request().personal_data_expected,
            files: report.files.join(", "),
        }),
        review: round.review().map(|review| format!("{} ({}): {}", review.by, visit.show(review.at), review.comment)),
        sent_back: round.sent_back().map(|word| format!("{} ({}): {}", word.by, visit.show(word.at), word.comment)),
        sessions: sessions
            .into_iter()
            .map(|row| SessionRow {
                id: row.opening.id.to_string(),
                person: row.opening.person.to_string(),
                device: format!("{} ({})", row.opening.device, row.opening.account),
                when: format!(
                    "{} – {}",
                    visit.show_short(row.opening.opened),
                    row.closing.as_ref().map_or_else(|| visit.t().live_now.to_owned(), |end| visit.show_short(end.at))
                ),
                files: row.closing.as_ref().map_or(0, |end| end.counts.transfers),
                end: row.closing.map_or_else(String::new, |end| end.code),
            })
            .collect(),
    })
}

/// What was decided, by whom and why; with the colour of it.
fn decision(work: &Work, visit: &Request) -> Option<(&'static str, String)> {
    let (tone, act, by, at, reason) = match work.stage() {
        Stage::Approved { by, at, attendance: true, .. } => {
            ("good", "approve", by, *at, visit.t().attendance_condition)
        }
        Stage::Approved { by, at, .. } => ("good", "approve", by, *at, ""),
        Stage::Rejected { by, at, reason } => ("bad", "reject", by, *at, reason.as_str()),
        Stage::CutOff { by, at, reason, .. } => ("bad", "cut-off", by, *at, reason.as_str()),
        Stage::Withdrawn { by, at } => ("", "withdraw", by, *at, ""),
        Stage::Draft | Stage::Requested | Stage::Emergency { .. } => return None,
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Some((tone, format!("{} – {} – {by}{reason}", act_label(visit.language, act), visit.show(at))))
}

fn can(work: &Work, visit: &Request) -> Result<Can, Fault> {
    let person = &visit.signed_in()?.person;
    let now = Utc::now();
    let words = || "?".to_owned();
    let tried = |transition: Transition| work.apply(transition, By::Person(person), now);
    let may = |transition: Transition| tried(transition).is_ok();
    let approve = tried(Transition::Approve { attendance: false });
    let waits = work.state_at(now) == State::Requested && visit.authority(Act::ApproveWork).is_ok();
    let longer = work.occurrence_containing(now).map(|span| span.until + TimeDelta::minutes(1));
    Ok(Can {
        approve: approve.is_ok(),
        not_approve: match &approve {
            Err(PolicyError::Refused(refusal)) if waits => Some(refusal.sentence(visit.language)),
            _ => None,
        },
        reject: may(Transition::Reject { reason: words() }),
        approve_after: may(Transition::ApproveRetrospectively),
        reject_after: may(Transition::RejectRetrospectively { reason: words() }),
        emergency: may(Transition::OpenEmergency { reason: words(), deadline: now + EMERGENCY }),
        withdraw: may(Transition::Withdraw),
        cut_off: may(Transition::CutOff { reason: words() }),
        extend: longer.is_some_and(|until| may(Transition::Extend { until })),
        report: may(Transition::Report { text: words(), personal_data: None, files: Vec::new() }),
        confirm: may(Transition::Confirm { comment: words() }),
    })
}

/// A time as browsers send it.
pub fn local_time(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// A step of the history, in words.
fn act_label(language: Language, act: &str) -> &str {
    let (ja, en) = match act {
        "draft" => ("作成", "drafted"),
        "submit" => ("申請", "requested"),
        "edit" => ("変更", "changed"),
        "withdraw" => ("取消", "withdrawn"),
        "approve" => ("承認", "approved"),
        "reject" => ("却下", "rejected"),
        "extend" => ("延長", "extended"),
        "open-emergency" => ("緊急接続", "opened in an emergency"),
        "approve-retrospectively" => ("事後承認", "approved after the fact"),
        "reject-retrospectively" => ("事後却下", "rejected after the fact"),
        "begin" => ("作業開始", "begun"),
        "end" => ("作業終了", "ended"),
        "cut-off" => ("遮断", "cut off"),
        "report" => ("報告", "reported"),
        "confirm" => ("照合・確認", "confirmed"),
        "send-back" => ("差し戻し", "sent back"),
        other => return other,
    };
    match language {
        Language::Ja => ja,
        Language::En => en,
    }
}
