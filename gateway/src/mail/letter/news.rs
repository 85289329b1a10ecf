//! What a mail says of a piece of work.

use super::{Moot, NAME, Said, time};
use crate::config::Config;
use crate::mail::words::shown;
use crate::store::{Mail, Store, StoreError};
use chrono::Utc;
use sekimori_policy::facts::{Language, Person};
use sekimori_policy::id::WorkId;
use sekimori_policy::notice::Notice;
use sekimori_policy::work::{Entry, Work};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// The most characters of a text of somebody else's: a purpose, a reason.
const WORDS: usize = 300;
/// The most names and times that are listed.
const LISTED: usize = 8;

/// News of a piece of work: what happened, who, where, when, what for, and the link.
pub(super) async fn news(
    store: &Store,
    config: &Config,
    mail: &Mail,
    notice: Notice,
    reader: &Person,
) -> Result<Said, StoreError> {
    let work = match mail.about.parse::<WorkId>() {
        Ok(id) => store.work(&id).await?,
        Err(_) => None,
    };
    let Some(work) = work.filter(|work| still(work, notice, mail.step)) else { return Ok(Err(Moot::Overtaken)) };
    let vendor = store.vendor(work.vendor()).await?.map_or_else(String::new, |vendor| shown(&vendor.name, NAME));
    let entry = mail.step.checked_sub(1).and_then(|at| work.history().get(at));
    let language = reader.language;
    let (lead, todo) = leads(notice, entry.map_or("", |entry| entry.act.as_str()), language);
    let mut said = Zeroizing::new(format!("{lead}\n{todo}\n\n"));
    for (label, text) in facts(config, &work, &vendor, entry, notice, language) {
        let _ = writeln!(said, "{label}: {}", shown(&text, 2 * WORDS));
    }
    if let Some(console) = config.console.url() {
        let signed_in = match language {
            Language::Ja => "開くとサインインを求められます。",
            Language::En => "It asks you to sign in first.",
        };
        let _ = write!(said, "\n{console}/works/{}\n{signed_in}\n", work.id());
    }
    let devices = listed(work.request().devices.iter().map(ToString::to_string));
    Ok(Ok((shown(&format!("{lead} {} ({devices})", work.id()), WORDS), said)))
}

/// Whether what a notice tells is so still: nobody is sent after what a colleague has done meanwhile, and of many changes
/// the last one is told of.
fn still(work: &Work, notice: Notice, step: usize) -> bool {
    let later = || work.history().get(step..).unwrap_or_default().iter();
    match notice {
        Notice::Requested | Notice::Emergency => !later().any(|entry| {
            matches!(entry.act.as_str(), "edit" | "open-emergency" | "cut-off" | "withdraw") || is_decision(&entry.act)
        }),
        Notice::Decided => true,
        Notice::ApprovalOverdue => work.awaiting_retrospective_approval().is_some(),
        Notice::ReviewOverdue => work.unreviewed_past_deadline(Utc::now()),
    }
}

fn is_decision(act: &str) -> bool {
    matches!(act, "approve" | "reject" | "approve-retrospectively" | "reject-retrospectively")
}

/// What happened, and what is to be done.
fn leads(notice: Notice, act: &str, language: Language) -> (&'static str, &'static str) {
    let (ja, en) = match (notice, act) {
        (Notice::Requested, "edit") => (
            ("作業申請が変更されました", "内容を確かめ、あらためて承認または却下してください。"),
            ("A request for work was changed", "Please look at it anew, and approve or reject it."),
        ),
        (Notice::Requested, _) => (
            ("作業申請が届きました", "内容を確かめ、承認または却下してください。"),
            ("A request for work has come in", "Please look at it, and approve or reject it."),
        ),
        (Notice::Emergency, _) => (
            ("緊急接続が開始されました", "承認前の接続です。期限までに事後承認または事後却下をしてください。"),
            ("Emergency access was opened", "It came before its approval: please approve or reject it in time."),
        ),
        (Notice::ApprovalOverdue, _) => (
            ("事後承認の期限が過ぎました", "緊急接続がまだ承認されていません。事後承認または事後却下をしてください。"),
            (
                "An approval after the fact is overdue",
                "Emergency access is still not approved: please approve or reject it.",
            ),
        ),
        (Notice::ReviewOverdue, _) => (
            (
                "照合・確認の期限が過ぎました",
                "作業報告の提出と照合・確認が済むまで、この事業者の次の作業時間帯は開きません。",
            ),
            ("A review is overdue", "Until the work is reported and reviewed, the vendor's next window stays shut."),
        ),
        (Notice::Decided, "approve") => (
            ("作業申請が承認されました", "作業時間帯に接続できます。"),
            ("The request was approved", "Work can begin in its window."),
        ),
        (Notice::Decided, "reject") => (
            ("作業申請が却下されました", "この申請では接続できません。"),
            ("The request was rejected", "Nothing opens for it."),
        ),
        (Notice::Decided, "extend") => (("作業時間帯が延長されました", ""), ("The window was extended", "")),
        (Notice::Decided, "approve-retrospectively") => {
            (("緊急接続が事後承認されました", ""), ("Emergency access was approved after the fact", ""))
        }
        (Notice::Decided, "reject-retrospectively") => (
            ("緊急接続が事後却下されました", "接続は終了しました。"),
            ("Emergency access was rejected after the fact", "It has ended."),
        ),
        (Notice::Decided, "cut-off") => {
            (("作業が遮断されました", "接続は終了しました。"), ("The work was cut off", "Its sessions have ended."))
        }
        (Notice::Decided, "send-back") => (
            ("作業報告が差し戻されました", "作業報告を出し直してください。"),
            ("The report was sent back", "Another report is owed."),
        ),
        (Notice::Decided, _) => (("作業申請に動きがありました", ""), ("Something happened to the request", "")),
    };
    match language {
        Language::Ja => ja,
        Language::En => en,
    }
}

/// Who, where, when, what for, and why it was decided so: a label and a line each.
fn facts(
    config: &Config,
    work: &Work,
    vendor: &str,
    entry: Option<&Entry>,
    notice: Notice,
    language: Language,
) -> Vec<(&'static str, String)> {
    let label = |ja: &'static str, en: &'static str| match language {
        Language::Ja => ja,
        Language::En => en,
    };
    let request = work.request();
    let spans = request
        .window
        .occurrences()
        .iter()
        .map(|span| format!("{} – {}", time(config, span.from), time(config, span.until)));
    let mut facts = vec![
        (label("作業", "Work"), work.id().to_string()),
        (label("事業者", "Vendor"), format!("{vendor} ({})", work.vendor())),
        (label("保守要員", "Persons"), listed(request.persons.iter().map(ToString::to_string))),
        (label("機器", "Devices"), listed(request.devices.iter().map(ToString::to_string))),
        (label("作業時間帯", "Window"), listed(spans)),
        (label("目的", "Purpose"), shown(&request.purpose, WORDS)),
    ];
    if let Some(access) = work.emergency().filter(|_| matches!(notice, Notice::Emergency | Notice::ApprovalOverdue)) {
        facts.push((label("開始した人", "Opened by"), access.opened_by.to_string()));
        facts.push((label("理由", "Reason"), shown(&access.reason, WORDS)));
        facts.push((label("事後承認の期限", "Approval due"), time(config, access.deadline)));
    }
    if let Some(entry) = entry.filter(|_| notice == Notice::Decided) {
        let by = entry.by.as_ref().map(ToString::to_string).unwrap_or_default();
        facts.push((label("決定", "Decided"), format!("{by}, {}", time(config, entry.at))));
        if let Some(note) = &entry.note {
            facts.push((label("理由", "Reason"), shown(note, WORDS)));
        }
    }
    if let Some(due) = work.review_due(Utc::now()).filter(|_| notice == Notice::ReviewOverdue) {
        facts.push((label("照合・確認の期限", "Review due"), time(config, due)));
    }
    facts
}

/// The first of many, and how many more there are.
fn listed(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    if more > 0 {
        all.push(format!("+{more}"));
    }
    all.join(", ")
}
